"""What changed between two plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from capacity.demand.month_dates import calendar_month_of, calendar_months_between, date_after
from capacity.demand.wording import amount, html_table, text_table
from capacity.planning.plan import CapacityPlan, PlanStep
from capacity.planning.shape_choice import ShapeChoice
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ComparedBy = Literal["date", "month"]
_CHANGES = {
    "month": ("month", "peak", "instances", "phase", "order by (month)"),
    "date": ("month", "peak", "instances", "phase", "order by"),
}

_COMPARED_BY: dict[ComparedBy, str] = {
    "date": "Compared by calendar month.",
    "month": "Compared month by month, each plan's from its own month 0 (not both state its date).",
}


@dataclass(frozen=True)
class MonthChange:
    """One month in two plans; a side is None where that plan does not have the month.

    Parameters
    ----------
    month : int
        As the first plan counts it; below 0 before it begins.
    before, after : PlanStep or None
    order_before, order_after : float or None
        Months from the own plan's month 0; what is compared where the plans are compared by month.
    need_before, need_after : tuple of int, optional
        Largest needs over all constraints, at the two factors, where a plan has them.
    calendar_month : str, default ""
        Such as ``2027-02``, where the plans are compared by date.
    order_date_before, order_date_after : date, optional
        Likewise.
    """

    month: int
    before: PlanStep | None
    after: PlanStep | None
    order_before: float | None
    order_after: float | None
    need_before: tuple[int | None, int | None] | None = None
    need_after: tuple[int | None, int | None] | None = None
    calendar_month: str = ""
    order_date_before: date | None = None
    order_date_after: date | None = None

    @property
    def is_changed(self) -> bool:
        """Whether instances, phase or order date differ, or a side is missing."""
        if self.before is None or self.after is None:
            return True
        sides = [(step.instances, step.phase) for step in (self.before, self.after)]
        same_orders = self.order_before == self.order_after
        if self.calendar_month:
            same_orders = self.order_date_before == self.order_date_after
        return sides[0] != sides[1] or not same_orders or self.need_before != self.need_after


@dataclass(frozen=True)
class PlanComparison:
    """What changed from one plan to another. Made by `compare_plans`.

    Parameters
    ----------
    quantity : str
    months : tuple of MonthChange
    inputs : dict of str to (before, after)
        Inputs that differ: growth, capacity, policy.
    codes_gone, codes_new : tuple of str
        Findings that one plan has and the other has not.
    cheapest : (str or None, str or None)
        Cheapest shape of instance before and after; None where a plan has none.
    compared_by : {"date", "month"}
        By calendar month where both plans state the date of their month 0, else month 0 with month 0.
    """

    quantity: str
    months: tuple[MonthChange, ...]
    inputs: dict[str, tuple[str, str]]
    codes_gone: tuple[str, ...]
    codes_new: tuple[str, ...]
    cheapest: tuple[str | None, str | None] = (None, None)
    compared_by: ComparedBy = "month"

    @property
    def is_changed(self) -> bool:
        """Whether any month asks for something else, or another shape is the cheapest."""
        return any(item.is_changed for item in self.months) or self.cheapest[0] != self.cheapest[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "quantity": self.quantity, "compared_by": self.compared_by, "changed": self.is_changed,
            "changed_inputs": {name: {"before": a, "after": b} for name, (a, b) in self.inputs.items()},
            "months": [_change_row(item) for item in self.months],
            "cheapest": {"before": self.cheapest[0], "after": self.cheapest[1]},
            "findings": {"gone": list(self.codes_gone), "new": list(self.codes_new)},
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a month: month, then peak, instances_low, instances_high, phase, order_by_month of either side."""
        import pandas as pd

        return pd.DataFrame([_change_row(item) for item in self.months])

    def summary(self) -> str:
        """The changed months for people, and the inputs behind them."""
        rows = self._rows()
        table = text_table(_CHANGES[self.compared_by], rows) if rows else "No month asks for something else."
        inputs = [f"{name}: {a} -> {b}" for name, (a, b) in self.inputs.items()]
        if self.cheapest[0] != self.cheapest[1]:
            inputs.append(f"cheapest shape: {self.cheapest[0] or 'none'} -> {self.cheapest[1] or 'none'}")
        findings = [f"finding gone: {code}" for code in self.codes_gone]
        return "\n".join(
            [
                _COMPARED_BY[self.compared_by],
                table,
                *inputs,
                *findings,
                *(f"finding new: {code}" for code in self.codes_new),
            ]
        )

    def _rows(self) -> list[tuple[str, ...]]:
        return [_change_text(item) for item in self.months if item.is_changed]

    def _repr_html_(self) -> str:
        return html_table(_CHANGES[self.compared_by], self._rows(), "Changed months")


def compare_plans(before: CapacityPlan, after: CapacityPlan) -> PlanComparison:
    """What changed between two plans: by calendar month where both state a start, else by month.

    Parameters
    ----------
    before, after : CapacityPlan

    Returns
    -------
    PlanComparison

    Raises
    ------
    InputError
        When they count different things.
    """
    if before.quantity != after.quantity:
        raise InputError(
            f"One plan counts {before.quantity}, the other {after.quantity}; only plans of one quantity compare."
        )
    first, second = _first_month(before), _first_month(after)
    shift = None if first is None or second is None else calendar_months_between(first, second)
    months = tuple(_month_change(before, after, month, shift) for month in _months(before, after, shift or 0))
    codes = [{item.code for item in plan.findings} for plan in (before, after)]
    gone, new = tuple(sorted(codes[0] - codes[1])), tuple(sorted(codes[1] - codes[0]))
    inputs, cheapest = _changed_inputs(before, after), (_cheapest(before), _cheapest(after))
    compared_by: ComparedBy = "month" if shift is None else "date"
    return PlanComparison(before.quantity.value, months, inputs, gone, new, cheapest, compared_by)


def _cheapest(plan: CapacityPlan) -> str | None:
    return None if plan.shapes is None else plan.shapes.cheapest


def _first_month(plan: CapacityPlan) -> date | None:
    """Of month 0, the calendar month."""
    return None if plan.start is None else calendar_month_of(plan.start, months_end=plan.growth.months_end)


def _months(before: CapacityPlan, after: CapacityPlan, shift: int) -> range:
    """Every month of either plan, as the first counts them."""
    return range(min(0, shift), max(before.steps[-1].month, after.steps[-1].month + shift) + 1)


def _month_change(before: CapacityPlan, after: CapacityPlan, month: int, shift: int | None) -> MonthChange:
    """`shift` is the month of the first plan in which the second begins; None: there are no dates."""
    other, first = month - (shift or 0), None if shift is None else _first_month(before)
    change = MonthChange(
        month, _step(before, month), _step(after, other), _ordered(before, month), _ordered(after, other),
        _need(before, month), _need(after, other),
    )  # fmt: skip
    if first is None:
        return change
    return replace(
        change, calendar_month=date_after(first, month).isoformat()[:7], order_date_before=_order_date(before, month),
        order_date_after=_order_date(after, other),
    )  # fmt: skip


def _order_date(plan: CapacityPlan, month: int) -> date | None:
    start, at = plan.start, _ordered(plan, month)
    return None if start is None or at is None else date_after(start, at)


def _step(plan: CapacityPlan, month: int) -> PlanStep | None:
    return plan.steps[month] if 0 <= month < len(plan.steps) else None


def _ordered(plan: CapacityPlan, month: int) -> float | None:
    order = None if plan.orders is None or month < 0 else plan.orders.order_in(month)
    return None if order is None else order.order_by_month


def _need(plan: CapacityPlan, month: int) -> tuple[int | None, int | None] | None:
    if plan.constraints is None or not 0 <= month < len(plan.constraints.months):
        return None
    found = plan.constraints.months[month]
    return found.low.instances, found.high.instances


def _changed_inputs(before: CapacityPlan, after: CapacityPlan) -> dict[str, tuple[str, str]]:
    sides = [
        {
            "growth": (plan.growth.to_dict(), repr(plan.growth)),
            "instance capacity": (plan.instance_capacity.to_dict(), plan.instance_capacity.value.format(",.6g")),
            "policy": (plan.policy.to_dict(), str(plan.policy.to_dict())),
            "constraints": _stated(None if plan.constraints is None else plan.constraints.inputs.to_dict()),
            "shapes": _stated(None if plan.shapes is None else _shape_inputs(plan.shapes)),
            "ordering": _stated(None if plan.orders is None else plan.orders.rules.to_dict()),
        }
        for plan in (before, after)
    ]
    return {name: (sides[0][name][1], sides[1][name][1]) for name in sides[0] if sides[0][name][0] != sides[1][name][0]}


def _shape_inputs(choice: ShapeChoice) -> dict[str, Any]:
    shapes = sorted((plan.shape.to_dict() for plan in choice.plans), key=lambda shape: shape["name"])
    capacities = {plan.shape.name: plan.capacity.to_dict() for plan in choice.plans}
    return {"question": choice.question.to_dict(), "shapes": shapes, "capacities": dict(sorted(capacities.items()))}


def _stated(part: dict[str, Any] | None) -> tuple[dict[str, Any] | None, str]:
    return part, "none" if part is None else str(part)


def _change_row(item: MonthChange) -> dict[str, Any]:
    row: dict[str, Any] = {
        "month": item.month, "calendar_month": item.calendar_month or None, "changed": item.is_changed,
    }  # fmt: skip
    for side, step, order, need, on in (
        ("before", item.before, item.order_before, item.need_before, item.order_date_before),
        ("after", item.after, item.order_after, item.need_after, item.order_date_after),
    ):
        low, high = (None, None) if step is None else step.instances
        row |= {
            f"peak_{side}": None if step is None else step.peak, f"instances_low_{side}": low,
            f"instances_high_{side}": high, f"phase_{side}": None if step is None else step.phase,
            f"order_by_month_{side}": order, f"order_by_{side}": None if on is None else on.isoformat(),
            f"constraints_{side}": need,
        }  # fmt: skip
    return row


def _change_text(item: MonthChange) -> tuple[str, ...]:
    a, b = item.before, item.after
    pairs = [
        ("-" if a is None else amount(a.peak), "-" if b is None else amount(b.peak)),
        ("-" if a is None else _range(a), "-" if b is None else _range(b)),
        ("-" if a is None else a.phase, "-" if b is None else b.phase),
        _orders(item),
    ]
    return (
        item.calendar_month or str(item.month),
        *(one if one == other else f"{one} -> {other}" for one, other in pairs),
    )


def _orders(item: MonthChange) -> tuple[str, str]:
    if not item.calendar_month:
        return _month(item.order_before), _month(item.order_after)
    before, after = ("-" if on is None else on.isoformat() for on in (item.order_date_before, item.order_date_after))
    return before, after


def _range(step: PlanStep) -> str:
    low, high = step.instances
    return str(low) if low == high else f"{low}-{high}"


def _month(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
