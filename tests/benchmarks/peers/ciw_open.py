"""Ciw: one node of 335 servers with a bounded queue, rejected customers recorded."""

from __future__ import annotations

import math
from collections.abc import Callable

import ciw
import numpy as np

from benchmarks.systems import Result, System


def open_run(system: System) -> Callable[[], Result]:
    """Prepare a run. Ciw takes service times as services start, so they belong to the accepted requests in turn."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*system.gap_s.tolist(), math.inf])],
        service_distributions=[ciw.dists.Sequential(system.service_s.tolist())],
        number_of_servers=[system.workers],
        queue_capacities=[system.cap - system.workers],
    )
    simulation = ciw.Simulation(network)

    def run() -> Result:
        simulation.simulate_until_max_time(1e12)
        departure_s = np.full(system.requests, np.nan)
        for record in simulation.get_all_records(only=["service"]):
            departure_s[record.id_number - 1] = record.exit_date
        return Result(departure_s, int(np.isnan(departure_s).sum()))

    return run
