"""How months depend on each other: drawn as stated, and found again in sample paths."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import GrowthProjection
from capacity.demand.dependence_fit import fitted_dependence
from capacity.demand.growth_points import GrowthPoint
from capacity.demand.month_dependence import KEPT, MonthDependence, positions
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import generator

PATHS = 40_000


def drawn(months, seed=1):
    return positions(generator(seed).standard_normal(PATHS), months, generator(seed, 1))


def test_a_path_keeps_its_place_unless_told_otherwise():
    found = drawn([KEPT] * 4)
    assert (found == found[:, :1]).all()
    assert fitted_dependence(np.exp(found)) == (KEPT,) * 4


def test_positions_have_the_correlations_that_are_stated():
    """sqrt((1 - w_i)(1 - w_j)) times the links between; a correlation of 40,000 has an error of at most 0.005."""
    shares, links = (0.0, 0.3, 0.7, 0.2, 1.0), (1.0, 0.9, 0.5, 1.0, 0.8)
    found = drawn([MonthDependence(w, r) for w, r in zip(shares, links, strict=True)])
    wanted = np.eye(5)
    for i in range(5):
        for j in range(i + 1, 5):
            wanted[i, j] = wanted[j, i] = np.sqrt((1 - shares[i]) * (1 - shares[j])) * np.prod(links[i + 1 : j + 1])
    assert np.corrcoef(found, rowvar=False) == pytest.approx(wanted, abs=0.025)
    assert found.mean(axis=0) == pytest.approx(0, abs=0.025)
    assert found.std(axis=0) == pytest.approx(1, abs=0.025)


@pytest.mark.parametrize(("own", "link"), [(0.0, 0.9), (0.5, 1.0), (0.8, 0.7), (0.3, 0.95)])
def test_what_made_the_paths_is_found_again(own, link):
    """Whatever the margins; the ends of the line cannot tell their own share from the link beside them."""
    shape = np.exp(0.3 * drawn([MonthDependence(own, link)] * 8, seed=4)) + np.arange(8.0)
    found = fitted_dependence(shape)
    assert [item.own_share for item in found[2:-1]] == pytest.approx([own] * 5, abs=0.06)
    assert [item.persistence for item in found[2:-1]] == pytest.approx([link] * 5, abs=0.06)


def test_a_level_that_wanders_under_noise_is_found_with_its_correlations():
    """A random walk seen through noise, as of the structural model: every pair of months within sampling error."""
    rng = generator(7)
    level = np.cumsum(0.1 * rng.standard_normal((PATHS, 10)), axis=1)
    paths = level + 0.2 * rng.standard_normal((PATHS, 10))
    again = drawn(fitted_dependence(paths), seed=8)
    assert np.corrcoef(again, rowvar=False) == pytest.approx(np.corrcoef(paths, rowvar=False), abs=0.03)


def test_months_that_have_nothing_to_do_with_each_other_are_almost_independent():
    found = fitted_dependence(generator(3).standard_normal((1_000, 6)))
    again = np.corrcoef(drawn(found), rowvar=False)
    assert abs(again - np.eye(6)).max() < 0.12


def test_a_lone_month_and_one_without_any_spread_depend_on_nothing():
    assert fitted_dependence(np.ones((50, 1))) == (KEPT,)
    assert len(fitted_dependence(np.hstack([np.ones((50, 1)), generator(1).random((50, 2))]))) == 3


@pytest.mark.parametrize("bad", [{"own_share": -0.1}, {"own_share": 1.1}, {"persistence": float("nan")}])
def test_shares_outside_zero_to_one_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        MonthDependence(**bad)


def test_months_between_points_depend_as_the_point_that_they_lead_to():
    link = MonthDependence(0.5, 0.9)
    growth = GrowthProjection((GrowthPoint(0, 100), GrowthPoint(2, 200, 150, 300, dependence=link)), extrapolate_to=3)
    assert [month.dependence for month in growth.monthly()] == [KEPT, link, link, link]
    assert GrowthProjection.from_dict(growth.to_dict()) == growth
    assert growth.to_dict()["points"][1]["own_share"] == 0.5
    assert growth.scaled(2).points[1].dependence == link
