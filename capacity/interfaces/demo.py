"""The whole job on the bundled staging server, each stage by the library's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.demand.growth import GrowthProjection
from capacity.interfaces.commands_loadtests import left_out_steps, print_recording, record_with_progress
from capacity.interfaces.commands_model import print_fit, print_validation, validation_document
from capacity.interfaces.commands_plan import capacity_document, print_plan
from capacity.interfaces.console import envelope, messages, out, progress, table
from capacity.interfaces.output_targets import check_folder_target
from capacity.output.figures import measurement_figures, write_figures, write_plan_figures
from capacity.output.report import write_report
from capacity.planning.orders import OrderingRules
from capacity.planning.plan import CapacityPlan
from capacity.planning.planner import plan_capacity
from capacity.planning.policy import PlanningPolicy
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, parse_distribution
from loadtests.foundation.errors import RunError
from loadtests.foundation.files import write_json
from loadtests.foundation.units import Quantity, format_duration
from loadtests.load.plan import LoadPlan, Request
from loadtests.recording import Recording
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import check_new_folder
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.simulation import simulate
from simulations.calibration.capacity import capacity_of_fit
from simulations.calibration.fitting import calibrate
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import ValidationReport, validate_model
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

DEPLOYMENT = replace(Deployment.from_utilization(300, 67), db_pool=20)
"""A small instance by the server's own rule: gate 201, 50 workers, 151 may wait."""
SERVICE_TIME = "lognormal:100ms:0.7"
THINK_TIME = Exponential(0.3)
USERS = (60, 140, 190, 240, 300, 420)
"""From light load (0.3 of saturation at 200 users) to beyond the gate (about 350)."""
HELD_OUT_STEP = 4
REQUESTS = (Request("GET", "/api/users", 0.5), Request("POST", "/api/echo", 0.5))
P95_S, MAX_BAD_FRACTION = 0.3, 0.001
STEP_TIME_S, QUICK_STEP_TIME_S = 20.0, 5.0
GUIDE_INSTANCE_CAPACITY = 3_350


@dataclass(frozen=True)
class DemoOptions:
    """Where to write, how long to measure."""

    folder: Path | None = None
    quick: bool = False
    seed: int = 1


@dataclass(frozen=True)
class DemoResult:
    """Everything that the demo found, and where it wrote it."""

    options: DemoOptions
    folder: Path
    recording: Recording
    realised_mean_s: float
    fit: CalibrationResult
    validation: ValidationReport
    capacity: InstanceCapacity
    guide_plan: CapacityPlan
    measured_plan: CapacityPlan
    report: Path

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        inputs = {
            "quick": self.options.quick, "deployment": DEPLOYMENT.to_dict(), "service_time": SERVICE_TIME,
            "plan": self.recording.manifest.get("plan", {}), "held_out_step": HELD_OUT_STEP,
            "p95_s": P95_S, "max_bad_fraction": MAX_BAD_FRACTION,
        }  # fmt: skip
        return {
            **envelope(inputs, seed=self.options.seed, packages=("locust", "numpy", "numba", "scipy")),
            "folder": str(self.folder), "report": str(self.report),
            "realised_service_mean_s": self.realised_mean_s,
            "parameters": {name: item.to_dict() for name, item in self.fit.parameters.items()},
            "validation": self.validation.to_dict(), "instance_capacity": self.capacity.to_dict(),
            "plans": {"guide_assumed": self.guide_plan.to_dict(), "measured": self.measured_plan.to_dict()},
            "left_out": left_out_steps(self.recording),
        }  # fmt: skip


def run_demo(options: DemoOptions) -> DemoResult:
    """Load-test the staging server, calibrate, validate, plan, and write everything into one folder."""
    folder = check_new_folder(check_folder_target(options.folder or _free_folder()))
    folder.mkdir(parents=True, exist_ok=True)
    _compile_first(options.seed)
    recording, realised_mean_s = _measure(options, folder)
    check_held_out_step(recording, folder)
    with _saying_what_is_saved(folder), progress("calibrating") as stage:
        fit = calibrate(
            recording.without([HELD_OUT_STEP]), seed=options.seed, on_progress=lambda s, t: stage.show(0.5 * s, t)
        )
        fit.save(folder / "model.json")
        stage.show(0.5, "validating on the held-out step")
        validation = validate_model(fit, recording.only([HELD_OUT_STEP]), seed=options.seed + 1)
        model, held_out = folder / "model.json", folder / "recording"
        write_json(folder / "validation.json", validation_document(validation, model, held_out))
        stage.show(0.6, "searching the capacity of one instance")
        capacity = capacity_of_fit(fit, p95_s=P95_S, max_bad_fraction=MAX_BAD_FRACTION, seed=options.seed)
        asked = {"model": str(model), "p95_s": P95_S, "max_bad_fraction": MAX_BAD_FRACTION, "think": None}
        write_json(folder / "capacity.json", capacity_document(capacity, asked, options.seed))
        stage.show(0.75, "planning")
        guide_plan, measured_plan = guide_and_measured_plan(capacity)
        measured_plan = replace(measured_plan, seed=options.seed, capacity_inputs=asked)
        _write_plans(folder, guide_plan, measured_plan)
        stage.show(0.85, "drawing")
        write_figures(measurement_figures(recording, fit, capacity), folder)
        report = write_report(folder)
    return DemoResult(
        options, folder, recording, realised_mean_s, fit, validation, capacity, guide_plan, measured_plan, report
    )


def check_held_out_step(recording: Recording, folder: Path) -> None:
    """Refuse to go on without the step that the model is to be validated on.

    Raises
    ------
    RunError
        With the reason for which the step was left out.
    """
    if HELD_OUT_STEP in [step.step for step in recording.steps]:
        return
    reasons = [str(item["reason"]) for item in left_out_steps(recording) if item["step"] == HELD_OUT_STEP]
    raise RunError(
        f"Step {HELD_OUT_STEP} ({USERS[HELD_OUT_STEP - 1]} users), which was to be held out for the validation, was "
        f"left out of the recording: {reasons[0] if reasons else 'it has no steady window'}. The recording of the "
        f"others is in {folder / 'recording'}; run the demo again without --quick, on a machine that is less busy."
    )


def guide_and_measured_plan(capacity: InstanceCapacity) -> tuple[CapacityPlan, CapacityPlan]:
    """The guide's growth at its assumed capacity, and the same growth scaled to the measured instance.

    The second one uses nothing assumed but the growth's shape: the instance's
    maximum is the measured one, so no utilization target stands in for it.
    """
    growth = GrowthProjection.guide()
    guide = plan_capacity(growth, InstanceCapacity.assumed(GUIDE_INSTANCE_CAPACITY), PlanningPolicy.guide())
    scaled = replace(growth.scaled(capacity.value.mid / GUIDE_INSTANCE_CAPACITY), quantity=Quantity.USERS)
    policy = PlanningPolicy(utilization_percent=None, deployment=DEPLOYMENT)
    return guide, plan_capacity(scaled, capacity, policy, ordering=OrderingRules())


def print_demo(result: DemoResult) -> None:
    """The demo's tables, and the paths of what it wrote."""
    console = out()
    print_recording(result.recording)
    print_fit(result.fit)
    console.print(
        f"The server's own log has a realised mean service time of {format_duration(result.realised_mean_s)}; "
        "the calibration saw only the clients' side.",
        soft_wrap=True,
    )
    print_validation(result.validation)
    console.rule("Plan 1: the guide's growth at the guide's ASSUMED capacity", align="left")
    print_plan(result.guide_plan)
    console.rule("Plan 2: the same growth, scaled to the instance just MEASURED", align="left")
    _print_capacity(result.capacity)
    print_plan(result.measured_plan)
    console.rule("Written", align="left")
    for path in sorted(result.folder.rglob("*")):
        if path.suffix in {".json", ".png", ".html", ".csv"} and "locust" not in path.parts:
            console.print(str(path), soft_wrap=True)
    console.print(f"\nOpen {result.report}", style="bold", soft_wrap=True)


def _print_capacity(capacity: InstanceCapacity) -> None:
    rows = [("users", capacity.value.format(".4g"))]
    if capacity.arrival_rate_rps is not None:
        rows.append(("requests/s", capacity.arrival_rate_rps.format(".4g")))
    if capacity.max_value is not None:
        rows.append(("users until the gate sheds more than allowed", capacity.max_value.format(".4g")))
    rows.append(("what stops a larger load", capacity.bound_by))
    objective = f"P95 <= {format_duration(P95_S)}, at most {MAX_BAD_FRACTION:.1%} shed"
    out().print(table(f"One measured instance within {objective}", ("", "value (90% interval)"), rows))


def _measure(options: DemoOptions, folder: Path) -> tuple[Recording, float]:
    step_time_s = QUICK_STEP_TIME_S if options.quick else STEP_TIME_S
    plan = LoadPlan(USERS, step_time_s, THINK_TIME, requests=REQUESTS, seed=options.seed)
    log = folder / "service_times.csv"
    staging = StagingOptions(DEPLOYMENT, SERVICE_TIME, seed=options.seed, service_log=log)
    with start_staging(staging) as server:
        limits = f"gate {DEPLOYMENT.gate}, {DEPLOYMENT.workers} workers, service {SERVICE_TIME}"
        messages().print(f"Staging server on {server.host}: {limits}", soft_wrap=True)
        recording = record_with_progress(server.host, plan, folder / "recording", DEPLOYMENT)
    realised = pd.read_csv(log)["realised_s"]
    return recording, float(realised.mean())


def _compile_first(seed: int) -> None:
    """Let the kernels compile (once per installation) before anything is measured."""
    with progress("preparing the simulator"):
        model = ServerModel(DEPLOYMENT, parse_distribution(SERVICE_TIME))
        simulate(model, ClosedWorkload(20, THINK_TIME), requests=500, seed=seed)


def _write_plans(folder: Path, guide_plan: CapacityPlan, measured_plan: CapacityPlan) -> None:
    for name, plan in (("guide_assumed", guide_plan), ("measured", measured_plan)):
        plan.save(folder / name / "plan.json")
        write_plan_figures(plan, folder / name)


@contextmanager
def _saying_what_is_saved(folder: Path) -> Iterator[None]:
    """On Ctrl-C after the measurement: nothing of it is lost."""
    try:
        yield
    except KeyboardInterrupt:
        text = f"The recording is whole in {folder / 'recording'}; capacity calibrate continues from there."
        messages().print(text, soft_wrap=True)
        raise


def _free_folder() -> Path:
    """``capacity-demo``, or the first ``capacity-demo-N`` that is not there."""
    names = ["capacity-demo", *(f"capacity-demo-{number}" for number in range(2, 1_000))]
    return next(Path(name) for name in names if not Path(name).exists())
