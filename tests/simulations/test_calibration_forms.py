"""Which form of server a recording shows: calibration finds it among those that it compares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.distributions import Constant, Exponential, LogNormal, Mixture
from loadtests.recording import Recording
from loadtests.tables import LATENCY_BIN_COLUMNS, REQUEST_COLUMNS, empty_table
from simulations.calibration.binned_steps import class_shares_of_bins
from simulations.calibration.fitting import calibrate
from simulations.calibration.form_search import FormSearch
from simulations.calibration.identifiability import pool_findings, timeout_findings
from simulations.calibration.model_form import Mix
from simulations.calibration.observations import mix_of, observe
from simulations.calibration.problem import Problem
from simulations.calibration.rejections import rejections_of
from simulations.calibration.service_shapes import measured_shape, two_part_shape
from simulations.model.server_model import RequestClass, ServerModel

MakeRecording = Callable[..., Recording]
THINK = Exponential(0.5)


def stated(recording: Recording, deployment: Deployment) -> Recording:
    """The recording of somebody who knows only this much of the deployment."""
    return Recording(deployment, recording.steps, recording.requests)


def in_groups(recording: Recording, width_s: float = 0.005, *, endpoints: tuple[str, ...] = ()) -> Recording:
    """All that a histogram of all outcomes together keeps, and one of each of the named endpoints."""
    bins = []
    for step in recording.steps:
        everything = recording.requests_in(step)
        for endpoint in ("", *endpoints):
            rows = everything[everything["endpoint"] == endpoint] if endpoint else everything
            times = (rows["finish_s"] - rows["start_s"]).to_numpy()
            numbers, counts = np.unique(np.floor(times / width_s), return_counts=True)
            bins.append(pd.DataFrame({
                "step": step.step, "endpoint": endpoint, "outcome": "any", "low_s": numbers * width_s,
                "high_s": (numbers + 1) * width_s, "count": counts.astype(float),
            }))  # fmt: skip
    table = pd.concat(bins)[list(LATENCY_BIN_COLUMNS)]
    return Recording(recording.deployment, recording.steps, empty_table(REQUEST_COLUMNS), latency_bins=table)


def test_shared_cores_that_nobody_stated_are_found(make_recording: MakeRecording) -> None:
    """The step of 2 users, who share nothing, tells two cores from one that is twice as fast."""
    truth = ServerModel(
        Deployment(workers=UNLIMITED, cpu_cores=2.0, gate_limit=200), LogNormal(0.01, 0.7), 0.002,
        cpu_time=LogNormal(0.03, 0.7),
    )  # fmt: skip
    found = calibrate(stated(make_recording(truth, (2, 8, 18, 30, 40, 80), THINK, window_s=40.0), Deployment()))
    assert found.form.stage == "cores"
    assert found.model.deployment.cpu_cores == 2
    cpu = found.parameters["cpu_mean_s"]
    assert abs(cpu.mid - 0.03) < 3 * (cpu.high - cpu.low)
    assert abs(cpu.mid / 0.03 - 1) < 0.05


def test_all_forms_are_compared_by_the_noise_of_one_that_explains_the_recording(make_recording: MakeRecording) -> None:
    """Forms without shared cores are far off here: by their noise the shapes of the times could not be told apart."""
    limits = Deployment(workers=62, queue_capacity=62, cpu_cores=2.0)
    truth = ServerModel(limits, LogNormal(0.064, 0.74), 0.011, cpu_time=LogNormal(0.1, 0.74))
    recording = make_recording(truth, (12, 21, 29, 38, 53), Exponential(1.3), seed=7)
    search = FormSearch(recording, observe(recording), mix_of(recording), limits, None, 1, lambda *_: None)
    problem, candidates = search.run()
    stages = [item.fit.form.stage for item in candidates]
    assert stages[0] == "cores"
    assert "none" in stages
    assert candidates[0].fit.form.shape.name == "lognormal"
    assert candidates[0].score.ratio < 1.5
    for item in candidates:
        assert item.fit.chi_square == pytest.approx(problem.chi_square(item.fit.form, item.fit.theta))


def test_a_database_pool_is_told_from_workers_by_an_endpoint_that_needs_no_connection(
    make_recording: MakeRecording,
) -> None:
    classes = (
        RequestClass("/orders", 3.0, LogNormal(0.02, 0.7), database_time=LogNormal(0.06, 0.7)),
        RequestClass("/static", 1.0, LogNormal(0.03, 0.5), database_time=Constant(0.0)),
    )
    limits = Deployment(workers=30, queue_capacity=UNLIMITED, db_pool=6)
    truth = ServerModel(limits, LogNormal(0.02, 0.7), 0.002, request_classes=classes)
    found = calibrate(make_recording(truth, (20, 45, 75, 95), THINK, window_s=40.0))
    assert (found.form.stage, found.form.without_stage) == ("database", ("[/static]",))
    assert found.parameters["database_mean_s[/orders]"].mid == pytest.approx(0.06, rel=0.05)
    assert found.parameters["service_mean_s[/static]"].mid == pytest.approx(0.03, rel=0.1)


def test_a_pool_that_nobody_stated_is_found_where_workers_alone_explain_too_little(
    make_recording: MakeRecording,
) -> None:
    """One endpoint, whose requests wait for a connection long before the last of 40 workers is busy."""
    limits = Deployment(workers=40, queue_capacity=60, db_pool=6)
    truth = ServerModel(limits, LogNormal(0.02, 0.7), 0.002, database_time=LogNormal(0.05, 0.7))
    recording = make_recording(truth, (30, 60, 100, 180), THINK, window_s=25.0)
    found = calibrate(stated(recording, Deployment(workers=40, queue_capacity=60)))
    assert found.form.stage == "database"
    assert found.parameters["db_pool"].contains(6)
    assert found.parameters["database_mean_s"].contains(0.05)
    assert found.scores[0].ratio < 1.5
    assert "poor-fit" not in {item.code for item in found.findings}


@pytest.mark.parametrize(
    ("known", "is_said"),
    [(Deployment(), True), (Deployment(db_pool=UNLIMITED), False), (Deployment(db_pool=9), False),
     (Deployment(workers=7), False)],
)  # fmt: skip
def test_workers_that_were_found_may_be_a_pool_where_neither_is_stated(known: Deployment, is_said: bool) -> None:
    said = {item.code for item in pool_findings(known, known.with_limits(workers=7))}
    assert said == ({"workers-or-pool"} if is_said else set())
    assert not list(pool_findings(known, known.with_limits(workers=UNLIMITED)))


@pytest.mark.parametrize(("pool", "is_tried"), [(6, True), (8, False), (40, False)])
def test_a_stated_pool_is_tried_where_requests_can_have_waited_and_taken_only_if_clearly_better(
    make_recording: MakeRecording, pool: int, is_tried: bool
) -> None:
    """The server needs no database; with eight workers nobody can wait for the eighth connection."""
    truth = ServerModel(Deployment(workers=8, queue_capacity=20), LogNormal(0.05, 0.7), 0.002)
    told = Deployment(workers=8, queue_capacity=20, db_pool=pool)
    found = calibrate(stated(make_recording(truth, (25, 60, 90), THINK, window_s=15.0), told))
    assert any("with a database pool" in score.form for score in found.scores) == is_tried
    assert found.form.stage == "none"


def test_a_loss_system_has_no_workers(make_recording: MakeRecording) -> None:
    truth = ServerModel(Deployment(gate_limit=25, workers=UNLIMITED), LogNormal(0.12, 0.8), 0.002)
    found = calibrate(stated(make_recording(truth, (30, 60, 90, 130, 200), THINK), Deployment()))
    assert found.model.deployment.workers == UNLIMITED
    assert abs(found.parameters["gate_limit"].mid - 25) <= 1
    assert found.next_step is not None
    assert found.next_step.load > 200


def test_a_queue_timeout_and_the_time_of_a_rejection_are_read_off_the_rejections(make_recording: MakeRecording) -> None:
    truth = ServerModel(Deployment(workers=10, queue_timeout_s=0.15, gate_limit=UNLIMITED), LogNormal(0.1, 0.7), 0.002)
    found = rejections_of(make_recording(truth, (60, 100), THINK))
    assert found.queue_timeout_s.mid == pytest.approx(0.152, abs=1e-6)
    assert not found.rejection_time_s.is_known
    gated = ServerModel(Deployment(workers=10, queue_capacity=5), LogNormal(0.1, 0.7), 0.02, rejection_time_s=0.001)
    found = rejections_of(make_recording(gated, (100, 160), THINK))
    assert found.rejection_time_s.mid == pytest.approx(0.001, abs=1e-6)
    assert not found.queue_timeout_s.is_known


def test_a_recording_in_groups_is_calibrated_too(make_recording: MakeRecording) -> None:
    """Blended with the rejections, as Locust reports them; the truth within five half-widths, eight standard errors."""
    truth = ServerModel(Deployment(workers=12, queue_capacity=20), LogNormal(0.08, 0.8), 0.002)
    whole = make_recording(truth, (30, 60, 85, 110, 150), THINK, window_s=40.0)
    found = calibrate(in_groups(whole))
    for name, value in (("service_mean_s", 0.08), ("service_cv", 0.8)):
        interval = found.parameters[name]
        assert abs(interval.mid - value) < 5 * (interval.high - interval.low) / 2, name
        assert interval.high - interval.low < 0.15 * value, name


def test_a_gate_may_be_a_queue_timeout_where_single_rejections_are_not_known(make_recording: MakeRecording) -> None:
    truth = ServerModel(Deployment(workers=8, gate_limit=UNLIMITED, queue_timeout_s=0.25), LogNormal(0.08, 1.0), 0.002)
    whole = make_recording(truth, (20, 90), THINK)
    problem = Problem.of(observe(in_groups(whole)), 1)
    found = Deployment(workers=8, gate_limit=33)

    def said(recording: Recording, known: Deployment, limits: Deployment = found) -> list[str]:
        return [item.code for item in timeout_findings(problem, stated(recording, known), limits)]

    assert said(in_groups(whole), Deployment()) == ["gate-or-queue-timeout"]
    assert said(in_groups(whole), Deployment(queue_timeout_s=0.25)) == []
    assert said(in_groups(whole), Deployment(gate_limit=33)) == []
    assert said(in_groups(whole), Deployment(), found.with_limits(gate_limit=UNLIMITED)) == []
    assert said(whole, Deployment()) == []


def test_groups_and_single_requests_show_the_same_statistics(make_recording: MakeRecording) -> None:
    truth = ServerModel(Deployment(workers=12, queue_capacity=20), LogNormal(0.08, 0.8), 0.002)
    whole = make_recording(truth, (30,), THINK, window_s=40.0)
    (single,), (grouped,) = observe(whole), observe(in_groups(whole, 0.001))
    assert grouped.view.names == single.view.names
    np.testing.assert_allclose(grouped.values, single.values, atol=0.03)


def _three_endpoints(make_recording: MakeRecording, users: tuple[int, ...]) -> Recording:
    classes = (
        RequestClass("/a", 5, LogNormal(0.03, 0.5)), RequestClass("/b", 4, LogNormal(0.09, 0.6)),
        RequestClass("/c", 1, LogNormal(0.2, 0.4)),
    )  # fmt: skip
    truth = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.03, 0.5), 0.002, request_classes=classes)
    return make_recording(truth, users, THINK, window_s=40.0)


def test_groups_by_endpoint_show_each_class_as_single_requests_do(make_recording: MakeRecording) -> None:
    """The first step sheds nothing; the last does, so its groups are blended by class too."""
    whole = _three_endpoints(make_recording, (15, 25, 90))
    grouped = in_groups(whole, 0.001, endpoints=("/a", "/b"))
    mix = mix_of(grouped)
    assert (mix.names, mix_of(whole).names) == (("/a", "/b", "other"), ("/a", "/b", "/c"))
    np.testing.assert_allclose(mix.weights, mix_of(whole).weights, atol=1e-9)
    alike = Mix(("/a", "/b", "/c"), mix.weights)
    single, binned = observe(whole, alike), observe(in_groups(whole, 0.001, endpoints=("/a", "/b", "/c")), alike)
    left_over = observe(grouped, mix)
    assert binned[0].view.names == single[0].view.names == left_over[0].view.names
    # The 10th percentile of a class of 90 requests depends on how one interpolates between two of them.
    np.testing.assert_allclose(binned[0].values, single[0].values, atol=0.05)
    for name in ("mean", "mean[0]", "mean[1]", "mean[2]"):
        assert binned[0].value(name) == pytest.approx(single[0].value(name), abs=0.003)
    np.testing.assert_allclose(left_over[0].values, binned[0].values, atol=1e-9)
    assert binned[2].view.is_blended
    assert not any(name.startswith("mean[") for name in binned[2].view.names)
    assert {group.number for group in binned[2].view.groups} == {-1, 0, 1, 2}


def test_a_database_pool_is_found_in_groups_by_endpoint(make_recording: MakeRecording) -> None:
    classes = (
        RequestClass("/orders", 3.0, LogNormal(0.02, 0.7), database_time=LogNormal(0.06, 0.7)),
        RequestClass("/static", 1.0, LogNormal(0.03, 0.5), database_time=Constant(0.0)),
    )
    limits = Deployment(workers=30, queue_capacity=UNLIMITED, db_pool=6)
    truth = ServerModel(limits, LogNormal(0.02, 0.7), 0.002, request_classes=classes)
    whole = make_recording(truth, (20, 45, 75, 95), THINK, window_s=40.0)
    found = calibrate(in_groups(whole, 0.002, endpoints=("/orders", "/static")))
    assert (found.form.stage, found.form.without_stage) == ("database", ("[/static]",))
    assert found.parameters["database_mean_s[/orders]"].mid == pytest.approx(0.06, rel=0.07)


def test_shares_of_a_step_in_groups_are_those_of_its_requests(make_recording: MakeRecording) -> None:
    whole = _three_endpoints(make_recording, (15, 25))
    step = whole.steps[0]
    shares = class_shares_of_bins(in_groups(whole, endpoints=("/a", "/b")), step, ("/a", "/b", "other"))
    counted = whole.requests_in(step)["endpoint"].value_counts(normalize=True)
    assert shares == pytest.approx({"/a": counted["/a"], "/b": counted["/b"], "other": counted["/c"]})
    assert class_shares_of_bins(in_groups(whole), step, ("/a", "/b")) is None


def test_rare_endpoints_are_one_class(make_recording: MakeRecording) -> None:
    names = [RequestClass("/a", 60), RequestClass("/b", 30), RequestClass("/c", 5), RequestClass("/d", 5)]
    truth = ServerModel(Deployment(workers=20), LogNormal(0.05, 0.5), request_classes=tuple(names))
    mix = mix_of(make_recording(truth, (20, 40), THINK, window_s=10.0))
    assert mix.names == ("/a", "/b", "other")
    assert sum(mix.weights) == pytest.approx(1.0)


def test_two_kinds_of_requests_behind_one_name_make_a_shape_of_two_parts() -> None:
    rng = np.random.default_rng(3)
    two = Mixture(((0.7, LogNormal(0.01, 0.3)), (0.3, LogNormal(0.2, 0.3))))
    times = np.asarray(two.quantile_s(rng.random(2_000)))
    found = two_part_shape(times)
    assert found is not None
    fitted = found.distribution(two.mean_s, two.cv)
    for probability in (0.1, 0.5, 0.9, 0.99):
        assert float(fitted.quantile_s(probability)) == pytest.approx(float(two.quantile_s(probability)), rel=0.12)
    assert two_part_shape(np.asarray(LogNormal(0.1, 0.8).quantile_s(rng.random(2_000)))) is None


def test_times_that_do_not_differ_are_one_part_and_have_no_cv_to_stretch_to() -> None:
    same = np.full(1_000, 0.08)
    assert two_part_shape(same) is None
    shape = measured_shape(same)
    assert shape.reach == pytest.approx((0.0, 0.0), abs=1e-7)  # a variance is known to 1e-15
    assert shape.distribution(0.1, 0.7).cv == pytest.approx(0.0, abs=1e-7)


def test_a_measured_shape_is_stretched_to_a_mean_and_cv() -> None:
    times = np.asarray(LogNormal(0.1, 0.5).quantile_s((np.arange(1_000) + 0.5) / 1_000))
    stretched = measured_shape(times).distribution(0.3, 0.8)
    assert stretched.mean_s == pytest.approx(0.3)
    assert stretched.cv == pytest.approx(0.8, rel=1e-4)
