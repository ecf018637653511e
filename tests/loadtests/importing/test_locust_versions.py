"""What Locust wrote in its versions: columns, rounding, percentiles since the start or of the last 10 s."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import import_locust
from loadtests.estimation.binned_latency import quantile_bounds
from loadtests.importing.histogram import bins_of_histogram, bins_of_percentiles, rounded_edges_s, significant_digits
from loadtests.importing.history import read_history
from loadtests.importing.notes import Notes
from loadtests.importing.stats_files import outcome_of_text, read_failures, read_stats
from support.csv_files import RECORDINGS, read_csv, write_csv

PERCENTILES = (0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
HISTORY = RECORDINGS / "haproxy_gate" / "u0180" / "locust_stats_history.csv"


def rounded(time_ms: float) -> int:
    """As `locust.stats.bucket_response_time` rounds."""
    digits = 0 if time_ms < 100 else -1 if time_ms < 1_000 else -2 if time_ms < 10_000 else -3
    return int(round(time_ms, digits))


def locust_percentile(counts: dict[int, int], number: int, probability: float) -> int:
    """As `locust.stats.calculate_response_time_percentile` computes."""
    processed = 0
    for value in sorted(counts, reverse=True):
        processed += counts[value]
        if number - processed <= int(number * probability):
            return value
    return 0


def counted(times_ms: list[float]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for time_ms in times_ms:
        counts[rounded(time_ms)] = counts.get(rounded(time_ms), 0) + 1
    return counts


TIMES_MS = st.lists(st.floats(0.0, 60_000.0), min_size=1, max_size=60)


@given(st.floats(0.0, 90_000.0))
def test_a_time_lies_between_the_edges_of_what_it_is_rounded_to(time_ms: float) -> None:
    low, high = rounded_edges_s(rounded(time_ms))
    assert low - 1e-12 <= time_ms / 1e3 <= high + 1e-12


@given(TIMES_MS, st.sampled_from([0.0, 0.5, 0.95, 0.99]))
def test_bounds_from_locusts_histogram_contain_the_true_quantile(times_ms: list[float], probability: float) -> None:
    low, high = quantile_bounds(bins_of_histogram(dict(counted(times_ms))), probability)
    assert low - 1e-9 <= float(np.quantile(times_ms, probability)) / 1e3 <= high + 1e-9


@given(TIMES_MS, st.sampled_from([0.1, 0.5, 0.95, 0.99]))
def test_bounds_from_locusts_percentiles_contain_the_true_quantile(times_ms: list[float], probability: float) -> None:
    number, counts = len(times_ms), counted(times_ms)
    percentiles = {p: float(locust_percentile(counts, number, p)) for p in PERCENTILES}
    bins = bins_of_percentiles(percentiles, number, min(times_ms) / 1e3, max(times_ms) / 1e3)
    assert bins.total == number
    low, high = quantile_bounds(bins, probability)
    assert low - 1e-9 <= float(np.quantile(times_ms, probability)) / 1e3 <= high + 1e-9


def test_a_histogram_of_three_digits_is_read_as_such() -> None:
    assert significant_digits([99, 150, 2_300]) == 2
    assert significant_digits([99, 147, 2_340]) == 3
    assert rounded_edges_s(147, 3) == pytest.approx((0.1465, 0.1475))


def as_locust_1(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The history as Locust 1.x wrote it: aggregated rows only, whole-number averages, 99.999%."""
    whole = ("Total Average Response Time", "Total Min Response Time", "Total Max Response Time")
    return [
        {key: str(int(float(value))) if key in whole else value for key, value in row.items()}
        | {"99.999%": row["99.99%"]}
        for row in rows
        if row["Name"] == "Aggregated"
    ]


def test_the_history_of_locust_1_has_recent_percentiles_and_no_exact_sums(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "old_stats_history.csv", as_locust_1(read_csv(HISTORY)))
    old, new = read_history(path, Notes()), read_history(HISTORY, Notes())
    assert old is not None
    assert new is not None
    assert old.is_recent
    assert np.array_equal(old.requests, new.requests)
    assert np.isnan(old.residence_s[-1])
    assert not np.isnan(new.residence_s[-1])
    assert 0.99999 in old.probabilities


def as_cumulative(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """A history without --csv-full-history: the longest time since the start stands in 100%."""
    kept = [row for row in rows if row["Name"] == "Aggregated"]
    return [row | {"100%": str(rounded(float(row["Total Max Response Time"])))} for row in kept]


def test_cumulative_percentiles_are_told_from_recent_ones(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "run_stats_history.csv", as_cumulative(read_csv(HISTORY)))
    history = read_history(path, Notes())
    assert history is not None
    assert not history.is_recent


def test_cumulative_percentiles_of_a_later_level_bound_nothing_but_counts_and_mean_stay_exact(tmp_path: Path) -> None:
    shape = RECORDINGS / "haproxy_gate" / "shape" / "locust_stats_history.csv"
    write_csv(tmp_path / "run_stats_history.csv", as_cumulative(read_csv(shape)))
    recording = import_locust(tmp_path / "run", tmp_path / "out")
    by_log = import_locust(shape.with_name("locust"), tmp_path / "log")
    assert set(recording.manifest["source"]["steps"].values()) == {"cumulative-history"}
    assert [step.users for step in recording.steps] == [step.users for step in by_log.steps]
    last, known = recording.steps[-1], by_log.steps[-1]
    assert not last.metrics["p95_s"].is_known
    assert last.metrics["mean_s"].contains(known.metrics["mean_s"].mid)
    assert last.metrics["goodput_rps"].contains(known.metrics["goodput_rps"].mid)
    assert "cumulative-percentiles" in {finding["code"] for finding in recording.manifest["findings"]}


def test_final_statistics_alone_make_a_step_with_its_caveats(tmp_path: Path) -> None:
    (tmp_path / "run_stats.csv").write_bytes((RECORDINGS / "haproxy_gate" / "u0060" / "locust_stats.csv").read_bytes())
    write_csv(tmp_path / "STEPS.csv", [{"step": 1, "users": 60, "stats_prefix": "run"}])
    recording = import_locust(tmp_path / "STEPS.csv", tmp_path / "out")
    codes = {finding["code"] for finding in recording.manifest["findings"]}
    assert recording.manifest["source"]["steps"] == {"1": "stats"}
    assert {"no-single-requests", "warm-up-not-cut"} <= codes
    assert recording.steps[0].metrics["p95_s"].contains(0.27254)
    assert recording.steps[0].metrics["throughput_rps"].contains(53.705)


def test_the_columns_of_locust_0_14_are_known(tmp_path: Path) -> None:
    (tmp_path / "run_stats.csv").write_text(
        '"Type","Name","# requests","# failures","Median response time","Average response time","Min response time",'
        '"Max response time","Average Content Size","Requests/s","Requests Failed/s","50%","95%","100%"\n'
        '"GET","/",200,10,40,45,1,300,10,20.00,1.00,40,120,300\n"None","Aggregated",200,10,40,45,1,300,10,20.00,1.00,40,120,300\n'
    )
    stats = read_stats(tmp_path / "run_stats.csv", Notes())
    assert stats is not None
    assert (stats.requests, stats.failures, stats.rate_rps, stats.percentiles_ms[0.95]) == (200, 10, 20.0, 120.0)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("LocustBadStatusCode(code=503)", "shed"),
        ("LocustBadStatusCode:URL http://127.0.0.1:18001/work: code=503", "shed"),
        ("HTTPError('503 Server Error: Service Unavailable for url: /x')", "shed"),
        ("HTTPError('429 Client Error: Too Many Requests for url: /x')", "rate_limited"),
        ("HTTPError('502 Server Error: Bad Gateway for url: /x')", "server_error"),
        ("HTTPError('404 Client Error: Not Found for url: /x')", "client_error"),
        ("CatchResponseError('Got wrong response')", "failed"),
        ("ConnectionRefusedError(111, 'Connection refused')", "refused"),
        ("ConnectionResetError(104, 'Connection reset by peer')", "reset"),
        ("RemoteDisconnected('Remote end closed connection without response')", "reset"),
        ("TimeoutError('timed out')", "timeout"),
    ],
)
def test_an_errors_text_tells_its_outcome(error: str, outcome: str) -> None:
    assert outcome_of_text(error) == outcome


def test_failures_are_counted_by_outcome_and_times_first_seen_are_no_status(tmp_path: Path) -> None:
    rows = [
        {"Method": "GET", "Name": "/a", "Error": "LocustBadStatusCode(code=503)", "Occurrences": "7",
         "First Seen": "2026-11-23T15:23:41Z", "Last Seen": "2026-11-23T15:24:38Z"},
        {"Method": "GET", "Name": "/b", "Error": "TimeoutError()", "Occurrences": "2",
         "First Seen": "", "Last Seen": ""},
    ]  # fmt: skip
    assert read_failures(write_csv(tmp_path / "f.csv", rows), Notes()) == {"shed": 7, "timeout": 2}


def test_failures_of_unknown_kind_leave_the_shed_rate_open(tmp_path: Path) -> None:
    source = RECORDINGS / "haproxy_gate" / "u0180"
    for name in ("locust_stats_history.csv", "locust_report.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    write_csv(tmp_path / "STEPS.csv", [{"step": 1, "users": 180, "stats_prefix": "locust"}])
    recording = import_locust(tmp_path, tmp_path / "out")
    shed = recording.steps[0].metrics["shed_rate"]
    assert (shed.low, math.isnan(shed.mid)) == (0.0, True)
    assert shed.high > 0.3
    assert "failure-kinds-unknown" in {finding["code"] for finding in recording.manifest["findings"]}
