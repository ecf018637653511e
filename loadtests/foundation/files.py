"""Files that are whole or absent: temporary file, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from loadtests.foundation.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and takes its place.

    On any exception the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.chmod(0o644)
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; return the path."""
    path = Path(path)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def to_json(document: Any) -> str:
    """JSON text without NaN or Infinity (they become null)."""
    return json.dumps(_without_nan(document), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: str | Path, document: Any) -> Path:
    """Write a JSON document, whole or not at all."""
    return write_text(path, to_json(document))


def read_json(path: str | Path, what: str = "JSON file") -> dict[str, Any]:
    """Read a JSON object; errors name the file and what was expected."""
    document = _read_document(Path(path), what)
    if not isinstance(document, dict):
        raise InputError(f"The {what} {path} holds a {type(document).__name__}; it must hold a JSON object.")
    return document


def read_json_or_toml(path: str | Path, what: str) -> dict[str, Any]:
    """Read an object, TOML where the file's name ends in .toml, else JSON; errors name the file."""
    path = Path(path)
    if path.suffix.lower() != ".toml":
        return read_json(path, what)
    if not path.is_file():
        raise InputError(f"The {what} {path} does not exist; give the path of a JSON or TOML file.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The {what} {path} is not valid TOML ({error}).") from None


def read_json_list(path: str | Path, what: str = "JSON file") -> list[Any]:
    """Read a JSON array; errors name the file and what was expected."""
    document = _read_document(Path(path), what)
    if not isinstance(document, list):
        raise InputError(f"The {what} {path} holds a {type(document).__name__}; it must hold a JSON array.")
    return document


def _read_document(path: Path, what: str) -> Any:
    if not path.is_file():
        raise InputError(f"The {what} {path} does not exist; give the path of a file.")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_object, path, what))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The {what} {path} is not valid JSON ({error}).") from None


def _object(path: Path, what: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file; a name that is given twice is a mistake, of which the last would win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"The {what} {path} gives {', '.join(twice)} twice in one object; give each name once.")
    return found


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
