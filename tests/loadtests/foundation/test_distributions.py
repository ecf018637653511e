import math

import numpy as np
import pytest
from scipy import stats

from loadtests.foundation.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    LogNormal,
    Pareto,
    Uniform,
    Weibull,
    distribution_from_dict,
    distribution_to_dict,
    parse_distribution,
)
from loadtests.foundation.draws import draws_s
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key, generator

SIGMA = math.sqrt(math.log(1 + 0.7**2))
PAIRS = [
    (Exponential(0.3), stats.expon(scale=0.3)),
    (Uniform(0.05, 0.15), stats.uniform(0.05, 0.1)),
    (LogNormal(0.1, 0.7), stats.lognorm(SIGMA, scale=0.1 * math.exp(-(SIGMA**2) / 2))),
    (Gamma(0.1, 0.5), stats.gamma(4, scale=0.025)),
    (Gamma(0.1, 2.0), stats.gamma(0.25, scale=0.4)),
    (Weibull(0.1, 1.0), stats.expon(scale=0.1)),
    (Weibull(0.1, math.sqrt(5.0)), stats.weibull_min(0.5, scale=0.05)),
    (Pareto(0.3, 1 / math.sqrt(3)), stats.pareto(3, scale=0.2)),
    (Pareto.from_shape(0.3, 2.5), stats.pareto(2.5, scale=0.18)),
]
IDS = [f"{type(ours).__name__}-{ours.cv:.2g}" for ours, _ in PAIRS]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=IDS)
def test_quantiles_and_moments_agree_with_scipy(ours, theirs):
    at = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(ours.quantile_s(at), theirs.ppf(at), rtol=1e-9)
    np.testing.assert_allclose(ours.upper_quantile_s(at), theirs.isf(at), rtol=1e-9)
    times = np.concatenate([[-1.0, 0.0], theirs.ppf(at)])
    np.testing.assert_allclose(ours.probability_s(times), theirs.cdf(times), rtol=1e-9)
    np.testing.assert_allclose(ours.upper_probability_s(times), theirs.sf(times), rtol=1e-9)
    assert ours.mean_s == pytest.approx(theirs.mean())
    assert ours.cv == pytest.approx(theirs.std() / theirs.mean())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=IDS)
def test_the_far_tail_is_exact(ours, theirs):
    assert ours.upper_quantile_s(1e-18) == pytest.approx(theirs.isf(1e-18), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Constant(0.0)), ("constant:50ms", Constant(0.05)), ("exponential:0.3", Exponential(0.3)),
        ("uniform:50ms:150ms", Uniform(0.05, 0.15)), (" LogNormal:0.1:0.7 ", LogNormal(0.1, 0.7)),
        ("gamma:5.4ms:1", Gamma(0.0054, 1.0)),
    ],
)  # fmt: skip
def test_the_text_form_reads_and_writes(text, expected):
    assert parse_distribution(text) == expected
    assert parse_distribution(expected.text()) == expected
    assert isinstance(expected, Distribution)


@pytest.mark.parametrize(
    "text", ["", "normal:1:1", "exponential", "exponential:0", "gamma:1:x", "uniform:2:1", "constant:-1"]
)
def test_a_text_that_is_no_distribution_is_refused(text):
    with pytest.raises(InputError):
        parse_distribution(text)


def test_an_empirical_distribution_keeps_the_data_s_ends_and_quantiles():
    data = np.random.default_rng(1).gamma(2.0, 0.05, 50_000)
    kept = Empirical.from_data(data)
    assert len(kept.quantiles_s) == 1_000
    assert kept.quantile_s([0.0, 1.0]).tolist() == [data.min(), data.max()]
    assert kept.mean_s == pytest.approx(data.mean(), rel=2e-3)
    assert kept.cv == pytest.approx(data.std() / data.mean(), rel=2e-2)  # the last piece is linear up to the maximum
    assert distribution_from_dict(distribution_to_dict(kept)) == kept


@pytest.mark.parametrize("quantiles", [(1.0,), (2.0, 1.0), (0.0, math.inf), (-1.0, 1.0)])
def test_quantiles_that_cannot_be_are_refused(quantiles):
    with pytest.raises(InputError, match="empirical"):
        Empirical(quantiles)


def test_draws_of_one_seed_repeat_and_of_another_path_differ():
    def first(*path):
        source = draws_s(Exponential(1.0), generator(7, *path))
        return [next(source) for _ in range(600)]

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert stats.kstest(first(1), "expon").pvalue > 1e-4
    assert derive_key(7, 1) == derive_key(7, 1) != derive_key(7, 2)
