"""The rules of a plan, as data: headroom, phases, autoscaling bounds, and what is known of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from capacity.demand.growth import Interpolation
from capacity.planning.instance_formula import checked_factor
from capacity.thresholds.profiles import ThresholdProfiles
from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.checks import named_values, one_of, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain
from loadtests.foundation.files import read_json_or_toml

GUIDE_SAFETY_FACTORS = (1.2, 1.5)
GUIDE_UTILIZATION_PERCENT = 67

_REPLACED = (
    "The policy has limits, which thresholds have replaced. Throughput edges are bands now, and CCU thresholds shares "
    'of a stated base: {"thresholds": {"daily": {"bands": {"throughput_rps": {"warning_from": 50000, "critical_from": '
    '100000}, "ccu_utilization_max": {"warning_from": 0.67, "critical_from": 0.8}}}}}. Make a saved plan anew.'
)


@dataclass(frozen=True)
class AutoscalingBounds:
    """Fewest and most instances that the autoscaler may run (3 to 10 in the guide)."""

    min: int = 3
    max: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "min", whole("autoscaling min", self.min, least=1))
        object.__setattr__(self, "max", whole("autoscaling max", self.max, least=1))
        if self.min > self.max:
            raise InputError(f"autoscaling has min {self.min} above max {self.max}; min must not exceed max.")


@dataclass(frozen=True)
class ServiceTargets:
    """What one instance is meant to do; absent targets are not checked.

    Parameters
    ----------
    rps_per_instance : float, optional
        Throughput, requests per second.
    p95_s : float, optional
        Limit of the 95th percentile of the residence time, seconds.
    """

    rps_per_instance: float | None = None
    p95_s: float | None = None

    def __post_init__(self) -> None:
        _keep_positive(self, "rps_per_instance", "p95_s")


@dataclass(frozen=True)
class ResourceChange:
    """One setting of a vertical step: `before` and `after`, in the setting's own unit."""

    resource: str
    before: float
    after: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", _positive(f"{self.resource} before", self.before))
        object.__setattr__(self, "after", _positive(f"{self.resource} after", self.after))

    @property
    def ratio(self) -> float:
        """How many times larger it becomes."""
        return self.after / self.before


@dataclass(frozen=True)
class PlanningPolicy:
    """How much headroom to keep, and when to change the kind of scaling.

    Parameters
    ----------
    safety_factor : float or (low, high), default (1.2, 1.5)
        Factors of the instance formula, each at least 1.
    interpolation : {"geometric", "linear"}
        Between stated months.
    lead_time_months : int, default 1
        How far ahead the change to autoscaling looks.
    utilization_percent : float, optional
        Normal capacity in percent of an instance's maximum, where the capacity
        itself states no maximum. None: the maximum is the normal capacity.
    autoscaling : AutoscalingBounds
    targets : ServiceTargets
    deployment : Deployment, optional
        Limits of one instance; with them the plan checks the operational laws.
    vertical_step : tuple of ResourceChange
        What scaling up is said to change; ``max_ccu`` is the claim, the rest its means.
    thresholds : ThresholdProfiles, optional
        Bands, alerts, readiness and scaling rules: what somebody watches. With a deployment the plan says which of
        them cannot fire; the daily throughput bands are compared with the target.

    Raises
    ------
    InputError
        For a factor below 1, factors or bounds out of order, and unknown names.
    """

    safety_factor: tuple[float, float] = GUIDE_SAFETY_FACTORS
    interpolation: Interpolation = "geometric"
    lead_time_months: int = 1
    utilization_percent: float | None = GUIDE_UTILIZATION_PERCENT
    autoscaling: AutoscalingBounds = field(default_factory=AutoscalingBounds)
    targets: ServiceTargets = field(default_factory=ServiceTargets)
    deployment: Deployment | None = None
    vertical_step: tuple[ResourceChange, ...] = ()
    thresholds: ThresholdProfiles | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "safety_factor", _factor_pair(self.safety_factor))
        one_of("interpolation", self.interpolation, get_args(Interpolation))
        object.__setattr__(self, "lead_time_months", whole("lead_time_months", self.lead_time_months))
        object.__setattr__(self, "vertical_step", tuple(self.vertical_step))
        if self.utilization_percent is not None:
            percent = exact("utilization_percent", self.utilization_percent)
            if not 0 < percent <= 100:
                raise InputError(
                    f"utilization_percent is {self.utilization_percent}; it must lie above 0 and up to 100."
                )
            object.__setattr__(self, "utilization_percent", _kept(self.utilization_percent))

    @classmethod
    def guide(cls) -> PlanningPolicy:
        """The guide's rules, its instance, its targets, its thresholds, and its vertical step.

        The guide does not say what its CCU thresholds are shares of. Here it is the maximum, the reading under which
        some of them cannot fire, so that the plan says so.
        """
        step = (("max_ccu", 5_000, 15_000), ("workers", 50, 100), ("db_pool", 100, 200), ("cpu_cores", 4, 8))
        return cls(
            targets=ServiceTargets(rps_per_instance=50_000, p95_s=0.050),
            deployment=Deployment.guide(),
            vertical_step=tuple(ResourceChange(*change) for change in (*step, ("memory_gb", 4, 8))),
            thresholds=ThresholdProfiles.guide(ccu_base="max"),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the policy object of a plan request; what is absent is left out."""
        return {
            "safety_factor": [plain(exact("safety_factor", factor)) for factor in self.safety_factor],
            "interpolation": self.interpolation,
            "lead_time_months": self.lead_time_months,
            "utilization_percent": self.utilization_percent,
            "autoscaling": {"min": self.autoscaling.min, "max": self.autoscaling.max},
            **_optional_part("targets", _stated(self.targets)),
            **_optional_part("deployment", self.deployment.to_dict() if self.deployment else None),
            **_optional_part(
                "vertical_step", {item.resource: [item.before, item.after] for item in self.vertical_step}
            ),
            **_optional_part("thresholds", self.thresholds.to_dict() if self.thresholds else None),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanningPolicy:
        """Read `to_dict`'s form; absent keys take the defaults, unknown ones are an error that lists the known."""
        if isinstance(data, Mapping) and "limits" in data:
            raise InputError(_REPLACED)
        values = _known("policy", data, cls)
        readers: dict[str, Callable[[Any], Any]] = {
            "autoscaling": lambda part: AutoscalingBounds(**_known("autoscaling", part, AutoscalingBounds)),
            "targets": lambda part: ServiceTargets(**_known("targets", part, ServiceTargets)),
            "deployment": lambda part: None if part is None else _deployment(_object("deployment", part)),
            "vertical_step": _vertical_step,
            "thresholds": lambda part: None if part is None else ThresholdProfiles.from_dict(part),
        }
        return cls(**{name: readers[name](part) if name in readers else part for name, part in values.items()})

    @classmethod
    def read(cls, path: str | Path) -> PlanningPolicy:
        """Read a policy file, JSON or TOML by its ending."""
        path = Path(path)
        try:
            return cls.from_dict(read_json_or_toml(path, "policy file"))
        except InputError as error:
            raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None


def _factor_pair(given: Any) -> tuple[float, float]:
    pair = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    if len(pair) != 2:
        raise InputError(f"safety_factor is {given!r}; give one factor or a pair such as [1.2, 1.5].")
    low, high = pair
    if checked_factor(low) > checked_factor(high):
        raise InputError(f"safety_factor is {given!r}; the first must not exceed the second.")
    return _kept(low), _kept(high)


def _kept(number: Number) -> int | float:
    """A checked number as plain JSON can hold it."""
    return number if isinstance(number, (int, float)) else plain(exact("number", number))


def _deployment(part: dict[str, Any]) -> Deployment:
    texts = {name: value for name, value in part.items() if isinstance(value, str) and value != UNLIMITED}
    for name, value in texts.items():
        raise InputError(f'deployment {name} is {value!r}; it must be a number, or "{UNLIMITED}".')
    return Deployment.from_dict(part)


def _vertical_step(part: Any) -> tuple[ResourceChange, ...]:
    changes = []
    for resource, values in _object("vertical_step", part).items():
        if not isinstance(values, (list, tuple)) or len(values) != 2:
            raise InputError(f"vertical_step {resource} is {values!r}; give [before, after].")
        changes.append(ResourceChange(resource, *values))
    return tuple(changes)


def _known(what: str, data: Any, kind: type) -> dict[str, Any]:
    return named_values(what, data, [item.name for item in fields(kind)])


def _object(what: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise InputError(f"The {what} is {data!r}; it must be an object with named values.")
    return dict(data)


def _stated(part: ServiceTargets) -> dict[str, Any]:
    values = {item.name: getattr(part, item.name) for item in fields(part)}
    return {name: value for name, value in values.items() if value is not None}


def _optional_part(name: str, part: dict[str, Any] | None) -> dict[str, Any]:
    return {name: part} if part else {}


def _keep_positive(part: ServiceTargets, *names: str) -> None:
    for name in names:
        if getattr(part, name) is not None:
            object.__setattr__(part, name, _positive(name, getattr(part, name)))


def _positive(name: str, value: Any) -> int | float:
    """The number itself, above 0; text that looks like one is refused."""
    number = exact(name, value)
    if number <= 0:
        raise InputError(f"{name} is {value!r}; it must be above 0.")
    return plain(number)
