"""How much more percentiles of served requests vary than those of independent requests would.

``./run python tests/studies/bin_design_effect.py`` imports the third-party recordings by their
request logs and compares, per step and percentile, the block-bootstrap interval with the binomial
one, both in ranks: the squared ratio of their widths is the design effect (Kish 1965). The
90th percentile over the steps is the source of `loadtests.estimation.binned_latency.DESIGN_EFFECTS`.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from loadtests import import_locust
from loadtests.foundation.versions import versions_of
from loadtests.recording import LoadStep, Recording

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings" / "third_party"
RESULTS = Path(__file__).parent / "results" / "bin_design_effect.csv"
PERCENTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}


def rows_of(case: str) -> list[dict[str, object]]:
    """One row a step and percentile."""
    with tempfile.TemporaryDirectory() as folder:
        recording = import_locust(RECORDINGS / case / "steps.csv", Path(folder) / "out")
    rows: list[dict[str, object]] = []
    for step in recording.steps:
        inside = recording.requests_in(step)
        served = inside[inside["outcome"] == "served"]
        times = np.sort((served["finish_s"] - served["start_s"]).to_numpy())
        for name, q in PERCENTILES.items():
            interval = step.metrics[name]
            ranks = np.searchsorted(times, [interval.low, interval.high]) / len(times)
            binomial = 2 * stats.norm.ppf(0.95) * math.sqrt(q * (1 - q) / len(times))
            effect = float((ranks[1] - ranks[0]) / binomial) ** 2
            rows.append(_row(case, step, len(times), name, effect, recording))
        effect = (_half_width(step) * math.sqrt(len(times)) / (stats.norm.ppf(0.95) * times.std())) ** 2
        rows.append(_row(case, step, len(times), "mean_s", float(effect), recording))
    return rows


def _half_width(step: LoadStep) -> float:
    interval = step.metrics["mean_s"]
    return (interval.high - interval.low) / 2


def _row(case: str, step: LoadStep, served: int, metric: str, effect: float, recording: Recording) -> dict[str, object]:
    return {
        "case": case, "step": step.step, "users": step.users, "served": served, "metric": metric,
        "design_effect": round(effect, 3), "seed": recording.manifest["seed"],
        "version": versions_of()["fluxor-capacity"],
    }  # fmt: skip


def main() -> None:
    """Write the table and print the median, the 90th percentile and the most by metric."""
    table = pd.DataFrame([row for case in ("haproxy_gate", "gunicorn_sync") for row in rows_of(case)])
    table.to_csv(RESULTS, index=False)
    print(table.groupby("metric")["design_effect"].quantile([0.5, 0.9, 1.0]).round(1).to_string())  # noqa: T201 - its output


if __name__ == "__main__":
    main()
