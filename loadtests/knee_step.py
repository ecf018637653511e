"""What one step of a knee search measured, and what it says about the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

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
_FAR_BEYOND = 50.0

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

    @property
    def limits(self) -> tuple[Bound, ...]:
        """What is limited."""
        given: dict[Bound, float | None] = {"p95": self.p95_s, "bad": self.max_bad_fraction}
        return tuple(limit for limit, most in given.items() if most is not None)

    def to_dict(self) -> dict[str, float | None]:
        """JSON form."""
        return {"p95_s": self.p95_s, "max_bad_fraction": self.max_bad_fraction}


@dataclass(frozen=True)
class P95Evidence:
    """A measured percentile: its logarithm is taken as Student's t around the true one.

    Parameters
    ----------
    users : int
    excess : float
        Logarithm of the percentile over its limit; NaN where hardly any request was served, which
        counts as far beyond any limit.
    spread : float
        Standard error of the logarithm.
    blocks : int
        Blocks of time that the standard error was estimated from.
    """

    users: int
    excess: float
    spread: float
    blocks: int
    clear: float = 0.1

    def __post_init__(self) -> None:
        if math.isnan(self.excess):
            object.__setattr__(self, "excess", _FAR_BEYOND)
            object.__setattr__(self, "spread", 1.0)

    def likelihood(self, excess: Floats) -> Floats:
        """Of the measurement if the true excess were that, relative to the likeliest."""
        distance = (self.excess - excess) / self.spread
        degrees = self.blocks - 1
        return np.asarray((1.0 + distance**2 / degrees) ** (-(degrees + 1) / 2))


@dataclass(frozen=True)
class BadEvidence:
    """A measured share of bad requests: binomial over as many as are worth independent ones.

    Parameters
    ----------
    users : int
    share : float
    worth : float
        Number of independent requests that would tell as much.
    limit : float
    """

    users: int
    share: float
    worth: float
    limit: float
    clear: float = math.log(2.0)

    @property
    def excess(self) -> float:
        """Logarithm of the share over its limit; minus infinity without a bad request."""
        return math.log(self.share / self.limit) if self.share > 0 else -math.inf

    def likelihood(self, excess: Floats) -> Floats:
        """Of the measurement if the true excess were that, relative to the likeliest."""
        true = np.minimum(self.limit * np.exp(np.minimum(excess, 50.0)), 1.0 - 1e-9)
        return np.asarray(np.exp(self.worth * (self._log_likelihood(true) - self._log_likelihood(self.share))))

    def _log_likelihood(self, true: Floats | float) -> Floats:
        """Of one request; a share of 0 or 1 loses its impossible term."""
        return np.asarray(special.xlogy(self.share, true) + special.xlog1py(1.0 - self.share, -np.asarray(true)))


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

    def evidence(self, objective: KneeObjective, dispersion: float) -> dict[Bound, P95Evidence | BadEvidence]:
        """What the step says about each limit of the objective; nothing where it shows nothing.

        Parameters
        ----------
        objective : KneeObjective
        dispersion : float
            As in `bad_interval`.

        Returns
        -------
        dict
            By limit, ``p95`` and ``bad``, as far as they are set.
        """
        found: dict[Bound, P95Evidence | BadEvidence] = {}
        if objective.p95_s is not None:
            excess = math.log(max(self.p95_s, 1e-9) / objective.p95_s)
            found["p95"] = P95Evidence(self.users, excess, self.p95_log_spread, self.blocks)
        if objective.max_bad_fraction is not None:
            share = self.bad / self.requests if self.requests else 1.0
            found["bad"] = BadEvidence(self.users, share, self._worth(dispersion), objective.max_bad_fraction)
        return found

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
        """How many independent requests tell as much; where none finished, every user waited in vain."""
        if self.requests == 0:
            return float(self.users)
        return float(self.requests / np.fmax(dispersion, self.dispersion))


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
