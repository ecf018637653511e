"""The page of the benchmark says what the committed results say, and its harness judges as stated. No timing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchmarks import chart, report, session
from benchmarks.cases import Case, Ceiling, all_cases, all_ceilings
from benchmarks.measure import PairedTimings, Spread, Timing
from benchmarks.resources import MeasurementError

RESULTS: dict[str, Any] = json.loads(report.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_written_from_the_results() -> None:
    assert report.PAGE.read_text(encoding="utf-8") == report.page_text(RESULTS), (
        f"docs/benchmark.md is out of date; run {report.COMMAND}"
    )


def test_the_results_hold_every_case_and_ceiling_under_todays_floors() -> None:
    floors = [(row["name"], row["against"], row["floor"]) for row in RESULTS["cases"]]
    assert floors == [(case.name, case.against, case.floor) for case in all_cases()], f"run {report.COMMAND}"
    ceilings = [(row["name"], row["ceiling"]) for row in RESULTS["ceilings"]]
    assert ceilings == [ceiling.of_scale(1.0) for ceiling in all_ceilings()], f"run {report.COMMAND}"


def test_no_two_texts_of_the_chart_overlap(tmp_path: Path) -> None:
    figure = Figure(figsize=(8.4, 9.0), dpi=120, layout="constrained")
    ax = chart.plot_ratios(chart.groups_of(RESULTS), figure.add_subplot())
    figure.savefig(tmp_path / "chart.png")
    texts = [item for item in (*ax.texts, *ax.get_yticklabels()) if item.get_text()]
    boxes = [item.get_window_extent() for item in texts]
    pairs = [(a, b) for at, a in enumerate(boxes) for b in boxes[at + 1 :]]
    assert not [(a, b) for a, b in pairs if a.overlaps(b)]


def test_a_ratio_is_taken_pair_by_pair() -> None:
    ours = [Timing(100.0, 10.0, None), Timing(400.0, 10.0, None), Timing(90.0, 10.0, None)]
    peer = [Timing(10.0, 5.0, None), Timing(20.0, 5.0, None), Timing(30.0, 5.0, None)]
    assert PairedTimings(ours, peer).ratio("wall") == Spread(10.0, 3.0, 20.0)
    assert PairedTimings(ours, peer).ratio("cpu") == Spread(2.0, 2.0, 2.0)


QUICK = session.Settings(pairs=1, quick=True, clock="wall")


def test_missing_sides_floors_and_failures_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.Settings, "least_s", 1e-9)

    def prepare(requests: int) -> Any:
        return partial(sum, range(requests))

    cases = [
        Case("pending", "x", None, prepare, (10, 10), 1.0),
        Case("elsewhere", "x", prepare, None, (10, 10), 1.0),
        Case("met", "x", prepare, prepare, (10, 10), 1e-9),
        Case("missed", "x", prepare, prepare, (10, 10), 1e9),
    ]

    def fails(scale: float) -> Spread:
        raise MeasurementError("no room")

    ceilings = [Ceiling("{millions} requests", "s", 10.0, fails, scales=True)]
    results = session.run_session(cases, ceilings, QUICK, report=[].append)
    assert [row["verdict"] for row in results["cases"]] == ["pending", "not measured", "met", "missed"]
    (row,) = results["ceilings"]
    assert (row["name"], row["ceiling"], row["verdict"], row["problem"]) == (
        "10 million requests",
        1.0,
        "missed",
        "no room",
    )
    assert not report.all_met(results)
    assert report.summary_line(results).startswith("1 of 4 floors met")
    assert "| pending | x |" in report.page_text(results)
