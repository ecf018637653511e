"""`summary.csv` of a third-party recording: what its request logs say, in milliseconds as Locust writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd

from studies.server_recordings.third_party import Level, ThirdPartyServer

_SHED = 503
_TEST = {"interpolation": "test", "extrapolation": "test"}


def write_summary(folder: Path, server: ThirdPartyServer, levels: list[Level]) -> None:
    """One row a level, after dropping the first quarter between the first sending and the last finish."""
    rows = [_row(folder / level.name, level, server) for level in levels]
    pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)


def _row(folder: Path, level: Level, server: ThirdPartyServer) -> dict[str, object]:
    log = pd.read_csv(folder / "requests.csv.gz")
    finish = log["timestamp"] + log["response_time_ms"] / 1e3
    begin, end = log["timestamp"].min(), finish.max()
    window_s = 0.75 * (end - begin)
    inside = log[finish >= end - window_s]
    served, shed = (inside[inside["status_code"] == code]["response_time_ms"] for code in (200, _SHED))
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    other = len(inside) - len(served) - len(shed)
    return {
        "level": level.name, "split": _TEST.get(level.split, level.split), "users": level.users,
        "think": f"exp:{server.think_s}", "window_s": round(window_s, 2), "n_2xx": len(served),
        "thr_2xx": round(len(served) / window_s, 3), "rate_503": round(len(shed) / window_s, 3),
        "rate_other": round(other / window_s, 3), **_percentiles(served, ""), "mean": round(served.mean(), 2),
        "sd": round(served.std(), 2), "p50_503": round(shed.median(), 2) if len(shed) else "",
        **_percentiles(inside["response_time_ms"], "_all"), **_native(folder),
        **{name: round(meta[name]) for name in ("locust_cpu_pct", "servers_cpu_pct")},
        "machine_cpu_pct": round(meta["machine_cpu_busy_pct"]),
    }  # fmt: skip


def _percentiles(times_ms: pd.Series, ending: str) -> dict[str, float]:
    return {f"p{q}{ending}": round(float(np.quantile(times_ms, q / 100)), 2) for q in (50, 95, 99)}


def _native(folder: Path) -> dict[str, float]:
    with (folder / "locust_stats.csv").open(newline="", encoding="utf-8") as stream:
        total = list(csv.DictReader(stream))[-1]
    columns = {"rps": "Requests/s", "fail_s": "Failures/s", "p50": "50%", "p95": "95%", "p99": "99%",
               "avg": "Average Response Time"}  # fmt: skip
    return {f"native_{name}": round(float(total[column]), 3) for name, column in columns.items()}
