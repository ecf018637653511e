"""An uncertain number: low, mid, high, the level it claims and what kind of claim it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from loadtests.foundation.errors import InputError

IntervalKind = Literal["confidence", "parameter", "prediction", "assumed"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its uncertainty.

    Parameters
    ----------
    low, mid, high : float
        Ends and central value, in the unit of whatever holds the interval.
    level : float, default 0.9
        The claimed probability, 0 to 1.
    kind : {"confidence", "parameter", "prediction", "assumed"}
        `confidence`: of a long-run value from a simulation; `parameter`: of a
        calibrated parameter; `prediction`: of what a measurement would show;
        `assumed`: somebody's word, no probability claimed.

    Raises
    ------
    InputError
        When the three are out of order or the level lies outside 0..1.
    """

    low: float
    mid: float
    high: float
    level: float = 0.9
    kind: IntervalKind = "confidence"

    def __post_init__(self) -> None:
        if not 0.0 < self.level <= 1.0:
            raise InputError(f"An interval's level is {self.level!r}; it must lie in (0, 1].")
        if self.kind not in get_args(IntervalKind):
            raise InputError(f"An interval's kind is {self.kind!r}; it must be one of {get_args(IntervalKind)}.")
        if not (math.isnan(self.mid) or self.low <= self.mid <= self.high):
            raise InputError(f"An interval must have low <= mid <= high; given {self.low}, {self.mid}, {self.high}.")

    @classmethod
    def assumed(cls, value: float) -> Interval:
        """A value that somebody states, without a probability.

        Parameters
        ----------
        value : float

        Returns
        -------
        Interval
            All three equal to `value`, level 1, kind ``assumed``.
        """
        return cls(value, value, value, level=1.0, kind="assumed")

    @classmethod
    def unknown(cls, level: float = 0.9, kind: IntervalKind = "confidence") -> Interval:
        """No estimate: three NaN (null in JSON).

        Parameters
        ----------
        level : float, default 0.9
        kind : {"confidence", "parameter", "prediction", "assumed"}

        Returns
        -------
        Interval
        """
        return cls(math.nan, math.nan, math.nan, level, kind)

    @classmethod
    def from_draws(
        cls, draws: ArrayLike, *, level: float = 0.9, kind: IntervalKind = "confidence", mid: float | None = None
    ) -> Interval:
        """Central interval of draws; `mid` defaults to their median.

        Its ends are the quantiles at ranks p (n + 1) of the n draws [1]_: one more draw of the same kind lies between
        them with probability `level`. (At ranks 1 + p (n - 1), 100 draws would hold it in 88 % of the cases.)

        Parameters
        ----------
        draws : array_like of float
            Those that are not finite are left out.
        level : float, default 0.9
        kind : {"confidence", "parameter", "prediction", "assumed"}
        mid : float, optional
            Central value; absent: the median of the draws.

        Returns
        -------
        Interval
            Unknown when no draw is finite. Fewer draws than 2 / (1 - level) give all of their range.

        References
        ----------
        .. [1] R. J. Hyndman, Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50(4),
           1996, definition 6.
        """
        values = np.asarray(draws, dtype=float)
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls.unknown(level, kind)
        tail = (1.0 - level) / 2.0
        low, median, high = (float(q) for q in np.quantile(values, [tail, 0.5, 1.0 - tail], method="weibull"))
        centre = median if mid is None else mid
        return cls(min(low, centre), centre, max(high, centre), level, kind)

    @classmethod
    def of_whole_draws(
        cls, draws: ArrayLike, *, level: float = 0.9, kind: IntervalKind = "confidence", mid: float
    ) -> Interval:
        """The shortest run of whole numbers that holds a share of at least `level` of the draws, and `mid`.

        Of two as short the one with more draws. Equal tails would each have to be rounded outwards; this set rounds
        once, so it holds more than `level` by less.

        Parameters
        ----------
        draws : array_like of float
            Whole numbers, at least one.
        level : float, default 0.9
        kind : {"confidence", "parameter", "prediction", "assumed"}
        mid : float
            Central value.

        Returns
        -------
        Interval
        """
        ranked = np.sort(np.asarray(draws, dtype=float))
        held = max(math.ceil(level * ranked.size - 1e-9), 1)
        lows, highs = ranked[: ranked.size - held + 1], ranked[held - 1 :]
        counts = np.searchsorted(ranked, highs, side="right") - np.searchsorted(ranked, lows, side="left")
        place = int(np.lexsort((-counts, highs - lows))[0])
        return cls(min(float(lows[place]), mid), mid, max(float(highs[place]), mid), level, kind)

    @property
    def is_known(self) -> bool:
        """False where nothing could be estimated."""
        return not math.isnan(self.mid)

    def scaled(self, factor: float) -> Interval:
        """The interval of the number times `factor` (at least 0).

        Parameters
        ----------
        factor : float

        Returns
        -------
        Interval
        """
        return Interval(self.low * factor, self.mid * factor, self.high * factor, self.level, self.kind)

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside, ends included.

        Parameters
        ----------
        value : float

        Returns
        -------
        bool
        """
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """JSON form; unknown numbers become None."""
        numbers = {name: _or_none(getattr(self, name)) for name in ("low", "mid", "high")}
        return {**numbers, "level": self.level, "kind": self.kind}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Interval:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        Interval
        """
        low, mid, high = (math.nan if data[name] is None else float(data[name]) for name in ("low", "mid", "high"))
        return cls(low, mid, high, float(data["level"]), data["kind"])

    def format(self, spec: str = ".4g", unit: str = "") -> str:
        """For tables: ``52.1 (50.3 to 54.0) ms``; assumed numbers without ends.

        Parameters
        ----------
        spec : str, default ".4g"
            Format of each number.
        unit : str
            Is put behind it.

        Returns
        -------
        str
        """
        suffix = f" {unit}" if unit else ""
        if not self.is_known:
            return "unknown"
        if self.kind == "assumed":
            return f"{self.mid:{spec}}{suffix} (assumed)"
        return f"{self.mid:{spec}} ({self.low:{spec}} to {self.high:{spec}}){suffix}"

    def __str__(self) -> str:
        return self.format()


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
