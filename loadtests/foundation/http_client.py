"""One small HTTP request at a time, for probes and polls (load itself comes from Locust)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from loadtests.foundation.errors import InputError
from loadtests.foundation.server_access import Access, tls_context

BODY_METHODS = ("PATCH", "POST", "PUT")
EMPTY_BODY = "{}"


@dataclass(frozen=True)
class Answer:
    """Status and body of a response, and where a redirect points."""

    status: int
    body: bytes
    location: str = ""

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is something else."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


def check_host(host: str) -> str:
    """Return `host` without a trailing slash; it must be an http or https address such as ``http://127.0.0.1:8080``.

    Raises
    ------
    InputError
        When it is no such address, or holds a user or a password: the address is written into
        the recording in clear. The message does not repeat them.
    """
    try:
        parts = urlsplit(host)
        named = "@" in parts.netloc
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named, valid = "@" in host, False
    if named:
        raise InputError(
            "The host holds a user name or password, which would be kept in clear in the recording; credentials are "
            "not supported there: give http://NAME:PORT, and credentials as a header from the environment "
            "('Authorization: env:VARIABLE')."
        )
    if not valid:
        raise InputError(
            f"The host is {host!r}; write it as http://NAME:PORT or https://NAME, e.g. http://127.0.0.1:8080."
        )
    return host.rstrip("/")


def with_content_type(headers: Mapping[str, str], body: str) -> dict[str, str]:
    """The headers, and where they state no type of the body: ``application/json`` when it is JSON, else ``text/plain``.

    Parameters
    ----------
    headers : mapping
    body : str
        Empty: none.

    Returns
    -------
    dict of str to str
    """
    if not body or any(name.lower() == "content-type" for name in headers):
        return dict(headers)
    try:
        json.loads(body)
    except ValueError:
        return {"Content-Type": "text/plain; charset=utf-8", **headers}
    return {"Content-Type": "application/json", **headers}


def fetch(
    url: str, *, method: str = "GET", timeout_s: float = 5.0, body: str = "", access: Access | None = None
) -> Answer:
    """Send one request; an empty JSON object goes along with methods that carry a body and have none.

    Parameters
    ----------
    url : str
    method : str, default "GET"
    timeout_s : float, default 5
        Longest wait for the connection and for each part of the answer, seconds.
    body : str, optional
    access : Access, optional
        Headers and TLS.

    Returns
    -------
    Answer
        Redirects are not followed.

    Raises
    ------
    OSError, http.client.HTTPException
        When there is no complete answer within `timeout_s` seconds.
    InputError
        When a header's variable or a TLS file cannot be read.
    """
    access = access or Access()
    parts = urlsplit(url)
    connection = _connection(parts, timeout_s, access)
    body = body or (EMPTY_BODY if method in BODY_METHODS else "")
    headers = with_content_type(access.header_values(), body)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body.encode() or None, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read(), response.headers.get("Location", ""))
    finally:
        connection.close()


def _connection(parts: SplitResult, timeout_s: float, access: Access) -> http.client.HTTPConnection:
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=tls_context(access))


def without_credentials(host: str) -> str:
    """The address without user and password, which do not belong into a recording."""
    scheme, mark, rest = host.partition("://")
    server, slash, path = rest.partition("/")
    return scheme + mark + server.rpartition("@")[2] + slash + path
