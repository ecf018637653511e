"""Measure what happened on a real server: load it, record every request, summarise the plateaus.

Nothing here imports Locust, which runs in a process of its own.
"""

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from loadtests.deployment import Deployment, read_deployment
    from loadtests.foundation.distributions import (
        Constant,
        Empirical,
        Exponential,
        Gamma,
        LogNormal,
        Mixture,
        Pareto,
        Uniform,
        Weibull,
        parse_distribution,
    )
    from loadtests.foundation.intervals import Interval
    from loadtests.plan import LoadPlan
    from loadtests.progress import Progress
    from loadtests.recording import LoadStep, Recording
    from loadtests.runner import record
    from loadtests.staging.options import StagingOptions
    from loadtests.staging.process import start_staging
    from loadtests.store import read_recording
    from loadtests.trust.judge import check_recording
    from loadtests.trust.report import TrustReport

__all__ = [
    "Constant", "Deployment", "Empirical", "Exponential", "Gamma", "Interval", "LoadPlan", "LoadStep", "LogNormal",
    "Mixture", "Pareto", "Progress", "Recording", "StagingOptions", "TrustReport", "Uniform", "Weibull",
    "check_recording", "parse_distribution", "read_deployment", "read_recording", "record", "start_staging",
]  # fmt: skip

_DISTRIBUTIONS = (
    "Constant", "Empirical", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "Weibull",
    "parse_distribution",
)  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {
        "Deployment": "loadtests.deployment",
        "Interval": "loadtests.foundation.intervals",
        "LoadPlan": "loadtests.plan",
        "LoadStep": "loadtests.recording",
        "Progress": "loadtests.progress",
        "Recording": "loadtests.recording",
        "StagingOptions": "loadtests.staging.options",
        "TrustReport": "loadtests.trust.report",
        "check_recording": "loadtests.trust.judge",
        "read_deployment": "loadtests.deployment",
        "read_recording": "loadtests.store",
        "record": "loadtests.runner",
        "start_staging": "loadtests.staging.process",
        **dict.fromkeys(_DISTRIBUTIONS, "loadtests.foundation.distributions"),
    },
)
