"""What came true of a plan so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.wording import amount, html_table, month_list, text_table
from capacity.planning.basis import instance_basis
from capacity.planning.instance_formula import checked_factor
from capacity.planning.ordering import fleets_of_plan
from capacity.planning.plan import CapacityPlan
from capacity.planning.uncertain import RANGE_LEVEL, SplitLognormal
from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding

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
    instances_needed : int, optional
        For the actual peak, by the plan's capacity, low factor and constraints; None: no number is enough.
    instances_planned : int, optional
        Likewise for the planned one.
    """

    month: int
    planned: float
    actual: float
    percentile: float | None
    instances_needed: int | None
    instances_planned: int | None

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
    quantity : str
        What the peaks count.
    beyond : tuple of int
        Months with an actual after the plan's last one, which nothing can be compared with.
    """

    months: tuple[ActualMonth, ...]
    outside: tuple[int, ...]
    quantity: str = ""
    beyond: tuple[int, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know: peaks outside the forecast or after it, more instances needed, no range."""
        return (*_outside(self), *_short(self), *_beyond(self), *_without_range(self))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "quantity": self.quantity,
            "months": [{**vars(item), "ratio": item.ratio} for item in self.months],
            "outside": list(self.outside),
            "beyond": list(self.beyond),
            "findings": [item.to_dict() for item in self.findings],
        }

    def as_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows for people."""
        return _ACTUALS, self._rows()

    @property
    def standing(self) -> str:
        """Where the last month stands, in a sentence."""
        last = self.months[-1]
        place = "" if last.percentile is None else f" You are on percentile {last.percentile:.0%} of the forecast."
        return f"Month {last.month}: {last.ratio:.1%} of the planned peak.{place}"

    def to_frame(self) -> pd.DataFrame:
        """One row a month: the fields of `ActualMonth`."""
        import pandas as pd

        return pd.DataFrame([vars(item) for item in self.months])

    def summary(self) -> str:
        """A table, where the last month stands, and what to know of it."""
        findings = [f"{item.severity}: {item.message}" for item in self.findings]
        return "\n".join([text_table(_ACTUALS, self._rows()), self.standing, *findings])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(item.month), amount(item.planned), amount(item.actual), f"{item.ratio:.1%}",
                "-" if item.percentile is None else f"{item.percentile:.0%}",
                f"{_count(item.instances_needed)} (planned {_count(item.instances_planned)})",
            )
            for item in self.months
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        return html_table(_ACTUALS, self._rows(), "Actuals against the plan")


def _count(instances: int | None) -> str:
    return "no number is enough" if instances is None else f"{instances:,}"


def _needs_more(item: ActualMonth) -> bool:
    if item.instances_planned is None:
        return False
    return item.instances_needed is None or item.instances_needed > item.instances_planned


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
        Without actuals, where all are of months after the plan, and for peaks that are not above 0.
    """
    if not actuals:
        raise InputError("There are no actuals; give the measured peak of at least one month.")
    months = plan.growth.monthly(plan.policy.interpolation)
    peaks = {whole("month", month): positive(f"peak of month {month}", peak) for month, peak in actuals.items()}
    found = [_actual(plan, months[at], peak) for at, peak in sorted(peaks.items()) if at < len(months)]
    beyond = tuple(at for at in sorted(peaks) if at >= len(months))
    if not found:
        raise InputError(
            f"The plan ends with month {months[-1].month}; there is nothing to compare {month_list(beyond)} with. "
            "Give the peak of a month that was planned, or make a plan that reaches further."
        )
    outside = tuple(item.month for item in found if item.percentile is not None and not 0.05 <= item.percentile <= 0.95)
    return ActualsReport(tuple(found), outside, plan.quantity.value, beyond)


def _outside(report: ActualsReport) -> Iterator[Finding]:
    months = [item for item in report.months if item.month in report.outside]
    if months:
        told = ", ".join(f"month {item.month} on percentile {item.percentile:.1%}" for item in months)
        yield Finding(
            "actual-outside-forecast", "warning",
            f"Outside the 5th to 95th percentile of the forecast: {told}. One month in ten is to be expected there.",
            "Forecast again with the new months (capacity forecast), and plan on that.",
            {"months": [item.month for item in months], "percentiles": [item.percentile for item in months]},
        )  # fmt: skip


def _short(report: ActualsReport) -> Iterator[Finding]:
    months = [item for item in report.months if _needs_more(item)]
    if months:
        told = ", ".join(
            f"month {item.month}: {_count(item.instances_needed)}, not {_count(item.instances_planned)}"
            for item in months
        )
        yield Finding(
            "actual-needs-more", "warning", f"The measured peaks ask for more instances than the plan did ({told}).",
            "Make the plan anew from the measured peaks; orders may be due earlier.",
            {"months": [item.month for item in months], "needed": [item.instances_needed for item in months],
             "planned": [item.instances_planned for item in months]},
        )  # fmt: skip


def _beyond(report: ActualsReport) -> Iterator[Finding]:
    if report.beyond:
        yield Finding(
            "actual-beyond-plan", "warning",
            f"The plan ends before {month_list(report.beyond)}: what was measured there is not compared with anything.",
            "Make a plan that starts from the newest month.", {"months": list(report.beyond)},
        )  # fmt: skip


def _without_range(report: ActualsReport) -> Iterator[Finding]:
    if all(item.percentile is None for item in report.months):
        yield Finding(
            "forecast-without-range",
            "info",
            "The plan's growth states no range for these months, so no percentile can be said.",
            "Plan on a growth with low and high, such as capacity forecast writes.",
        )


def _actual(plan: CapacityPlan, month: MonthlyPeak, peak: float) -> ActualMonth:
    basis, factor = instance_basis(plan.growth, plan.instance_capacity, plan.policy), plan.policy.safety_factor[0]
    fleets = fleets_of_plan(plan)
    needed, planned = (
        None if fleets is None else fleets.required(load, basis.normal, checked_factor(factor))
        for load in (peak, month.peak)
    )
    below = SplitLognormal.of(month.range, _level(plan), month.p99).share_below(peak)
    return ActualMonth(month.month, month.peak, peak, below, needed, planned)


def _level(plan: CapacityPlan) -> float:
    return RANGE_LEVEL if plan.orders is None else plan.orders.rules.range_level
