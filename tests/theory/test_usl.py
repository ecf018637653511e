"""The Universal Scalability Law: R's published fits, exact data, bounds, honest intervals, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from loadtests.foundation.errors import InputError
from simulations.analysis.queueing_theory import UslFit, fit_usl

ORACLES = json.loads((Path(__file__).parents[2] / "data" / "queueing" / "oracles.json").read_text(encoding="utf-8"))
SPEC, SYNTHETIC = ORACLES["usl"]
# Gunther 2007, table 5.1: ray-geometries a second of a ray tracer by processors; the data set of R's usl.
PROCESSORS = [1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64]
RAYS = [20, 78, 130, 170, 190, 200, 210, 230, 260, 280, 310]


def digits(value: float, count: int) -> float:
    """Half a unit of the last of `count` significant digits."""
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - count + 1)


def test_r_s_fit_of_specsdm91() -> None:
    """Every number that R prints, to its last digit."""
    fit, printed = fit_usl(SPEC["load"], SPEC["throughput"]), SPEC["published"]
    for name, count in (("alpha", 4), ("beta", 4), ("gamma", 3)):
        assert getattr(fit, name).mid == pytest.approx(printed[name], abs=digits(printed[name], count)), name
        error = printed[f"{name}_se"]
        assert fit.standard_errors[name] == pytest.approx(error, abs=digits(error, 4)), name
    assert fit.residual_standard_error == pytest.approx(printed["residual_se"], abs=5e-3)
    assert fit.degrees_of_freedom == printed["df"]
    assert fit.peak_load == pytest.approx(printed["peak_load"], abs=5e-6)
    assert fit.peak_throughput == pytest.approx(printed["peak_throughput"], abs=0.5)
    assert fit.limit == pytest.approx(printed["limit_throughput"], abs=5e-4)
    assert fit.optimal_load == pytest.approx(printed["optimal_load"], abs=5e-6)
    assert float(fit.predict(fit.optimal_load)) == pytest.approx(printed["optimal_throughput"], abs=0.5)
    np.testing.assert_allclose(fit.residuals, printed["residuals"], atol=5e-3)
    np.testing.assert_allclose(fit.predict(SPEC["load"]), printed["fitted"], atol=0.5)
    efficiency = np.array(SPEC["throughput"]) / (fit.gamma.mid * np.array(SPEC["load"]))
    np.testing.assert_allclose(efficiency, printed["efficiency"], atol=5e-5)
    assert fit.at_bound == ()


def test_the_intervals_are_student_s_from_the_published_standard_errors() -> None:
    fit, printed = fit_usl(SPEC["load"], SPEC["throughput"], level=0.95), SPEC["published"]
    score = stats.t.ppf(0.975, printed["df"])
    for name in ("alpha", "beta", "gamma"):
        interval = getattr(fit, name)
        assert interval.high - interval.mid == pytest.approx(score * printed[f"{name}_se"], rel=1e-3)
        assert interval.mid - interval.low == pytest.approx(score * printed[f"{name}_se"], rel=1e-3)


def test_r_s_fit_of_the_ray_tracer_sits_at_the_bound_of_coherency() -> None:
    """R's confint prints the estimate -+ qt(0.95, 10) standard errors (not a 95 % interval): the errors agree."""
    fit = fit_usl(PROCESSORS, RAYS, level=0.95)
    assert fit.alpha.mid == pytest.approx(0.0578, abs=5e-5)
    assert fit.gamma.mid == pytest.approx(21.8488, abs=5e-5)
    assert fit.at_bound == ("beta",)
    score = stats.t.ppf(0.95, 10)
    for name, half in (("alpha", (0.081864 - 0.033677) / 2), ("beta", 0.000214), ("gamma", (25.829306 - 17.86838) / 2)):
        assert fit.standard_errors[name] == pytest.approx(half / score, rel=3e-3), name
    assert fit.beta.low == fit.beta.mid == 0.0 < fit.beta.high
    assert fit.alpha.low < fit.alpha.mid < fit.alpha.high
    assert (fit.peak_load, fit.peak_throughput) == (math.inf, fit.limit)
    assert "at its bound" in fit.summary()


def test_exact_data_give_the_law_back() -> None:
    fit = fit_usl(SYNTHETIC["load"], SYNTHETIC["throughput"])
    for name, value in SYNTHETIC["published"].items():
        assert getattr(fit, name).mid == pytest.approx(value, rel=5e-4), name  # the data have 5 digits
    load = np.array([1.0, 5.0, 20.0, 100.0, 400.0])
    exact = fit_usl(load, 80 * load / (1 + 0.03 * (load - 1) + 1e-5 * load * (load - 1)))
    assert [exact.alpha.mid, exact.beta.mid, exact.gamma.mid] == pytest.approx([0.03, 1e-5, 80], rel=1e-6)
    assert exact.alpha.high - exact.alpha.low < 1e-6


@pytest.mark.parametrize(
    ("alpha", "beta", "names"), [(0.0, 0.0, ("alpha", "beta")), (0.0, 1e-4, ("alpha",)), (0.05, 0.0, ("beta",))]
)
def test_exact_data_at_a_bound_are_said_to_be(alpha: float, beta: float, names: tuple[str, ...]) -> None:
    load = np.array([1.0, 2.0, 8.0, 32.0, 128.0])
    fit = fit_usl(load, 10 * load / (1 + alpha * (load - 1) + beta * load * (load - 1)))
    assert fit.at_bound == names
    assert [fit.alpha.mid, fit.beta.mid, fit.gamma.mid] == pytest.approx([alpha, beta, 10], rel=1e-6, abs=1e-12)
    if alpha == 0:
        assert fit.limit == fit.optimal_load == math.inf


def test_a_change_of_units_changes_only_the_units() -> None:
    first = fit_usl(SPEC["load"], SPEC["throughput"])
    second = fit_usl(SPEC["load"], np.array(SPEC["throughput"]) / 3_600)
    assert second.alpha.high == pytest.approx(first.alpha.high, rel=1e-6)
    assert second.gamma.low == pytest.approx(first.gamma.low / 3_600, rel=1e-6)


LEVEL, RUNS = 0.9, 60


@pytest.mark.parametrize(("alpha", "beta", "noise"), [(0.03, 1e-4, 5.0), (0.05, 0.0, 20.0)])
def test_the_intervals_hold_the_truth_about_as_often_as_they_say(alpha: float, beta: float, noise: float) -> None:
    """Fewer hits than the binomial 1e-4 quantile would be a false claim. At a bound they hold it more often."""
    random = np.random.default_rng(11)
    load = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    rate = 100 * load / (1 + alpha * (load - 1) + beta * load * (load - 1))
    fits = [fit_usl(load, rate + noise * random.standard_normal(load.size), level=LEVEL) for _ in range(RUNS)]
    least = stats.binom.ppf(1e-4, RUNS, LEVEL)
    for name, truth in (("alpha", alpha), ("beta", beta), ("gamma", 100.0)):
        assert sum(getattr(fit, name).contains(truth) for fit in fits) >= least, name
    if beta == 0.0:
        assert any(fit.at_bound == ("beta",) for fit in fits)


def test_a_fit_tells_what_it_is_and_what_it_came_from() -> None:
    fit = fit_usl(SPEC["load"], SPEC["throughput"])
    assert repr(fit) == "UslFit(alpha=0.02773, beta=0.0001044, gamma=90, 7 points, peak at 96.52)"
    frame = fit.to_frame()
    assert list(frame.columns) == ["parameter", "low", "mid", "high", "level", "standard_error", "at_bound"]
    assert frame["parameter"].tolist() == ["alpha", "beta", "gamma"]
    kept = json.loads(json.dumps(fit.to_dict()))
    assert kept["load"] == SPEC["load"]
    assert "numpy" in kept["versions"]
    assert "<table" in fit._repr_html_()
    assert isinstance(fit, UslFit)


@pytest.mark.parametrize(
    ("load", "throughput", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "at least 4 points"),
        ([1, 2, 2, 1], [1, 2, 2, 1], "3 different loads"),
        ([1, 2, 3, 0], [1, 2, 3, 4], "load holds"),
        ([1, 2, 3, 4], [1, 2, -3, 4], "throughput holds"),
        ([1, 2, 3, 4], [1, 2, math.nan, 4], "throughput holds"),
        ([1, 2, math.inf, 4], [1, 2, 3, 4], "load holds"),
        ([1, 2, 3, 4], [1, 2, 3], "one length"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(load: list, throughput: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_usl(load, throughput)


def test_a_level_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        fit_usl(SPEC["load"], SPEC["throughput"], level=95)
