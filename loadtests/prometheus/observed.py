"""What the counters of one instance say: requests by outcome and residence times, between its scrapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.foundation.errors import InputError
from loadtests.prometheus.client import PrometheusServer, Series, raw_series
from loadtests.prometheus.counters import Counters, Floats, read_counters
from loadtests.prometheus.histograms import HistogramGains, read_histogram
from loadtests.prometheus.query_map import QueryMap
from loadtests.prometheus.statuses import outcome_of_status
from loadtests.tables import OUTCOMES

_REPLICA_LABELS = ("replica", "prometheus_replica", "prometheus", "receive_replica", "monitor")
_FEWEST_ALIKE = 10
_FRACTION = 1e-6


@dataclass(frozen=True, eq=False)
class Fetched:
    """Raw samples as the server gave them."""

    requests: tuple[Series, ...]
    buckets: tuple[Series, ...] = ()
    sums: tuple[Series, ...] = ()
    starts: tuple[Series, ...] = ()
    up: tuple[Series, ...] = ()

    @property
    def counters(self) -> tuple[Series, ...]:
        """Everything that only goes up."""
        return (*self.requests, *self.buckets, *self.sums)


@dataclass(frozen=True, eq=False)
class Observed:
    """Gains of one instance between its scrapes.

    Parameters
    ----------
    counters : Counters
    target : dict of str to str
        The labels that name the instance.
    outcomes : dict of str to array, shape (intervals,)
        Requests by outcome.
    statuses : tuple of str
        The values that the status label took.
    histogram : HistogramGains or None
    residence_sum_s : array or None
        Sum of the residence times that the histogram counted (of served requests where it tells
        outcomes apart), seconds, shape (intervals,).
    look_alikes : tuple of dict
        Series of requests that another one repeats sample by sample.
    """

    counters: Counters
    target: dict[str, str]
    outcomes: dict[str, Floats]
    statuses: tuple[str, ...]
    histogram: HistogramGains | None
    residence_sum_s: Floats | None
    look_alikes: tuple[dict[str, str], ...] = ()

    @property
    def requests(self) -> Floats:
        """All requests in each interval."""
        return np.asarray(sum(self.outcomes.values(), start=np.zeros(len(self.counters.gained))))


def fetch(server: PrometheusServer, query_map: QueryMap, start_s: float, end_s: float) -> Fetched:
    """Ask for the raw samples of everything in the map but its gauges.

    Raises
    ------
    InputError
        When a query that is needed is empty, with every one of them, or selects several instances.
    RunError
        When the server cannot be reached, refuses, or is no Prometheus.
    """

    def ask(selector: str) -> tuple[Series, ...]:
        return raw_series(server, selector, start_s, end_s) if selector else ()

    requests, buckets = ask(query_map.requests), ask(query_map.duration_buckets)
    empty = [f"requests: {query_map.requests}"] if not requests else []
    if query_map.duration_buckets and not buckets:
        empty.append(f"duration_buckets: {query_map.duration_buckets}")
    if empty:
        raise InputError(
            "These queries have no samples between the two times:\n"
            + "\n".join(f"  - {item}" for item in empty)
            + "\nName the right metrics and labels in the query map (null: there is no such histogram), or give "
            "another range."
        )
    own = _matchers(_one_target((*requests, *buckets), query_map.target_labels))
    starts = query_map.process_start
    if starts and "{" not in starts:
        starts = starts.strip() + own if own else ""
    return Fetched(requests, buckets, ask(query_map.duration_sum), ask(starts), ask("up" + own) if own else ())


def _matchers(target: dict[str, str]) -> str:
    """Label matchers of the instance, in braces; empty when its series name none."""
    named = ",".join(f"{name}={json.dumps(value)}" for name, value in target.items() if value)
    return f"{{{named}}}" if named else ""


def observe(fetched: Fetched, query_map: QueryMap) -> Observed:
    """Differences of the counters, by outcome and bin.

    Parameters
    ----------
    fetched : Fetched
    query_map : QueryMap

    Returns
    -------
    Observed

    Raises
    ------
    InputError
        With everything about the series that cannot be: several instances, replicas that would
        count twice, no status, fractions, histograms that are none.
    """
    target = _one_target(fetched.counters, query_map.target_labels)
    problems = _replicas(fetched.requests) + _status_problems(fetched.requests, query_map.status_label)
    counters = read_counters(fetched.counters, _scraped(fetched.up, target), _same(fetched.starts, target))
    histogram = residence_sum_s = None
    if fetched.buckets:
        try:
            histogram = read_histogram(
                counters, _name(fetched.buckets), query_map.duration_unit_s, query_map.duration_status_label
            )
        except InputError as error:
            problems += str(error).splitlines()
        residence_sum_s = _sums(counters, fetched.sums, query_map)
    by_status = _by_status(counters, _name(fetched.requests), query_map.status_label)
    gained = np.concatenate([*by_status.values()])
    if np.any(np.abs(gained - np.rint(gained)) > _FRACTION * np.maximum(gained, 1.0)):
        problems.append("requests grows by fractions, so it does not count single requests (a recording rule?)")
    if problems:
        listed = "\n".join(f"  - {item}" for item in dict.fromkeys(problems))
        raise InputError(f"What Prometheus has cannot be used; mend the query map or its series:\n{listed}")
    return Observed(
        counters, target, _by_outcome(by_status), tuple(sorted(by_status)), histogram, residence_sum_s,
        _look_alikes(fetched.requests),
    )  # fmt: skip


def _name(series: Sequence[Series]) -> str:
    return series[0].labels.get("__name__", "")


def _key(labels: dict[str, str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in names)


def _one_target(series: Sequence[Series], names: Sequence[str]) -> dict[str, str]:
    found = sorted({_key(item.labels, names) for item in series})
    if len(found) > 1:
        listed = "\n".join(
            "  - " + ", ".join(f'{name}="{value}"' for name, value in zip(names, key, strict=True))
            for key in found[:10]
        )
        more = f"\n  - and {len(found) - 10} more" if len(found) > 10 else ""
        raise InputError(
            f"The query map selects {len(found)} scraped instances, and a recording is of one. Add matchers for one of "
            f"them to requests and duration_buckets, and import each into a folder of its own:\n{listed}{more}"
        )
    return dict(zip(names, found[0], strict=True))


def _same(series: Sequence[Series], target: dict[str, str]) -> tuple[Series, ...]:
    return tuple(item for item in series if _key(item.labels, tuple(target)) == tuple(target.values()))


def _scraped(up: Sequence[Series], target: dict[str, str]) -> Floats | None:
    """Times of the successful scrapes of the instance; None where nothing says them."""
    own = _same(up, target)
    return np.concatenate([item.time_s[item.value == 1] for item in own]) if own else None


def _replicas(series: Sequence[Series]) -> list[str]:
    """Series that differ only in the label of a Prometheus replica hold the same requests."""
    seen: dict[tuple[tuple[str, str], ...], int] = {}
    for item in series:
        key = tuple(sorted((name, value) for name, value in item.labels.items() if name not in _REPLICA_LABELS))
        seen[key] = seen.get(key, 0) + 1
    twice = sum(count > 1 for count in seen.values())
    if not twice:
        return []
    labels = ", ".join(sorted({name for item in series for name in item.labels if name in _REPLICA_LABELS}))
    return [
        f"{twice} series of requests come from several replicas ({labels}) and would count twice; select one replica"
    ]


def _look_alikes(series: Sequence[Series]) -> tuple[dict[str, str], ...]:
    """Series that repeat another one, sample by sample, through many changes."""
    seen: set[tuple[bytes, bytes]] = set()
    alike = []
    for item in series:
        key = (item.time_s.tobytes(), item.value.tobytes())
        if key in seen and np.count_nonzero(np.diff(item.value)) >= _FEWEST_ALIKE:
            alike.append(item.labels)
        seen.add(key)
    return tuple(alike)


def _status_problems(series: Sequence[Series], label: str) -> list[str]:
    without = [item for item in series if label not in item.labels]
    if without:
        labels = ", ".join(sorted(set(without[0].labels) - {"__name__"})) or "none"
        return [f"{len(without)} series of requests have no label {label!r} (status_label); their labels are {labels}"]
    unknown = sorted({item.labels[label] for item in series if outcome_of_status(item.labels[label]) is None})
    if unknown:
        listed = ", ".join(map(repr, unknown[:10]))
        return [f"the label {label!r} has the values {listed}; it must hold an HTTP status or a class such as 5xx"]
    return []


def _by_status(counters: Counters, metric: str, label: str) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for column in counters.columns(metric):
        status = counters.labels[column].get(label, "")
        found[status] = found.get(status, 0.0) + counters.gained[:, column]
    return found


def _by_outcome(by_status: dict[str, Floats]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for status, gained in by_status.items():
        outcome = outcome_of_status(status)
        if outcome is not None:
            found[outcome] = found.get(outcome, 0.0) + np.rint(gained)
    return {name: found[name] for name in OUTCOMES if name in found}


def _sums(counters: Counters, sums: Sequence[Series], query_map: QueryMap) -> Floats | None:
    """Residence time per interval; of served requests where the histogram tells outcomes apart."""
    if not sums:
        return None
    label = query_map.duration_status_label
    columns = [
        column
        for column in counters.columns(_name(sums))
        if not label or outcome_of_status(counters.labels[column].get(label, "")) == "served"
    ]
    return np.asarray(counters.gained[:, columns].sum(axis=1) * query_map.duration_unit_s)
