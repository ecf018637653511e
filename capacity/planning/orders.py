"""Order dates: the rules by which they are found, each date, and the outlook of every month."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from capacity.demand.growth_points import MAX_MONTHS
from capacity.demand.month_dates import date_after, day_of
from capacity.demand.wording import counted, html_table, text_table
from capacity.planning.uncertain import RANGE_LEVEL
from loadtests.foundation.checks import finite, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

DRAWS, _FEWEST_DRAWS = 100_000, 1_000
_HEADER = ("instances", "order by", "by the mid-line", "late if ordered today")


@dataclass(frozen=True)
class OrderingRules:
    """How an order date is found.

    Parameters
    ----------
    risk : float, default 0.05
        Probability that demand exceeds capacity before the order arrives that is still accepted.
    lead_time_months : Interval or float, default 1
        From an order to its capacity.
    fleet : int, optional
        Instances there are today; default: what the plan runs at today's peak by the low factor.
    start : date, optional
        Date of month 0; without it dates are months from today.
    range_level : float, default 0.9
        Probability that a range is taken to enclose where none is stated with it, as for a growth's low and high.
    draws : int, default 100,000
    seed : int, default 1

    Raises
    ------
    InputError
        For numbers outside their ranges.
    """

    risk: float = 0.05
    lead_time_months: Interval | float = 1.0
    fleet: int | None = None
    start: date | None = None
    range_level: float = RANGE_LEVEL
    draws: int = DRAWS
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("risk", "range_level"):
            if not 0.0 < finite(name, getattr(self, name)) < 1.0:
                raise InputError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1, for example 0.05.")
        if self.fleet is not None:
            whole("fleet", self.fleet, least=1)
        whole("draws", self.draws, least=_FEWEST_DRAWS)
        if self.start is not None:
            object.__setattr__(self, "start", day_of(self.start, "start"))
        given = self.lead_time_months
        lead = given if isinstance(given, Interval) else Interval.assumed(finite("lead_time_months", given))
        if not (lead.is_known and lead.low >= 0 and lead.high <= MAX_MONTHS):
            raise InputError(f"lead_time_months is {lead}; it must lie between 0 and {MAX_MONTHS:,}.")
        object.__setattr__(self, "lead_time_months", lead)

    @property
    def lead_time(self) -> Interval:
        """The lead time as an interval."""
        given = self.lead_time_months
        return given if isinstance(given, Interval) else Interval.assumed(given)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "risk": self.risk, "lead_time_months": self.lead_time.to_dict(), "fleet": self.fleet,
            "start": None if self.start is None else self.start.isoformat(), "range_level": self.range_level,
            "draws": self.draws, "seed": self.seed,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrderingRules:
        """Read what `to_dict` wrote."""
        start = data["start"]
        return cls(
            data["risk"], Interval.from_dict(data["lead_time_months"]), data["fleet"],
            None if start is None else date.fromisoformat(start), data["range_level"], data["draws"], data["seed"],
        )  # fmt: skip


@dataclass(frozen=True)
class OrderDate:
    """When to order one more instance. Months count from today; None: not within the projection.

    Parameters
    ----------
    instances : int
        What there will be then.
    needed_month : Interval
        When demand exceeds one instance less; an end that lies beyond the projection is infinite.
    order_by_month : float, optional
        Latest order at the stated risk; below 0: it is late already.
    order_by_error : float
        Standard error of it from the number of draws, months; 0 where nothing was drawn.
    mid_line_month : float, optional
        The order by the central values alone.
    probability_late_today : float, optional
        Chance that demand exceeds what there is before an order of today arrives, at most where the lead time reaches
        beyond the projection; None: nothing is uncertain.
    """

    instances: int
    needed_month: Interval
    order_by_month: float | None
    order_by_error: float
    mid_line_month: float | None
    probability_late_today: float | None

    def to_dict(self, start: date | None = None) -> dict[str, Any]:
        """JSON form, with dates where month 0 has one."""
        return {
            "instances": self.instances, "needed_month": self.needed_month.to_dict(),
            "order_by_month": self.order_by_month, "order_by": _iso(start, self.order_by_month),
            "order_by_error_months": self.order_by_error, "mid_line_month": self.mid_line_month,
            "mid_line": _iso(start, self.mid_line_month), "probability_late_today": self.probability_late_today,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrderDate:
        """Read what `to_dict` wrote."""
        return cls(
            data["instances"], _months_from_dict(data["needed_month"]), data["order_by_month"],
            data["order_by_error_months"], data["mid_line_month"], data["probability_late_today"],
        )  # fmt: skip


@dataclass(frozen=True)
class MonthOutlook:
    """What a month may ask for.

    Parameters
    ----------
    month : int
    exceeds_fleet : float, optional
        Probability that demand has exceeded today's fleet by then; None: nothing is uncertain.
    instances : Interval
        That the peak needs without a safety factor: 5 %, median, 95 % of the scenarios.
    at_risk : int
        Instances that suffice but for the stated risk.
    phases : dict of str to float
        Probability of each way of scaling by the policy's rules; empty: nothing is uncertain.
    """

    month: int
    exceeds_fleet: float | None
    instances: Interval
    at_risk: int
    phases: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "month": self.month, "exceeds_fleet": self.exceeds_fleet, "instances": self.instances.to_dict(),
            "at_risk": self.at_risk, "phases": dict(self.phases),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MonthOutlook:
        """Read what `to_dict` wrote."""
        count = Interval.from_dict(data["instances"])
        return cls(data["month"], data["exceeds_fleet"], count, data["at_risk"], dict(data["phases"]))


@dataclass(frozen=True)
class OrderCeiling:
    """The most that orders can reach: where demand passes it, no order helps.

    Parameters
    ----------
    name : str
        What sets it: ``database_connections``, ``max_instances`` or ``contention``.
    instances : int, optional
        Most instances there can be; None: any number, which together carry no more.
    passed_month : Interval
        When demand passes what they carry; an end that lies beyond the projection is infinite.
    probability : float, optional
        That it does within the projection; None: nothing is uncertain.
    """

    name: str
    instances: int | None
    passed_month: Interval
    probability: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**vars(self), "passed_month": self.passed_month.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrderCeiling:
        """Read what `to_dict` wrote."""
        return cls(data["name"], data["instances"], _months_from_dict(data["passed_month"]), data["probability"])


@dataclass(frozen=True)
class OrderTimeline:
    """Order dates of a plan, and the outlook of every month. Made by `capacity.planning.ordering.order_timeline`.

    Parameters
    ----------
    rules : OrderingRules
    fleet : int
        Instances today.
    is_uncertain : bool
        False: every input was stated without a range, so there are no probabilities.
    orders : tuple of OrderDate
        One for each further instance that the projection may need; of more than 400, so many evenly chosen.
    months : tuple of MonthOutlook
    exhaustion : Interval
        Months until today's fleet is exceeded; infinite where that lies beyond the projection.
    never_exceeded : float, optional
        Probability that today's fleet lasts for the whole projection.
    ceiling : OrderCeiling, optional
        The most that orders can reach under the plan's constraints; None: they set no such limit.
    """

    rules: OrderingRules
    fleet: int
    is_uncertain: bool
    orders: tuple[OrderDate, ...]
    months: tuple[MonthOutlook, ...]
    exhaustion: Interval
    never_exceeded: float | None
    ceiling: OrderCeiling | None = None

    def order_for(self, instances: int) -> OrderDate | None:
        """The order of this many instances; None where it is there today, or not within the projection."""
        return next((item for item in self.orders if item.instances == instances), None)

    def order_in(self, month: int) -> OrderDate | None:
        """The first order that the central values need in this month; None where it needs no more than before."""
        lead = self.rules.lead_time.mid
        needed = ((item, item.mid_line_month) for item in self.orders)
        return next((item for item, at in needed if at is not None and month - 1 < at + lead <= month), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; infinite months become null."""
        return {
            "rules": self.rules.to_dict(), "fleet": self.fleet, "is_uncertain": self.is_uncertain,
            "orders": [item.to_dict(self.rules.start) for item in self.orders],
            "months": [item.to_dict() for item in self.months],
            "exhaustion_months": self.exhaustion.to_dict(), "never_exceeded": self.never_exceeded,
            "ceiling": None if self.ceiling is None else self.ceiling.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrderTimeline:
        """Read what `to_dict` wrote."""
        ceiling = data.get("ceiling")
        return cls(
            OrderingRules.from_dict(data["rules"]), data["fleet"], data["is_uncertain"],
            tuple(OrderDate.from_dict(item) for item in data["orders"]),
            tuple(MonthOutlook.from_dict(item) for item in data["months"]),
            _months_from_dict(data["exhaustion_months"]), data["never_exceeded"],
            None if ceiling is None else OrderCeiling.from_dict(ceiling),
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row an order, in months from today and, where month 0 has a date, as dates.

        Columns: instances, needed_low, needed_mid, needed_high, order_by_month, order_by, mid_line_month, mid_line,
        probability_late_today.
        """
        import pandas as pd

        rows = [
            {
                "instances": item.instances, "needed_low": item.needed_month.low, "needed_mid": item.needed_month.mid,
                "needed_high": item.needed_month.high, "order_by_month": item.order_by_month,
                "order_by": _iso(self.rules.start, item.order_by_month), "mid_line_month": item.mid_line_month,
                "mid_line": _iso(self.rules.start, item.mid_line_month),
                "probability_late_today": item.probability_late_today,
            }
            for item in self.orders
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """A table of the orders for people."""
        return "\n".join([self._title(), text_table(_HEADER, self._rows())])

    def as_table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Title, header and rows of the orders for people."""
        return self._title(), _HEADER, self._rows()

    def _title(self) -> str:
        is_one = self.rules.lead_time.low == self.rules.lead_time.high == 1
        lead = self.rules.lead_time.format(".3g", "month" if is_one else "months")
        risk = f"risk {self.rules.risk:.1%}" if self.is_uncertain else "central values, no probabilities"
        most = "" if self.ceiling is None or self.ceiling.instances is None else (
            f"; at most {self.ceiling.instances:,} instances by {self.ceiling.name.replace('_', ' ')}"
        )  # fmt: skip
        return f"From {counted(self.fleet, 'instance')} today: lead time {lead}, {risk}{most}."

    def _rows(self) -> list[tuple[str, ...]]:
        start = self.rules.start
        return [
            (
                str(item.instances), _text(start, item.order_by_month), _text(start, item.mid_line_month),
                "-" if item.probability_late_today is None else f"{item.probability_late_today:.1%}",
            )
            for item in self.orders
        ]  # fmt: skip

    def __repr__(self) -> str:
        first = self.orders[0] if self.orders else None
        when = "no order within the projection" if first is None else _text(self.rules.start, first.order_by_month)
        return f"OrderTimeline(fleet {self.fleet}, {len(self.orders)} orders, first by: {when})"

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._rows(), self._title())


def _months_from_dict(data: Mapping[str, Any]) -> Interval:
    """Null in the file: beyond the projection."""
    low, mid, high = (math.inf if data[name] is None else float(data[name]) for name in ("low", "mid", "high"))
    return Interval(low, mid, high, float(data["level"]), data["kind"])


def _iso(start: date | None, months: float | None) -> str | None:
    return None if start is None or months is None else date_after(start, months).isoformat()


def _text(start: date | None, months: float | None) -> str:
    if months is None:
        return "beyond the projection"
    late = " (late)" if months < 0 else ""
    return (f"month {months:.1f}" if start is None else date_after(start, months).isoformat()) + late
