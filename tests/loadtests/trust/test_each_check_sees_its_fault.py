"""One story a check: a clean recording is trusted, and the fault that the check is meant for is named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.trust.censoring import sending_ended_s
from loadtests.trust.check import NotApplicable
from loadtests.trust.judge import CHECKS, check_recording
from simulations.model.server_model import ServerModel
from support import faults
from support.clean_recordings import Setting, clean_recording

MODEL = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.08, 0.8), 0.002)
SETTING = Setting(MODEL, Exponential(0.4), (20, 60), 30.0, processes=2, endpoints=2)


@pytest.fixture(scope="module")
def clean():
    return clean_recording(SETTING, seed=5)


def fired(recording):
    return set(check_recording(recording).fired)


def middle_s(recording):
    return recording.steps[-1].start_s + 10.0


def test_a_clean_recording_is_trusted_and_every_check_applies(clean):
    report = check_recording(clean)
    assert report.verdict == "trusted", report.summary()
    assert [item.state for item in report.checks] == ["ok"] * len(CHECKS)


FAULTS = {
    "operational-law": lambda item: faults.silence_users(item, 0.03),
    "think-time-law": lambda item: faults.state_think_time(item, 1.15),
    "generator-saturated": lambda item: faults.busy_generator(item, 0.9),
    "generator-paused": lambda item: faults.inject_generator_pause(item, middle_s(item), 1.0),
    "stall": lambda item: faults.inject_stall(item, middle_s(item), 1.0),
    "coordinated-omission": lambda item: faults.inject_stall(item, middle_s(item), 2.0),
    "non-stationary": lambda item: faults.inject_trend(item, 3.0),
    "lost-requests": lambda item: faults.lose_rows(item, 0.005),
    "duplicated-requests": lambda item: faults.duplicate_worker(item, "1"),
    "lost-worker": lambda item: faults.drop_worker(item, "1", middle_s(item)),
    "clock-jump": lambda item: faults.clock_jump(item, middle_s(item), 0.5),
    "too-few-samples": lambda item: faults.cut_windows(item, 1.0),
    "rate-limited": lambda item: faults.inject_rate_limit(item, 0.01),
    "client-errors": lambda item: faults.inject_missing_page(item, "/health"),
    "failed-requests": lambda item: faults.inject_failures(item, 0.03),
    "censored-requests": lambda item: faults.hang_users(item, 0.1, 8.0),
}  # fmt: skip


@pytest.mark.parametrize("code", FAULTS)
def test_the_check_fires_on_its_fault(clean, code):
    assert code in fired(FAULTS[code](clean))


def test_users_spawned_together_are_a_herd():
    herd = replace(SETTING, users=(90,), settle_s=0.0, spread_s=0.01)
    assert "spawn-herd" in fired(clean_recording(herd, seed=5))


def test_every_check_has_a_fault_or_only_states(clean):
    assert {check.code for check in CHECKS} == set(FAULTS) | {"spawn-herd", "gate-unobserved"}


def test_users_below_the_gate_leave_it_unobserved_and_that_is_said_not_held_against_it(clean):
    report = check_recording(clean.only([1]))
    assert [item.severity for item in report.findings if item.code == "gate-unobserved"] == ["info"]
    assert "below the stated limit of 20" in report.findings[0].message
    assert "gate-unobserved" not in report.fired


def test_a_server_that_states_to_have_no_gate_has_none_to_observe(clean):
    without = replace(clean.only([1]), deployment=replace(clean.deployment, gate_limit=UNLIMITED, queue_capacity=None))
    assert "gate-unobserved" not in {item.code for item in check_recording(without).findings}


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("generator-saturated", lambda item: faults.late_generator(item, 0.1)),
        ("generator-saturated", lambda item: faults.full_generator(item, 0.95)),
        ("clock-jump", lambda item: faults.clock_goes_back(item, middle_s(item), 1.0)),
        ("think-time-law", lambda item: faults.without_user_ids(faults.lose_rows(item, 0.15))),
        ("lost-worker", lambda item: faults.drop_worker(item, "1")),
        ("stall", lambda item: faults.inject_stall(item, item.steps[-1].end_s - 2.0, 4.0)),
        ("stall", lambda item: faults.inject_stall(item, item.steps[-1].start_s - 2.0, 4.0)),
    ],
)
def test_the_same_checks_see_related_faults(clean, code, fault):
    assert code in fired(fault(clean))


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (lambda item: faults.inject_rate_limit(item, 0.01), "usable-with-caveats"),
        (lambda item: faults.inject_rate_limit(item, 0.2), "refused"),
        (lambda item: faults.lose_rows(item, 0.005), "usable-with-caveats"),
        (lambda item: faults.lose_rows(item, 0.05), "refused"),
        (lambda item: faults.silence_users(item, 0.2), "refused"),
        (lambda item: faults.busy_generator(item, 0.99), "refused"),
        (lambda item: faults.inject_missing_page(item, "/health"), "refused"),
        (lambda item: faults.inject_stall(item, middle_s(item), 6.0), "refused"),
    ],
)
def test_the_verdict_follows_the_size_of_the_fault(clean, fault, verdict):
    assert check_recording(fault(clean)).verdict == verdict


def test_the_load_generator_s_total_tells_of_rows_that_are_missing_and_doubled(clean):
    count = len(clean.requests)
    for total, code in ((count + 5, "lost-requests"), (count - 5, "duplicated-requests")):
        manifest = {**clean.manifest, "totals": {"locust": total, "journal": count}}
        assert code in fired(replace(clean, manifest=manifest))


def test_a_process_that_left_no_row_at_all_is_missed(clean):
    manifest = {**clean.manifest, "generator": {"processes": 3, "loop": "closed"}}
    assert "lost-worker" in fired(replace(clean, manifest=manifest))


def test_runs_of_their_own_after_each_other_are_no_lost_workers(clean):
    first = clean.steps[0]
    one = clean.requests[clean.requests["finish_s"] < first.end_s].assign(worker_id="u20")
    two = clean.requests[clean.requests["start_s"] >= first.end_s].assign(worker_id="u60")
    joined = replace(clean, requests=pd.concat([one, two], ignore_index=True))
    assert {item.code: item.state for item in check_recording(joined).checks}["lost-worker"] == "not-applicable"


def test_a_lost_worker_is_named_once_with_the_first_step_that_it_missed(clean):
    lost = faults.drop_worker(clean, "1", clean.steps[0].start_s + 5.0)
    found = [item for item in check_recording(lost).findings if item.code == "lost-worker"]
    assert [(item.numbers["worker"], item.numbers["step"]) for item in found] == [("1", 1)]


def test_checks_say_why_they_do_not_apply():
    report = check_recording(faults.without_user_ids(clean_recording(replace(SETTING, processes=1), seed=6)))
    why = {item.code: item.why for item in report.checks if item.state == "not-applicable"}
    assert set(why) == {"operational-law", "lost-worker", "censored-requests"}
    assert "no user ids" in why["operational-law"]


def test_requests_sent_while_users_are_being_stopped_do_not_tell_when_sending_ended():
    """A Locust that is busy stopping 80 users lets some of them send 150 ms later; the others are no silent users."""
    sent_s = 10.0 + np.cumsum(np.random.default_rng(1).exponential(1 / 500, size=600))
    late_s = pd.Series([*sent_s, sent_s[-1] + 0.15, sent_s[-1] + 0.151])
    assert sending_ended_s(late_s, 10.5) == sent_s[-1]
    assert sending_ended_s(pd.Series(sent_s), 10.5) == sent_s[-1]
    assert sending_ended_s(late_s, 20.0) == late_s.max()


def test_looks_are_pure(clean):
    before = clean.requests.copy()
    for check in CHECKS:
        first, second = check.look(clean), check.look(clean)
        assert isinstance(first, NotApplicable) or first == second
    assert before.equals(clean.requests)
