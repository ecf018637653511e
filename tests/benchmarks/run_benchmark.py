"""Measure this library against its peers in one run; write the table and the chart of the documentation.

./run python tests/benchmarks/run_benchmark.py            # about 10 minutes; writes docs/benchmark.md and its chart
./run python tests/benchmarks/run_benchmark.py --quick    # about 2 minutes; prints only, unless --out DIR
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks import chart, report  # noqa: E402
from benchmarks.cases import all_cases, all_ceilings  # noqa: E402
from benchmarks.session import Settings, run_session  # noqa: E402

MISSED = 99


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure this library against SimPy, Ciw and a C++ event list.")
    parser.add_argument("--pairs", type=int, help="interleaved pairs a case (default 7; 3 with --quick)")
    parser.add_argument(
        "--quick", action="store_true", help="fewer requests and pairs; nothing is written without --out"
    )
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="which time the ratios use")
    parser.add_argument("--only", default="", metavar="TEXT", help="only what has TEXT in its name or its peer's")
    parser.add_argument("--out", type=Path, help="folder for benchmark.json, .md and .png instead of the docs")
    parser.add_argument("--rewrite", action="store_true", help="measure nothing: write the page from the last results")
    parser.add_argument("--strict", action="store_true", help="exit 99 when a floor is missed or a side is pending")
    return parser.parse_args()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program's output


def main() -> int:
    given = arguments()
    if given.rewrite:
        write(json.loads(report.RESULTS.read_text(encoding="utf-8")), given.out, partly=False)
        return 0
    settings = Settings(given.pairs or (3 if given.quick else 7), given.quick, given.clock, given.only)
    results = run_session(all_cases(), all_ceilings(), settings, report=say)
    say("\n" + report.summary_line(results))
    write(results, given.out, partly=given.quick or bool(given.only))
    return MISSED if given.strict and not report.all_met(results) else 0


def write(results: dict[str, object], out: Path | None, *, partly: bool) -> None:
    """Everything into `out`; without it a full run goes where the documentation has it, a partial one nowhere."""
    if out is None and partly:
        return
    data, page, picture = report.RESULTS, report.PAGE, report.CHART
    if out is not None:
        data, page, picture = out / "benchmark.json", out / "benchmark.md", out / "benchmark.png"
    for path in (data, page, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page.write_text(report.page_text(results, picture.relative_to(page.parent).as_posix()), encoding="utf-8")
    chart.write_chart(results, picture)
    say(f"written: {data}, {page}, {picture}")


if __name__ == "__main__":
    sys.exit(main())
