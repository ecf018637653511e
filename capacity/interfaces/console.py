"""What the commands share: tables for people, JSON for machines, progress on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

VERDICT_FAILED = 99
_PIPE_WIDTH = 120
_MOST_NUMBERS, _MOST_DIGITS = 1_000, 9

_SEVERITY_STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


def out() -> Console:
    """The console of results (stdout); in a pipe wide enough for every table."""
    console = _plain_console()
    return console if console.is_terminal else _plain_console(width=_PIPE_WIDTH)


def messages() -> Console:
    """The console of messages and progress (stderr)."""
    return _plain_console(stderr=True)


def _plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Shows text as it is: paths and messages may hold what looks like markup. Styles come with `Text`."""
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def envelope(inputs: dict[str, Any], *, seed: int | None = None, packages: Sequence[str] = ()) -> dict[str, Any]:
    """What every JSON document of a command begins with: where its numbers came from."""
    return {
        "schema_version": SCHEMA_VERSION,
        "inputs": {name: str(value) if isinstance(value, Path) else value for name, value in inputs.items()},
        "seed": seed,
        "versions": versions_of(*packages),
    }


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout and nothing else."""
    sys.stdout.write(to_json(document))


def styled(*parts: tuple[str, str]) -> Text:
    """One line of texts, each with its style."""
    return Text.assemble(*parts)


def known(number: float, spec: str) -> str:
    """A number for a table; ``-`` where it is not known."""
    return format(number, spec) if math.isfinite(number) else "-"


def known_duration(seconds: float) -> str:
    """A time for a table; ``-`` where it is not known."""
    return format_duration(seconds) if math.isfinite(seconds) else "-"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose first column is left, the others right."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def print_findings(findings: Sequence[Finding], *, with_remedies_of_info: bool = False) -> None:
    """Findings in their order, with their remedies; those of mere information only where asked for."""
    console = out()
    for item in findings:
        style = _SEVERITY_STYLES[item.severity]
        line = styled((item.severity, style), (f" {item.message} ", ""), (f"[{item.code}]", "dim"))
        console.print(line, soft_wrap=True)
        if item.remedy and (with_remedies_of_info or item.severity != "info"):
            console.print(f"        {item.remedy}", style="dim", soft_wrap=True)


@dataclass(frozen=True)
class Stage:
    """One bar of a progress display."""

    bars: Progress
    task: TaskID

    def show(self, share: float, text: str) -> None:
        """Set the share done (0..1) and what is being done."""
        self.bars.update(self.task, completed=share, description=text)


@contextmanager
def progress(text: str) -> Iterator[Stage]:
    """Show a bar on stderr for the length of a ``with`` block."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=messages()) as bars:
        stage = Stage(bars, bars.add_task(text, total=1.0))
        yield stage
        bars.update(stage.task, completed=1.0)


def parse_numbers(text: str, name: str) -> list[int]:
    """Read ``1,2,4-6`` as whole numbers, each once, at most 1,000 of them."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not _is_whole(first) or (dash and not _is_whole(last)) or (dash and int(last) < int(first)):
            raise InputError(f"{name} is {text!r}; write whole numbers and ranges, for example 1,2,4-6.")
        between = range(int(first), int(last or first) + 1)
        if len(numbers) + len(between) > _MOST_NUMBERS:
            raise InputError(
                f"{name} is {text!r}, more than {_MOST_NUMBERS:,} numbers; name fewer, for example 5,10,20."
            )
        numbers += between
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        raise InputError(f"{name} is {text!r}, with {repeated[0]} more than once; give each number once.")
    return numbers


def _is_whole(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
