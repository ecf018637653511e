"""`import_prometheus`: a range of live traffic as a recording, for those who cannot load-test."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loadtests.deployment import Deployment
from loadtests.foundation.checks import finite, positive, whole
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import replacing, to_json, write_json
from loadtests.foundation.findings import Finding
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.prometheus.client import PrometheusServer, Series
from loadtests.prometheus.gauges import evaluated_gauges
from loadtests.prometheus.identifiability import Identifiability, judge
from loadtests.prometheus.import_findings import COVERED, level_findings, source_findings
from loadtests.prometheus.levels import Stretch, choose_levels, find_stretches
from loadtests.prometheus.observed import Fetched, Observed, fetch, observe
from loadtests.prometheus.query_map import IN_FLIGHT, QueryMap, read_query_map
from loadtests.prometheus.steps import Level, LevelOptions, level_of
from loadtests.recording import Recording
from loadtests.store import check_new_folder, write_recording
from loadtests.tables import ANY_OUTCOME, LATENCY_BIN_COLUMNS, REQUEST_COLUMNS, empty_table
from loadtests.trust.judge import with_trust

FOLDER, SAMPLES, QUERY_MAP = "prometheus", "samples.parquet", "query_map.json"
SAMPLE_COLUMNS = ("series", "labels", "epoch_s", "value")


@dataclass(frozen=True)
class ImportOptions:
    """How a range of traffic becomes a recording.

    Parameters
    ----------
    levels : int
        Most levels of load to keep.
    step_s : float, optional
        Distance of the moments at which gauges are evaluated. Absent: the scrape interval.
    think : Distribution, optional
        Think time of the users, where somebody knows it: then a step's users follow from it.
    seed : int
        Of the intervals' resampling.

    Raises
    ------
    InputError
        For a number out of range.
    """

    levels: int = 8
    step_s: float | None = None
    think: Distribution | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        whole("levels", self.levels, least=1, most=1_000)
        whole("seed", self.seed)
        if self.step_s is not None:
            positive("step_s", self.step_s)


def import_prometheus(
    source: PrometheusServer | str,
    query_map: QueryMap | str | Path,
    range_s: tuple[float, float],
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    options: ImportOptions | None = None,
) -> Recording:
    """Turn what Prometheus has of one instance into a recording with interval-censored latencies.

    Counters are taken raw and differenced here, so that no request is estimated. The range is cut
    into stretches of steady rate, the longest of each band of rate becomes a step. What such data
    cannot tell is said in the manifest: `findings`, and `identifiability` with its verdict.

    Parameters
    ----------
    source : PrometheusServer or str
        The server or its address.
    query_map : QueryMap or path
        Which series hold what.
    range_s : tuple of float
        First and last moment, seconds since 1970.
    out : str or Path
        New folder for the recording.
    deployment : Deployment, optional
        The configured limits of the instance, as far as known.
    options : ImportOptions, optional

    Returns
    -------
    Recording
        Without single requests: `latency_bins` and `steps` hold what is known. A step's `users`
        counts what its `load_quantity` says.

    Raises
    ------
    InputError
        For a range that ends before it begins, a query that is empty, series that cannot be used
        (all problems in one error), or a range without a steady stretch.
    RunError
        When the server cannot be reached, refuses, or is no Prometheus.
    """
    server = PrometheusServer(source) if isinstance(source, str) else source
    queries = query_map if isinstance(query_map, QueryMap) else read_query_map(query_map)
    start_s, end_s = _range(range_s)
    folder = check_new_folder(out)
    chosen = options or ImportOptions()
    fetched = fetch(server, queries, start_s, end_s)
    observed = _settle_outcome(observe(fetched, queries))
    step_s = chosen.step_s or observed.counters.scrape_interval_s
    gauges, absent = evaluated_gauges(server, queries.gauges, (start_s, end_s), step_s)
    gauges["time_s"] -= start_s
    levels, left_out = _levels(observed, gauges, start_s, chosen)
    stated = deployment or Deployment()
    verdict = judge(levels, stated, observed.counters.scrape_interval_s, think=_text(chosen.think))
    findings = [verdict.finding, *source_findings(observed), *level_findings(levels, _text(chosen.think)), *absent]
    recording = Recording(
        deployment=stated,
        steps=tuple(level.step for level in levels),
        requests=empty_table(REQUEST_COLUMNS),
        gauges=_whole_gauges(gauges),
        manifest=_manifest(_Import(server, queries, (start_s, end_s), chosen), observed, verdict, findings, left_out),
        latency_bins=_all_bins(levels),
    )
    _keep_sources(folder, fetched, queries)
    return write_recording(folder, with_trust(recording))


@dataclass(frozen=True)
class _Import:
    """What was asked for."""

    server: PrometheusServer
    query_map: QueryMap
    range_s: tuple[float, float]
    options: ImportOptions

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "prometheus", "url": self.server.url, "from_epoch_s": self.range_s[0],
            "to_epoch_s": self.range_s[1], "query_map": self.query_map.to_dict(), "levels": self.options.levels,
        }  # fmt: skip


def _range(range_s: tuple[float, float]) -> tuple[float, float]:
    start_s, end_s = (finite(name, value) for name, value in zip(("from", "to"), range_s, strict=True))
    if not 0 <= start_s < end_s:
        raise InputError(
            f"The range runs from {start_s:.3f} to {end_s:.3f} (seconds since 1970); it must end after it begins."
        )
    return start_s, end_s


def _text(think: Distribution | None) -> str:
    return "" if think is None else think.text()


def _settle_outcome(observed: Observed) -> Observed:
    """Bins without outcomes that hold as many requests as were served, and not all, hold the served ones."""
    histogram = observed.histogram
    served = float(observed.outcomes.get("served", np.zeros(1)).sum())
    if histogram is None or ANY_OUTCOME not in histogram.outcome:
        return observed
    counted, requests = float(histogram.gained.sum()), float(observed.requests.sum())
    if abs(counted - requests) <= COVERED * requests or abs(counted - served) > COVERED * served:
        return observed
    return replace(observed, histogram=replace(histogram, outcome=("served",) * len(histogram.outcome)))


def _levels(
    observed: Observed, gauges: pd.DataFrame, origin_s: float, options: ImportOptions
) -> tuple[tuple[Level, ...], list[dict[str, Any]]]:
    counters = observed.counters
    stretches = find_stretches(observed.requests, counters.length_s, counters.is_usable)
    kept = choose_levels(stretches, counters.length_s, options.levels)
    left_out = [_left_out(item, counters.time_s - origin_s) for item in stretches if item not in kept]
    if not kept:
        reasons = "\n".join(
            f"  - {item['start_s']:.0f} to {item['end_s']:.0f} s: {item['reason']}" for item in left_out
        )
        raise InputError(
            f"The range has no stretch of steady load:\n{reasons or '  - no requests'}\nChoose a longer range, or one "
            "with steadier traffic."
        )
    think_s = None if options.think is None else options.think.mean_s
    how = LevelOptions(origin_s, think_s, _text(options.think), options.seed)
    return tuple(level_of(place, item, observed, gauges, how) for place, item in enumerate(kept, start=1)), left_out


def _left_out(stretch: Stretch, times: Any) -> dict[str, Any]:
    return {
        "start_s": float(times[stretch.first]), "end_s": float(times[stretch.end]), "rate_rps": stretch.rate_rps,
        "reason": stretch.reason or "a longer stretch of the same band of rate is kept",
    }  # fmt: skip


def _all_bins(levels: tuple[Level, ...]) -> pd.DataFrame:
    parts = [level.bins for level in levels if len(level.bins)]
    return pd.concat(parts, ignore_index=True) if parts else empty_table(LATENCY_BIN_COLUMNS)


def _whole_gauges(gauges: pd.DataFrame) -> pd.DataFrame:
    """With the columns that every gauges table has: the map's gauges of the same meaning, else NaN."""
    same = {
        "active_connections": IN_FLIGHT, "process_cpu_s": "cpu_seconds", "process_resident_bytes": "resident_bytes",
    }  # fmt: skip
    missing = [name for name in GAUGE_COLUMNS if name not in gauges]
    filled = {name: gauges[same[name]] if same.get(name) in gauges else np.nan for name in missing}
    return gauges.assign(**filled)[[*GAUGE_COLUMNS, *(name for name in gauges if name not in GAUGE_COLUMNS)]]


def _manifest(
    asked: _Import,
    observed: Observed,
    verdict: Identifiability,
    findings: list[Finding],
    left_out: list[dict[str, Any]],
) -> dict[str, Any]:
    counters = observed.counters
    order = ("critical", "warning", "info")
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": asked.server.url,
        "source": {
            **asked.to_dict(), "target": observed.target, "scrape_interval_s": counters.scrape_interval_s,
            "scrapes": len(counters.time_s), "restarts": int(counters.is_restart.sum()),
        },
        "seed": asked.options.seed,
        "clock": {"origin_epoch_s": asked.range_s[0]},
        "totals": {name: int(gained.sum()) for name, gained in observed.outcomes.items()},
        "left_out_stretches": left_out,
        "identifiability": verdict.to_dict(),
        "findings": [item.to_dict() for item in sorted(findings, key=lambda item: order.index(item.severity))],
    }  # fmt: skip


def _keep_sources(folder: Path, fetched: Fetched, query_map: QueryMap) -> None:
    """The raw samples and the query map, so that the import can be checked without the server."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    write_json(folder / FOLDER / QUERY_MAP, query_map.to_dict())
    named = {name: getattr(fetched, name) for name in asdict(Fetched(()))}
    parts = [_samples(name, item) for name, series in named.items() for item in series]
    with replacing(folder / FOLDER / SAMPLES) as partial:
        pd.concat(parts, ignore_index=True).to_parquet(partial, engine="pyarrow", compression="zstd", index=False)


def _samples(name: str, series: Series) -> pd.DataFrame:
    labels = to_json(dict(sorted(series.labels.items()))).replace("\n", "")
    return pd.DataFrame({"series": name, "labels": labels, "epoch_s": series.time_s, "value": series.value})
