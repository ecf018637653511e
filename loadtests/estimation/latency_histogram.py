"""Residence times as HDR histograms, which merge across workers, recordings and time. The one door of hdrh.

A histogram keeps a time to three significant figures and to the microsecond, whatever its size, in
a few kilobytes. Histograms of parts add up to the histogram of the whole, which percentiles do not.
They are made from the requests table when a recording is written: the load generator has better
things to do than to keep them, and nothing is lost by that, as every row arrives.

References
----------
G. Tene, HdrHistogram, https://hdrhistogram.github.io/HdrHistogram/ (compressed payload, version 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from hdrh.histogram import HdrHistogram

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json
from loadtests.foundation.versions import SCHEMA_VERSION
from loadtests.recording import LoadStep

HISTOGRAMS = "histograms.json"
SIGNIFICANT_FIGURES = 3
RELATIVE_PRECISION = 10.0**-SIGNIFICANT_FIGURES
RESOLUTION_S = 1e-6
LONGEST_S = 3600.0
_PER_S = round(1 / RESOLUTION_S)
_MOST = round(LONGEST_S * _PER_S)
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class LatencyHistogram:
    """How many requests took how long.

    Parameters
    ----------
    counts : HdrHistogram
        Over microseconds from 1 to an hour; not to be changed.
    """

    counts: HdrHistogram

    @classmethod
    def of(cls, residence_s: npt.ArrayLike) -> LatencyHistogram:
        """Count times; those beyond an hour count as an hour, those below a microsecond as one.

        Parameters
        ----------
        residence_s : array of float
            Seconds.

        Returns
        -------
        LatencyHistogram
        """
        empty = _empty()
        ticks = np.clip(np.rint(np.asarray(residence_s, dtype=float) * _PER_S), 1, _MOST).astype(np.int64)
        for value, count in zip(*(found.tolist() for found in np.unique(ticks, return_counts=True)), strict=True):
            empty.record_value(value, count)
        return cls(empty)

    @property
    def count(self) -> int:
        """Number of requests."""
        return int(self.counts.get_total_count())

    def quantile_s(self, probability: float) -> float:
        """The least time that so large a share of requests did not exceed.

        Parameters
        ----------
        probability : float
            0 to 1.

        Returns
        -------
        float
            Seconds; NaN without requests. Off the exact value by at most `RELATIVE_PRECISION` of it
            plus `RESOLUTION_S`.
        """
        rank = max(math.ceil(probability * self.count - _ROUNDING), 1)  # hdrh rounds the rank instead
        seen = 0
        for value, count in self.recorded():
            seen += count
            if seen >= rank:
                return value / _PER_S
        return math.nan

    def recorded(self) -> list[tuple[int, int]]:
        """The counts that are not zero: highest number of microseconds that counts alike, and how many requests."""
        counts = np.asarray(self.counts.counts)
        places = np.flatnonzero(counts)
        ends = (self.counts.get_highest_equivalent_value(self.counts.get_value_from_index(i)) for i in places.tolist())
        return list(zip(map(int, ends), counts[places].tolist(), strict=True))

    def payload(self) -> str:
        """The compressed histogram as base64 text, readable by any HdrHistogram library."""
        return bytes(self.counts.encode()).decode("ascii")

    @classmethod
    def from_payload(cls, text: str) -> LatencyHistogram:
        """Read what `payload` wrote.

        Parameters
        ----------
        text : str

        Returns
        -------
        LatencyHistogram

        Raises
        ------
        InputError
            When it is no HDR histogram.
        """
        try:
            return cls(HdrHistogram.decode(text.encode("ascii")))
        except Exception as error:  # hdrh lets the errors of base64, zlib and ctypes through
            raise InputError(f"The text {text[:20]!r} is no HDR histogram ({error}).") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatencyHistogram) and self.recorded() == other.recorded()

    __hash__ = None  # type: ignore[assignment]


def merge_histograms(parts: Iterable[LatencyHistogram]) -> LatencyHistogram:
    """The histogram of all requests of the parts.

    Parameters
    ----------
    parts : iterable of LatencyHistogram

    Returns
    -------
    LatencyHistogram
    """
    whole = _empty()
    for part in parts:
        whole.add(part.counts)
    return LatencyHistogram(whole)


@dataclass(frozen=True)
class StepHistogram:
    """The residence times of one step, kind of request and outcome.

    Parameters
    ----------
    step : int
    method, endpoint, outcome : str
        As in the requests table.
    histogram : LatencyHistogram
    """

    step: int
    method: str
    endpoint: str
    outcome: str
    histogram: LatencyHistogram


def step_histograms(requests: pd.DataFrame, steps: Sequence[LoadStep]) -> tuple[StepHistogram, ...]:
    """One histogram for each step, kind of request and outcome that occurs in a steady window.

    Parameters
    ----------
    requests : pandas.DataFrame
        A requests table.
    steps : sequence of LoadStep

    Returns
    -------
    tuple of StepHistogram
    """
    found = []
    for step in steps:
        inside = requests[(requests["finish_s"] >= step.start_s) & (requests["finish_s"] < step.end_s)]
        for (method, endpoint, outcome), rows in inside.groupby(["method", "endpoint", "outcome"]):
            times = LatencyHistogram.of(rows["finish_s"] - rows["start_s"])
            found.append(StepHistogram(step.step, str(method), str(endpoint), str(outcome), times))
    return tuple(found)


def histograms_to_dict(histograms: Iterable[StepHistogram]) -> dict[str, Any]:
    """JSON form."""
    listed = [
        {
            "step": item.step, "method": item.method, "endpoint": item.endpoint, "outcome": item.outcome,
            "count": item.histogram.count, "hdr": item.histogram.payload(),
        }
        for item in histograms
    ]  # fmt: skip
    unit = {"unit_s": RESOLUTION_S, "significant_figures": SIGNIFICANT_FIGURES}
    return {"schema_version": SCHEMA_VERSION, **unit, "histograms": listed}


def read_histograms(folder: str | Path) -> tuple[StepHistogram, ...]:
    """Read a recording's histograms.

    Parameters
    ----------
    folder : str or Path
        A recording.

    Returns
    -------
    tuple of StepHistogram

    Raises
    ------
    InputError
        When there are none, or they cannot be read.
    """
    document = read_json(Path(folder) / HISTOGRAMS, "file of histograms")
    try:
        return tuple(_read(item) for item in document["histograms"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{HISTOGRAMS} is not a list of histograms ({error!r} is missing or wrong).") from None


def _read(item: dict[str, Any]) -> StepHistogram:
    histogram = LatencyHistogram.from_payload(item["hdr"])
    return StepHistogram(int(item["step"]), str(item["method"]), str(item["endpoint"]), str(item["outcome"]), histogram)


def _empty() -> HdrHistogram:
    return HdrHistogram(1, _MOST, SIGNIFICANT_FIGURES)
