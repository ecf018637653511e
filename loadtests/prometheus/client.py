"""The one door to a Prometheus server: raw samples of a selector, and `query_range`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from prometheus_api_client import PrometheusConnect

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.http_client import check_host
from loadtests.foundation.server_access import Access, parse_header

Floats = NDArray[np.float64]

MOST_POINTS = 10_000
"""Points asked for at once; the server refuses more than 11,000 a series."""
_RAW_CHUNK_S = 3_600.0
_MOST_SERIES, _MOST_SAMPLES = 5_000, 20_000_000
_RETRIES = 2


@dataclass(frozen=True)
class PrometheusServer:
    """Where a Prometheus server is and how to be let in.

    Parameters
    ----------
    url : str
        Base address, for example ``http://127.0.0.1:9090``; a path prefix is allowed.
    header : str
        ``NAME: env:VAR``: the header's whole value stands in the environment variable, for example
        ``Authorization: env:PROMETHEUS_AUTHORIZATION`` with ``Bearer ...`` in it. Headers that are
        no secret may be written out, ``X-Scope-OrgID: team``.
    verify : bool or str
        Whether to check the certificate of an https address, or the file of the authority to trust.
    timeout_s : float
        Longest wait for one answer.

    Raises
    ------
    InputError
        For an address that is none or holds credentials, a header in another form, or a secret
        written out.
    """

    url: str
    header: str = ""
    verify: bool | str = True
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", check_host(self.url))
        object.__setattr__(self, "timeout_s", positive("timeout_s", self.timeout_s))
        _header_of(self.header)


@dataclass(frozen=True, eq=False)
class Series:
    """Samples of one series.

    Parameters
    ----------
    labels : dict of str to str
    time_s : array of float
        Seconds since 1970, ascending.
    value : array of float
        May hold NaN and infinities.
    """

    labels: dict[str, str]
    time_s: Floats
    value: Floats


def raw_series(server: PrometheusServer, selector: str, start_s: float, end_s: float) -> tuple[Series, ...]:
    """The samples of a selector as they were scraped, each with its own time.

    `query_range` would repeat and shift them; a range selector gives them as they are.

    Parameters
    ----------
    server : PrometheusServer
    selector : str
        Metric and label matchers, without functions.
    start_s, end_s : float
        Seconds since 1970, both included.

    Returns
    -------
    tuple of Series
        Empty when nothing matches.

    Raises
    ------
    InputError
        When the server does not understand the query, or too many series match.
    RunError
        When it cannot be reached, refuses, or is no Prometheus.
    """
    parts = []
    with _Connection(server) as connection:
        for first, last in _chunks(start_s, end_s, _RAW_CHUNK_S):
            milliseconds = max(math.ceil((last - first) * 1e3), 0) + 1  # newer servers leave out the older end
            parts.append(connection.query(f"{selector.strip()}[{milliseconds}ms]", last))
    return _joined(parts, selector, start_s, end_s)


def query_range(
    server: PrometheusServer, query: str, start_s: float, end_s: float, step_s: float
) -> tuple[Series, ...]:
    """A query's value at evenly spaced moments, asked for in chunks that the server accepts.

    A value is that of the last scrape at or before its moment.

    Parameters
    ----------
    server : PrometheusServer
    query : str
        Any PromQL whose value is a number or a vector.
    start_s, end_s : float
        Seconds since 1970.
    step_s : float
        Distance of the moments, whole milliseconds.

    Returns
    -------
    tuple of Series

    Raises
    ------
    InputError, RunError
        As for `raw_series`.
    """
    step_s = max(round(positive("step_s", step_s), 3), 0.001)
    parts = []
    with _Connection(server) as connection:
        for first, last in _chunks(start_s, end_s, (MOST_POINTS - 1) * step_s, gap_s=step_s):
            parts.append(connection.query_range(query, first, last, step_s))
    return _joined(parts, query, start_s, end_s)


def server_time(server: PrometheusServer) -> float:
    """What the server's clock shows, seconds since 1970.

    Raises
    ------
    RunError
        When it cannot be reached, refuses, or is no Prometheus.
    """
    with _Connection(server) as connection:
        result = connection.query("vector(time())")
    try:
        return float(result[0]["value"][1])
    except (LookupError, TypeError, ValueError):
        raise _no_prometheus(server.url, "it does not tell the time") from None


def _chunks(start_s: float, end_s: float, length_s: float, gap_s: float = 0.0) -> Iterator[tuple[float, float]]:
    """Pieces of a range, each `length_s` long, the next one `gap_s` behind it."""
    first = start_s
    while True:
        last = min(first + length_s, end_s)
        yield first, last
        first = last + gap_s
        if first > end_s or last >= end_s:
            return


def _joined(parts: list[list[dict[str, Any]]], query: str, start_s: float, end_s: float) -> tuple[Series, ...]:
    """The series of all chunks, each sample once, in the order of time."""
    found: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
    samples = 0
    for result in parts:
        for item in result:
            if "values" not in item:
                raise InputError(f"{query!r} gives native histograms, which cannot be read; name a classic series.")
            key = tuple(sorted(item["metric"].items()))
            found.setdefault(key, []).extend(item["values"])
            samples += len(item["values"])
    if len(found) > _MOST_SERIES or samples > _MOST_SAMPLES:
        raise InputError(
            f"{query!r} matches {len(found):,} series with {samples:,} samples; at most {_MOST_SERIES:,} and "
            f"{_MOST_SAMPLES:,} can be read. Add label matchers, or shorten the range."
        )
    return tuple(_series(dict(key), values, start_s, end_s) for key, values in found.items())


def _series(labels: dict[str, str], values: list[list[Any]], start_s: float, end_s: float) -> Series:
    times, first = np.unique(np.array([float(at) for at, _ in values]), return_index=True)
    numbers = np.array([float(value) for _, value in values])[first]
    inside = (times >= start_s - 5e-4) & (times <= end_s + 5e-4)  # the server counts in milliseconds
    return Series(labels, times[inside], numbers[inside])


class _Connection:
    """A session with one server whose refusals are our errors."""

    def __init__(self, server: PrometheusServer) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.verify = server.verify
        name, value = _header_of(server.header)
        self._client = PrometheusConnect(
            server.url, session=self._session, retry=_RETRIES, timeout=server.timeout_s, auth=_Header(name, value)
        )
        self._query = ""
        self._session.hooks["response"].append(self._check)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def query(self, query: str, at_s: float | None = None) -> list[dict[str, Any]]:
        at = {} if at_s is None else {"time": f"{at_s:.3f}"}
        return self._asked(query, lambda: self._client.custom_query(query, params=at))

    def query_range(self, query: str, start_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        first, last = datetime.fromtimestamp(start_s, UTC), datetime.fromtimestamp(end_s, UTC)
        exact = {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}"}  # the client rounds its own to whole seconds
        return self._asked(
            query, lambda: self._client.custom_query_range(query, first, last, f"{step_s:.3f}", params=exact)
        )

    def _asked(self, query: str, ask: Any) -> list[dict[str, Any]]:
        self._query = query
        url = self._server.url
        try:
            result = ask()
        except requests.exceptions.SSLError as error:
            raise RunError(
                f"The certificate of {url} was not accepted ({_short(error)}); name the file of its authority, or "
                "switch the check off if you know the way to it is safe."
            ) from None
        except requests.exceptions.JSONDecodeError:
            raise _no_prometheus(url, "its answer is no JSON") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise RunError(
                f"Prometheus at {url} cannot be reached ({_short(error)}); check address, port and network, or wait "
                f"longer than {self._server.timeout_s:g} s."
            ) from None
        except (KeyError, TypeError):
            raise _no_prometheus(url, "its answer holds no result") from None
        if not isinstance(result, list) or not all(isinstance(item, dict) and "metric" in item for item in result):
            raise _no_prometheus(url, "its answer holds no list of series")
        return result

    def _check(self, response: requests.Response, *_: object, **__: object) -> None:
        if response.status_code < 400:
            return
        url, said = self._server.url, _said(response)
        if response.status_code in (401, 403):
            raise RunError(
                f"{url} answers {response.status_code} ({said or response.reason}); give a header that lets you in, "
                "for example 'Authorization: env:VAR'."
            )
        if response.status_code == 400 and said:
            raise InputError(f"{url} does not accept the query {self._query!r}: {said}.")
        if said:
            raise RunError(f"{url} answers {response.status_code} to {self._query!r}: {said}.")
        raise _no_prometheus(url, f"it answers {response.status_code} {response.reason}")


class _Header(requests.auth.AuthBase):
    """Adds one header; as `auth`, so that a netrc file does not replace it."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._name:
            request.headers[self._name] = self._value
        return request


def _header_of(text: str) -> tuple[str, str]:
    """Name and value of a header as `parse_header` reads it; empty without one."""
    if not text:
        return "", ""
    header = parse_header(text)
    return header.name, Access((header,)).header_values()[header.name]


def _said(response: requests.Response) -> str:
    """Prometheus' own message; empty when the answer is not Prometheus'."""
    try:
        document = response.json()
    except ValueError:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    text = "".join(sign if sign.isprintable() else " " for sign in str(error or "")[:500])
    return text.rstrip(".")


def _no_prometheus(url: str, reason: str) -> RunError:
    return RunError(
        f"There is no Prometheus at {url}: {reason}. Give the address under which {url}/api/v1/query answers, with "
        "its path prefix if it has one."
    )


def _short(error: BaseException) -> str:
    """The innermost reason, in one line."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rsplit("Caused by ", 1)[-1].strip("()")[:300]
