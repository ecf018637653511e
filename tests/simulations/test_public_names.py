"""The public names of the packages are a promise: adding one is deliberate, losing one breaks somebody."""

from __future__ import annotations

import subprocess
import sys

import loadtests
import simulations

LOADTESTS = {
    "AbortCondition", "Access", "ComparisonRule", "Constant", "Deployment", "Empirical", "Exponential", "Fault",
    "Gamma", "Header", "ImportOptions", "Interval", "KneeObjective", "KneeOptions", "KneeResult", "LatencyHistogram",
    "LoadGenerator", "LoadPlan", "LoadShape", "LoadStep", "LogNormal", "Mixture", "Pacing", "Pareto", "Progress",
    "PrometheusGauges", "PrometheusServer", "QueryMap", "Recording", "RecordingComparison", "StagingOptions",
    "TrustReport", "Uniform", "Weibull", "check_recording", "compare_steps", "find_knee", "import_locust",
    "import_prometheus", "merge_histograms", "parse_abort", "parse_distribution", "parse_fault", "parse_pacing",
    "parse_shape", "read_deployment", "read_fault_log", "read_fault_script", "read_histograms", "read_query_map",
    "read_recording", "read_service_log", "record", "recover_recording", "start_staging",
}  # fmt: skip
SIMULATIONS = {
    "CalibrationResult", "CapacityCurve", "Clients", "ClosedWorkload", "ComparisonRule", "Constant", "CurveFeature",
    "Deployment", "DriftOptions", "DriftReport", "Empirical", "Exponential", "Fleet", "Gamma", "InstanceCapacity",
    "Interval", "LimitChange", "LiveSetting", "ObservedWindow", "check_drift", "read_live_windows",
    "LoadPrediction", "LoadStep", "LogNormal", "Mixture", "ModelComparison", "Objective", "OpenWorkload",
    "PairedComparison", "Pareto", "Precision", "ProfileWorkload", "Quantity", "Recording", "RecordingComparison",
    "ReplicationPlan", "RequestClass", "ResourceUse", "Retries", "ServerModel", "SessionWorkload", "SimulationResult",
    "StepFit", "StepResiduals", "SweepSize", "TraceWorkload", "Uniform", "ValidationReport", "Weibull", "calibrate",
    "capacity_of_fit", "check_model", "goodness_of_fit", "residuals_over_time",
    "compare_fits", "compare_models", "compare_recordings", "find_capacity", "judge", "model_draws",
    "parse_distribution", "predict_curve", "predict_load", "predict_window", "read_deployment", "read_recording",
    "record", "simulate", "sweep_load", "validate_model",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert set(loadtests.__all__) == LOADTESTS
    assert set(simulations.__all__) == SIMULATIONS


def test_every_public_name_can_be_had_and_is_documented() -> None:
    for package in (loadtests, simulations):
        for name in package.__all__:
            assert getattr(package, name).__doc__, name


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = (
        "import sys, loadtests, simulations, capacity; "
        "heavy = {'simpy', 'numba', 'locust', 'gevent', 'matplotlib', 'pydantic', 'pandas', 'scipy'}; "
        "heavy &= set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
