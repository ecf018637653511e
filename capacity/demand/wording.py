"""How numbers, months and tables are written for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from html import escape


def amount(value: Fraction | float) -> str:
    """A load or a capacity: ``4,472``, below 100 with up to four digits (``2.5``)."""
    number = float(value)
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.4g}"


def percent(fraction: Fraction | float) -> str:
    """A fraction as a percentage: ``66.7 %``, ``25 %``, ``0.13 %``, ``< 0.01 %``."""
    number = 100 * float(fraction)
    if 0 < number < 0.01:
        return "< 0.01 %"
    return f"{number:.3g} %" if abs(number) < 1_000 else f"{number:,.0f} %"


def signed_percent(fraction: float) -> str:
    """A change: ``+19.4 %``."""
    return f"{100 * fraction:+.1f} %"


def counted(count: int, noun: str) -> str:
    """``1 instance``, ``3 instances``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def number_range(low: int, high: int) -> str:
    """``3``, or ``2-3`` when the ends differ."""
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def month_span(first: int, last: int | None) -> str:
    """``month 5 on``, ``month 3``, ``months 0-2``."""
    if last is None:
        return f"month {first} on"
    return f"month {first}" if first == last else f"months {first}-{last}"


def month_list(months: Iterable[int]) -> str:
    """Months with their runs joined: ``month 2``, ``months 0-2, 6``."""
    runs: list[list[int]] = []
    for month in sorted(months):
        if runs and month == runs[-1][1] + 1:
            runs[-1][1] = month
        else:
            runs.append([month, month])
    text = ", ".join(number_range(first, last) for first, last in runs)
    return f"month {text}" if len(runs) == 1 and runs[0][0] == runs[0][1] else f"months {text}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns right-aligned, except the last, which is free text."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header) - 1)]
    lines = ("  ".join([*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A plain HTML table; all text is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
