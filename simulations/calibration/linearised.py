"""A fit as a straight line sees it: derivatives of what is compared by times, cvs and searched limits together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.model_form import ModelForm
from simulations.calibration.problem import Fit, Problem
from simulations.model.server_model import ServerModel

Floats = NDArray[np.float64]

STRIDE = 1.5
"""Derivatives are taken over moves of so many standard deviations to either side."""
SHORTEST = 1e-6
WIDEST = 2.0
"""Standard deviation of what numbers are proposed from where a recording does not tell them at all."""
_FIRST_STEP, _FIRST_STEP_OF_ROUND_TRIP, _FIRST_STEP_OF_LIMIT = 0.03, 0.02, 0.04
_LEAST_VARIANCE, _MOST_VARIANCE = 1e-7, 1.0
_FURTHEST, _FURTHEST_OF_SMALL = 0.5, 0.05
"""A derivative moves no time by more than this share of it, or of the lightest step's mean where that is more."""
_FURTHEST_OF_LIMIT = 0.3


@dataclass(frozen=True)
class Coordinates:
    """Numbers as the linearised fit sees them: times in units of the lightest step's mean, cv as logarithms, limits.

    Statistics change with a sum of times, so a small one that trades with a large one moves them along a straight
    line in these, but not in their logarithms.

    Parameters
    ----------
    form : ModelForm
    unit_s : float
    limits : tuple of str, optional
        Whole numbers that are searched, behind the form's own.
    """

    form: ModelForm
    unit_s: float
    limits: tuple[str, ...] = ()

    @classmethod
    def around(cls, problem: Problem, best: Fit, limits: tuple[str, ...]) -> Coordinates:
        """In the units of a recording."""
        unit_s = next((item.mean_s for item in problem.observations if math.isfinite(item.mean_s)), 0.05)
        return cls(best.form, unit_s, limits)

    @property
    def count(self) -> int:
        """Of the form's own numbers."""
        return len(self.form.names)

    @property
    def are_times(self) -> NDArray[np.bool_]:
        """By number."""
        return np.array([*("_cv" not in name for name in self.form.names), *(False for _ in self.limits)])

    @property
    def wide(self) -> Floats:
        """Inverse variances of the normal that stands in for the priors; nothing for limits."""
        return np.array([1.0 / WIDEST**2] * self.count + [0.0] * len(self.limits))

    def of(self, theta: Floats) -> Floats:
        """Of transformed numbers, under the form's own limits."""
        times = self.are_times[: self.count]
        limits = [float(getattr(self.form.deployment, name)) for name in self.limits]
        return np.concatenate([np.where(times, np.exp(theta) / self.unit_s, theta), limits])

    def theta(self, place: Floats) -> Floats:
        """Transformed numbers, within the form's bounds; places of shape (..., count or more)."""
        own, times = place[..., : self.count], self.are_times[: self.count]
        logs = np.log(np.maximum(own, SHORTEST) * self.unit_s)
        return np.clip(np.where(times, logs, own), *self.form.bounds)

    def form_at(self, place: Floats) -> ModelForm:
        """The form under the nearest whole-number limits."""
        if not self.limits:
            return self.form
        values = np.maximum(np.round(place[self.count :]), 1.0)
        whole = {
            name: float(value) if name == "cpu_cores" else int(value)
            for name, value in zip(self.limits, values, strict=True)
        }
        return self.form.with_limits(**whole)

    def model(self, place: Floats) -> ServerModel:
        """The server model at a place."""
        return self.form_at(place).model(self.theta(place))

    def inside(self, place: Floats) -> Floats:
        """The nearest place whose times are positive, and limits one or more."""
        least = np.where(self.are_times, SHORTEST, -np.inf)
        least[self.count :] = 1.0
        return np.maximum(place, least)

    def directions(self) -> Floats:
        """How limits move, one a column: a gate along with the workers, so that the room in the line stays."""
        found = np.eye(len(self.limits))
        if {"workers", "gate_limit"} <= set(self.limits):
            found[self.limits.index("gate_limit"), self.limits.index("workers")] = 1.0
        return found


def first_axes(coordinates: Coordinates, here: Floats) -> Floats:
    """Moves of one number at a time, by usual steps; a column each."""
    count = coordinates.count
    steps = np.where(coordinates.are_times, _FIRST_STEP * here, _FIRST_STEP)
    is_round_trip = np.array([name == "network_round_trip_s" for name in coordinates.form.names])
    steps[:count] = np.where(is_round_trip, np.maximum(0.3 * here[:count], _FIRST_STEP_OF_ROUND_TRIP), steps[:count])
    axes = np.diag(steps)
    whole = np.maximum(np.round(_FIRST_STEP_OF_LIMIT * here[count:]), 1.0) / STRIDE
    axes[count:, count:] = coordinates.directions() * whole
    return axes


def told_axes(coordinates: Coordinates, here: Floats, information: Floats) -> Floats:
    """Moves of about a standard deviation each, along what a first information matrix tells apart; a column each.

    A limit moves by whole numbers, and the times with it as they trade with it.
    """
    count = coordinates.count
    own = information[:count, :count] + np.diag(coordinates.wide[:count])
    values, vectors = np.linalg.eigh(information[:count, :count])
    spread = np.sqrt(np.clip(1.0 / np.maximum(values, 1e-12), _LEAST_VARIANCE, _MOST_VARIANCE))
    axes = np.zeros_like(information)
    axes[:count, :count] = vectors * spread
    moves = coordinates.directions()
    trade = -np.linalg.solve(own, information[:count, count:]) @ moves
    both = np.concatenate([trade, moves])
    curvature = np.einsum("ij,ik,kj->j", both, information, both)
    most = np.maximum(np.round(_FURTHEST_OF_LIMIT * here[count:]), 1.0)
    whole = np.clip(np.round(STRIDE / np.sqrt(np.maximum(curvature, 1e-9))), 1.0, most) / STRIDE
    axes[:count, count:], axes[count:, count:] = trade * whole, moves * whole
    return _shortened(axes, here, coordinates)


def _shortened(axes: Floats, here: Floats, coordinates: Coordinates) -> Floats:
    """The same directions, none so far that a time changes beyond what a straight line follows."""
    count = coordinates.count
    times = coordinates.are_times[:count]
    most = np.where(times, np.maximum(_FURTHEST * here[:count], _FURTHEST_OF_SMALL), 1.0)
    excess = np.max(STRIDE * np.abs(axes[:count]) / most[:, None], axis=0)
    found = axes.copy()
    found[:count] /= np.maximum(excess, 1.0)
    return found


def derivatives(problem: Problem, coordinates: Coordinates, here: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """Derivatives of the data's residuals, and the residuals themselves, by moves along axes."""
    ahead, behind = ([coordinates.inside(here + side * STRIDE * axis) for axis in axes.T] for side in (1.0, -1.0))
    places = [*ahead, *behind, here]
    seen = np.array([np.concatenate(item) for item in problem.blocks([coordinates.model(item) for item in places])])
    changes = seen[: len(ahead)] - seen[len(ahead) : -1]
    jacobian = np.linalg.lstsq(np.array(ahead) - np.array(behind), changes, rcond=None)[0].T
    return jacobian, seen[-1]


def with_seed(problem: Problem, number: int) -> Problem:
    """The same problem with random numbers of its own; 0 keeps them."""
    return replace(problem, seed=problem.seed + 7_919 * number)
