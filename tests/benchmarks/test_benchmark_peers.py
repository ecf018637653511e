"""The benchmark's peers simulate the same system: same sheds and departures on a few hundred requests. No timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks import our_side, systems
from benchmarks.peers import ciw_open, event_list, simpy_callbacks, simpy_features, simpy_process
from benchmarks.restatement import replay
from benchmarks.systems import ClosedSystem, Result, System

REQUESTS = 600
SMALL = {"workers": 4, "cap": 9}
LOADS = [0.8, 1.2]

needs_compiler = pytest.mark.skipif(event_list.compiler() is None, reason="no C++ compiler here")
Make = Callable[[float, int], System]


def scaled(make: Make, load: float, **changes: Any) -> System:
    """A small version: few workers, and gaps stretched to keep the load."""
    system = make(load, REQUESTS)
    workers = changes.get("workers", SMALL["workers"])
    gap_s = system.gap_s * (systems.WORKERS / workers)
    return replace(system, **{**SMALL, **changes}, gap_s=gap_s, arrival_s=np.cumsum(gap_s))


def assert_same(a: Result, b: Result) -> None:
    np.testing.assert_array_equal(a.departure_s, b.departure_s)
    assert (a.shed, a.timed_out) == (b.shed, b.timed_out)


PEERS = {
    "simpy processes": simpy_process.open_run,
    "simpy callbacks": simpy_callbacks.open_run,
    "plain python": lambda system: lambda: replay(system),
    "c++ event list": event_list.open_run,
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(
    "peer", [pytest.param(name, marks=needs_compiler if name.startswith("c++") else ()) for name in PEERS]
)
def test_open_peers_equal_ours_to_the_last_bit(peer: str, load: float) -> None:
    system = scaled(systems.base_case, load)
    ours = our_side.result_of(our_side.open_run(system)())
    assert ours.shed > 0
    assert_same(PEERS[peer](system)(), ours)


@pytest.mark.parametrize("load", LOADS)
def test_ciw_equals_ours_when_accepted_requests_get_the_same_service_times(load: float) -> None:
    system = scaled(systems.base_case, load)
    ours = our_side.result_of(our_side.open_run(system)())
    in_turn = replace(system, service_s=system.service_s[~np.isnan(ours.departure_s)])
    assert_same(ciw_open.open_run(in_turn)(), ours)


@pytest.mark.parametrize("load", LOADS)
def test_the_closed_peer_equals_ours_to_the_last_bit(load: float) -> None:
    users, cycles = 40, 60
    rng = np.random.default_rng(1)
    service_s = systems.lognormal(rng, 0.0054, (users, cycles))
    think_s = rng.exponential(users / (load * 4 / 0.0054), (users, cycles))
    system = ClosedSystem(users, 0.0, REQUESTS, rng.uniform(0, 0.01, users), service_s, think_s, **SMALL)
    ours = our_side.result_of(our_side.closed_run_given(system, service_s, think_s)())

    def times_of(user: int) -> Iterator[tuple[float, float]]:
        return zip(service_s[user].tolist(), think_s[user, 1:].tolist(), strict=False)

    pooled = replace(system, service_s=np.empty(0), think_s=np.empty(0))
    assert ours.shed > 0
    assert_same(simpy_process.closed_run(pooled, times_of)(), ours)


def test_the_closed_peer_with_pooled_times_keeps_the_promised_load() -> None:
    system = systems.closed(2_000, 0.8, 10_000)
    departure_s = simpy_process.closed_run(system)().departure_s
    rate = np.count_nonzero(departure_s < 0.1) / 0.1
    assert rate == pytest.approx(0.8 * systems.SATURATION_RPS, rel=0.2)


FEATURES: dict[str, tuple[Make, dict[str, Any]]] = {
    "database": (systems.with_database, {}),
    "cpu": (systems.with_cpu, {}),
    "balanced": (systems.balanced, {"instances": 3}),
    "retries": (systems.with_retries, {}),
}


def small_feature(feature: str, load: float) -> System:
    make, changes = FEATURES[feature]
    system = scaled(make, load, **changes)
    if system.database is not None:
        return replace(system, database=replace(system.database, servers=1))
    if system.cpu is not None:
        return replace(system, cpu=replace(system.cpu, servers=1, time_s=system.cpu.time_s * 3))
    return system


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature_peers_equal_the_restatement(feature: str, load: float) -> None:
    system = small_feature(feature, load)
    peer, plain = getattr(simpy_features, f"{feature}_run")(system)(), replay(system)
    assert plain.shed > 0
    assert (plain.timed_out > 0) == (feature == "retries")
    if feature == "cpu":
        np.testing.assert_allclose(peer.departure_s, plain.departure_s, rtol=1e-9)
        assert peer.shed == plain.shed
    else:
        assert_same(peer, plain)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("feature", FEATURES)
def test_our_features_equal_the_peers(feature: str, load: float) -> None:
    run = getattr(our_side, f"{feature}_run")
    if run is None:
        pytest.skip("our_side.py has no such side yet")
    system = small_feature(feature, load)
    ours, peer = our_side.result_of(run(system)()), getattr(simpy_features, f"{feature}_run")(system)()
    assert (peer.shed, peer.timed_out) == (ours.shed, ours.timed_out)
    np.testing.assert_allclose(peer.departure_s, ours.departure_s, rtol=1e-9 if feature == "cpu" else 0)


def test_end_to_end_both_sides_see_the_same_system() -> None:
    """Twelve short runs each, own random numbers: sheds and mean residence time within five standard errors."""
    peer = [simpy_process.end_to_end(1.2, 3_000, seed, workers=8, cap=80) for seed in range(12)]
    ours = [our_side.short_run(1.2, 3_000, seed, workers=8, cap=80) for seed in range(12)]
    for name in ("shed_rate", "mean_s", "throughput_rps"):
        a, b = (np.array([run[name] for run in runs]) for runs in (peer, ours))
        error = np.hypot(a.std(ddof=1), b.std(ddof=1)) / np.sqrt(len(a))
        assert abs(a.mean() - b.mean()) < 5 * error, name
