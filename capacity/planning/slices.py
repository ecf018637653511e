"""Work on many scenarios, a slice a thread: loops and sums that let go of Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import numpy as np

from loadtests.foundation.memory import keep_freed_memory
from loadtests.foundation.threads import mapped

Found = TypeVar("Found")

_SLICES = 4
_WORTH_THREADS = 4_000


def in_slices(run: Callable[[slice], Found], number: int) -> list[Found]:
    """Run slices of so many scenarios, in threads where there are many; the slices are the same on any machine."""
    if number < _WORTH_THREADS:
        return [run(slice(0, number))]
    keep_freed_memory()
    edges = np.linspace(0, number, _SLICES + 1).astype(int).tolist()
    return mapped(run, [slice(*ends) for ends in pairwise(edges)])
