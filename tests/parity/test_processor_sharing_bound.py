"""Both engines against a third, naive model of processor sharing: departures within 1e-9 of each other, relatively.

The engines keep one virtual clock for all jobs, whose rounding errors add up while the cores are busy. The naive
model below keeps the remaining work of every job and takes off each one's share at every event. The two round
differently, so bits cannot be compared; a relative error of 1e-9 in a departure is the bound that this test keeps,
over up to 40 jobs, whole and broken numbers of cores, and cores that change while jobs run. (With n events of
1.1e-16 each, n = 1e6 events in one busy period would stay within it.)
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.model.fleet import Fleet, LimitChange
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines

RELATIVE = 1e-9

Jobs = list[tuple[float, float]]
Changes = list[tuple[float, float]]


def naive_departures(jobs: Jobs, cores: float, changes: Changes) -> list[float]:
    """Remaining work of each job, brought up to date at every arrival, change and completion."""
    events = sorted([(at_s, 1, number) for number, (at_s, _) in enumerate(jobs)]
                    + [(at_s, 0, number) for number, (at_s, _) in enumerate(changes)])  # fmt: skip
    left: dict[int, float] = {}
    departure_s = [math.nan] * len(jobs)
    now_s = 0.0
    while events or left:
        rate = min(1.0, cores / len(left)) if left else 1.0
        first = min(left, key=lambda job: left[job], default=None)
        done_s = now_s + left[first] / rate if first is not None else math.inf
        until_s = min(done_s, events[0][0] if events else math.inf)
        left = {job: work - (until_s - now_s) * rate for job, work in left.items()}
        now_s = until_s
        if first is not None and done_s == until_s:
            del left[first]
            departure_s[first] = now_s
            continue
        _, is_job, number = events.pop(0)
        if is_job:
            left[number] = jobs[number][1]
        else:
            cores = changes[number][1]
    return departure_s


times = st.floats(0.0, 5.0)
work = st.floats(1e-3, 10.0)
some_cores = st.sampled_from([0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0])
core_changes = st.lists(st.tuples(st.floats(0.0, 60.0), some_cores), max_size=3, unique_by=lambda item: item[0])


@st.composite
def jobs_in_order(draw: st.DrawFn) -> Jobs:
    gaps = draw(st.lists(times, min_size=1, max_size=40))
    return [(at_s, draw(work)) for at_s in np.cumsum(gaps).tolist()]


@on_both_engines
@settings(max_examples=100)
@given(jobs=jobs_in_order(), cores=some_cores, changes=core_changes)
def test_departures_stay_within_the_bound(run: Engine, jobs: Jobs, cores: float, changes: Changes) -> None:
    fleet = Fleet(changes=tuple(LimitChange(at_s, cpu_cores=count) for at_s, count in changes))
    at_s, cpu = zip(*jobs, strict=True)
    log = run(arrivals(at_s, Limits(cpu_cores=cores), cpu=cpu, fleet=fleet))
    np.testing.assert_allclose(log.departure_s, naive_departures(jobs, cores, changes), rtol=RELATIVE, atol=0.0)


def test_the_naive_model_knows_a_case_by_hand() -> None:
    """One core: 2 alone until 1, then shared with 0.5 until 2, then the last half second alone."""
    assert naive_departures([(0.0, 2.0), (1.0, 0.5)], 1.0, []) == [2.5, 2.0]
    assert naive_departures([(0.0, 2.0), (0.0, 2.0)], 1.0, [(1.0, 2.0)]) == [2.5, 2.5]


@on_both_engines
def test_the_bound_holds_in_one_long_busy_period(run: Engine) -> None:
    """1,000 jobs that never let the core fall idle, so that the clock is never set back."""
    random = np.random.default_rng(5)
    jobs = list(zip(np.cumsum(random.exponential(0.05, 1_000)).tolist(), random.gamma(2.0, 0.5, 1_000).tolist(),
                    strict=True))  # fmt: skip
    at_s, cpu = zip(*jobs, strict=True)
    log = run(arrivals(at_s, Limits(cpu_cores=1.0), cpu=cpu))
    assert log.departure_s.max() == pytest.approx(at_s[0] + sum(cpu), rel=1e-9)
    np.testing.assert_allclose(log.departure_s, naive_departures(jobs, 1.0, []), rtol=RELATIVE, atol=0.0)
