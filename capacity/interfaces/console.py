"""What the commands share: tables for people, JSON for machines, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.foundation.findings import Finding

VERDICT_FAILED = 99
_PIPE_WIDTH = 120

_SEVERITY_STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


def out() -> Console:
    """The console of results (stdout); in a pipe wide enough for every table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def messages() -> Console:
    """The console of messages and progress (stderr)."""
    return Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout and nothing else."""
    sys.stdout.write(to_json(document))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose first column is left, the others right."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def print_findings(findings: Sequence[Finding]) -> None:
    """Findings with their remedy, most severe first."""
    console = out()
    for item in findings:
        style = _SEVERITY_STYLES[item.severity]
        console.print(f"[{style}]{item.severity}[/] {item.message} [dim]\\[{item.code}][/]", soft_wrap=True)
        if item.remedy and item.severity != "info":
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
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=messages()) as bars:
        stage = Stage(bars, bars.add_task(text, total=1.0))
        yield stage
        bars.update(stage.task, completed=1.0)


def parse_numbers(text: str, name: str) -> list[int]:
    """Read ``1,2,4-6`` as whole numbers."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise InputError(f"{name} is {text!r}; write whole numbers and ranges, for example 1,2,4-6.")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
