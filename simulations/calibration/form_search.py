"""Which form of server explains a recording: shapes of service times, open limits, stages, by held-out score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.recording import Recording
from simulations.calibration.limit_search import (
    is_open,
    nudge_limits,
    open_what_does_not_show,
    search_limits,
    searched_limits,
    small_limits,
    step_limits,
    with_guessed_limits,
)
from simulations.calibration.model_form import STAGE_NAMES, Mix, ModelForm, Stage
from simulations.calibration.observations import StepObservation, light_times
from simulations.calibration.problem import COARSE, FINE, Fit, Problem
from simulations.calibration.scoring import FormScore, score
from simulations.calibration.service_shapes import NAMED, ServiceShape, measured_shape, two_part_shape
from simulations.calibration.step_view import ALL

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

_EVALUATIONS, _REFINING = 25, 10
_POOR = 1.6
"""Chi-square per degree of freedom from which a form without stages is not enough."""
_UNEXPLAINED = 2.5
"""Chi-square per degree of freedom from which cores that fit best are doubted in favour of a hidden pool: its one more
whole number can bend a line to what the shared cores of a real machine do."""
_FAR = 12.0
"""Chi-square per degree of freedom from which a start is so far off that its fit need not be brought to its end yet."""
_HALF = 0.5
_STARTS = 3
_HOPELESS = 8.0
"""Behind by so much of the held-out score, a shape is not refined."""
_UNTOLD = 10.0
"""Chi-squares of starts that differ by less, under the noise of a fit that may be poor."""
_FEWEST_FOR_TEMPLATE = 300
_DEVIATIONS = 4.0
_CLEARLY = 3.0
"""A stage that a good fit does not ask for has to raise the steps' joint log density by so much: odds of twenty [1]_.

References
----------
.. [1] R. E. Kass, A. E. Raftery, "Bayes factors", J. Am. Stat. Assoc. 90, 1995.
"""


@dataclass(frozen=True)
class Candidate:
    """One form at its best, and its score.

    Parameters
    ----------
    fit : Fit
    score : FormScore
    unseen : tuple of str
        Limits that nobody stated and that the recording does not show.
    """

    fit: Fit
    score: FormScore
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class FormSearch:
    """What is searched: a recording's observations under what its deployment states.

    Parameters
    ----------
    recording : Recording
    observations : tuple of StepObservation
    mix : Mix
    stated : Deployment
    rejection_time_s : float or None
        As measured.
    seed : int
    report : callable
        Told the share done (0..1) and what is being done.
    """

    recording: Recording
    observations: tuple[StepObservation, ...]
    mix: Mix
    stated: Deployment
    rejection_time_s: float | None
    seed: int
    report: Progress

    def run(self) -> tuple[Problem, list[Candidate]]:
        """The problem with its final noise, and the candidates, best first."""
        problem, candidates = self.without_stages()
        plain = max(range(len(candidates)), key=lambda place: _rank(candidates[place]))
        for number, stage in enumerate(self._stages(candidates[plain])):
            self.report(0.5 + 0.15 * number, f"fitting a {stage} stage")
            problem, candidates = self._with_stage(problem, candidates, plain, stage)
            if max(candidates, key=_rank).score.ratio < (_POOR if self._tells_pools else _UNEXPLAINED):
                break
        return problem, self._in_order(candidates, candidates[plain])

    def without_stages(self) -> tuple[Problem, list[Candidate]]:
        """The problem with the noise of the best form without a stage, and such forms, one of each shape."""
        problem, first = self._preliminary()
        candidates = [self._of_shape(problem, first, shape) for shape in self._shapes(first)]
        return self._judged_again(problem, candidates)

    def _with_stage(
        self, problem: Problem, candidates: list[Candidate], plain: int, stage: Stage
    ) -> tuple[Problem, list[Candidate]]:
        """More candidates, those with a stage; the noise of the best of them, and other shapes of it, where it leads.

        Whether it explains the data shows under its own noise only: that of a form without the stage it needs is
        the noise of another server.
        """
        with_stage = self._of_stage(problem, candidates[plain], stage)
        leads = _rank(max(with_stage, key=_rank)) > max(map(_rank, candidates))
        candidates = [*candidates, *with_stage]
        if not leads:
            return problem, candidates
        problem, candidates = self._judged_again(problem, candidates)
        found = max(candidates, key=_rank)
        others = [self._of_shape(problem, found.fit, shape) for shape in self._other_shapes(found)]
        return problem, [*candidates, *others]

    def _in_order(self, candidates: list[Candidate], plain: Candidate) -> list[Candidate]:
        """Best first; the best without a stage where it explains the data and none with one is clearly better."""
        ordered = sorted(candidates, key=_rank, reverse=True)
        gain = len(self.observations) * (_rank(ordered[0]) - _rank(plain))
        if plain.score.ratio > _POOR or gain >= _CLEARLY:
            return ordered
        return [plain, *(item for item in ordered if item is not plain)]

    def _judged_again(self, problem: Problem, candidates: list[Candidate]) -> tuple[Problem, list[Candidate]]:
        """By the noise of the best so far: that of a model which does not explain the data tells shapes apart badly.

        Those that are far behind are not refined, but scored by the same noise: only then may scores be compared.
        """
        best = max(candidates, key=_rank)
        problem = problem.with_noise_of(best.fit, COARSE)
        is_close = [_rank(best) - _rank(item) < _HOPELESS for item in candidates]
        return problem, [
            self._refined(problem, item) if close else self._scored(problem, item)
            for item, close in zip(candidates, is_close, strict=True)
        ]

    def _scored(self, problem: Problem, candidate: Candidate) -> Candidate:
        fit = candidate.fit
        return self._candidate(problem, replace(fit, chi_square=problem.chi_square(fit.form, fit.theta)))

    def _preliminary(self) -> tuple[Problem, Fit]:
        """A lognormal fit under rough errors, limits searched; then the noise of its windows."""
        problem = Problem.of(self.observations, self.seed, COARSE)
        numbers = first_numbers(self.observations, self.mix)
        mean_s = sum(
            weight * numbers[f"service_mean_s{label}"]
            for label, weight in zip(self.mix.labels, self.mix.weights or (1.0,), strict=True)
        )
        deployment = with_guessed_limits(self.stated, self.observations, mean_s)
        form = ModelForm(deployment, ServiceShape("lognormal"), "none", self.mix, self.rejection_time_s)
        self.report(0.05, "a first fit")
        start = form.transformed(np.array([numbers[name] for name in form.names]))
        fit = problem.fit(form, start, _EVALUATIONS)
        fit = search_limits(problem, fit, searched_limits(self.stated, form))
        return problem.with_noise_of(fit), fit

    def _shapes(self, first: Fit) -> Iterator[ServiceShape]:
        yield from (ServiceShape(name) for name in NAMED)
        if self.mix.names:
            return
        times = light_times(self.recording, first.model.network_round_trip_s)
        if times.size >= _FEWEST_FOR_TEMPLATE:
            yield measured_shape(times)
            two = two_part_shape(times)
            if two is not None:
                yield two

    @staticmethod
    def _other_shapes(found: Candidate) -> Iterator[ServiceShape]:
        return (ServiceShape(name) for name in NAMED if name != found.fit.form.shape.name)

    def _of_shape(self, problem: Problem, first: Fit, shape: ServiceShape) -> Candidate:
        self.report(0.2 + 0.04 * len(shape.name) / 10, f"fitting {shape.name} service times")
        form = replace(first.form, shape=shape)
        ratio = problem.chi_square(form, first.theta) / max(problem.used - first.theta.size, 1)
        fit = problem.fit(form, first.theta, _EVALUATIONS if ratio < _FAR else _REFINING)
        return self._candidate(problem, fit)

    def _candidate(self, problem: Problem, fit: Fit) -> Candidate:
        names = searched_limits(self.stated, fit.form)
        extra = len(names) + fit.form.shape.parameters
        return Candidate(fit, score(problem, fit, extra), ())

    def _refined(self, problem: Problem, candidate: Candidate) -> Candidate:
        """At its own best limits: those of another shape would speak for shapes that can be bent to them."""
        fit = problem.fit(candidate.fit.form, candidate.fit.theta, _REFINING)
        names = searched_limits(self.stated, fit.form)
        return self._candidate(problem, nudge_limits(problem, step_limits(problem, fit, names), names))

    @property
    def _tells_pools(self) -> bool:
        """Whether a pool can show in anything but the line: by a stated size, or by classes that do without it."""
        return self.stated.db_pool is not None or bool(self.mix.names)

    def _stages(self, best: Candidate) -> tuple[Stage, ...]:
        """Stages worth a try: what the deployment states, and what a poor fit asks for.

        A pool that nobody stated comes last where there is one class, and not at all beside stated cores: these are
        told by how service slows down, a pool by its line only, which workers have too.
        """
        stated, is_poor = self.stated, best.score.ratio > _POOR
        has_pool = isinstance(stated.db_pool, int)
        has_cores = isinstance(stated.cpu_cores, int | float)
        may_have_pool = is_poor and stated.db_pool is None and (bool(self.mix.names) or not has_cores)
        found: list[Stage] = ["cores"] if is_poor else []
        if (has_pool and (is_poor or self._pool_may_bind())) or (may_have_pool and self._tells_pools):
            return ("database", *found)
        return (*found, "database") if may_have_pool else tuple(found)

    def _pool_may_bind(self) -> bool:
        """Whether requests can have waited for a connection of the stated pool.

        They cannot where no more workers than connections are stated, or where never as many requests were inside
        as there are connections: about the mean number by Little's law, and four deviations of a Poisson count.
        """
        pool, workers = self.stated.db_pool, self.stated.workers
        if not isinstance(pool, int) or (isinstance(workers, int) and workers <= pool):
            return False
        inside = [item.goodput_rps * item.mean_s for item in self.observations if math.isfinite(item.mean_s)]
        most = max(inside, default=math.inf)
        return most + _DEVIATIONS * math.sqrt(most) > pool

    def _of_stage(self, problem: Problem, best: Candidate, stage: Stage) -> list[Candidate]:
        """From the lightest step's times; a poor fit has bent its numbers to what it cannot explain.

        The noise of a poor fit is wide: starts that it cannot tell apart stay, to be judged by that of a better one.
        """
        light = first_numbers(self.observations, self.mix)
        form = replace(best.fit.form, stage=stage, shape=ServiceShape("lognormal"))
        forms = [
            replace(form, deployment=item, without_stage=free)
            for item in self._deployments(best.fit, stage)
            for free in self._classes_without(stage)
        ]
        starts = [(form, _with_shares(light, form, self._share(form, light))) for form in forms]
        starts.sort(key=lambda item: problem.chi_square(*item))
        fits = [problem.fit(form, theta, _REFINING) for form, theta in starts[:_STARTS]]
        least = min(fit.chi_square for fit in fits)
        return [self._at_its_limits(problem, fit) for fit in fits if fit.chi_square <= least + _UNTOLD]

    def _at_its_limits(self, problem: Problem, fit: Fit) -> Candidate:
        fit = search_limits(problem, fit, searched_limits(self.stated, fit.form))
        return self._candidate(problem, problem.fit(fit.form, fit.theta, _REFINING))

    def _share(self, form: ModelForm, light: dict[str, float]) -> float:
        """Of the time that holds a worker, so much in the stage that the most throughput would just fill it."""
        weights = dict(zip(self.mix.labels, self.mix.weights or (1.0,), strict=True))
        held_s = sum(weights[label] * light[f"service_mean_s{label}"] for label in form.staged)
        limit = form.deployment.db_pool if form.stage == "database" else form.deployment.cpu_cores
        most_rps = max(item.goodput_rps for item in self.observations)
        if not isinstance(limit, int | float):
            return _HALF
        return float(np.clip(limit / most_rps / held_s, 0.05, 0.95))

    def _classes_without(self, stage: Stage) -> list[tuple[str, ...]]:
        """Which classes may skip a database: none, the one that slows down least under load, the two, and so on."""
        if stage != "database" or not self.mix.names:
            return [()]
        lightest, heaviest = self.observations[0], self.observations[-1]
        means_s = [[np.exp(_typical(item, n)) for item in (lightest, heaviest)] for n in range(len(self.mix.names))]
        rise = [heavy_s - light_s for light_s, heavy_s in means_s]
        order = [self.mix.labels[place] for place in np.argsort(np.nan_to_num(rise, nan=np.inf))]
        return [tuple(sorted(order[:count])) for count in range(len(order))]

    def _deployments(self, best: Fit, stage: Stage) -> Iterator[Deployment]:
        """Where the search of a stage's own limit begins; workers that nobody stated may then be without limit."""
        own = best.form.deployment
        if self.stated.workers is None:
            own = own.with_limits(workers=UNLIMITED)
        if stage == "database" and self.stated.db_pool is None:
            busy = max(item.goodput_rps for item in self.observations) * best.model.mean_service_s
            yield from (own.with_limits(db_pool=max(1, round(share * busy))) for share in (0.3, 0.8))
        elif stage == "cores" and self.stated.cpu_cores is None:
            yield from (own.with_limits(cpu_cores=float(count)) for count in (1, 2, 4))
        else:
            yield own


def settle(problem: Problem, candidate: Candidate, stated: Deployment) -> tuple[Problem, Candidate]:
    """Open the limits that do not show, then refine everything with longer simulations and their noise.

    Parameters
    ----------
    problem : Problem
    candidate : Candidate
    stated : Deployment

    Returns
    -------
    Problem, Candidate
        The finer problem too.
    """
    fit = candidate.fit
    if fit.form.stage == "none":
        fit, unseen = open_what_does_not_show(problem, fit, stated)
    else:
        unseen = tuple(
            name
            for name in ("workers", "gate_limit")
            if is_open(stated, name) and getattr(fit.form.deployment, name) in (None, UNLIMITED)
        )
    fine = problem.with_noise_of(fit, FINE, is_last=True)
    fit = fine.fit(fit.form, fit.theta, _EVALUATIONS)
    names = searched_limits(stated, fit.form)
    fit = step_limits(fine, fit, names)
    fit = nudge_limits(fine, fit, small_limits(fit, names))
    return fine, Candidate(fit, score(fine, fit, len(names) + fit.form.shape.parameters), unseen)


def first_numbers(observations: tuple[StepObservation, ...], mix: Mix) -> dict[str, float]:
    """Lightest step: nearly all of the mean is service, a fiftieth network; the cv from two quantiles.

    Parameters
    ----------
    observations : tuple of StepObservation
    mix : Mix

    Returns
    -------
    dict of str to float
        Numbers by name.
    """
    lightest = observations[0]
    numbers: dict[str, float] = {}
    for number, label in enumerate(mix.labels):
        mean_s = math.exp(_typical(lightest, number) if mix.names else _known(lightest, "mean"))
        numbers[f"service_mean_s{label}"] = 0.98 * mean_s
        numbers[f"service_cv{label}"] = _first_cv(lightest, number if mix.names else ALL)
    numbers["network_round_trip_s"] = 0.02 * min(value for name, value in numbers.items() if "mean" in name)
    return numbers


def _known(observation: StepObservation, *names: str) -> float:
    found = (observation.value(name) for name in (*names, *observation.view.names[2:]))
    return next(value for value in found if math.isfinite(value))


def _typical(observation: StepObservation, number: int) -> float:
    """Logarithm of a class's mean, where that is not known of its lowest quantile that is, else of all classes'."""
    own = [name for name in observation.view.names if name.endswith(f"[{number}]")]
    return _known(observation, f"mean[{number}]", *own, "mean")


def _first_cv(observation: StepObservation, number: int) -> float:
    """Of a lognormal with the spread between the first and the last quantile that the step shows."""
    group = next((item for item in observation.view.groups if item.number == number), None)
    if group is None or len(group.levels) < 2:
        return 0.7
    suffix = "" if number == ALL else f"[{number}]"
    levels = (group.levels[0], group.levels[-1])
    low, high = (observation.value(f"q{level:.4f}{suffix}") for level in levels)
    from scipy import special

    sigma = (high - low) / float(special.ndtri(levels[1]) - special.ndtri(levels[0]))
    return float(np.clip(math.sqrt(math.expm1(min(sigma, 1.5) ** 2)), 0.05, 3.0))


def _with_shares(numbers: dict[str, float], form: ModelForm, share: float) -> Floats:
    """So much of the time spent in the form's stage, the rest beside it."""
    found = dict(numbers)
    for label in form.staged:
        total_s = numbers[f"service_mean_s{label}"]
        found[f"service_mean_s{label}"] = (1 - share) * total_s
        found[f"{STAGE_NAMES[form.stage]}{label}"] = share * total_s
    return form.transformed(np.array([found[name] for name in form.names]))


def _rank(candidate: Candidate) -> float:
    return candidate.score.held_out_score
