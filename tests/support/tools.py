"""Tools of the system and optional packages that some tests need."""

import os
import shutil
from importlib.util import find_spec

import pytest


def needed_tool(name: str, package: str = "prometheus") -> str:
    """Path of a tool; without it the test is skipped, or fails where all tools must be there."""
    path = shutil.which(name)
    if path is None:
        _missing(f"needs the tool {name} (Debian: apt-get install {package})")
    return str(path)


def needed_module(name: str) -> None:
    """Without a package of the development extra the test is skipped, or fails where all tools must be there."""
    if find_spec(name) is None:
        _missing(f"needs the package {name} (pip install -e '.[dev]', or ./run)")


def _missing(reason: str) -> None:
    if os.environ.get("CAPACITY_REQUIRE_TOOLS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
