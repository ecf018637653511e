"""Charts: functions that take a result and axes, and return the axes. The only place that loads matplotlib."""

from capacity.output.charts.comparison import plot_comparison
from capacity.output.charts.cost_risk import plot_cost_risk, plot_order_policies
from capacity.output.charts.drift import plot_drift
from capacity.output.charts.forecast import plot_forecast
from capacity.output.charts.knee_search import plot_knee_search
from capacity.output.charts.measurement import plot_capacity_curve, plot_load_test_fit, plot_steady_windows
from capacity.output.charts.model_fit import (
    plot_parameter_posteriors,
    plot_quantile_quantile,
    plot_residuals_over_time,
)
from capacity.output.charts.orders import plot_instances_outlook, plot_order_dates, plot_sensitivity
from capacity.output.charts.planning import plot_growth_capacity, plot_timeline

__all__ = [
    "plot_capacity_curve",
    "plot_comparison",
    "plot_cost_risk",
    "plot_drift",
    "plot_forecast",
    "plot_growth_capacity",
    "plot_instances_outlook",
    "plot_knee_search",
    "plot_load_test_fit",
    "plot_order_dates",
    "plot_order_policies",
    "plot_parameter_posteriors",
    "plot_quantile_quantile",
    "plot_residuals_over_time",
    "plot_sensitivity",
    "plot_steady_windows",
    "plot_timeline",
]  # fmt: skip
