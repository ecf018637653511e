"""How somebody's own server is approached: headers that go with every request, and TLS."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from loadtests.foundation.errors import InputError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VARIABLE = "env:"
_OF_THE_CLIENT = ("connection", "content-length", "host", "transfer-encoding")
_SECRET = ("authorization", "cookie", "proxy-authorization")


@dataclass(frozen=True)
class Header:
    """A header whose value is literal, or is read from the environment of the process that sends it.

    Parameters
    ----------
    name : str
    source : str
        ``env:VARIABLE``, or the value itself, which is then kept in clear in the recording.

    Raises
    ------
    InputError
        For a name that cannot be or that the client sets itself, a value with control characters,
        or a literal credential. Messages do not repeat values.
    """

    name: str
    source: str

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.name) or self.name.lower() in _OF_THE_CLIENT:
            raise InputError(
                f"The header name {self.name!r} is not allowed; it has letters, digits and - only, and is none of "
                f"{', '.join(_OF_THE_CLIENT)}, which the client sets itself."
            )
        if self.variable is None and self.name.lower() in _SECRET:
            raise InputError(
                f"The value of the header {self.name} would be kept in clear in the recording; put it into an "
                f"environment variable and write '{self.name}: env:VARIABLE'."
            )
        if self.variable == "":
            raise InputError(f"The header {self.name} names no variable; write '{self.name}: env:VARIABLE'.")
        if not _can_be_sent(self.source):
            raise InputError(f"The value of the header {self.name} holds characters that a header cannot carry.")

    @property
    def variable(self) -> str | None:
        """Name of the environment variable; None for a literal value."""
        return self.source[len(_VARIABLE) :].strip() if self.source.startswith(_VARIABLE) else None

    def text(self) -> str:
        """What `parse_header` reads."""
        return f"{self.name}: {self.source}"


def parse_header(text: str) -> Header:
    """Read ``NAME: env:VARIABLE`` or ``NAME: value``.

    Parameters
    ----------
    text : str

    Returns
    -------
    Header

    Raises
    ------
    InputError
        When it has no colon, or is not allowed.
    """
    name, colon, source = text.partition(":")
    if not colon:
        raise InputError("A header cannot be read; write 'NAME: env:VARIABLE' (or 'NAME: value', kept in clear).")
    return Header(name.strip(), source.strip())


@dataclass(frozen=True)
class Access:
    """Headers and TLS of every request to a server.

    Parameters
    ----------
    headers : tuple of Header
    ca : Path, optional
        File (PEM) of the authorities that sign the server's certificate, instead of the system's.
    is_insecure : bool
        Certificates are not checked.
    certificate, key : Path, optional
        Client certificate (PEM) and its key; the key may be in the certificate's file.

    Raises
    ------
    InputError
        For repeated headers, options that contradict each other, or files that do not exist; all in one error.
    """

    headers: tuple[Header, ...] = ()
    ca: Path | None = None
    is_insecure: bool = False
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        names = [header.name.lower() for header in self.headers]
        problems = [
            f"the header {name} is given more than once" for name in sorted(set(names)) if names.count(name) > 1
        ]
        if self.ca is not None and self.is_insecure:
            problems.append("authorities are given and certificates are not to be checked; give one of the two")
        if self.key is not None and self.certificate is None:
            problems.append("a key is given without its client certificate")
        for name in ("ca", "certificate", "key"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                problems.append(f"the {name} file {path} does not exist")
            object.__setattr__(self, name, None if path is None else Path(path).absolute())
        if problems:
            raise InputError(f"The server cannot be approached so: {'; '.join(problems)}.")

    def header_values(self) -> dict[str, str]:
        """Values by name, those of variables read from this process's environment.

        Returns
        -------
        dict of str to str

        Raises
        ------
        InputError
            When variables are missing or hold what a header cannot carry; all of them, without values.
        """
        problems, values = [], {}
        for header in self.headers:
            value = header.source if header.variable is None else os.environ.get(header.variable, "").strip()
            if not value and header.variable is not None:
                problems.append(f"{header.variable} (header {header.name}) is not set")
            elif not _can_be_sent(value):
                problems.append(f"{header.variable} (header {header.name}) holds characters that a header cannot carry")
            values[header.name] = value
        if problems:
            raise InputError(f"Environment variables of headers: {'; '.join(problems)}. Set them and run again.")
        return values

    def to_dict(self) -> dict[str, Any]:
        """JSON form: names of variables instead of their values, absolute paths."""
        paths = {name: str(path) for name in ("ca", "certificate", "key") if (path := getattr(self, name)) is not None}
        return {"headers": [header.text() for header in self.headers], "is_insecure": self.is_insecure, **paths}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Access:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        Access
        """
        paths = {name: Path(data[name]) for name in ("ca", "certificate", "key") if data.get(name)}
        headers = tuple(parse_header(text) for text in data.get("headers", ()))
        return cls(headers, is_insecure=bool(data.get("is_insecure")), **paths)


@lru_cache(maxsize=8)
def tls_context(access: Access) -> ssl.SSLContext:
    """One context for all connections of an access; reading the authorities takes milliseconds.

    Parameters
    ----------
    access : Access

    Returns
    -------
    ssl.SSLContext

    Raises
    ------
    InputError
        When a file cannot be read as PEM, or the key does not belong to the certificate.
    """
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"The ca file {access.ca} cannot be read as PEM certificates ({error}).") from None
    if access.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.certificate is not None:
        _load_certificate(context, access.certificate, access.key)
    return context


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def refuse_password() -> str:
        raise InputError(f"The key of {certificate} needs a password, which is not supported; give one without.")

    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The client certificate {certificate} and its key {key or '(in the same file)'} do not fit or cannot be "
            f"read as PEM ({error})."
        ) from None


def _can_be_sent(value: str) -> bool:
    return all((" " <= mark <= "ÿ" and mark != "\x7f") or mark == "\t" for mark in value)
