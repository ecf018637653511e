"""Opening files that others wrote: no way out of their folder, bounded decompression."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

from loadtests.foundation.errors import InputError

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_GZIP_BITS = 31
_PIECE = 2**20
MOST_BYTES = 64 * 2**30
MOST_RATIO, _RATIO_FROM_BYTES = 200, 64 * 2**20
"""A request log shrinks 10 to 20 times; gzip's limit is about 1,030 (zlib's documentation)."""


def inside(base: Path, path: Path) -> Path:
    """Return `path` when it, with every link followed, is a file inside the folder `base`.

    Parameters
    ----------
    base, path : Path

    Returns
    -------
    Path

    Raises
    ------
    InputError
        When it is missing, no plain file, or leads outside.
    """
    real = path.resolve()
    if not real.is_relative_to(base.resolve()):
        raise InputError(f"{path} leads to {real}, outside the folder {base}; copy the file into that folder.")
    if not real.is_file():
        raise InputError(f"{path} is not a file.")
    return path


class BoundedStream(io.RawIOBase):
    """Bytes of a plain or gzip file, read once from its begin; a cut file ends where its data end.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        For a zip file at once; while reading, when the file unpacks to more than is believable.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = path.open("rb")
        head = self._file.read(len(_ZIP))
        self._file.seek(0)
        if head == _ZIP:
            self._file.close()
            raise InputError(
                f"{path} is a zip file; unpack it and give the CSV file in it (a .csv.gz is read as it is)."
            )
        self._is_packed = head.startswith(_GZIP)
        self._unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
        self._waiting = b""
        self._packed_bytes = max(path.stat().st_size, 1)
        self.bytes_read = 0
        self.is_cut = False
        self.ends_with_line = True

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as there are bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most 1 MiB at a time; none at the end."""
        wanted = min(size, _PIECE) if size >= 0 else _PIECE
        try:
            data = self._unpacked(wanted) if self._is_packed else self._file.read(wanted)
        except zlib.error:
            self.is_cut, data = True, b""
        self.bytes_read += len(data)
        if data:
            self.ends_with_line = data.endswith(b"\n")
        self._check()
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _unpacked(self, size: int) -> bytes:
        """At most `size` unpacked bytes; whatever there is of a file that was cut."""
        while size:
            if self._unpacker.eof:
                self._waiting = self._unpacker.unused_data or self._file.read(_PIECE)
                if not self._waiting:
                    return b""
                self._unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
            packed = self._waiting or self._file.read(_PIECE)
            data = self._unpacker.decompress(packed, size)
            self._waiting = self._unpacker.unconsumed_tail
            if data:
                return data
            if not packed and not self._unpacker.eof:
                self.is_cut = True
                return b""
        return b""

    def _check(self) -> None:
        ratio = self.bytes_read / self._packed_bytes
        is_bomb = self._is_packed and self.bytes_read > _RATIO_FROM_BYTES and ratio > MOST_RATIO
        if is_bomb or self.bytes_read > MOST_BYTES:
            raise InputError(
                f"{self._path} unpacks to more than {self.bytes_read // 2**20:,} MiB, {ratio:,.0f} times its size; a "
                f"request log unpacks to at most {MOST_RATIO} times, and at most {MOST_BYTES // 2**30} GiB are read."
            )
