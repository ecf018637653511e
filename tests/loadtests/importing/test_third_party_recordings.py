"""Imports of real runs against HAProxy and gunicorn agree with what was measured there, whatever files are left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loadtests import import_locust, read_recording
from loadtests.foundation.files import sha256, to_json
from loadtests.recording import LoadStep, Recording
from loadtests.tables import LATENCY_BIN_COLUMNS, REQUEST_COLUMNS
from support.csv_files import CASES, RECORDINGS, read_csv, write_csv

ROUTES = {
    "report": (),
    "recent-history": ("_report.json",),
}


def truth(recording: Recording, start_s: float, end_s: float) -> dict[str, float]:
    """The metrics of the single requests between two epoch times."""
    origin = recording.manifest["clock"]["origin_epoch_s"]
    finish = recording.requests["finish_s"] + origin
    rows = recording.requests[(finish >= start_s) & (finish < end_s)]
    served = rows[rows["outcome"] == "served"]
    times = (served["finish_s"] - served["start_s"]).to_numpy()
    return {
        "throughput_rps": len(rows) / (end_s - start_s),
        "goodput_rps": len(served) / (end_s - start_s),
        "shed_rate": float((rows["outcome"] == "shed").mean()),
        "mean_s": float(times.mean()),
        **{f"p{q}_s": float(np.quantile(times, q / 100)) for q in (50, 95, 99)},
    }


def codes(recording: Recording) -> set[str]:
    return {finding["code"] for finding in recording.manifest["findings"]}


@pytest.mark.parametrize("case", CASES)
def test_steps_by_request_log_contain_what_was_measured(case: str, imported: Callable[[str], Recording]) -> None:
    recording = imported(case)
    measured = {row["level"]: row for row in read_csv(RECORDINGS / case / "summary.csv")}
    assert set(recording.manifest["source"]["steps"].values()) == {"log"}
    assert len(recording.steps) == len(read_csv(RECORDINGS / case / "steps.csv"))
    for step in recording.steps:
        row = measured[f"u{step.users:04d}"]
        found = {
            "goodput_rps": float(row["thr_2xx"]),
            "throughput_rps": float(row["thr_2xx"]) + float(row["rate_503"]),
            "shed_rate": float(row["rate_503"]) / (float(row["thr_2xx"]) + float(row["rate_503"])),
            **{f"{name}_s": float(row[name]) / 1e3 for name in ("mean", "p50", "p95", "p99")},
        }
        outside = {name: value for name, value in found.items() if not step.metrics[name].contains(value)}
        assert not outside, (step, outside)


@pytest.mark.parametrize("case", CASES)
def test_the_same_cut_gives_the_same_numbers_as_the_summary(case: str, tmp_path: Path) -> None:
    """`summary.csv` drops a quarter between first sending and last finish; 2 requests may fall on the borders."""
    plain = import_locust(RECORDINGS / case / "steps.csv", tmp_path / "plain")
    origin = plain.manifest["clock"]["origin_epoch_s"]
    measured = {row["level"]: row for row in read_csv(RECORDINGS / case / "summary.csv")}
    for step in plain.steps[::3]:
        row = measured[f"u{step.users:04d}"]
        start = step.end_s - float(row["window_s"])
        found = truth(plain, start + origin, step.end_s + 1e-6 + origin)
        assert found["goodput_rps"] * float(row["window_s"]) == pytest.approx(float(row["n_2xx"]), abs=2)
        assert found["mean_s"] * 1e3 == pytest.approx(float(row["mean"]), rel=2e-3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", list(ROUTES))
def test_without_request_logs_every_interval_contains_the_truth_of_its_window(
    case: str, kind: str, imported: Callable[[str], Recording], without_logs: Callable[..., Path], tmp_path: Path
) -> None:
    recording = import_locust(without_logs(case, *ROUTES[kind]), tmp_path / "out")
    origin = recording.manifest["clock"]["origin_epoch_s"]
    assert set(recording.manifest["source"]["steps"].values()) == {kind}
    assert len(recording.steps) == len(imported(case).steps)
    for step in recording.steps:
        found = truth(imported(case), step.start_s + origin, step.end_s + origin)
        outside = {name: value for name, value in found.items() if not _contains(step, name, value)}
        assert not outside, (step, outside)


def _contains(step: LoadStep, name: str, value: float) -> bool:
    interval = step.metrics[name]
    return interval.low <= value and (interval.contains(value) or not interval.is_known)


def test_blended_percentiles_are_wrong_where_ours_are_right(
    without_logs: Callable[..., Path], imported: Callable[[str], Recording], tmp_path: Path
) -> None:
    """At 230 users half the requests are shed: Locust's own P50 is 270 ms, that of served requests 382 ms."""
    step = import_locust(without_logs("haproxy_gate"), tmp_path / "out").step(9)
    served = imported("haproxy_gate").step(9).metrics["p50_s"]
    native = float(read_csv(RECORDINGS / "haproxy_gate" / "u0230" / "locust_stats.csv")[-1]["50%"]) / 1e3
    assert not served.contains(native)
    assert step.metrics["p50_s"].contains(served.mid)
    assert served.contains(step.metrics["p50_s"].mid)


def test_an_import_without_logs_says_what_it_could_not_know(without_logs: Callable[..., Path], tmp_path: Path) -> None:
    by_report = import_locust(without_logs("haproxy_gate"), tmp_path / "report")
    assert {"no-single-requests", "blended-percentiles", "rounded-times", "last-second-missing"} <= codes(by_report)
    assert list(by_report.latency_bins.columns) == list(LATENCY_BIN_COLUMNS)
    assert by_report.requests.empty
    assert set(by_report.latency_bins["step"]) == {step.step for step in by_report.steps}


def test_a_report_s_histograms_are_kept_by_endpoint_too(without_logs: Callable[..., Path], tmp_path: Path) -> None:
    bins = import_locust(without_logs("waitress_endpoints"), tmp_path / "out").latency_bins
    assert set(bins["endpoint"]) == {"", "/fast", "/medium", "/slow"}
    edges = ["low_s", "high_s"]
    for _, rows in bins.groupby("step"):
        together = rows[rows["endpoint"] == ""].set_index(edges)["count"].sort_index()
        apart = rows[rows["endpoint"] != ""].groupby(edges)["count"].sum()
        pd.testing.assert_series_equal(apart, together, check_names=False)


def test_an_import_with_logs_says_that_users_are_not_known(imported: Callable[[str], Recording]) -> None:
    recording = imported("haproxy_gate")
    assert "no-user-ids" in codes(recording)
    assert (recording.requests["user_id"] == -1).all()
    assert all(np.isnan(step.gap_mean_s) for step in recording.steps)
    assert recording.requests.dtypes.astype(str).to_dict() == REQUEST_COLUMNS


def test_source_files_are_copied_untouched_and_hashed_and_the_folder_reads_back(
    imported: Callable[[str], Recording],
) -> None:
    recording = imported("gunicorn_sync")
    assert recording.path is not None
    again = read_recording(recording.path)
    assert to_json([step.to_dict() for step in again.steps]) == to_json([step.to_dict() for step in recording.steps])
    assert len(again.requests) == len(recording.requests) == recording.manifest["requests"]
    source = recording.manifest["source"]
    assert source["kind"] == "locust-files"
    for name in source["files"]:
        original = RECORDINGS / "gunicorn_sync" / Path(name).relative_to("source")
        assert recording.manifest["files"][name]["sha256"] == sha256(original)


@pytest.mark.parametrize(
    ("prefix", "levels"),
    [
        ("haproxy_gate/shape/locust", [30, 60, 100, 130, 180, 115, 60]),
        ("gunicorn_sync/shape_ramp/locust", list(range(10, 111, 10))),
    ],
)
def test_a_staged_run_by_its_prefix_alone_has_all_its_levels(prefix: str, levels: list[int], tmp_path: Path) -> None:
    recording = import_locust(RECORDINGS / prefix, tmp_path / "out", think="exponential:1.0")
    assert [step.users for step in recording.steps] == levels
    assert [step.step for step in recording.steps] == list(range(1, len(levels) + 1))
    assert set(recording.manifest["source"]["steps"].values()) == {"log"}
    assert {step.think for step in recording.steps} == {"exponential:1.0"}


def test_levels_of_a_staged_run_contain_what_was_measured(tmp_path: Path) -> None:
    recording = import_locust(RECORDINGS / "haproxy_gate" / "shape" / "locust", tmp_path / "out")
    measured = [
        row for row in read_csv(RECORDINGS / "haproxy_gate" / "summary.csv") if row["level"].startswith("shape")
    ]
    for step, row in zip(recording.steps, measured, strict=True):
        assert step.users == int(row["users"])
        assert step.metrics["goodput_rps"].contains(float(row["thr_2xx"]))
        assert step.metrics["p95_s"].contains(float(row["p95"]) / 1e3)


def test_several_rows_of_a_steps_file_share_one_staged_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in (RECORDINGS / "haproxy_gate" / "shape").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    rows = [
        {"step": 1, "users": 60, "stats_prefix": "locust", "requests": "requests.csv.gz", "start_s": 45, "end_s": 90},
        {"step": 2, "users": 100, "stats_prefix": "locust", "requests": "requests.csv.gz", "start_s": 90, "end_s": 135},
    ]
    recording = import_locust(write_csv(folder / "STEPS.csv", rows), tmp_path / "out")
    measured = {row["level"]: row for row in read_csv(RECORDINGS / "haproxy_gate" / "summary.csv")}
    assert [step.users for step in recording.steps] == [60, 100]
    for step, name in zip(recording.steps, ("shape#1", "shape#2"), strict=True):
        assert step.metrics["goodput_rps"].contains(float(measured[name]["thr_2xx"]))
    total = sum(entry["num_requests"] for entry in json.loads((folder / "locust_report.json").read_text()))
    assert total <= len(recording.requests) <= total + 100


def test_a_folder_of_runs_is_imported_run_by_run_in_the_order_of_time(tmp_path: Path) -> None:
    for name in ("u0060", "u0030", "u0115rep2"):
        target = tmp_path / "runs" / name
        target.mkdir(parents=True)
        for path in (RECORDINGS / "haproxy_gate" / name).iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    recording = import_locust(tmp_path / "runs", tmp_path / "out")
    assert [step.users for step in recording.steps] == [30, 60, 115]


def test_what_was_cut_is_counted_and_says_why(imported: Callable[[str], Recording]) -> None:
    recording = imported("haproxy_gate")
    for step in recording.steps:
        finish = recording.requests["finish_s"]
        begin_s = step.start_s - step.cut.seconds
        assert step.cut.requests == ((finish >= begin_s) & (finish < step.start_s)).sum() > 0
        assert step.cut.reason == "planned settling time"
    assert "planned settling time" in recording.summary()


def test_skip_s_is_kept_to(tmp_path: Path) -> None:
    rows = [row | {"skip_s": "20", "stats_prefix": ""} for row in read_csv(RECORDINGS / "gunicorn_sync" / "steps.csv")]
    folder = tmp_path / "g"
    for row in rows[:2]:
        (folder / row["requests"]).parent.mkdir(parents=True)
        (folder / row["requests"]).write_bytes((RECORDINGS / "gunicorn_sync" / row["requests"]).read_bytes())
    recording = import_locust(write_csv(folder / "STEPS.csv", rows[:2]), tmp_path / "out")
    first = recording.requests.groupby("worker_id")["start_s"].min().sort_values()
    for step, start_s in zip(recording.steps, first, strict=True):
        assert step.start_s == pytest.approx(start_s + 20, abs=1e-3)
