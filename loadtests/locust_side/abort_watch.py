"""Locust side: watches the requests of all workers and says when an abort condition is met."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.foundation.files import write_json
from loadtests.journals.journal import classify
from loadtests.load.abort import AbortCondition, Aborted, RecentRequests, RequestCounts

_KEY = "recent_requests"


class AbortWatch:
    """Counts requests where they finish, and judges them where the test is steered.

    A worker's counts travel with its reports to the master, every three seconds by Locust's rule. Locust's report is
    the only way there, so a master is that much later.

    Parameters
    ----------
    environment : locust.env.Environment
    conditions : sequence of AbortCondition
    notice : Path or None
        Where the reason is written (`loadtests.load.abort.Aborted`).
    """

    def __init__(self, environment: Any, conditions: Sequence[AbortCondition], notice: Path | None) -> None:
        self._recent = RecentRequests(conditions)
        self._unsent = RequestCounts()
        self._notice = notice
        self._aborted: Aborted | None = None
        happenings = environment.events
        happenings.request.add_listener(self.on_request)
        happenings.report_to_master.add_listener(self.on_report_to_master)
        happenings.worker_report.add_listener(self.on_worker_report)

    def on_request(self, **event: Any) -> None:
        """Count a request of this process."""
        status = int(getattr(event.get("response"), "status_code", 0) or 0)
        outcome, residence_s = classify(status, event.get("exception")), (event.get("response_time") or 0.0) / 1e3
        self._recent.cell(time.monotonic()).add(outcome, residence_s)
        self._unsent.add(outcome, residence_s)

    def on_report_to_master(self, data: dict[str, Any], **_event: Any) -> None:
        """Send the counts since the last report along."""
        data[_KEY], self._unsent = self._unsent.to_dict(), RequestCounts()

    def on_worker_report(self, data: dict[str, Any], **_event: Any) -> None:
        """Count what a worker reports."""
        if _KEY in data:
            self._recent.cell(time.monotonic()).update(RequestCounts.from_dict(data[_KEY]))

    @property
    def has_aborted(self) -> bool:
        """Whether a condition was met when it was last looked at."""
        return self._aborted is not None

    def aborted(self) -> Aborted | None:
        """The condition that was met first, if any; its reason is logged and written once."""
        if self._aborted is None:
            self._aborted = self._recent.aborted(time.monotonic())
            if self._aborted is not None:
                logging.getLogger(__name__).warning("The test ends early: %s.", self._aborted.text())
                if self._notice is not None:
                    write_json(self._notice, self._aborted.to_dict())
        return self._aborted
