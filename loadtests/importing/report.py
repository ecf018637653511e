"""Locust's ``--json-file``: the rounded histogram and the requests of every second, complete to the end."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.estimation.binned_latency import LatencyBins
from loadtests.foundation.errors import InputError
from loadtests.importing.histogram import LEAST_DIGITS, bins_of_histogram, significant_digits
from loadtests.importing.safe_files import BoundedStream

_MOST_BYTES = 128 * 2**20
LEAST_SHARE = 0.005


@dataclass(frozen=True)
class Report:
    """All entries of a report together.

    Parameters
    ----------
    start_s, end_s : float
        Start (or reset) of the statistics and last request, seconds since the epoch.
    requests, failures : int
    residence_s : float
        Sum of all residence times.
    bins : LatencyBins
        All outcomes blended.
    requests_per_s, failures_per_s : mapping of int to int
        Requests by the second in which they finished.
    is_rounded_otherwise : bool
        Whether the histogram has more than Locust's 2 significant digits.
    endpoints : mapping of str to LatencyBins
        The same bins by name, of those that have at least a share `LEAST_SHARE` of the requests; all outcomes blended.
    """

    start_s: float
    end_s: float
    requests: int
    failures: int
    residence_s: float
    bins: LatencyBins
    requests_per_s: dict[int, int]
    failures_per_s: dict[int, int]
    is_rounded_otherwise: bool
    endpoints: dict[str, LatencyBins] = field(default_factory=dict)


def read_report(path: Path) -> Report | None:
    """Read a report; None when it has no requests.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        When it is no report of Locust, or larger than 128 MiB; with everything that does not fit.
    """
    entries = _entries(path)
    problems: list[str] = []
    times: Counter[float] = Counter()
    per_s: Counter[int] = Counter()
    failed_per_s: Counter[int] = Counter()
    for place, entry in enumerate(entries, 1):
        try:
            times.update(_counts(entry["response_times"]))
            per_s.update({int(second): number for second, number in _counts(entry["num_reqs_per_sec"]).items()})
            failed_per_s.update({int(second): number for second, number in _counts(entry["num_fail_per_sec"]).items()})
            for name in ("num_requests", "num_failures", "total_response_time", "start_time"):
                _number(entry[name])
        except KeyError as error:
            problems.append(f"entry {place}: the key {error} is missing")
        except (TypeError, ValueError, AttributeError) as error:
            problems.append(f"entry {place}: {error}")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems[:20])
        raise InputError(f"{path} is no report that Locust's --json-file wrote:\n{listed}")
    used = [entry for entry in entries if entry["num_requests"]]
    if not used or not times:
        return None
    return Report(
        start_s=min(float(entry["start_time"]) for entry in used),
        end_s=max(_number(entry.get("last_request_timestamp") or entry["start_time"]) for entry in used),
        requests=sum(int(entry["num_requests"]) for entry in used),
        failures=sum(int(entry["num_failures"]) for entry in used),
        residence_s=sum(float(entry["total_response_time"]) for entry in used) / 1e3,
        bins=bins_of_histogram(times),
        requests_per_s=dict(per_s),
        failures_per_s=dict(failed_per_s),
        is_rounded_otherwise=significant_digits(times) > LEAST_DIGITS,
        endpoints=_by_name(used),
    )


def _by_name(entries: list[dict[str, Any]]) -> dict[str, LatencyBins]:
    """Bins by name, several methods of a name together; rare names are left out, so that there are not too many."""
    counts: defaultdict[str, Counter[float]] = defaultdict(Counter)
    for entry in entries:
        counts[str(entry.get("name", ""))].update(_counts(entry["response_times"]))
    least = LEAST_SHARE * sum(sum(item.values()) for item in counts.values())
    return {name: bins_of_histogram(item) for name, item in counts.items() if name and sum(item.values()) >= least}


def _entries(path: Path) -> list[dict[str, Any]]:
    with BoundedStream(path) as stream:
        parts = []
        while data := stream.read():
            parts.append(data)
            if stream.bytes_read > _MOST_BYTES:
                raise InputError(
                    f"{path} has more than {_MOST_BYTES // 2**20} MiB; such a report has too many names to be of use."
                )
    content = b"".join(parts)
    try:
        document = json.loads(content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from None
    if isinstance(document, dict) and isinstance(document.get("stats"), list):
        document = document["stats"]
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InputError(f"{path} holds no list of entries, as Locust's --json-file writes it.")
    return document


def _counts(counts: dict[str, Any]) -> dict[float, int]:
    found = {}
    for key, number in counts.items():
        value = float(key)
        if not (math.isfinite(value) and value >= 0 and _number(number) >= 0):
            raise ValueError(f"{key!r}: {number!r} is no count by a number from 0")
        found[value] = int(number)
    return found


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is no number from 0")
    return float(value)
