"""A stretch of traffic as a step: its intervals hold the long run as often as they claim."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loadtests import Deployment, QueryMap
from loadtests.foundation.units import Quantity
from loadtests.prometheus.identifiability import judge
from loadtests.prometheus.levels import find_stretches
from loadtests.prometheus.observed import Fetched, observe
from loadtests.prometheus.steps import LevelOptions, level_of
from loadtests.recording import LoadStep
from simulations import CapacityCurve
from support.live_traffic import poisson_traffic, scraped

RATE_RPS, RANGE_S, SIGMA = 12.0, 600.0, 0.7
TRUTH = {
    "throughput_rps": RATE_RPS,
    "goodput_rps": RATE_RPS,
    "mean_s": 0.08 * np.exp(SIGMA**2 / 2),
    **{f"p{q}_s": 0.08 * np.exp(SIGMA * stats.norm.ppf(q / 100)) for q in (50, 95, 99)},
}
NAMES = {"requests": "requests_total", "buckets": "seconds_bucket", "sums": "seconds_sum"}


def observed(traffic, times):
    series = scraped(traffic, times)
    parts = {
        part: tuple(item for item in series if item.labels["__name__"] == f"live_{name}")
        for part, name in NAMES.items()
    }
    return observe(Fetched(**parts), QueryMap())


def gauges(**values):
    return pd.DataFrame({"time_s": np.arange(0.0, RANGE_S, 10.0), **values})


def level(seed, levels=((RATE_RPS, RANGE_S),), **columns):
    given = observed(poisson_traffic(0.0, levels, seed), np.arange(0.0, RANGE_S + 1, 10.0))
    stretch = max(
        find_stretches(given.requests, given.counters.length_s, given.counters.is_usable),
        key=lambda item: item.end - item.first,
    )
    return level_of(1, stretch, given, gauges(**columns), LevelOptions(0.0, None, "", seed))


def test_intervals_hold_the_long_run_at_least_as_often_as_they_claim():
    runs = 150
    held = dict.fromkeys(TRUTH, 0)
    for seed in range(runs):
        metrics = level(seed).step.metrics
        for name, value in TRUTH.items():
            held[name] += metrics[name].low <= value <= metrics[name].high
    fewest = stats.binom.ppf(0.001, runs, 0.9)
    assert {name: count for name, count in held.items() if count < fewest} == {}


@pytest.mark.parametrize(
    ("columns", "deployment", "verdict"),
    [
        ({"workers_busy": 1.0, "queue_length": 0.0}, Deployment(workers=5, queue_capacity=5), "identified"),
        ({"workers_busy": 1.0}, Deployment(), "partly-identified"),
        ({}, Deployment(workers=5, queue_capacity=5), "partly-identified"),
        ({"workers_busy": np.nan}, Deployment(workers=5, queue_capacity=5), "partly-identified"),
    ],
)
def test_the_verdict_asks_for_busy_workers_and_the_gate(columns, deployment, verdict):
    levels = [level(1, **columns), level(2, ((3 * RATE_RPS, RANGE_S),), **columns)]
    assert judge(levels, deployment, 10.0, think="").verdict == verdict


def test_one_level_identifies_nothing_whatever_else_is_known():
    levels = [level(seed, workers_busy=1.0) for seed in (1, 2)]
    assert judge(levels, Deployment(workers=5, queue_capacity=5), 10.0, think="").verdict == "not-identified"


def test_a_step_says_what_its_load_counts_in_json_too():
    step = level(1).step
    assert step.load_text == f"{step.users} in flight"
    assert LoadStep.from_dict(step.to_dict()).load_quantity is Quantity.IN_FLIGHT
    before = {name: value for name, value in step.to_dict().items() if name != "load_quantity"}
    assert LoadStep.from_dict(before).load_quantity is Quantity.USERS
    assert CapacityCurve.from_steps([step]).quantity is Quantity.IN_FLIGHT
