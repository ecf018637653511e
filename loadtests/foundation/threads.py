"""Work on several cores within this process, for what lets go of the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from loadtests.foundation.errors import InputError

Item = TypeVar("Item")
Made = TypeVar("Made")


THREADS = "CAPACITY_THREADS"
"""Environment variable: at most so many threads for simulations, where other work needs the cores."""


def usable_cores() -> int:
    """Cores that this process may run on, and may use by `THREADS`.

    Raises
    ------
    InputError
        When the variable holds no whole number from 1 on.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    stated = os.environ.get(THREADS)
    if stated is None:
        return cores
    if not stated.isdecimal() or int(stated) < 1:
        raise InputError(f"{THREADS} is {stated!r}; it must be a whole number from 1 on, or not be set.")
    return min(cores, int(stated))


def mapped(run: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """What `run` makes of each item, in order; a thread for every core.

    Threads end before this returns, so that a process may fork afterwards.

    Parameters
    ----------
    run : callable
    items : sequence

    Returns
    -------
    list
    """
    threads = min(usable_cores(), len(items))
    if threads < 2:
        return [run(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, items))
