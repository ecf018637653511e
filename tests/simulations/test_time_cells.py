"""Sums over cells of time: they tell what the log tells, they add up, and they do not grow."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.errors import InputError
from simulations.engines import compiled_engine
from simulations.engines import digest_kernel as column
from simulations.engines.inputs import EngineInput, RunLength
from simulations.engines.kernel_choice import choose_kernel
from simulations.engines.request_log import OUTCOME_NAMES, SERVED, RequestLog, Waits
from simulations.engines.time_cells import CELLS, TimeCells
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, Workload

SERVER = ServerModel(Deployment(workers=4, queue_capacity=6), LogNormal(0.05, 0.8), 0.002, rejection_time_s=0.0007)
IMPATIENT = Clients(0.2, Retries(3, 0.1))
PROBABILITIES = (0.05, 0.5, 0.95, 0.99)
BUCKET = 1 / 128
"""A bucket's width over its lower edge, 0.8 %."""

CASES: list[tuple[str, Workload, Fleet, str]] = [
    ("open", OpenWorkload(75.0), Fleet(), "recursion"),
    ("closed", ClosedWorkload(15, Exponential(0.1)), Fleet(), "recursion"),
    ("retries", OpenWorkload(75.0, clients=IMPATIENT), Fleet(), "events"),
    ("fleet", ClosedWorkload(30, Exponential(0.1), clients=IMPATIENT), Fleet(2, "least-connections"), "events"),
]
cases = pytest.mark.parametrize(("workload", "fleet", "kernel"), [case[1:] for case in CASES],
                                ids=[case[0] for case in CASES])  # fmt: skip


def prepared(workload: Workload, fleet: Fleet, requests: int = 20_000, seed: int = 3) -> EngineInput:
    return compiled_engine.prepare(SERVER, workload, RunLength(requests), seed, fleet)


def of_log(log: RequestLog, width_s: float) -> TimeCells:
    cells = TimeCells(width_s, log.waits)
    cells.add_log(log)
    return cells


def part_of(log: RequestLog, rows: np.ndarray) -> RequestLog:
    names = ("arrival_s", "start_s", "departure_s", "outcome", "user", "cycle", "attempt", "instance", "request_class")
    return RequestLog(*(getattr(log, name)[rows] for name in names), log.waits)


def assert_equal(one: TimeCells, other: TimeCells) -> None:
    """Counts and histograms exactly, sums but for the rounding of another order."""
    for name in ("counts", "times", "totals", "scale"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-9, atol=1e-9)


@cases
def test_a_streamed_run_adds_up_to_what_its_kept_log_does(workload: Workload, fleet: Fleet, kernel: str) -> None:
    given = prepared(workload, fleet)
    assert choose_kernel(given).kernel == kernel
    streamed = TimeCells(1.0, given.waits)
    compiled_engine.stream(given, streamed)
    assert_equal(streamed, of_log(compiled_engine.run(given), 1.0))


@cases
def test_the_cells_say_what_the_log_says(workload: Workload, fleet: Fleet, kernel: str) -> None:
    given = prepared(workload, fleet)
    log, cells = compiled_engine.run(given), TimeCells(5.0, given.waits)
    compiled_engine.stream(given, cells)
    logical = log.logical()
    assert cells.attempts == len(log) == 20_000
    assert list(cells.outcomes().values()) == np.bincount(log.outcome, minlength=len(OUTCOME_NAMES)).tolist()
    assert list(cells.outcomes(logical=True).values()) == np.bincount(logical.outcome, minlength=6).tolist()
    assert cells.last_arrival_s == log.arrival_s.max()
    sums = dict(zip(range(column.SUMS), cells.sums.sum(axis=0).tolist(), strict=True))
    inside_s, held_s = log.departure_s - log.arrival_s, log.departure_s - log.start_s
    assert sums[column.IN_FLIGHT_S] == pytest.approx(inside_s.sum(), rel=1e-9)
    assert sums[column.INSIDE_S] == pytest.approx(inside_s.sum(), rel=1e-9)
    assert sums[column.BUSY_S] == pytest.approx(held_s.sum(), rel=1e-9)
    assert sums[column.HELD_S] == pytest.approx(held_s.sum(), rel=1e-9)
    assert sums[column.RESIDENCE_S] == pytest.approx(log.residence_s[log.served].sum(), rel=1e-9)
    assert sums[column.TOTAL_S] == pytest.approx(logical.total_s[logical.outcome == SERVED].sum(), rel=1e-9)


@cases
def test_quantiles_are_within_half_a_bucket_of_the_logs(workload: Workload, fleet: Fleet, kernel: str) -> None:
    """A smooth distribution fills a bucket evenly, so the straight line inside it errs by far less than 0.4 %."""
    given = prepared(workload, fleet, 200_000)
    log, cells = compiled_engine.run(given), TimeCells(50.0, given.waits)
    compiled_engine.stream(given, cells)
    logical = log.logical()
    for times_s, is_logical in ((log.residence_s[log.served], False), (logical.total_s[logical.outcome == 0], True)):
        exact = np.quantile(times_s, PROBABILITIES)
        np.testing.assert_allclose(cells.quantiles_s(PROBABILITIES, logical=is_logical), exact, rtol=BUCKET / 2)


@cases
def test_two_parts_of_a_run_add_up_to_the_whole(workload: Workload, fleet: Fleet, kernel: str) -> None:
    """By users or positions, so that no request's attempts are torn apart."""
    log = compiled_engine.run(prepared(workload, fleet))
    is_even = (log.user + log.cycle) % 2 == 0
    whole, merged = of_log(log, 2.0), of_log(part_of(log, is_even), 2.0)
    merged.merge(of_log(part_of(log, ~is_even), 2.0))
    assert_equal(merged, whole)


def test_replications_add_up_however_much_their_lengths_differ() -> None:
    """One had to double its cells and the other not."""
    short, long = (of_log(compiled_engine.run(prepared(OpenWorkload(75.0), Fleet(), count, seed)), 0.5)
                   for count, seed in ((2_000, 1), (20_000, 2)))  # fmt: skip
    assert short.cell_s < long.cell_s
    expected = {name: short.outcomes()[name] + long.outcomes()[name] for name in OUTCOME_NAMES}
    sums = short.sums.sum(axis=0) + long.sums.sum(axis=0)
    last_s = max(short.last_arrival_s, long.last_arrival_s)
    short.merge(long)
    assert short.outcomes() == expected
    assert (short.cell_s, short.last_arrival_s, short.attempts) == (long.cell_s, last_s, 22_000)
    np.testing.assert_allclose(short.sums.sum(axis=0), sums, rtol=1e-12)


def test_runs_that_cannot_be_added_are_refused() -> None:
    with pytest.raises(InputError, match="same clients"):
        TimeCells(1.0, Waits()).merge(TimeCells(1.0, Waits(0.1)))
    with pytest.raises(InputError, match="same width"):
        TimeCells(1.0, Waits()).merge(TimeCells(1.5, Waits()))
    with pytest.raises(InputError, match="width_s"):
        TimeCells(0.0, Waits())


@cases
def test_cells_that_double_keep_every_total(workload: Workload, fleet: Fleet, kernel: str) -> None:
    log = compiled_engine.run(prepared(workload, fleet))
    end_s = float(log.answered_s.max())
    fine, coarse = of_log(log, end_s / (CELLS * 30)), of_log(log, end_s / (CELLS - 4))
    assert fine.cell_s == pytest.approx(end_s / CELLS * 32 / 30)
    for name in ("counts", "times", "totals"):
        np.testing.assert_array_equal(getattr(fine, name).sum(axis=0), getattr(coarse, name).sum(axis=0))
    np.testing.assert_allclose(fine.sums.sum(axis=0), coarse.sums.sum(axis=0), rtol=1e-9)
    assert fine.quantiles_s(PROBABILITIES) == coarse.quantiles_s(PROBABILITIES)


@cases
def test_doubled_cells_are_those_that_were_wide_from_the_start(workload: Workload, fleet: Fleet, kernel: str) -> None:
    log = compiled_engine.run(prepared(workload, fleet))
    start_s = 2.0 ** math.ceil(math.log2(float(log.answered_s.max()) / CELLS))
    assert_equal(of_log(log, start_s / 16), of_log(log, start_s))


ordinary_s = st.floats(1e-7, 5e3)


@settings(max_examples=300)
@given(st.lists(st.one_of(ordinary_s, st.sampled_from([0.0, 0.25, 1 / 3])), min_size=1, max_size=60),
       st.floats(0.001, 0.999))  # fmt: skip
def test_a_quantile_errs_by_at_most_one_bucket(residence_s: list[float], share: float) -> None:
    """Against the smallest observation with at least this share at or below it, whatever the distribution."""
    times_s = np.array(residence_s)
    nothing, cells = np.zeros(len(times_s)), TimeCells(100.0, Waits())
    cells.add_columns(nothing, nothing, times_s, nothing.astype(np.int8))
    exact = np.sort(times_s)[math.ceil(share * len(times_s)) - 1]
    (found,) = cells.quantiles_s((share,))
    assert abs(found - exact) <= exact * BUCKET + 2.0**-27 * (1 + BUCKET)
    assert times_s.min() <= found <= times_s.max()


MEMORY = """
import sys
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from simulations import OpenWorkload, ServerModel, simulate
from simulations.model.clients import Clients

def peak_mb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

model = ServerModel(Deployment(workers=10, queue_capacity=20), Exponential(0.01))
workload = OpenWorkload(800.0, clients=Clients(timeout_s=float(sys.argv[1])))
for requests in map(int, sys.argv[3:]):
    found = simulate(model, workload, requests=requests)
    print(found.count, sys.argv[2] in found.engine_reason, peak_mb())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the process's peak memory where Linux has it")
@pytest.mark.parametrize(("timeout_s", "kernel", "requests"), [("inf", "recursion kernel", 2_000_000),
                                                               ("0.05", "events kernel", 1_000_000)])  # fmt: skip
def test_memory_does_not_grow_with_the_requests(timeout_s: str, kernel: str, requests: int) -> None:
    """Ten times the requests in the same process: the peak moves by less than 30 MB (a log takes 60 MB a million)."""
    counts = [str(requests), str(10 * requests)]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, timeout_s, kernel, *counts], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    short, long = (line.split() for line in done.stdout.splitlines())
    assert (short[:2], long[:2]) == ([counts[0], "True"], [counts[1], "True"])
    assert float(long[2]) - float(short[2]) < 30.0
