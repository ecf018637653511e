"""A sweep is the same whoever runs it, and refuses what makes no sense before it runs."""

from __future__ import annotations

import math

import joblib
import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential
from loadtests.foundation.errors import InputError
from loadtests.recording import STEP_METRICS
from simulations import (
    ClosedWorkload,
    Fleet,
    OpenWorkload,
    ServerModel,
    SessionWorkload,
    SweepSize,
    sweep_load,
)
from simulations.analysis.queueing_theory import closed_mmc, mmck
from simulations.model.workload import TraceWorkload, Workload

MMCK = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(1.0))
CLOSED, OPEN = ClosedWorkload(1, Exponential(2.0)), OpenWorkload(1.0)
SMALL = SweepSize(replications=3, requests=1_000)


@pytest.mark.parametrize("how", [{"n_jobs": 2}, {"n_jobs": 2, "backend": "loky"}, {"backend": "sequential"}])
def test_the_curve_does_not_depend_on_who_runs_it(how: dict[str, object]) -> None:
    alone = sweep_load(MMCK, CLOSED, [8, 16, 24], size=SMALL, seed=5)
    with joblib.parallel_config(**how):
        assert sweep_load(MMCK, CLOSED, [24, 8, 16], size=SMALL, seed=5) == alone
    assert sweep_load(MMCK, CLOSED, [8, 16, 24], size=SMALL, seed=5, jobs=-1) == alone
    assert sweep_load(MMCK, CLOSED, [8, 16, 24], size=SMALL, seed=6) != alone


@pytest.mark.realtime
@pytest.mark.xdist_group("realtime")
def test_a_dask_cluster_gives_the_same_curve() -> None:
    """Two worker processes of a real local cluster."""
    from distributed import Client, LocalCluster

    alone = sweep_load(MMCK, OPEN, [2.0, 3.0, 4.0, 5.0], size=SMALL, seed=5)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        with joblib.parallel_config(backend="dask"):
            assert sweep_load(MMCK, OPEN, [2.0, 3.0, 4.0, 5.0], size=SMALL, seed=5) == alone
        events = client.run(lambda dask_worker: len(dask_worker.state.log))
    assert len(events) == 2
    assert sum(events.values()) > 0, "the cluster was not asked"


def test_levels_agree_with_theory() -> None:
    """Twelve numbers; level 1 - 1e-6 / 12 each, so one of a million seeds gives a false alarm."""
    level = 1 - 1e-6 / 12
    curve = sweep_load(MMCK, OPEN, [2.0, 3.5, 5.0], level=level, size=SweepSize(20, 6_000))
    for point in curve.points:
        exact = mmck(point.load, 1.0, 4, 10)
        assert point.metrics["goodput_rps"].contains(exact.throughput_rps)
        assert point.metrics["shed_rate"].contains(exact.blocked_fraction)
        assert point.metrics["mean_s"].contains(exact.residence_time_s)
    endless = ServerModel(Deployment(workers=4, queue_capacity="unlimited"), Exponential(1.0))
    for point in sweep_load(endless, CLOSED, [6, 12, 24], level=level, size=SweepSize(20, 6_000)).points:
        assert point.metrics["goodput_rps"].contains(closed_mmc(round(point.load), 4, 1.0, 2.0).throughput_rps)


def test_replications_share_their_luck_over_the_levels() -> None:
    """Common random numbers: neighbouring levels of one replication move together."""
    curve = sweep_load(MMCK, OPEN, [3.0, 3.1], size=SweepSize(30, 2_000))
    one, other = (np.array(point.samples["mean_s"]) for point in curve.points)
    assert np.corrcoef(one, other)[0, 1] > 0.5


def test_open_arrivals_and_sessions_are_swept_by_their_rate() -> None:
    rates = sweep_load(MMCK, OPEN, [2.0, 3.0], size=SMALL)
    sessions = sweep_load(MMCK, SessionWorkload(1.0, 4, Exponential(1.0)), [0.5, 0.75], size=SMALL)
    assert rates.load.tolist() == sessions.load.tolist() == [2.0, 3.0]
    assert rates.to_frame().columns[0] == "arrival_rate_rps"
    for curve in (rates, sessions):
        throughput = curve.metric("throughput_rps")[1]
        # 3,000 arrivals a level: five standard errors of a Poisson count (a few sessions' worth for sessions).
        assert np.all(np.abs(throughput / curve.load - 1) < 5 * math.sqrt(4 / 3_000))
    with pytest.raises(InputError, match="not users"):
        _ = rates.users


def test_a_fleet_shares_the_load() -> None:
    two = sweep_load(MMCK, OPEN, [8.0], fleet=Fleet(2, "random"), size=SweepSize(20, 4_000), level=1 - 1e-6)
    assert two.points[0].metrics["shed_rate"].contains(mmck(4.0, 1.0, 4, 10).blocked_fraction)


def test_draws_take_the_place_of_replications() -> None:
    draws = [ServerModel(MMCK.deployment, Constant(mean_s)) for mean_s in (0.8, 1.0, 1.2)]
    (point,) = sweep_load(MMCK, OPEN, [2.0], draws=draws, size=SMALL).points
    found = point.metrics["mean_s"]
    assert (found.kind, len(point.samples["mean_s"])) == ("parameter", 3)
    assert found.low < 1.0 < found.high


def test_a_sweep_has_the_columns_of_a_measured_curve() -> None:
    frame = sweep_load(MMCK, CLOSED, [4, 8], size=SMALL).to_frame()
    assert frame["users"].tolist() == [4, 8]
    assert {f"{name}_{part}" for name in STEP_METRICS for part in ("low", "mid", "high")} <= set(frame.columns)


@pytest.mark.parametrize(
    ("workload", "levels", "message"),
    [
        (CLOSED, [], "No load levels"),
        (CLOSED, [0], "users is 0"),
        (CLOSED, [2.5], "users is 2.5"),
        (CLOSED, [8, 8], "level 8 is given more than once"),
        (CLOSED, range(1, 1_003), "1,002 load levels"),
        (CLOSED, [10**12], "minutes"),
        (OPEN, [0.0], "above 0"),
        (OPEN, [math.inf], "finite"),
        (TraceWorkload((0.0, 1.0)), [1.0], "TraceWorkload"),
        (ClosedWorkload(1, Constant(0.0)), [11], "without end"),
    ],
)  # fmt: skip
def test_bad_sweeps_are_refused_before_they_run(workload: Workload, levels: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sweep_load(MMCK, workload, levels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SweepSize(replications=1), "replications"),
        (lambda: SweepSize(requests=10), "requests"),
        (lambda: sweep_load(MMCK, OPEN, [1.0], level=0.0), "level"),
    ],
)
def test_bad_sizes_are_named(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
