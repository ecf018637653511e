"""One requests table out of the journals of all load generator processes, on one clock."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadtests.foundation.findings import Finding
from loadtests.journals.journal import JOURNAL_COLUMNS, PULSE_COLUMNS, pulses_path, worker_files
from loadtests.tables import GENERATOR_COLUMNS, empty_table

_KEY = ["worker_id", "user_id", "cycle"]
_MASTER = "master"
_MOST_CLOCK_ERROR_S = 0.1
_EARLY_S = 5.0
_FLUSH_EVERY_S = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MergedJournal:
    """What all processes of a test journalled.

    Parameters
    ----------
    requests : pandas.DataFrame
        A requests table (`JOURNAL_COLUMNS`) in the order of finishing, on the monotonic clock of the process that wrote
        the journal; `users` are those of the whole test.
    generator : pandas.DataFrame
        A generator table, same clock.
    findings : tuple of Finding
        Lost and duplicated workers, clocks that differ.
    complete_until_s : float
        Up to here the journal has every request of every process that ran on.
    flush_gap_s : float
        Longest time between two flushes of a process: what a killed one may have lost.
    """

    requests: pd.DataFrame
    generator: pd.DataFrame
    findings: tuple[Finding, ...]
    complete_until_s: float
    flush_gap_s: float


def read_lines(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """The whole lines of a journal's file as a table; a line still being written is left out."""
    if not path.is_file():
        return empty_table(columns)
    content = path.read_bytes()
    whole = io.BytesIO(content[: content.rfind(b"\n") + 1])
    unknown = {name: ["nan", ""] for name, kind in columns.items() if kind == "float64"}
    return pd.read_csv(whole, dtype=columns, keep_default_na=False, na_values=unknown)


def merge_journal(journal: Path) -> MergedJournal:
    """Put the journals of one test together.

    Workers on the journal's machine share its monotonic clock. Of another machine's clock the
    distance is estimated by the quickest of all messages from there: the estimate is late by that
    one's time on the way, and needs no clock to be set right.

    Parameters
    ----------
    journal : Path
        The journal of the process that ran users itself, or of the master.

    Returns
    -------
    MergedJournal
    """
    pulses = read_lines(pulses_path(journal), PULSE_COLUMNS)
    shifts = _clock_shifts(pulses)
    tables = {client: read_lines(path, JOURNAL_COLUMNS) for client, path in worker_files(journal).items()}
    tables = {"": read_lines(journal, JOURNAL_COLUMNS), **tables}
    moved = {client: _shifted(rows, shifts.get(client, 0.0)) for client, rows in tables.items() if not rows.empty}
    tables, doubled = _without_duplicates(moved)
    pulses = pulses.assign(time_s=pulses["time_s"] + pulses["client_id"].map(shifts).astype(float))
    rows = pd.concat(_with_all_users(tables, pulses), ignore_index=True) if tables else empty_table(JOURNAL_COLUMNS)
    return MergedJournal(
        requests=rows.sort_values("finish_s", kind="stable", ignore_index=True).astype(JOURNAL_COLUMNS),
        generator=pulses[list(GENERATOR_COLUMNS)].reset_index(drop=True),
        findings=(*doubled, *_lost_workers(tables, pulses), *_odd_clocks(pulses, shifts)),
        complete_until_s=_complete_until(pulses),
        flush_gap_s=_longest_gap(pulses),
    )


def _clock_shifts(pulses: pd.DataFrame) -> dict[str, float]:
    """What to add to each process's monotonic times, seconds."""
    own = pulses.loc[pulses["client_id"] == "", "machine"]
    here = own.iloc[0] if len(own) else None
    shifts = {"": 0.0}
    for client, rows in pulses.groupby("client_id"):
        is_here = here is None or (rows["machine"] == here).all()
        shifts[str(client)] = 0.0 if is_here else float((rows["received_s"] - rows["time_s"]).min())
    return shifts


def _shifted(table: pd.DataFrame, shift_s: float) -> pd.DataFrame:
    return table.assign(**{name: table[name] + shift_s for name in ("start_s", "finish_s", "due_s")})


def _without_duplicates(tables: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[Finding]]:
    """Each request once, and no two processes of one name."""
    seen: set[str] = set()
    kept: dict[str, pd.DataFrame] = {}
    findings = []
    for client, table in tables.items():
        once = table[~table.duplicated(_KEY)]
        if len(once) < len(table):
            name = str(once["worker_id"].iloc[0])
            findings.append(_duplicated(name, len(table) - len(once), "its journal repeats them"))
        names = set(once["worker_id"])
        if names & seen:
            name = f"{once['worker_id'].iloc[0]}@{client}"
            findings.append(_duplicated(name, 0, "another process had the same number; this one is named after its id"))
            once = once.assign(worker_id=name)
        seen |= names
        kept[client] = once
    return kept, findings


def _duplicated(worker: str, rows: int, why: str) -> Finding:
    return Finding(
        "worker-duplicated", "warning", f"{rows} requests of worker {worker} were left out or renamed: {why}.",
        "See that every worker starts once and that nobody copies into the journal.",
        {"worker_id": worker, "requests": rows},
    )  # fmt: skip


def _with_all_users(tables: dict[str, pd.DataFrame], pulses: pd.DataFrame) -> list[pd.DataFrame]:
    """Each process only counts its own users: add the latest count of every other one."""
    if len(tables) < 2:
        return list(tables.values())
    known = {client: _user_counts(table, pulses[pulses["client_id"] == client]) for client, table in tables.items()}
    merged = []
    for client, table in tables.items():
        at = table["finish_s"].to_numpy(dtype=float)
        others = [_count_at(at, *counts) for other, counts in known.items() if other != client]
        merged.append(table.assign(users=table["users"] + np.sum(others, axis=0, dtype=np.int64)))
    return merged


def _user_counts(table: pd.DataFrame, pulses: pd.DataFrame) -> tuple[Floats, Floats]:
    """When a process said how many users it runs, and how many; none after its last word."""
    times = np.concatenate([table["finish_s"].to_numpy(dtype=float), pulses["time_s"].to_numpy(dtype=float)])
    users = np.concatenate([table["users"].to_numpy(dtype=float), pulses["users"].to_numpy(dtype=float)])
    order = np.argsort(times, kind="stable")
    return np.append(times[order], times.max()), np.append(users[order], 0.0)


def _count_at(at: Floats, times: Floats, users: Floats) -> NDArray[np.int64]:
    place = np.searchsorted(times, at, side="right") - 1
    return np.where(place >= 0, users[np.maximum(place, 0)], 0).astype(np.int64)


def _last_words(pulses: pd.DataFrame) -> pd.DataFrame:
    """The last pulse of every process."""
    return pulses.groupby("client_id", sort=False).tail(1)


def _lost_workers(tables: dict[str, pd.DataFrame], pulses: pd.DataFrame) -> list[Finding]:
    last = _last_words(pulses)
    is_own = last["client_id"] == ""
    ended_in_order = bool((last.loc[is_own, "closed"] == 1).any())
    end_s = float(last["time_s"].max()) if len(last) else 0.0
    findings = []
    for row in last[~is_own].to_dict("records"):
        have, early_s = len(tables.get(str(row["client_id"]), ())), end_s - float(row["time_s"])
        said = _loss(row, have, early_s, ended_in_order=ended_in_order)
        if said:
            findings.append(_lost(str(row["worker_id"]), said, have, early_s))
    return findings


def _loss(last: Mapping[Hashable, Any], have: int, early_s: float, *, ended_in_order: bool) -> str:
    """What is amiss with a worker, seen from its last word; empty when nothing is."""
    if have < last["requests"]:
        return f"announced {last['requests']:.0f} requests, of which {have} arrived"
    if ended_in_order and not last["closed"]:
        return f"was last heard {early_s:.1f} s before the end, while it ran {last['users']:.0f} users"
    return f"stopped {early_s:.1f} s before the end" if early_s > _EARLY_S else ""


def _lost(worker: str, said: str, have: int, early_s: float) -> Finding:
    return Finding(
        "worker-lost", "critical",
        f"Worker {worker} {said}; its users' load and up to a second of its requests are missing.",
        "Use only steps from before that moment, or record again.",
        {"worker_id": worker, "requests": have, "silent_s": early_s},
    )  # fmt: skip


def _odd_clocks(pulses: pd.DataFrame, shifts: dict[str, float]) -> list[Finding]:
    """Workers of other machines whose wall clocks differ from the journal's."""
    own = pulses[pulses["client_id"] == ""]
    if own.empty:
        return []
    findings = []
    for client, rows in pulses[pulses["machine"] != own["machine"].iloc[0]].groupby("client_id"):
        error_s = float(rows["epoch_offset_s"].median() - own["epoch_offset_s"].median()) - shifts[str(client)]
        if abs(error_s) > _MOST_CLOCK_ERROR_S:
            findings.append(_odd_clock(str(rows["worker_id"].iloc[0]), error_s))
    return findings


def _odd_clock(worker: str, error_s: float) -> Finding:
    return Finding(
        "clocks-differ", "info",
        f"The wall clock of worker {worker} is {error_s:+.3f} s off the recording's. Its start_s and finish_s were put "
        "on the recording's clock by the arrival of its messages; its sent_at is its own.",
        "Synchronise the machines' clocks.", {"worker_id": worker, "error_s": error_s},
    )  # fmt: skip


def _complete_until(pulses: pd.DataFrame) -> float:
    """The earliest last word of the processes that were there to the end."""
    last = _last_words(pulses[pulses["worker_id"] != _MASTER])["time_s"]
    return float(last[last > last.max() - _EARLY_S].min()) if len(last) else float("-inf")


def _longest_gap(pulses: pd.DataFrame) -> float:
    gaps = pulses.groupby("client_id")["time_s"].diff().dropna()
    return max(float(gaps.max()), _FLUSH_EVERY_S) if len(gaps) else _FLUSH_EVERY_S


def busiest_share(generator: pd.DataFrame, begin_s: float, end_s: float) -> float:
    """Mean share of a core that the busiest process used between two times; NaN when not known.

    A Locust process cannot use more than one core, so the busiest one says how near the generator
    is to its limit.

    Parameters
    ----------
    generator : pandas.DataFrame
        A generator table.
    begin_s, end_s : float
        On its clock.

    Returns
    -------
    float
    """
    inside = generator[(generator["time_s"] >= begin_s) & (generator["time_s"] <= end_s)]
    shares = [_share(rows) for _, rows in inside.groupby("worker_id")]
    return max((share for share in shares if np.isfinite(share)), default=float("nan"))


def _share(rows: pd.DataFrame) -> float:
    length_s = float(rows["time_s"].iloc[-1] - rows["time_s"].iloc[0])
    return float(rows["cpu_s"].iloc[-1] - rows["cpu_s"].iloc[0]) / length_s if length_s > 0 else float("nan")


def senders(generator: pd.DataFrame) -> Iterable[str]:
    """The processes that ran users."""
    return sorted(set(generator["worker_id"]) - {_MASTER})
