"""CSV files as people and spreadsheets leave them: encodings, separators, decimal commas, cut rows."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.foundation.errors import InputError
from loadtests.importing.notes import Notes
from loadtests.importing.safe_files import BoundedStream

SEPARATORS = (",", ";", "\t", "|")
NOT_KNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "-", "inf", "-inf", "infinity"})
_LONGEST_LINE = 1 << 20
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class TextRow:
    """One row of a CSV file: where it stands and its fields by column (lower case)."""

    path: Path
    line: int
    fields: Mapping[str, str]
    has_decimal_comma: bool

    def text(self, column: str) -> str:
        """The field as it stands, empty where there is no such column."""
        return self.fields.get(column, "")

    def number(self, column: str) -> float:
        """The field as a number; NaN where it is not known.

        Raises
        ------
        ValueError
            When it is something else.
        """
        return parse_number(self.fields.get(column, ""), has_decimal_comma=self.has_decimal_comma)


def parse_number(text: str, *, has_decimal_comma: bool = False) -> float:
    """A number, NaN for `NOT_KNOWN` words; ValueError for anything else."""
    word = text.strip().strip('"')
    if word.lower() in NOT_KNOWN:
        return math.nan
    if "_" in word:
        raise ValueError(f"{text!r} is no number")
    return float(word.replace(",", ".") if has_decimal_comma else word)


def read_header(path: Path) -> tuple[tuple[str, ...], str]:
    """The columns of a CSV file (as they stand) and its separator; none where its first line is no line of a CSV."""
    with BoundedStream(path) as stream:
        line = next((text for text in _lines(stream, path, Notes()) if text.strip()), "")
    separator = max(SEPARATORS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        names = line.split(separator)
    return tuple(name.strip() for name in names), separator


def read_rows(path: Path, notes: Notes) -> Iterator[TextRow]:
    """The rows of a CSV file one by one; what does not fit is noted and left out.

    Parameters
    ----------
    path : Path
        Plain or gzip; UTF-8, UTF-16 with a byte order mark, or Latin-1 line by line.
    notes : Notes
        Takes what was noticed.
    """
    header, separator = read_header(path)
    columns = tuple(name.lower() for name in header)
    with BoundedStream(path) as stream:
        reader = csv.reader(_lines(stream, path, notes), delimiter=separator)
        cut: int | None = None
        is_first = True
        for fields in _until_unreadable(reader, path, notes):
            if cut is not None:
                notes.add("wrong-number-of-fields", path, line=cut)
                cut = None
            if not fields:
                continue
            if tuple(field.strip().lower() for field in fields) == columns:
                if not is_first:
                    notes.add("repeated-header", path, line=reader.line_num)
            elif len(fields) != len(columns):
                cut = reader.line_num
            else:
                yield TextRow(path, reader.line_num, dict(zip(columns, fields, strict=True)), separator != ",")
            is_first = False
        if cut is not None or stream.is_cut:
            notes.add("truncated-file", path, line=cut)


def require_columns(path: Path, columns: tuple[str, ...], required: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Which of the known names each needed column has in this file.

    Parameters
    ----------
    path : Path
    columns : tuple of str
        The header.
    required : mapping of str to tuple of str
        Known names (lower case), by what they mean to us.

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        With all that are missing.
    """
    present = {name.lower() for name in columns}
    found = {meaning: next((name for name in names if name in present), "") for meaning, names in required.items()}
    missing = [" or ".join(required[meaning]) for meaning, name in found.items() if not name]
    if missing:
        raise InputError(
            f"{path}, line 1: the columns {', '.join(missing)} are missing; it has {', '.join(columns[:40]) or 'none'}."
        )
    return found


def _until_unreadable(reader: Iterator[list[str]], path: Path, notes: Notes) -> Iterator[list[str]]:
    """The reader's rows; one that the CSV format does not allow is noted and skipped."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            notes.add("wrong-number-of-fields", path, line=getattr(reader, "line_num", None))


def _lines(stream: BoundedStream, path: Path, notes: Notes) -> Iterator[str]:
    """Decoded lines with their ends, none longer than 1 MiB."""
    raw: io.BufferedReader = io.BufferedReader(stream, 1 << 16)
    if raw.peek(2)[:2] in UTF16_MARKS:
        yield from iter(lambda: text.readline(_LONGEST_LINE), "") if (text := _utf16(raw)) else ()
        return
    for number, line in enumerate(iter(lambda: raw.readline(_LONGEST_LINE), b""), 1):
        if len(line) == _LONGEST_LINE:
            notes.add("line-too-long", path, line=number)
            _skip_line(raw)
        yield _decode(line, number, path, notes)


def _utf16(raw: io.BufferedReader) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding="utf-16", errors="replace", newline="")


def _skip_line(raw: io.BufferedReader) -> None:
    while (rest := raw.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _decode(line: bytes, number: int, path: Path, notes: Notes) -> str:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        notes.add("mixed-encoding", path, line=number)
        return line.decode("latin-1")
