"""The capacity of a shape comes from the model under its limits, never from its `max_ccu`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capacity.interfaces import cli
from capacity.planning.alternatives import choose_shape
from capacity.planning.shape_capacity import ShapeObjective, capacities_of_shapes, capacity_of_shape, fit_under
from capacity.planning.shapes import InstanceShape
from loadtests import Deployment, Exponential, Interval
from loadtests.foundation.errors import InputError
from loadtests.recording import STEP_METRICS, LoadStep
from simulations import CalibrationResult
from simulations.calibration.model_form import ModelForm
from simulations.calibration.result import ParameterDraws
from simulations.calibration.scoring import FormScore
from simulations.calibration.service_shapes import ServiceShape

MEASURED = Deployment(max_ccu=60, utilization_percent=67, workers=8, queue_capacity=32, db_pool=10, cpu_cores=2.0)
OBJECTIVE = ShapeObjective(p95_s=0.5)
NUMBERS = {"service_mean_s": 0.1, "service_cv": 1.0, "network_round_trip_s": 0.001}


def calibrated(heaviest: int = 200, deployment: Deployment = MEASURED, **more: Any) -> CalibrationResult:
    """A fit with known numbers: a mean of 0.1 s by 8 workers, or with a stage of cores."""
    numbers = NUMBERS | more.get("numbers", {})
    form = ModelForm(deployment, ServiceShape("lognormal"), more.get("stage", "none"))
    one = Interval(100.0, 100.0, 100.0)
    steps = tuple(
        LoadStep(number, users, 0.0, 60.0, 1_000, dict.fromkeys(STEP_METRICS, one))
        for number, users in enumerate((10, heaviest), 1)
    )
    found = numbers | more.get("found", {})
    draws = ParameterDraws(tuple(found), np.array([list(found.values())] * 4))
    return CalibrationResult(
        form.model_of(found), form, {}, more.get("identified", {}), draws, (FormScore("lognormal", 1.0, 1, 0.0),),
        Exponential(1.0), steps, (), None, 1, 0.9, "",
    )  # fmt: skip


def shape(name: str, **limits: Any) -> InstanceShape:
    return InstanceShape(name, Deployment(**limits), price_per_hour=0.1, currency="EUR")


@pytest.fixture(scope="module")
def fit() -> CalibrationResult:
    return calibrated()


SHAPES = """
[[shapes]]
name = "as measured"
workers = 8
queue_capacity = 32
price_per_hour = 0.20
currency = "EUR"

[[shapes]]
name = "vertical step"
max_ccu = 180
workers = 16
queue_capacity = 64
price_per_hour = 0.36
currency = "EUR"
"""


def test_the_plan_command_takes_capacities_of_shapes_from_its_model(
    fit: CalibrationResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit.save(tmp_path / "model.json")
    (tmp_path / "shapes.toml").write_text(SHAPES)
    (tmp_path / "growth.csv").write_text("month,peak_users,low,high\n0,350,320,380\n2,900,700,1300\n")
    files = {"--growth": "growth.csv", "--model": "model.json", "--shapes": "shapes.toml"}
    words = [word for option, name in files.items() for word in (option, str(tmp_path / name))]
    assert cli.run(["plan", *words, "--p95", "500ms", "--think", "exponential:1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {item["shape"]["name"]: item["capacity"] for item in document["shapes"]["plans"]}
    assert found["as measured"] == document["instance_capacity"]["value"]
    direct = capacity_of_shape(
        fit, shape("vertical step", max_ccu=180, workers=16, queue_capacity=64),
        ShapeObjective(0.5, 0.001, Exponential(1.0)),
    )  # fmt: skip
    assert direct.capacity is not None
    assert found["vertical step"] == direct.capacity.value.to_dict()
    assert "vertical-step-unsupported" in {item["code"] for item in document["findings"]}


@pytest.fixture(scope="module")
def as_measured(fit: CalibrationResult) -> float:
    found = capacity_of_shape(fit, InstanceShape("same", MEASURED), OBJECTIVE)
    assert found.capacity is not None
    assert found.findings == ()
    return found.capacity.value.mid


def test_twice_the_workers_carry_more_than_twice_the_users(fit: CalibrationResult, as_measured: float) -> None:
    """Pooling: with more workers the same wait comes at a higher utilization."""
    found = capacity_of_shape(fit, shape("double", workers=16, queue_capacity=64), OBJECTIVE)
    assert found.capacity is not None
    assert found.capacity.value.mid >= 2 * as_measured
    assert found.capacity.value.kind == "parameter"


def test_max_ccu_alone_changes_nothing_and_is_flagged(fit: CalibrationResult, as_measured: float) -> None:
    found = capacity_of_shape(fit, shape("claim", max_ccu=180), OBJECTIVE)
    assert found.capacity is not None
    assert found.capacity.value.mid == as_measured
    assert [item.code for item in found.findings] == ["vertical-step-unsupported"]


def test_the_guides_vertical_step_triples_the_claim_and_doubles_what_is_behind_it() -> None:
    """Guide, treatment of its vertical step: max_ccu x3, workers, pool and cores x2."""
    measured = calibrated(heaviest=50)
    step = shape("step", max_ccu=180, workers=16, queue_capacity=64, db_pool=20, cpu_cores=4.0)
    found = capacity_of_shape(measured, step, OBJECTIVE)
    assert [item.code for item in found.findings] == ["vertical-step-unsupported", "shape-beyond-evidence"]
    assert "workers x2, db_pool x2, cpu_cores x2" in found.findings[0].message
    assert "cpu_cores or db_pool would stop it first" in found.findings[1].message


def test_a_claim_that_one_resource_supports_is_not_flagged(fit: CalibrationResult) -> None:
    found = capacity_of_shape(fit, shape("wide", max_ccu=120, workers=16, queue_capacity=64), OBJECTIVE)
    assert "vertical-step-unsupported" not in {item.code for item in found.findings}


def test_cores_act_where_the_form_has_them() -> None:
    """0.1 s of CPU each: 2 cores saturate at 20 requests/s, 4 at 40."""
    own = Deployment(workers=100, queue_capacity=200, cpu_cores=2.0)
    measured = calibrated(deployment=own, stage="cores", numbers={"service_mean_s": 0.001, "cpu_mean_s": 0.1})
    found = capacities_of_shapes(measured, [shape("two", cpu_cores=2), shape("four", cpu_cores=4)], OBJECTIVE)
    two, four = (found[name].capacity for name in ("two", "four"))
    assert two is not None
    assert four is not None
    assert 1.9 * two.value.mid <= four.value.mid
    assert two.value.mid <= 20 * (1.0 + 0.5)


def test_limits_that_were_searched_give_way_to_stated_ones() -> None:
    measured = calibrated(deployment=Deployment(), found={"workers": 8.0, "gate_limit": 40.0})
    changed = fit_under(measured, Deployment(workers=16, queue_capacity=24))
    assert changed.draws.names == tuple(NUMBERS)
    assert changed.form.deployment == changed.model.deployment
    assert changed.model.limits.workers == 16
    assert changed.model.limits.most_in_flight == 40
    assert fit_under(measured, Deployment(db_pool=5)).draws.names == measured.draws.names


def test_a_shape_that_the_recording_does_not_bound_has_no_capacity() -> None:
    own = Deployment(workers="unlimited", gate_limit="unlimited")
    measured = calibrated(heaviest=20, deployment=own, identified={"workers": False, "gate_limit": False})
    found = capacity_of_shape(measured, shape("more", cpu_cores=8), OBJECTIVE)
    assert found.capacity is None
    assert found.reason


def test_a_shape_that_breaks_the_objective_with_one_user_is_rejected_by_the_choice(fit: CalibrationResult) -> None:
    found = capacity_of_shape(fit, shape("any", workers=8), ShapeObjective(p95_s=0.01))
    assert found.capacity is None
    assert "One user alone breaks the objective" in found.reason
    choice = choose_shape({0: 10}, [found.shape], {"any": found})
    assert choice.rejected == {"any": found.reason}


def test_an_objective_without_limits_is_an_error_of_the_caller(fit: CalibrationResult) -> None:
    with pytest.raises(InputError, match="objective"):
        capacity_of_shape(fit, shape("any", workers=8), ShapeObjective())
