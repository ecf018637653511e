"""Charts: functions that take a result and axes, and return the axes. The only place that loads matplotlib."""

from capacity.output.charts.planning import plot_growth_capacity, plot_timeline

__all__ = ["plot_growth_capacity", "plot_timeline"]
