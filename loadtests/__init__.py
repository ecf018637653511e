"""Measure what happened on a real server: load it, record every request, summarise the plateaus.

Nothing here imports Locust, which runs in a process of its own.
"""

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from loadtests.comparison.compare import compare_steps
    from loadtests.comparison.result import RecordingComparison
    from loadtests.comparison.rule import ComparisonRule
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
    from loadtests.staging.faults import Fault, parse_fault, read_fault_script
    from loadtests.staging.options import StagingOptions
    from loadtests.staging.process import start_staging
    from loadtests.staging.truth import read_fault_log, read_service_log
    from loadtests.store import read_recording

__all__ = [
    "ComparisonRule", "Constant", "Deployment", "Empirical", "Exponential", "Fault", "Gamma", "Interval", "LoadPlan",
    "LoadStep", "LogNormal", "Mixture", "Pareto", "Progress", "Recording", "RecordingComparison", "StagingOptions",
    "Uniform", "Weibull", "compare_steps", "parse_distribution", "parse_fault", "read_deployment", "read_fault_log",
    "read_fault_script", "read_recording", "read_service_log", "record", "start_staging",
]  # fmt: skip

_DISTRIBUTIONS = (
    "Constant", "Empirical", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "Weibull",
    "parse_distribution",
)  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {
        "ComparisonRule": "loadtests.comparison.rule",
        "Deployment": "loadtests.deployment",
        "Fault": "loadtests.staging.faults",
        "Interval": "loadtests.foundation.intervals",
        "LoadPlan": "loadtests.plan",
        "LoadStep": "loadtests.recording",
        "Progress": "loadtests.progress",
        "Recording": "loadtests.recording",
        "RecordingComparison": "loadtests.comparison.result",
        "StagingOptions": "loadtests.staging.options",
        "compare_steps": "loadtests.comparison.compare",
        "parse_fault": "loadtests.staging.faults",
        "read_deployment": "loadtests.deployment",
        "read_fault_log": "loadtests.staging.truth",
        "read_fault_script": "loadtests.staging.faults",
        "read_recording": "loadtests.store",
        "read_service_log": "loadtests.staging.truth",
        "record": "loadtests.runner",
        "start_staging": "loadtests.staging.process",
        **dict.fromkeys(_DISTRIBUTIONS, "loadtests.foundation.distributions"),
    },
)
