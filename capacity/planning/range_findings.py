"""What a reader must know of ranges that were drawn from although nobody stated a probability for them."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.demand.wording import percent
from loadtests.foundation.findings import Finding

BARE_RANGE = "range-without-probability"


def bare_ranges(names: Sequence[str], range_level: float) -> Finding:
    """Say how the ranges of these inputs are read.

    Parameters
    ----------
    names : sequence of str
        Such as ``the growth``; at least one.
    range_level : float
        Probability that they are taken to enclose.
    """
    return Finding(
        BARE_RANGE, "info",
        f"No probability is stated for the range of {' and '.join(names)}: its ends are read to enclose "
        f"{percent(range_level)}, so that each is passed with {percent((1 - range_level) / 2)}.",
        "State the probability: an interval with its level, draws, or range_level for all of them.",
        {"ranges": list(names), "range_level": range_level},
    )  # fmt: skip
