"""Checks of what is claimed for one instance, by the operational laws.

References
----------
.. [1] P. J. Denning, J. P. Buzen, The Operational Analysis of Queueing Network Models,
       ACM Computing Surveys 10 (3), 1978: utilization law U = X S, Little's law L = X R,
       response-time law R = N / X - Z.
"""

from __future__ import annotations

from collections.abc import Iterator

from capacity.demand.wording import amount, percent
from capacity.planning.facts import PlanFacts
from capacity.thresholds.bands import Level
from capacity.thresholds.metrics import Metric
from capacity.thresholds.reach import UnreachableThreshold, unreachable
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity, format_duration

_SHARE_WITHIN_P95 = 0.95


def check_littles_law(facts: PlanFacts) -> Iterator[Finding]:
    """Compare normal capacity and throughput target with the P95 target, by L = X R [1]_."""
    rate = facts.policy.targets.rps_per_instance
    if rate is None or facts.basis.quantity in (Quantity.RPS, Quantity.CONNECTIONS):
        return
    residence_s = float(facts.basis.normal) / rate
    if facts.basis.quantity == Quantity.USERS:
        yield _users_cycle(facts, rate, residence_s)
        return
    p95_s = facts.policy.targets.p95_s
    if p95_s is not None and residence_s > p95_s:
        yield _implausible(facts, rate, residence_s, p95_s)


def _users_cycle(facts: PlanFacts, rate: float, cycle_s: float) -> Finding:
    normal = facts.basis.normal
    return Finding(
        "littles-law", "info",
        f"{amount(normal)} users make {amount(rate)} requests/s only if each needs {format_duration(cycle_s)} from "
        f"request to request: with a mean residence time R the think time must be {format_duration(cycle_s)} - R.",
        "Check the think time against what real users do.",
        {"users": plain(normal), "throughput_rps": rate, "cycle_s": plain(cycle_s)},
    )  # fmt: skip


def _implausible(facts: PlanFacts, rate: float, residence_s: float, p95_s: float) -> Finding:
    """Mean R with 95 % of requests at most at P95: the rest average at least (R - 0.95 P95) / 0.05."""
    slowest_s = (residence_s - _SHARE_WITHIN_P95 * p95_s) / (1 - _SHARE_WITHIN_P95)
    normal = facts.basis.normal
    read_as = " ccu read as" if facts.basis.quantity == Quantity.CCU else ""
    users = (
        f" If {amount(normal)} counts users instead, their think time must be {format_duration(residence_s)} - R."
        if facts.basis.quantity == Quantity.CCU else ""
    )  # fmt: skip
    return Finding(
        "littles-law", "warning",
        f"{amount(normal)}{read_as} requests in flight at {amount(rate)} requests/s need a mean residence time of "
        f"{format_duration(residence_s)}, above the P95 target of {format_duration(p95_s)}: not impossible but "
        f"implausible, the slowest 5 % would have to average {format_duration(slowest_s)} or more.{users}",
        "Measure the residence time at normal load, or say what the capacity counts.",
        {
            "in_flight": plain(normal), "throughput_rps": rate, "p95_s": p95_s,
            "residence_time_s": plain(residence_s), "slowest_5_percent_mean_s": plain(slowest_s),
        },
    )  # fmt: skip


def check_utilization_base(facts: PlanFacts) -> Iterator[Finding]:
    """Name both bases of a utilization where normal and maximum capacity differ."""
    basis, today = facts.basis, facts.steps[0]
    if basis.maximum == basis.normal:
        return
    of_normal, of_max = (plain(today.peak / float(base)) for base in (basis.normal, basis.maximum))
    yield Finding(
        "utilization-base", "info",
        f"{amount(today.peak)} on one instance is {percent(of_normal)} of its normal capacity ({amount(basis.normal)}) "
        f"and {percent(of_max)} of its maximum ({amount(basis.maximum)}).",
        "Say which base a utilization has; the server's own readiness figure divides by normal capacity.",
        {
            "peak": today.peak, "normal": plain(basis.normal), "max": plain(basis.maximum),
            "utilization_normal": of_normal, "utilization_max": of_max,
        },
    )  # fmt: skip


def check_unreachable_thresholds(facts: PlanFacts) -> Iterator[Finding]:
    """Report thresholds that the deployment's limits keep the metric from reaching, metric by metric."""
    deployment, profiles = facts.policy.deployment, facts.policy.thresholds
    if deployment is None or profiles is None:
        return
    silent = [item for profile in profiles.with_thresholds() for item in unreachable(profile, deployment)]
    for metric in dict.fromkeys(item.threshold.metric for item in silent):
        yield _unreachable([item for item in silent if item.threshold.metric == metric])


def _unreachable(silent: list[UnreachableThreshold]) -> Finding:
    """All thresholds of one metric, over the profiles."""
    metric, reach = silent[0].threshold.metric, silent[0].reach
    listed = ", ".join(
        f"{item.threshold.profile} {item.threshold.meaning} at {item.threshold.value:g}" for item in silent
    )
    return Finding(
        "unreachable-threshold", "warning",
        f"{metric} is at most {float(reach.at_most):.4g} ({reach.because}), so these thresholds cannot be reached: "
        f"{listed}.",
        reach.remedy,
        {
            "metric": str(metric), "at_most": plain(reach.at_most),
            "thresholds": [item.to_dict() for item in silent],
        },
    )  # fmt: skip


def check_rps_bands(facts: PlanFacts) -> Iterator[Finding]:
    """Report a throughput target that is itself in the warning band."""
    rate, edges = facts.policy.targets.rps_per_instance, _daily_throughput(facts)
    warning, critical = edges.get("warning"), edges.get("critical")
    if rate is None or warning is None or rate < warning:
        return
    most = max(phase.max_instances for phase in facts.phases)
    fleet = ""
    numbers: dict[str, float] = {"target_rps": rate, "warning_rps": plain(exact("warning", warning))}
    if critical is not None:
        numbers["critical_rps"] = plain(exact("critical", critical))
        count = int(critical // rate) + 1
        if count <= most:
            fleet = f"; {count} instances on target make {amount(count * rate)}, past {amount(critical)}"
            numbers |= {"instances": count, "fleet_rps": count * rate}
    yield Finding(
        "rps-band-edge", "info",
        f"The target of {amount(rate)} requests/s per instance already reaches the warning band, which starts at "
        f"{amount(warning)}{fleet}.",
        "Read throughput bands per instance, and set the warning edge above the target.", numbers,
    )  # fmt: skip


def _daily_throughput(facts: PlanFacts) -> dict[Level, float]:
    """Edges of the daily throughput bands, where the policy has some."""
    profiles = facts.policy.thresholds
    found = [item for item in (profiles.daily.bands if profiles else ()) if item.metric is Metric.THROUGHPUT_RPS]
    return found[0].edges if found else {}


def check_vertical_step(facts: PlanFacts) -> Iterator[Finding]:
    """Report a vertical step whose claimed CCU grows more than the resources behind it."""
    changes = {change.resource: change for change in facts.policy.vertical_step}
    claim = changes.pop("max_ccu", None)
    behind = {name: change for name, change in changes.items() if claim and change.ratio < claim.ratio}
    if claim is None or not behind:
        return
    listed = ", ".join(f"{name} x{change.ratio:.3g}" for name, change in behind.items())
    yield Finding(
        "vertical-step-unsupported", "warning",
        f"The vertical step raises max_ccu from {amount(claim.before)} to {amount(claim.after)} (x{claim.ratio:.3g}), "
        f"but only {listed}: the setting allows more requests than the resources are shown to carry.",
        "Take the bigger instance's capacity from a measurement or the model, not from max_ccu.",
        {"max_ccu": [claim.before, claim.after], "ratios": {name: change.ratio for name, change in behind.items()}},
    )  # fmt: skip


def check_time_per_request(facts: PlanFacts) -> Iterator[Finding]:
    """Report the mean time that each pool leaves a request at the target: U = X S / c <= 1 gives S <= c / X [1]_."""
    rate, deployment = facts.policy.targets.rps_per_instance, facts.policy.deployment
    if rate is None:
        return
    if deployment and isinstance(deployment.db_pool, int):
        yield _time_limit("db-time-per-request", "database connections", [deployment.db_pool], rate)
    stated = [deployment.workers] if deployment else []
    stated += [int(change.before) for change in facts.policy.vertical_step if change.resource == "workers"]
    workers = list(dict.fromkeys(count for count in stated if isinstance(count, int)))
    if workers:
        yield _time_limit("worker-time-per-request", "workers", workers, rate)


def _time_limit(code: str, pool: str, sizes: list[int], rate: float) -> Finding:
    """`sizes` has more than one where the inputs state the same pool twice."""
    limits_s = [size / rate for size in sizes]
    limits = ", or ".join(f"{size:,} leave {format_duration(s)}" for size, s in zip(sizes, limits_s, strict=True))
    return Finding(
        code, "info",
        f"At {amount(rate)} requests/s a request may hold one of the {pool} only so long on average: {limits}.",
        "Compare it with the measured time; a longer one means fewer requests/s, whatever else is configured.",
        {"sizes": sizes, "throughput_rps": rate, "time_per_request_s": [plain(limit) for limit in limits_s]},
    )  # fmt: skip


def check_evidence(facts: PlanFacts) -> Iterator[Finding]:
    """Report a capacity without evidence, beyond its evidence, or uncertain enough to change a count."""
    capacity, basis = facts.capacity, facts.basis
    yield from capacity.findings
    if capacity.is_assumed:
        yield Finding(
            "assumed-capacity", "info",
            f"The capacity of an instance, {amount(basis.normal)} {capacity.quantity}, is assumed; no measurement "
            "stands behind it.",
            "Measure it with a load test, or read it off a calibrated model.", {"normal": plain(basis.normal)},
        )  # fmt: skip
    top = capacity.valid_up_to
    relied_on = _relied_on(facts)
    if top is not None and relied_on > top:
        yield Finding(
            "capacity-beyond-evidence", "warning",
            f"The plan puts up to {amount(relied_on)} {capacity.quantity} on one instance; the evidence ends at "
            f"{amount(top)}.",
            "Measure at higher load, or keep one instance below the highest measured level.",
            {"relied_on": plain(relied_on), "valid_up_to": top},
        )  # fmt: skip
    months = [step.month for step in facts.steps if any(need.at_mid != need.instances for need in step.needs)]
    if months:
        yield _uncertain_capacity(facts, months)


def _relied_on(facts: PlanFacts) -> float:
    """Largest load that the plan puts on one instance: normal capacity, or more in a vertical phase."""
    alone = [step.peak for step in facts.steps if step.phase == "vertical"]
    return max([float(facts.basis.normal_mid), *alone])


def _uncertain_capacity(facts: PlanFacts, months: list[int]) -> Finding:
    basis = facts.basis
    return Finding(
        "capacity-uncertain", "info",
        f"The plan uses the low end of the capacity, {amount(basis.normal)} of {amount(basis.normal_mid)} "
        f"({amount(basis.normal)} to {amount(basis.normal_high)}); at the central value {len(months)} of "
        f"{len(facts.steps)} months would need fewer instances.",
        "A longer measurement narrows the interval.",
        {
            "low": plain(basis.normal), "mid": plain(basis.normal_mid), "high": plain(basis.normal_high),
            "months": months,
        },
    )  # fmt: skip


SERVICE_CHECKS = (
    check_littles_law,
    check_unreachable_thresholds,
    check_vertical_step,
    check_evidence,
    check_utilization_base,
    check_rps_bands,
    check_time_per_request,
)
