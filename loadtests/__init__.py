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
    from loadtests.estimation.latency_histogram import LatencyHistogram, merge_histograms, read_histograms
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
    from loadtests.importing.locust_files import import_locust
    from loadtests.journals.conversion import recover_recording
    from loadtests.journals.progress import Progress
    from loadtests.knee.knee_run import find_knee
    from loadtests.knee.knee_search import KneeOptions, KneeResult
    from loadtests.knee.knee_step import KneeObjective
    from loadtests.load.abort import AbortCondition, parse_abort
    from loadtests.load.load_shapes import LoadShape, parse_shape
    from loadtests.load.pacing import Pacing, parse_pacing
    from loadtests.load.plan import LoadPlan
    from loadtests.locust_run import LoadGenerator
    from loadtests.prometheus.client import PrometheusServer
    from loadtests.prometheus.gauges import PrometheusGauges
    from loadtests.prometheus.importer import ImportOptions, import_prometheus
    from loadtests.prometheus.query_map import QueryMap, read_query_map
    from loadtests.recording import LoadStep, Recording
    from loadtests.runner import record
    from loadtests.staging.faults import Fault, parse_fault, read_fault_script
    from loadtests.staging.options import StagingOptions
    from loadtests.staging.process import start_staging
    from loadtests.staging.truth import read_fault_log, read_service_log
    from loadtests.store import read_recording
    from loadtests.trust.judge import check_recording
    from loadtests.trust.report import TrustReport

__all__ = [
    "AbortCondition", "Access", "ComparisonRule", "Constant", "Deployment", "Empirical", "Exponential", "Fault",
    "Gamma", "Header", "ImportOptions", "Interval", "KneeObjective", "KneeOptions", "KneeResult", "LatencyHistogram",
    "LoadGenerator", "LoadPlan", "LoadShape", "LoadStep", "LogNormal", "Mixture", "Pacing", "Pareto", "Progress",
    "PrometheusGauges", "PrometheusServer", "QueryMap", "Recording", "RecordingComparison", "StagingOptions",
    "TrustReport", "Uniform", "Weibull", "check_recording", "compare_steps", "find_knee", "import_locust",
    "import_prometheus", "merge_histograms", "parse_abort", "parse_distribution", "parse_fault", "parse_pacing",
    "parse_shape", "read_deployment", "read_fault_log", "read_fault_script", "read_histograms", "read_query_map",
    "read_recording", "read_service_log", "record", "recover_recording", "start_staging",
]  # fmt: skip

_DISTRIBUTIONS = (
    "Constant", "Empirical", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "Weibull",
    "parse_distribution",
)  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {
        "AbortCondition": "loadtests.load.abort",
        "Access": "loadtests.foundation.server_access",
        "ComparisonRule": "loadtests.comparison.rule",
        "Deployment": "loadtests.deployment",
        "Fault": "loadtests.staging.faults",
        "Header": "loadtests.foundation.server_access",
        "Interval": "loadtests.foundation.intervals",
        "KneeObjective": "loadtests.knee.knee_step",
        "KneeOptions": "loadtests.knee.knee_search",
        "KneeResult": "loadtests.knee.knee_search",
        "find_knee": "loadtests.knee.knee_run",
        "LatencyHistogram": "loadtests.estimation.latency_histogram",
        "LoadGenerator": "loadtests.locust_run",
        "LoadPlan": "loadtests.load.plan",
        "LoadShape": "loadtests.load.load_shapes",
        "LoadStep": "loadtests.recording",
        "ImportOptions": "loadtests.prometheus.importer",
        "Pacing": "loadtests.load.pacing",
        "Progress": "loadtests.journals.progress",
        "PrometheusGauges": "loadtests.prometheus.gauges",
        "PrometheusServer": "loadtests.prometheus.client",
        "QueryMap": "loadtests.prometheus.query_map",
        "Recording": "loadtests.recording",
        "RecordingComparison": "loadtests.comparison.result",
        "StagingOptions": "loadtests.staging.options",
        "TrustReport": "loadtests.trust.report",
        "check_recording": "loadtests.trust.judge",
        "compare_steps": "loadtests.comparison.compare",
        "import_locust": "loadtests.importing.locust_files",
        "import_prometheus": "loadtests.prometheus.importer",
        "parse_abort": "loadtests.load.abort",
        "parse_fault": "loadtests.staging.faults",
        "parse_pacing": "loadtests.load.pacing",
        "parse_shape": "loadtests.load.load_shapes",
        "read_deployment": "loadtests.deployment",
        "merge_histograms": "loadtests.estimation.latency_histogram",
        "read_fault_log": "loadtests.staging.truth",
        "read_fault_script": "loadtests.staging.faults",
        "read_histograms": "loadtests.estimation.latency_histogram",
        "read_query_map": "loadtests.prometheus.query_map",
        "read_recording": "loadtests.store",
        "read_service_log": "loadtests.staging.truth",
        "record": "loadtests.runner",
        "recover_recording": "loadtests.journals.conversion",
        "start_staging": "loadtests.staging.process",
        **dict.fromkeys(_DISTRIBUTIONS, "loadtests.foundation.distributions"),
    },
)
