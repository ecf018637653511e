"""Knee and saturation: exact on curves that have them, absent with a reason on curves that do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.recording import LoadStep
from simulations import CapacityCurve, ClosedWorkload, OpenWorkload, ServerModel, SweepSize, sweep_load
from simulations.analysis.capacity_curve import CapacityPoint
from simulations.analysis.queueing_theory import closed_mmc

STATION = ServerModel(Deployment(workers=4, queue_capacity="unlimited"), Exponential(1.0))


def curve_of(loads: Sequence[float], goodput: Sequence[float], mean_s: Sequence[float]) -> CapacityCurve:
    points = [
        CapacityPoint(load, {"goodput_rps": Interval(x, x, x), "mean_s": Interval(r, r, r)})
        for load, x, r in zip(loads, goodput, mean_s, strict=True)
    ]
    return CapacityCurve(tuple(points), "recording", Quantity.RPS)


def test_the_knee_is_where_power_is_largest() -> None:
    """M/M/1: power = rate (speed - rate), largest at half the speed [Kleinrock 1979]; a parabola, so nearly exact."""
    rates = np.array([1.0, 2.0, 4.5, 6.0, 9.0])
    found = curve_of(rates, rates, 1 / (10 - rates)).knee()
    assert found.load is not None
    assert found.load.mid == pytest.approx(5.0, rel=0.03)
    assert found.goodput_rps is not None
    assert found.goodput_rps.mid == pytest.approx(found.load.mid)


def test_the_knee_of_a_closed_station_lies_in_its_interval() -> None:
    """Against the exact curve, smoothed by the same parabola; one of a million seeds gives a false alarm."""
    users = np.arange(4, 29, 4)
    exact = [closed_mmc(int(n), 4, 1.0, 2.0) for n in users]
    truth = curve_of(users, [item.throughput_rps for item in exact], [item.residence_time_s for item in exact]).knee()
    assert truth.load is not None
    powers = {n: (it := closed_mmc(n, 4, 1.0, 2.0)).throughput_rps / it.residence_time_s for n in range(4, 29)}
    assert abs(truth.load.mid - max(powers, key=powers.__getitem__)) < 1.0
    curve = sweep_load(STATION, ClosedWorkload(1, Exponential(2.0)), users, size=SweepSize(20, 4_000))
    found = curve.knee(level=1 - 1e-6)
    assert found.load is not None
    assert found.load.contains(truth.load.mid)
    assert found.load.high - found.load.low < 6


def test_the_plateau_is_what_the_workers_can_do() -> None:
    curve = sweep_load(STATION, ClosedWorkload(1, Exponential(2.0)), [4, 8, 12, 16, 24, 32], size=SweepSize(20, 4_000))
    found = curve.saturation(level=1 - 1e-6)
    assert found.goodput_rps is not None
    assert found.load is not None
    assert found.goodput_rps.contains(4.0)
    assert found.goodput_rps.high / found.goodput_rps.low < 1.2
    assert 12 < found.load.mid < 24


def test_goodput_that_falls_again_has_been_saturated() -> None:
    found = curve_of([1, 2, 3, 4], [10, 20, 22, 15], [1, 1, 2, 4]).saturation()
    assert found.goodput_rps is not None
    assert found.goodput_rps.mid == 22


@pytest.mark.parametrize(
    ("goodput", "mean_s", "knee", "saturation"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], "knee-not-reached", "saturation-not-reached"),
        ([1, 1.01, 1.01, 1.01], [1, 2, 3, 4], "knee-below-the-curve", None),
        ([math.nan] * 4, [math.nan] * 4, "knee-below-the-curve", "saturation-not-reached"),
    ],
)
def test_what_the_curve_does_not_show_is_said(
    goodput: list[float], mean_s: list[float], knee: str, saturation: str | None
) -> None:
    curve = curve_of([1, 2, 3, 4], goodput, mean_s)
    assert (curve.knee().load, [item.code for item in curve.knee().findings]) == (None, [knee])
    assert [item.code for item in curve.saturation().findings] == ([] if saturation is None else [saturation])
    assert curve.saturation().is_reached == (saturation is None)
    assert curve.knee().to_dict()["load"] is None


def test_levels_close_together_do_not_pass_for_a_plateau() -> None:
    assert not curve_of([1, 2, 3, 3.01], [1, 2, 3, 3.0], [1, 1, 1, 1]).saturation().is_reached


def test_two_levels_have_no_shape() -> None:
    assert curve_of([1, 2], [1, 2], [1, 1]).knee().findings[0].code == "too-few-levels"
    assert not curve_of([1, 2], [1, 2], [1, 1]).saturation().is_reached


def test_a_recordings_curve_has_them_with_the_recordings_uncertainty() -> None:
    users, goodput, mean_s = (5, 10, 20, 40, 80), (9, 18, 30, 40, 40), (0.05, 0.055, 0.15, 0.5, 1.5)
    steps = [
        LoadStep(n, u, 0, 1, 1, {"goodput_rps": Interval(0.95 * x, x, 1.05 * x), "mean_s": Interval(r, r, 1.1 * r)})
        for n, (u, x, r) in enumerate(zip(users, goodput, mean_s, strict=True))
    ]
    curve = CapacityCurve.from_steps(steps)
    knee, top = curve.knee(), curve.saturation()
    assert knee.load is not None
    assert top.goodput_rps is not None
    assert knee.load.low < knee.load.mid < knee.load.high
    # A 90 % interval of +-5 % around one level comes back, up to the noise of 400 draws.
    assert top.goodput_rps.low == pytest.approx(38.0, rel=0.02)
    assert curve.knee() == knee
    assert curve.knee(seed=2) != knee
    with pytest.raises(InputError, match="level"):
        curve.knee(level=2.0)


def test_an_open_sweep_counts_requests_per_second() -> None:
    model = ServerModel(Deployment(workers=4, queue_capacity=40), Exponential(1.0))
    curve = sweep_load(model, OpenWorkload(1.0), [1, 2, 3, 3.5, 4, 5, 6], size=SweepSize(10, 4_000))
    document = curve.to_dict()
    assert document["quantity"] == "rps"
    assert document["knee"]["load"]["kind"] == "confidence"
    assert 2 < document["knee"]["load"]["mid"] < 4
    assert document["saturation"]["goodput_rps"]["mid"] == pytest.approx(4.0, rel=0.05)
