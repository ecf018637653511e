"""What all charts share: colours, sizes and new axes.

Without `ax` a chart opens a figure through pyplot, so that a notebook shows it
by itself. Programs that write files make a figure of their own with
`new_figure` and pass its axes: no global state, nothing to close.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loadtests.foundation.units import Quantity

# M. Okabe, K. Ito, Color Universal Design, 2008: told apart with every common kind of colour vision.
BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"

DPI = 120
SIZE = (8.0, 4.8)

_UNITS = {
    Quantity.USERS: "users",
    Quantity.CONNECTIONS: "connections",
    Quantity.IN_FLIGHT: "requests in flight",
    Quantity.RPS: "requests per second",
    Quantity.CCU: "CCU",
}


def new_axes(ax: Axes | None = None, size: tuple[float, float] = SIZE) -> Axes:
    """Return `ax`, or the axes of a new pyplot figure of `size` inches whose layout keeps labels apart."""
    if ax is not None:
        return ax
    return pyplot.figure(figsize=size, dpi=DPI, layout="constrained").add_subplot()


def new_figure(
    panels: int = 1, size: tuple[float, float] = SIZE, *, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """Make a figure that pyplot does not know of, with `panels` axes of `size` inches each, by default side by side."""
    columns = columns or panels
    rows = -(-panels // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=DPI, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(panels)]


def unit_of(quantity: Quantity) -> str:
    """A quantity's unit for an axis label."""
    return _UNITS[quantity]


def tidy(ax: Axes) -> None:
    """Light frame and grid, behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, axis="y", color=GREY, alpha=0.25, linewidth=0.7)
    ax.set_axisbelow(True)


def month_axis(ax: Axes, last_month: int) -> None:
    """Whole months from half a month before 0 to half a month after the last."""
    ax.set_xlim(-0.5, last_month + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=13, integer=True, min_n_ticks=1))
    ax.set_xlabel("months from today")


def amount_axis(ax: Axes, label: str) -> None:
    """Loads from 0 upwards, with thousands separated."""
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.set_ylabel(label)


def legend_below(ax: Axes, handles: Sequence[Artist], columns: int = 2) -> None:
    """Place a legend under the axes, where it covers no data."""
    ax.legend(
        handles=list(handles), loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, frameon=False, fontsize=9
    )  # fmt: skip
