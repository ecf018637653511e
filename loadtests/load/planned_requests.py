"""What users send: requests with weights and bodies, and named mixes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loadtests.foundation.checks import one_of, positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.http_client import BODY_METHODS

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_MOST_BODY_BYTES = 1_000_000


class Request(NamedTuple):
    """One kind of request.

    Parameters
    ----------
    method, path : str
    weight : float
        Share of the mix, relative to the others'.
    body : str
        Empty: none, or an empty JSON object where the method carries a body.
    """

    method: str
    path: str
    weight: float = 1.0
    body: str = ""


DEFAULT_REQUESTS: tuple[Request, ...] = (Request("GET", "/api/users"),)

GUIDE_MIX: tuple[Request, ...] = (
    Request("GET", "/health", 30.0),
    Request("GET", "/ready", 20.0),
    Request("GET", "/api/users", 20.0),
    Request("POST", "/api/echo", 20.0, '{"message": "ping"}'),
    Request("GET", "/api/metrics", 10.0),
)
"""The mix of the guide's load scripts, percent; its users think 50 to 150 ms."""

GUIDE_THINK = "uniform:0.05:0.15"

MIXES: dict[str, tuple[Request, ...]] = {"guide": GUIDE_MIX}


def named_mix(name: str) -> tuple[Request, ...]:
    """The requests of a named mix.

    Parameters
    ----------
    name : str
        ``guide``.

    Returns
    -------
    tuple of Request

    Raises
    ------
    InputError
        For another name.
    """
    return MIXES[one_of("mix", name, MIXES)]


def parse_request(text: str) -> Request:
    """Read ``METHOD /path [weight [body]]``; the body is text, or ``@FILE`` (UTF-8).

    Parameters
    ----------
    text : str

    Returns
    -------
    Request

    Raises
    ------
    InputError
        When it cannot be read, or the file cannot.
    """
    match text.split(maxsplit=3):
        case [method, path]:
            return checked_request((method, path))
        case [method, path, weight]:
            return checked_request((method, path, _number(weight)))
        case [method, path, weight, body]:
            content = _content(Path(body[1:].strip())) if body.startswith("@") else body
            return checked_request((method, path, _number(weight), content))
    raise InputError(
        f"The request {text!r} cannot be read; write 'METHOD /path weight', e.g. 'GET /api/users 3', with a body after "
        "the weight where there is one: text, or @FILE."
    )


def format_request(request: Request) -> str:
    """What `parse_request` reads, its body in it.

    Parameters
    ----------
    request : Request

    Returns
    -------
    str
    """
    method, path, weight, body = request
    return f"{method} {path} {weight!r}" + (f" {body}" if body else "")


def checked_request(request: tuple[str, str] | tuple[str, str, float] | tuple[str, str, float, str]) -> Request:
    """A request from a tuple, its method in capitals.

    Parameters
    ----------
    request : tuple
        Method, path, weight (1 when left out), body (none when left out).

    Returns
    -------
    Request

    Raises
    ------
    InputError
        When it is not allowed.
    """
    method, path, weight, body = Request(*request)
    if method.upper() not in _METHODS or not path.startswith("/") or any(mark.isspace() for mark in path):
        raise InputError(
            f"The request {method!r} {path!r} is not allowed; the method is one of {', '.join(_METHODS)}, "
            "the path starts with / and has no spaces."
        )
    if body and method.upper() not in BODY_METHODS:
        raise InputError(
            f"The request {method} {path} has a body; only {', '.join(BODY_METHODS)} carry one, behind the weight."
        )
    if len(body.encode()) > _MOST_BODY_BYTES:
        raise InputError(f"The body of {method} {path} is longer than {_MOST_BODY_BYTES:,} bytes.")
    return Request(method.upper(), path, positive("weight of a request", weight), body)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The body file {path} cannot be read as UTF-8 text ({error}).") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"The weight of a request is {text!r}; it must be a number above 0.") from None


def planned_mix(requests: Sequence[Request], random: np.random.Generator) -> Iterator[Request]:
    """Requests drawn by their weights, without an end.

    Parameters
    ----------
    requests : sequence of Request
    random : numpy.random.Generator

    Yields
    ------
    Request
    """
    edges = np.cumsum([request.weight for request in requests])
    while True:
        for place in np.searchsorted(edges, random.random(64) * edges[-1], side="right"):
            yield requests[min(int(place), len(requests) - 1)]
