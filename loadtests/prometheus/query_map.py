"""Which series of a Prometheus server hold what: the query map file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from loadtests.foundation.checks import positive, stated_number
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json_or_toml

_APPLICATION = '{path!~"/health|/health/.*|/ready|/metrics|/api/metrics"}'
_SELECTOR = re.compile(r"\s*[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{[^{}]*\})?\s*", re.DOTALL)
_HISTOGRAM = re.compile(r"\s*[a-zA-Z_:][a-zA-Z0-9_:]*_bucket\s*(\{.*\})?\s*", re.DOTALL)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = (
    "time_s", "ready", "ccu_utilization", "queue_utilization", "active_connections", "process_cpu_s",
    "process_resident_bytes",
)  # fmt: skip

IN_FLIGHT, WORKERS_BUSY, QUEUE_LENGTH = "in_flight", "workers_busy", "queue_length"
DEFAULT_GAUGES: dict[str, str] = {
    IN_FLIGHT: "fluxor_in_flight_requests",
    WORKERS_BUSY: "fluxor_workers_busy",
    QUEUE_LENGTH: "fluxor_queue_length",
    "db_in_use": "fluxor_db_connections_in_use",
    "cpu_seconds": "process_cpu_seconds_total",
    "resident_bytes": "process_resident_memory_bytes",
}


@dataclass(frozen=True)
class QueryMap:
    """The series to read. The defaults are the names that the bundled staging server serves.

    Selectors are PromQL without functions, ``name{label="value"}``: counters are taken raw, because
    `rate` and `increase` extrapolate and lose what was counted before a series' first sample.

    Parameters
    ----------
    requests : str
        Selector of the counter of answered requests. The default leaves out probes and scrapes,
        which do not pass the gate.
    status_label : str
        Its label with the HTTP status.
    duration_buckets : str
        Selector of a classic histogram's ``_bucket`` series; empty: latencies are not known.
    duration_unit_s : float
        Seconds in one unit of its edges: 0.001 where they are milliseconds.
    duration_status_label : str
        Its label with the HTTP status, if it has one; empty: outcomes are blended in it.
    process_start : str
        Selector of the time at which the process started, which shows restarts; empty: none.
    target_labels : tuple of str
        The labels that tell one scraped instance from another.
    gauges : dict of str to str
        PromQL by column of the gauges table; several series are summed. ``in_flight``,
        ``workers_busy`` and ``queue_length`` are also compared with the counters.

    Raises
    ------
    InputError
        With everything that is wrong.
    """

    requests: str = "http_requests_total" + _APPLICATION
    status_label: str = "status"
    duration_buckets: str = "http_request_duration_seconds_bucket" + _APPLICATION
    duration_unit_s: float = 1.0
    duration_status_label: str = ""
    process_start: str = "process_start_time_seconds"
    target_labels: tuple[str, ...] = ("job", "instance")
    gauges: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_GAUGES))

    def __post_init__(self) -> None:
        problems = [*_text_problems(self), *_gauge_problems(self.gauges), *_label_problems(self.target_labels)]
        try:
            unit_s = positive("duration_unit_s", stated_number("duration_unit_s", self.duration_unit_s))
            object.__setattr__(self, "duration_unit_s", unit_s)
        except InputError as error:
            problems.append(str(error))
        if problems:
            raise InputError("The query map cannot be used:\n" + "\n".join(f"  - {item}" for item in problems))
        object.__setattr__(self, "target_labels", tuple(self.target_labels))

    @property
    def duration_sum(self) -> str:
        """Selector of the histogram's ``_sum`` series."""
        name, brace, rest = self.duration_buckets.partition("{")
        return name.strip().removesuffix("_bucket") + "_sum" + brace + rest if self.duration_buckets else ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "target_labels": list(self.target_labels)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QueryMap:
        """Read a query map's object.

        Parameters
        ----------
        data : mapping
            Absent keys take their defaults; null means that there is no such series.

        Returns
        -------
        QueryMap

        Raises
        ------
        InputError
            With everything that is wrong, unknown keys included.
        """
        known = [item.name for item in fields(cls)]
        unknown = sorted(set(data) - {*known, "schema_version"})
        if unknown:
            raise InputError(f"A query map has no {', '.join(unknown)}; allowed are {', '.join(known)}.")
        given = {name: data[name] for name in known if name in data}
        empty: dict[str, Any] = {"gauges": {}, "target_labels": ()}
        return cls(**{name: empty.get(name, "") if value is None else value for name, value in given.items()})


def read_query_map(path: str | Path) -> QueryMap:
    """Read a query map from JSON or TOML (by the file's ending).

    Parameters
    ----------
    path : str or Path
        A file whose keys are the fields of `QueryMap`; absent ones take their defaults.

    Returns
    -------
    QueryMap

    Raises
    ------
    InputError
        When the file is missing or cannot be read, or with everything that is wrong in it.
    """
    return QueryMap.from_dict(read_json_or_toml(path, "query map"))


def _text_problems(given: QueryMap) -> list[str]:
    names = ("requests", "status_label", "duration_buckets", "duration_status_label", "process_start")
    problems = [
        f"{name} is {getattr(given, name)!r}; it must be text"
        for name in names
        if not isinstance(getattr(given, name), str)
    ]
    if problems:
        return problems
    selectors = (("requests", given.requests, True), ("process_start", given.process_start, False))
    for name, text, is_needed in selectors:
        if (text or is_needed) and not is_selector(text):
            problems.append(f'{name} is {text!r}; it must be a selector without functions, name{{label="value"}}')
    if given.duration_buckets and not (
        is_selector(given.duration_buckets) and _HISTOGRAM.fullmatch(given.duration_buckets)
    ):
        problems.append(
            f"duration_buckets is {given.duration_buckets!r}; it must select a classic histogram's series, whose name "
            "ends in _bucket (native histograms cannot be read)"
        )
    problems += _label_problems([given.status_label])
    return problems + _label_problems([given.duration_status_label] if given.duration_status_label else [])


def is_selector(text: str) -> bool:
    """Whether `text` is a metric with label matchers and nothing else, so that its raw samples can be asked for."""
    without_values = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', '""', text)
    return _SELECTOR.fullmatch(without_values) is not None


def _label_problems(labels: Any) -> list[str]:
    if not isinstance(labels, (list, tuple)):
        return [f"target_labels is {labels!r}; it must be a list of labels"]
    return [
        f"the label {label!r} is no name of a label"
        for label in labels
        if not (isinstance(label, str) and _LABEL.fullmatch(label))
    ]


def _gauge_problems(gauges: Any) -> list[str]:
    if not isinstance(gauges, Mapping):
        return [f"gauges is {gauges!r}; it must be an object with PromQL by name"]
    problems = [
        f"the gauge {name!r} has the query {query!r}; it must be PromQL text"
        for name, query in gauges.items()
        if not (isinstance(query, str) and query.strip())
    ]
    for name in gauges:
        if not (isinstance(name, str) and _COLUMN.fullmatch(name)):
            problems.append(f"the gauge's name {name!r} must be lower-case letters, digits and underscores")
        elif name in _TAKEN:
            problems.append(f"the gauge's name {name!r} is a column of every gauges table; choose another")
    return problems
