"""What a reader of a prediction must know: how far it goes beyond what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadtests.foundation.findings import Finding
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.run_length import offered_rate_rps
from simulations.calibration.check_rules import COHERENCY
from simulations.calibration.result import CalibrationResult
from simulations.calibration.standing import standing_findings
from simulations.calibration.valid_range import RATE, USERS
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

_FAR = 1.5
_FLEET_CAVEAT_FROM = 2


def prediction_findings(
    fit: CalibrationResult, model: ServerModel, workload: SteadyWorkload, fleet: Fleet, *, changed: tuple[str, ...]
) -> tuple[Finding, ...]:
    """What the calibration says of its model, load beyond its steps, limits that were changed or are not known."""
    return (
        *standing_findings(fit), *_beyond_measured(fit, model, workload, fleet),
        *_without_steady_state(model, workload, fleet), *_changed_limits(fit, model, changed), *_fleet(fleet),
        *model.findings,
    )  # fmt: skip


def _beyond_measured(
    fit: CalibrationResult, model: ServerModel, workload: SteadyWorkload, fleet: Fleet
) -> Iterator[Finding]:
    if isinstance(workload, ClosedWorkload):
        asked, unit = workload.users / fleet.instances, USERS
        measured = fit.heaviest_users(workload.think_time)
    else:
        asked, unit = offered_rate_rps(model, workload) / fleet.instances, RATE
        measured = fit.valid_range.highest_rps
    if asked <= measured:
        return
    unseen = [name for name in ("workers", "gate_limit") if fit.identified.get(name) is False]
    loses = any(item.code == COHERENCY.code for item in fit.findings)
    far = asked > _FAR * measured or bool(unseen) or loses
    told = f" The recording does not tell {' and '.join(unseen)}, which may stop such a load." if unseen else ""
    if loses:
        told += " The server loses throughput with load, which the model does not show: it is too hopeful here."
    yield Finding(
        "beyond-calibrated-range", "warning" if far else "info",
        f"An instance gets {asked:,.4g} {unit}; the heaviest calibrated step had {measured:,.4g}.{told}",
        f"Record a step with about this load before relying on the prediction, or predict at most {measured:,.4g}.",
        {"asked": asked, "measured": measured, "unit": unit},
    )  # fmt: skip


def _without_steady_state(model: ServerModel, workload: SteadyWorkload, fleet: Fleet) -> Iterator[Finding]:
    if isinstance(workload, ClosedWorkload):
        return
    rate_rps, top_rps = offered_rate_rps(model, workload), fleet.instances * model.saturation_rps
    if rate_rps > top_rps and model.limits.most_in_flight == float("inf"):
        yield Finding(
            "no-steady-state", "warning",
            f"{rate_rps:,.4g} requests arrive a second, more than the {top_rps:,.4g} that can be served, and nothing "
            "bounds the line: the numbers are those of the first seconds after the start.",
            "Lower the rate, or state a gate or a queue capacity.", {"rate_rps": rate_rps, "saturation_rps": top_rps},
        )  # fmt: skip


def _changed_limits(fit: CalibrationResult, model: ServerModel, changed: tuple[str, ...]) -> Iterator[Finding]:
    """What one recording cannot tell of a change, and the second one that would: as far beyond what is full then."""
    if changed:
        before_rps, after_rps = fit.model.saturation_rps, model.saturation_rps
        more = max(after_rps / before_rps, 1.0) if math.isfinite(before_rps) and math.isfinite(after_rps) else 1.0
        users = math.ceil(more * fit.heaviest_users())
        yield Finding(
            "times-taken-as-measured", "info",
            f"The deployment states {', '.join(changed)}; the other limits and all times are those of the calibration. "
            "On a real machine more workers share the same cores and database, so this is an upper bound.",
            f"Make the change ({', '.join(changed)}) on a test instance and record a light step there and one of "
            f"about {users:,} users, which fills it; a model of these tells what the change does to times.",
            {"stated": list(changed), "record_users": users},
        )  # fmt: skip


def _fleet(fleet: Fleet) -> Iterator[Finding]:
    if fleet.instances >= _FLEET_CAVEAT_FROM:
        yield Finding(
            "instances-taken-as-alike", "info",
            f"All {fleet.instances} instances are as the calibrated one; nothing that they may share (a database, a "
            "network) is in the model.",
            "Measure the shared parts at this load.", {"instances": fleet.instances},
        )  # fmt: skip
