"""The chart of the benchmark: how many times the peer's requests per second, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from benchmarks.cases import CALLBACKS, CIW, CPP, PROCESSES

# M. Okabe, K. Ito, Color Universal Design, 2008; the groups are also named, so the chart reads in grey.
COLOURS = {PROCESSES: "#56B4E9", CALLBACKS: "#E69F00", CIW: "#009E73", CPP: "#CC79A7"}
GREY = "#767676"
BAR = 0.62
INCHES_A_LINE = 0.27


def write_chart(results: dict[str, Any], path: Path) -> None:
    """Draw the measured cases into a PNG file."""
    groups = groups_of(results)
    lines = sum(len(rows) + 1 for rows in groups.values())
    figure = Figure(figsize=(8.4, 1.3 + INCHES_A_LINE * lines), dpi=120, layout="constrained")
    plot_ratios(groups, figure.add_subplot())
    figure.savefig(path, metadata={"Software": None})


def groups_of(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Measured rows by peer, in the order of the chart."""
    rows = [row for row in results["cases"] if "ratio" in row]
    by_peer = {peer: [row for row in rows if row["against"] == peer] for peer in COLOURS}
    return {peer: found for peer, found in by_peer.items() if found}


def plot_ratios(groups: dict[str, list[dict[str, Any]]], ax: Axes) -> Axes:
    """One block of bars a peer, under its name."""
    place, places, names = 0, [], []
    for peer, rows in groups.items():
        ax.text(0, place, f"against {peer}", transform=ax.get_yaxis_transform(), weight="bold", va="center", size=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        for row in rows:
            place += 1
            places.append(place)
            names.append(row["name"])
            _bar(ax, place, row)
        place += 1
    ax.set_yticks(places, names, size=8.5)
    ax.set_ylim(place - 0.3, -0.8)
    _axis(ax, [row for rows in groups.values() for row in rows])
    return ax


def _bar(ax: Axes, place: float, row: dict[str, Any]) -> None:
    ratio = row["ratio"]
    ax.barh(place, ratio["median"], BAR, color=COLOURS[row["against"]], edgecolor="black", linewidth=0.6)
    ax.plot([ratio["low"], ratio["high"]], [place, place], color="black", linewidth=1.2, solid_capstyle="butt")
    if row["floor"] is not None:
        ends = [place - 0.42, place + 0.42]
        ax.plot([row["floor"]] * 2, ends, color="white", linewidth=4.5, solid_capstyle="butt")
        ax.plot([row["floor"]] * 2, ends, color="black", linewidth=2.5, solid_capstyle="butt")
    text = f"{ratio['median']:,.0f}" if ratio["median"] >= 100 else f"{ratio['median']:.3g}"
    ax.annotate(
        text, (0, place), (38, 0), ("axes fraction", "data"), "offset points", va="center", ha="right", size=8.5
    )


def _axis(ax: Axes, rows: list[dict[str, Any]]) -> None:
    most = max(max(row["ratio"]["high"], row["floor"] or 0) for row in rows)
    ax.set_xscale("log")
    ax.set_xlim(min(1.0, *(row["ratio"]["low"] for row in rows)), most * 1.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.set_xlabel("our requests per second / the peer's requests per second (ratio, logarithmic axis)", size=9)
    ax.tick_params(axis="x", labelsize=8.5)
    ax.grid(visible=True, axis="x", color=GREY, alpha=0.3, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    handles = [
        Line2D([], [], color="black", linewidth=1.2, label="smallest to largest pair"),
        Line2D([], [], color="black", linewidth=2.5, marker="|", linestyle="none", markersize=11, markeredgewidth=2.5,
               label="floor"),
    ]  # fmt: skip
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8.5)
