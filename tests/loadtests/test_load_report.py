import pandas as pd
import pytest

from loadtests.estimation.steady_state import Window, steady_windows
from loadtests.journals.journal import Mark
from loadtests.load.abort import Aborted, parse_abort
from loadtests.load.load_report import offered_loads, plan_findings
from loadtests.load.load_shapes import parse_shape
from loadtests.load.pacing import parse_pacing
from loadtests.load.plan import LoadPlan

MARKS = (
    Mark("passing", 1, 0, 0.0, 0.0), Mark("reached", 1, 5, 9.0, 9.0), Mark("asked", 2, 5, 10.0, 10.0),
    Mark("reached", 2, 5, 10.0, 10.0), Mark("passing", 3, 2, 40.0, 40.0), Mark("ended", 3, 1, 50.0, 50.0),
)  # fmt: skip
MET = Aborted(parse_abort("p95>1s"), 1.5, 100)


def scheduled(pacing, users=2):
    return LoadPlan((users,), 30.0, pacing=parse_pacing(pacing))


def sent(request_table, due_s, late_s, residence_s, users=1):
    """Requests of `users` who send at their due times or late."""
    start = [due + late for due, late in zip(due_s, late_s, strict=True)]
    table = request_table([at + residence_s for at in start], [residence_s] * len(start), users=users)
    return table.assign(due_s=due_s)


def codes(findings):
    return [item.code for item in findings]


def test_only_constant_stretches_become_windows_and_a_ramp_ends_them():
    windows, left_out = steady_windows(MARKS, 0.0, 2.0)
    assert [(item.step, item.users, item.start_s, item.end_s) for item in windows] == [(2, 5, 12.0, 40.0)]
    assert left_out == ()


def test_a_user_still_waiting_when_a_request_is_due_makes_it_late(request_table):
    due = [0.0, 0.5, 1.0, 3.0]
    requests = sent(request_table, due, [0.001, 0.301, 0.601, 0.001], 0.8)
    (load,) = offered_loads(scheduled("constant:2", 1), [Window(1, 1, 0.0, 4.0)], requests)
    assert (load.offered_rps, load.achieved_rps, load.late_share) == (2.0, 1.0, 0.5)
    assert load.lateness_mean_s == pytest.approx(0.904 / 4)
    assert (load.lateness_max_s, load.residence_mean_s) == (pytest.approx(0.601), pytest.approx(0.8))


def test_users_who_think_have_no_offered_load(request_table):
    assert offered_loads(LoadPlan((2,)), [Window(1, 2, 0.0, 4.0)], request_table([1.0], [0.1])) == ()


def test_a_window_without_requests_has_no_lateness(request_table):
    (load,) = offered_loads(scheduled("constant:2"), [Window(1, 2, 50.0, 60.0)], sent(request_table, [0.0], [0.0], 0.1))
    assert load.achieved_rps == 0
    assert pd.isna(load.lateness_mean_s)
    assert codes(plan_findings(scheduled("constant:2"), MARKS, [Window(1, 2, 50.0, 60.0)], [load], None)) == [
        "offered-load-not-achieved"
    ]


def test_a_load_short_by_more_than_chance_is_said(request_table):
    plan, window = scheduled("poisson:10", 10), Window(1, 10, 0.0, 10.0)  # 1,000 wanted, deviation 32

    def findings(count):
        due = [10.0 * (place + 0.5) / count for place in range(count)]
        offered = offered_loads(plan, [window], sent(request_table, due, [0.0] * count, 0.001, users=10))
        return codes(plan_findings(plan, MARKS, [window], offered, None))

    assert findings(900) == []  # 3.2 deviations and 1 % below 1,000 begins at 895
    assert findings(890) == ["offered-load-not-achieved"]


def test_sessions_vary_more_than_single_arrivals_before_they_are_short(request_table):
    plan, window = scheduled("sessions:10:8", 10), Window(1, 10, 0.0, 10.0)  # 1,000 wanted, deviation 122

    def findings(count):
        due = [10.0 * (place + 0.5) / count for place in range(count)]
        offered = offered_loads(plan, [window], sent(request_table, due, [0.0] * count, 0.001, users=10))
        return plan_findings(plan, MARKS, [window], offered, None)

    assert codes(findings(640)) == []
    (said,) = findings(600)
    assert said.code == "offered-load-not-achieved"
    assert "sessions had not yet come to their usual number" in said.message


def test_lateness_of_a_tenth_of_the_residence_time_is_said(request_table):
    window = Window(1, 1, 0.0, 10.0)

    def findings(late_s):
        due = [float(second) for second in range(10)]
        offered = offered_loads(scheduled("constant:1", 1), [window], sent(request_table, due, [late_s] * 10, 0.5))
        return plan_findings(scheduled("constant:1", 1), MARKS, [window], offered, None)

    assert codes(findings(0.04)) == []
    (said,) = findings(0.1)
    assert said.code == "requests-sent-late"
    assert "answers took about 600 ms, not 500 ms" in said.message


def test_how_a_test_ended_is_said():
    steps, limit = LoadPlan((5,)), LoadPlan(shape=parse_shape("breakpoint:1:1:9s:5"))
    assert plan_findings(steps, MARKS, (), (), None) == ()
    (aborted,) = plan_findings(steps, MARKS, (), (), MET)
    assert (aborted.code, aborted.severity, aborted.numbers["step"]) == ("test-aborted", "warning", 3)
    (reached,) = plan_findings(limit, MARKS, (), (), MET)
    assert (reached.code, reached.severity, reached.numbers["users"]) == ("breakpoint-reached", "info", 2)
    assert codes(plan_findings(limit, MARKS, (), (), None)) == ["breakpoint-not-reached"]
    assert codes(plan_findings(LoadPlan(shape=parse_shape("ramp:0:5:9s")), MARKS, (), (), None)) == ["no-plateau"]
