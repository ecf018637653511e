"""Shared by all tests: a bounded, reproducible Hypothesis profile, and a core for each of several test processes."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from loadtests.foundation.threads import THREADS

if "PYTEST_XDIST_WORKER" in os.environ:  # real-time tests run beside those that compute
    os.environ.setdefault(THREADS, "1")

settings.register_profile(
    "suite", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
