"""Can a result be written where it was asked for? Asked before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from loadtests.foundation.errors import InputError


def check_file_target(path: Path, option: str = "--out") -> Path:
    """Return `path` when a file can be written there."""
    if path.is_dir():
        raise InputError(f"{option} is {path}, a folder; name a file in it, for example {path / 'result.json'}.")
    _check_place(path.parent, path, option)
    return path


def check_folder_target(path: Path, option: str = "--out") -> Path:
    """Return `path` when it is a folder, or one can be made there."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{option} is {path}, a file; name a folder (it is made when it is not there).")
    _check_place(path, path, option)
    return path


def check_chart_target(path: Path, option: str = "--chart") -> Path:
    """Return `path` when a chart can be written there: a PNG file."""
    check_file_target(path, option)
    if path.suffix != ".png":
        raise InputError(f"{option} is {path}; charts are written as PNG: name a file that ends in .png.")
    return path


def _check_place(folder: Path, target: Path, option: str) -> None:
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise InputError(f"{option} is {target}, but {existing} is a file, not a folder; name another place.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{option} is {target}, but {existing} cannot be written to; name another place.")
