"""Closed formulas against exact arithmetic (fractions, 50 decimal digits), linear algebra, and each other at scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from loadtests.foundation.distributions import Constant, Exponential, Gamma, LogNormal, Mixture, Pareto
from simulations.analysis import queueing_theory as theory

# Doubles: sums of 10^4 logarithms of size 10 err by less than 1e-9; small systems by a few units of 1e-16.
SMALL, LARGE = 1e-12, 1e-9


def exact_shares(births: Sequence, deaths: Sequence) -> list:
    """Stationary distribution of a birth-death chain, by its defining products, in whatever arithmetic comes in."""
    shares = [births[0] / births[0]]
    for birth, death in zip(births, deaths, strict=True):
        shares.append(shares[-1] * birth / death)
    total = sum(shares)
    return [share / total for share in shares]


@pytest.mark.parametrize(("servers", "load"), [(1, (1, 3)), (4, (7, 2)), (10, (8, 1)), (50, (60, 1))])
def test_erlang_b_is_the_last_of_the_exact_shares(servers: int, load: tuple[int, int]) -> None:
    terms = [Fraction(*load) ** k / math.factorial(k) for k in range(servers + 1)]
    assert theory.erlang_b(servers, load[0] / load[1]) == pytest.approx(float(terms[-1] / sum(terms)), rel=SMALL)


@pytest.mark.parametrize(("rate", "servers", "capacity"), [(2, 1, 1), (3, 1, 6), (7, 3, 7), (20, 3, 12), (9, 10, 4)])
def test_mmck_in_rational_numbers(rate: int, servers: int, capacity: int) -> None:
    speed = Fraction(5, 2)
    exact = exact_shares([Fraction(rate)] * capacity, [speed * min(level, servers) for level in range(1, capacity + 1)])
    inside = sum(level * share for level, share in enumerate(exact))
    through = rate * (1 - exact[-1])
    station = theory.mmck(rate, 2.5, servers, capacity)
    assert station.blocked_fraction == pytest.approx(float(exact[-1]), rel=SMALL)
    assert station.in_flight == pytest.approx(float(inside), rel=SMALL)
    assert station.residence_time_s == pytest.approx(float(inside / through), rel=SMALL)
    assert station.utilization == pytest.approx(float(through / (servers * speed)), rel=SMALL)


@pytest.mark.parametrize(("users", "servers", "think"), [(1, 1, 3), (5, 2, 10), (12, 3, 2), (30, 4, 1)])
def test_the_machine_repairman_in_rational_numbers(users: int, servers: int, think: int) -> None:
    mean = Fraction(3, 4)
    exact = exact_shares(
        [Fraction(users - level, think) for level in range(users)],
        [min(level, servers) / mean for level in range(1, users + 1)],
    )
    through = sum(share * min(level, servers) for level, share in enumerate(exact)) / mean
    station = theory.closed_mmc(users, servers, 0.75, float(think))
    assert station.throughput_rps == pytest.approx(float(through), rel=SMALL)
    assert station.residence_time_s == pytest.approx(float(users / through - think), rel=1e-11)


def test_the_machine_repairman_by_linear_equations() -> None:
    users, servers, mean_s, think_s = 30, 4, 0.2, 1.5
    generator = np.zeros((users + 1, users + 1))
    for level in range(users):
        generator[level, level + 1] = (users - level) / think_s
        generator[level + 1, level] = min(level + 1, servers) / mean_s
    generator -= np.diag(generator.sum(axis=1))
    shares = np.linalg.lstsq(np.vstack([generator.T, np.ones(users + 1)]), np.eye(users + 2)[-1], rcond=None)[0]
    station = theory.closed_mmc(users, servers, mean_s, think_s)
    assert station.in_flight == pytest.approx(float(shares @ np.arange(users + 1)), rel=1e-10)


def stationary(rates: np.ndarray) -> np.ndarray:
    """Stationary distribution of a Markov chain from its matrix of rates."""
    generator = rates - np.diag(rates.sum(axis=1))
    generator[:, -1] = 1.0
    return np.linalg.solve(generator.T, np.eye(len(rates))[-1])


def test_mg1_with_two_phases_by_linear_equations() -> None:
    """M/E2/1: the chain of phases left, cut at 300 of them, where the load of 0.6 leaves less than 1e-20."""
    rate, mean_s, most = 6.0, 0.1, 300
    rates = np.zeros((most, most))
    for phases in range(most):
        if phases + 2 < most:
            rates[phases, phases + 2] = rate
        if phases:
            rates[phases, phases - 1] = 2 / mean_s
    inside = float(stationary(rates) @ np.ceil(np.arange(most) / 2))
    assert theory.mg1(rate, Gamma(mean_s, math.sqrt(0.5))).in_flight == pytest.approx(inside, rel=1e-9)


@pytest.mark.parametrize("sharing", [False, True])
def test_mg1_with_two_kinds_of_requests_by_linear_equations(sharing: bool) -> None:
    """M/H2/1: FIFO by (number inside, kind in service), processor sharing by (number of each kind), cut at 60."""
    rate, shares, speeds, most = 4.0, (0.8, 0.2), (20.0, 2.5), 60
    service = Mixture(tuple((share, Exponential(1 / speed)) for share, speed in zip(shares, speeds, strict=True)))
    rates, inside = _sharing(rate, shares, speeds, most) if sharing else _fifo(rate, shares, speeds, 400)
    station = theory.mg1_ps(rate, service) if sharing else theory.mg1(rate, service)
    assert station.in_flight == pytest.approx(float(stationary(rates) @ inside), rel=1e-6)


def _fifo(rate: float, shares: tuple, speeds: tuple, most: int) -> tuple[np.ndarray, np.ndarray]:
    rates = np.zeros((2 * most + 1, 2 * most + 1))  # state 0: empty; 2n - 1 + kind: n inside, this kind in service
    for kind in (0, 1):
        rates[0, 1 + kind] = rate * shares[kind]
        rates[1 + kind, 0] = speeds[kind]
        for count in range(1, most):
            rates[2 * count - 1 + kind, 2 * count + 1 + kind] = rate
            for following in (0, 1):
                rates[2 * count + 1 + kind, 2 * count - 1 + following] = speeds[kind] * shares[following]
    return rates, np.concatenate([[0], np.repeat(np.arange(1, most + 1), 2)])


def _sharing(rate: float, shares: tuple, speeds: tuple, most: int) -> tuple[np.ndarray, np.ndarray]:
    states = [(first, second) for first in range(most) for second in range(most - first)]
    place = {state: at for at, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    for (first, second), at in place.items():
        for kind, (more, less) in enumerate((((first + 1, second), (first - 1, second)),
                                             ((first, second + 1), (first, second - 1)))):  # fmt: skip
            if more in place:
                rates[at, place[more]] = rate * shares[kind]
            if less in place:
                rates[at, place[less]] = speeds[kind] * (first, second)[kind] / (first + second)
    return rates, np.array([first + second for first, second in states])


@given(st.floats(0.01, 0.99), st.floats(1e-3, 10.0))
def test_the_wait_of_md1_is_half_that_of_mm1(load: float, mean_s: float) -> None:
    fixed, varying = theory.md1(load / mean_s, mean_s), theory.mg1(load / mean_s, Exponential(mean_s))
    assert fixed.waiting_time_s == pytest.approx(varying.waiting_time_s / 2, rel=SMALL)
    assert varying.residence_time_s == pytest.approx(
        theory.mmc(load / mean_s, 1 / mean_s, 1).residence_time_s, rel=1e-9
    )


@pytest.mark.parametrize("service", [Constant(0.1), LogNormal(0.1, 2.0), Pareto(0.1, 3.0)])
def test_processor_sharing_knows_only_the_mean(service) -> None:
    station = theory.mg1_ps(7.0, service)
    assert station.residence_time_s == pytest.approx(0.1 / 0.3, rel=1e-12)
    sizes = theory.mg1_ps_residence_of_size(7.0, service, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(sizes, np.array([0.0, 0.1, 0.2]) / 0.3, rtol=1e-12)


def in_decimals(births: Sequence[float], deaths: Sequence[float]) -> list[Decimal]:
    with localcontext() as context:
        context.prec = 50
        return exact_shares([Decimal(rate) for rate in births], [Decimal(rate) for rate in deaths])


@pytest.mark.parametrize("load", [100.0, 4_900.0, 5_000.0, 6_000.0, 50_000.0])
def test_erlang_b_at_five_thousand_servers(load: float) -> None:
    with localcontext() as context:
        context.prec, inverse = 50, Decimal(1)
        for k in range(1, 5_001):
            inverse = 1 + inverse * k / Decimal(load)
        exact = 1 / inverse
    assert theory.erlang_b(5_000, load) == pytest.approx(float(exact), rel=LARGE)


def test_erlang_b_by_its_integral() -> None:
    """1 / B = A integral_0^inf exp(-A y) (1 + y)^c dy (Fortet), a different road to the same number."""
    servers = load = 5_000

    def height(y: float) -> float:
        return load * math.exp(servers * math.log1p(y) - load * y)

    inverse = integrate.quad(height, 0.0, 0.3, epsrel=1e-12, points=[0.01, 0.05], limit=500)[0]
    assert theory.erlang_b(servers, load) == pytest.approx(1 / inverse, rel=LARGE)


@pytest.mark.parametrize("rate", [3_000.0, 3_350.0, 4_000.0])
def test_mmck_at_335_servers_and_3350_places(rate: float) -> None:
    shares = in_decimals([rate] * 3_350, [10.0 * min(level, 335) for level in range(1, 3_351)])
    station = theory.mmck(rate, 10.0, 335, 3_350)
    inside = sum(level * share for level, share in enumerate(shares))
    assert station.in_flight == pytest.approx(float(inside), rel=LARGE)
    assert station.blocked_fraction == pytest.approx(float(shares[-1]), rel=LARGE)
    assert station.residence_time_s == pytest.approx(float(inside) / (rate * float(1 - shares[-1])), rel=LARGE)


@pytest.mark.parametrize("think_s", [0.05, 0.2, 1.0])
def test_the_machine_repairman_at_fifteen_thousand_users_and_five_thousand_servers(think_s: float) -> None:
    shares = in_decimals(
        [(15_000 - level) / think_s for level in range(15_000)], [min(level, 5_000) / 0.1 for level in range(1, 15_001)]
    )
    station = theory.closed_mmc(15_000, 5_000, 0.1, think_s)
    inside = float(sum(level * share for level, share in enumerate(shares)))
    assert station.in_flight == pytest.approx(inside, rel=LARGE)
    assert theory.interactive_response_time(15_000, station.throughput_rps, think_s) == pytest.approx(
        station.residence_time_s, rel=1e-8
    )


def test_more_users_mean_more_throughput_and_longer_times_at_scale() -> None:
    stations = [theory.closed_mmc(users, 5_000, 0.1, 0.2) for users in range(12_000, 18_001, 500)]
    for name in ("throughput_rps", "residence_time_s", "in_flight"):
        values = np.array([getattr(station, name) for station in stations])
        assert np.all(np.diff(values) >= -1e-9 * values[1:]), name
    assert all(station.waiting_time_s >= 0 for station in stations)


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 40), st.floats(1e-3, 1.0), st.floats(0.0, 5.0))
def test_closed_stations_stay_within_the_asymptotic_bounds(
    users: int, servers: int, mean_s: float, think_s: float
) -> None:
    station = theory.closed_mmc(users, servers, mean_s, think_s)
    bounds = theory.asymptotic_bounds(users, mean_s, think_s, servers)
    assert bounds.throughput_low_rps * (1 - 1e-9) <= station.throughput_rps <= bounds.throughput_high_rps * (1 + 1e-9)
    slack = 1e-9 * (station.residence_time_s + think_s)
    assert bounds.residence_low_s - slack <= station.residence_time_s <= bounds.residence_high_s + slack


PROBABILITIES = np.array([0.01, 0.5, 0.9, 0.95, 0.99, 1 - 1e-9])


def test_the_residence_of_mm1_is_exponential() -> None:
    exact = -np.log1p(-PROBABILITIES) / (10 - 7)
    np.testing.assert_allclose(theory.mmc_residence_quantile(7, 10, 1, PROBABILITIES), exact, rtol=1e-9)


def erlang_then_exponential_tail(found: np.ndarray, servers: int, speed: float, time_s: float) -> float:
    """P(T > t) by the incomplete gamma function, in logarithms; needs servers > 1."""
    drain = servers * speed
    waits = np.arange(1, found.size - servers + 1)
    still = special.gammaincc(waits, drain * time_s)
    with np.errstate(divide="ignore"):
        begun = np.log(special.gammainc(waits, (drain - speed) * time_s))
    served = np.exp(begun - speed * time_s - waits * math.log1p(-1 / servers))
    return float(found[:servers].sum() * math.exp(-speed * time_s) + found[servers:] @ (still + served))


@pytest.mark.parametrize(
    ("rate", "servers", "capacity"), [(30, 4, 10), (55, 4, 10), (8, 2, 5), (3_300, 335, 3_350), (3_500, 335, 3_350)]
)
def test_residence_quantiles_of_mmck_invert_the_incomplete_gamma_functions(
    rate: float, servers: int, capacity: int
) -> None:
    level = np.arange(1, capacity + 1)
    weights = np.concatenate([[0.0], np.cumsum(np.log(rate / (10.0 * np.minimum(level, servers))))])[:-1]
    found = np.exp(weights - special.logsumexp(weights))
    times_s = theory.mmck_residence_quantile(rate, 10.0, servers, capacity, PROBABILITIES)
    tails = [erlang_then_exponential_tail(found, servers, 10.0, time_s) for time_s in times_s]
    np.testing.assert_allclose(tails, 1 - PROBABILITIES, rtol=1e-7)
    waits_s = theory.mmck_waiting_quantile(rate, 10.0, servers, capacity, PROBABILITIES)
    wait_tails = [found[servers:] @ special.gammaincc(np.arange(1, capacity - servers + 1), servers * 10.0 * time_s)
                  for time_s in waits_s]  # fmt: skip
    at_once = waits_s == 0.0
    np.testing.assert_allclose(np.array(wait_tails)[~at_once], (1 - PROBABILITIES)[~at_once], rtol=1e-7)
    assert np.all(found[:servers].sum() >= PROBABILITIES[at_once] - 1e-12)


@pytest.mark.parametrize(("rate", "servers"), [(7, 1), (10, 2), (36, 4), (3_300, 335)])
def test_a_very_long_line_is_as_good_as_an_unlimited_one(rate: float, servers: int) -> None:
    """Including c mu - lambda = mu (10 and 2), where the usual formula divides by 0."""
    for limited, unlimited in (
        (theory.mmck_residence_quantile, theory.mmc_residence_quantile),
        (theory.mmck_waiting_quantile, theory.mmc_waiting_quantile),
    ):
        np.testing.assert_allclose(
            limited(rate, 10.0, servers, servers + 2_500, PROBABILITIES),
            unlimited(rate, 10.0, servers, PROBABILITIES), rtol=1e-7, atol=1e-12,
        )  # fmt: skip


@pytest.mark.parametrize(("users", "servers"), [(1, 1), (12, 3), (40, 5)])
def test_the_closed_quantiles_have_the_closed_mean(users: int, servers: int) -> None:
    """The mean is the integral of the quantile function; its singular end is left to the tail's exponential."""
    speed, think_s, cut = 10.0, 0.6, 1e-7
    points, weights = np.polynomial.legendre.leggauss(200)
    logs = np.log(cut) * (points + 1) / 2  # probability = 1 - exp(logs)
    times_s = theory.closed_mmc_residence_quantile(users, servers, 1 / speed, think_s, -np.expm1(logs))
    body = float(np.sum(weights * times_s * np.exp(logs)) * -np.log(cut) / 2)
    last_s = float(theory.closed_mmc_residence_quantile(users, servers, 1 / speed, think_s, 1 - cut))
    tail = cut * (last_s + 1 / speed)
    assert body + tail == pytest.approx(
        theory.closed_mmc(users, servers, 1 / speed, think_s).residence_time_s, rel=1e-6
    )


def test_quantiles_at_five_thousand_servers_are_finite_and_ascend() -> None:
    for times_s in (
        theory.mmck_residence_quantile(51_000, 10.0, 5_000, 15_000, [0.05, 0.5, 0.95]),
        theory.closed_mmc_residence_quantile(15_000, 5_000, 0.1, 0.2, [0.05, 0.5, 0.95]),
    ):
        assert np.all(np.isfinite(times_s))
        assert np.all(np.diff(times_s) > 0)


def test_flow_balance_and_little_s_law_in_small_numbers() -> None:
    assert theory.flow_balance_error(100, 95) == pytest.approx(0.05)
    assert theory.littles_law(20.0, 0.25) == 5.0
    assert theory.utilization_law(20.0, 0.25, servers=10) == 0.5
    assert theory.interactive_response_time(10, 0.0, 1.0) == math.inf
