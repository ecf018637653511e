"""Least regret: the alternative that costs least too much, whatever of nine futures comes true.

References
----------
.. [1] L. J. Savage, "The theory of statistical decision", Journal of the American Statistical Association 46(253),
   1951: the regret of a decision in a state is what it costs above the best decision for that state; choose the one
   whose largest regret is least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.foundation.exact_numbers import plain

ENDS = ("low", "mid", "high")
Costs = Mapping[str, float | None]


@dataclass(frozen=True)
class Scenario:
    """One future: what each alternative costs in it, and how much more than the best one.

    Parameters
    ----------
    growth, capacity : {"low", "mid", "high"}
        Ends of the growth and of the capacity of an instance.
    costs : dict of str to float or None
        By alternative; None where it cannot carry the peaks.
    regrets : dict of str to float or None
        Cost above the cheapest of the scenario; None where it cannot carry the peaks and another can.
    """

    growth: str
    capacity: str
    costs: dict[str, int | float | None]
    regrets: dict[str, int | float | None]

    @property
    def is_carried(self) -> bool:
        """Whether any alternative carries its peaks."""
        return any(cost is not None for cost in self.costs.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def scenarios_of(names: Iterable[str], cost: Callable[[str, str, str], float | None]) -> tuple[Scenario, ...]:
    """Every pair of growth and capacity, with the cost of each name in it."""
    chosen = tuple(names)
    pairs = [(growth, capacity) for growth in ENDS for capacity in ENDS]
    return tuple(_scenario(*pair, {name: cost(name, *pair) for name in chosen}) for pair in pairs)


def largest_regrets(scenarios: Iterable[Scenario]) -> dict[str, int | float | None]:
    """Largest regret of each alternative over the scenarios that any carries; None for one that fails in such a one."""
    carried = [scenario for scenario in scenarios if scenario.is_carried]
    names = carried[0].costs if carried else ()
    each = {name: [scenario.regrets[name] for scenario in carried] for name in names}
    return {name: None if None in found else max(r for r in found if r is not None) for name, found in each.items()}


def least_regret(largest: Mapping[str, int | float | None], costs: Costs) -> str | None:
    """The alternative whose largest regret is least [1]_ (of the module); among equals the cheaper one."""
    known = {name: regret for name, regret in largest.items() if regret is not None}
    return min(known, key=lambda name: (known[name], costs.get(name) or 0), default=None)


def _scenario(growth: str, capacity: str, costs: dict[str, float | None]) -> Scenario:
    least = min((cost for cost in costs.values() if cost is not None), default=None)
    regrets = {
        name: None if cost is None or least is None else plain(float(f"{cost - least:.12g}"))
        for name, cost in costs.items()
    }
    return Scenario(growth, capacity, dict(costs), regrets)
