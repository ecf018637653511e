"""One workload at different loads: users of a closed population, requests per second of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import positive, whole
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity
from simulations.analysis.metrics import Window
from simulations.analysis.run_length import is_stationary, offered_rate_rps, warm_up_time_s
from simulations.engines.inputs import RunLength
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, SessionWorkload, Workload

Floats = NDArray[np.float64]
SteadyWorkload = ClosedWorkload | OpenWorkload | SessionWorkload

MOST_LEVELS = 1_000


def steady(workload: Workload) -> SteadyWorkload:
    """The workload, when its load can be set and has a long run; refuse profiles, traces, changing populations."""
    if isinstance(workload, SteadyWorkload) and is_stationary(workload):
        return workload
    raise InputError(
        f"The workload is {type(workload).__name__} with a load that changes over time; levels need a steady one: "
        "ClosedWorkload without population=, OpenWorkload or SessionWorkload."
    )


def quantity_of(workload: SteadyWorkload) -> Quantity:
    """What the load of this workload counts."""
    return Quantity.USERS if isinstance(workload, ClosedWorkload) else Quantity.RPS


def at_load(workload: SteadyWorkload, load: float) -> SteadyWorkload:
    """The same workload with so many users, or logical requests per second."""
    if isinstance(workload, ClosedWorkload):
        return replace(workload, users=round(load))
    if isinstance(workload, SessionWorkload):
        return replace(workload, session_rate_per_s=load / workload.requests_per_session)
    return replace(workload, arrival_rate_rps=load, interarrival=_faster(workload, load))


def checked_levels(workload: SteadyWorkload, levels: Sequence[float]) -> list[float]:
    """Levels in ascending order, as loads; sessions per second become requests per second.

    Raises
    ------
    InputError
        For none, too many, one twice, or one that is not allowed.
    """
    if len(levels) == 0:
        raise InputError("No load levels were given; give at least one, for example [100, 200, 400].")
    if len(levels) > MOST_LEVELS:
        raise InputError(f"{len(levels):,} load levels were given, at most {MOST_LEVELS:,}; choose a larger step.")
    if isinstance(workload, ClosedWorkload):
        known = [float(whole("users", item, least=1)) for item in levels]
    else:
        known = [positive("a load level", item) for item in levels]
    twice = sorted({item for item in known if known.count(item) > 1})
    if twice:
        raise InputError(f"The load level {twice[0]:g} is given more than once; give each once.")
    factor = workload.requests_per_session if isinstance(workload, SessionWorkload) else 1.0
    return sorted(item * factor for item in known)


def judged_run(
    model: ServerModel, workload: SteadyWorkload, requests: float, fleet: Fleet | None
) -> tuple[RunLength, Window]:
    """A run whose window begins settled (`warm_up_time_s`) and holds at least about `requests` requests."""
    instances = 1 if fleet is None else fleet.instances
    rate_rps, warm_up_s = offered_rate_rps(model, workload), warm_up_time_s(model, workload, instances)
    if isinstance(workload, ClosedWorkload):
        rate_rps = min(rate_rps, instances * model.saturation_rps)
    end_s = warm_up_s + requests / rate_rps
    return RunLength(horizon_s=end_s), Window(warm_up_s, end_s)


@dataclass(frozen=True)
class _Scaled:
    """A distribution with another mean and the same shape."""

    of: Distribution
    factor: float

    @property
    def mean_s(self) -> float:
        return self.of.mean_s * self.factor

    @property
    def cv(self) -> float:
        return self.of.cv

    def text(self) -> str:
        return f"{self.of.text()} x {self.factor:g}"

    def quantile_s(self, probability: ArrayLike) -> Floats:
        return self.of.quantile_s(probability) * self.factor

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        return self.of.upper_quantile_s(probability) * self.factor

    def probability_s(self, time_s: ArrayLike) -> Floats:
        return self.of.probability_s(np.asarray(time_s) / self.factor)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        return self.of.upper_probability_s(np.asarray(time_s) / self.factor)


def _faster(workload: OpenWorkload, rate_rps: float) -> Distribution | None:
    if workload.interarrival is None:
        return None
    return _Scaled(workload.interarrival, workload.arrival_rate_rps / rate_rps)
