"""What a calibration found, how sure it is, and its file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.distributions import Distribution, distribution_from_dict, distribution_to_dict
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json, write_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from loadtests.recording import LoadStep
from simulations.analysis.run_length import cycle_time_s
from simulations.calibration.further_step import NextStep
from simulations.calibration.model_form import ModelForm
from simulations.calibration.resources import resources_of
from simulations.calibration.scalability import Scalability
from simulations.calibration.scoring import FormScore
from simulations.calibration.valid_range import USERS, ValidRange
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

if TYPE_CHECKING:
    import pandas as pd

_KIND = "calibrated-model"
_SAME_CYCLE = 0.05
"""Times from request to request that differ relatively by no more are taken as the same."""


@dataclass(frozen=True)
class ParameterDraws:
    """Joint draws of the fitted parameters.

    Parameters
    ----------
    names : tuple of str
    values : array, shape (draws, len(names))
        SI units.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, repr=False)
class CalibrationResult:
    """A fitted model with its uncertainty and the evidence behind it.

    Parameters
    ----------
    model : ServerModel
        The best fit.
    form : ModelForm
        Which limits, shape of service times, stages and classes it has.
    parameters : dict of str to Interval
        Parameter intervals (seconds; cv without unit; limits as counts).
    identified : dict of str to bool
        Whether the recording tells the parameter.
    draws : ParameterDraws
        Joint draws for predictions and plans.
    scores : tuple of FormScore
        The forms compared, the chosen one first.
    think_time : Distribution
        Pooled measured gaps: what predictions use unless told otherwise.
    steps : tuple of LoadStep
        The steps that it was calibrated on.
    findings : tuple of Finding
    next_step : NextStep or None
        The further load step that would tell the most.
    seed : int
    level : float
    source : str
        Folder of the recording.
    scalability : Scalability, optional
        Contention and coherency of the recording; None where fewer than four steps of users who think are known.
    """

    model: ServerModel
    form: ModelForm
    parameters: dict[str, Interval]
    identified: dict[str, bool]
    draws: ParameterDraws
    scores: tuple[FormScore, ...]
    think_time: Distribution
    steps: tuple[LoadStep, ...]
    findings: tuple[Finding, ...]
    next_step: NextStep | None
    seed: int
    level: float
    source: str
    scalability: Scalability | None = None

    @property
    def family(self) -> str:
        """Shape of the service times, and the stage if there is one."""
        return self.form.describe()

    @property
    def users_range(self) -> tuple[int, int]:
        """Lightest and heaviest calibrated load."""
        users = [step.users for step in self.steps]
        return min(users), max(users)

    @property
    def valid_range(self) -> ValidRange:
        """Loads of one instance inside which the model may be used; predictions beyond carry a finding."""
        return ValidRange.of(self.steps)

    @property
    def resources(self) -> dict[str, Interval]:
        """CPU seconds and memory of a request, and of an idle instance; of kind ``assumed`` where no gauge told."""
        return resources_of(self.parameters, self.model)

    @property
    def assumed_resources(self) -> dict[str, Interval]:
        """Those of `resources` that no gauge told."""
        return {name: item for name, item in self.resources.items() if item.kind == "assumed"}

    def heaviest_users(self, think_time: Distribution | None = None) -> float:
        """Users of one instance who would offer as many requests as those of the highest valid load.

        Users who think for another time offer other rates: N = N' (R + Z) / (R + Z'), with the residence time R where
        nobody waits. Where only the rate of requests was known: N = X (R + Z) [1]_.

        Parameters
        ----------
        think_time : Distribution, optional
            Default: the calibrated one.

        References
        ----------
        .. [1] P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models", ACM Computing
           Surveys 10(3), 1978.
        """
        if self.valid_range.unit == USERS:
            return self.valid_range.highest * (1.0 if think_time is None else self._cycles(think_time))
        heaviest = max(self.steps, key=lambda step: step.metrics["throughput_rps"].mid)
        think_s = (think_time or self.think_time).mean_s
        return heaviest.metrics["throughput_rps"].mid * (heaviest.metrics["mean_s"].mid + think_s)

    def _cycles(self, think_time: Distribution) -> float:
        """How much longer users with this think time take from request to request than the calibrated ones.

        A stated think time and measured gaps differ a little where the users are the same.
        """
        own_s, asked_s = (cycle_time_s(self.model, ClosedWorkload(1, think)) for think in (self.think_time, think_time))
        return asked_s / own_s if abs(asked_s / own_s - 1.0) > _SAME_CYCLE else 1.0

    def to_frame(self) -> pd.DataFrame:
        """One row a parameter: parameter, low, mid, high, level, identified."""
        import pandas as pd

        rows = [
            {"parameter": name, "low": item.low, "mid": item.mid, "high": item.high, "level": item.level,
             "identified": self.identified.get(name, True)}
            for name, item in self.parameters.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        for name, item in self.parameters.items():
            known = "" if self.identified.get(name, True) else "  NOT IDENTIFIED"
            lines.append(f"  {name:<21} {item}{known}")
        lines += [f"  {name:<21} {item.mid:g}  ASSUMED" for name, item in self.assumed_resources.items()]
        lines += [
            f"  {score.form}: chi-square per degree of freedom {score.ratio:.2f}, held-out score "
            f"{score.held_out_score:.2f}"
            for score in self.scores
        ]
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        if self.scalability is not None:
            lines.append(f"  {self.scalability.text}")
        if self.next_step is not None:
            lines.append(f"  next: {self.next_step.text}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON form (`model.json`)."""
        return {
            "schema_version": SCHEMA_VERSION, "kind": _KIND, "model": self.model.to_dict(), "form": self.form.to_dict(),
            "parameters": {name: item.to_dict() for name, item in self.parameters.items()},
            "identified": self.identified,
            "resources": {name: item.to_dict() for name, item in self.resources.items()},
            "draws": {"names": list(self.draws.names), "values": self.draws.values.tolist()},
            "scores": [asdict(score) for score in self.scores],
            "think_time": distribution_to_dict(self.think_time), "steps": [step.to_dict() for step in self.steps],
            "findings": [item.to_dict() for item in self.findings],
            "next_step": None if self.next_step is None else self.next_step.to_dict(), "seed": self.seed,
            "level": self.level,
            "scalability": None if self.scalability is None else self.scalability.to_dict(),
            "source": self.source, "versions": versions_of("numpy", "numba", "scipy"),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CalibrationResult:
        """Read what `to_dict` wrote."""
        if data.get("kind") != _KIND:
            raise InputError(
                f"This JSON is of kind {data.get('kind')!r}; a model file from `capacity calibrate` is needed."
            )
        if data.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"The model file has schema version {data.get('schema_version')!r}; this one reads {SCHEMA_VERSION}."
            )
        draws = np.asarray(data["draws"]["values"], dtype=float)
        names = tuple(data["draws"]["names"])
        if draws.ndim != 2 or draws.shape[1] != len(names) or not len(draws) or not np.all(np.isfinite(draws)):
            raise InputError("The model file's draws are not a table of finite numbers; write it anew.")
        if not data["steps"]:
            raise InputError("The model file has no steps; write it anew with `capacity calibrate`.")
        return cls(
            model=ServerModel.from_dict(data["model"]), form=ModelForm.from_dict(data["form"]),
            parameters={name: Interval.from_dict(item) for name, item in data["parameters"].items()},
            identified=dict(data["identified"]),
            draws=ParameterDraws(names, draws),
            scores=tuple(FormScore(**score) for score in data["scores"]),
            think_time=distribution_from_dict(data["think_time"]),
            steps=tuple(LoadStep.from_dict(step) for step in data["steps"]),
            findings=tuple(Finding.from_dict(item) for item in data["findings"]),
            next_step=NextStep(**data["next_step"]) if data.get("next_step") else None,
            seed=int(data["seed"]), level=float(data["level"]), source=str(data["source"]),
            scalability=Scalability.from_dict(data["scalability"]) if data.get("scalability") else None,
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the model file, whole or not at all."""
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> CalibrationResult:
        """Read a model file."""
        document = read_json(path, "model file")
        try:
            return cls.from_dict(document)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The model file {path} lacks or garbles {error}; write it anew with `capacity calibrate`."
            ) from None

    def __repr__(self) -> str:
        return f"CalibrationResult({self.family}, {len(self.steps)} steps, {self.valid_range})"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.5g}"))
