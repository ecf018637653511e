"""The answer of `required_by_constraints`: what each constraint needs, what binds, and which ceilings there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from capacity.demand.wording import amount, counted, html_table, percent, text_table
from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
from capacity.planning.fleet_rules import FleetRules
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

if TYPE_CHECKING:
    import pandas as pd

_KIND = "constraint-report"
_TABLE = ("constraint", "instances", "used", "because")


@dataclass(frozen=True)
class ConstraintNeed:
    """What one constraint asks for.

    Parameters
    ----------
    name : str
        A quantity (``ccu``, ``rps``, ...), a resource (``cpu``, ``memory``, ``workers``, ``db_pool``, ``network``)
        or a rule of the fleet (``spare_instances``, ``zone_loss``, ``rolling_update``).
    instances : int, optional
        Fewest that meet it; None when no number does.
    exact_instances : float, optional
        Before rounding up, safety factor included.
    utilization : float, optional
        Share of it that the peak uses in the whole fleet (a rule: of the fullest resource while instances are
        missing), without the safety factor. None without a fleet.
    formula : str
        With its numbers.
    source : str
        The law or the rule, numbered as in the docstring of `required_by_constraints`.
    """

    name: str
    instances: int | None
    exact_instances: float | None
    utilization: float | None
    formula: str
    source: str


@dataclass(frozen=True)
class Ceiling:
    """A limit on the size of the fleet that more instances run into.

    Parameters
    ----------
    name : str
        ``database_connections`` or ``max_instances``.
    most_instances : int
        Largest fleet that keeps it, with room for what a rolling update adds.
    most_existing : int
        Instances that may exist at the same time.
    formula : str
    """

    name: str
    most_instances: int
    most_existing: int
    formula: str


@dataclass(frozen=True)
class ConstraintReport:
    """Made by `required_by_constraints`.

    Parameters
    ----------
    demand : ServiceDemand
    limits : InstanceLimits
    rules : FleetRules
    safety_factor : number
        The inputs.
    needs : tuple of ConstraintNeed
        The one that asks for most first.
    ceilings : tuple of Ceiling
        The lowest first.
    largest_share : float, optional
        The peak that the lowest ceiling carries, as a multiple of the stated one; None without a ceiling or a peak.
    largest_peak : dict of str to float
        The same in the units of the demand, by field of `ServiceDemand`. Rounded down.
    changes : tuple of str
        Settings that would have to change where the need passes a ceiling or cannot be met.
    not_checked : tuple of str
        Constraints of which too little is stated.
    versions : dict
    """

    demand: ServiceDemand
    limits: InstanceLimits
    rules: FleetRules
    safety_factor: int | float
    needs: tuple[ConstraintNeed, ...]
    ceilings: tuple[Ceiling, ...] = ()
    largest_share: float | None = None
    largest_peak: dict[str, int | float] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=lambda: versions_of("numpy"))

    @property
    def binding(self) -> ConstraintNeed:
        """The constraint that sets the number of instances."""
        return self.needs[0]

    @property
    def runner_up(self) -> ConstraintNeed | None:
        """The one that would bind next."""
        return self.needs[1] if len(self.needs) > 1 else None

    @property
    def instances(self) -> int | None:
        """Fewest instances that meet every constraint; None when no number does. A ceiling may lie below."""
        return self.binding.instances

    @property
    def passed(self) -> tuple[Ceiling, ...]:
        """The ceilings that the need passes."""
        needed = self.instances
        return tuple(item for item in self.ceilings if needed is None or needed > item.most_instances)

    @property
    def is_feasible(self) -> bool:
        """Whether a number of instances meets every constraint and stays below every ceiling."""
        return self.instances is not None and not self.passed

    @property
    def findings(self) -> tuple[Finding, ...]:
        """A passed ceiling or an impossible need, and what could not be checked."""
        found = [self._impossible()] if self.instances is None else [self._passed(item) for item in self.passed]
        return (*found, *self._unchecked())

    def _unchecked(self) -> Iterator[Finding]:
        if self.not_checked:
            yield Finding(
                "constraint-not-checked", "info", f"Not checked: {'; '.join(self.not_checked)}.",
                "State the missing numbers.", {"not_checked": list(self.not_checked)},
            )  # fmt: skip

    def _impossible(self) -> Finding:
        return Finding(
            "constraint-cannot-be-met", "critical",
            f"No number of instances meets the constraint {self.binding.name}: {self.binding.formula}.",
            "; ".join(self.changes), {"constraint": self.binding.name},
        )  # fmt: skip

    def _passed(self, ceiling: Ceiling) -> Finding:
        carried = " or ".join(f"{amount(peak)} {name}" for name, peak in self.largest_peak.items())
        return Finding(
            "constraint-ceiling-passed", "critical",
            f"{self.binding.name} asks for {counted(self.instances or 0, 'instance')}, {ceiling.name} allows "
            f"{ceiling.most_instances:,} ({ceiling.formula}); adding instances cannot help. "
            f"The ceiling carries {carried}.",
            "; ".join(self.changes),
            {
                "needed": self.instances, "most_instances": ceiling.most_instances,
                "largest_share": self.largest_share, "largest_peak": dict(self.largest_peak),
            },
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a constraint: name, instances, exact_instances, utilization, formula, source."""
        import pandas as pd

        return pd.DataFrame([asdict(need) for need in self.needs])

    def summary(self) -> str:
        """The constraints for people, the binding one first."""
        ceilings = [f"  at most {item.most_instances:,} by {item.name}: {item.formula}" for item in self.ceilings]
        found = [f"  {item.severity}: {item.message} [{item.code}]" for item in self.findings]
        return "\n".join([self._title(), text_table(_TABLE, self._rows()), *ceilings, *found])

    def to_dict(self) -> dict[str, Any]:
        """JSON form, complete enough for `from_dict`."""
        return {
            "schema_version": SCHEMA_VERSION, "kind": _KIND, "versions": dict(self.versions), "seed": None,
            "inputs": {
                "demand": self.demand.to_dict(), "limits": self.limits.to_dict(), "rules": self.rules.to_dict(),
                "safety_factor": self.safety_factor,
            },
            "instances": self.instances, "is_feasible": self.is_feasible, "binding": self.binding.name,
            "runner_up": None if self.runner_up is None else self.runner_up.name,
            "needs": [asdict(need) for need in self.needs], "ceilings": [asdict(item) for item in self.ceilings],
            "largest_share": self.largest_share, "largest_peak": dict(self.largest_peak),
            "changes": list(self.changes), "not_checked": list(self.not_checked),
            "findings": [item.to_dict() for item in self.findings],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConstraintReport:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            For another schema version, or a document that is no such report.
        """
        check_document(data, _KIND)
        try:
            inputs = data["inputs"]
            return cls(
                ServiceDemand.from_dict(inputs["demand"]), InstanceLimits.from_dict(inputs["limits"]),
                FleetRules.from_dict(inputs["rules"]), inputs["safety_factor"],
                tuple(ConstraintNeed(**need) for need in data["needs"]),
                tuple(Ceiling(**item) for item in data["ceilings"]), data["largest_share"], dict(data["largest_peak"]),
                tuple(data["changes"]), tuple(data["not_checked"]), dict(data["versions"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"The {_KIND} lacks or garbles {error}; make it anew.") from None

    def _title(self) -> str:
        if self.instances is None:
            return f"No number of instances meets {self.binding.name}"
        then = f", then {self.runner_up.name}" if self.runner_up else ""
        verdict = "" if self.is_feasible else "; NOT feasible"
        return f"{counted(self.instances, 'instance')}, bound by {self.binding.name}{then}{verdict}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (need.name, "none" if need.instances is None else f"{need.instances:,}",
             "-" if need.utilization is None else percent(need.utilization), f"{need.formula}; {need.source}")
            for need in self.needs
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"ConstraintReport({self._title()})"

    def _repr_html_(self) -> str:
        return html_table(_TABLE, self._rows(), self._title())


def check_document(data: Mapping[str, Any], kind: str) -> None:
    """Refuse a document of another kind or schema version."""
    given = data.get("kind"), data.get("schema_version")
    if given != (kind, SCHEMA_VERSION):
        raise InputError(f"The document is of kind and schema version {given}; {(kind, SCHEMA_VERSION)} is needed.")
