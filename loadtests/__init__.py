"""Measure what happened on a real server: load it, record every request, summarise the plateaus.

Nothing here imports Locust, which runs in a process of its own.
"""

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from loadtests.abort import AbortCondition, parse_abort
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
    from loadtests.foundation.server_access import Access, Header
    from loadtests.load_shapes import LoadShape, parse_shape
    from loadtests.pacing import Pacing, parse_pacing
    from loadtests.plan import LoadPlan
    from loadtests.progress import Progress
    from loadtests.recording import LoadStep, Recording
    from loadtests.runner import record
    from loadtests.staging.options import StagingOptions
    from loadtests.staging.process import start_staging
    from loadtests.store import read_recording

__all__ = [
    "AbortCondition", "Access", "Constant", "Deployment", "Empirical", "Exponential", "Gamma", "Header", "Interval",
    "LoadPlan", "LoadShape", "LoadStep", "LogNormal", "Mixture", "Pacing", "Pareto", "Progress", "Recording",
    "StagingOptions", "Uniform", "Weibull", "parse_abort", "parse_distribution", "parse_pacing", "parse_shape",
    "read_deployment", "read_recording", "record", "start_staging",
]  # fmt: skip

_DISTRIBUTIONS = (
    "Constant", "Empirical", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "Weibull",
    "parse_distribution",
)  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {
        "AbortCondition": "loadtests.abort",
        "Access": "loadtests.foundation.server_access",
        "Deployment": "loadtests.deployment",
        "Header": "loadtests.foundation.server_access",
        "Interval": "loadtests.foundation.intervals",
        "LoadPlan": "loadtests.plan",
        "LoadShape": "loadtests.load_shapes",
        "LoadStep": "loadtests.recording",
        "Pacing": "loadtests.pacing",
        "Progress": "loadtests.progress",
        "Recording": "loadtests.recording",
        "StagingOptions": "loadtests.staging.options",
        "parse_abort": "loadtests.abort",
        "parse_pacing": "loadtests.pacing",
        "parse_shape": "loadtests.load_shapes",
        "read_deployment": "loadtests.deployment",
        "read_recording": "loadtests.store",
        "record": "loadtests.runner",
        "start_staging": "loadtests.staging.process",
        **dict.fromkeys(_DISTRIBUTIONS, "loadtests.foundation.distributions"),
    },
)
