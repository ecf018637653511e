"""All trust checks in one tuple, and the report that they add up to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loadtests.estimation.steady_state import step_findings
from loadtests.foundation.findings import Finding
from loadtests.recording import Recording
from loadtests.trust import (
    censoring,
    clocks,
    load_generator,
    operational_laws,
    outcomes,
    samples,
    spawning,
    stalls,
    stationarity,
    workers,
)
from loadtests.trust.check import Check, NotApplicable
from loadtests.trust.report import CheckResult, TrustReport

CHECKS: tuple[Check, ...] = (
    Check(operational_laws.CODE, "users against throughput x (residence + measured gap)",
          operational_laws.look_at_users),
    Check(operational_laws.NOMINAL_CODE, "users against throughput x (residence + nominal think time)",
          operational_laws.look_at_think_times),
    Check(load_generator.CODE, "the load generator's processor, event loop and file descriptors",
          load_generator.look_at_load),
    Check(load_generator.PAUSE_CODE, "times in which a load generator process stood still",
          load_generator.look_at_pauses),
    Check(spawning.CODE, "requests sent together at the front of a window after a ramp up",
          spawning.look_at_spawn_herds),
    Check(stalls.CODE, "periods without an answer against the server's own rate", stalls.look_at_stalls),
    Check(stalls.OMISSION_CODE, "percentiles with the requests that stuck users did not send",
          stalls.look_at_omissions),
    Check(stationarity.CODE, "trends of throughput and of requests inside over each window",
          stationarity.look_at_trends),
    Check(workers.ROWS_CODE, "rows against users' numbered requests and the load generator's total",
          workers.look_at_lost_rows),
    Check(workers.DOUBLED_CODE, "requests that are there twice", workers.look_at_doubled_rows),
    Check(workers.WORKER_CODE, "load generator processes that fell silent", workers.look_at_lost_workers),
    Check(clocks.CODE, "wall clock against monotonic clock, and the order of each user's times",
          clocks.look_at_clocks),
    Check(samples.CODE, "served requests beyond each percentile", samples.look_at_sample_sizes),
    Check(outcomes.LIMIT_CODE, "answers 429", outcomes.look_at_rate_limits),
    Check(outcomes.CLIENT_CODE, "endpoints that answer 4xx", outcomes.look_at_client_errors),
    Check(outcomes.FAILED_CODE, "requests that failed in other ways", outcomes.look_at_failures),
    Check(outcomes.GATE_CODE, "whether any request was turned away", outcomes.look_at_the_gate),
    Check(censoring.CODE, "users still waiting when the recording ended", censoring.look_at_the_end),
)  # fmt: skip


def check_recording(recording: Recording) -> TrustReport:
    """Judge whether a recording can be believed.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    TrustReport
        With what every check did; the findings that whoever made the recording stated
        (``manifest["findings"]``) and those of its steps' intervals count too.
    """
    looked = [(check, check.look(recording)) for check in CHECKS]
    stated = tuple(Finding.from_dict(item) for item in recording.manifest.get("findings", []))
    found = tuple(item for _, seen in looked if not isinstance(seen, NotApplicable) for item in seen)
    return TrustReport(
        stated + step_findings(recording.steps) + found, tuple(_result(check, seen) for check, seen in looked)
    )


def _result(check: Check, seen: Any) -> CheckResult:
    if isinstance(seen, NotApplicable):
        return CheckResult(check.code, check.looks_at, "not-applicable", seen.why)
    fired = [item for item in seen if item.severity != "info"]
    why = " ".join(item.message for item in fired or seen)
    return CheckResult(check.code, check.looks_at, "fired" if fired else "ok", why)


def with_trust(recording: Recording) -> Recording:
    """The recording with its trust report in the manifest, as it is stored.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Recording
        ``manifest["trust"]`` is `TrustReport.to_dict`.
    """
    return replace(recording, manifest={**recording.manifest, "trust": check_recording(recording).to_dict()})
