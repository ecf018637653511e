"""`simulate`: one model under one workload, by whichever engine fits, with intervals."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loadtests.foundation.checks import one_of
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from simulations.analysis.metrics import Window, conservation_error, full_window, utilization
from simulations.analysis.output_analysis import WARM_UP_FRACTION, batch_intervals
from simulations.analysis.run_length import warm_up_time_s
from simulations.engines import inputs
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, Workload

if TYPE_CHECKING:
    import pandas as pd

EngineName = Literal["auto", "simpy", "compiled"]
_LITTLE_TOLERANCE = 0.01


@dataclass(frozen=True, repr=False)
class SimulationResult:
    """What one run showed.

    Parameters
    ----------
    model, workload : ServerModel, Workload
        What was simulated.
    metrics : dict of str to Interval
        `simulations.analysis.metrics.METRIC_NAMES`, confidence intervals of the long run.
    seed : int
    engine : str
        ``compiled`` or ``simpy``.
    simulated_s, wall_s : float
        Length of the run in its own time (after the warm-up) and in ours.
    count : int
        Requests simulated, warm-up included.
    findings : tuple of Finding
    requests : RequestLog or None
        The log, with ``keep="requests"``.
    """

    model: ServerModel
    workload: Workload
    metrics: dict[str, Interval]
    seed: int
    engine: str
    simulated_s: float
    wall_s: float
    count: int
    findings: tuple[Finding, ...] = ()
    requests: RequestLog | None = field(default=None, repr=False)

    @property
    def utilization(self) -> dict[str, Interval | None]:
        """Mean shares of what is limited, with their intervals; None where the base is not stated.

        `workers` and `queue` by their own limits; `gate_normal` and `gate_max` are the
        requests inside over the deployment's normal and maximum CCU.
        """
        return utilization(self.metrics, self.model)

    def to_frame(self) -> pd.DataFrame:
        """One row a metric: metric, low, mid, high, level (SI units)."""
        import pandas as pd

        rows = [
            {"metric": name, "low": item.low, "mid": item.mid, "high": item.high, "level": item.level}
            for name, item in (*self.metrics.items(), *self._known_utilization().items())
        ]
        return pd.DataFrame(rows)

    def _known_utilization(self) -> dict[str, Interval]:
        return {f"utilization_{name}": item for name, item in self.utilization.items() if item is not None}

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the seed, the versions and the inputs."""
        return {
            "schema_version": SCHEMA_VERSION, "model": self.model.to_dict(), "workload": self.workload.to_dict(),
            "metrics": {name: item.to_dict() for name, item in self.metrics.items()},
            "utilization": {name: None if item is None else item.to_dict() for name, item in self.utilization.items()},
            "seed": self.seed, "engine": self.engine, "requests": self.count,
            "findings": [item.to_dict() for item in self.findings], "versions": versions_of("numpy", "numba", "simpy"),
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        lines += [f"  {name:<23} {item}" for name, item in (*self.metrics.items(), *self._known_utilization().items())]
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        speed = self.count / self.wall_s if self.wall_s > 0 else math.inf
        return f"SimulationResult({self.count:,} requests, {self.engine} engine, seed {self.seed}, {speed:,.0f}/s)"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.5g}"))


def simulate(
    model: ServerModel,
    workload: Workload,
    *,
    requests: int | None = None,
    horizon_s: float = math.inf,
    seed: int = 1,
    engine: EngineName = "auto",
    keep: Literal["requests"] | None = None,
    level: float = 0.9,
) -> SimulationResult:
    """Simulate a model and return its long-run metrics with confidence intervals.

    Parameters
    ----------
    model : ServerModel
    workload : OpenWorkload or ClosedWorkload
    requests : int, optional
        Number of requests; or
    horizon_s : float, optional
        simulated seconds; at least one of the two.
    seed : int, default 1
        The same seed gives the same requests in either engine.
    engine : {"auto", "simpy", "compiled"}, default "auto"
        ``auto`` takes the compiled engine wherever it covers the model (today: always).
    keep : {"requests"}, optional
        Keep the request log in the result.
    level : float, default 0.9
        Of the confidence intervals.

    Raises
    ------
    InputError
        When the run has no end, or users could send for ever in no time.
    """
    one_of("engine", engine, ("auto", "simpy", "compiled"))
    if not 0 < level < 1:
        raise InputError(f"level is {level!r}; it must lie between 0 and 1, for example 0.9.")
    began = time.perf_counter()
    chosen = "compiled" if engine == "auto" else engine
    log = simulate_log(model, workload, RunLength(requests, horizon_s), seed=seed, engine=chosen)
    window, too_short = _settled_window(model, workload, log)
    if window.length_s <= 0:
        raise InputError(f"The run ended after {len(log)} requests; give more requests or a longer horizon.")
    return SimulationResult(
        model, workload, batch_intervals(log, window, level), seed, chosen, window.length_s,
        time.perf_counter() - began, len(log), (*model.findings, *too_short, *_checked(log, window)),
        log if keep == "requests" else None,
    )  # fmt: skip


def _settled_window(model: ServerModel, workload: Workload, log: RequestLog) -> tuple[Window, tuple[Finding, ...]]:
    """The run without its warm-up; half of it, with a finding, where the population needs longer to settle."""
    whole_run = full_window(log)
    if not isinstance(workload, ClosedWorkload):
        return full_window(log, WARM_UP_FRACTION), ()
    needed_s = warm_up_time_s(model, workload)
    if 2 * needed_s <= whole_run.end_s:
        return Window(needed_s, whole_run.end_s), ()
    shortened = Window((whole_run.start_s + whole_run.end_s) / 2, whole_run.end_s)
    return shortened, (_run_too_short(whole_run.end_s, needed_s),)


def _run_too_short(run_s: float, needed_s: float) -> Finding:
    return Finding(
        "run-too-short", "warning",
        f"The run covers {run_s:.3g} s of simulated time; the users need about {needed_s:.3g} s to settle, so the "
        "numbers may still show the start rather than the long run.",
        f"Simulate at least {2 * needed_s:.3g} s (horizon_s=), or {2 * needed_s / max(run_s, 1e-12):.2g} times more.",
        {"run_s": run_s, "settling_time_s": needed_s},
    )  # fmt: skip


def simulate_log(
    model: ServerModel,
    workload: Workload,
    length: RunLength,
    *,
    seed: int,
    engine: str = "compiled",
    fleet: Fleet | None = None,
) -> RequestLog:
    """One run's request log, without statistics."""
    refuse_endless(model, workload)
    if engine == "simpy":
        from simulations.engines import simpy_engine

        return simpy_engine.run(inputs.prepare(model, workload, length, seed, fleet))
    from simulations.engines import compiled_engine

    return compiled_engine.run(compiled_engine.prepare(model, workload, length, seed, fleet))


def refuse_endless(model: ServerModel, workload: Workload) -> None:
    """Refuse a closed workload in which requests can follow each other in no time at all."""
    if not isinstance(workload, ClosedWorkload):
        return
    if workload.think_time.mean_s > 0 or model.network_round_trip_s > 0:
        return
    rejected_at_once = workload.users > model.limits.most_in_flight
    if rejected_at_once or model.mean_held_s == 0:
        why = "a rejected user would retry" if rejected_at_once else "a served user would return"
        raise InputError(
            f"With no think time and no network round trip {why} in no time, without end. "
            "Give a think time above 0 or a network_round_trip_s above 0."
        )


def _checked(log: RequestLog, window: Window) -> tuple[Finding, ...]:
    """Little's law in this run; a violation beyond 1 % means a run too short to be trusted."""
    error = conservation_error(log, window)
    if error <= _LITTLE_TOLERANCE:
        return ()
    return (
        Finding(
            "little-s-law-in-run", "warning",
            f"Mean in flight and throughput times residence differ by {error:.1%} in this run: it is short against "
            "the residence times, or the load grows without a steady state.",
            "Simulate longer, or lower the load below saturation.", {"relative_error": error},
        ),
    )  # fmt: skip
