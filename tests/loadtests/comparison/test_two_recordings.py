"""Two recordings of one synthetic server, step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadtests import compare_steps
from loadtests.comparison.compare import _between_runs, _Level, _sensitivities
from loadtests.comparison.noise import Estimate
from loadtests.comparison.result import RecordingComparison
from loadtests.comparison.rule import RELATIVE, SHARES, ComparisonRule
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.recording import Recording
from simulations.analysis.queueing_theory import closed_mmc
from simulations.model.server_model import ServerModel
from support.synthetic_recordings import record_model

THINK = Exponential(0.3)
USERS = (16, 40)


def recorded(
    mean_s: float = 0.08, users: tuple[int, ...] = USERS, seed: int = 1, *, queue: int = 12, summarised: bool = False
) -> Recording:
    model = ServerModel(Deployment(workers=8, queue_capacity=queue), LogNormal(mean_s, 0.8), 0.002)
    return record_model(model, users, THINK, 20.0, seed, summarised=summarised)


@pytest.fixture(scope="module")
def before() -> Recording:
    return recorded()


@pytest.fixture(scope="module")
def unchanged() -> Recording:
    return recorded(seed=2)


def codes(found: RecordingComparison) -> set[str]:
    return {item.code for item in found.findings}


def renamed(recording: Recording, endpoint: str, share: float) -> Recording:
    """The first share of every ten thousand requests goes to another endpoint."""
    rows = recording.requests
    other = (np.arange(len(rows)) * 7_919) % 10_000 < share * 10_000
    return replace(recording, requests=rows.assign(endpoint=rows["endpoint"].where(~other, endpoint)))


def test_a_slower_server_is_worse_and_a_quicker_one_is_not(before: Recording) -> None:
    slower, quicker = (compare_steps(before, recorded(mean_s, seed=3)) for mean_s in (0.11, 0.06))
    assert slower.verdict == "worse"
    assert slower.of("p95_s").change.low > 0.05
    assert slower.of("goodput_rps", 40).change.high < -0.05
    assert quicker.verdict != "worse"
    assert quicker.of("mean_s").change.high < 0


def test_the_change_at_light_load_is_that_of_the_service_time(before: Recording) -> None:
    """At 16 users on 8 workers nearly nobody waits; 5 half-widths of a 90 % interval are 8 standard errors."""
    change = compare_steps(before, recorded(0.104, seed=3)).of("mean_s", 16).change
    assert abs(change.mid - 0.3) < 5 * (change.high - change.low) / 2
    assert change.high - change.low < 0.3


def test_the_same_server_again_is_not_worse(before: Recording, unchanged: Recording) -> None:
    found = compare_steps(before, unchanged)
    assert found.verdict != "worse"
    assert {"run-to-run-stated", "recording-not-checked"} <= codes(found)
    assert found == compare_steps(before, unchanged)


def test_a_recording_against_itself_is_refused_also_as_a_copy_on_another_clock(before: Recording) -> None:
    later = replace(
        before,
        requests=before.requests.assign(
            start_s=before.requests["start_s"] + 7, finish_s=before.requests["finish_s"] + 7
        ),
        steps=tuple(replace(step, start_s=step.start_s + 7, end_s=step.end_s + 7) for step in before.steps),
    )
    for copy in (before, later):
        with pytest.raises(
            InputError, match=r"hold the same requests.* the release before as A and the one of the release after as B"
        ):
            compare_steps(before, copy)


def test_the_same_recording_is_noticed_where_requests_are_not_known_one_by_one() -> None:
    bare = recorded(summarised=True)
    bare = replace(bare, requests=bare.requests.iloc[:0])
    with pytest.raises(InputError, match="hold the same requests"):
        compare_steps(bare, replace(bare))


def test_a_run_that_is_on_both_sides_is_told(before: Recording, unchanged: Recording) -> None:
    """The heavy step is of the run before, the light one of the run after."""
    bounds = [(step.start_s, step.end_s) for step in before.steps]
    assert bounds == [(step.start_s, step.end_s) for step in unchanged.steps]
    border_s = bounds[1][0]
    light, heavy = unchanged.requests["finish_s"] < border_s, before.requests["finish_s"] >= border_s
    rows = pd.concat([unchanged.requests[light], before.requests[heavy]], ignore_index=True)
    mixed = replace(unchanged, requests=rows, steps=(unchanged.steps[0], before.steps[1]))
    found = compare_steps(before, mixed)
    shared = next(item for item in found.findings if item.code == "steps-shared")
    assert shared.numbers["steps"] == [[2, 2]]
    assert found.of("goodput_rps", 40).change.mid == 0.0
    assert "steps-shared" not in codes(compare_steps(before, unchanged))


def test_a_side_s_own_interval_is_that_of_its_step(unchanged: Recording) -> None:
    whole = recorded(summarised=True)
    found = compare_steps(whole, unchanged)
    for step in whole.steps:
        for metric in ("throughput_rps", "goodput_rps", "mean_s"):
            own, recorded_one = found.of(metric, step.users).a, step.metrics[metric]
            assert (own.low, own.mid, own.high) == pytest.approx(
                (recorded_one.low, recorded_one.mid, recorded_one.high)
            )
        own, recorded_one = found.of("p95_s", step.users).a, step.metrics["p95_s"]
        assert own.mid == pytest.approx(recorded_one.mid)
        assert 0.7 < (own.high - own.low) / (recorded_one.high - recorded_one.low) < 1.4


def test_requests_that_fail_make_a_release_worse(before: Recording, unchanged: Recording) -> None:
    rows = unchanged.requests
    failed = (np.arange(len(rows)) * 7_919) % 10 == 0
    broken = replace(unchanged, requests=rows.assign(outcome=rows["outcome"].where(~failed, "server_error")))
    found = compare_steps(before, broken)
    assert found.of("failed_rate", 16).verdict == "worse"
    assert found.of("failed_rate", 16).change.mid == pytest.approx(0.1, abs=0.03)


def test_a_share_without_a_single_case_is_shown_but_takes_no_part(before: Recording, unchanged: Recording) -> None:
    item = compare_steps(before, unchanged).of("failed_rate", 16)
    assert item.verdict == "not judged"
    assert item.change.high > 0


def test_only_levels_that_both_have_are_compared(before: Recording) -> None:
    found = compare_steps(before, recorded(users=(16, 25), seed=4))
    assert {item.users for item in found.differences} == {16}
    assert sum(item.code == "steps-not-paired" for item in found.findings) == 2
    assert "as at saturation" in next(item.message for item in found.findings if item.code == "run-to-run-stated")


def test_without_a_common_level_the_error_says_which_there_are(before: Recording) -> None:
    with pytest.raises(InputError, match=r"A has 16, 40 users, B has 20; record B with A.s levels \(--users 16,40"):
        compare_steps(before, recorded(users=(20,)))


def test_another_think_time_is_another_load(before: Recording, unchanged: Recording) -> None:
    other = replace(unchanged, steps=tuple(replace(step, think="constant:1") for step in unchanged.steps))
    with pytest.raises(InputError, match=r"at 16, 40 users A thinks exponential:0.3 and B constant:1"):
        compare_steps(before, other)
    unstated = replace(unchanged, steps=tuple(replace(step, think="") for step in unchanged.steps))
    assert compare_steps(before, unstated).of("p95_s", 16).users == 16


def test_other_requests_are_refused_and_other_shares_are_told(before: Recording, unchanged: Recording) -> None:
    with pytest.raises(InputError, match="only in A: none; only in B: /other"):
        compare_steps(before, renamed(unchanged, "/other", 0.2))
    mixed = compare_steps(renamed(before, "/other", 0.2), renamed(unchanged, "/other", 0.4))
    assert "mix-differs" in codes(mixed)
    assert "mix-differs" not in codes(compare_steps(renamed(before, "/other", 0.2), renamed(unchanged, "/other", 0.2)))


def test_a_refused_recording_is_not_compared_and_every_reason_is_in_one_error(before: Recording) -> None:
    finding = {"severity": "critical", "message": "The generator was saturated."}
    refused = replace(before, manifest={"trust": {"verdict": "refused", "findings": [finding]}})
    with pytest.raises(InputError) as caught:
        compare_steps(refused, recorded(users=(20,)))
    assert "A was refused by the trust checks (The generator was saturated.)" in str(caught.value)
    assert "no load level is in both" in str(caught.value)


def test_caveats_of_a_side_are_told(before: Recording, unchanged: Recording) -> None:
    doubtful = replace(unchanged, manifest={"trust": {"verdict": "usable-with-caveats"}})
    trusted = replace(before, manifest={"trust": {"verdict": "trusted"}})
    found = compare_steps(trusted, doubtful)
    assert [item.numbers["side"] for item in found.findings if item.code == "recording-has-caveats"] == ["B"]
    assert "recording-not-checked" not in codes(found)


def test_a_changed_limit_is_named(before: Recording) -> None:
    found = compare_steps(before, recorded(seed=3, queue=20))
    assert "queue_capacity 12 -> 20" in next(i.message for i in found.findings if i.code == "deployment-changed")


def test_gaps_that_differ_are_told(before: Recording, unchanged: Recording) -> None:
    def with_gaps(recording: Recording, gap_s: float) -> Recording:
        return replace(recording, steps=tuple(replace(step, gap_mean_s=gap_s) for step in recording.steps))

    assert "gaps-differ" in codes(compare_steps(with_gaps(before, 0.3), with_gaps(unchanged, 0.4)))
    assert "gaps-differ" not in codes(compare_steps(with_gaps(before, 0.3), with_gaps(unchanged, 0.31)))


def test_too_few_requests_for_a_percentile_are_told(before: Recording) -> None:
    short = record_model(
        ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.08, 0.8), 0.002), USERS, THINK, 2.0
    )
    found = compare_steps(before, short)
    assert "p95_s at 16" in next(item.message for item in found.findings if item.code == "too-few-requests")
    with pytest.raises(KeyError):
        found.of("p95_s", 16)


def test_steps_without_single_requests_are_compared_by_their_intervals() -> None:
    whole = [recorded(mean_s, seed=seed, summarised=True) for mean_s, seed in ((0.08, 1), (0.11, 2))]
    bare = [replace(item, requests=item.requests.iloc[:0]) for item in whole]
    by_rows, by_intervals = compare_steps(*whole), compare_steps(*bare)
    assert by_intervals.verdict == by_rows.verdict == "worse"
    for metric in ("goodput_rps", "mean_s", "p95_s"):
        one, other = (found.of(metric, 40).change for found in (by_rows, by_intervals))
        assert other.mid == pytest.approx(one.mid, abs=0.01)
        assert 0.7 < (other.high - other.low) / (one.high - one.low) < 1.4


def level(users: int, metric_values: dict[str, float], variance: float = 1e-6) -> _Level:
    known = {name: Estimate(value, variance) for name, value in metric_values.items()}
    run = {name: known.get(name, Estimate.unknown()) for name in (*RELATIVE, *SHARES)}
    return _Level(users, (run,), (run,))


def test_the_answer_to_the_servers_speed_is_that_of_the_exact_closed_queue() -> None:
    """8 exponential workers, every load from none waiting to saturation.

    Not exactly: an arriving user meets the queue of one user fewer, so a change of think time is not quite one of load.
    """
    service_s, think_s, move = 0.08, 0.3, 1e-4
    populations = range(4, 61)

    def logs(service: float) -> list[dict[str, float]]:
        found = [closed_mmc(users, 8, service, think_s) for users in populations]
        return [
            {"goodput_rps": math.log(item.throughput_rps), "mean_s": math.log(item.residence_time_s)} for item in found
        ]

    here, slower = logs(service_s), logs(service_s * math.exp(move))
    exact = np.array([after["mean_s"] - now["mean_s"] for now, after in zip(here, slower, strict=True)]) / move
    levels = [level(users, values) for users, values in zip(populations, here, strict=True)]
    stated = np.array(_sensitivities("mean_s", levels))
    assert np.max(np.abs(stated[1:-1] / exact[1:-1] - 1)) < 0.05
    assert exact.max() > 2.0
    single = _sensitivities("mean_s", levels[30:31])[0]
    assert single >= exact[30]


def repeats(values: np.ndarray, variance: float) -> list[_Level]:
    """Levels of three repeats on each side."""
    return [
        _Level(10 + place, *(tuple({"mean_s": Estimate(float(v), variance)} for v in side) for side in both))
        for place, both in enumerate(values)
    ]


def test_the_variance_between_runs_is_found_from_repeats() -> None:
    """Method of moments over 2,000 levels: 8,000 degrees of freedom, so 1.6 % standard error of the total variance."""
    random = np.random.default_rng(3)
    runs = random.normal(0.0, math.hypot(0.03, 0.02), (2_000, 2, 3))
    found = _between_runs("mean_s", repeats(runs, 0.02**2), [1.0] * 2_000)
    assert found.degrees == 8_000
    assert found.variance == pytest.approx(0.03**2, abs=5 * 0.016 * (0.03**2 + 0.02**2))
    assert _between_runs("mean_s", repeats(runs * 0.0, 0.02**2), [1.0] * 2_000).variance == 0.0


def test_repeats_of_whole_runs_take_the_place_of_the_stated_variation() -> None:
    users = (16, 16, 16)
    a, b = recorded(users=users, seed=1), recorded(users=users, seed=2)
    runs = [replace(item, manifest={"source": {"kind": "locust-files"}}) for item in (a, b)]
    one_run, several = compare_steps(a, b), compare_steps(*runs)
    assert "repeats-within-one-run" in codes(one_run)
    assert "run-to-run-stated" in codes(one_run)
    assert not {"repeats-within-one-run", "run-to-run-stated"} & codes(several)
    widths = [found.of("mean_s", 16).change.high - found.of("mean_s", 16).change.low for found in (one_run, several)]
    assert widths[1] < widths[0]


def test_repeats_that_differ_widen_the_interval() -> None:
    users = (16, 16, 16)
    steady = recorded(users=users, seed=1)
    rows = steady.requests
    stretch = rows["start_s"].lt(steady.steps[0].end_s) * 2.0 + 1.0
    restless = replace(
        steady, requests=rows.assign(start_s=rows["finish_s"] - (rows["finish_s"] - rows["start_s"]) * stretch)
    )
    other = recorded(users=users, seed=2)
    narrow, wide = (compare_steps(a, other).of("mean_s", 16).change for a in (steady, restless))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_margin_and_level_of_choice_move_the_verdict(before: Recording) -> None:
    slower = recorded(0.09, seed=3)
    assert compare_steps(before, slower, ComparisonRule(margin=0.99, share_margin=0.9)).verdict == "not worse"
    narrow, wide = (compare_steps(before, slower, ComparisonRule(level=level)).of("p95_s", 40) for level in (0.6, 0.99))
    assert narrow.change.high < wide.change.high
