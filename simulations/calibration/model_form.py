"""The forms of server that a calibration compares, and how a vector of numbers becomes a model.

A form is what is fixed while numbers are fitted: the limits, the shape of the service times, the stages that a
request goes through, and the classes of the mix. Its numbers are positive and fitted as logarithms:

- every class has a mean service time and a cv;
- where the form has a stage (``cores`` or ``database``), a mean time in it besides, of the same shape and cv;
- one network round trip for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from simulations.calibration.service_shapes import NAMED, ServiceShape
from simulations.model.server_model import RequestClass, ServerModel

Floats = NDArray[np.float64]
Stage = Literal["none", "cores", "database"]

LIMITS = ("gate_limit", "workers", "db_pool", "cpu_cores")
"""Limits that a calibration can search, in the order in which it does."""

_TIME_BOUNDS, _CV_BOUNDS = (1e-7, 1e3), (0.02, 10.0)
STAGE_NAMES: dict[Stage, str] = {"cores": "cpu_mean_s", "database": "database_mean_s"}
"""The number that a stage adds."""


@dataclass(frozen=True)
class Mix:
    """The classes of requests that are told apart.

    Parameters
    ----------
    names : tuple of str
        Empty: all requests are one class.
    weights : tuple of float
        Shares of the requests.
    """

    names: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What a class adds to a parameter's name: ``[name]``, nothing for the only one."""
        return tuple(f"[{name}]" for name in self.names) or ("",)


@dataclass(frozen=True)
class ModelForm:
    """What is fixed while numbers are fitted.

    Parameters
    ----------
    deployment : Deployment
        Stated limits, and those that the search is at.
    shape : ServiceShape
        Of the time that each request holds its worker.
    stage : {"none", "cores", "database"}
        A stage in which requests share cores, or hold a database connection, during part of that time.
    mix : Mix
    rejection_time_s : float, optional
        As measured; default: a rejection takes the network round trip.
    without_stage : tuple of str
        Labels of classes that skip the stage: a request that needs no connection waits for none.
    """

    deployment: Deployment
    shape: ServiceShape
    stage: Stage = "none"
    mix: Mix = field(default_factory=Mix)
    rejection_time_s: float | None = None
    without_stage: tuple[str, ...] = ()

    @property
    def staged(self) -> tuple[str, ...]:
        """Labels of the classes that go through the stage."""
        if self.stage == "none":
            return ()
        return tuple(label for label in self.mix.labels if label not in self.without_stage)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers, in their order."""
        times = [f"{kind}{label}" for label in self.mix.labels for kind in ("service_mean_s", "service_cv")]
        stages = [f"{STAGE_NAMES[self.stage]}{label}" for label in self.staged]
        return (*times, *stages, "network_round_trip_s")

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Allowed values, transformed."""
        pairs = np.array([_bounds_of(name) for name in self.names])
        return self.transformed(pairs[:, 0]), self.transformed(pairs[:, 1])

    def transformed(self, values: Floats) -> Floats:
        """What is fitted: logarithms."""
        return np.log(values)

    def values(self, theta: Floats) -> Floats:
        """The numbers themselves; theta of shape (..., names)."""
        return np.exp(theta)

    def model(self, theta: Floats) -> ServerModel:
        """The server model at transformed numbers."""
        low, high = self.bounds
        return self.model_of(dict(zip(self.names, self.values(np.clip(theta, low, high)).tolist(), strict=True)))

    def model_of(self, numbers: Mapping[str, float], speed: float = 1.0) -> ServerModel:
        """The server model of numbers by name.

        Parameters
        ----------
        numbers : mapping of str to float
            Those of `names`; limits among them (`LIMITS`) replace the form's.
        speed : float, default 1
            Factor of every time at the server.

        Returns
        -------
        ServerModel
        """
        found = {name: numbers[name] for name in LIMITS if name in numbers}
        whole = {name: value if name == "cpu_cores" else max(1, round(value)) for name, value in found.items()}
        deployment = self.deployment.with_limits(**whole) if whole else self.deployment
        stages = [self._stages(numbers, label, speed) for label in self.mix.labels]
        round_trip_s = float(numbers["network_round_trip_s"])
        if not self.mix.names:
            return ServerModel(
                deployment, network_round_trip_s=round_trip_s, rejection_time_s=self.rejection_time_s, **stages[0]
            )
        classes = tuple(
            RequestClass(name, weight, **times)
            for name, weight, times in zip(self.mix.names, self.mix.weights, stages, strict=True)
        )
        return ServerModel(
            deployment, stages[0]["service_time"], round_trip_s, request_classes=classes,
            rejection_time_s=self.rejection_time_s,
        )  # fmt: skip

    def _stages(self, numbers: Mapping[str, float], label: str, speed: float) -> dict[str, Any]:
        mean_s, cv = speed * float(numbers[f"service_mean_s{label}"]), float(numbers[f"service_cv{label}"])
        found = {"service_time": self._time(mean_s, cv)}
        if label in self.staged:
            part = "cpu_time" if self.stage == "cores" else "database_time"
            found[part] = self._time(speed * float(numbers[f"{STAGE_NAMES[self.stage]}{label}"]), cv)
        return found

    def _time(self, mean_s: float, cv: float) -> Distribution:
        return self.shape.distribution(mean_s, cv)

    def with_limits(self, **limits: Any) -> ModelForm:
        """The same form under other limits."""
        return replace(self, deployment=self.deployment.with_limits(**limits))

    def describe(self) -> str:
        """A few words: shape and stage."""
        stage = {"none": "", "cores": ", on shared cores", "database": ", with a database pool"}[self.stage]
        return f"{self.shape.name}{stage}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "deployment": self.deployment.to_dict(), "shape": self.shape.name,
            **({"template": list(self.shape.template)} if self.shape.template else {}),
            "stage": self.stage, "classes": list(self.mix.names), "weights": list(self.mix.weights),
            "rejection_time_s": self.rejection_time_s, "without_stage": list(self.without_stage),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelForm:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            For a shape or a stage that this version does not know.
        """
        template = tuple(float(value) for value in data.get("template", ()))
        if (data["shape"] not in NAMED) == (not template) or data["stage"] not in ("none", "cores", "database"):
            raise InputError(
                f"The model file's form has shape {data['shape']!r} and stage {data['stage']!r}; write it anew."
            )
        mix = Mix(tuple(data["classes"]), tuple(float(weight) for weight in data["weights"]))
        rejection_s = data.get("rejection_time_s")
        return cls(
            Deployment.from_dict(data["deployment"]), ServiceShape(data["shape"], template), data["stage"], mix,
            None if rejection_s is None else float(rejection_s), tuple(data.get("without_stage", ())),
        )  # fmt: skip


def _bounds_of(name: str) -> tuple[float, float]:
    return _CV_BOUNDS if "_cv" in name else _TIME_BOUNDS
