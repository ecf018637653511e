"""What came true of a plan so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.wording import amount, html_table, text_table
from capacity.planning.basis import instance_basis
from capacity.planning.instance_formula import required_instances
from capacity.planning.plan import CapacityPlan
from capacity.planning.uncertain import RANGE_LEVEL, SplitLognormal
from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_ACTUALS = ("month", "planned", "actual", "of the plan", "percentile", "instances needed")


@dataclass(frozen=True)
class ActualMonth:
    """A measured peak beside the planned one.

    Parameters
    ----------
    month : int
    planned, actual : float
    percentile : float, optional
        Share of the plan's scenarios that lie below the actual (0.8: "on the 80th percentile"); None where the growth
        states no range.
    instances_needed : int
        For the actual peak, by the plan's capacity and low factor.
    instances_planned : int
        Likewise for the planned one.
    """

    month: int
    planned: float
    actual: float
    percentile: float | None
    instances_needed: int
    instances_planned: int

    @property
    def ratio(self) -> float:
        """Actual over planned."""
        return self.actual / self.planned


@dataclass(frozen=True)
class ActualsReport:
    """What came true of a plan so far. Made by `actuals_against_plan`.

    Parameters
    ----------
    months : tuple of ActualMonth
    outside : tuple of int
        Months outside the stated range of the growth.
    """

    months: tuple[ActualMonth, ...]
    outside: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"months": [vars(item) for item in self.months], "outside": list(self.outside)}

    def to_frame(self) -> pd.DataFrame:
        """One row a month: the fields of `ActualMonth`."""
        import pandas as pd

        return pd.DataFrame([vars(item) for item in self.months])

    def summary(self) -> str:
        """A table, and where the last month stands."""
        last = self.months[-1]
        place = "" if last.percentile is None else f" You are on percentile {last.percentile:.0%} of the forecast."
        stand = f"Month {last.month}: {last.ratio:.1%} of the planned peak.{place}"
        return f"{text_table(_ACTUALS, self._rows())}\n{stand}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(item.month), amount(item.planned), amount(item.actual), f"{item.ratio:.1%}",
                "-" if item.percentile is None else f"{item.percentile:.0%}",
                f"{item.instances_needed} (planned {item.instances_planned})",
            )
            for item in self.months
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        return html_table(_ACTUALS, self._rows(), "Actuals against the plan")


def actuals_against_plan(plan: CapacityPlan, actuals: Mapping[int, float]) -> ActualsReport:
    """Measured peaks against a plan's growth.

    The percentile is that of the law from which scenarios are drawn (`capacity.planning.uncertain`).

    Parameters
    ----------
    plan : CapacityPlan
    actuals : mapping of int to float
        Peak by month, in the plan's quantity, above 0.

    Returns
    -------
    ActualsReport

    Raises
    ------
    InputError
        Without actuals, for months that the plan does not have and peaks that are not above 0.
    """
    if not actuals:
        raise InputError("There are no actuals; give the measured peak of at least one month.")
    months = plan.growth.monthly(plan.policy.interpolation)
    found = []
    for month, peak in sorted(actuals.items()):
        at = whole("month", month)
        if at >= len(months):
            raise InputError(
                f"The plan ends with month {months[-1].month}; there is nothing to compare month {at} with."
            )
        found.append(_actual(plan, months[at], positive(f"peak of month {at}", peak)))
    outside = tuple(item.month for item in found if item.percentile is not None and not 0.05 <= item.percentile <= 0.95)
    return ActualsReport(tuple(found), outside)


def _actual(plan: CapacityPlan, month: MonthlyPeak, peak: float) -> ActualMonth:
    basis, factor = instance_basis(plan.growth, plan.instance_capacity, plan.policy), plan.policy.safety_factor[0]
    return ActualMonth(
        month.month, month.peak, peak, SplitLognormal.of(month.range, _level(plan)).share_below(peak),
        required_instances(peak, basis.normal, factor), required_instances(month.peak, basis.normal, factor),
    )  # fmt: skip


def _level(plan: CapacityPlan) -> float:
    return RANGE_LEVEL if plan.orders is None else plan.orders.rules.range_level
