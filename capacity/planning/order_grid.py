"""Order policies compared: what less risk, a longer lead time or larger orders cost in instance-hours.

A policy orders so many instances at a time, wherever demand exceeds what there is within the projection with more than
the risk, each order on the latest date at that risk (`capacity.planning.ordering`). The dates are made today and kept;
an order that should have been made before today is made today. All policies meet the same scenarios (common random
numbers), so that their differences are no luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from capacity.demand.wording import counted, html_table, percent, text_table
from capacity.planning.order_slack import is_due, rank_at, slack_months
from capacity.planning.ordering import most_instances, scenarios_of_plan
from capacity.planning.orders import OrderingRules
from capacity.planning.plan import CapacityPlan
from capacity.planning.scenarios import Scenarios
from capacity.planning.shape_choice import HOURS_A_MONTH
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import plain
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

_MOST_ORDERS = 400
_HEADER = ("risk of an order", "lead time (months)", "at a time", "orders", "first by", "instance-hours", "runs out")


@dataclass(frozen=True)
class OrderPolicy:
    """One way of ordering, and what comes of it.

    Parameters
    ----------
    risk : float
        Of each order, that demand exceeds capacity before it arrives.
    lead_time : Interval
        Months.
    order_size : int
        Instances ordered at a time.
    orders : int
        Made within the projection.
    first_order_month : float, optional
        Below 0: it is late, and made today. None: none is made.
    instance_hours : float
        Of all instances from today to the last month, from their arrival on: the mean over the scenarios.
    probability_out : float, optional
        Share of the scenarios in which demand ever exceeds capacity within the projection; None where nothing is
        uncertain.
    """

    risk: float
    lead_time: Interval
    order_size: int
    orders: int
    first_order_month: float | None
    instance_hours: int | float
    probability_out: float | None


@dataclass(frozen=True)
class OrderGrid:
    """Order policies side by side. Made by `order_grid`.

    Parameters
    ----------
    rules : OrderingRules
        What all of them share: fleet, draws, seed, `range_level`.
    fleet : int
        Instances today.
    last_month : int
    policies : tuple of OrderPolicy
        By lead time, then by order size, then by risk.
    """

    rules: OrderingRules
    fleet: int
    last_month: int
    policies: tuple[OrderPolicy, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        rows = [{**asdict(item), "lead_time": item.lead_time.to_dict()} for item in self.policies]
        shared = {name: getattr(self.rules, name) for name in ("draws", "seed", "range_level")}
        return {"fleet": self.fleet, "last_month": self.last_month, **shared, "policies": rows}

    def to_frame(self) -> pd.DataFrame:
        """One row a policy.

        Columns: risk, lead_time_low, lead_time_mid, lead_time_high (months), order_size, orders, first_order_month,
        instance_hours, probability_out.
        """
        import pandas as pd

        return pd.DataFrame([_flat(item) for item in self.policies])

    def summary(self) -> str:
        """A table for people."""
        return f"{self._title()}\n{text_table((*_HEADER, ''), [(*row, '') for row in self._rows()])}"

    def _title(self) -> str:
        return f"Order policies from {counted(self.fleet, 'instance')} today to month {self.last_month}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                percent(item.risk), item.lead_time.format(".3g"), str(item.order_size), str(item.orders),
                "-" if item.first_order_month is None else _month(item.first_order_month),
                f"{item.instance_hours:,.0f}", "-" if item.probability_out is None else percent(item.probability_out),
            )
            for item in self.policies
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._rows(), self._title())


def order_grid(
    plan: CapacityPlan,
    risks: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2),
    *,
    lead_times: Sequence[Interval | float] = (),
    order_sizes: Sequence[int] = (1,),
    rules: OrderingRules | None = None,
) -> OrderGrid:
    """Compare every combination of risks, lead times and order sizes on the same scenarios.

    Parameters
    ----------
    plan : CapacityPlan
        Its growth, capacity and interpolation count.
    risks : sequence of float
        Of each order, between 0 and 1.
    lead_times : sequence of Interval or float, optional
        Months; default: that of the rules.
    order_sizes : sequence of int, default 1
        Instances ordered at a time.
    rules : OrderingRules, optional
        Fleet, draws, seed; default: those of the plan's order dates, else the usual ones with the policy's lead time.

    Returns
    -------
    OrderGrid

    Raises
    ------
    InputError
        For a plan of one month, without risks or sizes, for numbers out of range, and sizes that make more than 400
        orders.
    """
    chosen = rules or _rules_of(plan)
    sizes = [whole("order_size", size, least=1) for size in order_sizes]
    shares, leads = [float(risk) for risk in risks], list(lead_times)
    if not (shares and sizes):
        raise InputError("risks or order_sizes is empty; give at least one of each.")
    if plan.steps[-1].month == 0:
        raise InputError("The plan has only month 0, so there is no time to order in; project further.")
    fleet = chosen.fleet or plan.steps[0].deployed.at_peak[0]
    found: list[OrderPolicy] = []
    for lead in leads or [chosen.lead_time]:
        each = [replace(chosen, risk=share, lead_time_months=lead) for share in shares]
        case = _Case(plan, scenarios_of_plan(plan, each[0]), fleet)
        found += [policy for size in sizes for policy in case.policies(size, each)]
    return OrderGrid(chosen, fleet, plan.steps[-1].month, tuple(found))


def _rules_of(plan: CapacityPlan) -> OrderingRules:
    lead = float(plan.policy.lead_time_months)
    return OrderingRules(lead_time_months=lead) if plan.orders is None else plan.orders.rules


@dataclass(frozen=True)
class _Case:
    """Scenarios of one lead time."""

    plan: CapacityPlan
    scenarios: Scenarios
    fleet: int

    def policies(self, size: int, rules: Sequence[OrderingRules]) -> Iterator[OrderPolicy]:
        """One for each of the rules, which differ by their risk."""
        is_geometric = self.plan.policy.interpolation == "geometric"
        needed = self.scenarios.first_passages(self._fleets(size, rules), geometric=is_geometric)
        slack = np.sort(slack_months(self.scenarios, needed), axis=0)
        for one in rules:
            due = min(int(np.count_nonzero(is_due(needed, one.risk))), needed.shape[1] - 1)
            starts = slack[rank_at(one.risk, len(slack)), :due]
            yield self._policy(one, size, starts.tolist(), needed)

    def _fleets(self, size: int, rules: Sequence[OrderingRules]) -> list[int]:
        """Fleets that may be exceeded, ascending.

        The last one is exceeded less often than by any of the risks, or is the largest that a ceiling lets through.
        """
        needed = most_instances(self.scenarios, min(one.risk for one in rules))
        most = int(min(needed, max(self.scenarios.fleets.most_useful, self.fleet)))
        orders = max(0, -(-(most - self.fleet) // size))
        ceiling = self.scenarios.fleets.ceiling
        if ceiling is not None:
            orders = min(orders, max(0, (ceiling.most_instances - self.fleet) // size))
        if orders > _MOST_ORDERS:
            raise InputError(
                f"order_size {size} makes {orders:,} orders from {self.fleet:,} to {most:,} instances; at most "
                f"{_MOST_ORDERS} are compared, so give at least {-(-(most - self.fleet) // _MOST_ORDERS):,}."
            )
        return [self.fleet + size * place for place in range(orders + 1)]

    def _policy(
        self, rules: OrderingRules, size: int, starts: Sequence[float], needed: NDArray[np.float64]
    ) -> OrderPolicy:
        end, lead = self.scenarios.months - 1.0, self.scenarios.lead_time_months
        runs_out = np.isfinite(needed[:, len(starts)])
        months = np.full(len(lead), self.fleet * end)
        for place, start in enumerate(starts):
            arrival = max(start, 0.0) + lead
            months += size * np.maximum(end - arrival, 0.0)
            runs_out = runs_out | (needed[:, place] < arrival)
        first = starts[0] if starts else None
        chance = float(runs_out.mean()) if len(lead) > 1 else None
        return OrderPolicy(
            rules.risk, rules.lead_time, size, len(starts), first, plain(HOURS_A_MONTH * float(months.mean())), chance
        )


def _month(value: float) -> str:
    return f"month {value:.1f}{' (late)' if value < 0 else ''}"


def _flat(item: OrderPolicy) -> dict[str, Any]:
    ends = {f"lead_time_{name}": getattr(item.lead_time, name) for name in ("low", "mid", "high")}
    others = {name: value for name, value in vars(item).items() if name not in ("risk", "lead_time")}
    return {"risk": item.risk, **ends, **others}
