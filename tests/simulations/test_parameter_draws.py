"""Draws of fitted numbers: the prior where nothing is told, and what is told where it is told sharply."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.seeds import generator
from simulations import ServerModel
from simulations.calibration.linearised import Coordinates
from simulations.calibration.model_form import ModelForm
from simulations.calibration.observations import observe
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.service_shapes import ServiceShape
from simulations.calibration.uncertainty import Posterior, draws_of
from support.synthetic_recordings import record_model

LIMITS = Deployment(workers=8, queue_capacity=12)
FORM = ModelForm(LIMITS, ServiceShape("lognormal"))
NUMBERS = {"service_mean_s": 0.08, "service_cv": 0.8, "network_round_trip_s": 0.002}
COUNT = 4_000


@pytest.fixture(scope="module")
def problem() -> Problem:
    model = ServerModel(LIMITS, LogNormal(0.08, 0.8), 0.002)
    return Problem.of(observe(record_model(model, (4, 20), Exponential(0.3), 20.0, seed=1)), 1)


def drawn(
    problem: Problem, information: np.ndarray, gradient: np.ndarray, limits: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    best = Fit(FORM, FORM.transformed(np.array([NUMBERS[name] for name in FORM.names])), 1.0)
    coordinates = Coordinates(FORM, problem.observations[0].mean_s, limits)
    found = draws_of(Posterior(problem, best, coordinates, information, gradient), generator(1), COUNT)
    return dict(zip(found.names, found.values.T, strict=True))


def test_a_round_trip_of_which_nothing_is_told_follows_its_prior(problem: Problem) -> None:
    """Exponential, mean a tenth of the lightest mean. The 40,000 proposals, normal with standard deviation 2, are worth
    some 2,000 draws of it: of share p below a quantile the standard error is 0.012 at most. Five of them are allowed.
    """
    shares = drawn(problem, np.diag([1e6, 1e6, 0.0]), np.zeros(3))["network_round_trip_s"]
    shares = shares / (0.1 * problem.observations[0].mean_s)
    for p in (0.05, 0.5, 0.95):
        assert np.mean(shares < -math.log(1 - p)) == pytest.approx(p, abs=0.06)


def test_what_is_told_sharply_is_drawn_with_its_error_and_moved_by_the_gradient(problem: Problem) -> None:
    """Standard deviation 0.01 of the unit; a gradient of 100 moves by 0.01. Five standard errors are allowed."""
    unit_s, error = problem.observations[0].mean_s, 0.01
    information = np.eye(3) / error**2
    steady, pulled = (drawn(problem, information, np.array([g, 0.0, 0.0])) for g in (0.0, 100.0))
    still, moved = steady["service_mean_s"] / unit_s, pulled["service_mean_s"] / unit_s
    allowed = 5 * error / math.sqrt(COUNT)
    assert still.mean() == pytest.approx(0.08 / unit_s, abs=allowed)
    assert still.std() == pytest.approx(error, rel=0.1)
    assert (moved.mean() - still.mean()) == pytest.approx(-0.01, abs=2 * allowed)


def test_two_times_of_which_only_the_sum_is_told_trade_along_a_straight_line(problem: Problem) -> None:
    told = np.array([1.0, 0.0, 1.0])
    numbers = drawn(problem, np.outer(told, told) * 1e6 + np.diag([0.0, 1e4, 0.0]), np.zeros(3))
    total = numbers["service_mean_s"] + numbers["network_round_trip_s"]
    assert total.std() / total.mean() < 0.002
    assert np.std(np.log(numbers["network_round_trip_s"])) > 0.8
    assert np.corrcoef(numbers["service_mean_s"], numbers["network_round_trip_s"])[0, 1] < -0.99


def test_a_gradient_that_leaves_no_positive_time_is_not_followed(problem: Problem) -> None:
    numbers = drawn(problem, np.eye(3) * 1e6, np.array([1e9, 0.0, 0.0]))
    assert np.mean(numbers["service_mean_s"]) == pytest.approx(NUMBERS["service_mean_s"], rel=0.01)
    assert np.all(numbers["network_round_trip_s"] > 0)


def test_whole_numbers_are_drawn_by_their_density(problem: Problem) -> None:
    """Centre 8.4, standard deviation 0.4: 8 stands to 9 as exp(-1/2) to exp(-9/8). Five standard errors are allowed."""
    told = 1 / 0.4**2
    workers = drawn(problem, np.diag([1e6, 1e6, 1e6, told]), np.array([0, 0, 0, -0.4 * told]), ("workers",))["workers"]
    weights = {value: math.exp(-0.5 * ((value - 8.4) / 0.4) ** 2) for value in range(6, 12)}
    for value, weight in weights.items():
        share = weight / sum(weights.values())
        allowed = 5 * math.sqrt(share * (1 - share) / COUNT) + 1e-3
        assert np.mean(workers == value) == pytest.approx(share, abs=allowed), value


def test_a_limit_that_trades_with_a_time_is_drawn_along_with_it(problem: Problem) -> None:
    """Only the ratio of workers to service time is told, about 8 to 0.08 s."""
    unit_s = problem.observations[0].mean_s
    told = np.array([8 / (0.08 / unit_s), 0.0, 0.0, -1.0])
    information = np.outer(told, told) * 1e4 + np.diag([0.0, 1e6, 1e6, 1 / 1.5**2])
    numbers = drawn(problem, information, np.zeros(4), ("workers",))
    ratio = numbers["workers"] / numbers["service_mean_s"]
    assert np.std(numbers["workers"]) == pytest.approx(1.5, rel=0.15)
    assert np.std(ratio) / np.mean(ratio) < 0.01


def test_a_limit_that_is_hardly_told_takes_every_whole_number_near_it(problem: Problem) -> None:
    workers = drawn(problem, np.diag([1e6, 1e6, 1e6, 1 / 40.0**2]), np.zeros(4), ("workers",))["workers"]
    assert np.array_equal(workers, np.round(workers))
    assert workers.min() == 1.0
    assert set(range(2, 60)) <= set(workers.astype(int).tolist())


def test_a_gate_moves_with_the_workers() -> None:
    """Two more workers, and the room in the line stays."""
    coordinates = Coordinates(FORM, 0.08, ("gate_limit", "workers"))
    assert (coordinates.directions() @ [0.0, 2.0]).tolist() == [2.0, 2.0]
    assert (coordinates.directions() @ [1.0, 0.0]).tolist() == [1.0, 0.0]
