"""Closed formulas against numbers that others published, each with its source.

The tolerance is half a unit of the last digit printed, unless a comment says otherwise.
`data/queueing/oracles.json` holds those of programs; those of books and tables stand here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.foundation.errors import InputError
from simulations.analysis import queueing_theory as theory

ORACLES = json.loads((Path(__file__).parents[2] / "data" / "queueing" / "oracles.json").read_text(encoding="utf-8"))


def oracle(group: str, name: str) -> dict:
    return next(item for item in ORACLES[group] if item["id"] == name)


# Printed Erlang B tables: offered load (erlangs) that so many lines carry at 1 % and 2 % blocking.
ERLANG_TABLE = [
    (1, "0.010101", 0.01), (2, "0.15259", 0.01), (5, "1.3608", 0.01), (10, "4.4612", 0.01), (20, "12.031", 0.01),
    (50, "37.901", 0.01), (100, "84.064", 0.01), (7, "2.9354", 0.02), (10, "5.0840", 0.02), (15, "9.0096", 0.02),
    (20, "13.182", 0.02), (22, "14.896", 0.02), (30, "21.932", 0.02), (50, "40.255", 0.02), (100, "87.972", 0.02),
]  # fmt: skip


@pytest.mark.parametrize(("servers", "load", "blocking"), ERLANG_TABLE)
def test_erlang_b_tables(servers: int, load: str, blocking: float) -> None:
    half = 0.5 * 10.0 ** -len(load.partition(".")[2])
    assert theory.erlang_b(servers, float(load) - half) <= blocking <= theory.erlang_b(servers, float(load) + half)


@pytest.mark.parametrize("case", oracle("erlang", "B_exact_small")["values"])
def test_erlang_b_of_one_and_two_servers(case: dict) -> None:
    assert theory.erlang_b(case["N"], case["A"]) == pytest.approx(case["B"], rel=1e-15)


def test_the_servers_that_keep_blocking_at_two_percent() -> None:
    case = oracle("erlang", "B_A10_max2pct")
    servers = case["servers"]
    assert theory.erlang_b(servers, case["A"]) <= case["max_blocking"] < theory.erlang_b(servers - 1, case["A"])
    assert theory.erlang_b(servers, case["A"]) == pytest.approx(0.012949, abs=5e-7)


def test_a_call_centre_by_erlang_c() -> None:
    """Waiting probability, occupancy, and the share answered within the target time as a quantile."""
    case = oracle("erlang", "C_call_centre")
    rate, speed, servers = case["transactions"] / case["interval_min"], 1 / case["aht_min"], case["servers"]
    assert theory.erlang_c(servers, case["A"]) == pytest.approx(case["P_wait"], rel=1e-12)
    assert theory.mmc(rate, speed, servers).utilization == pytest.approx(case["occupancy"], rel=1e-12)
    answered = theory.mmc_waiting_quantile(rate, speed, servers, case["service_level"])
    assert float(answered) == pytest.approx(case["asa_min"], rel=1e-9)


def test_mmc_with_two_servers() -> None:
    case = oracle("mm_queues", "MMm_2")
    station = theory.mmc(case["lambda"], case["mu"], case["c"])
    assert station.throughput_rps * station.waiting_time_s == pytest.approx(case["Lq"], abs=5e-4)
    assert station.residence_time_s == pytest.approx(case["R"], abs=5e-4)


def test_mmck_with_two_servers_and_five_places() -> None:
    case = oracle("mm_queues", "MMcK_3_2_2_5")
    station = theory.mmck(case["lambda"], case["mu"], case["c"], case["K"])
    # The source prints truncated digits, so a whole unit of the last one.
    assert station.blocked_fraction == pytest.approx(case["p_block"], abs=1e-6)
    assert station.in_flight == pytest.approx(case["L"], abs=1e-5)
    assert station.waiting_time_s == pytest.approx(case["Wq"], abs=1e-6)


def test_the_bank_with_four_tellers() -> None:
    """PDQ's README: 0.35 customers a minute, 10 minutes each."""
    station = theory.mmc(0.35, 0.1, 4)
    assert station.in_flight == pytest.approx(8.6650, abs=5e-5)
    assert station.residence_time_s == pytest.approx(24.7572, abs=5e-5)
    assert station.waiting_time_s == pytest.approx(14.7572, abs=5e-5)
    assert station.utilization == pytest.approx(0.875, abs=5e-7)


def test_the_eye_clinic_with_three_doctors() -> None:
    """Gross and Harris, Fundamentals of Queueing Theory, section 2.3: 6 patients an hour, 20 minutes each."""
    station = theory.mmc(6, 3, 3)
    assert station.throughput_rps * station.waiting_time_s == pytest.approx(8 / 9, rel=1e-12)
    assert station.in_flight == pytest.approx(26 / 9, rel=1e-12)
    assert 60 * station.residence_time_s == pytest.approx(28.9, abs=0.05)


def test_a_network_gateway() -> None:
    """Jain 1991, example 31.1: 125 packets a second, 2 ms each; digits cut off, so one unit of the last."""
    station = theory.mmc(125, 500, 1)
    assert station.utilization == pytest.approx(0.25, rel=1e-12)
    assert station.in_flight == pytest.approx(0.33, abs=0.01)
    assert 1e3 * station.residence_time_s == pytest.approx(2.66, abs=0.01)


def test_a_network_gateway_with_two_buffers() -> None:
    """Jain 1991, section 31.5: the same gateway loses what finds two packets inside."""
    station = theory.mmck(125, 500, 1, 2)
    assert station.blocked_fraction == pytest.approx(0.0476, abs=5e-5)
    assert station.throughput_rps == pytest.approx(119, abs=0.5)
    assert 1e3 * station.residence_time_s == pytest.approx(2.40, abs=0.005)


def test_a_computer_centre_with_five_terminals() -> None:
    """Jain 1991, section 31.4: 10 students an hour, 20 minutes each."""
    rate, speed = 10 / 60, 1 / 20
    assert theory.erlang_c(5, rate / speed) == pytest.approx(0.33, abs=0.005)
    assert theory.mmc(rate, speed, 5).in_flight == pytest.approx(4.0, abs=0.05)
    assert float(theory.mmc_waiting_quantile(rate, speed, 5, 0.9)) == pytest.approx(14, abs=0.5)


def test_a_closed_station_without_think_time_is_always_full() -> None:
    case = oracle("closed_networks", "PDQ_aws_tomcat")
    station = theory.closed_mmc(case["N"], case["m"], case["S"], case["Z"])
    assert station.throughput_rps == pytest.approx(case["X"], abs=5e-5)
    assert station.residence_time_s == pytest.approx(case["R"], abs=5e-4)
    assert station.residence_time_s / case["S"] == pytest.approx(case["stretch"], abs=5e-5)
    bounds = theory.asymptotic_bounds(case["N"], case["S"], case["Z"], case["m"])
    assert bounds.throughput_high_rps == pytest.approx(case["X"], abs=5e-5)
    assert bounds.saturation_users == pytest.approx(case["optimal_jobs"], rel=1e-12)


def test_a_closed_station_where_textbook_mean_value_analysis_turns_negative() -> None:
    assert theory.closed_mmc(100, 50, 0.444, 0.2).throughput_rps == pytest.approx(112.61, abs=5e-3)


def test_the_operational_laws_in_a_published_closed_network() -> None:
    """Jain 1991, p. 577, as computed by Octave's queueing: three stations, 20 users, think time 4 s."""
    case = oracle("closed_networks", "jain_MVA_Z4")
    throughput, residence_s = 0.3332465, 56.01563  # its verified figures
    visits, service_s = case["V"], case["S"]
    assert theory.interactive_response_time(case["N"], throughput, case["Z"]) == pytest.approx(residence_s, abs=5e-4)
    for visit, inside, each_s in zip(visits, case["Q"], case["R"], strict=True):
        # R is printed to 0.0005 s, Q to 0.0005: their sum of errors
        slack = throughput * visit * 5e-4 + 5e-4
        assert theory.littles_law(throughput * visit, each_s) == pytest.approx(inside, abs=slack)
    bounds = theory.asymptotic_bounds(case["N"], [v * s for v, s in zip(visits, service_s, strict=True)], case["Z"])
    assert bounds.throughput_low_rps < throughput < bounds.throughput_high_rps
    assert bounds.residence_low_s < residence_s < bounds.residence_high_s


def test_the_operational_laws_of_a_database_server() -> None:
    """Jain 1991, chapter 33: 5 s of CPU, 80 reads of disk A (50 ms), 100 of disk B (30 ms); A does 15.70 a second."""
    throughput = 15.70 / 80
    assert theory.utilization_law(throughput, 5.0) == pytest.approx(0.98, abs=0.005)
    assert theory.utilization_law(15.70, 0.050) == pytest.approx(0.784, abs=0.005)
    assert theory.utilization_law(100 * throughput, 0.030) == pytest.approx(0.588, abs=0.005)
    assert theory.interactive_response_time(17, throughput, 18) == pytest.approx(68.6, abs=0.05)
    bounds = theory.asymptotic_bounds(17, [5.0, 4.0, 3.0], 18)
    assert bounds.throughput_high_rps == pytest.approx(0.2, rel=1e-12)
    assert bounds.saturation_users == pytest.approx(6.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.mmc(100, 5, 2), "no steady state"),
        (lambda: theory.erlang_c(2, 2.0), "no steady state"),
        (lambda: theory.erlang_b(-1, 2.0), "servers"),
        (lambda: theory.erlang_b(1.5, 2.0), "servers"),
        (lambda: theory.erlang_b(1, float("nan")), "offered_load"),
        (lambda: theory.mmck(0, 5, 2, 3), "arrival_rate"),
        (lambda: theory.mmck(1, float("inf"), 2, 3), "service_rate"),
        (lambda: theory.mmck(1, 5, 2, 0), "capacity"),
        (lambda: theory.closed_mmc(0, 5, 1.0, 1.0), "users"),
        (lambda: theory.closed_mmc(5, 5, 1.0, -1.0), "think_time_s"),
        (lambda: theory.md1(10, 0.1), "no steady state"),
        (lambda: theory.md1(10, 0.0), "service_time_s"),
        (lambda: theory.mmc_residence_quantile(9, 10, 1, 1.0), "probability"),
        (lambda: theory.mmck_residence_quantile(9, 10, 1, 5, float("nan")), "probability"),
        (lambda: theory.mmc_waiting_quantile(11, 10, 1, 0.5), "no steady state"),
        (lambda: theory.closed_mmc_residence_quantile(5, 5, 1.0, 0.0, 0.5), "think_time_s"),
        (lambda: theory.utilization_law(-1, 1), "throughput_rps"),
        (lambda: theory.littles_law(1, float("inf")), "residence_time_s"),
        (lambda: theory.flow_balance_error(0, 1), "arrivals"),
        (lambda: theory.asymptotic_bounds(5, [1.0, 0.0]), "demands_s"),
        (lambda: theory.asymptotic_bounds(5, [1.0, 2.0], servers=[1, 2, 3]), "one for each station"),
        (lambda: theory.interactive_response_time(float("nan"), 1, 1), "users"),
    ],
)
def test_input_that_cannot_be_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
