"""From a classic histogram's ``_bucket`` counters to requests per bin and interval."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadtests.foundation.errors import InputError
from loadtests.prometheus.counters import Counters, Floats
from loadtests.prometheus.statuses import outcome_of_status
from loadtests.tables import ANY_OUTCOME, LATENCY_BIN_COLUMNS

_MOST_OUT_OF_ORDER = 0.01


@dataclass(frozen=True, eq=False)
class HistogramGains:
    """Requests per bin in each interval between scrapes.

    Parameters
    ----------
    outcome : tuple of str
        Of each bin; `ANY_OUTCOME` where the histogram does not tell outcomes apart.
    low_s, high_s : array of float, shape (bins,)
        Seconds; the last is infinite.
    gained : array of float, shape (intervals, bins)
    out_of_order : float
        Requests by which buckets were smaller than those below them; taken as 0.
    """

    outcome: tuple[str, ...]
    low_s: Floats
    high_s: Floats
    gained: Floats
    out_of_order: float

    def rows(self, step: int, first: int, end: int) -> pd.DataFrame:
        """Rows of the `latency_bins` table of the intervals from `first` up to `end`."""
        count = self.gained[first:end].sum(axis=0)
        table = pd.DataFrame(
            {"step": step, "endpoint": "", "outcome": self.outcome, "low_s": self.low_s, "high_s": self.high_s,
             "count": count}
        )  # fmt: skip
        used: pd.DataFrame = table[count > 0].astype(LATENCY_BIN_COLUMNS)
        return used.reset_index(drop=True)


def read_histogram(counters: Counters, metric: str, unit_s: float, status_label: str) -> HistogramGains:
    """Bins of all label sets of a histogram, added up where outcome and edges agree.

    Parameters
    ----------
    counters : Counters
    metric : str
        Name of the ``_bucket`` metric.
    unit_s : float
        Seconds in one unit of its edges.
    status_label : str
        Label with the HTTP status; empty: none.

    Returns
    -------
    HistogramGains

    Raises
    ------
    InputError
        With every label set that has no edge, no +Inf, or buckets that are not cumulative.
    """
    problems: list[str] = []
    found: dict[tuple[str, float, float], Floats] = {}
    out_of_order = 0.0
    for group, columns in _groups(counters, metric, problems).items():
        outcome = _outcome(dict(group), status_label, problems)
        ordered = sorted(columns)
        edges = [edge for edge, _ in ordered]
        named = f"{metric}{{{', '.join(f'{name}={value!r}' for name, value in group)}}}"
        if not edges or not math.isinf(edges[-1]):
            problems.append(f'{named} has no bucket le="+Inf" (its edges: {", ".join(f"{x:g}" for x in edges)})')
            continue
        counts = np.diff(counters.gained[:, [place for _, place in ordered]], axis=1, prepend=0.0)
        missing = float(-counts[counts < 0].sum())
        out_of_order += missing
        if missing > _MOST_OUT_OF_ORDER * max(float(counts.sum()), 1.0):
            problems.append(f"{named} is not cumulative: buckets gained {missing:g} fewer than those below them")
        lows = [0.0, *edges[:-1]]
        for place, (low, high) in enumerate(zip(lows, edges, strict=True)):
            key = (outcome, max(low, 0.0) * unit_s, max(high, 0.0) * unit_s)
            found[key] = found.get(key, 0.0) + np.maximum(counts[:, place], 0.0)
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    keys = sorted(found)
    gained = np.stack([found[key] for key in keys], axis=1) if keys else np.empty((len(counters.gained), 0))
    low_s, high_s = (np.array([key[place] for key in keys], dtype=float) for place in (1, 2))
    return HistogramGains(tuple(key[0] for key in keys), low_s, high_s, gained, out_of_order)


def _groups(
    counters: Counters, metric: str, problems: list[str]
) -> dict[tuple[tuple[str, str], ...], list[tuple[float, int]]]:
    """Edge and column of every bucket, by the labels without the edge."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = defaultdict(list)
    for column in counters.columns(metric):
        labels = counters.labels[column]
        group = tuple(sorted((name, value) for name, value in labels.items() if name not in ("le", "__name__")))
        try:
            edge = float(labels["le"])
        except KeyError:
            problems.append(f"a series of {metric} has no label le, so it is no histogram")
            continue
        except ValueError:
            problems.append(f"{metric} has the edge le={labels['le']!r}, which is no number")
            continue
        groups[group].append((edge, int(column)))
    return groups


def _outcome(labels: dict[str, str], status_label: str, problems: list[str]) -> str:
    if not status_label:
        return ANY_OUTCOME
    outcome = outcome_of_status(labels.get(status_label, ""))
    if outcome is None:
        problems.append(
            f"the histogram's label {status_label} (duration_status_label) is {labels.get(status_label)!r}; it must be "
            "an HTTP status"
        )
        return ANY_OUTCOME
    return outcome
