"""What is compared, how much is too much, and what it says of the server."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simulations.calibration.window_statistics import FEW_INSIDE

Side = Literal["high", "low", "both"]


_PLAIN = ("shed_rate", "line_correlation", "admission_contrast", "slope", "distance", "coherency_loss")


@dataclass(frozen=True)
class Rule:
    """One statistic and the difference from the model that matters.

    Parameters
    ----------
    code : str
        Of the finding.
    statistic : str
        Name in `WindowSummary.statistics`.
    side : {"high", "low", "both"}
        Where the measured value must lie to be noticed.
    widen_from, refuse_from : float
        Difference from the simulated mean that makes a warning, and a critical finding; in the statistic's own
        unit (of logarithms: relative).
    says : str
        What is seen: ``{measured}`` and ``{simulated}`` are filled in.
    remedy : str
    offset : float, default 0
        What the statistic adds before it takes the logarithm.
    without : float, default NaN
        Taken for simulated windows that cannot tell.
    """

    code: str
    statistic: str
    side: Side
    widen_from: float
    refuse_from: float
    says: str
    remedy: str
    offset: float = 0.0
    without: float = math.nan

    def value_of(self, statistic: float) -> float:
        """The statistic as it is told to people."""
        return math.exp(statistic) - self.offset if self.is_logarithm else statistic

    @property
    def is_logarithm(self) -> bool:
        """Whether the statistic is a logarithm, to be told as the value itself."""
        return self.statistic not in _PLAIN


COHERENCY = Rule(
    "loses-throughput-with-load", "coherency_loss", "high", 0.05, 0.2,
    "the more requests are inside, the slower each is served: coherency, by the scalability law, takes {measured:.1%} "
    "of the throughput at the heaviest load, where the model shows {simulated:.1%}.",
    "Do not predict heavier loads than were measured: the model's throughput stays level where this server's falls. "
    "Look for locks and shared caches; the law's fit stands in the calibration's `scalability`.",
)  # fmt: skip
"""Of all steps together."""

_ORDER = (
    "Find out in which order requests that wait are served (a stack, several lines, priorities); percentiles of this "
    "model do not hold for such a server, means may."
)
_GATE = (
    "Read how the gate counts: one that forgets or resets lets more inside than it states. State gate_reset_s where "
    "it is known, or repair the gate, and measure again."
)
_LEVELS = (
    "Look at the load-test fit chart; do not use the model at this load. A step between the levels that fit and those "
    "that do not tells most."
)

GATE_CONTRAST = 0.95
"""Where the model turns nobody away: a gate does so when it is full, whatever else it is like."""

RULES = (
    Rule(
        "users-served-unevenly", "user_spread", "high", math.log(2.0), math.log(4.0),
        "The number of requests a user gets done varies between users with variance over mean {measured:.3g}; the "
        "model shows {simulated:.3g}. Some users are served again and again while others wait, as where a worker "
        "belongs to an idle keep-alive connection while its user thinks.",
        "Bound the keep-alive time or the requests of a connection, or put a proxy with many connections before the "
        "workers; then measure again. Capacity of this model does not hold.",
    ),
    Rule(
        "sheds-do-not-follow-the-gate", "admission_contrast", "low", 0.15, 0.3,
        "A request that was turned away found more inside than one that was served with probability {measured:.2f}; "
        "behind the model's gate it is {simulated:.2f}. Something else than the number inside decides, as a limit "
        "for each client does.",
        "Look for limits by client, address or key between the load generator and the server; load from many "
        "addresses, or switch them off for the test.",
        without=GATE_CONTRAST,
    ),
    Rule(
        "more-inside-than-modelled", "most_inside", "high", math.log(1.4), math.log(1.6),
        "One request in a hundred was sent with {measured:.4g} inside or more; the model shows about {simulated:.4g}.",
        _GATE, FEW_INSIDE,
    ),
    Rule(
        "sheds-come-in-waves", "shed_waves", "high", math.log(4.0), math.log(8.0),
        "The requests turned away in a second have variance over mean {measured:.3g}; the model shows "
        "{simulated:.3g}. They come in waves, as behind a gate that forgets who is inside.", _GATE,
    ),
    Rule(
        "order-of-service", "disorder", "both", math.log(1.25), math.log(1.6),
        "Requests leave {measured:.2f} times the number inside away from their place in the line; the model shows "
        "{simulated:.2f}. The server does not serve in the order in which the model does.", _ORDER,
    ),
    Rule(
        "order-of-service", "line_correlation", "low", 0.2, 0.4,
        "How long a request takes goes with how many it found inside by a correlation of {measured:.2f}; in the "
        "model's line it is {simulated:.2f}.", _ORDER,
    ),
    Rule(
        "times-change-with-load", "low_quantile", "both", math.log(1.12), math.log(1.3),
        "The fastest tenth of the requests takes up to {measured:.4g} s; the model shows {simulated:.4g} s. Times at "
        "the server are not the same at every load (shared cores, locks, caches), or change over time.",
        "Calibrate on steps near the load in question, and record processor gauges; beyond the measured loads such a "
        "model is too hopeful.",
    ),
    Rule("levels-do-not-fit", "goodput", "both", math.log(1.05), math.log(1.15),
         "{measured:.4g} requests are served a second; the model shows {simulated:.4g}.", _LEVELS),
    Rule("levels-do-not-fit", "mean", "both", math.log(1.15), math.log(1.4),
         "Served requests take {measured:.4g} s on average; the model shows {simulated:.4g} s.", _LEVELS),
    Rule("levels-do-not-fit", "shed_rate", "both", 0.03, 0.1,
         "A share of {measured:.3g} of the requests is turned away; the model shows {simulated:.3g}.", _LEVELS),
)  # fmt: skip

DRIFT = Rule(
    "times-drift",
    "slope",
    "both",
    0.1,
    0.25,
    "Residence times change by {measured:+.1%} over a step's steady window on average; in the model by "
    "{simulated:+.1%}. The server is not the same at the end as at the beginning.",
    "Look for what grows (memory, tables, connections, heat), measure longer until it settles, and calibrate on that.",
)
"""Taken over all steps together: a slow drift shows in none of them alone. A tenth over a window puts its ends as far
from its mean as a single prediction may be off (`validation.LIMITS`)."""

DISTANCE = Rule(
    "distribution-does-not-fit",
    "distance",
    "high",
    0.08,
    0.25,
    "The distribution of residence times is {measured:.1%} of the mean away from the model's (Wasserstein distance); "
    "sampling alone gives {simulated:.1%}.",
    "Look at the quantile-quantile chart; percentiles of this model are off where it leaves the diagonal.",
)
