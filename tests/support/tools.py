"""Tools of the system that some tests need."""

import os
import shutil

import pytest


def needed_tool(name: str, package: str = "prometheus") -> str:
    """Path of a tool; without it the test is skipped, or fails where all tools must be there."""
    path = shutil.which(name)
    if path is None:
        reason = f"needs the tool {name} (Debian: apt-get install {package})"
        if os.environ.get("CAPACITY_REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
