"""The reference engine's view of the random numbers: what one attempt needs, asked for by its identity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulations.engines.inputs import UserTimes, Work
from simulations.engines.random_streams import STAGE_CLASS, STAGE_REQUEST, STAGE_WORK, times_s, uniforms

Floats = NDArray[np.float64]

_BLOCK = 64


class WorkReader:
    """Reads a run's `Work` by identity, in blocks of 64 cycles for speed."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._units: dict[tuple[int, ...], tuple[Floats, Floats]] = {}
        self._times: dict[tuple[object, ...], list[float]] = {}

    def units(self, user: int, cycle: int, attempt: int, stage: int) -> tuple[float, float]:
        """The two uniform numbers of one identity and purpose."""
        one, two = self._block(user, cycle // _BLOCK, attempt, stage)
        return float(one[cycle % _BLOCK]), float(two[cycle % _BLOCK])

    def needs(self, user: int, cycle: int, attempt: int) -> tuple[int, float, float, float]:
        """Request class, service, CPU and database seconds of one attempt."""
        work = self.work
        if work.is_given:
            given = (work.service_given, work.cpu_given, work.database_given)
            return 0, *(_given(times, user, cycle, attempt) for times in given)  # type: ignore[return-value]
        kind, who = self._request_class(user, cycle), (user, cycle, attempt)
        return (
            kind, self._time("service", work.service, kind, who), self._time("cpu", work.cpu, kind, who),
            self._time("database", work.database, kind, who),
        )  # fmt: skip

    def think_s(self, times: UserTimes, user: int, cycle: int) -> float:
        """The think time before a user's request number `cycle`."""
        if times.think_given.size:
            return float(times.think_given[user, cycle])
        return self._time("think", times.think[None], 0, (user, cycle, 0))

    def _time(self, name: str, tables: Floats, kind: int, who: tuple[int, int, int]) -> float:
        """A time by name: which stage's number, first or second, goes through which table."""
        if not tables.size:
            return 0.0
        user, cycle, attempt = who
        place = (name, kind, user, cycle // _BLOCK, attempt)
        if place not in self._times:
            stage, which = _NUMBERS[name]
            units = self._block(user, cycle // _BLOCK, attempt, stage)
            self._times[place] = times_s(tables[kind], units[which]).tolist()
        return self._times[place][cycle % _BLOCK]

    def _block(self, user: int, block: int, attempt: int, stage: int) -> tuple[Floats, Floats]:
        place = (user, block, attempt, stage)
        if place not in self._units:
            index = np.arange(block * _BLOCK, (block + 1) * _BLOCK)
            self._units[place] = uniforms(self.work.key, index, user, attempt=attempt, stage=stage)
        return self._units[place]

    def _request_class(self, user: int, cycle: int) -> int:
        if len(self.work.class_upto) == 1:
            return 0
        unit, _ = self.units(user, cycle, 0, STAGE_CLASS)
        return int(np.searchsorted(self.work.class_upto, unit, side="right"))


_NUMBERS = {
    "service": (STAGE_REQUEST, 0), "think": (STAGE_REQUEST, 1), "cpu": (STAGE_WORK, 0), "database": (STAGE_WORK, 1),
}  # fmt: skip


def _given(times: Floats, user: int, cycle: int, attempt: int) -> float:
    return float(times[user, cycle, min(attempt, times.shape[2] - 1)]) if times.size else 0.0
