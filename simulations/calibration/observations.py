"""What a recording offers to a fit: a vector of statistics a step, from single requests or from groups of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from loadtests.estimation.binned_latency import spread_quantile
from loadtests.foundation.distributions import EMPIRICAL_QUANTILES, Distribution, Empirical, parse_distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity
from loadtests.recording import LoadStep, Recording
from simulations.analysis.load_levels import SteadyWorkload
from simulations.calibration.binned_steps import bins_of, look_at_bins, mix_of_bins
from simulations.calibration.model_form import Mix
from simulations.calibration.request_classes import FEWEST_OF_CLASS, REST, class_mix
from simulations.calibration.step_view import (
    ALL,
    FEWEST_SERVED,
    Answers,
    GroupView,
    StepView,
    levels_for,
)
from simulations.calibration.valid_range import RATE, USERS
from simulations.model.workload import ClosedWorkload, OpenWorkload, SessionWorkload

Floats = NDArray[np.float64]

_FEWEST_GAPS = 100
_MOST_FAILED = 0.01
_MOST_BELOW_ROUND_TRIP = 0.01
_SHORTEST_S = 1e-6
"""No request over a network is answered within this time."""


@dataclass(frozen=True)
class StepObservation:
    """One step as the fit sees it.

    Parameters
    ----------
    step : int
    workload : ClosedWorkload, OpenWorkload or SessionWorkload
        Users and visitors think as measured where they are known, else as stated.
    window_s : float
    view : StepView
    values : array, shape (len(view.names),)
        Measured statistics; NaN where there is too little to tell.
    rounding : array, shape (len(view.names),)
        Standard errors of what is only known in groups.
    """

    step: int
    workload: SteadyWorkload
    window_s: float
    view: StepView
    values: Floats
    rounding: Floats

    @property
    def load(self) -> float:
        """Users, or requests per second of an open load or of sessions."""
        return self.workload.users if isinstance(self.workload, ClosedWorkload) else self.workload.arrival_rate_rps

    @property
    def unit(self) -> str:
        """Of the load."""
        return USERS if isinstance(self.workload, ClosedWorkload) else RATE

    @property
    def load_text(self) -> str:
        """For people."""
        return f"{self.load:,.4g} {self.unit}"

    def value(self, name: str) -> float:
        """The statistic of this name; NaN where the view has none."""
        names = self.view.names
        return float(self.values[names.index(name)]) if name in names else math.nan

    @property
    def goodput_rps(self) -> float:
        """Served requests per second."""
        return math.exp(self.value("goodput"))

    @property
    def bad_share(self) -> float:
        """Share of requests without a good answer."""
        return self.value("bad_share")

    @property
    def mean_s(self) -> float:
        """Mean residence time of served requests, over all classes by their measured numbers."""
        return float(np.exp(self.value("mean"))) if "mean" in self.view.names else math.nan


def observe(recording: Recording, mix: Mix | None = None) -> tuple[StepObservation, ...]:
    """One observation a step, in ascending order of load.

    Parameters
    ----------
    recording : Recording
    mix : Mix, optional
        Classes to tell apart; default `mix_of` the recording.

    Raises
    ------
    InputError
        When a step has fewer than 50 served requests, more than 1 % of failures, or no think time can be told.
    """
    classes = mix_of(recording) if mix is None else mix
    found = [_observe_step(recording, step, classes) for step in recording.steps]
    return tuple(sorted(found, key=lambda item: (item.load, item.step)))


def mix_of(recording: Recording) -> Mix:
    """The classes of requests that every step shows often enough: at most six, at least 2 % of the requests each.

    The rest, where there is any, is one more class, ``other``. One class alone needs no name.
    """
    if recording.requests.empty:
        return mix_of_bins(recording)
    inside = pd.concat([recording.requests_in(step) for step in recording.steps])
    shares = inside["endpoint"].value_counts(normalize=True)
    fewest = pd.concat(
        [_good(recording.requests_in(step))["endpoint"].value_counts() for step in recording.steps], axis=1
    )
    return class_mix(shares, fewest.fillna(0).min(axis=1))


def light_times(recording: Recording, round_trip_s: float) -> Floats:
    """Residence times of the lightest step's served requests, less the round trip: service times where nothing waits.

    Binned ones are spread evenly over their bins. Empty where nothing is known, and where more than one in a hundred
    was answered faster than the round trip: a fit that says so explains the data badly, and what is left are no times.
    """
    lightest = min(recording.steps, key=lambda item: (item.users, item.step))
    rows = _good(recording.requests_in(lightest))
    times = (rows["finish_s"] - rows["start_s"]).to_numpy(dtype=float)
    if not times.size:
        bins = bins_of(recording, lightest)
        ranks = np.linspace(0.0, bins.total, 402)[1:-1] if bins.total else np.empty(0)
        times = np.array([spread_quantile(bins, rank) for rank in ranks])
    if times.size and np.mean(times < round_trip_s) > _MOST_BELOW_ROUND_TRIP:
        return np.empty(0)
    return np.asarray(np.maximum(times - round_trip_s, 1e-6), dtype=float)


def trust_findings(recording: Recording) -> tuple[Finding, ...]:
    """That the trust checks refused the recording, where they did: so is the model, until the data are better.

    A critical finding, not an error: a test that cannot be made again may still be looked at.
    """
    trust = recording.manifest.get("trust") or {}
    if trust.get("verdict") != "refused":
        return ()
    found = [Finding.from_dict(item) for item in trust.get("findings", ())]
    critical = [item for item in found if item.severity == "critical"]
    why = "; ".join(item.message for item in critical) or "capacity check says why."
    remedies = ("Do not plan with this model. Remove the cause, record the same steps again, and calibrate on those.",
                *(item.remedy for item in critical))  # fmt: skip
    return (
        Finding(
            "recording-refused", "critical",
            f"This model is refused: the trust checks refuse the recording that it was made from. {why}",
            " ".join(filter(None, dict.fromkeys(remedies))), {"checks": [item.code for item in critical]},
        ),
    )  # fmt: skip


def failure_findings(recording: Recording) -> tuple[Finding, ...]:
    """Requests that were neither served nor shed, a few of which a calibration leaves out."""
    findings = []
    for step in recording.steps:
        failures = _failures(_outcomes(recording, step))
        if failures:
            total = sum(failures.values())
            findings.append(
                Finding(
                    "failed-requests-left-out", "warning",
                    f"Step {step.step} ({step.users} users) has {total} failed requests ({_kinds(failures)}), "
                    "which the model does not explain.",
                    "Find out why they failed; the model knows only served and shed requests.",
                    {"step": step.step, "failures": failures},
                )
            )  # fmt: skip
    return tuple(findings)


def workload_of(recording: Recording, step: LoadStep) -> SteadyWorkload:
    """The load of a step: closed users, sessions, or open arrivals where only the rate is known or was scheduled.

    Parameters
    ----------
    recording : Recording
    step : LoadStep

    Returns
    -------
    ClosedWorkload, OpenWorkload or SessionWorkload
        Arrivals and sessions at the measured rate of requests.
    """
    if has_closed_users(recording, step):
        return ClosedWorkload(step.users, think_time_of(recording, step))
    rate_rps = step.requests / step.window_s
    if not recording.has_sessions:
        return OpenWorkload(rate_rps)
    length = float(recording.manifest["plan"]["pacing"]["requests_per_session"])
    return SessionWorkload(rate_rps / length, length, think_time_of(recording, step))


def has_closed_users(recording: Recording, step: LoadStep) -> bool:
    """Whether a step's load is a fixed number of users who think.

    Parameters
    ----------
    recording : Recording
    step : LoadStep

    Returns
    -------
    bool
        False where only the rate is known, requests were due on a schedule, or users came in sessions.
    """
    is_open = step.load_quantity == Quantity.IN_FLIGHT or recording.has_sessions
    return not is_open and not _is_scheduled(recording, step)


def _is_scheduled(recording: Recording, step: LoadStep) -> bool:
    """Whether the step's requests were due on a schedule, whatever became of those before."""
    rows = recording.requests_in(step)
    return "due_s" in rows and bool(rows["due_s"].notna().mean() > 0.5)


def think_time_of(recording: Recording, step: LoadStep) -> Distribution:
    """Measured gaps between a user's requests; the nominal think time where users are not known."""
    measured = _measured_think_time(recording, (step,))
    if measured is not None:
        return measured
    if step.think:
        return parse_distribution(step.think)
    raise InputError(f"Step {step.step} states no think time and its users are not known: state think for the step.")


def pooled_think_time(recording: Recording) -> Distribution:
    """The think time over all steps, for predictions at other loads."""
    closed = [step for step in recording.steps if step.load_quantity != Quantity.IN_FLIGHT]
    if not closed:
        return parse_distribution("none")
    return _measured_think_time(recording, closed) or think_time_of(recording, closed[0])


def _good(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["outcome"] == "served"]


def _outcomes(recording: Recording, step: LoadStep) -> dict[str, int]:
    """Requests by outcome: of the rows where there are any, else as the step counts them."""
    rows = recording.requests_in(step)
    if rows.empty:
        return step.outcomes
    return {str(name): int(count) for name, count in rows["outcome"].value_counts().items()}


def _failures(outcomes: dict[str, int]) -> dict[str, int]:
    """Requests by outcome, without served and shed ones."""
    return {str(name): int(count) for name, count in outcomes.items() if name not in ("served", "shed") and count}


def _kinds(failures: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in failures.items())


def _refuse_failures(step: LoadStep, outcomes: dict[str, int]) -> None:
    """Refuse a step whose failures would bias what is left: a timeout is a slow request that nobody saw the end of."""
    failures = _failures(outcomes)
    share = sum(failures.values()) / max(sum(outcomes.values()), 1)
    if share > _MOST_FAILED:
        raise InputError(
            f"In step {step.step} ({step.users} users) {share:.1%} of the requests failed ({_kinds(failures)}); a "
            f"calibration takes at most {_MOST_FAILED:.0%}, since it knows only served and shed (503) requests. "
            "Mend the cause and record again, or leave the step out (--steps)."
        )


def _refuse_too_few(step: LoadStep, outcomes: dict[str, int]) -> None:
    served, shed = outcomes.get("served", 0), outcomes.get("shed", 0)
    if served >= FEWEST_SERVED:
        return
    remedy = "Record longer, or leave the step out (--steps)."
    if shed > served:
        remedy = (
            f"{shed} were shed. A longer recording would not help where nearly all are: lower the load until most "
            "requests are served, or look at why the server turns them away."
        )
    raise InputError(
        f"Step {step.step} ({step.users} users) has {served} served requests in its steady window; calibration "
        f"needs at least {FEWEST_SERVED}. {remedy}"
    )


def _refuse_no_times(step: LoadStep, served_s: Floats) -> None:
    """Refuse residence times of nothing: no server answers that fast, so they were not measured."""
    if float(np.median(served_s)) < _SHORTEST_S:
        raise InputError(
            f"In step {step.step} ({step.users} users) at least half of the served requests took {_SHORTEST_S:g} s or "
            "less: their times were not measured, or rounded away. Record with start and finish times to a tenth "
            "of a millisecond or better, in seconds."
        )


def _observe_step(recording: Recording, step: LoadStep, mix: Mix) -> StepObservation:
    outcome = _outcomes(recording, step)
    _refuse_failures(step, outcome)
    rows = recording.requests_in(step)
    if rows.empty:
        return _observe_bins(recording, step, mix)
    counted = rows[rows["outcome"].isin(["served", "shed"])]
    _refuse_too_few(step, outcome)
    answers = Answers(
        (counted["finish_s"] - counted["start_s"]).to_numpy(dtype=float),
        (counted["outcome"] == "served").to_numpy(dtype=bool), _class_numbers(counted["endpoint"], mix),
    )  # fmt: skip
    _refuse_no_times(step, answers.residence_s[answers.served])
    view = StepView(_groups(answers, mix))
    values = view.vector(answers, step.window_s)
    return StepObservation(step.step, workload_of(recording, step), step.window_s, view, values, np.zeros(len(values)))


def _class_numbers(endpoint: pd.Series, mix: Mix) -> NDArray[np.int64]:
    if not mix.names:
        return np.zeros(len(endpoint), dtype=np.int64)
    places = {name: number for number, name in enumerate(mix.names)}
    rest = places.get(REST, 0)
    return np.asarray(endpoint.map(places).fillna(rest), dtype=np.int64)


def _groups(answers: Answers, mix: Mix) -> tuple[GroupView, ...]:
    """Each class apart; all together for their mean too, which is nearly free of what single classes lack."""
    together = GroupView(ALL, levels_for(float(np.count_nonzero(answers.served))))
    if not mix.names:
        return (together,)
    counts = np.bincount(answers.group[answers.served], minlength=len(mix.names))
    apart = [
        GroupView(number, levels_for(count)) for number, count in enumerate(counts) if count >= FEWEST_OF_CLASS / 2
    ]
    return (GroupView(ALL, (0.95,) if together.levels else ()), *apart)


def _observe_bins(recording: Recording, step: LoadStep, mix: Mix) -> StepObservation:
    """A step whose requests are known in groups only."""
    _refuse_too_few(step, step.outcomes)
    found = look_at_bins(recording, step, mix)
    return StepObservation(
        step.step, workload_of(recording, step), step.window_s, found.view, found.values, found.rounding
    )


def _measured_think_time(recording: Recording, steps: Sequence[LoadStep]) -> Distribution | None:
    """Distribution of the gaps by the Kaplan-Meier estimator, which gives open gaps their due; None without users."""
    if recording.requests.empty or not (recording.requests["user_id"] >= 0).all():
        return None
    gaps = [recording.gaps(step) for step in steps]
    observed = np.concatenate([item.observed_s for item in gaps])
    if observed.size < _FEWEST_GAPS:
        return None
    censored = np.concatenate([item.censored_s for item in gaps])
    estimate = stats.ecdf(stats.CensoredData(uncensored=observed, right=censored)).cdf
    share = estimate.probabilities / estimate.probabilities[-1]
    at = np.linspace(0.0, 1.0, EMPIRICAL_QUANTILES)
    middle = share - np.diff(share, prepend=0.0) / 2
    return Empirical(tuple(np.interp(at, middle, estimate.quantiles).tolist()))
