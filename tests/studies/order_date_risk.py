"""Study: does demand exceed the fleet before an order placed on its order date arrives, as often as stated?

Services, histories and sizes as in `planning_backtest`, 8 of each family, with plans made after months 60, 78 and 96
for twelve months ahead from a fleet that carries the last month, lead time one month, risk 5 %. An order placed on its
date comes too late where demand exceeds one instance less on any day before the order arrives: the share of 4,000
futures drawn from the law. Orders that are late today and orders beyond the
projection have no date to judge.

    python tests/studies/order_date_risk.py

Resumes where it stopped; one row an order is appended to the results.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from planning_backtest import DRAWS, FAMILIES, ORACLE_DRAWS, RISK, SEED, Origin, synthetic, synthetic_origin

from capacity.demand.forecast import forecast_growth
from capacity.planning.orders import OrderingRules, OrderTimeline
from capacity.planning.planner import plan_capacity
from loadtests.foundation.versions import versions_of
from simulations.analysis.capacity_curve import InstanceCapacity
from studies.results_table import append_rows, read_rows
from support.demand_processes import DAYS_OF_A_MONTH

RESULTS = Path(__file__).parent / "results" / "order_date_risk.csv"
SERVICES, MONTHS, HORIZON, LEAD = 8, (60, 78, 96), 12, 1


@dataclass(frozen=True)
class JudgedOrder:
    """One order: where it was planned, what it was for, when it was due (months), and its true risk."""

    family: str
    service: int
    origin: int
    instances: int
    due_month: float
    late_risk: float


def orders_at(at: Origin, fleet: int) -> OrderTimeline:
    """Order dates by the library."""
    growth = forecast_growth(at.history, HORIZON, quantity="ccu", within_interval_peak=1.0, seed=SEED).to_growth()
    rules = OrderingRules(risk=RISK, lead_time_months=LEAD, fleet=fleet, draws=DRAWS, seed=SEED)
    orders = plan_capacity(growth, InstanceCapacity.assumed(at.instance_load), ordering=rules).orders
    assert orders is not None
    return orders


def judged(family: str, number: int, month: int) -> list[JudgedOrder]:
    """Every order with a date."""
    at = synthetic_origin(family, number, month, HORIZON)
    days = synthetic(family, number).future_days(int(month * DAYS_OF_A_MONTH), HORIZON, ORACLE_DRAWS)
    highest = np.exp(np.maximum.accumulate(days, axis=1)) / at.instance_load
    made = []
    for order in orders_at(at, math.ceil(float(at.peaks[-1]) / at.instance_load)).orders:
        if order.order_by_month is not None and order.order_by_month >= 0.0:
            due = order.order_by_month + LEAD
            last = max(math.floor(due * DAYS_OF_A_MONTH) - 1, 0)
            late = float(np.mean(highest[:, last] > order.instances - 1))
            made.append(JudgedOrder(family, number, month, order.instances, round(due, 3), round(late, 5)))
    return made


def run_study(path: Path = RESULTS) -> None:
    """Append the services that are missing."""
    done = {(row["family"], int(row["service"])) for row in read_rows(path)}
    for number in range(SERVICES):
        for family in FAMILIES:
            if (family, number) not in done:
                append_rows(path, [asdict(row) for month in MONTHS for row in judged(family, number, month)])


if __name__ == "__main__":
    run_study()
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'scipy', 'statsmodels')}\n")
