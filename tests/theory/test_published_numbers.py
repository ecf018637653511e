"""Closed formulas against published and independently computed numbers."""

from __future__ import annotations

import math

import pytest

from loadtests.foundation.errors import InputError
from simulations.analysis.queueing_theory import (
    closed_mmc,
    erlang_b,
    erlang_c,
    interactive_response_time,
    mmc,
    mmck,
)


@pytest.mark.parametrize(
    ("servers", "load", "blocked"),
    [(17, 10, 0.012949), (16, 10, 0.022302), (1, 1, 0.5), (2, 1, 0.2), (0, 3, 1.0), (5, 0, 0.0)],
)
def test_erlang_b(servers: int, load: float, blocked: float) -> None:
    assert erlang_b(servers, load) == pytest.approx(blocked, abs=5e-7)


def test_erlang_b_at_five_thousand_servers_stays_finite() -> None:
    assert 0.0 < erlang_b(5_000, 5_000) < 0.02
    assert erlang_b(5_000, 50_000) == pytest.approx(0.9, abs=1e-3)
    assert erlang_b(5_000, 100) == 0.0


def test_erlang_c_of_a_call_centre() -> None:
    assert erlang_c(14, 10) == pytest.approx(0.1741319335950498, rel=1e-12)


def test_mmc_with_two_servers() -> None:
    station = mmc(9, 5, 2)
    assert station.in_flight - station.throughput_rps / 5 == pytest.approx(7.67368, abs=5e-6)
    assert station.residence_time_s == pytest.approx(1.052632, abs=5e-7)


def test_mmck_with_two_servers_and_five_places() -> None:
    station = mmck(3, 2, 2, 5)
    assert station.blocked_fraction == pytest.approx(0.0851138, abs=5e-8)
    assert station.in_flight == pytest.approx(2.005954, abs=5e-7)
    assert station.waiting_time_s == pytest.approx(0.2308576, abs=5e-8)


def test_a_closed_station_without_think_time_is_always_full() -> None:
    station = closed_mmc(400, 300, 0.444, 0.0)
    assert station.throughput_rps == pytest.approx(675.675676, abs=5e-7)
    assert station.residence_time_s == pytest.approx(0.592, abs=5e-10)


def test_a_closed_station_where_textbook_mva_turns_negative() -> None:
    assert closed_mmc(100, 50, 0.444, 0.2).throughput_rps == pytest.approx(112.61, abs=5e-3)


def test_the_closed_station_obeys_the_response_time_law_at_fifteen_thousand_users() -> None:
    station = closed_mmc(15_000, 335, 0.0054, 0.2)
    assert math.isfinite(station.residence_time_s)
    assert interactive_response_time(15_000, station.throughput_rps, 0.2) == pytest.approx(
        station.residence_time_s, rel=1e-9
    )


def test_an_overloaded_open_station_has_no_steady_state() -> None:
    with pytest.raises(InputError, match="no steady state"):
        mmc(100, 5, 2)
