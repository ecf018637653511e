"""The guide's rules as data, every number of them; shares are shares (0.8 for 80 %), times are seconds.

The guide does not say what its CCU utilization is a share of. The rows here say
`ccu_utilization_normal`, and `with_ccu_base` puts in the base that the caller states.

References
----------
.. [1] Fluxor, Day N Operations: "Key Metrics to Monitor Daily", "Scaling Decision Matrix",
       "Incident Severity Levels", "Key Metrics to Alert On".
"""

from __future__ import annotations

from capacity.thresholds.metrics import CcuBase, Metric

# Profile to (metric, warning from, critical from). "Service down (health check fails)" and
# "database connection failures" are counts: one is enough.
GUIDE_EDGES: dict[str, tuple[tuple[Metric, float | None, float | None], ...]] = {
    "daily": (
        (Metric.THROUGHPUT_RPS, 50_000, 100_000),
        (Metric.P95_S, 0.050, 0.200),
        (Metric.ERROR_RATE, 0.001, 0.01),
        (Metric.CCU_UTILIZATION_NORMAL, 0.67, 0.80),
        (Metric.QUEUE_UTILIZATION, 0.50, 0.80),
    ),
    "alert": (
        (Metric.FAILED_HEALTH_CHECKS, None, 1),
        (Metric.ERROR_RATE, 0.01, 0.05),
        (Metric.P95_S, 0.200, 0.500),
        (Metric.CCU_UTILIZATION_NORMAL, 0.80, 0.95),
        (Metric.DATABASE_CONNECTION_FAILURES, None, 1),
        (Metric.QUEUE_UTILIZATION, 0.80, None),
        (Metric.MEMORY_UTILIZATION, 0.85, None),
    ),
}

# The server's /ready answers 503 from these shares on, so that a balancer sends nothing more. It divides by normal
# capacity, so here the base is known.
READINESS = "readiness"
GUIDE_EDGES[READINESS] = (
    (Metric.CCU_UTILIZATION_NORMAL, None, 0.90),
    (Metric.QUEUE_UTILIZATION, None, 0.90),
)

# Metric, threshold, duration in seconds, action.
GUIDE_SCALING = (
    (Metric.CPU_UTILIZATION, 0.70, 300, "scale"),
    (Metric.MEMORY_UTILIZATION, 0.80, 300, "scale"),
    (Metric.CCU_UTILIZATION_NORMAL, 0.80, 300, "scale"),
    (Metric.QUEUE_UTILIZATION, 0.80, 300, "scale"),
    (Metric.ERROR_RATE, 0.01, 60, "investigate-and-scale"),
    (Metric.P95_S, 0.200, 300, "scale"),
)

# Severity, error rate from, degradation from, seconds to respond. P0 is a service that is down.
GUIDE_INCIDENTS = (
    ("P0", None, None, 0),
    ("P1", 0.05, 0.50, 900),
    ("P2", 0.01, 0.20, 3_600),
    ("P3", None, None, 14_400),
)


def with_ccu_base(metric: Metric, base: CcuBase) -> Metric:
    """Return `metric`, a CCU utilization as that of the stated base."""
    stated = Metric.ccu_utilization(base)
    return stated if metric is Metric.CCU_UTILIZATION_NORMAL else metric
