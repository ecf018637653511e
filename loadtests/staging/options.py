"""What a staging server is started with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtests.deployment import Deployment
from loadtests.foundation.checks import whole
from loadtests.foundation.distributions import parse_distribution
from loadtests.staging.faults import Fault, parse_faults

DEFAULT_SERVICE_TIME = "lognormal:50ms:0.8"


@dataclass(frozen=True)
class StagingOptions:
    """Options of the bundled staging server.

    Parameters
    ----------
    deployment : Deployment
        Limits of the instance. One that is not stated, or ``"unlimited"``, does not exist here
        (nor do the metrics that would report it).
    service_time : str
        Distribution of the time that a request holds its worker, text form.
    db_time : str
        Distribution of the time that a query holds its connection (part of the service
        time); ``none``: as long as the real query takes.
    port : int
        0 takes a free port.
    seed : int
        Seed of the planned times.
    service_log : Path or None
        CSV file for the planned and realised times of every served request.
    cpu_time : str
        Distribution of the CPU time that a request uses before its service time, while it holds
        its worker. Requests share the cores (`deployment.cpu_cores` of them, where stated).
    faults : sequence of Fault or str
        What goes wrong, and when; text such as ``stall:5s:2s`` (see `loadtests.staging.faults`).
    fault_log : Path or None
        CSV file for what the faults did, and when.

    Raises
    ------
    InputError
        For a distribution or a fault that cannot be read, a port or a seed out of range.
    """

    deployment: Deployment = field(default_factory=lambda: Deployment.from_utilization(300, 67))
    service_time: str = DEFAULT_SERVICE_TIME
    db_time: str = "none"
    port: int = 0
    seed: int = 1
    service_log: Path | None = None
    cpu_time: str = "none"
    faults: tuple[Fault, ...] = ()
    fault_log: Path | None = None

    def __post_init__(self) -> None:
        parse_distribution(self.service_time)
        parse_distribution(self.db_time)
        parse_distribution(self.cpu_time)
        object.__setattr__(self, "faults", parse_faults(self.faults))
        object.__setattr__(self, "port", whole("port", self.port, least=0, most=65_535))
        object.__setattr__(self, "seed", whole("seed", self.seed))
        for name in ("service_log", "fault_log"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        paths = {name: _text(getattr(self, name)) for name in ("service_log", "fault_log")}
        faults = [fault.text() for fault in self.faults]
        return {**asdict(self), "deployment": self.deployment.to_dict(), "faults": faults, **paths}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StagingOptions:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        StagingOptions

        Raises
        ------
        InputError
            As for the options themselves.
        """
        return cls(**{**data, "deployment": Deployment.from_dict(data["deployment"])})


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def bound(limit: float | str | None) -> float | None:
    """The number of a limit; None where there is none (not stated or unlimited)."""
    return None if limit is None or isinstance(limit, str) else limit
