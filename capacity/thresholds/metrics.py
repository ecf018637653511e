"""The metrics that thresholds are set on: what each counts, and which values it can have.

Every share is a share, 0.8 for 80 %. Latencies are of served requests only; requests that the
gate sheds are neither in `p95_s` nor in `error_rate`, they have a rate of their own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from loadtests.foundation.checks import stated_number
from loadtests.foundation.errors import InputError

CcuBase = Literal["normal", "max"]


class Metric(StrEnum):
    """What is measured, with its unit in the name; all are of one instance.

    ``throughput_rps`` counts served requests a second and ``p95_s`` is of served requests.
    ``error_rate`` is the share of requests that failed, ``shed_rate`` of those that the gate
    refused (503). ``ccu_utilization_normal`` and ``ccu_utilization_max`` are requests in flight
    over normal and over maximum capacity; the server's own figure divides by normal capacity.
    ``cpu_utilization`` and ``memory_utilization`` are of what the instance *requests*, as an
    autoscaler sees it: 70 % of 2 requested cores are 1.4 cores, whatever the limit. The last
    two are counts.
    """

    THROUGHPUT_RPS = "throughput_rps"
    P95_S = "p95_s"
    ERROR_RATE = "error_rate"
    SHED_RATE = "shed_rate"
    CCU_UTILIZATION_NORMAL = "ccu_utilization_normal"
    CCU_UTILIZATION_MAX = "ccu_utilization_max"
    QUEUE_UTILIZATION = "queue_utilization"
    CPU_UTILIZATION = "cpu_utilization"
    MEMORY_UTILIZATION = "memory_utilization"
    FAILED_HEALTH_CHECKS = "failed_health_checks"
    DATABASE_CONNECTION_FAILURES = "database_connection_failures"

    @classmethod
    def parse(cls, name: str) -> Metric:
        """Read a metric's name; the error lists the known ones.

        Parameters
        ----------
        name : str

        Returns
        -------
        Metric

        Raises
        ------
        InputError
            For an unknown name, and for a CCU utilization that does not say its base.
        """
        if name == "ccu_utilization":
            raise InputError(
                "The metric 'ccu_utilization' does not say its base; "
                "use ccu_utilization_normal (what the server reports) or ccu_utilization_max."
            )
        if not isinstance(name, str) or name not in set(cls):
            raise InputError(f"The metric {name!r} is not known; it must be one of {', '.join(cls)}.")
        return cls(name)

    @classmethod
    def ccu_utilization(cls, base: CcuBase) -> Metric:
        """The CCU utilization of the stated base.

        Parameters
        ----------
        base : {"normal", "max"}

        Returns
        -------
        Metric

        Raises
        ------
        InputError
            For another base.
        """
        if base not in ("normal", "max"):
            raise InputError(f"The base of a CCU utilization is {base!r}; it must be normal or max.")
        return cls.CCU_UTILIZATION_NORMAL if base == "normal" else cls.CCU_UTILIZATION_MAX


_LARGEST = {
    Metric.ERROR_RATE: 1.0,
    Metric.SHED_RATE: 1.0,
    Metric.QUEUE_UTILIZATION: 1.0,
    Metric.CCU_UTILIZATION_NORMAL: 10.0,  # above 1 where the gate admits more than normal capacity
    Metric.CCU_UTILIZATION_MAX: 10.0,
}

_OF_A_RESET_COUNT = dict.fromkeys(
    (Metric.CCU_UTILIZATION_NORMAL, Metric.CCU_UTILIZATION_MAX),
    " A server that resets its count of requests in flight reports such values: leave them out.",
)


def checked_value(metric: Metric, value: float, *, name: str | None = None) -> float:
    """Return a measured value (or a threshold) of `metric` as a float.

    Parameters
    ----------
    metric : Metric
    value : float
    name : str, optional
        What the number is, for the error; by default the metric's name.

    Returns
    -------
    float

    Raises
    ------
    InputError
        For text, NaN, infinities, negative numbers, and shares that look like percentages.
    """
    name = name or str(metric)
    number = stated_number(name, value)
    if number < 0:
        raise InputError(f"{name} is {value!r}; it must be 0 or more.{_OF_A_RESET_COUNT.get(metric, '')}")
    if number > _LARGEST.get(metric, number):
        raise InputError(
            f"{name} is {value!r}; it must be a share of at most {_LARGEST[metric]:g} (write 80 % as 0.8)."
        )
    return number


def reaches(value: float, threshold: float) -> bool:
    """Whether `value` has crossed `threshold`: the edge itself has, in every profile.

    Bands are half open, closed below: [0, 0.05), [0.05, 0.2), [0.2, inf). A value on an edge
    belongs to the worse band.
    """
    return value >= threshold
