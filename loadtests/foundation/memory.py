"""How the process deals with memory that arrays have given back."""

from __future__ import annotations

from functools import cache

import numpy as np

_JUST_BELOW_MOST = 31 << 20
"""Bytes. Above 32 MiB the C library of Linux gives a block of its own back in any case."""


@cache
def keep_freed_memory() -> None:
    """Let arrays of up to 31 MiB use again what others have given back; once in a process.

    The C library of Linux asks the system for every block above a threshold and gives it back when it is freed, so
    each array of a simulation comes as fresh pages that the system has to clear: a third of the time of short runs. It
    raises the threshold, and how much it keeps, to the largest block of this kind that was freed [1]_. So one is
    taken and freed here, and never touched. Elsewhere, and where the environment sets thresholds of its own
    (``MALLOC_TRIM_THRESHOLD_``, as Dask does for its workers), it does nothing.

    References
    ----------
    .. [1] Linux man-pages, mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    np.empty(_JUST_BELOW_MOST, dtype=np.uint8)
