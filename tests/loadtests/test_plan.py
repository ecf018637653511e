import pytest

from loadtests.foundation.distributions import Constant, Empirical, Exponential
from loadtests.foundation.errors import InputError
from loadtests.plan import LoadPlan, automatic_spawn_rate, format_request, format_think, parse_request, parse_think


def test_a_request_reads_with_and_without_a_weight():
    assert parse_request("get /api/users?limit=5 3") == ("GET", "/api/users?limit=5", 3.0)
    assert parse_request("POST /api/echo") == ("POST", "/api/echo", 1.0)
    assert parse_request(format_request(("GET", "/a", 0.1))) == ("GET", "/a", 0.1)


@pytest.mark.parametrize("text", ["", "/api/users", "FETCH /a", "GET a", "GET /a 0", "GET /a x", "GET /a 1 2"])
def test_a_request_that_cannot_be_is_refused(text):
    with pytest.raises(InputError, match="request"):
        parse_request(text)


@pytest.mark.parametrize("think", [Exponential(1 / 3), Constant(0.0), Empirical((0.1, 1 / 3, 2.0))])
def test_a_think_time_travels_to_locust(think):
    assert parse_think(format_think(think)).mean_s == pytest.approx(think.mean_s, rel=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        {"users": ()},
        {"users": (0,)},
        {"users": (1.5,)},
        {"step_time_s": 0},
        {"settle_s": 10.0},
        {"spawn_rate": 0},
        {"requests": ()},
        {"seed": -1},
    ],
)
def test_a_plan_that_cannot_be_is_refused(change):
    good = {"users": (5, 10), "step_time_s": 10.0, "think": Exponential(0.3)}
    assert LoadPlan(**good).duration_s == 20
    with pytest.raises(InputError):
        LoadPlan(**{**good, **change})


def test_settling_takes_five_think_times_within_bounds():
    def settling(think_s, step_time_s, settle_s=None):
        return LoadPlan((5,), step_time_s, Constant(think_s), settle_s=settle_s).settling_s

    assert (settling(0.3, 20), settling(0.05, 20), settling(3, 20), settling(3, 20, 0.5)) == (1.5, 1.0, 5.0, 0.5)


def test_a_ramp_takes_two_bursts_and_never_more_than_a_third_of_the_step():
    assert automatic_spawn_rate(5, 30) == 10
    assert automatic_spawn_rate(-60, 30) == 30
    assert automatic_spawn_rate(400, 30) == 100
    assert automatic_spawn_rate(5_000, 30) == 500
