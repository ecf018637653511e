"""When to scale: metric, threshold, how long it must hold, and what to do then.

References
----------
.. [1] Fluxor, Day N Operations: "Scaling Decision Matrix".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

from capacity.thresholds.bands import checked_profile_name
from capacity.thresholds.guide_numbers import GUIDE_SCALING, with_ccu_base
from capacity.thresholds.metrics import CcuBase, Metric, checked_value
from capacity.thresholds.threshold import Threshold
from loadtests.foundation.checks import named_values, one_of, stated_number
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain

Action = Literal["scale", "investigate-and-scale"]


@dataclass(frozen=True)
class ScalingRule:
    """Act when `metric` has been at `threshold` or above for `duration_s` without interruption.

    Parameters
    ----------
    metric : Metric
    threshold : float
        In the metric's unit, above 0; reaching it is enough.
    duration_s : float
        Above 0.
    action : {"scale", "investigate-and-scale"}, default "scale"
        ``scale`` is the guide's "scale up/out".

    Raises
    ------
    InputError
        For a number that is not above 0, an unknown metric or an unknown action.
    """

    metric: Metric
    threshold: float
    duration_s: float
    action: Action = "scale"

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", Metric.parse(self.metric))
        name = f"The threshold of {self.metric}"
        object.__setattr__(self, "threshold", _above_0(name, checked_value(self.metric, self.threshold, name=name)))
        name = f"The duration_s of {self.metric}"
        object.__setattr__(self, "duration_s", _above_0(name, stated_number(name, self.duration_s)))
        one_of("The action of a scaling rule", self.action, get_args(Action))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        numbers = {name: plain(exact(name, getattr(self, name))) for name in ("threshold", "duration_s")}
        return {"metric": str(self.metric), **numbers, "action": self.action}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScalingRule:
        """Read `to_dict`'s form.

        Parameters
        ----------
        data : dict
            `metric`, `threshold`, `duration_s`, and `action` unless it is ``scale``.

        Returns
        -------
        ScalingRule

        Raises
        ------
        InputError
            For unknown and absent keys, and values out of range.
        """
        values = named_values("scaling rule", data, [item.name for item in fields(cls)])
        absent = [name for name in ("metric", "threshold", "duration_s") if name not in values]
        if absent:
            raise InputError(f"A scaling rule is {data!r}; it must also state {', '.join(absent)}.")
        return cls(**values)


@dataclass(frozen=True)
class ScalingProfile:
    """Named scaling rules.

    Parameters
    ----------
    name : str
    rules : tuple of ScalingRule
        A metric may have several, with different durations.

    Raises
    ------
    InputError
        Without a name or rules, and when a rule is there twice.
    """

    name: str
    rules: tuple[ScalingRule, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_profile_name(self.name))
        object.__setattr__(self, "rules", tuple(self.rules))
        if not self.rules:
            raise InputError(f"The profile {self.name!r} has no rules; state at least one.")
        if len(set(self.rules)) < len(self.rules):
            raise InputError(f"The profile {self.name!r} has a rule twice; state each once.")

    @classmethod
    def guide(cls, *, ccu_base: CcuBase = "normal") -> ScalingProfile:
        """The guide's scaling decision matrix [1]_.

        Parameters
        ----------
        ccu_base : {"normal", "max"}, default "normal"
            What the CCU utilization is a share of; the guide does not say.

        Returns
        -------
        ScalingProfile

        Raises
        ------
        InputError
            For another base.
        """
        return cls(
            "scaling",
            tuple(
                ScalingRule(with_ccu_base(metric, ccu_base), threshold, duration_s, cast(Action, action))
                for metric, threshold, duration_s, action in GUIDE_SCALING
            ),
        )

    def thresholds(self) -> Iterator[Threshold]:
        """Yield the threshold of every rule."""
        for rule in self.rules:
            yield Threshold(self.name, rule.metric, rule.threshold, rule.action)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the name and the rules."""
        return {"name": self.name, "rules": [rule.to_dict() for rule in self.rules]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScalingProfile:
        """Read `to_dict`'s form.

        Parameters
        ----------
        data : dict
            `name`, and `rules` as a list.

        Returns
        -------
        ScalingProfile

        Raises
        ------
        InputError
            For unknown keys, and rules that are not allowed.
        """
        values = {"name": "", "rules": []} | named_values("scaling profile", data, ("name", "rules"))
        if not isinstance(values["rules"], (list, tuple)):
            raise InputError(f"The rules of a scaling profile are {values['rules']!r}; they must be a list.")
        return cls(values["name"], tuple(map(ScalingRule.from_dict, values["rules"])))


def _above_0(name: str, number: float) -> float:
    if number <= 0:
        raise InputError(f"{name} is {number:g}; it must be above 0.")
    return number
