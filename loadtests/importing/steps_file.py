"""Which runs and levels there are: STEPS.csv, a prefix of Locust's files, or a folder of runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.foundation.distributions import parse_distribution
from loadtests.foundation.errors import InputError
from loadtests.importing.locust_columns import whole_number
from loadtests.importing.notes import Notes, printable
from loadtests.importing.safe_files import inside
from loadtests.importing.text_tables import TextRow, read_header, read_rows, require_columns

STEPS_NAMES = ("STEPS.csv", "steps.csv")
STEPS_COLUMNS = ("step", "users", "think", "stats_prefix", "requests", "skip_s", "start_s", "end_s")
"""`start_s` and `end_s` may be left out; each may be empty but `step`."""

_REQUIRED = {name: (name,) for name in ("step", "users")}
_OF_PREFIX = {
    "stats": "_stats.csv", "history": "_stats_history.csv", "failures": "_failures.csv",
    "exceptions": "_exceptions.csv", "report": "_report.json",
}  # fmt: skip
_REPORT_TWICE = "_report.json.json"
"""Locust adds the ending to what --json-file names, whether or not it is there."""
_LOGS = ("_requests.csv", "_requests.csv.gz")
_LONE_LOGS = ("requests.csv", "requests.csv.gz")
_EPOCH_FROM_S = 1e8


@dataclass(frozen=True)
class RunFiles:
    """The files of one Locust run; None where there is none."""

    name: str
    stats: Path | None = None
    history: Path | None = None
    failures: Path | None = None
    exceptions: Path | None = None
    report: Path | None = None
    log: Path | None = None

    def present(self) -> tuple[Path, ...]:
        """The files that there are."""
        files = (self.stats, self.history, self.failures, self.exceptions, self.report, self.log)
        return tuple(path for path in files if path is not None)


@dataclass(frozen=True)
class StepRequest:
    """A level that somebody names, or None for "all levels that the run has" (`users` 0).

    Parameters
    ----------
    step : int
        Number of the step; 0: numbered in order of time.
    users : int
        0: as in the run's history.
    think : str
    files : RunFiles
    skip_s : float
        Seconds to drop from the start; NaN: found.
    start_s, end_s : float
        Part of the run, seconds since its start or since the epoch; NaN: all of it.
    """

    step: int
    users: int
    think: str
    files: RunFiles
    skip_s: float = math.nan
    start_s: float = math.nan
    end_s: float = math.nan

    def on_axis(self, run_start_s: float) -> tuple[float, float]:
        """Start and end in seconds since the epoch; NaN where not given."""
        start, end = (
            value if math.isnan(value) or value > _EPOCH_FROM_S else run_start_s + value
            for value in (self.start_s, self.end_s)
        )
        return start, end


@dataclass(frozen=True)
class Source:
    """What is to be imported.

    Parameters
    ----------
    base : Path
        Folder that all files lie in; their copies keep their places relative to it.
    steps : tuple of StepRequest
    steps_file : Path or None
    """

    base: Path
    steps: tuple[StepRequest, ...]
    steps_file: Path | None = None

    def files(self) -> tuple[Path, ...]:
        """Every file, each once."""
        named = () if self.steps_file is None else (self.steps_file,)
        return tuple(dict.fromkeys([*named, *(path for step in self.steps for path in step.files.present())]))


def find_source(source: Path, think: str) -> Source:
    """Find the runs behind a STEPS.csv, a folder or a prefix.

    Parameters
    ----------
    source : Path
    think : str
        Think time of the levels that state none.

    Raises
    ------
    InputError
        With every problem of the steps and their files.
    """
    if source.is_dir():
        listed = next((source / name for name in STEPS_NAMES if (source / name).is_file()), None)
        return read_steps_file(listed, think) if listed else _folder(source, think)
    if source.suffix.lower() == ".csv" and source.is_file():
        return read_steps_file(source, think)
    base = source.parent
    files = run_files(base, source, _log_beside(source))
    if not files.present():
        raise InputError(
            f"There are no files of Locust at {source}: give a STEPS.csv, a folder of runs, or what was given to "
            f"Locust's --csv (files {', '.join(source.name + ending for ending in _OF_PREFIX.values())})."
        )
    return Source(base, (StepRequest(0, 0, think, files),))


def run_files(base: Path, prefix: Path | None, log: Path | None) -> RunFiles:
    """The files of the run with this prefix, and its log where one is named."""
    found: dict[str, Path] = {}
    if prefix is not None:
        for name, ending in _OF_PREFIX.items():
            path = prefix.with_name(prefix.name + ending)
            if path.exists():
                found[name] = inside(base, path)
        twice = prefix.with_name(prefix.name + _REPORT_TWICE)
        if "report" not in found and twice.exists():
            found["report"] = inside(base, twice)
    if log is not None:
        found["log"] = inside(base, log)
    named = prefix or log
    name = "" if named is None else str(_relative(named, base))
    return RunFiles(name, **found)


def _relative(path: Path, base: Path) -> Path:
    return path.relative_to(base) if path.is_relative_to(base) else path


def _log_beside(prefix: Path) -> Path | None:
    """The log by the prefix's name, or one of no name that lies beside it where it is the folder's only run."""
    is_alone = len(list(prefix.parent.glob("*_stats.csv"))) <= 1
    names = [prefix.name + ending for ending in _LOGS] + (list(_LONE_LOGS) if is_alone else [])
    return next((prefix.with_name(name) for name in names if prefix.with_name(name).is_file()), None)


def _folder(folder: Path, think: str) -> Source:
    """Every run in a folder and the folders in it; levels are found in their histories."""
    places = [place for pattern in ("*_stats.csv", "*/*_stats.csv") for place in sorted(folder.glob(pattern))]
    prefixes = [place.with_name(place.name.removesuffix("_stats.csv")) for place in places]
    if not prefixes:
        raise InputError(f"The folder {folder} holds no run of Locust (no file ending in _stats.csv) and no STEPS.csv.")
    runs = [run_files(folder, prefix, _log_beside(prefix)) for prefix in prefixes]
    return Source(folder, tuple(StepRequest(0, 0, think, files) for files in runs))


def read_steps_file(path: Path, think: str) -> Source:
    """Read a STEPS.csv.

    Parameters
    ----------
    path : Path
        Columns `STEPS_COLUMNS`; paths are relative to it and must stay in its folder.
    think : str
        Think time of the rows that state none.

    Raises
    ------
    InputError
        With every problem and its line.
    """
    base = path.parent
    header, _ = read_header(path)
    require_columns(path, header, _REQUIRED)
    problems = [f"line 1: {name} is no column of STEPS.csv" for name in header if name.lower() not in STEPS_COLUMNS]
    steps: list[StepRequest] = []
    own = Notes()
    for row in read_rows(path, own):
        steps += _checked_step(row, base, think, problems)
    problems += [finding.message for finding in own.findings({}) if finding.severity == "warning"]
    numbers = Counter(step.step for step in steps)
    problems += [f"the step {number} occurs more than once" for number, times in numbers.items() if times > 1]
    if problems or not steps:
        listed = "\n".join(f"  - {problem}" for problem in problems or ["it has no row that can be used"])
        raise InputError(f"{path} cannot be used; its columns are {', '.join(STEPS_COLUMNS)}:\n{listed}")
    return Source(base, tuple(steps), path)


def _checked_step(row: TextRow, base: Path, think: str, problems: list[str]) -> Iterator[StepRequest]:
    """The row's step, unless it has problems, which are listed."""
    found: list[str] = []
    step, users = (_whole(row, name, least, found) for name, least in (("step", 1), ("users", 0)))
    skip_s, start_s, end_s = (_seconds(row, name, found) for name in ("skip_s", "start_s", "end_s"))
    if end_s <= start_s:
        found.append(f"end_s is {end_s:g}; it must be after start_s, {start_s:g}")
    stated = row.text("think").strip() or think
    try:
        if stated:
            parse_distribution(stated)
    except InputError as error:
        found.append(f"think: {error}")
    files = RunFiles("")
    try:
        files = run_files(base, _path(row, "stats_prefix", base), _path(row, "requests", base))
        if not files.present():
            found.append("it names no files that exist; give stats_prefix (what Locust's --csv was given) or requests")
    except InputError as error:
        found.append(str(error))
    if found:
        problems += [f"line {row.line}: {text}" for text in found]
        return
    yield replace(StepRequest(step, users, stated, files), skip_s=skip_s, start_s=start_s, end_s=end_s)


def _path(row: TextRow, column: str, base: Path) -> Path | None:
    text = row.text(column).strip()
    return base / text if text else None


def _whole(row: TextRow, name: str, least: int, problems: list[str]) -> int:
    if name == "users" and not row.text(name).strip():
        return 0
    try:
        value = whole_number(row, name)
    except (ValueError, OverflowError):
        value = -1
    if value < least:
        problems.append(f"{name} is {printable(row.text(name))!r}; it must be a whole number of at least {least}")
    return value


def _seconds(row: TextRow, name: str, problems: list[str]) -> float:
    try:
        value = row.number(name)
    except ValueError:
        value = -1.0
    if value < 0:
        problems.append(f"{name} is {printable(row.text(name))!r}; it must be a number of seconds from 0, or empty")
    return value
