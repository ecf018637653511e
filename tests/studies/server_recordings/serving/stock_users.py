"""A plain locustfile, nothing of this project in it: users who send, then think, and a log of their requests.

`THINK_S` is the mean of the exponential think time, `MIX` JSON of path -> weight, `REQUEST_LOG` the file of the log,
`USER_SEED` the seed. The log has the columns of Locust's own request logger; its timestamp is the time of sending.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from typing import Any

from locust import FastHttpUser, events, task

_THINK_S = float(os.environ["THINK_S"])
_MIX: dict[str, float] = json.loads(os.environ["MIX"])
_COLUMNS = ("timestamp", "request_type", "name", "response_time_ms", "response_length", "status_code", "exception")
_rows: list[tuple[Any, ...]] = []
_random = random.Random(int(os.environ["USER_SEED"]))


class ThinkingUser(FastHttpUser):
    """Sends one request of the mix, thinks, and so on."""

    network_timeout = connection_timeout = 30.0
    max_redirects = 0

    def wait_time(self) -> float:
        return _random.expovariate(1 / _THINK_S)

    @task
    def send(self) -> None:
        self.client.get(_random.choices(list(_MIX), weights=list(_MIX.values()))[0])


@events.request.add_listener
def note(request_type: str, name: str, response_time: float, response: Any, exception: Any, start_time: float,
         **_others: Any) -> None:  # fmt: skip
    error = "" if exception is None else f"{type(exception).__name__}:{exception}"
    _rows.append((f"{start_time:.6f}", request_type, name, f"{response_time:.3f}", "", response.status_code, error))


@events.quit.add_listener
def save(**_event: Any) -> None:
    with gzip.open(os.environ["REQUEST_LOG"], "wt", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_rows)
