"""From one quantity to another, by the operational laws alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from capacity.demand.growth import GrowthProjection
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.units import Quantity

_BY_LAW = (Quantity.RPS, Quantity.IN_FLIGHT, Quantity.USERS)


def convert_growth(
    growth: GrowthProjection, quantity: str, *, residence_time_s: Number, think_time_s: Number | None = None
) -> GrowthProjection:
    """The same growth in another quantity.

    With throughput X, mean residence time R and think time Z, requests in flight are L = X R (Little's law) and users
    are N = X (R + Z) (the response-time law; P. J. Denning, J. P. Buzen, "The operational analysis of queueing network
    models", ACM Computing Surveys 10(3), 1978).

    Parameters
    ----------
    growth : GrowthProjection
        Of ``rps``, ``in_flight`` or ``users``; ranges are converted with the peaks.
    quantity : str
        ``rps``, ``in_flight`` or ``users``.
    residence_time_s : number
        Mean R at the peak, above 0. It grows with the load: take it from a model or a load test at that load.
    think_time_s : number, optional
        Mean Z, at least 0; needed for users.

    Returns
    -------
    GrowthProjection

    Raises
    ------
    InputError
        For quantities that no law joins (connections and the guide's ``ccu`` say nothing of how many requests each
        has), times out of range, and users without a think time.

    Examples
    --------
    >>> users = GrowthProjection.from_points({0: 3_350}, "users")
    >>> convert_growth(users, "rps", residence_time_s=0.1, think_time_s=0.9).points[0].peak
    3350
    """
    wanted = Quantity.parse(quantity)
    for one in (growth.quantity, wanted):
        if one not in _BY_LAW:
            raise InputError(
                f"{one} cannot be converted: no law says how many requests each has. Allowed are "
                f"{', '.join(_BY_LAW)}; measure the load in one of them."
            )
    a_request = {one: _for_each_rps(one, residence_time_s, think_time_s) for one in {growth.quantity, wanted}}
    return replace(growth.scaled(a_request[wanted] / a_request[growth.quantity]), quantity=wanted)


def _for_each_rps(quantity: Quantity, residence_time_s: Number, think_time_s: Number | None) -> Fraction:
    """How many of them go with a throughput of one request a second."""
    residence = exact("residence_time_s", residence_time_s)
    if residence <= 0:
        raise InputError(f"residence_time_s is {residence_time_s}; it must be above 0.")
    if quantity == Quantity.RPS:
        return Fraction(1)
    if quantity == Quantity.IN_FLIGHT:
        return residence
    if think_time_s is None:
        raise InputError("Users think between requests: give think_time_s (0 where they do not).")
    think = exact("think_time_s", think_time_s)
    if think < 0:
        raise InputError(f"think_time_s is {think_time_s}; it must be 0 or more.")
    return residence + think
