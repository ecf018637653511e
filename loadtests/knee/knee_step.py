"""What one step of a knee search measured, and what it says about the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from loadtests.estimation.correlation import variance_of_mean
from loadtests.estimation.steady_state import Window
from loadtests.estimation.step_metrics import Blocks, WindowRows, influences, metrics_of
from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

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
    blocks : float
        Blocks of time that the standard error was estimated from.
    """

    users: int
    excess: float
    spread: float
    blocks: float
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
    blocks : float
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
    blocks: float
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
    """The dispersion of the step with the smallest share of bad requests above 0, at least 3; 3 where there is none.

    A step without a bad request says nothing of how they cluster, and taking them for independent
    would make it too sure. The step nearest to it tells most: far beyond the knee bad requests also
    come and go with slow waves of the queue.

    Parameters
    ----------
    steps : sequence of KneeStep

    Returns
    -------
    float
    """
    known = [step for step in steps if not math.isnan(step.dispersion)]
    if not known:
        return _USUAL_DISPERSION
    return max(min(known, key=lambda step: step.bad / step.requests).dispersion, _USUAL_DISPERSION)


def measure_step(requests: pd.DataFrame, window: Window) -> KneeStep:
    """What the requests of one steady window show, with the noise of its blocks of time.

    Parameters
    ----------
    requests : pandas.DataFrame
        Rows of a requests table that finished inside the window.
    window : Window

    Returns
    -------
    KneeStep
    """
    rows = WindowRows.of(requests, window.users, window.start_s, window.length_s)
    rows = replace(rows, shed=~rows.served)  # whatever did not end served counts as one kind here
    metrics, blocks = metrics_of(rows, LEVEL)
    p95_s, spread = _p95(rows, metrics["p95_s"], blocks)
    return KneeStep(
        users=window.users,
        window_s=window.length_s,
        requests=len(requests),
        bad=int(np.count_nonzero(rows.shed)),
        blocks=blocks.number,
        p95_s=p95_s,
        p95_log_spread=spread,
        dispersion=_dispersion(rows, blocks),
    )


def _p95(rows: WindowRows, interval: Interval, blocks: Blocks) -> tuple[float, float]:
    """The percentile and the standard error of its logarithm, with 1 % from run to run in it."""
    if np.count_nonzero(rows.served) < _FEWEST_SERVED or interval.low <= 0:
        return math.nan, math.nan
    reach = max(interval.mid / interval.low, interval.high / interval.mid)
    return interval.mid, math.hypot(math.log(reach) / blocks.t_factor(interval.level), _RUN_TO_RUN_CV)


def _dispersion(rows: WindowRows, blocks: Blocks) -> float:
    series = influences(rows).get("shed_rate")
    if series is None:
        return math.nan
    total, share = rows.shed.size, float(rows.shed.mean())
    variance = variance_of_mean(series, blocks.length) * blocks.number / (blocks.number - 1.0)
    return max(variance * total * share * (1.0 - share), 1.0)
