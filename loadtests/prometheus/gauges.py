"""Gauges that a Prometheus server scraped, on the clock of a recording."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import CapacityError
from loadtests.foundation.findings import Finding
from loadtests.gauges import GAUGE_COLUMNS, POLL_EVERY_S
from loadtests.prometheus.client import PrometheusServer, query_range, server_time
from loadtests.prometheus.query_map import QueryMap

_LAG_S = 1.5
_LEAST_OFFSET_S = 0.05


@dataclass(frozen=True)
class PrometheusGauges:
    """Where the gauges of a load test come from, beside what the server says itself.

    Parameters
    ----------
    server : PrometheusServer
    query_map : QueryMap
        Its `gauges` are read.
    step_s : float
        Distance of the moments at which they are evaluated.
    """

    server: PrometheusServer
    query_map: QueryMap = field(default_factory=QueryMap)
    step_s: float = POLL_EVERY_S

    def __post_init__(self) -> None:
        positive("step_s", self.step_s)

    def check(self) -> None:
        """See that the server answers, before any load is sent.

        Raises
        ------
        RunError
            When it does not.
        """
        server_time(self.server)

    def merged_into(
        self, polled: pd.DataFrame, origin_epoch_s: float, end_s: float
    ) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
        """The gauges table of a test that has just ended, with a column more for each of the map's gauges.

        A server that does not answer any more costs the columns, not the recording: a finding says so.

        Parameters
        ----------
        polled : pandas.DataFrame
            What the tested server said itself; may be empty.
        origin_epoch_s : float
            The recording's time 0, seconds since 1970.
        end_s : float
            Its end, on its own clock.

        Returns
        -------
        pandas.DataFrame, tuple of Finding
        """
        start_s = min([0.0, *polled["time_s"].head(1)])
        try:
            offset_s = clock_offset_s(self.server)
            time.sleep(max(0.0, min(origin_epoch_s + end_s + _LAG_S - time.time(), _LAG_S)))
            begin, end = (origin_epoch_s + offset_s + at for at in (start_s, end_s))
            table, absent = evaluated_gauges(self.server, self.query_map.gauges, (begin, end), self.step_s)
        except CapacityError as error:
            return polled, (_unavailable(error),)
        table["time_s"] -= origin_epoch_s + offset_s
        findings = [*absent, *([_offset(offset_s)] if offset_s else [])]
        return _beside(polled, table, self.step_s), tuple(findings)


def clock_offset_s(server: PrometheusServer) -> float:
    """How far the server's clock is ahead of this machine's, seconds; 0 when it cannot be told from 0."""
    before = time.time()
    there = server_time(server)
    after = time.time()
    offset = there - (before + after) / 2
    return offset if abs(offset) > _LEAST_OFFSET_S + (after - before) / 2 else 0.0


def evaluated_gauges(
    server: PrometheusServer, queries: Mapping[str, str], range_s: tuple[float, float], step_s: float
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """A column for each query, evaluated at evenly spaced moments; several series are summed.

    Parameters
    ----------
    server : PrometheusServer
    queries : mapping of str to str
        PromQL by column.
    range_s : tuple of float
        First and last moment, seconds since 1970.
    step_s : float

    Returns
    -------
    pandas.DataFrame, tuple of Finding
        `time_s` in seconds since 1970. NaN where nothing was scraped; a finding for each query
        without any series.

    Raises
    ------
    InputError, RunError
        As for `query_range`.
    """
    start, end = range_s
    step_s = max(round(step_s, 3), 0.001)
    moments = round(start, 3) + step_s * np.arange(int((end - start) / step_s + 1e-9) + 1)
    table = {"time_s": moments}
    findings = []
    for name, query in queries.items():
        column = np.full(len(moments), np.nan)
        found = query_range(server, query, start, end, step_s)
        for item in found:
            place = np.rint((item.time_s - moments[0]) / step_s).astype(np.int64)
            inside = (place >= 0) & (place < len(moments))
            column[place[inside]] = np.nan_to_num(column[place[inside]]) + item.value[inside]
        table[name] = column
        if not found:
            findings.append(_absent(name, query))
    return pd.DataFrame(table), tuple(findings)


def _beside(polled: pd.DataFrame, table: pd.DataFrame, step_s: float) -> pd.DataFrame:
    """Every poll with the evaluation at or just before it; the evaluations alone where nothing was polled."""
    if polled.empty:
        columns = {name: np.nan for name in GAUGE_COLUMNS if name != "time_s"}
        return table.assign(**columns)[[*GAUGE_COLUMNS, *table.columns[1:]]]
    ordered = polled.sort_values("time_s")
    widest: Any = 1.5 * step_s  # pandas' stubs know no tolerance for a column of floats
    return pd.merge_asof(ordered, table, on="time_s", tolerance=widest)


def _absent(name: str, query: str) -> Finding:
    return Finding(
        "gauge-absent", "info", f"The gauge {name} has no series in this range: {query}.",
        "Name the right metric in the query map, or leave the gauge out of it.", {"gauge": name},
    )  # fmt: skip


def _offset(offset_s: float) -> Finding:
    return Finding(
        "clock-offset", "info",
        f"The clock of the Prometheus server is {offset_s:+.3f} s ahead of the load generator's; its gauges were moved "
        "by that.",
        "Let both follow the same time server.", {"offset_s": offset_s},
    )  # fmt: skip


def _unavailable(error: CapacityError) -> Finding:
    return Finding(
        "prometheus-unavailable", "warning", f"The gauges of Prometheus are missing: {error}",
        "Mend the cause, and record again if you need them.",
    )  # fmt: skip
