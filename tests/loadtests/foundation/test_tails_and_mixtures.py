"""Weibull, Pareto and mixtures: moments, inverses, tails, text, refusals; and the inverse of every family."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

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
    distribution_from_dict,
    distribution_to_dict,
    parse_distribution,
)
from loadtests.foundation.errors import InputError

MEASURED = Empirical((0.01, 0.02, 0.02, 0.05, 0.4))
CACHE = Mixture(((0.9, Constant(0.001)), (0.1, LogNormal(0.05, 0.8))))
SMOOTH = [
    Exponential(0.05), Uniform(0.05, 0.15), LogNormal(0.05, 0.8), Gamma(0.05, 0.5), Gamma(0.05, 2.0),
    Weibull(0.05, 0.3), Weibull(0.05, 3.0), Pareto(0.05, 0.5), Pareto(0.05, 2.0),
    Mixture(((0.7, Gamma(0.01, 0.5)), (0.3, Weibull(0.1, 2.0)))),
    Mixture(((3, Pareto(0.02, 1.5)), (1, LogNormal(1, 1)))),
]  # fmt: skip
WITH_JUMPS = [CACHE, MEASURED, Mixture(((1, MEASURED), (2, Uniform(1.0, 2.0)))), Constant(0.2)]


def moment(distribution, power):
    """E[T^power] as the integral of the quantile function over the logarithm of either tail's probability."""

    def below(log_p):
        return float(distribution.quantile_s(math.exp(log_p))) ** power * math.exp(log_p)

    def above(log_p):
        return float(distribution.upper_quantile_s(math.exp(log_p))) ** power * math.exp(log_p)

    half = math.log(0.5)
    edges = [(-700.0, -100.0), (-100.0, -30.0), (-30.0, -8.0), (-8.0, -2.0), (-2.0, half)]
    return sum(
        integrate.quad(side, low, high, epsabs=0, epsrel=1e-9, limit=200)[0]
        for side in (below, above)
        for low, high in edges
    )


@pytest.mark.parametrize("distribution", [item for item in SMOOTH if item.cv < 2.5], ids=lambda item: item.text())
def test_mean_and_cv_are_those_of_the_quantile_function(distribution):
    mean, square = moment(distribution, 1), moment(distribution, 2)
    assert mean == pytest.approx(distribution.mean_s, rel=1e-7)
    assert square == pytest.approx(distribution.mean_s**2 * (1 + distribution.cv**2), rel=1e-6)


def test_a_mixture_s_moments_are_exact():
    """By hand: 0.9 of 1 ms and 0.1 of mean 50 ms, cv 0.8."""
    second = 0.9 * 0.001**2 + 0.1 * 0.05**2 * (1 + 0.8**2)
    assert pytest.approx(0.9 * 0.001 + 0.1 * 0.05, rel=1e-15) == CACHE.mean_s
    assert CACHE.cv == pytest.approx(math.sqrt(second - CACHE.mean_s**2) / CACHE.mean_s, rel=1e-12)
    assert Mixture(((1, Constant(0.0)), (3, Constant(0.0)))).cv == 0.0


@pytest.mark.parametrize("cv", [0.001, 0.01, 0.3, 0.5, 1.0, 2.0, 10.0, 100.0])
def test_a_weibull_s_shape_gives_its_cv_over_the_whole_range(cv):
    shape = Weibull(1.0, cv).shape
    ratio = math.lgamma(1 + 2 / shape) - 2 * math.lgamma(1 + 1 / shape)
    assert math.sqrt(math.expm1(ratio)) == pytest.approx(cv, rel=1e-9)


def test_a_pareto_s_shape_gives_its_cv():
    assert Pareto(1.0, 1 / math.sqrt(3)).shape == pytest.approx(3.0, rel=1e-14)
    assert Pareto.from_shape(1.0, 2.1).shape == pytest.approx(2.1, rel=1e-14)
    assert Pareto.from_shape(1.0, 2.1).cv == pytest.approx(1 / math.sqrt(0.21), rel=1e-14)


@pytest.mark.parametrize("distribution", SMOOTH, ids=lambda item: item.text())
@given(st.floats(1e-15, 0.5))
def test_probabilities_are_the_inverse_of_quantiles_in_both_tails(distribution, probability):
    """A relative error of d in time moves the probability by d times the local elasticity."""
    for quantile, inverse in (
        (distribution.quantile_s, distribution.probability_s),
        (distribution.upper_quantile_s, distribution.upper_probability_s),
    ):
        time_s = float(quantile(probability))
        around = inverse(np.array([time_s * (1 - 1e-13), time_s * (1 + 1e-13)]))
        slack = 1e-9 * probability
        assert around.min() - slack <= probability <= around.max() + slack


@pytest.mark.parametrize("distribution", SMOOTH + WITH_JUMPS, ids=lambda item: item.text())
@given(st.floats(0.0, 1.0))
def test_a_quantile_is_the_first_time_that_reaches_its_probability(distribution, probability):
    time_s = distribution.quantile_s(np.array([probability]))
    assert distribution.probability_s(time_s * (1 + 1e-9))[0] >= probability - 1e-12
    assert distribution.probability_s(time_s * (1 - 1e-9) - 1e-300)[0] <= probability + 1e-12


@pytest.mark.parametrize("distribution", SMOOTH + WITH_JUMPS, ids=lambda item: item.text())
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
def test_quantiles_ascend_and_the_two_probabilities_add_to_one(distribution, probabilities):
    times_s = distribution.quantile_s(np.sort(probabilities))
    assert np.all(times_s[1:] >= times_s[:-1])
    finite = times_s[np.isfinite(times_s)]
    total = distribution.probability_s(finite) + distribution.upper_probability_s(finite)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


@pytest.mark.parametrize("tail", [1e-3, 1e-15, 1e-100])
def test_a_mixture_s_tail_is_exact(tail):
    """Two exponentials: beyond 1e-15 only the slow one is left, so t = mean ln(weight / p)."""
    mixed = Mixture(((0.75, Exponential(0.001)), (0.25, Exponential(1.0))))
    slow = -math.log(tail / 0.25)
    assert float(mixed.upper_quantile_s(tail)) == pytest.approx(slow, rel=1e-14)
    assert float(mixed.upper_probability_s(slow)) == pytest.approx(tail, rel=1e-12)


def test_a_constant_in_a_mixture_comes_out_to_the_last_bit():
    assert set(CACHE.quantile_s(np.linspace(0.001, 0.899, 500)).tolist()) == {0.001}
    assert CACHE.quantile_s(0.9001) == pytest.approx(CACHE.components[1][1].quantile_s(0.001), rel=1e-6)
    assert CACHE.quantile_s([[0.2], [0.95]]).shape == (2, 1)


def test_a_mixture_in_a_mixture_is_resolved_and_weights_are_shares():
    inner = Mixture(((1, Constant(1.0)), (3, Constant(2.0))))
    assert Mixture(((2, inner), (2, Constant(3.0)))).components == (
        (0.125, Constant(1.0)), (0.375, Constant(2.0)), (0.5, Constant(3.0)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weibull:50ms:2", Weibull(0.05, 2.0)),
        (" Pareto:0.3:0.577 ", Pareto(0.3, 0.577)),
        ("mixture:0.9*constant:1ms+0.1*lognormal:50ms:0.8", CACHE),
        ("Mixture: 9 * constant:1ms + 1 * lognormal:50ms:0.8", CACHE),
        ("mixture:1e+0*none+1e+00*constant:1e+06", Mixture(((0.5, Constant(0.0)), (0.5, Constant(1e6))))),
    ],
)
def test_the_text_form_reads_and_writes(text, expected):
    assert parse_distribution(text) == expected
    assert parse_distribution(expected.text()) == expected
    assert isinstance(expected, Distribution)


@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1e-9, 1e9), st.floats(0.01, 50)), min_size=1, max_size=5))
def test_every_mixture_reads_back_as_itself(parts):
    mixed = Mixture(tuple((weight, Weibull(mean, cv)) for weight, mean, cv in parts))
    assert parse_distribution(mixed.text()) == mixed
    assert distribution_from_dict(json.loads(json.dumps(distribution_to_dict(mixed)))) == mixed


def test_a_mixture_with_measured_times_survives_json():
    mixed = Mixture(((0.3, MEASURED), (0.7, Pareto(0.05, 1.0))))
    assert distribution_from_dict(json.loads(json.dumps(distribution_to_dict(mixed)))) == mixed


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("family", [LogNormal, Gamma, Weibull, Pareto])
def test_parameters_that_cannot_be_are_refused(family, bad):
    with pytest.raises(InputError, match="mean"):
        family(bad, 1.0)
    with pytest.raises(InputError, match="cv"):
        family(1.0, bad)
    with pytest.raises(InputError, match="weight"):
        Mixture(((bad, Constant(1.0)),))


@pytest.mark.parametrize("cv", [0.0009, 101.0])
def test_a_cv_out_of_range_names_the_range_and_the_remedy(cv):
    for family in (Weibull, Pareto):
        with pytest.raises(InputError, match=r"between 0\.001 and 100.*mixture"):
            family(1.0, cv)


@pytest.mark.parametrize("shape", [2.0, 1.5, -1.0])
def test_a_pareto_without_a_variance_is_refused_with_a_way_out(shape):
    with pytest.raises(InputError, match=r"above 2.*variance is infinite.*Truncate.*lognormal"):
        Pareto.from_shape(1.0, shape)


@pytest.mark.parametrize(
    "text", ["mixture:", "mixture:1", "mixture:0.5*", "mixture:x*none", "mixture:-1*none", "mixture:1*normal:1:2",
             "pareto:1", "weibull:1:nan", "pareto:inf:1"],
)  # fmt: skip
def test_a_text_that_does_not_fit_is_refused(text):
    with pytest.raises(InputError):
        parse_distribution(text)


@pytest.mark.parametrize("components", [(), ((1.0, "constant:1"),)])
def test_a_mixture_of_nothing_is_refused(components):
    with pytest.raises(InputError, match="mixture"):
        Mixture(components)
