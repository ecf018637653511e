"""Looks at a server before it is loaded, so that a wrong address costs a second and not a test."""

from __future__ import annotations

import http.client
import socket
import ssl

from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.findings import Finding
from loadtests.foundation.http_client import Answer, fetch
from loadtests.load.plan import LoadPlan

_LONGEST_WAIT_S = 10.0
_WRONG = {
    401: "it wants credentials: give them as a header, 'Authorization: env:VARIABLE'",
    403: "these credentials may not",
    404: "there is no such path",
    405: "the path does not take this method",
}
_REDIRECTS = (301, 302, 303, 307, 308)
_UNAVAILABLE, _TOO_MANY = 503, 429
_CERTIFICATE_HINT = "if it wants a client certificate, give that with --cert FILE and --key FILE"


def preflight(host: str, plan: LoadPlan) -> tuple[Finding, ...]:
    """Send each request of the plan once, with its headers and TLS.

    Parameters
    ----------
    host : str
    plan : LoadPlan

    Returns
    -------
    tuple of Finding
        What does not stop a test but has to be known: answers 503 (a gate may be closed), 429, other 4xx and 5xx.

    Raises
    ------
    RunError
        When the host cannot be reached, does not answer, or TLS fails.
    InputError
        When a header's variable is not set, or requests are answered 401, 403, 404, 405 or by a redirect; all of them
        in one error.
    """
    plan.access.header_values()
    timeout_s = min(plan.request_timeout_s, _LONGEST_WAIT_S)
    kinds = dict.fromkeys((request.method, request.path, request.body) for request in plan.requests)
    answers = [
        (f"{method} {path}", _answer(host, plan, (method, path, body), timeout_s)) for method, path, body in kinds
    ]
    problems = [
        f"{name} is answered {answer.status} ({_why(answer)})"
        for name, answer in answers
        if answer.status in _WRONG or answer.status in _REDIRECTS
    ]
    if problems:
        raise InputError(f"The plan does not fit {host}: {'; '.join(problems)}. Correct the requests of the plan.")
    return tuple(_finding(name, answer.status) for name, answer in answers if answer.status >= 400)


def _why(answer: Answer) -> str:
    if answer.status in _REDIRECTS:
        return f"a redirect to {answer.location!r}, which is not followed: give that address"
    return _WRONG[answer.status]


def _finding(name: str, status: int) -> Finding:
    numbers = {"request": name, "status": status}
    said = f"Before the load, {name} was answered {status}"
    if status == _UNAVAILABLE:
        return Finding("preflight-unavailable", "info", f"{said}: the gate is closed, or it is not ready.", "", numbers)
    if status == _TOO_MANY:
        message = f"{said}: a limit for each client turns requests away already, which is not the server's capacity."
        remedy = "Raise the limit for the load generator's address or credentials, or load from more addresses."
        return Finding("preflight-rate-limited", "warning", message, remedy, numbers)
    if status >= 500:
        message = f"{said}, without any load: its failures in the recording are not the load's."
        return Finding("preflight-server-error", "warning", message, "Repair the server, or leave it out.", numbers)
    message = f"{said}: the server does not take the request as it is sent."
    return Finding("preflight-client-error", "warning", message, "Correct its path, body or headers.", numbers)


def _answer(host: str, plan: LoadPlan, request: tuple[str, str, str], timeout_s: float) -> Answer:
    method, path, body = request
    try:
        return fetch(host + path, method=method, timeout_s=timeout_s, body=body, access=plan.access)
    except ConnectionRefusedError:
        why = "refuses connections; start the server there, or correct the host"
    except socket.gaierror:
        why = "has a name that cannot be resolved; correct the host"
    except TimeoutError:
        why = f"did not answer {method} {path} within {timeout_s:g} s; check the server and the network"
    except ssl.SSLCertVerificationError as error:
        why = (
            f"shows a certificate that is not trusted ({error.verify_message.rstrip('.')}); name the file of its "
            "authority (--ca FILE), correct the host's name, or load it unchecked (--insecure)"
        )
    except ssl.SSLError as error:
        why = _tls_failure(error)
    except (OSError, http.client.HTTPException) as error:
        hint = _CERTIFICATE_HINT if host.startswith("https") else "check whether it wants https://"
        why = f"gave no HTTP answer to {method} {path} ({error!r}); check the address; {hint}"
    raise RunError(f"The host {host} {why}.")


def _tls_failure(error: ssl.SSLError) -> str:
    reason = str(error.reason or error)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "does not speak TLS; write http:// instead of https://, or correct the port"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"refuses this client ({reason}); {_CERTIFICATE_HINT}"
    return f"and this client do not agree on TLS ({reason}); check its versions; {_CERTIFICATE_HINT}"
