"""Cells of the comparison with theory: a model, a workload, the exact long-run values, and independent replications.

A new cell is one more `Cell` in `CELLS`: its comparisons join the family by themselves, and its random numbers
follow from its name.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import (
    Constant,
    Distribution,
    Exponential,
    Gamma,
    LogNormal,
    Mixture,
    Uniform,
    Weibull,
)
from loadtests.foundation.seeds import derive_key
from simulations.analysis import queueing_theory as theory
from simulations.analysis.metrics import Window, full_window, window_metrics
from simulations.analysis.simulation import simulate_log
from simulations.analysis.single_server import mg1_ps
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, SessionWorkload, Workload

WARM_UP_FRACTION = 0.1
SERVICE_S = 0.1


@dataclass(frozen=True)
class Cell:
    """One comparison: what is simulated, and what theory says.

    Parameters
    ----------
    name : str
        Also the origin of its random numbers.
    model, workload : ServerModel, Workload
    truth : dict of str to float
        Exact long-run values by the names of `window_metrics`.
    requests : int
        Of one replication in the difference test; the first tenth is left out, which is
        hundreds of relaxation times in every cell.
    """

    name: str
    model: ServerModel
    workload: Workload
    truth: dict[str, float]
    requests: int = 200_000

    def log(self, requests: int, seed: int, *path: int) -> RequestLog:
        """One replication."""
        key = derive_key(seed, zlib.crc32(self.name.encode()), *path)
        return simulate_log(self.model, self.workload, RunLength(requests), seed=key)

    def metrics(self, requests: int, seed: int, *path: int) -> dict[str, float]:
        """The metrics of one replication after its warm-up."""
        log = self.log(requests, seed, *path)
        return window_metrics(log, full_window(log, WARM_UP_FRACTION))

    def relative_errors(self, replications: int, seed: int) -> dict[str, np.ndarray]:
        """Estimate over truth minus 1, by metric, one number a replication."""
        runs = [self.metrics(self.requests, seed, number) for number in range(replications)]
        return {name: np.array([run[name] / value - 1.0 for run in runs]) for name, value in self.truth.items()}


def controls(log: RequestLog, window: Window, metrics: dict[str, float], cell: Cell) -> dict[str, float]:
    """Means of drawn numbers in a window, relative to their known expectations (minus 1): control variates.

    Service times of served requests, where they vary: mean and mean square. Open workloads: mean time between
    arrivals; closed ones: mean think time, from users = throughput (residence + think).
    """
    inside = (log.departure_s >= window.start_s) & (log.departure_s < window.end_s)
    served_s = (log.departure_s - log.start_s)[inside & log.served]
    service = cell.model.service_time
    found = {}
    if service.cv > 0:
        found["service_mean"] = float(np.mean(served_s)) / service.mean_s - 1.0
        found["service_square"] = float(np.mean(served_s**2)) / (service.mean_s**2 * (1 + service.cv**2)) - 1.0
    if isinstance(cell.workload, OpenWorkload):
        arrivals = int(np.count_nonzero((log.arrival_s >= window.start_s) & (log.arrival_s < window.end_s)))
        found["gap_mean"] = window.length_s / arrivals * cell.workload.arrival_rate_rps - 1.0
    else:
        think_s = (cell.workload.users - metrics["in_flight"]) / metrics["throughput_rps"]
        found["think_mean"] = think_s / cell.workload.think_time.mean_s - 1.0
    return found


def _server(
    service: Distribution, workers: int, queue: int | str = "unlimited", gate: int | None = None
) -> ServerModel:
    return ServerModel(Deployment(gate_limit=gate, workers=workers, queue_capacity=queue), service)  # type: ignore[arg-type]


def _means(station: theory.StationMetrics, **more: float) -> dict[str, float]:
    blocked = {"shed_rate": station.blocked_fraction} if station.blocked_fraction > 0 else {}
    return {"mean_s": station.residence_time_s, "goodput_rps": station.throughput_rps, **blocked, **more}


def mmc_cell(name: str, servers: int, load: float) -> Cell:
    """M/M/c at a load (arrival rate over servers times service rate)."""
    rate = load * servers / SERVICE_S
    p95_s = float(theory.mmc_residence_quantile(rate, 1 / SERVICE_S, servers, 0.95))
    truth = _means(theory.mmc(rate, 1 / SERVICE_S, servers), p95_s=p95_s, busy_workers=load * servers)
    return Cell(name, _server(Exponential(SERVICE_S), servers), OpenWorkload(rate), truth)


def mmck_cell(name: str, servers: int, load: float, places: int, gate: int | None = None) -> Cell:
    """M/M/c/K at a load; with a gate, the line behind it is longer than the gate lets in."""
    rate = load * servers / SERVICE_S
    inside = places if gate is None else gate
    quantile = {f"p{at}_s": float(theory.mmck_residence_quantile(rate, 1 / SERVICE_S, servers, inside, at / 100))
                for at in (50, 95)}  # fmt: skip
    truth = _means(theory.mmck(rate, 1 / SERVICE_S, servers, inside), **quantile)
    return Cell(name, _server(Exponential(SERVICE_S), servers, places - servers, gate), OpenWorkload(rate), truth)


def loss_cell(name: str, service: Distribution, workers: int, gate: int, offered: float) -> Cell:
    """A gate at or below the workers: nobody waits, so Erlang's loss formula holds for any service time."""
    blocked = theory.erlang_b(gate, offered)
    rate = offered / service.mean_s
    truth = {"shed_rate": blocked, "mean_s": service.mean_s, "goodput_rps": rate * (1 - blocked),
             "p95_s": float(service.quantile_s(0.95)), "busy_workers": offered * (1 - blocked)}  # fmt: skip
    return Cell(name, _server(service, workers, gate=gate), OpenWorkload(rate), truth)


def mg1_cell(name: str, service: Distribution, load: float) -> Cell:
    """M/G/1, FIFO."""
    rate = load / service.mean_s
    station = theory.mg1(rate, service)
    truth = _means(station, in_flight=station.in_flight)
    return Cell(name, _server(service, 1), OpenWorkload(rate), truth)


def closed_cell(name: str, users: int, servers: int, think: Distribution) -> Cell:
    """Machine repairman with any think time."""
    p95_s = float(theory.closed_mmc_residence_quantile(users, servers, SERVICE_S, think.mean_s, 0.95))
    station = theory.closed_mmc(users, servers, SERVICE_S, think.mean_s)
    truth = _means(station, p95_s=p95_s, in_flight=station.in_flight)
    return Cell(name, _server(Exponential(SERVICE_S), servers), ClosedWorkload(users, think), truth)


def ps_cell(name: str, cpu: Distribution, load: float) -> Cell:
    """M/G/1 with processor sharing: CPU time on one core, as many workers as anybody wants."""
    rate = load / cpu.mean_s
    station = mg1_ps(rate, cpu)
    deployment = Deployment(workers="unlimited", queue_capacity="unlimited", cpu_cores=1)
    model = ServerModel(deployment, Constant(0.0), cpu_time=cpu)
    return Cell(name, model, OpenWorkload(rate), _means(station, in_flight=station.in_flight))


def mmc_ps_cell(name: str, cores: int, load: float) -> Cell:
    """M/M/c with processor sharing: the number inside is that of M/M/c in FIFO order, so are the means.

    With n inside, min(n, c) cores work in either discipline, and exponential work left is exponential, so both
    have the same birth-death chain (L. Kleinrock, Queueing Systems 2, 1976, section 4.4).
    """
    rate = load * cores / SERVICE_S
    station = theory.mmc(rate, 1 / SERVICE_S, cores)
    deployment = Deployment(workers="unlimited", queue_capacity="unlimited", cpu_cores=cores)
    model = ServerModel(deployment, Constant(0.0), cpu_time=Exponential(SERVICE_S))
    return Cell(name, model, OpenWorkload(rate), _means(station, in_flight=station.in_flight))


def database_cell(name: str, connections: int, load: float) -> Cell:
    """M/M/c in the database pool: nothing else takes time, and workers are not limited."""
    rate = load * connections / SERVICE_S
    p95_s = float(theory.mmc_residence_quantile(rate, 1 / SERVICE_S, connections, 0.95))
    station = theory.mmc(rate, 1 / SERVICE_S, connections)
    deployment = Deployment(workers="unlimited", queue_capacity="unlimited", db_pool=connections)
    model = ServerModel(deployment, Constant(0.0), database_time=Exponential(SERVICE_S))
    return Cell(name, model, OpenWorkload(rate), _means(station, p95_s=p95_s, in_flight=station.in_flight))


def session_cell(name: str, servers: int, load: float, requests_per_session: float, think: Exponential) -> Cell:
    """Sessions of geometric length: an open network of a think station and M/M/c.

    After each answer a session goes on with the same probability, so this is a Jackson network: by its product
    form the station is an M/M/c with all requests as its arrivals, although these are no Poisson process
    (J. R. Jackson, "Networks of waiting lines", Operations Research 5(4), 1957).
    """
    rate = load * servers / SERVICE_S
    station = theory.mmc(rate, 1 / SERVICE_S, servers)
    workload = SessionWorkload(rate / requests_per_session, requests_per_session, think)
    return Cell(name, _server(Exponential(SERVICE_S), servers), workload, _means(station, in_flight=station.in_flight))


CELLS = [
    replace(mmc_cell("M/M/1 at 0.6", 1, 0.6), requests=350_000),
    replace(mmc_cell("M/M/10 at 0.8", 10, 0.8), requests=200_000),
    replace(mmck_cell("M/M/4/8 at 0.9", 4, 0.9, 8), requests=400_000),
    replace(mmck_cell("M/M/4/10 at 1.4", 4, 1.4, 10), requests=200_000),
    replace(mmck_cell("M/M/4/99 behind a gate of 8 at 1.2", 4, 1.2, 99, gate=8), requests=200_000),
    replace(loss_cell("M/lognormal/10/10 at 9 erlangs", LogNormal(SERVICE_S, 1.5), 10, 10, 9.0), requests=200_000),
    replace(loss_cell("gate of 8 below 20 workers", Weibull(SERVICE_S, 2.0), 20, 8, 8.0), requests=200_000),
    replace(mg1_cell("M/lognormal/1 at 0.5", LogNormal(SERVICE_S, 1.0), 0.5), requests=400_000),
    replace(mg1_cell("M/gamma/1 at 0.7", Gamma(SERVICE_S, 0.5), 0.7), requests=300_000),
    replace(mg1_cell("M/D/1 at 0.7", Constant(SERVICE_S), 0.7), requests=200_000),
    replace(
        mg1_cell("M/mixture/1 at 0.5", Mixture(((0.8, Gamma(0.05, 0.5)), (0.2, Exponential(0.3)))), 0.5),
        requests=500_000,
    ),
    replace(closed_cell("closed 40/5, exponential think", 40, 5, Exponential(0.6)), requests=100_000),
    replace(closed_cell("closed 40/5, constant think", 40, 5, Constant(0.6)), requests=100_000),
    replace(closed_cell("closed 25/5, uniform think", 25, 5, Uniform(0.2, 1.0)), requests=100_000),
    replace(closed_cell("closed 60/5, lognormal think", 60, 5, LogNormal(1.0, 2.0)), requests=400_000),
    replace(ps_cell("M/M/1-PS at 0.6", Exponential(SERVICE_S), 0.6), requests=150_000),
    replace(ps_cell("M/D/1-PS at 0.6", Constant(SERVICE_S), 0.6), requests=100_000),
    replace(ps_cell("M/lognormal/1-PS at 0.5", LogNormal(SERVICE_S, 1.5), 0.5), requests=150_000),
    replace(mmc_ps_cell("M/M/2-PS at 0.6", 2, 0.6), requests=125_000),
    replace(database_cell("database pool as M/M/4 at 0.7", 4, 0.7), requests=125_000),
    replace(session_cell("sessions of 5 at M/M/4 at 0.6", 4, 0.6, 5.0, Exponential(0.5)), requests=200_000),
]
"""The cells of the difference test."""
