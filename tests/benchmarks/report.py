"""Words and tables from the results of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results" / "benchmark.json"
PAGE = ROOT / "docs" / "benchmark.md"
CHART = ROOT / "docs" / "images" / "benchmark.png"
COMMAND = "./run python tests/benchmarks/run_benchmark.py"

HEADER = f"{'case':<58} {'ours, 1/s':>12} {'peer, 1/s':>12} {'ratio (spread)':>26} {'floor':>7}"


def row_text(row: dict[str, Any]) -> str:
    """One line for the terminal."""
    if "ceiling" in row:
        why = f" ({row['problem']})" if "problem" in row else ""
        most = f"at most {row['ceiling']:g} {row['unit']}"
        return f"{row['name']:<78} {_measured(row)}, {most}: {row['verdict']}{why}"
    title = f"{row['name']} vs {row['against']}"
    if "ratio" not in row:
        return f"{title:<58} {row['verdict']}"
    rates = f"{row['ours_rps']['median']:>12,.0f} {row['peer_rps']['median']:>12,.0f}"
    return f"{title:<58} {rates} {_ratio(row):>26} {_floor(row):>7}  {row['verdict']}"


def summary_line(results: dict[str, Any]) -> str:
    """How many floors were met."""
    rows = [row for row in (*results["cases"], *results["ceilings"]) if row["verdict"] not in _WITHOUT_FLOOR]
    missed = sorted({_title(row) for row in rows if row["verdict"] != "met"})
    met = sum(row["verdict"] == "met" for row in rows)
    return f"{met} of {len(rows)} floors met" + (f"; missed or pending: {'; '.join(missed)}" if missed else "")


def all_met(results: dict[str, Any]) -> bool:
    """Whether every floor and ceiling was measured and met."""
    rows = (*results["cases"], *results["ceilings"])
    return all(row["verdict"] in ("met", *_WITHOUT_FLOOR) for row in rows)


_WITHOUT_FLOOR = ("no floor", "not measured")


def page_text(results: dict[str, Any], chart: str = "images/benchmark.png") -> str:
    """The page of the documentation, from the results alone."""
    return "\n".join(
        [*_introduction(results, chart), *_case_table(results), *_ceiling_table(results), *_method(results)]
    )


def _introduction(results: dict[str, Any], chart: str) -> list[str]:
    machine, versions = results["machine"], results["versions"]
    told = ", ".join(f"{name} {value}" for name, value in versions.items())
    return [
        "# Benchmark",
        "",
        "How fast simulations run, against SimPy, Ciw and a C++ event list that simulate the same system. Written by",
        f"`{COMMAND}`, which measures all of it in one run.",
        "",
        f"![Requests per second against each peer]({chart})",
        "",
        "*Bars: how many times the peer's requests per second, median of the pairs (the number); line: smallest to",
        "largest; black mark: the floor that the library must not fall below.*",
        "",
        f"Machine: {machine['cores']} cores, {machine['cpu']}, {machine['system']} {machine['architecture']}.",
        f"Versions: {told}.",
        f"The Python build is {machine['python_build']} (by profile, which speeds up SimPy and Ciw but hardly ours).",
        "Rates differ from machine to machine and drift on a shared one; the ratios, measured in turns, count.",
        "",
    ]  # fmt: skip


def _case_table(results: dict[str, Any]) -> list[str]:
    lines = [
        "| What | Against | Ours, requests/s | Peer, requests/s | Ratio (smallest to largest) | Floor | |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in results["cases"]:
        rates = ("", "", "")
        if "ratio" in row:
            rates = (_rate(row["ours_rps"]["median"]), _rate(row["peer_rps"]["median"]), _ratio(row))
        cells = (row["name"], row["against"], *rates, _floor(row), _verdict(row))
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _ceiling_table(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {row['name']} | {_measured(row)} | {row['ceiling']:g} {row['unit']} | {row['verdict']} |"
        for row in results["ceilings"]
    ]
    return ["| What | Measured | At most | |", "|---|---:|---:|---|", *rows, ""]


def _method(results: dict[str, Any]) -> list[str]:
    settings = results["settings"]
    clock = {"wall": "wall-clock time", "cpu": "processor time of the process"}[settings["clock"]]
    quick = ["**A quick run**: fewer requests and pairs than the official one.", ""] if settings["quick"] else []
    return [
        *quick,
        "## What is simulated",
        "",
        "One instance with 335 workers and at most 3,350 requests inside; Poisson arrivals; lognormal service times,",
        "mean 5.4 ms, cv 1. A load of 1 is what the workers can serve. Closed: users with exponential think times that",
        "make them send that load. `tests/benchmarks/systems.py` states every case, and",
        "`tests/benchmarks/test_benchmark_peers.py` checks that given the same times all sides shed the same requests",
        "and answer the others at the same moments, to the last bit (processor sharing: to nine digits).",
        "",
        "- *SimPy, idiomatic*: a process for every request or user, and a `Resource` for the workers.",
        "- *SimPy, callbacks*: timeouts with callbacks, counters and deques; the fastest SimPy that we could write.",
        "- *Ciw*: one node of 335 servers with a bounded queue.",
        "- *C++ event list*: `std::priority_queue` of arrivals and departures, `g++ -O2`.",
        "",
        "Open, closed and feature cases leave random numbers out of the peers' time: they take given ones (our closed",
        "runs draw theirs). End to end both sides draw and both end with statistics.",
        "",
        "## How it is measured",
        "",
        f"{settings['pairs']} interleaved pairs (ours, peer, ours, peer, ...), after one run of ours that compiles.",
        f"In each turn a side does whole runs for at least {results['least_s']:g} s. Each pair gives one ratio, by",
        f"{clock}.",
        "Preparation (arrays to lists, users to processes) is not timed; the garbage collector runs before each run",
        "and rests during it, on both sides. Peers simulate fewer requests than ours, since rates are compared; above",
        "saturation enough to fill the system and shed. `tests/benchmarks/results/benchmark.json` has all numbers, by",
        "both clocks, with the sheds per request that each side saw.",
        "",
    ]  # fmt: skip


def _title(row: dict[str, Any]) -> str:
    return f"{row['name']} vs {row['against']}" if "against" in row else row["name"]


def _ratio(row: dict[str, Any]) -> str:
    low, middle, high = (_times(row["ratio"][name]) for name in ("low", "median", "high"))
    return f"{middle} ({low} to {high})"


def _times(value: float) -> str:
    return f"{value:,.0f}x" if value >= 100 else f"{value:.3g}x"


def _rate(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k"


def _floor(row: dict[str, Any]) -> str:
    return "" if row["floor"] is None else f"{row['floor']:,g}x"


def _verdict(row: dict[str, Any]) -> str:
    return "" if row["verdict"] == "no floor" else str(row["verdict"])


def _measured(row: dict[str, Any]) -> str:
    if "value" not in row:
        return "failed"
    value = row["value"]
    middle = f"{value['median']:.3g} {row['unit']}"
    return middle if value["low"] == value["high"] else f"{middle} ({value['low']:.3g} to {value['high']:.3g})"
