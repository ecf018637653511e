"""The versions that a result was computed with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

SCHEMA_VERSION = 1


def versions_of(*packages: str) -> dict[str, str]:
    """Installed versions of this library, Python and `packages` (without importing them)."""
    found = {"python": platform.python_version()}
    for package in ("fluxor-capacity", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
