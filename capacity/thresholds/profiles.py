"""All profiles together, the guide's or one's own, and the table of a policy file that states them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from capacity.thresholds.bands import BandProfile
from capacity.thresholds.incidents import IncidentProfile
from capacity.thresholds.metrics import CcuBase
from capacity.thresholds.scaling import ScalingProfile
from loadtests.foundation.checks import named_values
from loadtests.foundation.errors import InputError


def _guide_alert() -> BandProfile:
    return BandProfile.guide("alert")


def _guide_readiness() -> BandProfile:
    return BandProfile.guide("readiness")


@dataclass(frozen=True)
class ThresholdProfiles:
    """Daily bands, alerts, readiness, scaling rules, incident severities; they differ on purpose and are never mixed.

    Parameters
    ----------
    daily, alert, readiness : BandProfile
    scaling : ScalingProfile
    incident : IncidentProfile
        Each is the guide's by default.

    Raises
    ------
    InputError
        When two profiles have the same name, which is all that tells their verdicts apart.
    """

    daily: BandProfile = field(default_factory=BandProfile.guide)
    alert: BandProfile = field(default_factory=_guide_alert)
    readiness: BandProfile = field(default_factory=_guide_readiness)
    scaling: ScalingProfile = field(default_factory=ScalingProfile.guide)
    incident: IncidentProfile = field(default_factory=IncidentProfile.guide)

    def __post_init__(self) -> None:
        names = [getattr(self, item.name).name for item in fields(self)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"Two profiles are named {', '.join(twice)}; give each its own name.")

    @classmethod
    def guide(cls, *, ccu_base: CcuBase = "normal") -> ThresholdProfiles:
        """The guide's profiles.

        Parameters
        ----------
        ccu_base : {"normal", "max"}, default "normal"
            What the CCU utilization is a share of; the guide does not say.

        Returns
        -------
        ThresholdProfiles

        Raises
        ------
        InputError
            For another base.
        """
        return cls(
            BandProfile.guide("daily", ccu_base=ccu_base),
            BandProfile.guide("alert", ccu_base=ccu_base),
            BandProfile.guide("readiness"),
            ScalingProfile.guide(ccu_base=ccu_base),
            IncidentProfile.guide(),
        )

    def with_thresholds(self) -> Iterator[BandProfile | ScalingProfile]:
        """Yield the profiles whose thresholds a configured limit may keep from firing."""
        yield from (self.daily, self.alert, self.readiness, self.scaling)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the table `thresholds` of a policy file."""
        return {item.name: getattr(self, item.name).to_dict() for item in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ThresholdProfiles:
        """Read `to_dict`'s form.

        Parameters
        ----------
        data : dict
            `daily`, `alert`, `readiness`, `scaling`, `incident`; each replaces the guide's profile as a whole, an
            absent one is the guide's. A profile without a `name` has that of its key.

        Returns
        -------
        ThresholdProfiles

        Raises
        ------
        InputError
            For unknown keys, and profiles that are not allowed.
        """
        readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "daily": BandProfile.from_dict,
            "alert": BandProfile.from_dict,
            "readiness": BandProfile.from_dict,
            "scaling": ScalingProfile.from_dict,
            "incident": IncidentProfile.from_dict,
        }
        stated = named_values("table of thresholds", data, readers)
        return cls(**{key: _read(key, readers[key], part) for key, part in stated.items()})


def _read(key: str, reader: Callable[[dict[str, Any]], Any], part: object) -> Any:
    try:
        return reader({"name": key} | named_values("profile", part))
    except InputError as error:
        raise InputError(f"thresholds {key}: {error}") from None
