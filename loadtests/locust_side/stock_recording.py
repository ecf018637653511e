"""Locust side: makes a recording of a test that stock Locust runs, when it ends.

The tables are made by a process of its own (`loadtests.journals.conversion`) after Locust has closed its files.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gevent.monkey import get_original
from locust import stats

import loadtests
from loadtests.foundation.files import write_json
from loadtests.foundation.http_client import without_credentials
from loadtests.gauges import GaugePoller
from loadtests.journals.journal import gauges_path, run_path
from loadtests.store import JOURNAL, LOCUST, REPORT, check_new_folder

_CSV_ENDINGS = ("stats", "stats_history", "failures", "exceptions")
_NOTED_OPTIONS = (
    "locustfile", "headless", "num_users", "spawn_rate", "run_time", "processes", "stop_timeout",
    "csv_prefix", "stats_history_enabled", "json_file", "tags", "exclude_tags", "step_users", "step_time",
    "hold_time", "request_timeout", "seed",
)  # fmt: skip
"""Options whose values are kept; others of a user's own may hold a password."""


class StockRecording:
    """What stock Locust adds to a journal so that a recording can be made of it.

    Parameters
    ----------
    environment : locust.env.Environment
        That of the master or of the only process.
    folder : Path
        New folder of the recording.
    """

    def __init__(self, environment: Any, folder: Path) -> None:
        self._environment = environment
        self._folder = folder.absolute()
        self._has_ended = False

    def new_journal(self) -> Path:
        """Make the folder and return where its journal goes.

        Raises
        ------
        InputError
            When the folder is not new and not empty.
        """
        check_new_folder(self._folder)
        (self._folder / LOCUST).mkdir(parents=True, exist_ok=True)
        return self._journal

    def attach(self) -> None:
        """Note the test when it starts, finish when Locust ends."""
        self._environment.events.test_start.add_listener(self._on_start)
        self._environment.events.quit.add_listener(self._on_quit)

    @property
    def _journal(self) -> Path:
        return self._folder / JOURNAL

    def _on_start(self, **_event: Any) -> None:
        if run_path(self._journal).exists():
            return
        host = without_credentials(self._host())
        write_json(run_path(self._journal), self._description(host))
        if host:
            GaugePoller(
                host, getattr(self._environment, "access", None), journal=gauges_path(self._journal)
            ).__enter__()  # until this process ends

    def _host(self) -> str:
        hosts = [self._environment.host, *(user.host for user in self._environment.user_classes)]
        return next((str(host) for host in hosts if host), "").rstrip("/")

    def _description(self, host: str) -> dict[str, Any]:
        options = vars(self._environment.parsed_options)
        deployment = options.get("deployment")
        return {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": host,
            "command": ["locust", *_noted(options)],
            "plan": getattr(self._environment, "load_plan", None),
            "has_steps": getattr(self._environment, "has_planned_steps", False),
            "think": getattr(self._environment, "nominal_think", ""),
            "seed": int(options.get("seed") or 1),
            "deployment_file": None if deployment is None else str(Path(deployment).absolute()),
        }

    def _on_quit(self, **_event: Any) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        # All before another greenlet runs: a request may still finish, and Locust may exit in one.
        self._save_report()
        atexit.register(self._finish)

    def _save_report(self) -> None:
        """Locust's own counts; making its JSON report sets them to zero, so a report that was asked for is copied."""
        options, report = self._environment.parsed_options, self._folder / LOCUST / REPORT
        if options.json_file:
            shutil.copyfile(f"{options.json_file}.json", f"{report}.json")
        elif options.json:
            write_json(f"{report}.json", [self._environment.stats.total.serialize()])
        else:
            stats.save_stats_json(self._environment.stats, str(report))

    def _finish(self) -> None:
        """Copy Locust's own files, closed by now, and let another process make the tables."""
        for path in self._own_files():
            shutil.copyfile(path, self._folder / LOCUST / path.name)
        root = str(Path(loadtests.__file__).parent.parent)
        paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "loadtests.journals.conversion", str(self._folder)]
        silent = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        process = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": paths}, file_actions=silent)
        # gevent's own wait would let greenlets run that write into the files that Locust has closed.
        get_original("os", "waitpid")(process, 0)

    def _own_files(self) -> list[Path]:
        options = self._environment.parsed_options
        files = [f"{options.csv_prefix}_{ending}.csv" for ending in _CSV_ENDINGS if options.csv_prefix]
        files += [name for name in (options.html_file, options.logfile) if name]
        return [path for path in map(Path, files) if path.is_file()]


def _noted(options: dict[str, Any]) -> list[str]:
    """The options that were given, as a command line; of files only the names."""
    words: list[str] = []
    for name in _NOTED_OPTIONS:
        value = options.get(name)
        if value in (None, False, "", []):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if name in ("locustfile", "csv_prefix", "json_file"):
            text = ",".join(Path(part).name for part in text.split(","))
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [text])
    return words
