"""Instances by every constraint at once: the largest need binds, and a ceiling may lie below it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from capacity.demand.wording import amount
from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
from capacity.planning.constraint_report import Ceiling, ConstraintNeed, ConstraintReport
from capacity.planning.constraint_uses import ResourceAsk, not_checked, resource_asks
from capacity.planning.fleet_rules import FleetRules, kept
from capacity.planning.instance_formula import checked_factor
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain

NO_RULES = FleetRules()
_DOWN = Context(prec=12, rounding=ROUND_FLOOR)
Loss = tuple[str, int | None, str, str]


def required_by_constraints(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules = NO_RULES, safety_factor: Number = 1
) -> ConstraintReport:
    """Instances as the maximum over every constraint whose two sides are stated.

    - Load and resources: peak x safety factor / what one instance has, rounded up. Mean use of a pool, a core or a
      line is X S by the utilization law [1]_; requests in flight are stated, or X R by Little's law [2]_; loads
      follow the guide's formula [3]_.
    - Losses: m instances carry the peak with the rules' `loss_safety_factor`. N+k asks for m + k. After the loss of
      the fullest of z evenly filled zones m must be left: ceil(m z / (z - 1)). During a rolling update n less what
      it makes unavailable must be at least m [4]_, where it makes any unavailable and the rules do not say that
      updates happen away from the peak.
      The losses are not added up: each is survived alone.
    - Contention: where the rules state one, n instances carry n / (1 + contention (n - 1)) of one; it counts in all of
      the above, and no number carries 1 / contention or more.
    - Ceilings: n instances and those that an update adds share the database's connections [5]_ and a quota. More
      instances cannot pass a ceiling; the report says what would have to change and what the ceiling carries.

    Exact: every number is read as its shortest decimal before a ceiling or a floor is taken.

    Parameters
    ----------
    demand : ServiceDemand
    limits : InstanceLimits
    rules : FleetRules, optional
        Default: no loss to survive, surge 1 and unavailable 0, no ceiling.
    safety_factor : number, default 1
        At least 1; of every load and resource.

    Returns
    -------
    ConstraintReport
        Its needs in descending order. Among equal ones a resource stands before a rule, the fuller resource first.

    Raises
    ------
    InputError
        When demand and limits have no constraint in common, or for a factor below 1.

    References
    ----------
    .. [1] P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models", ACM Computing Surveys
       10(3), 1978.
    .. [2] J. D. C. Little, "A proof for the queuing formula L = lambda W", Operations Research 9(3), 1961.
    .. [3] The operations guide, capacity planning.
    .. [4] Kubernetes documentation, Deployments, "Rolling Update Deployment".
    .. [5] PostgreSQL documentation, "Connections and Authentication": 100 connections by default, 3 reserved.

    Examples
    --------
    >>> demand = ServiceDemand(ccu=7_000, arrival_rate_rps=90_000, cpu_s_per_request=0.0001)
    >>> limits = InstanceLimits(normal_ccu=3_350, cpu_cores=2, cpu_target_percent=70)
    >>> report = required_by_constraints(demand, limits, FleetRules(spare_instances=1), 1.2)
    >>> report.instances, report.binding.name, report.runner_up.name
    (8, 'cpu', 'spare_instances')
    """
    asks = resource_asks(demand, limits)
    if not asks:
        raise InputError(
            "Demand and limits have no constraint in common, so nothing says how many instances are needed. State "
            "both sides of one, such as ccu=7000 with normal_ccu=3350."
        )
    case = _Case(demand, limits, rules, checked_factor(safety_factor), asks)
    return case.report(kept("safety_factor", safety_factor))


def fleet_for_losses(serving: int, rules: FleetRules) -> int:
    """Fewest instances of which `serving` are left by every loss that the rules want survived."""
    return max([serving, *(count for _, count, _, _ in _losses(serving, rules))])


def left_by_losses(fleet: int, rules: FleetRules) -> dict[str, int]:
    """Instances that each loss that is to be survived leaves of a fleet, by its name."""
    left = {
        "spare_instances": (bool(rules.spare_instances), fleet - rules.spare_instances),
        "zone_loss": (rules.survives_zone_loss, rules.after_zone_loss(fleet)),
        "rolling_update": (rules.serves_less_during_update, fleet - rules.unavailable(fleet)),
    }
    return {name: count for name, (is_asked, count) in left.items() if is_asked}


def largest_load(fleet: int, rules: FleetRules, factor: Fraction) -> Fraction:
    """Load that a fleet carries by factor and losses, in instances that it fills; the inverse of `required_fleet`."""
    kept_factor = exact("loss_safety_factor", rules.loss_safety_factor)
    left = [rules.carried(count) / kept_factor for count in left_by_losses(fleet, rules).values()]
    return max(Fraction(0), min([rules.carried(fleet) / factor, *left]))


def required_fleet(load: Fraction, rules: FleetRules, factor: Fraction) -> int | None:
    """Fewest instances for a load in instances that it fills, by the factor and left by every loss; None: no number."""
    fleet = rules.instances_for(load * factor)
    if fleet is None or not left_by_losses(fleet, rules):
        return fleet
    serving = rules.instances_for(load * exact("loss_safety_factor", rules.loss_safety_factor))
    return None if serving is None else max(fleet, fleet_for_losses(serving, rules))


def fleet_ceilings(limits: InstanceLimits, rules: FleetRules) -> tuple[Ceiling, ...]:
    """The ceilings that are stated, the lowest first."""
    return tuple(sorted(_ceilings(limits, rules), key=lambda item: item.most_instances))


@dataclass(frozen=True)
class _Case:
    """One question, with the exact quotients of its resources."""

    demand: ServiceDemand
    limits: InstanceLimits
    rules: FleetRules
    factor: Fraction
    asks: tuple[ResourceAsk, ...]

    def report(self, factor: int | float) -> ConstraintReport:
        """All needs, ceilings, and what would have to change."""
        rules = self.rules
        counts = [self._count(ask) for ask in self.asks]
        losses = list(self._losses())
        asked = [*counts, *(loss[1] for loss in losses)]
        fleet = None if None in asked else max(count or 0 for count in asked)
        needs = (*self._resource_needs(counts, fleet), *(self._loss_need(loss, fleet or 0) for loss in losses))
        ceilings = fleet_ceilings(self.limits, rules)
        share = self._largest_share(ceilings[0].most_instances) if ceilings else None
        return ConstraintReport(
            self.demand, self.limits, rules, factor, tuple(sorted(needs, key=_size)), ceilings,
            None if share is None else _rounded_down(share),
            {} if share is None else {name: _rounded_down(v) for name, v in self.demand.loads(share).items()},
            tuple(self._changes(fleet, ceilings)), self._not_checked(),
        )  # fmt: skip

    def _resource_needs(self, counts: list[int | None], fleet: int | None) -> list[ConstraintNeed]:
        """The needs of loads and resources, the fuller one first."""
        needs = [self._need(ask, count, fleet) for ask, count in zip(self.asks, counts, strict=True)]
        ranked = sorted(zip(needs, self.asks, strict=True), key=lambda pair: -(pair[1].instances or 0))
        return [need for need, _ in ranked]

    def _count(self, ask: ResourceAsk) -> int | None:
        return None if ask.instances is None else self.rules.instances_for(ask.instances * self.factor)

    def _fullest(self) -> Fraction | None:
        """Instances that the peak fills without any factor; None when no number is enough."""
        filled = [ask.instances for ask in self.asks]
        return None if None in filled else max(item for item in filled if item is not None)

    def _losses(self) -> Iterator[Loss]:
        """Each loss with the instances that it asks for; None where none are left with enough."""
        fullest = self._fullest()
        if fullest is None:
            return
        serving = self.rules.instances_for(fullest * self._loss_factor)
        if serving is not None:
            yield from _losses(serving, self.rules)
            return
        text = f"{amount(fullest * self._loss_factor)} of one{self._by_contention(None)}"
        yield from ((name, None, text, "contention, a rule of the fleet") for name in left_by_losses(1, self.rules))

    @property
    def _loss_factor(self) -> Fraction:
        return exact("loss_safety_factor", self.rules.loss_safety_factor)

    def _need(self, ask: ResourceAsk, count: int | None, fleet: int | None) -> ConstraintNeed:
        if ask.instances is None:
            return ConstraintNeed(
                ask.name, None, None, None, f"{ask.formula}: nothing is left for requests", ask.source
            )
        wanted = ask.instances * self.factor
        used = float(ask.instances / self.rules.carried(fleet)) if fleet else None
        formula = f"{ask.formula} x {plain(self.factor)} = {amount(wanted)}{self._by_contention(count)}"
        return ConstraintNeed(ask.name, count, float(wanted), used, formula, ask.source)

    def _by_contention(self, count: int | None) -> str:
        if not self.rules.contention:
            return ""
        carry = "no number carries" if count is None else f"{count:,} carry {amount(self.rules.carried(count))}"
        return f"; at a contention of {self.rules.contention:g} {carry}"

    def _loss_need(self, loss: Loss, fleet: int) -> ConstraintNeed:
        name, count, formula, source = loss
        if count is None:
            return ConstraintNeed(name, None, None, None, formula, source)
        left, fullest = left_by_losses(fleet, self.rules)[name], self._fullest()
        used = float(fullest / self.rules.carried(left)) if left > 0 and fullest is not None else None
        return ConstraintNeed(name, count, float(count), used, formula, source)

    def _largest_share(self, most: int) -> Fraction | None:
        """Largest multiple of the demand that `most` instances carry: every need is linear before its ceiling."""
        fullest = self._fullest()
        if fullest is None or most <= 0:
            return Fraction(0)
        if fullest == 0:
            return None
        return largest_load(most, self.rules, self.factor) / fullest

    def _changes(self, fleet: int | None, ceilings: tuple[Ceiling, ...]) -> Iterator[str]:
        if fleet is None and self._fullest() is None:
            yield "give the instance more memory than it takes when idle (memory_mib, memory_base_mib)"
        elif fleet is None:
            yield (
                f"less contention, or larger instances: at {self.rules.contention:g} no fleet carries more than "
                f"{amount(1 / exact('contention', self.rules.contention))} of one (contention)"
            )
        if fleet is None:
            return
        passed = {item.name for item in ceilings if fleet > item.most_instances}
        if "database_connections" in passed:
            yield from self._more_connections(fleet)
        if "max_instances" in passed:
            existing = fleet + self.rules.surge(fleet)
            yield f"a quota of at least {existing:,} instances (max_instances), or a larger instance"

    def _more_connections(self, fleet: int) -> Iterator[str]:
        pool, existing = exact("db_pool", self.limits.db_pool or 0), fleet + self.rules.surge(fleet)
        usable = _usable_connections(self.rules)
        smaller = usable // existing
        held = next((ask.asked * self.factor for ask in self.asks if ask.name == "db_pool"), Fraction(0))
        if smaller >= 1 and held <= smaller * fleet:
            yield f"a pool of at most {smaller:,} connections an instance (db_pool)"
        if fleet * pool <= usable:
            yield "a smaller max_surge, which adds instances during an update"
        if held <= usable:
            yield "a pooler between instances and database, which shares connections"
        needed = math.ceil(existing * pool) + self.rules.database_reserved_connections
        yield f"a database that takes at least {needed:,} connections (database_max_connections)"

    def _not_checked(self) -> tuple[str, ...]:
        found = not_checked(self.demand, self.limits)
        if self.rules.database_max_connections is not None and self.limits.db_pool is None:
            return (*found, "database_connections: db_pool not stated")
        return found


def _losses(serving: int, rules: FleetRules) -> Iterator[tuple[str, int, str, str]]:
    """Name, fewest instances, formula and source of each loss that is to be survived."""
    if rules.spare_instances:
        count = serving + rules.spare_instances
        yield "spare_instances", count, f"{serving:,} + {rules.spare_instances} = {count:,}", "N+k, a rule of the fleet"
    if rules.survives_zone_loss:
        count, zones = rules.for_zone_loss(serving), rules.zones
        yield "zone_loss", count, f"{serving:,} left of {count:,} on {zones} zones", "even spread, a rule of the fleet"
    if rules.serves_less_during_update:
        count = rules.for_update(serving)
        formula = f"{serving:,} serving of {count:,} (max_unavailable {rules.max_unavailable})"
        yield "rolling_update", count, formula, "maxUnavailable [4]"


def _ceilings(limits: InstanceLimits, rules: FleetRules) -> Iterator[Ceiling]:
    update = f"during an update up to {rules.max_surge} more" if rules.surge(1) else "none more during an update"
    if rules.database_max_connections is not None and limits.db_pool is not None:
        usable = _usable_connections(rules)
        existing = math.floor(usable / exact("db_pool", limits.db_pool))
        formula = f"{usable:,} connections / {limits.db_pool} = {existing:,} at a time, {update}"
        yield Ceiling("database_connections", rules.largest_fleet_within(existing), existing, formula)
    if rules.max_instances is not None:
        formula = f"{rules.max_instances:,} at a time, {update}"
        yield Ceiling("max_instances", rules.largest_fleet_within(rules.max_instances), rules.max_instances, formula)


def _usable_connections(rules: FleetRules) -> int:
    return max(0, (rules.database_max_connections or 0) - rules.database_reserved_connections)


def _size(need: ConstraintNeed) -> float:
    return -math.inf if need.instances is None else -need.instances


def _rounded_down(value: Fraction) -> int | float:
    """At most `value`, with 12 significant digits, so that it can be carried as it is printed."""
    down = _DOWN.divide(Decimal(value.numerator), Decimal(value.denominator))
    return int(down) if down == int(down) else float(down)
