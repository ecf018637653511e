"""Copies and hashes of a recording's files, made in a thread while its requests are worked on."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import TracebackType

_PIECE_BYTES = 1 << 20


class FileHashes:
    """Copies and hashes files one after the other in a thread; an error around it ends the thread's work early.

    A copy is of what was read, once, and so is its hash: a later edit of the original changes neither.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "file-hashes")
        self._made: dict[Path, Future[str]] = {}
        self._stop = Event()

    def __enter__(self) -> FileHashes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stop.set()
        self._thread.shutdown(cancel_futures=kind is not None)

    def copy(self, source: Path, target: Path) -> None:
        """Begin to copy a file, and to hash the copy."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._made[target] = self._thread.submit(self._hashed, source, target)

    def add(self, path: Path) -> None:
        """Begin to hash a file."""
        self._made[path] = self._thread.submit(self._hashed, path, None)

    def wait(self) -> dict[Path, str]:
        """The sha256 of every copy and file, as hex digits, when all are made.

        Raises
        ------
        OSError
            When one could not be read or written.
        """
        return {path: made.result() for path, made in self._made.items()}

    def _hashed(self, source: Path, target: Path | None) -> str:
        found, piece = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
        with ExitStack() as opened:
            stream = opened.enter_context(source.open("rb", buffering=0))
            copy = None if target is None else opened.enter_context(target.open("wb"))
            while (size := stream.readinto(piece)) and not self._stop.is_set():
                found.update(piece[:size])
                if copy is not None:
                    copy.write(piece[:size])
        return found.hexdigest()
