import json

import pytest

from loadtests.foundation.distributions import Constant, Empirical, Exponential, Uniform
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.foundation.server_access import Access, Header
from loadtests.load.abort import parse_abort
from loadtests.load.load_shapes import parse_shape
from loadtests.load.pacing import Pacing, parse_pacing
from loadtests.load.plan import LoadPlan, automatic_spawn_rate, format_think, parse_think
from loadtests.load.planned_requests import Request, format_request, named_mix, parse_request


def test_a_request_reads_with_and_without_a_weight():
    assert parse_request("get /api/users?limit=5 3") == ("GET", "/api/users?limit=5", 3.0, "")
    assert parse_request("POST /api/echo") == ("POST", "/api/echo", 1.0, "")
    assert parse_request(format_request(Request("GET", "/a", 0.1))) == ("GET", "/a", 0.1, "")


def test_a_body_is_text_behind_the_weight_or_a_file(tmp_path):
    (tmp_path / "order.json").write_text('{"item": "a b", "n": 1}\n')
    assert parse_request('POST /orders 2 {"item": 1}').body == '{"item": 1}'
    from_file = parse_request(f"put /orders 2 @{tmp_path / 'order.json'}")
    assert from_file == ("PUT", "/orders", 2.0, '{"item": "a b", "n": 1}')
    assert parse_request(format_request(from_file)) == from_file


def test_a_body_that_cannot_be_sent_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"absent\.json cannot be read"):
        parse_request("POST /orders 1 @absent.json")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        parse_request(f"POST /orders 1 @{tmp_path / 'binary'}")
    with pytest.raises(InputError, match="GET /orders has a body; only PATCH, POST, PUT carry one"):
        parse_request('GET /orders 1 {"a": 1}')
    with pytest.raises(InputError, match="longer than 1,000,000 bytes"):
        parse_request(f"POST /orders 1 {'x' * 1_000_001}")


def test_the_guide_s_mix_has_its_shares_and_think_times():
    shares = {request.path: request.weight for request in named_mix("guide")}
    assert shares == {"/health": 30, "/ready": 20, "/api/users": 20, "/api/echo": 20, "/api/metrics": 10}
    assert LoadPlan((5,), requests=named_mix("guide")).think == Uniform(0.05, 0.15)
    with pytest.raises(InputError, match="mix is 'other'; it must be one of guide"):
        named_mix("other")


def full_plan(folder):
    (folder / "ca.pem").write_text("-")
    return LoadPlan(
        think=Empirical((0.1, 1 / 3, 2.0)),
        requests=(("GET", "/a", 1 / 3), ("POST", "/b", 2.0, '{"b": "ä"}')),
        settle_s=0.7,
        spawn_rate=3.5,
        seed=7,
        request_timeout_s=2.5,
        shape=parse_shape("ramp:0:5:10s+soak:5:20s+breakpoint:6:2:7s"),
        pacing=Pacing("poisson", 1 / 3),
        access=Access((Header("Authorization", "env:TOKEN"), Header("X-Team", "load")), ca=folder / "ca.pem"),
        abort_if=(parse_abort("error-rate>5%"), parse_abort("p95>2s over 30s")),
    )


def test_a_plan_travels_to_locust_whole(tmp_path):
    plan = full_plan(tmp_path)
    assert LoadPlan.from_dict(json.loads(to_json(plan.to_dict()))) == plan


def test_steps_travel_as_a_shape_of_the_same_levels():
    plan = LoadPlan((5, 10), 12.5, Exponential(0.3))
    again = LoadPlan.from_dict(json.loads(to_json(plan.to_dict())))
    assert again.load_shape == plan.load_shape
    assert (again.settling_s, again.duration_s) == (plan.settling_s, plan.duration_s) == (1.5, 25.0)
    assert plan.to_dict()["users"] == [5, 10]


@pytest.mark.parametrize(
    "change", [{"shape": None}, {"pacing": {"kind": "often"}}, {"requests": [["GET"]]}, {"think": 3}]
)
def test_a_plan_file_that_cannot_be_is_refused(change):
    document = LoadPlan((5,)).to_dict() | change
    with pytest.raises(InputError):
        LoadPlan.from_dict(document)
    with pytest.raises(InputError, match="cannot be read"):
        LoadPlan.from_dict({name: document[name] for name in document if name != "shape"})


def test_what_rises_until_it_is_stopped_needs_something_that_stops_it():
    endless = parse_shape("breakpoint:5:5:10s")
    with pytest.raises(InputError, match="nothing stops it; give an abort condition"):
        LoadPlan(shape=endless)
    assert LoadPlan(shape=endless, abort_if=(parse_abort("p95>2s"),)).has_plateaus
    assert LoadPlan(shape=parse_shape("breakpoint:5:5:10s:50")).duration_s == 100


def test_a_plan_has_steps_or_a_shape():
    with pytest.raises(InputError, match="or a shape instead"):
        LoadPlan((5,), shape=parse_shape("soak:5:10s"))


def test_offered_load_is_known_only_on_a_schedule():
    assert LoadPlan((5,)).offered_rps(10) is None
    scheduled = LoadPlan((5,), pacing=parse_pacing("poisson:2"))
    assert scheduled.offered_rps(10) == 20
    assert (scheduled.think_text, scheduled.settling_s) == ("", 2.5)
    sessions = LoadPlan((5,), think=Constant(0.2), pacing=parse_pacing("sessions:2:4"))
    assert sessions.offered_rps(10) == 20
    assert (sessions.think_text, sessions.settling_s) == ("constant:0.2", pytest.approx(5 * 4 * 0.2))
    assert LoadPlan.from_dict(sessions.to_dict()).pacing == sessions.pacing


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
