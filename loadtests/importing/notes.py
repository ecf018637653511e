"""What a reader noticed: many like problems become one finding with their number and first places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.foundation.findings import Finding, Severity

_FIRST = 5
_LONGEST = 80

_KINDS: dict[str, tuple[Severity, str, str]] = {
    "truncated-file": (
        "warning", "ends in the middle of a row or of its compression; that row is left out",
        "Copy the file again if the original is whole.",
    ),
    "wrong-number-of-fields": (
        "warning", "rows have another number of fields than the header and are left out",
        "Look at the lines named.",
    ),
    "unreadable-values": (
        "warning", "rows with values that are no numbers where numbers are needed; they are left out",
        "Look at the lines named.",
    ),
    "repeated-header": (
        "info", "header rows in the middle are skipped",
        "Several files were joined; check that no run occurs twice.",
    ),
    "mixed-encoding": (
        "info", "texts are not UTF-8; they were read as Latin-1", "Names may look wrong, numbers are right.",
    ),
    "counter-went-down": (
        "info", "times the statistics were reset, or a counter went down; counting starts again there",
        "Locust's --reset-stats does this at the end of the ramp.",
    ),
    "clock-went-back": (
        "warning", "rows are earlier than the row before; history rows are left out, requests are kept",
        "The load generator's clock was set, or files were joined.",
    ),
    "no-response-time": ("warning", "requests without a response time are left out", "They cannot count as served."),
    "too-many-names": (
        "warning", "requests beyond the first names are counted under (other)",
        "Give Locust's requests a name= that does not hold ids.",
    ),
    "line-too-long": (
        "warning", "lines are longer than any that Locust writes and are cut", "Look at the lines named.",
    ),
}  # fmt: skip


@dataclass
class Notes:
    """Collects what readers notice; its memory does not grow with the number of problems."""

    _seen: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    def add(self, code: str, path: Path, *, line: int | None = None, number: int = 1) -> None:
        """Note one problem, or `number` of them that begin at `line`."""
        entry = self._seen.setdefault((code, path.name if path.parent == Path() else str(path)), [0, []])
        entry[0] += number
        if line is not None and len(entry[1]) < _FIRST:
            entry[1].append(line)

    def has(self, code: str, path: Path) -> bool:
        """Whether such a problem was noted of this file."""
        return (code, str(path)) in self._seen

    def findings(self, names: Mapping[str, str]) -> tuple[Finding, ...]:
        """One finding for each kind of problem in each file.

        Parameters
        ----------
        names : mapping of str to str
            How to call a file, by its path.
        """
        return tuple(self._finding(code, names.get(path, path), *seen) for (code, path), seen in self._seen.items())

    @staticmethod
    def _finding(code: str, name: str, number: int, lines: list[int]) -> Finding:
        severity, text, remedy = _KINDS[code]
        where = f" (line {', '.join(map(str, lines))}{', ...' if number > len(lines) else ''})" if lines else ""
        count = "" if code == "truncated-file" else f"{number:,} "
        message = f"{printable(name)}{':' if count else ''} {count}{text}{where}."
        return Finding(code, severity, message, remedy, {"file": printable(name), "number": number, "lines": lines})


def printable(text: str) -> str:
    """Text for a message: control characters (terminal escapes, line breaks) are spelled out, long text is cut.

    Parameters
    ----------
    text : str
        A name from a file.

    Returns
    -------
    str
    """
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in cut)
