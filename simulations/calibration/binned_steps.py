"""What a fit sees of steps whose requests are known in groups: histograms, percentiles, Prometheus buckets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadtests.estimation.binned_latency import LatencyBins, quantile_bounds, spread_quantile
from loadtests.foundation.errors import InputError
from loadtests.recording import LoadStep, Recording
from loadtests.tables import ANY_OUTCOME
from simulations.calibration.model_form import Mix
from simulations.calibration.request_classes import FEWEST_OF_CLASS, REST, class_mix
from simulations.calibration.step_view import ALL, GroupView, StepView, levels_for

Floats = NDArray[np.float64]

_WIDEST_BIN = 0.15
_OF_ROUNDING = 0.3
"""A quantile interpolated in a bin is off by about this share of what a uniform error over the bin would be."""
_MOST_FROM_OUTSIDE = 1.1
_PERCENTILES = {0.505: 0.02, 0.66: 0.02, 0.75: 0.02, 0.80: 0.02, 0.90: 0.02, 0.95: 0.025, 0.98: 0.03, 0.99: 0.05}
"""Percentiles of Locust's CSV files, and the relative errors that rounding to two digits leaves when several windows
are pooled. (Below the median nothing is known, so the first stands a little above it.)"""
_BEYOND_PERCENTILE = 8
_TOGETHER = (0.95,)
"""Quantile of all classes together that is looked at beside those of each class."""


@dataclass(frozen=True)
class BinnedView:
    """What is looked at of a step, the values, and the standard errors that rounding leaves."""

    view: StepView
    values: Floats
    rounding: Floats


@dataclass(frozen=True)
class _Quantiles:
    """Levels (of the blend) that bins show, the times there, and the relative errors of those times."""

    levels: tuple[float, ...] = ()
    times_s: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()


def bins_of(recording: Recording, step: LoadStep) -> LatencyBins:
    """All bins of a step: of served requests where they are apart, else of every outcome; all endpoints together.

    Parameters
    ----------
    recording : Recording
    step : LoadStep

    Returns
    -------
    LatencyBins
    """
    rows = _rows(recording, step)
    together = rows[rows["endpoint"] == ""]
    return LatencyBins.of_table(together if len(together) else rows)


def mix_of_bins(recording: Recording) -> Mix:
    """The classes that bins by endpoint tell apart in every step, as `mix_of` has those of single requests.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Mix
        Without classes where a step has no bins by endpoint, or where only percentiles are known and some requests
        belong to none of the classes.
    """
    counts = pd.DataFrame({step.step: _endpoint_counts(recording, step) for step in recording.steps}).fillna(0.0)
    if counts.empty:
        return Mix()
    total = sum(bins_of(recording, step).total for step in recording.steps)
    served = pd.Series({step.step: step.outcomes.get("served", 0) / max(step.requests, 1) for step in recording.steps})
    shares = (counts.sum(axis=1) / total).sort_values(ascending=False, kind="stable")
    mix = class_mix(shares, (counts * served).min(axis=1))
    is_left_over_known = not any(_overlap(bins_of(recording, step)) for step in recording.steps)
    return mix if REST not in mix.names or is_left_over_known else Mix()


def class_shares_of_bins(recording: Recording, step: LoadStep, names: tuple[str, ...]) -> dict[str, float] | None:
    """Shares of classes in a step by its bins; what belongs to none of them is ``other``.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
    names : tuple of str

    Returns
    -------
    dict of str to float or None
        None where the step has no bins by endpoint.
    """
    counts = _endpoint_counts(recording, step)
    if counts.empty:
        return None
    total = bins_of(recording, step).total
    shares = {str(name): float(count) / total for name, count in counts.items() if name in names}
    rest = 1.0 - sum(shares.values())
    return {**shares, **({REST: rest} if rest > 1e-9 else {})}


def look_at_bins(recording: Recording, step: LoadStep, mix: Mix) -> BinnedView:
    """A step's statistics: of each class apart where its bins are, as single requests would give them.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
    mix : Mix

    Returns
    -------
    BinnedView

    Raises
    ------
    InputError
        Where the step has neither single requests nor groups of them.
    """
    served, total = step.outcomes.get("served", 0), sum(step.outcomes.values())
    bins, share = bins_of(recording, step), 1.0 - served / total
    if not bins.total:
        raise InputError(
            f"Step {step.step} ({step.users} users) holds neither single requests nor groups of them: nothing tells "
            "its latencies. Record it with capacity record, or import a log, a report or percentiles."
        )
    table = recording.latency_bins
    is_blended = share > 0 and not len(table[(table["step"] == step.step) & (table["outcome"] == "served")])
    blended = share if is_blended else 0.0
    apart = dict(_classes(recording, step, mix))
    together = _quantiles(bins, blended, total)
    if apart:
        together = _only(together, blended)
    mean = step.metrics["mean_s"]
    has_mean = mean.is_known and not (is_blended and _may_shed_slowly(recording))
    groups = [GroupView(ALL, together.levels, has_mean)]
    values = [math.log(served / step.window_s), share, *([math.log(mean.mid)] if has_mean else [])]
    rounding = [0.0, 0.0, *([0.0] if has_mean else [])]
    values, rounding = [*values, *np.log(together.times_s)], [*rounding, *together.errors]
    for number, own in apart.items():
        found = _quantiles(own, blended, total)
        has_class_mean = not (is_blended or _overlap(own))
        groups.append(GroupView(number, found.levels, has_class_mean))
        middle = [_log_mean(own)] if has_class_mean else []
        values += [*middle, *np.log(found.times_s)]
        rounding += [*([0.0] if middle else []), *found.errors]
    return BinnedView(StepView(tuple(groups), is_blended), np.array(values), np.array(rounding))


def _rows(recording: Recording, step: LoadStep) -> pd.DataFrame:
    table = recording.latency_bins
    rows = table[table["step"] == step.step]
    served = rows[rows["outcome"] == "served"]
    return served if len(served) else rows[rows["outcome"] == ANY_OUTCOME]


def _endpoint_counts(recording: Recording, step: LoadStep) -> pd.Series:
    rows = _rows(recording, step)
    return rows[rows["endpoint"] != ""].groupby("endpoint")["count"].sum()


def _classes(recording: Recording, step: LoadStep, mix: Mix) -> Iterator[tuple[int, LatencyBins]]:
    """Bins by number of the class; those of the rest are what the named ones leave of all together."""
    rows = _rows(recording, step)
    named = rows[rows["endpoint"].isin(mix.names)]
    if not len(named):
        return
    for number, name in enumerate(mix.names):
        mine = named[named["endpoint"] == name]
        if not len(mine) and name == REST:
            mine = _left_over(rows[rows["endpoint"] == ""], named)
        bins = LatencyBins.of_table(mine)
        if bins.total >= FEWEST_OF_CLASS / 2:
            yield number, bins


def _left_over(together: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    """Counts of all together less those of the named, edge by edge: both come from one way of rounding."""
    edges = ["low_s", "high_s"]
    counts = together.set_index(edges)["count"].sub(named.groupby(edges)["count"].sum(), fill_value=0.0)
    return counts[counts > 0].reset_index()


def _may_shed_slowly(recording: Recording) -> bool:
    """Whether requests may be turned away after a wait: then the mean of the served does not follow from the blend."""
    return isinstance(recording.deployment.queue_timeout_s, float)


def _log_mean(bins: LatencyBins) -> float:
    """Logarithm of the mean if times lay in the middle of their bins; an open bin counts with its lower edge."""
    high = np.where(np.isfinite(bins.high_s), bins.high_s, bins.low_s)
    return math.log(float(bins.count @ (bins.low_s + high) / 2) / bins.total)


def _quantiles(bins: LatencyBins, share: float, total: int) -> _Quantiles:
    if not bins.total or bins.total > _MOST_FROM_OUTSIDE * total:
        return _Quantiles()
    return _of_percentiles(bins) if _overlap(bins) else _of_histogram(bins, share)


def _only(found: _Quantiles, share: float) -> _Quantiles:
    """Those at `_TOGETHER`; of percentiles at the same level of the blend."""
    wanted = [item for level in _TOGETHER for item in (level, share + (1 - share) * level)]
    kept = [place for place, level in enumerate(found.levels) if any(math.isclose(level, item) for item in wanted)]
    return _Quantiles(*(tuple(part[place] for place in kept) for part in (found.levels, found.times_s, found.errors)))


def _overlap(bins: LatencyBins) -> bool:
    """Bins between rounded percentiles overlap, those of a histogram do not."""
    order = np.argsort(bins.low_s)
    return bool(np.any(bins.low_s[order][1:] < bins.high_s[order][:-1] - 1e-9))


def _of_histogram(bins: LatencyBins, share: float) -> _Quantiles:
    levels, times, errors = [], [], []
    for level in levels_for(bins.total * (1 - share)):
        blended = share + (1 - share) * level
        low_s, high_s = quantile_bounds(bins, blended)
        time_s = spread_quantile(bins, blended * bins.total)
        width = (high_s - low_s) / time_s if time_s > 0 else math.inf
        if width <= _WIDEST_BIN:
            levels.append(blended)
            times.append(time_s)
            errors.append(_OF_ROUNDING * width / math.sqrt(12.0))
    return _Quantiles(tuple(levels), tuple(times), tuple(errors))


def _of_percentiles(bins: LatencyBins) -> _Quantiles:
    """At Locust's own percentiles: between them the times are not known."""
    levels, times, errors = [], [], []
    for level, error in _PERCENTILES.items():
        time_s = spread_quantile(bins, level * bins.total)
        if bins.total * (1 - level) >= _BEYOND_PERCENTILE and time_s > 0:
            levels.append(level)
            times.append(time_s)
            errors.append(error)
    return _Quantiles(tuple(levels), tuple(times), tuple(errors))
