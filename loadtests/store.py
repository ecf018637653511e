"""The recording folder: written so that a complete one can be told from an interrupted one.

``locust/`` (Locust's own files, untouched), ``requests.parquet``,
``gauges.parquet``, ``steps.json``, and ``manifest.json``, written last. While a
test runs, the files ``locust/journal.*`` hold what is known of it (`loadtests.journals.journal`);
all but the marks go when they are safely in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from loadtests.deployment import Deployment
from loadtests.foundation.checks import stated_number, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json, replacing, sha256, write_json
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.journals.journal import count_rows, journal_files, marks_path
from loadtests.recording import STEP_METRICS, LoadStep, Recording
from loadtests.tables import (
    ANY_OUTCOME,
    GENERATOR_COLUMNS,
    LATENCY_BIN_COLUMNS,
    OUTCOMES,
    REQUEST_COLUMNS,
    SCHEDULE_COLUMNS,
    empty_table,
)

MANIFEST, STEPS, REQUESTS, GAUGES = "manifest.json", "steps.json", "requests.parquet", "gauges.parquet"
LATENCY_BINS, GENERATOR = "latency_bins.parquet", "generator.parquet"
LOCUST = "locust"
JOURNAL, REPORT = f"{LOCUST}/journal.csv", "report"
_PACKAGES = ("locust", "numpy", "pandas", "pyarrow", "granian", "starlette")

_REQUIRED_KEYS: dict[str, type] = {"versions": dict, "deployment": dict, "requests": int}
_OTHER_KEYS: dict[str, type] = {
    "created_at": str, "host": str, "command": list, "plan": dict, "seed": int, "clock": dict, "generator": dict,
    "totals": dict, "ramps": list, "left_out": list, "findings": list, "source": dict,
}  # fmt: skip
_LATER_GAUGES = ("server_cpu_s", "process_resident_bytes", "server_resident_bytes")
_KINDS = {dict: "an object", int: "a whole number", str: "text", list: "a list"}

T = TypeVar("T")


def check_new_folder(out: str | Path) -> Path:
    """Return `out` as a path; it must not exist yet, or be an empty folder."""
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"The output folder {folder} exists and is not empty; name a new folder, or empty this one.")
    return folder


def write_recording(folder: Path, recording: Recording) -> Recording:
    """Write everything but Locust's own files, the manifest last, then drop the journals.

    Returns
    -------
    Recording
        The same with `path` and the whole manifest.
    """
    scheduled = {name: kind for name, kind in SCHEDULE_COLUMNS.items() if name in recording.requests.columns}
    columns = REQUEST_COLUMNS | scheduled
    _write_table(folder / REQUESTS, recording.requests.astype(columns)[list(columns)])
    return complete_recording(folder, recording, len(recording.requests))


def complete_recording(
    folder: Path, recording: Recording, requests: int, hashes: Mapping[Path, str] | None = None
) -> Recording:
    """Write everything beside a ``requests.parquet`` that is already there with `requests` rows, the manifest last.

    Parameters
    ----------
    folder : Path
    recording : Recording
    requests : int
    hashes : mapping of Path to str, optional
        The sha256 of files in the folder that is known already; the others are read.

    Returns
    -------
    Recording
        The same with `path` and the whole manifest.
    """
    _write_table(folder / GAUGES, recording.gauges)
    for name, table, columns in (
        (LATENCY_BINS, recording.latency_bins, LATENCY_BIN_COLUMNS),
        (GENERATOR, recording.generator, GENERATOR_COLUMNS),
    ):
        if not table.empty:
            _write_table(folder / name, table.astype(columns)[list(columns)])
    steps = [step.to_dict() for step in recording.steps]
    write_json(folder / STEPS, {"schema_version": SCHEMA_VERSION, "steps": steps})
    journals = journal_files(folder / JOURNAL)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "versions": versions_of(*_PACKAGES),
        "deployment": recording.deployment.to_dict(),
        **recording.manifest,
        "requests": requests,
        "files": _hashes(folder, {*journals, folder / MANIFEST}, hashes or {}),
    }
    write_json(folder / MANIFEST, manifest)
    for journal in journals:
        journal.unlink(missing_ok=True)
    return replace(recording, path=folder, manifest=read_json(folder / MANIFEST))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as partial:
        table.to_parquet(partial, engine="pyarrow", compression="zstd", index=False)


def _hashes(folder: Path, leave_out: set[Path], known: Mapping[Path, str]) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in leave_out)
    return {
        path.relative_to(folder).as_posix(): {"sha256": known.get(path) or sha256(path), "bytes": path.stat().st_size}
        for path in files
    }


def read_recording(path: str | Path) -> Recording:
    """Read a recording folder and check that it is whole.

    Parameters
    ----------
    path : str or Path
        The folder that `record` wrote.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        When the folder is missing or incomplete, or when files are missing,
        changed or not readable; with every problem found.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"The recording {folder} does not exist; give the folder that a test was recorded into.")
    if not (folder / MANIFEST).is_file():
        raise InputError(_incomplete(folder))
    manifest = read_json(folder / MANIFEST, "recording manifest")
    problems = _malformed_keys(manifest) + _changed_files(folder, manifest)
    requests = _tried(problems, lambda: read_requests(folder / REQUESTS))
    gauges = _tried(problems, lambda: _read_gauges(folder / GAUGES))
    bins = _tried(problems, lambda: _read_latency_bins(folder / LATENCY_BINS))
    generator = _tried(problems, lambda: _read_optional(folder / GENERATOR, GENERATOR_COLUMNS))
    steps = _tried(problems, lambda: _read_steps(folder / STEPS))
    deployment = _tried(problems, lambda: Deployment.from_dict(manifest.get("deployment", {})))
    if requests is not None and isinstance(manifest.get("requests"), int) and len(requests) != manifest["requests"]:
        problems.append(f"{REQUESTS} has {len(requests)} rows where {MANIFEST} says {manifest['requests']}")
    if (
        problems or requests is None or gauges is None or bins is None or generator is None
        or steps is None or deployment is None
    ):  # fmt: skip
        listed = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        raise InputError(f"The recording {folder} cannot be used; restore it from a copy or record again:\n{listed}")
    return Recording(deployment, steps, requests, gauges, manifest, folder, bins, generator)


def _incomplete(folder: Path) -> str:
    journal = folder / JOURNAL
    if not journal.is_file() and not marks_path(journal).is_file():
        return (
            f"The folder {folder} is no recording: it has no {MANIFEST}; give the folder that a test was recorded into."
        )
    return (
        f"The recording {folder} is incomplete: it has no {MANIFEST}, so its test did not run to the end or had no "
        "steady step. "
        f"Its journal {JOURNAL} holds {count_rows(journal)} requests; `capacity recover {folder}` makes a recording of "
        "the steps that were complete, or record again into another folder."
    )


def _tried(problems: list[str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return None


def _changed_files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    version, files = manifest.get("schema_version"), manifest.get("files")
    if version != SCHEMA_VERSION or not isinstance(files, dict):
        return [f"{MANIFEST} has schema_version {version!r}; this version reads {SCHEMA_VERSION}, with a list of files"]
    problems = []
    for name, noted in files.items():
        path = folder / name
        if not _is_entry(noted):
            problems.append(
                f"{MANIFEST} notes {noted!r} of {name}; it must note its sha256 (text) and bytes (a number)"
            )
        elif not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != noted["bytes"]:
            problems.append(f"{name} has {path.stat().st_size} bytes where {noted['bytes']} were written")
        elif sha256(path) != noted["sha256"]:
            problems.append(f"{name} was changed after it was written (its hash differs)")
    missing = {REQUESTS, GAUGES, STEPS} - set(files)
    return problems + [f"{name} is not in the manifest" for name in sorted(missing)]


def _is_entry(noted: Any) -> bool:
    return isinstance(noted, dict) and isinstance(noted.get("sha256"), str) and isinstance(noted.get("bytes"), int)


def _malformed_keys(manifest: dict[str, Any]) -> list[str]:
    """Keys of the manifest that are missing or hold something of another kind."""
    missing = [f"{MANIFEST} has no {name}" for name in _REQUIRED_KEYS if name not in manifest]
    wrong = [
        f"{MANIFEST} has a {name} of {manifest[name]!r}; it must be {_KINDS[kind]}"
        for name, kind in (_REQUIRED_KEYS | _OTHER_KEYS).items()
        if name in manifest and (not isinstance(manifest[name], kind) or isinstance(manifest[name], bool))
    ]
    return missing + wrong


def _read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    try:
        with pq.ParquetFile(path) as file:
            table: pd.DataFrame = file.read(use_threads=False).to_pandas(self_destruct=True, split_blocks=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is not readable as Parquet ({str(error).splitlines()[0]})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path.name} has no column {', '.join(missing)}; it needs {', '.join(columns)}")
    try:
        return table.astype(columns)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path.name} holds values of a wrong type ({error})") from None


def _read_gauges(path: Path) -> pd.DataFrame:
    """Gauges; those that are not in every recording are unknown where they are absent, others of a Prometheus stay."""
    always = {name: kind for name, kind in GAUGE_COLUMNS.items() if name not in _LATER_GAUGES}
    table = _read_table(path, always)
    absent = {name: np.nan for name in _LATER_GAUGES if name not in table.columns}
    more = [name for name in table.columns if name not in GAUGE_COLUMNS]
    return table.assign(**absent).astype(GAUGE_COLUMNS)[[*GAUGE_COLUMNS, *more]]


def _read_optional(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """A table that is only written where it has rows."""
    return _read_table(path, columns) if path.is_file() else empty_table(columns)


def _read_latency_bins(path: Path) -> pd.DataFrame:
    table = _read_optional(path, LATENCY_BIN_COLUMNS)
    low, high, count = (table[name].to_numpy(dtype=float) for name in ("low_s", "high_s", "count"))
    if not (np.all(low >= 0) and np.all(high >= low) and np.all(count >= 0) and np.all(np.isfinite(count))):
        raise InputError(f"{path.name} has bins that end before they begin, or counts that are no numbers from 0")
    unknown = sorted(set(table["outcome"].unique()) - {*OUTCOMES, ANY_OUTCOME})
    if unknown:
        raise InputError(f"{path.name} has the outcomes {', '.join(unknown)}; known are {', '.join(OUTCOMES)}, any")
    return table


def read_requests(path: Path) -> pd.DataFrame:
    """Read and check a ``requests.parquet``."""
    table = _read_table(path, REQUEST_COLUMNS)
    times = table[["start_s", "finish_s"]].to_numpy(dtype=float)
    if not np.all(np.isfinite(times)) or np.any(times[:, 1] < times[:, 0]):
        raise InputError(f"{path.name} has requests that finish before they start, or without times")
    unknown = sorted(set(table["outcome"].unique()) - set(OUTCOMES))
    if unknown:
        raise InputError(f"{path.name} has the outcomes {', '.join(unknown)}; known are {', '.join(OUTCOMES)}")
    return table


def _read_steps(path: Path) -> tuple[LoadStep, ...]:
    listed = read_json(path, "steps file").get("steps")
    if not isinstance(listed, list):
        raise InputError(f"{path.name} is not a list of steps: it needs the key steps with a list")
    problems: list[str] = []
    steps = [_tried(problems, partial(_step, f"{path.name}, entry {place}", data)) for place, data in enumerate(listed)]
    numbers = [step.step for step in steps if step is not None]
    if len(set(numbers)) != len(numbers):
        problems.append(f"{path.name} numbers its steps {numbers}; each number may occur once")
    if problems:
        raise InputError("\n  - ".join(problems))
    return tuple(step for step in steps if step is not None)


def _step(where: str, data: Any) -> LoadStep:
    """One step, its numbers checked."""
    try:
        for name, least in (("step", 1), ("users", 1), ("requests", 0)):
            whole(name, stated_number(name, data[name]), least=least)
        whole("blocks", stated_number("blocks", data.get("blocks", 0)), least=0)
        start_s, end_s = (stated_number(name, data[name]) for name in ("start_s", "end_s"))
        if not start_s < end_s:
            raise InputError(f"start_s is {start_s} and end_s {end_s}; a steady window must end after it starts.")
        step = LoadStep.from_dict(data)
        counts = [whole(f"outcome {name}", stated_number(name, count)) for name, count in step.outcomes.items()]
    except KeyError as error:
        raise InputError(f"{where}: the key {error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from None
    absent = [name for name in STEP_METRICS if name not in step.metrics]
    unknown = [name for name in step.outcomes if name not in OUTCOMES]
    if absent or unknown or sum(counts) != step.requests:
        raise InputError(
            f"{where}: it needs the metrics {', '.join(STEP_METRICS)} (missing: {', '.join(absent) or 'none'}) and "
            f"known outcomes (unknown: {', '.join(unknown) or 'none'}) that add up to its {step.requests} requests"
        )
    return step
