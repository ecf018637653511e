"""What one step of a knee search measured, and what it says about the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from loadtests.block_bootstrap import quantile_draws, ratio_draws, resampled_weights
from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.steady_state import Window, number_of_blocks

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVEL = 0.9
_RUN_TO_RUN_CV = 0.01
_P95 = 0.95
_FEWEST_SERVED = 20
_USUAL_DISPERSION = 3.0
_GRID = 200

Bound = Literal["p95", "bad"]


@dataclass(frozen=True)
class KneeObjective:
    """What the server must keep; at least one of the two.

    Parameters
    ----------
    p95_s : float, optional
        Largest 95th percentile of the residence time of served requests, seconds.
    max_bad_fraction : float, optional
        Largest share of requests that did not end served (shed, failed, timed out, ...), 0 to 1.

    Raises
    ------
    InputError
        When nothing is limited, or a limit is out of range.
    """

    p95_s: float | None = None
    max_bad_fraction: float | None = None

    def __post_init__(self) -> None:
        if self.p95_s is None and self.max_bad_fraction is None:
            raise InputError("An objective must limit something; give p95_s, max_bad_fraction or both.")
        if self.p95_s is not None:
            positive("p95_s", self.p95_s)
        if self.max_bad_fraction is not None and not 0.0 < self.max_bad_fraction < 1.0:
            raise InputError(
                f"max_bad_fraction is {self.max_bad_fraction!r}; it must lie between 0 and 1, for example 0.001. "
                "No test of finite length can show a share of exactly 0."
            )

    def to_dict(self) -> dict[str, float | None]:
        """JSON form."""
        return {"p95_s": self.p95_s, "max_bad_fraction": self.max_bad_fraction}


@dataclass(frozen=True)
class KneeStep:
    """One measured level.

    Parameters
    ----------
    users : int
    window_s : float
        Seconds of steady load that were judged.
    requests, bad : int
        Requests that finished in the window, and those of them that did not end served.
    blocks : int
        Blocks of time that the noise was estimated from.
    p95_s : float
        Of served requests; NaN where hardly any was served.
    p95_log_spread : float
        Standard error of its logarithm.
    dispersion : float
        Variance of the share of bad requests over that of independent ones, at least 1 (they come
        in bursts); NaN where it cannot be told because none or all were bad.
    """

    users: int
    window_s: float
    requests: int
    bad: int
    blocks: int
    p95_s: float
    p95_log_spread: float
    dispersion: float

    def p95_interval(self, level: float = LEVEL) -> Interval:
        """The percentile's interval: its logarithm is taken as Student's t.

        Parameters
        ----------
        level : float, default 0.9

        Returns
        -------
        Interval
        """
        if math.isnan(self.p95_s):
            return Interval.unknown(level)
        reach = math.exp(float(stats.t.ppf(0.5 + level / 2, self.blocks - 1)) * self.p95_log_spread)
        return Interval(self.p95_s / reach, self.p95_s, self.p95_s * reach, level, "confidence")

    def bad_interval(self, dispersion: float, level: float = LEVEL) -> Interval:
        """The interval of the share of bad requests.

        Parameters
        ----------
        dispersion : float
            Taken where the step itself cannot tell it.
        level : float, default 0.9

        Returns
        -------
        Interval
        """
        if self.requests == 0:
            return Interval.unknown(level)
        share, posterior, tail = self.bad / self.requests, self._posterior(dispersion), (1.0 - level) / 2.0
        low, high = float(posterior.ppf(tail)), float(posterior.ppf(1.0 - tail))
        return Interval(min(low, share), share, max(high, share), level, "confidence")

    def probability_p95_met(self, objective: KneeObjective) -> float:
        """How likely the percentile keeps its limit in the long run; 1 where it has none."""
        if objective.p95_s is None:
            return 1.0
        if math.isnan(self.p95_s):
            return 0.0
        distance = math.log(objective.p95_s / max(self.p95_s, 1e-9))
        return float(stats.t.cdf(distance / self.p95_log_spread, self.blocks - 1))

    def probability_bad_met(self, objective: KneeObjective, dispersion: float) -> float:
        """How likely the share of bad requests keeps its limit in the long run; 1 where it has none.

        Before the step, shares below and above the limit are as likely as each other, every order of
        magnitude alike up to a factor of 30; so a step too short for a bad request speaks, a little,
        for the level and never against it.
        """
        limit = objective.max_bad_fraction
        if limit is None:
            return 1.0
        if self.requests == 0:
            return 0.0
        share, worth = self.bad / self.requests, self._worth(dispersion)
        likelihoods = [
            _log_likelihoods(share, worth, np.geomspace(limit, end, _GRID))
            for end in (limit / 30.0, min(30.0 * limit, 0.999))
        ]
        largest = max(float(values.max()) for values in likelihoods)
        below, above = (float(np.exp(values - largest).sum()) for values in likelihoods)
        return below / (below + above)

    def probability_met(self, objective: KneeObjective, dispersion: float) -> float:
        """How likely the level keeps the whole objective."""
        return self.probability_p95_met(objective) * self.probability_bad_met(objective, dispersion)

    def bound_by(self, objective: KneeObjective, dispersion: float) -> Bound:
        """The limit that is closer to being broken."""
        is_slow = self.probability_p95_met(objective) < self.probability_bad_met(objective, dispersion)
        return "p95" if is_slow else "bad"

    def to_dict(self) -> dict[str, Any]:
        """JSON form of what was measured."""
        return {
            "users": self.users, "window_s": self.window_s, "requests": self.requests, "bad": self.bad,
            "p95_s": self.p95_interval().to_dict(),
        }  # fmt: skip

    def _posterior(self, dispersion: float) -> Any:
        """Beta by Jeffreys' prior, over as many requests as are worth independent ones."""
        worth, share = self._worth(dispersion), self.bad / self.requests
        return stats.beta(0.5 + share * worth, 0.5 + (1.0 - share) * worth)

    def _worth(self, dispersion: float) -> float:
        """How many independent requests tell as much."""
        return float(self.requests / np.fmax(dispersion, self.dispersion))


def _log_likelihoods(share: float, worth: float, true: Floats) -> Floats:
    """Log-likelihood of a share among `worth` independent requests, for each true share."""
    return np.asarray(worth * (share * np.log(true) + (1.0 - share) * np.log1p(-true)))


def usual_dispersion(steps: Sequence[KneeStep]) -> float:
    """The median dispersion of the steps that can tell theirs, at least 3; 3 where none can.

    A step without a bad request says nothing of how they cluster, and taking them for independent
    would make it too sure.

    Parameters
    ----------
    steps : sequence of KneeStep

    Returns
    -------
    float
    """
    known = [step.dispersion for step in steps if not math.isnan(step.dispersion)]
    return max(float(np.median(known)), _USUAL_DISPERSION) if known else _USUAL_DISPERSION


def measure_step(requests: pd.DataFrame, window: Window, *, seed: int = 1) -> KneeStep:
    """What the requests of one steady window show, with the noise of a block bootstrap.

    Parameters
    ----------
    requests : pandas.DataFrame
        Rows of a requests table that finished inside the window.
    window : Window
    seed : int

    Returns
    -------
    KneeStep
    """
    finish = requests["finish_s"].to_numpy(dtype=float)
    residence_s = finish - requests["start_s"].to_numpy(dtype=float)
    served = requests["outcome"].to_numpy(dtype=str) == "served"
    blocks = number_of_blocks(window, len(requests))
    block = np.clip(((finish - window.start_s) / window.length_s * blocks).astype(np.int64), 0, blocks - 1)
    weights = resampled_weights(blocks, generator(seed, window.step))
    p95_s, spread = _p95(weights, residence_s[served], block[served])
    dispersion = _dispersion(weights, ~served, block)
    bad = int(np.count_nonzero(~served))
    return KneeStep(window.users, window.length_s, len(requests), bad, blocks, p95_s, spread, dispersion)


def _p95(weights: Floats, times: Floats, block: NDArray[np.int64]) -> tuple[float, float]:
    """The percentile and the standard error of its logarithm, with 1 % from run to run in it."""
    if len(times) < _FEWEST_SERVED:
        return math.nan, math.nan
    draws = quantile_draws(weights, times, block, [_P95])[:, 0]
    spread = float(np.nanstd(np.log(np.maximum(draws, 1e-9)))) * _few_blocks(weights)
    return float(np.quantile(times, _P95)), math.hypot(spread, _RUN_TO_RUN_CV)


def _dispersion(weights: Floats, bad: Flags, block: NDArray[np.int64]) -> float:
    total, hits = len(bad), int(np.count_nonzero(bad))
    if hits in (0, total):
        return math.nan
    bad_in, all_in = (np.bincount(block[rows], minlength=weights.shape[1]) for rows in (bad, np.ones_like(bad)))
    variance = float(np.nanvar(ratio_draws(weights, bad_in.astype(float), all_in.astype(float))))
    share = hits / total
    return max(variance * _few_blocks(weights) ** 2 * total / (share * (1.0 - share)), 1.0)


def _few_blocks(weights: Floats) -> float:
    """A bootstrap over k blocks makes the spread too small by sqrt((k - 1) / k)."""
    blocks = weights.shape[1]
    return math.sqrt(blocks / (blocks - 1))
