"""Service time and predictions of two releases, by calibrations of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadtests.comparison.rule import ComparisonRule
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.recording import Recording
from simulations import CalibrationResult, ServerModel, calibrate, compare_fits, compare_recordings
from simulations.calibration.result import ParameterDraws
from support.synthetic_recordings import record_model

THINK, USERS = Exponential(0.3), (16, 40)


def recorded(mean_s: float, seed: int, users: tuple[int, ...] = USERS, queue: int = 12) -> Recording:
    model = ServerModel(Deployment(workers=8, queue_capacity=queue), LogNormal(mean_s, 0.8), 0.002)
    return record_model(model, users, THINK, 20.0, seed)


@pytest.fixture(scope="module")
def before() -> Recording:
    return recorded(0.08, 1)


@pytest.fixture(scope="module")
def after() -> Recording:
    return recorded(0.1, 2)


@pytest.fixture(scope="module")
def fits(before: Recording, after: Recording) -> tuple[CalibrationResult, CalibrationResult]:
    return calibrate(before, seed=1), calibrate(after, seed=1)


def test_the_service_time_behind_both_is_compared(before: Recording, after: Recording) -> None:
    """25 % longer: within 5 half-widths of a 90 % interval (8 standard errors), and told to be longer at all."""
    seen: list[str] = []
    found = compare_recordings(before, after, seed=1, on_progress=lambda _share, text: seen.append(text))
    change = found.of("service_mean_s").change
    assert change.low > 0.05
    assert abs(change.mid - 0.25) < 5 * (change.high - change.low) / 2
    assert found.of("service_mean_s").verdict == "worse"
    assert found.verdict == "worse"
    assert seen == ["calibrating A", "calibrating B"]


def test_where_a_side_cannot_be_calibrated_the_lightest_step_bounds_its_service_time(before: Recording) -> None:
    bare = [replace(item, requests=item.requests.iloc[:0]) for item in (before, recorded(0.08, 3))]
    found = compare_recordings(*bare)
    told = next(item for item in found.findings if item.code == "service-time-not-compared")
    assert "A cannot be calibrated" in told.message
    assert told.numbers["upper_bound_s"]["A"] == before.steps[0].metrics["mean_s"].high > 0.08
    with pytest.raises(KeyError):
        found.of("service_mean_s")


def test_the_service_time_can_be_left_out(before: Recording, after: Recording) -> None:
    found = compare_recordings(before, after, with_service_time=False)
    assert "it was not asked for" in next(i.message for i in found.findings if i.code == "service-time-not-compared")


def test_a_slower_model_is_worse_in_what_both_would_show(fits: tuple[CalibrationResult, CalibrationResult]) -> None:
    found = compare_fits(*fits)
    assert found.verdict == "worse"
    assert {item.users for item in found.differences if item.scope == "prediction"} == {16, 40}
    change = found.of("mean_s", 16).change
    assert abs(change.mid - 0.25) < 5 * (change.high - change.low) / 2
    assert compare_fits(fits[1], fits[0]).verdict != "worse"


def test_a_model_against_itself_is_not_worse_by_a_wide_margin(
    fits: tuple[CalibrationResult, CalibrationResult],
) -> None:
    found = compare_fits(fits[0], fits[0], ComparisonRule(margin=0.4), users=[16])
    assert found.verdict == "not worse"
    assert found.of("service_mean_s").change.contains(0.0)
    assert found.to_dict()["compared"] == "models"


def test_models_with_other_limits_and_without_a_common_range_say_so(
    fits: tuple[CalibrationResult, CalibrationResult],
) -> None:
    narrow = fits[1].model.with_deployment(Deployment(workers=6, queue_capacity=12))
    found = compare_fits(fits[0], replace(fits[1], model=narrow), users=[16])
    assert "workers 8 -> 6" in next(item.message for item in found.findings if item.code == "deployment-changed")
    light = replace(fits[1], steps=(replace(fits[1].steps[0], users=4),))
    with pytest.raises(InputError, match="16 to 40 users, B on at most 4"):
        compare_fits(fits[0], light)


def test_limits_that_were_searched_are_compared_as_parameters(
    fits: tuple[CalibrationResult, CalibrationResult],
) -> None:
    def searched(fit: CalibrationResult, workers: float) -> CalibrationResult:
        told = Interval(workers - 1, workers, workers + 1, kind="parameter")
        rng = np.random.default_rng(1)
        column = workers + rng.integers(-1, 2, len(fit.draws.values))
        draws = ParameterDraws((*fit.draws.names, "workers"), np.column_stack([fit.draws.values, column]))
        return replace(fit, parameters={**fit.parameters, "workers": told}, draws=draws)

    workers = compare_fits(searched(fits[0], 8), searched(fits[1], 12), users=[16]).of("workers")
    assert (workers.a.mid, workers.verdict) == (pytest.approx(8), "not judged")
    assert workers.change.mid == pytest.approx(0.5)
    assert 0.2 < workers.change.low < 0.45
    untold = replace(fits[1], identified={**fits[1].identified, "service_mean_s": False})
    found = compare_fits(fits[0], untold, users=[16])
    assert "service_mean_s" in next(item.message for item in found.findings if item.code == "parameters-not-told")
    assert "service_mean_s" not in {item.metric for item in found.differences}
