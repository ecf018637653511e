"""`import_locust`: what stock Locust wrote becomes a recording.

For each level the best source there is counts: request log, JSON report, full history, cumulative
history, final statistics.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import PLANNED_SETTLING, LeftOut, Window, summarise, without_warm_up
from loadtests.foundation.distributions import Distribution, parse_distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import replacing
from loadtests.foundation.findings import Finding
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.importing.file_hashes import FileHashes
from loadtests.importing.grouped_steps import GroupedStep, grouped_step, load_step
from loadtests.importing.import_findings import findings_of_runs, findings_of_steps, folded
from loadtests.importing.levels import Level, levels_of
from loadtests.importing.notes import Notes, printable
from loadtests.importing.request_log import LogOptions, write_log
from loadtests.importing.request_table import RequestTable, read_window, release_memory
from loadtests.importing.runs import Run, read_run
from loadtests.importing.steps_file import RunFiles, Source, find_source
from loadtests.recording import LoadStep, Recording
from loadtests.store import REQUESTS, check_new_folder, complete_recording, read_requests
from loadtests.tables import LATENCY_BIN_COLUMNS, REQUEST_COLUMNS, empty_table

SOURCE_FOLDER = "source"
_SEED = 1
_STATED_SETTLING = "stated as skip_s"
_MOST_JUDGED = 2_000_000
_APART_S = 60.0


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was found of the levels."""

    levels: tuple[Level, ...]
    grouped: tuple[GroupedStep | None, ...]
    steps: tuple[LoadStep, ...]
    bins: pd.DataFrame
    left_out: tuple[LeftOut, ...]


def import_locust(
    source: str | Path,
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    think: str | Distribution | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Recording:
    """Make a recording of the files that stock Locust wrote.

    Parameters
    ----------
    source : str or Path
        A STEPS.csv, what was given to Locust's ``--csv`` (levels are then found from User Count),
        or a folder with either.
    out : str or Path
        New folder; copies of the source files go into its folder ``source``.
    deployment : Deployment, optional
        Known limits of the server under test.
    think : str or Distribution, optional
        Think time of the levels for which STEPS.csv states none.
    on_progress : callable, optional
        Is told the number of rows read of a request log.

    Returns
    -------
    Recording
        With all its requests in memory; `write_locust_import` does without them. What could not
        be known is in ``manifest["findings"]``.

    Raises
    ------
    InputError
        When nothing can be used, with every problem found.
    """
    made = write_locust_import(source, out, deployment=deployment, think=think, on_progress=on_progress)
    return replace(made, requests=read_requests(Path(out) / REQUESTS))


def write_locust_import(
    source: str | Path,
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    think: str | Distribution | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Recording:
    """As `import_locust`, but the requests stay in the folder: memory does not grow with their number.

    Parameters
    ----------
    source, out, deployment, think, on_progress
        As for `import_locust`.

    Returns
    -------
    Recording
        Its requests table is empty; ``manifest["requests"]`` says how many there are.
    """
    folder = check_new_folder(out)
    notes = Notes()
    found = find_source(Path(source), _think_text(think))
    _refuse_target_inside(found, folder)
    with _removed_on_error(folder), FileHashes() as hashes:
        return _write(found, folder, deployment or Deployment(), notes, on_progress or (lambda _rows: None), hashes)


def _write(
    source: Source,
    folder: Path,
    deployment: Deployment,
    notes: Notes,
    on_progress: Callable[[int], None],
    hashes: FileHashes,
) -> Recording:
    runs = _read_runs(source, notes)
    for path in source.files():
        hashes.copy(path, folder / SOURCE_FOLDER / path.relative_to(source.base))
    origin_s = math.floor(min(run.start_s for run in runs.values()))
    runs = _write_logs(runs, folder, origin_s, notes, on_progress)
    release_memory()
    hashes.add(folder / REQUESTS)
    levels, left_out = levels_of([(step, runs[step.files]) for step in source.steps])
    _refuse_overlaps(levels)
    measured = _measure(levels, left_out, folder, origin_s)
    if not measured.steps:
        raise InputError(f"No step of {source.base} can be measured: {_reasons(measured.left_out)}.")
    names = {str(path): path.relative_to(source.base).as_posix() for path in source.files()}
    logged = list(zip(measured.levels, measured.grouped, strict=True))
    findings = [*findings_of_steps(logged), *folded([*findings_of_runs(list(runs.values())), *notes.findings(names)])]
    recording = Recording(
        deployment, measured.steps, empty_table(REQUEST_COLUMNS), empty_table(GAUGE_COLUMNS),
        latency_bins=measured.bins,
        manifest=_manifest(source, measured, findings, origin_s),
    )  # fmt: skip
    rows = sum(run.log.requests for run in runs.values() if run.log)
    return complete_recording(folder, _judged(recording, folder, rows), rows, hashes.wait())


def _judged(recording: Recording, folder: Path, rows: int) -> Recording:
    """With its trust report, unless that would take more memory than the import itself."""
    if rows > _MOST_JUDGED:
        finding = Finding(
            "not-checked", "info", f"The trust checks were left out, as they hold all {rows:,} requests in memory.",
            "Run them with: capacity check DIR.", {"requests": rows},
        )  # fmt: skip
        found = [*recording.manifest["findings"], finding.to_dict()]
        return replace(recording, manifest={**recording.manifest, "findings": found})
    from loadtests.trust.judge import with_trust  # the checks bring 50 MiB of scipy

    judged = with_trust(replace(recording, requests=read_requests(folder / REQUESTS)))
    return replace(recording, manifest=judged.manifest)


def _read_runs(source: Source, notes: Notes) -> dict[RunFiles, Run]:
    """Every run's files but the rows of logs; a run that no file gives times stands behind the others."""
    problems: list[str] = []
    runs = {files: read_run(files, notes, problems) for files in dict.fromkeys(step.files for step in source.steps)}
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"The files of {source.base} cannot be used:\n{listed}")
    end_s = max((run.end_s for run in runs.values() if not math.isnan(run.end_s)), default=0.0)
    for files, run in runs.items():
        if math.isnan(run.start_s):
            stats = run.stats
            length_s = stats.requests / stats.rate_rps if stats is not None and stats.rate_rps > 0 else _APART_S
            runs[files] = replace(run, start_s=end_s + _APART_S, end_s=end_s + _APART_S + length_s)
            end_s += _APART_S + length_s
    return runs


def _write_logs(
    runs: dict[RunFiles, Run], folder: Path, origin_s: float, notes: Notes, on_progress: Callable[[int], None]
) -> dict[RunFiles, Run]:
    """Write the rows of all logs into ``requests.parquet``, each log once."""
    found, done, before = dict(runs), {}, 0
    with replacing(folder / REQUESTS) as unfinished:
        table = RequestTable(unfinished)
        try:
            for files, run in runs.items():
                if files.log is None:
                    continue
                real = files.log.resolve()
                if real not in done:
                    options = LogOptions(
                        origin_s,
                        printable(files.name),
                        run.users_at,
                        partial(_told, on_progress, before),
                    )
                    done[real] = write_log(files.log, table, options, notes)
                    before += done[real].requests
                found[files] = run.with_log(done[real])
        finally:
            table.close()
    return found


def _told(on_progress: Callable[[int], None], before: int, rows: int) -> None:
    on_progress(before + rows)


def _measure(levels: Sequence[Level], left_out: tuple[LeftOut, ...], folder: Path, origin_s: float) -> _Measured:
    kept: list[Level] = []
    grouped: list[GroupedStep | None] = []
    steps: list[LoadStep] = []
    bins: list[pd.DataFrame] = [empty_table(LATENCY_BIN_COLUMNS)]
    missing = list(left_out)
    for level in levels:
        group = None if level.run.log is not None and level.run.log.requests else grouped_step(level)
        if group is not None:
            step, rows = load_step(level, group, origin_s)
            bins.append(rows)
        elif level.run.log is not None:
            step = _logged_step(level, folder, origin_s)
        if (group is None and level.run.log is None) or not step.requests:
            missing.append(LeftOut(level.step, level.users, "no source of it has requests in its steady window"))
            continue
        kept.append(level)
        grouped.append(group)
        steps.append(step)
    tables = [table for table in bins if len(table)]
    table = pd.concat(tables, ignore_index=True) if tables else bins[0]
    return _Measured(tuple(kept), tuple(grouped), tuple(steps), table, tuple(missing))


def _logged_step(level: Level, folder: Path, origin_s: float) -> LoadStep:
    """A step of single requests, of which only those since its users ran are read."""
    start_s, end_s = level.steady_s - origin_s, level.end_s - origin_s
    reached_s = level.reached_s - origin_s if level.reached_s <= level.steady_s else math.nan
    reason = _STATED_SETTLING if level.is_cut_stated else PLANNED_SETTLING
    window = Window(level.step, level.users, start_s, end_s, reached_s=reached_s, reason=reason)
    table = read_window(folder / REQUESTS, float(np.fmin(reached_s, start_s)), end_s)
    if not level.is_cut_stated:
        (window,) = without_warm_up(table, (window,))
    return summarise(table, window, think=level.think)


def _manifest(source: Source, measured: _Measured, findings: Sequence[Finding], origin_s: float) -> dict[str, object]:
    kinds = {
        str(level.step): "log" if group is None else group.kind
        for level, group in zip(measured.levels, measured.grouped, strict=True)
    }
    return {
        "source": {
            "kind": "locust-files", "steps": kinds,
            "files": [f"{SOURCE_FOLDER}/{path.relative_to(source.base).as_posix()}" for path in source.files()],
        },
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": _SEED,
        "clock": {"origin_epoch_s": origin_s},
        "findings": [finding.to_dict() for finding in findings],
        "left_out": [{"step": item.step, "users": item.users, "reason": item.reason} for item in measured.left_out],
    }  # fmt: skip


def _refuse_overlaps(levels: Sequence[Level]) -> None:
    """Windows of different steps must not share requests: they are told apart by time."""
    ordered = sorted(levels, key=lambda level: level.steady_s)
    problems = [
        f"  - steps {one.step} and {other.step}: {one.steady_s:.1f} to {one.end_s:.1f} and from {other.steady_s:.1f}"
        for one, other in pairwise(ordered)
        if other.steady_s < one.end_s
    ]
    if problems:
        listed = "\n".join(problems)
        raise InputError(
            "Steps overlap in time (seconds since the epoch), so their requests cannot be told apart; give start_s and "
            f"end_s that do not, or import runs made at the same time one by one:\n{listed}"
        )


def _refuse_target_inside(source: Source, folder: Path) -> None:
    names = [path for path in source.files() if path.resolve().is_relative_to(folder.resolve())]
    if names:
        raise InputError(f"The output folder {folder} holds the source file {names[0]}; name another folder.")


@contextmanager
def _removed_on_error(folder: Path) -> Iterator[None]:
    """A new folder that goes again when it cannot be completed."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        for item in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        if folder.is_dir() and not existed:
            folder.rmdir()
        raise


def _reasons(left_out: Sequence[LeftOut]) -> str:
    return (
        "; ".join(f"step {item.step or '?'} ({item.users} users): {item.reason}" for item in left_out)
        or "there is none"
    )


def _think_text(think: str | Distribution | None) -> str:
    if think is None:
        return ""
    if isinstance(think, str):
        parse_distribution(think)
        return think
    return think.text()
