"""Model what would happen: a gated server in SimPy and compiled, calibrated from recordings.

Nothing is imported before its first use.
"""

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from loadtests.comparison.result import ModelComparison, RecordingComparison
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
    from loadtests.foundation.units import Quantity
    from loadtests.live.windows import ObservedWindow
    from loadtests.live.windows_file import read_live_windows
    from loadtests.recording import LoadStep, Recording
    from loadtests.runner import record
    from loadtests.store import read_recording
    from simulations.analysis.capacity_curve import CapacityCurve, CurveFeature, InstanceCapacity
    from simulations.analysis.capacity_search import find_capacity
    from simulations.analysis.comparison import PairedComparison, compare_models
    from simulations.analysis.load_sweep import SweepSize, sweep_load
    from simulations.analysis.objective import Objective, judge
    from simulations.analysis.replicated_runs import ReplicationPlan
    from simulations.analysis.sequential import Precision
    from simulations.analysis.simulation import SimulationResult, simulate
    from simulations.calibration.capacity import capacity_of_fit
    from simulations.calibration.drift import DriftOptions, check_drift
    from simulations.calibration.drift_result import DriftReport
    from simulations.calibration.fit_quality import StepFit, StepResiduals, goodness_of_fit, residuals_over_time
    from simulations.calibration.fitting import calibrate
    from simulations.calibration.live_series import LiveSetting
    from simulations.calibration.load_prediction import LoadPrediction, predict_load
    from simulations.calibration.model_checks import check_model
    from simulations.calibration.prediction import predict_curve, predict_window
    from simulations.calibration.prediction_draws import model_draws
    from simulations.calibration.release_comparison import compare_fits, compare_recordings
    from simulations.calibration.result import CalibrationResult
    from simulations.calibration.validation import ValidationReport, validate_model
    from simulations.model.clients import Clients, Retries
    from simulations.model.fleet import Fleet, LimitChange
    from simulations.model.server_model import RequestClass, ResourceUse, ServerModel
    from simulations.model.workload import (
        ClosedWorkload,
        OpenWorkload,
        ProfileWorkload,
        SessionWorkload,
        TraceWorkload,
    )

__all__ = [
    "CalibrationResult",
    "CapacityCurve",
    "Clients",
    "ClosedWorkload",
    "ComparisonRule",
    "Constant",
    "CurveFeature",
    "Deployment",
    "DriftOptions",
    "DriftReport",
    "Empirical",
    "Exponential",
    "Fleet",
    "Gamma",
    "InstanceCapacity",
    "Interval",
    "LimitChange",
    "LiveSetting",
    "LoadPrediction",
    "LoadStep",
    "LogNormal",
    "Mixture",
    "ModelComparison",
    "Objective",
    "ObservedWindow",
    "OpenWorkload",
    "PairedComparison",
    "Pareto",
    "Precision",
    "ProfileWorkload",
    "Quantity",
    "Recording",
    "RecordingComparison",
    "ReplicationPlan",
    "RequestClass",
    "ResourceUse",
    "Retries",
    "ServerModel",
    "SessionWorkload",
    "SimulationResult",
    "StepFit",
    "StepResiduals",
    "SweepSize",
    "TraceWorkload",
    "Uniform",
    "ValidationReport",
    "Weibull",
    "calibrate",
    "capacity_of_fit",
    "check_drift",
    "check_model",
    "compare_fits",
    "compare_models",
    "compare_recordings",
    "find_capacity",
    "goodness_of_fit",
    "judge",
    "model_draws",
    "parse_distribution",
    "predict_curve",
    "predict_load",
    "predict_window",
    "read_deployment",
    "read_live_windows",
    "read_recording",
    "record",
    "residuals_over_time",
    "simulate",
    "sweep_load",
    "validate_model",
]

_DISTRIBUTIONS = (
    "Constant", "Empirical", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "Weibull",
    "parse_distribution",
)  # fmt: skip

_WORKLOADS = ("ClosedWorkload", "OpenWorkload", "ProfileWorkload", "SessionWorkload", "TraceWorkload")

__getattr__, __dir__ = attach(
    __name__,
    {
        **dict.fromkeys(_DISTRIBUTIONS, "loadtests.foundation.distributions"),
        **dict.fromkeys(("Deployment", "read_deployment"), "loadtests.deployment"),
        **dict.fromkeys(("LoadStep", "Recording"), "loadtests.recording"),
        "Interval": "loadtests.foundation.intervals",
        "Quantity": "loadtests.foundation.units",
        "record": "loadtests.runner",
        "read_recording": "loadtests.store",
        **dict.fromkeys(("CapacityCurve", "CurveFeature", "InstanceCapacity"), "simulations.analysis.capacity_curve"),
        "find_capacity": "simulations.analysis.capacity_search",
        **dict.fromkeys(("SweepSize", "sweep_load"), "simulations.analysis.load_sweep"),
        **dict.fromkeys(("Objective", "judge"), "simulations.analysis.objective"),
        **dict.fromkeys(("SimulationResult", "simulate"), "simulations.analysis.simulation"),
        "calibrate": "simulations.calibration.fitting",
        **dict.fromkeys(("DriftOptions", "check_drift"), "simulations.calibration.drift"),
        "DriftReport": "simulations.calibration.drift_result",
        "LiveSetting": "simulations.calibration.live_series",
        "ObservedWindow": "loadtests.live.windows",
        "read_live_windows": "loadtests.live.windows_file",
        "check_model": "simulations.calibration.model_checks",
        **dict.fromkeys(
            ("StepFit", "StepResiduals", "goodness_of_fit", "residuals_over_time"),
            "simulations.calibration.fit_quality",
        ),
        "capacity_of_fit": "simulations.calibration.capacity",
        **dict.fromkeys(("LoadPrediction", "predict_load"), "simulations.calibration.load_prediction"),
        **dict.fromkeys(("predict_curve", "predict_window"), "simulations.calibration.prediction"),
        "model_draws": "simulations.calibration.prediction_draws",
        **dict.fromkeys(("compare_fits", "compare_recordings"), "simulations.calibration.release_comparison"),
        **dict.fromkeys(("ModelComparison", "RecordingComparison"), "loadtests.comparison.result"),
        "ComparisonRule": "loadtests.comparison.rule",
        "CalibrationResult": "simulations.calibration.result",
        **dict.fromkeys(("ValidationReport", "validate_model"), "simulations.calibration.validation"),
        **dict.fromkeys(("PairedComparison", "compare_models"), "simulations.analysis.comparison"),
        "ReplicationPlan": "simulations.analysis.replicated_runs",
        "Precision": "simulations.analysis.sequential",
        **dict.fromkeys(("Fleet", "LimitChange"), "simulations.model.fleet"),
        **dict.fromkeys(("RequestClass", "ResourceUse", "ServerModel"), "simulations.model.server_model"),
        **dict.fromkeys(_WORKLOADS, "simulations.model.workload"),
        **dict.fromkeys(("Clients", "Retries"), "simulations.model.clients"),
    },
)
