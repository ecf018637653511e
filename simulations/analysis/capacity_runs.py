"""The runs of a search: one model at many loads with the same random numbers, each load judged once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulations.analysis.load_levels import SteadyWorkload, at_load, judged_run
from simulations.analysis.load_roots import Excess
from simulations.analysis.metrics import Window
from simulations.analysis.objective import Judged, Judgement, Objective, judge
from simulations.analysis.simulation import simulate_log
from simulations.engines.request_log import RequestLog
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel

End = Callable[[Judged], float]


@dataclass(frozen=True)
class Question:
    """What is searched for, apart from the model."""

    workload: SteadyWorkload
    objective: Objective
    fleet: Fleet | None
    level: float
    seed: int

    @property
    def instances(self) -> int:
        """How many share the load."""
        return 1 if self.fleet is None else self.fleet.instances


@dataclass(frozen=True)
class JudgedRuns:
    """One model's runs.

    Parameters
    ----------
    question : Question
    model : ServerModel
    requests : float
        Of each run after its warm-up.
    level : float, optional
        Of confidence intervals; default: none are made.
    """

    question: Question
    model: ServerModel
    requests: float
    level: float | None = None
    known: dict[float, Judgement] = field(default_factory=dict, repr=False)

    def at(self, load: float) -> Judgement:
        """The judgement at a load."""
        if load not in self.known:
            log, window = self.log_at(load)
            self.known[load] = judge(log, window, self.model, self.question.objective, level=self.level)
        return self.known[load]

    def log_at(self, load: float) -> tuple[RequestLog, Window]:
        """The run at a load, and the window in which it is settled."""
        asked = self.question
        workload = at_load(asked.workload, load)
        length, window = judged_run(self.model, workload, self.requests, asked.fleet)
        return simulate_log(self.model, workload, length, seed=asked.seed, fleet=asked.fleet), window

    def excess(self, end: End, *, bad_alone: bool = False) -> Excess:
        """The largest excess over all limits (over that on bad requests alone) as a function of the load."""

        def largest(load: float) -> float:
            parts = self.at(load).parts
            return max(end(item) for item in parts if item.limit.probability is None or not bad_alone)

        return largest


def value(part: Judged) -> float:
    """Excess of what was seen."""
    return part.limit.excess(part.share)


def upper_end(part: Judged) -> float:
    """Excess of the interval's upper end; of the value where nothing is allowed, for no run can rule out one."""
    return part.limit.excess(part.interval.high if part.limit.allowed_share > 0 else part.share)


def lower_end(part: Judged) -> float:
    """Excess of the interval's lower end; of the value where nothing is allowed."""
    return part.limit.excess(part.interval.low if part.limit.allowed_share > 0 else part.share)
