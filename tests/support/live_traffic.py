"""Histories of counters as a Prometheus server would have scraped them, from single requests that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.prometheus.client import Series

Floats = NDArray[np.float64]

EDGES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, np.inf)


@dataclass(frozen=True)
class Traffic:
    """Requests with their finish times (ascending, seconds since 1970), residence times and statuses."""

    finish_s: Floats
    residence_s: Floats
    status: NDArray[np.str_]

    def between(self, first_s: float, last_s: float) -> Traffic:
        """Those that finished after `first_s` and up to `last_s`, as scrapes at these times count them."""
        inside = (self.finish_s > first_s) & (self.finish_s <= last_s)
        return Traffic(self.finish_s[inside], self.residence_s[inside], self.status[inside])

    @property
    def served_s(self) -> Floats:
        return self.residence_s[self.status == "200"]


def poisson_traffic(
    begin_s: float, levels: Sequence[tuple[float, float]], seed: int, *, shed_above: float = np.inf
) -> Traffic:
    """Poisson arrivals at (rate, seconds) one after the other; lognormal times; a tenth is shed above a rate."""
    random = np.random.default_rng(seed)
    parts, at = [], begin_s
    for rate, seconds in levels:
        count = random.poisson(rate * seconds)
        status = np.where((rate > shed_above) & (random.random(count) < 0.1), "503", "200")
        residence = np.where(status == "503", 0.001, random.lognormal(np.log(0.08), 0.7, count))
        parts.append((np.sort(at + seconds * random.random(count)), residence, status))
        at += seconds
    return Traffic(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def scraped(traffic: Traffic, times: Floats, name: str = "live", **labels: str) -> list[Series]:
    """The counter and the histogram of requests at these scrapes; a series begins with its first request."""
    place = np.searchsorted(times, traffic.finish_s, side="left")
    here = {"job": name, "instance": "10.0.0.1:80", **labels}

    def series(metric: str, more: dict[str, str], rows: NDArray[np.bool_], weight: Floats | None = None) -> Series:
        kept = place[rows]
        inside = kept < len(times)
        weights = None if weight is None else weight[rows][inside]
        value = np.cumsum(np.bincount(kept[inside], weights, minlength=len(times))).astype(float)
        begins = int(kept.min()) if len(kept) else 0
        return Series({"__name__": f"{name}_{metric}", **here, **more}, times[begins:], value[begins:])

    every = np.ones(len(place), dtype=bool)
    found = [series("requests_total", {"status": item}, traffic.status == item) for item in sorted(set(traffic.status))]
    first = place.min()
    for edge in EDGES_S:
        item = series(
            "seconds_bucket", {"le": f"{edge:g}" if np.isfinite(edge) else "+Inf"}, traffic.residence_s <= edge
        )
        late = int(np.searchsorted(times, item.time_s[0])) - first
        zeros = np.zeros(max(late, 0))
        found.append(Series(item.labels, times[first:], np.concatenate([zeros, item.value])))
    return [*found, series("seconds_sum", {}, every, traffic.residence_s)]


def steady(metric: str, times: Floats, value: Floats | float, **labels: str) -> Series:
    """One series with these values."""
    return Series({"__name__": metric, **labels}, times, np.broadcast_to(np.asarray(value, dtype=float), times.shape))


def open_metrics(series: Sequence[Series]) -> list[str]:
    """Lines of text that promtool makes blocks of."""
    lines = []
    for item in series:
        labels = ",".join(f'{name}="{value}"' for name, value in item.labels.items() if name != "__name__")
        head = f"{item.labels['__name__']}{{{labels}}}"
        lines += [f"{head} {value:.17g} {at:.3f}" for at, value in zip(item.time_s, item.value, strict=True)]
    return lines
