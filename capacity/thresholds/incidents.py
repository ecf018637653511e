"""How severe an incident is, by what fails and by how much slower the service has become.

References
----------
.. [1] Fluxor, Day N Operations: "Incident Severity Levels".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Literal, cast, get_args

from capacity.thresholds.bands import checked_profile_name
from capacity.thresholds.guide_numbers import GUIDE_INCIDENTS
from capacity.thresholds.metrics import Metric, checked_value, reaches
from loadtests.foundation.checks import named_values, non_negative, stated_number
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain

IncidentSeverity = Literal["P0", "P1", "P2", "P3"]
SEVERITIES: tuple[IncidentSeverity, ...] = get_args(IncidentSeverity)
_GRADED = ("P1", "P2")
_EDGES = ("error_rate_from", "degradation_from")


@dataclass(frozen=True)
class IncidentRule:
    """What makes an incident of one severity, and how soon somebody must respond.

    Parameters
    ----------
    severity : {"P0", "P1", "P2", "P3"}
    error_rate_from, degradation_from : float, optional
        The least shares of which either is enough; for P1 and P2. P0 is a service that is down,
        P3 everything below P2.
    respond_within_s : float, default 0
        0 is at once.

    Raises
    ------
    InputError
        For an unknown severity, an edge where there is none or none where there must be one.
    """

    severity: IncidentSeverity
    error_rate_from: float | None = None
    degradation_from: float | None = None
    respond_within_s: float = 0.0

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise InputError(f"The severity is {self.severity!r}; it must be one of {', '.join(SEVERITIES)}.")
        edges = [name for name in _EDGES if getattr(self, name) is not None]
        expected = list(_EDGES) if self.severity in _GRADED else []
        if edges != expected:
            raise InputError(
                f"{self.severity} states {' and '.join(edges) or 'no edge'}; it must state "
                f"{' and '.join(expected) or 'none: P0 is a service that is down, P3 everything below P2'}."
            )
        if self.error_rate_from is not None:
            checked_value(Metric.ERROR_RATE, self.error_rate_from, name=f"error_rate_from of {self.severity}")
        for name in (*edges, "respond_within_s"):
            object.__setattr__(self, name, _share_or_time(f"{name} of {self.severity}", getattr(self, name)))

    def is_reached(self, error_rate: float, degradation: float) -> bool:
        """Whether either share has reached its edge.

        Parameters
        ----------
        error_rate, degradation : float
            As `severity` takes them.

        Returns
        -------
        bool
            Always false for P0 and P3, which have no edges.
        """
        pairs = ((error_rate, self.error_rate_from), (degradation, self.degradation_from))
        return any(edge is not None and reaches(value, edge) for value, edge in pairs)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the severity."""
        names = [*_EDGES, "respond_within_s"]
        stated = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {name: plain(exact(name, value)) for name, value in stated.items()}


@dataclass(frozen=True)
class IncidentProfile:
    """Named rules for the severity of an incident, P0 to P3.

    Parameters
    ----------
    name : str
    rules : tuple of IncidentRule
        Exactly one for each severity, most severe first.

    Raises
    ------
    InputError
        When a severity is missing or twice, or P2 does not begin below P1.
    """

    name: str
    rules: tuple[IncidentRule, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_profile_name(self.name))
        object.__setattr__(self, "rules", tuple(self.rules))
        given = tuple(rule.severity for rule in self.rules)
        if given != SEVERITIES:
            raise InputError(
                f"The profile {self.name!r} has the severities {', '.join(given) or 'none'}; "
                f"it must have {', '.join(SEVERITIES)}, each once and in this order."
            )
        graded = [rule for rule in self.rules if rule.severity in _GRADED]
        for name in _EDGES:
            _refuse_unordered(name, [(rule.severity, getattr(rule, name)) for rule in graded])

    @classmethod
    def guide(cls) -> IncidentProfile:
        """The guide's incident severities [1]_.

        Returns
        -------
        IncidentProfile
        """
        rules = (
            IncidentRule(cast(IncidentSeverity, severity), error_rate, degradation, respond_within_s)
            for severity, error_rate, degradation, respond_within_s in GUIDE_INCIDENTS
        )
        return cls("incident", tuple(rules))

    def rule(self, severity: IncidentSeverity) -> IncidentRule:
        """The rule of one severity.

        Parameters
        ----------
        severity : {"P0", "P1", "P2", "P3"}

        Returns
        -------
        IncidentRule
        """
        return self.rules[SEVERITIES.index(severity)]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the name, and the rules by severity."""
        return {"name": self.name, "severities": {rule.severity: rule.to_dict() for rule in self.rules}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> IncidentProfile:
        """Read `to_dict`'s form; the order of the severities does not matter there.

        Parameters
        ----------
        data : dict
            `name`, and `severities` by name.

        Returns
        -------
        IncidentProfile

        Raises
        ------
        InputError
            For unknown keys, and rules that are not allowed.
        """
        values = {"name": "", "severities": {}} | named_values("incident profile", data, ("name", "severities"))
        stated = named_values("table of severities", values["severities"], SEVERITIES)
        names = [item.name for item in fields(IncidentRule) if item.name != "severity"]
        return cls(
            values["name"],
            tuple(
                IncidentRule(severity, **named_values(severity, stated[severity], names))
                for severity in SEVERITIES
                if severity in stated
            ),
        )


def severity(
    error_rate: float, degradation: float = 0.0, *, is_down: bool = False, profile: IncidentProfile | None = None
) -> IncidentSeverity:
    """Return how severe an incident is; whether there is one is for somebody else to say.

    What no number tells, such as lost data, a breach or a broken feature, is for people to judge too.

    Parameters
    ----------
    error_rate : float
        Share of requests that fail, 0 to 1.
    degradation : float, default 0
        How much worse the service performs than usual, as a share: 0.3 when its P95 is 30 % longer.
        It may exceed 1; 0 when it is no worse.
    is_down : bool, default False
        Whether the service answers nothing: P0, whatever the shares.
    profile : IncidentProfile, optional
        The guide's by default.

    Returns
    -------
    {"P0", "P1", "P2", "P3"}
        The more severe of what both shares say, P3 where neither reaches an edge.

    Raises
    ------
    InputError
        For NaN, negative shares, and an error rate above 1.

    Examples
    --------
    >>> severity(0.02), severity(0.02, 0.6), severity(0.0, is_down=True)
    ('P2', 'P1', 'P0')
    """
    error_rate = checked_value(Metric.ERROR_RATE, error_rate)
    degradation = _share_or_time("degradation", degradation)
    if is_down:
        return "P0"
    rules = (profile or IncidentProfile.guide()).rules
    return next((rule.severity for rule in rules if rule.is_reached(error_rate, degradation)), "P3")


def _share_or_time(name: str, value: float) -> float:
    return non_negative(name, stated_number(name, value))


def _refuse_unordered(name: str, edges: list[tuple[str, float]]) -> None:
    for (worse, high), (milder, low) in pairwise(edges):
        if not 0 < low < high:
            raise InputError(
                f"{name} is {high:g} for {worse} and {low:g} for {milder}; "
                f"that of {milder} must be above 0 and below that of {worse}."
            )
