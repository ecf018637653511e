"""A fitted model is refused for servers outside its family, and left in peace for those inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from loadtests import Deployment, Exponential, LogNormal, import_locust
from loadtests.foundation.findings import Finding
from loadtests.recording import Recording
from loadtests.tables import REQUEST_COLUMNS, empty_table
from simulations import CalibrationResult, ServerModel, calibrate, check_model, goodness_of_fit, residuals_over_time
from simulations.engines.simpy_engine import Server
from support.strange_servers import (
    LastComeFirstServed,
    LimitedClients,
    PinnedWorkers,
    RandomOrder,
    SlowsDown,
    SlowsUnderLoad,
    record_server,
)

REAL = Path(__file__).parents[2] / "data" / "recordings" / "third_party"
OPEN_LINE = ServerModel(
    Deployment(gate_limit="unlimited", workers=8, queue_capacity="unlimited"), LogNormal(0.06, 0.8), 0.001
)
GATED = ServerModel(Deployment(gate_limit=40, workers=8, queue_capacity=32), LogNormal(0.06, 0.8), 0.001)
THINK = Exponential(1.0)
GATED_USERS, OPEN_USERS, FEW_USERS = [30, 100, 130, 220], [30, 100, 140, 170], [4, 9, 18, 24]


@pytest.fixture(scope="module")
def gated() -> Recording:
    return record_server(GATED, GATED_USERS, THINK)


@pytest.fixture(scope="module")
def gated_fit(gated: Recording) -> CalibrationResult:
    return calibrate(gated)


def noticed(found: tuple[Finding, ...], severity: str = "") -> set[str]:
    """Codes of warnings and worse, or of one severity."""
    return {item.code for item in found if item.severity == severity or (not severity and item.severity != "info")}


def test_a_server_of_the_family_is_left_in_peace(gated: Recording, gated_fit: CalibrationResult) -> None:
    assert check_model(gated_fit, gated) == ()


def test_a_line_without_end_is_left_in_peace() -> None:
    recording = record_server(OPEN_LINE, OPEN_USERS, THINK)
    assert not noticed(check_model(calibrate(recording), recording))


@pytest.mark.parametrize("case", ["haproxy_gate", "haproxy_queue_timeout", "gunicorn_sync"])
def test_real_servers_of_the_family_are_left_in_peace(case: str, tmp_path: Path) -> None:
    """Calibrated on every other level, checked on all."""
    recording = import_locust(REAL / case / "steps.csv", tmp_path / "out")
    found = check_model(calibrate(recording.only([1, 3, 5, 7])), recording)
    assert [(item.code, item.severity) for item in found] == [("checks-need-users", "info")]


@pytest.mark.parametrize(
    ("model", "users", "server", "code"),
    [
        (OPEN_LINE, FEW_USERS, PinnedWorkers, "users-served-unevenly"),
        (GATED, GATED_USERS, LimitedClients, "sheds-do-not-follow-the-gate"),
        (OPEN_LINE, OPEN_USERS, LastComeFirstServed, "order-of-service"),
        (OPEN_LINE, OPEN_USERS, RandomOrder, "order-of-service"),
        (GATED, GATED_USERS, SlowsDown, "times-drift"),
    ],
)
def test_a_server_outside_the_family_is_refused(
    model: ServerModel, users: list[int], server: type[Server], code: str
) -> None:
    recording = record_server(model, users, THINK, server)
    found = check_model(calibrate(recording), recording)
    assert code in noticed(found, "critical")
    assert all(item.remedy and item.numbers["steps"] is not None for item in found)


def test_times_that_grow_with_load_are_taken_for_shared_cores_or_noticed() -> None:
    slow = record_server(OPEN_LINE, OPEN_USERS, THINK, SlowsUnderLoad)
    codes = {"times-change-with-load", "levels-do-not-fit"}
    fit = calibrate(slow)
    assert fit.form.stage == "cores" or noticed(check_model(fit, slow)) & codes
    steady = calibrate(record_server(OPEN_LINE, OPEN_USERS, THINK))
    assert noticed(check_model(steady, slow)) & codes


def test_a_gate_that_forgets_lets_more_inside(gated_fit: CalibrationResult) -> None:
    forgets = ServerModel(Deployment(gate_limit=40, workers=8, gate_reset_s=10.0), LogNormal(0.06, 0.8), 0.001)
    recording = record_server(forgets, GATED_USERS, THINK, stated=Deployment(gate_limit=40, workers=8))
    found = {item.code: item for item in check_model(gated_fit, recording)}
    assert found["more-inside-than-modelled"].severity == "critical"
    assert found["more-inside-than-modelled"].numbers["measured"] > 1.5 * 40


def test_answers_429_are_a_limit_for_each_client(gated_fit: CalibrationResult) -> None:
    limited = record_server(GATED, GATED_USERS, THINK, LimitedClients, turned_away=(429, "rate_limited"))
    first = check_model(gated_fit, limited)[0]
    assert (first.code, first.severity) == ("requests-rate-limited", "critical")


def test_steps_without_single_requests_are_said_once(gated: Recording, gated_fit: CalibrationResult) -> None:
    bare = replace(gated, requests=empty_table(REQUEST_COLUMNS))
    found = check_model(gated_fit, bare)
    assert [(item.code, item.numbers["steps"]) for item in found] == [("checks-need-requests", [1, 2, 3, 4])]
    assert goodness_of_fit(gated_fit, bare) == residuals_over_time(gated_fit, bare) == ()


def test_levels_are_checked_without_single_requests(gated: Recording, gated_fit: CalibrationResult) -> None:
    slower = record_server(replace(GATED, service_time=LogNormal(0.09, 0.8)), GATED_USERS, THINK)
    bare = replace(slower, requests=empty_table(REQUEST_COLUMNS))
    assert noticed(check_model(gated_fit, bare), "critical") == {"levels-do-not-fit"}


def test_a_good_fit_is_as_near_as_sampling_alone(gated: Recording, gated_fit: CalibrationResult) -> None:
    fits = goodness_of_fit(gated_fit, gated)
    assert [item.users for item in fits] == GATED_USERS
    assert sum(item.fits for item in fits) >= len(fits) - 1
    inside = [pair.low_s <= pair.measured_s <= pair.high_s for item in fits for pair in item.pairs]
    assert sum(inside) >= 0.7 * len(inside)
    assert fits[0].to_dict()["pairs"][0]["probability"] == 0.01


def test_another_service_time_is_farther_than_sampling(gated_fit: CalibrationResult) -> None:
    other = record_server(replace(GATED, service_time=LogNormal(0.06, 0.3)), GATED_USERS, THINK)
    fits = goodness_of_fit(gated_fit, other)
    assert fits[0].distance > 2 * fits[0].noise
    assert not fits[0].fits


def test_residuals_of_a_good_fit_stay_small(gated: Recording, gated_fit: CalibrationResult) -> None:
    found = residuals_over_time(gated_fit, gated)
    values = pd.Series([value for item in found for value in item.residuals["mean_s"]])
    assert 0.5 < values.std() < 1.6
    assert found[0].time_s[0] > gated.steps[0].start_s
