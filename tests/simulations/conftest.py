"""Fixtures of the simulation tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtests.recording import Recording
from support.synthetic_recordings import record_model


@pytest.fixture(scope="session")
def make_recording() -> Callable[..., Recording]:
    """A factory of synthetic recordings with a known truth."""
    return record_model
