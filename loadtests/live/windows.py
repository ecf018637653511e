"""Windows of live measurements: the load on the service, and what its requests saw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from loadtests.foundation.checks import non_negative, positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity
from loadtests.recording import LoadStep, Recording

LIVE_METRICS = ("goodput_rps", "shed_rate", "mean_s", "p50_s", "p95_s", "p99_s")
"""What a window may tell; latencies of served requests only, `shed_rate` a fraction of all requests."""
_LOADS = (Quantity.USERS, Quantity.RPS)
_QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}

Bounds = tuple[float, float]


@dataclass(frozen=True)
class ObservedWindow:
    """One window of a live service.

    Parameters
    ----------
    start_s : float
        On the clock of its source.
    window_s : float
        Length, above 0.
    load : float
        Users, or requests that arrived per second; of all instances together.
    quantity : Quantity
        `Quantity.USERS` or `Quantity.RPS`.
    metrics : dict of str to (float, float)
        What was measured, by the names of `LIVE_METRICS`, each as the bounds within which it is known: twice the same
        number where it is known exactly. A metric that was not measured is absent.
    begins : str, default ""
        The start as its source wrote it, such as a timestamp.
    step : int, optional
        Of the recording that it comes from.

    Raises
    ------
    InputError
        For values out of range, an unknown metric, and a window without any.
    """

    start_s: float
    window_s: float
    load: float
    quantity: Quantity
    metrics: Mapping[str, Bounds] = field(repr=False)
    begins: str = ""
    step: int | None = None

    def __post_init__(self) -> None:
        positive("window_s", self.window_s)
        positive("The load of a window", self.load)
        if self.quantity not in _LOADS:
            raise InputError(f"A window's load counts {self.quantity}; it must be users or rps.")
        unknown = sorted(set(self.metrics) - set(LIVE_METRICS))
        if unknown or not self.metrics:
            said = f"has no metric {', '.join(unknown)}" if unknown else "has no metric at all"
            raise InputError(f"A window {said}; it may have {', '.join(LIVE_METRICS)}.")
        for name, bounds in self.metrics.items():
            _check_bounds(name, bounds)

    @property
    def end_s(self) -> float:
        """Start and length together."""
        return self.start_s + self.window_s

    @property
    def load_text(self) -> str:
        """For people: ``40 users``, ``900 rps``."""
        return f"{self.load:,.4g} {self.quantity}"

    @property
    def starts(self) -> str:
        """The start for people."""
        return self.begins or f"{self.start_s:,.6g} s"

    def is_followed_by(self, other: ObservedWindow) -> bool:
        """Whether `other` begins where this one ends, under the same load."""
        same_load = (self.load, self.quantity, self.step) == (other.load, other.quantity, other.step)
        return same_load and math.isclose(self.end_s, other.start_s, abs_tol=0.01 * self.window_s)


def windows_of_recording(recording: Recording, window_s: float | None = None) -> tuple[ObservedWindow, ...]:
    """The steady steps of a recording as windows, in the order of time.

    Parameters
    ----------
    recording : Recording
        Of a load test, or imported from Prometheus. Of steps whose single requests are not known, latencies are
        bounds.
    window_s : float, optional
        Cut each step into windows of about this length, a whole number of them. Default: a step is a window.

    Returns
    -------
    tuple of ObservedWindow

    Raises
    ------
    InputError
        Without steps, or when a step is to be cut whose requests are not known one by one.
    """
    if not recording.steps:
        raise InputError("The recording has no steps, so there is no steady window to compare with the model.")
    found: list[ObservedWindow] = []
    for step in sorted(recording.steps, key=lambda item: item.start_s):
        rows = recording.requests_in(step)
        if not rows.empty:
            found += _cut(step, rows, window_s)
        elif window_s is None:
            found.append(_of_groups(step))
        else:
            raise InputError(
                f"Step {step.step} cannot be cut into windows, its requests are not known one by one. Leave the "
                "window's length out: each step is one window then."
            )
    return tuple(found)


def _cut(step: LoadStep, rows: pd.DataFrame, window_s: float | None) -> Iterator[ObservedWindow]:
    parts = 1 if window_s is None else max(1, int(step.window_s / positive("window_s", window_s)))
    edges = np.linspace(step.start_s, step.end_s, parts + 1)
    finish_s = rows["finish_s"].to_numpy(dtype=float)
    for start_s, end_s in pairwise(edges.tolist()):
        inside = rows[(finish_s >= start_s) & (finish_s < end_s)]
        measured = _measured(inside, end_s - start_s) if len(inside) else {"goodput_rps": (0.0, 0.0)}
        yield _window(step, start_s, end_s - start_s, measured)


def _window(step: LoadStep, start_s: float, length_s: float, metrics: Mapping[str, Bounds]) -> ObservedWindow:
    if step.load_quantity is Quantity.USERS:
        return ObservedWindow(start_s, length_s, step.users, Quantity.USERS, metrics, step=step.step)
    rate_rps = step.requests / step.window_s
    return ObservedWindow(start_s, length_s, rate_rps, Quantity.RPS, metrics, step=step.step)


def _measured(rows: pd.DataFrame, length_s: float) -> dict[str, Bounds]:
    served = (rows["outcome"] == "served").to_numpy(dtype=bool)
    values = {
        "goodput_rps": int(served.sum()) / length_s,
        "shed_rate": float((rows["outcome"] == "shed").mean()),
    }
    times_s = (rows["finish_s"] - rows["start_s"]).to_numpy(dtype=float)[served]
    if times_s.size:
        quantiles = np.quantile(times_s, list(_QUANTILES.values())).tolist()
        values |= {"mean_s": float(times_s.mean()), **dict(zip(_QUANTILES, quantiles, strict=True))}
    return {name: (value, value) for name, value in values.items()}


def _of_groups(step: LoadStep) -> ObservedWindow:
    known = {name: step.metrics[name] for name in LIVE_METRICS if name in step.metrics and step.metrics[name].is_known}
    bounds = {
        name: (item.low, item.high) if name.endswith("_s") else (item.mid, item.mid) for name, item in known.items()
    }
    return _window(step, step.start_s, step.window_s, bounds)


def _check_bounds(name: str, bounds: Bounds) -> None:
    low, high = (non_negative(name, value) for value in bounds)
    if low > high:
        raise InputError(f"{name} is bounded by {low:g} and {high:g}; the lower bound must come first.")
    if name == "shed_rate" and high > 1:
        raise InputError(f"shed_rate is {high:g}; it must be a share of at most 1 (write 5 % as 0.05).")
