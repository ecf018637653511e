"""One small HTTP request at a time, for probes and polls (load itself comes from Locust)."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loadtests.foundation.errors import InputError


@dataclass(frozen=True)
class Answer:
    """Status and body of a response."""

    status: int
    body: bytes

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
            "not supported: give http://NAME:PORT of a server that needs none, for example behind a local proxy."
        )
    if not valid:
        raise InputError(
            f"The host is {host!r}; write it as http://NAME:PORT or https://NAME, e.g. http://127.0.0.1:8080."
        )
    return host.rstrip("/")


def fetch(url: str, *, method: str = "GET", timeout_s: float = 5.0) -> Answer:
    """Send one request; an empty JSON object goes along with methods that carry a body.

    Raises
    ------
    OSError, http.client.HTTPException
        When there is no complete answer within `timeout_s` seconds.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


def without_credentials(host: str) -> str:
    """The address without user and password, which do not belong into a recording."""
    scheme, mark, rest = host.partition("://")
    server, slash, path = rest.partition("/")
    return scheme + mark + server.rpartition("@")[2] + slash + path
