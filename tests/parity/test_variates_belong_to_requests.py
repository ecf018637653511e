"""Random numbers: the published generator, exact inversion, and identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    LogNormal,
    Mixture,
    Pareto,
    Uniform,
    Weibull,
)
from simulations.analysis.simulation import simulate_log
from simulations.engines import recursion_kernels as kernels
from simulations.engines.inputs import RunLength
from simulations.engines.random_streams import philox4x32, quantile_table, times_s, uniforms
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

KNOWN_ANSWERS = [  # Random123 kat_vectors, philox4x32, 10 rounds
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0xA4093822 | (0x299F31D0 << 32),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(
    counter: tuple[int, int, int, int], key: int, answer: tuple[int, int, int, int]
) -> None:
    words = tuple(np.array([word], dtype=np.uint64) for word in counter)
    assert tuple(int(word[0]) for word in philox4x32(words, key)) == answer  # type: ignore[arg-type]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_the_compiled_generator_gives_the_same_bits(key: int, index: int, owner: int, attempt: int) -> None:
    reference = uniforms(key, [index], owner, attempt=attempt)
    fast = kernels._two_uniforms(np.uint64(key), index, owner, attempt, 0)
    assert (reference[0][0], reference[1][0]) == fast


def test_uniforms_stay_strictly_inside_zero_and_one_and_look_uniform() -> None:
    first, second = uniforms(12345, np.arange(200_000))
    for unit in (first, second):
        assert unit.min() > 0.0
        assert unit.max() < 1.0
        # mean of n uniforms: sd 1 / sqrt(12 n); 5 sigma, false alarm 6e-7
        assert abs(unit.mean() - 0.5) < 5 / np.sqrt(12 * unit.size)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 5 / np.sqrt(first.size)


DISTRIBUTIONS: list[Distribution] = [
    Exponential(0.05), LogNormal(0.1, 0.7), LogNormal(0.1, 3.0), Gamma(0.2, 0.5), Gamma(0.2, 2.0), Uniform(0.05, 0.15),
    Weibull(0.1, 0.5), Weibull(0.1, 3.0), Pareto(0.1, 0.5), Pareto(0.1, 3.0),
    Mixture(((0.7, Gamma(0.01, 0.5)), (0.3, Weibull(0.1, 2.0)))),
    Empirical.from_data(np.random.default_rng(3).gamma(2.0, 0.1, 5_000)),
]  # fmt: skip
WITH_A_JUMP: list[tuple[Distribution, float]] = [  # and the upper probability at which it jumps
    (Mixture(((0.9, Constant(0.001)), (0.1, LogNormal(0.05, 0.8)))), 0.1),
    (Mixture(((0.8, Uniform(0.01, 0.02)), (0.2, Uniform(0.5, 1.0)))), 0.2),
]
SOME_UNITS = np.array([0.001, 0.1, 0.5000001, 0.95, 0.99, 0.9999])


def mean_of_table(table: np.ndarray) -> float:
    tail_edges = np.concatenate([np.ldexp(1 + np.arange(128) / 128, exponent) for exponent in range(-53, -1)] + [[0.5]])
    widths = np.diff(tail_edges)
    return sum(float(np.sum(widths * (row[1:] + row[:-1]) / 2)) for row in table)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda item: item.text())
def test_the_quantile_table_keeps_the_distributions_mean_and_quantiles(distribution: Distribution) -> None:
    table = quantile_table(distribution)
    assert mean_of_table(table) == pytest.approx(distribution.mean_s, rel=2e-5)
    np.testing.assert_allclose(times_s(table, SOME_UNITS), distribution.quantile_s(SOME_UNITS), rtol=1e-3)


@pytest.mark.parametrize(("distribution", "jump"), WITH_A_JUMP, ids=lambda item: str(item)[:20])
def test_a_jump_costs_the_table_at_most_half_the_rise_in_its_cell(distribution: Distribution, jump: float) -> None:
    """In the cell of the jump a straight line stands for a step; no ascending function errs by more than this."""
    octave = 2.0 ** np.floor(np.log2(jump))
    low = octave + np.floor((jump - octave) / (octave / 128)) * octave / 128
    rise_s = distribution.upper_quantile_s(low) - distribution.upper_quantile_s(low + octave / 128)
    bound_s = 2e-5 * distribution.mean_s + float(rise_s) / 2 * octave / 128
    table = quantile_table(distribution)
    assert abs(mean_of_table(table) - distribution.mean_s) <= bound_s
    np.testing.assert_allclose(times_s(table, SOME_UNITS), distribution.quantile_s(SOME_UNITS), rtol=1e-3)


def test_constants_come_out_exactly() -> None:
    unit, _ = uniforms(7, np.arange(1_000))
    assert set(times_s(quantile_table(Constant(0.1)), unit).tolist()) == {0.1}


def test_a_shed_request_does_not_hand_later_service_times_to_somebody_else() -> None:
    """Two gates, the same users: each (user, cycle) that both serve has the same service time."""
    workload, length = ClosedWorkload(30, Exponential(0.05)), RunLength(requests=3_000)
    tight, wide = (
        simulate_log(ServerModel(Deployment(gate_limit=gate, workers=4, queue_capacity=50), Exponential(0.02)),
                     workload, length, seed=11).to_frame().query("outcome == 'served'").set_index(["user", "cycle"])
        for gate in (5, 40)
    )  # fmt: skip
    shared = tight.index.intersection(wide.index)
    assert len(shared) > 500
    taken = [frame.loc[shared, "departure_s"] - frame.loc[shared, "start_s"] for frame in (tight, wide)]
    np.testing.assert_allclose(taken[0], taken[1], atol=1e-12)


def test_adding_users_leaves_the_others_numbers_alone() -> None:
    few, many = (uniforms(99, np.arange(8)[None, :], np.arange(users)[:, None])[0] for users in (3, 50))
    np.testing.assert_array_equal(few, many[:3])
