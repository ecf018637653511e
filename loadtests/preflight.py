"""Looks at a server before it is loaded, so that a wrong address costs a second and not a test."""

from __future__ import annotations

import http.client
import socket

from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.http_client import fetch
from loadtests.plan import LoadPlan

_LONGEST_WAIT_S = 10.0
_WRONG = {401: "it wants credentials", 404: "there is no such path", 405: "the path does not take this method"}


def preflight(host: str, plan: LoadPlan) -> None:
    """Send each request of the plan once.

    Raises
    ------
    RunError
        When the host cannot be reached or does not answer.
    InputError
        When requests are answered 401, 404 or 405; all of them in one error.
    """
    timeout_s = min(plan.request_timeout_s, _LONGEST_WAIT_S)
    problems = []
    for method, path in dict.fromkeys((method, path) for method, path, _ in plan.requests):
        status = _status(host, method, path, timeout_s)
        if status in _WRONG:
            problems.append(f"{method} {path} is answered {status} ({_WRONG[status]})")
    if problems:
        raise InputError(f"The plan does not fit {host}: {'; '.join(problems)}. Correct the requests of the plan.")


def _status(host: str, method: str, path: str, timeout_s: float) -> int:
    try:
        return fetch(host + path, method=method, timeout_s=timeout_s).status
    except ConnectionRefusedError:
        why = "refuses connections; start the server there, or correct the host"
    except socket.gaierror:
        why = "has a name that cannot be resolved; correct the host"
    except TimeoutError:
        why = f"did not answer {method} {path} within {timeout_s:g} s; check the server and the network"
    except (OSError, http.client.HTTPException) as error:
        why = f"gave no HTTP answer to {method} {path} ({error!r}); check the address"
    raise RunError(f"The host {host} {why}.")
