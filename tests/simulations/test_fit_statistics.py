"""What a fit compares, and where its search begins and ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.distributions import Exponential, Gamma
from loadtests.recording import Recording
from simulations import ServerModel
from simulations.calibration.model_form import ModelForm
from simulations.calibration.observations import light_times, observe
from simulations.calibration.problem import Problem, simulate_step
from simulations.calibration.service_shapes import ServiceShape
from simulations.calibration.step_view import ALL, LEVELS, Answers, GroupView, StepView
from support.synthetic_recordings import record_model

THINK = Exponential(0.6)
SERVER = ServerModel(Deployment(workers=UNLIMITED, gate_limit=26), Gamma(0.07, 1.1), 0.0025)
FORM = ModelForm(SERVER.deployment, ServiceShape("gamma"))


@pytest.mark.parametrize("is_blended", [False, True])
def test_windows_seen_together_show_what_each_shows_alone(is_blended: bool) -> None:
    rng, count = np.random.default_rng(1), 5_000
    answers = Answers(rng.lognormal(-3, 1, count), rng.random(count) < 0.8, rng.integers(0, 3, count))
    place = rng.integers(0, 6, count) + (rng.random(count) < 0.01)  # the last window holds next to nothing
    view = StepView((GroupView(ALL, LEVELS), GroupView(1, (0.1, 0.5)), GroupView(2, ())), is_blended)
    together = view.vectors(answers, place, 7, 20.0)
    for number in range(7):
        mine = place == number
        times, served, group = answers.residence_s[mine], answers.served[mine], answers.group[mine]
        few = served.sum() < 12.5
        expected = [math.log(served.sum() / 20), 1 - served.mean()]
        for item in view.groups:
            own = np.ones(times.size, bool) if item.number == ALL else group == item.number
            good = times[own & served]
            expected.append(math.nan if few else math.log(good.mean()))
            looked_at = times[own] if is_blended else good
            expected += [math.nan if few else math.log(np.quantile(looked_at, level)) for level in item.levels]
        assert together[number] == pytest.approx(expected, rel=1e-9, nan_ok=True)
        alone = view.vector(Answers(times, served, group), 20.0)
        assert alone == pytest.approx(expected, rel=1e-9, nan_ok=True)


def times_of(recording: Recording) -> np.ndarray:
    """Residence times of the only step."""
    rows = recording.requests_in(recording.steps[0])
    return (rows["finish_s"] - rows["start_s"]).to_numpy()


def test_a_window_in_which_nothing_was_answered_tells_nothing() -> None:
    view = StepView((GroupView(ALL, LEVELS),))
    nothing = Answers(np.empty(0), np.empty(0, bool), np.empty(0, np.int64))
    assert np.isnan(view.vector(nothing, 20.0)).all()


def test_simulated_statistics_are_on_average_those_of_windows_as_short_as_the_measured_one() -> None:
    """At about 340 requests a window the 99th percentile is on average 3 % below that of very many requests.

    The mean of 60 recordings with four standard errors must hold what is simulated, and not what one long window shows.
    """
    server = ServerModel(Deployment(workers=UNLIMITED, gate_limit=UNLIMITED), Exponential(0.1), 0.001)
    recorded = [record_model(server, (12,), THINK, seed=seed, summarised=False) for seed in range(1, 61)]
    view = StepView((GroupView(ALL, (0.99,), has_mean=False),))
    last = [math.log(np.quantile(times_of(recording), 0.99)) for recording in recorded]
    allowed = 4 * np.std(last, ddof=1) / math.sqrt(len(last))
    short = replace(observe(recorded[0])[0], view=view, values=np.zeros(3))
    simulated = simulate_step(server, short, seed=3, windows=200.0)[-1]
    one_long = simulate_step(server, replace(short, window_s=200 * short.window_s), seed=3, windows=1.0)[-1]
    assert simulated == pytest.approx(np.mean(last), abs=allowed)
    assert one_long > simulated + 0.01


def test_a_round_trip_that_a_search_left_at_nothing_is_found_again() -> None:
    """A shape that does not fit may pull it there; the logarithm of so small a time tells no way back."""
    problem = Problem.of(observe(record_model(SERVER, (99, 174, 248, 322), THINK, seed=5)), 1)
    start = FORM.transformed(np.array([0.0725, 1.05, 1e-5]))
    truth = FORM.transformed(np.array([0.07, 1.1, 0.0025]))
    found = problem.fit(FORM, start, 25)
    assert found.numbers["network_round_trip_s"] == pytest.approx(0.0025, rel=0.6)
    assert found.chi_square < problem.chi_square(FORM, truth) + 1.0


def test_times_of_light_load_outlast_one_fast_answer_and_not_a_round_trip_that_cannot_be() -> None:
    """Exponential times come as near to the round trip as one likes, so an estimate is often above the fastest."""
    model = ServerModel(Deployment(gate_limit=50, workers=UNLIMITED), Exponential(0.05), 0.002)
    recording = record_model(model, (5, 20), Exponential(0.5), 60.0, 3)
    served = recording.requests_in(recording.steps[0])
    times = (served["finish_s"] - served["start_s"]).to_numpy()
    found = light_times(recording, float(times.min()) * 1.0001)
    assert found.size == times.size
    assert found.min() == pytest.approx(1e-6)
    assert light_times(recording, float(np.quantile(times, 0.05))).size == 0
