"""How well a form predicts steps that it has not seen: leave-one-step-out, from the linearised fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.problem import Fit, Problem

Floats = NDArray[np.float64]

_LINEAR_FROM = 6.0
"""Standard errors from which a miss costs in proportion, not by its square: one hopeless statistic does not decide."""


@dataclass(frozen=True)
class FormScore:
    """How one form does.

    Parameters
    ----------
    form : str
    chi_square : float
        Weighted squared misfit at the best numbers, priors included.
    degrees_of_freedom : int
        Statistics less fitted numbers.
    held_out_score : float
        Mean log density of the steps, each predicted from the others; larger is better. Only differences between
        forms of one calibration mean something.
    """

    form: str
    chi_square: float
    degrees_of_freedom: int
    held_out_score: float

    @property
    def ratio(self) -> float:
        """Chi-square per degree of freedom: 1 where all misfit is noise."""
        return self.chi_square / max(self.degrees_of_freedom, 1)


def score(problem: Problem, best: Fit, extra_parameters: int = 0) -> FormScore:
    """Score a fit.

    With whitened residuals r and Jacobian J, the hat matrix is H = J (J'J)^-1 J'; a step's residuals without that
    step in the fit are (I - H_ii)^-1 r_i, their covariance (I - H_ii)^-1 [1]_.

    Parameters
    ----------
    problem : Problem
    best : Fit
    extra_parameters : int, default 0
        Numbers that were searched beside the fitted ones: limits, shapes. Each costs half a unit of the score's sum.

    Returns
    -------
    FormScore

    References
    ----------
    .. [1] R. D. Cook, S. Weisberg, Residuals and Influence in Regression, Chapman and Hall, 1982, section 2.2.
    """
    jacobian = problem.jacobian(best)
    residuals = problem.residuals(best.form, best.theta)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    total, first = 0.0, 0
    for block in problem.whitening:
        rows = slice(first, first + len(block))
        first += len(block)
        left = np.eye(len(block)) - jacobian[rows] @ covariance @ jacobian[rows].T
        total += _log_density(residuals[rows], left)
    mean = (total - 0.5 * extra_parameters) / max(len(problem.whitening), 1)
    freedom = problem.used - best.theta.size - extra_parameters
    return FormScore(best.form.describe(), best.chi_square, freedom, mean)


def _log_density(residuals: Floats, left: Floats) -> float:
    """Log density of a held-out step, without the constant: r' (I - H)^-1 r and log det (I - H)."""
    values, vectors = np.linalg.eigh((left + left.T) / 2)
    values = np.clip(values, 1e-3, 1.0)
    along = vectors.T @ residuals
    sizes = np.abs(along) / np.sqrt(values)
    costs = np.where(sizes <= _LINEAR_FROM, sizes**2, 2 * _LINEAR_FROM * sizes - _LINEAR_FROM**2)
    return float(-0.5 * np.sum(costs) + 0.5 * np.sum(np.log(values)))
