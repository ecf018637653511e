"""Loads a third-party server with stock Locust, a fresh server and a fresh run a level."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from studies.server_recordings.machine import Busyness, share_of_machine
from studies.server_recordings.processes import free_ports, running, wait_until_up
from studies.server_recordings.summary import write_summary
from studies.server_recordings.third_party import Level, ThirdPartyServer

_SERVING = Path(__file__).parent / "serving"
_SPAWNED_WITHIN_S = 2.5
_LOCUST_CORE, _SERVER_CORE = 0, 1


@dataclass(frozen=True)
class Tools:
    """Where programs are: the environment with the servers' Python packages."""

    servers: Path

    def command(self, words: tuple[str, ...], **values: object) -> list[str]:
        program, *rest = (word.format(**values) for word in words)
        own = self.servers / "bin" / program
        return [str(own) if own.exists() else program, *rest]


@dataclass(frozen=True)
class Run:
    """One run of Locust."""

    users: int
    port: int
    seconds: int
    seed: int


def record_third_party(server: ThirdPartyServer, folder: Path, tools: Tools, *, seconds: int | None = None,
                       repeats: bool = True) -> None:  # fmt: skip
    """Record what is missing of a server's levels into `folder`, then its summary."""
    folder.mkdir(parents=True, exist_ok=True)
    rounds = _rounds_per_s(tools) if server.is_cpu_bound else 0.0
    for level in server.levels:
        is_wanted = repeats or level.split != "repeat"
        if is_wanted and not (folder / level.name / "meta.json").exists():
            with share_of_machine(alone=server.is_cpu_bound):
                _record_level(server, level, folder / level.name, tools, rounds, seconds or server.seconds)
            print(time.strftime("%H:%M:%S"), server.name, level.name, flush=True)  # noqa: T201 - its progress
    done = [level for level in server.levels if (folder / level.name / "meta.json").exists()]
    _write_inputs(server, done, folder, tools)
    write_summary(folder, server, done)


def _record_level(server: ThirdPartyServer, level: Level, folder: Path, tools: Tools, rounds: float,
                  seconds: int) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        scratch = Path(name)
        port, processes = stack.enter_context(_serving(server, level, scratch, tools, rounds))
        busyness = Busyness(processes)
        start = time.time()
        seed = 1000 * level.repeat + level.users
        _run_locust(server, folder, Run(level.users, port, seconds, seed))
        meta = {
            "case": server.name, "users": level.users, "think": f"exp:{server.think_s}", "seconds": seconds,
            "shape": None, "seed": seed, "t_start": start, "t_end": time.time(), **busyness.since(),
            "rounds_per_s": rounds or None,
        }  # fmt: skip
        time.sleep(1.2)  # the statistics are written once a second
        meta["server_stats"] = json.loads((scratch / "statistics.json").read_text(encoding="utf-8"))
    meta["locust_cpu_warning"] = "CPU usage" in (folder / "locust.log").read_text(encoding="utf-8")
    (folder / "locust.log").unlink()
    (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


@contextmanager
def _serving(server: ThirdPartyServer, level: Level, scratch: Path, tools: Tools,
             rounds: float) -> Iterator[tuple[int, list[psutil.Process]]]:  # fmt: skip
    port, backend_port = free_ports(2)
    values: dict[str, object] = {"port": port, "backend_port": backend_port, "folder": scratch}
    environment = {
        "SERVED_WORK": json.dumps(server.endpoints), "WORK_SEED": str(level.users + level.repeat),
        "WORK_STATISTICS": str(scratch / "statistics.json"), "ROUNDS_PER_S": str(rounds),
        "PYTHONPATH": str(_SERVING), "PYTHONDONTWRITEBYTECODE": "1", **server.environment,
    }  # fmt: skip
    core = _SERVER_CORE if server.is_cpu_bound else None
    with ExitStack() as stack:
        commands = [(server.command, port)]
        if server.haproxy is not None:
            settings = {**values, **{name: server.truth[name] for name in ("queue_timeout_ms", "workers")}}
            (scratch / "haproxy.cfg").write_text(server.haproxy.format(**settings), encoding="ascii")
        if server.backend is not None:
            commands.insert(0, (server.backend, backend_port))
        processes = []
        for number, (command, at) in enumerate(commands):
            log = scratch / f"server{number}.log"
            started = running(tools.command(command, **values), log, environment=environment, cwd=scratch, core=core)
            process = stack.enter_context(started)
            wait_until_up(process, at)
            processes.append(psutil.Process(process.pid))
        yield port, processes


def _run_locust(server: ThirdPartyServer, folder: Path, run: Run) -> None:
    environment = {
        **os.environ, "THINK_S": str(server.think_s), "MIX": json.dumps(server.mix), "USER_SEED": str(run.seed),
        "REQUEST_LOG": str(folder / "requests.csv.gz"),
    }  # fmt: skip
    command = [
        str(Path(sys.executable).parent / "locust"), "-f", str(_SERVING / "stock_users.py"), "--headless",
        "-H", f"http://127.0.0.1:{run.port}", "-u", str(run.users), "-r", f"{run.users / _SPAWNED_WITHIN_S:g}",
        "-t", f"{run.seconds}s", "--csv", str(folder / "locust"), "--csv-full-history", "--reset-stats",
        "--json-file", str(folder / "locust_report"), "--logfile", str(folder / "locust.log"), "--only-summary",
    ]  # fmt: skip
    if server.is_cpu_bound:
        command = ["taskset", "-c", str(_LOCUST_CORE), *command]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode not in (0, 1):  # 1: some requests failed
        raise SystemExit(f"Locust ended with {done.returncode}; {folder / 'locust.log'} says why.")
    exceptions = folder / "locust_exceptions.csv"
    if len(exceptions.read_text(encoding="utf-8").splitlines()) <= 1:
        exceptions.unlink()


def _rounds_per_s(tools: Tools) -> float:
    """How fast the servers' core hashes."""
    code = "import work; print(work.rounds_per_s())"
    command = ["taskset", "-c", str(_SERVER_CORE), *tools.command(("python", "-c", code))]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(_SERVING)}, check=True, capture_output=True)
    return float(done.stdout)


def _write_inputs(server: ThirdPartyServer, done: list[Level], folder: Path, tools: Tools) -> None:
    """`deployment.json`, `truth.json`, `steps.csv`, with repeats also `steps_with_repeats.csv`."""
    (folder / "deployment.json").write_text(json.dumps(server.deployment, indent=1) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(_truth(server, tools), indent=1) + "\n", encoding="utf-8")
    _write_steps(server, [level for level in done if level.split != "repeat"], folder / "steps.csv")
    if any(level.split == "repeat" for level in done):
        _write_steps(server, done, folder / "steps_with_repeats.csv")


def _write_steps(server: ThirdPartyServer, levels: list[Level], path: Path) -> None:
    rows = ["step,users,think,stats_prefix,requests,skip_s"]
    for number, level in enumerate(levels, 1):
        files = f"{level.name}/locust,{level.name}/requests.csv.gz"
        rows.append(f"{number},{level.users},exponential:{server.think_s},{files},")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _truth(server: ThirdPartyServer, tools: Tools) -> dict[str, Any]:
    def of(split: str) -> list[int]:
        return [level.users for level in server.levels if level.split == split]

    return {
        "kind": server.kind, "server": server.server, **server.truth,
        "service": {path: _text(times) for path, times in server.endpoints.items()}, "mix": server.mix,
        "think": f"exp:{server.think_s}", "levels": sorted({level.users for level in server.levels}),
        "train_levels": of("train"), "test_interpolation": of("interpolation"),
        "test_extrapolation": of("extrapolation"), "hard_split_train_levels": of("train")[:3],
        "versions": _versions(server, tools),
        "notes": "service spec = kind:mean_ms:cv, lognormal, the parts one after the other (cpu: processor time); "
        "think spec = kind:seconds; user thinks after every response incl. 503; realised times: each level's meta.json",
    }  # fmt: skip


def _text(times: dict[str, list[float]]) -> dict[str, str]:
    return {name: f"lognorm:{1e3 * mean_s:g}:{cv:g}" for name, (mean_s, cv) in times.items()}


def _versions(server: ThirdPartyServer, tools: Tools) -> dict[str, str]:
    code = "import sys, importlib.metadata as m; print(*(m.version(name) for name in sys.argv[1:]))"
    done = subprocess.run(
        tools.command(("python", "-c", code, *server.packages)), check=True, capture_output=True, text=True
    )
    found = dict(zip(server.packages, done.stdout.split(), strict=True))
    if server.haproxy is not None:
        line = subprocess.run(["haproxy", "-v"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
        found["haproxy"] = line.split()[2]
    return found
