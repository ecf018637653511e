"""Two systems under the same luck: paired differences, and what common random numbers saved.

Both systems run each replication with the same seed. Random numbers belong to
requests, not to the moment of a draw, so both meet the same arrivals and the same
work; the difference of a pair varies much less than that of two independent runs.
The interval of the difference is a paired t [1]_; the saving is
(Var A + Var B) / Var(B - A), the factor by which independent replications would have to
be more. It equals (1 + Var(A + B) / Var(B - A)) / 2, and the ratio of the variances of
two correlated normal samples has an exact interval [2]_.

References
----------
.. [1] A. M. Law, Simulation Modeling and Analysis, 5th edition, McGraw-Hill, 2015, sections 10.2 and 11.2.
.. [2] W. A. Morgan, "A test for the significance of the difference between the two variances in a
   sample from a normal bivariate population", Biometrika 31(1/2), 1939, pages 13-19.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from simulations.analysis.replicated_runs import ReplicationPlan, run_replication, settling_time_s
from simulations.analysis.replications import (
    COUNTS,
    Row,
    checked_level,
    columns_of,
    mean_interval,
    student_quantile,
)
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import Workload

if TYPE_CHECKING:
    from simulations.engines.simpy_engine import Server

Floats = NDArray[np.float64]
Side = TypeVar("Side")


@dataclass(frozen=True)
class PairedComparison:
    """One metric of two systems, B against A.

    Parameters
    ----------
    metric : str
    a, b : Interval
        The metric of each system on its own.
    difference : Interval
        B - A, in the metric's unit, from the pairs.
    relative_difference : Interval
        B / A - 1, from the pairs (ratio estimator); unknown where A is 0.
    variance_reduction : Interval
        How many times more replications independent random numbers would need for the same difference; below 1
        where common random numbers hurt. Infinite where every pair differs by the same, unknown where nothing varies.
    pairs : int
        Replications; Student's t has one degree of freedom less.
    """

    metric: str
    a: Interval
    b: Interval
    difference: Interval
    relative_difference: Interval
    variance_reduction: Interval
    pairs: int

    @property
    def degrees_of_freedom(self) -> int:
        """Of the difference's t."""
        return self.pairs - 1

    @property
    def is_significant(self) -> bool:
        """Whether the difference's interval leaves out 0."""
        return self.difference.is_known and not self.difference.contains(0.0)


def compare_paired(a_rows: Sequence[Row], b_rows: Sequence[Row], level: float = 0.95) -> dict[str, PairedComparison]:
    """Compare two systems over replications that share their random numbers pair by pair.

    Parameters
    ----------
    a_rows, b_rows : sequence of mapping
        One row of metrics a replication, the same order of seeds in both; at least three.
    level : float, default 0.95
        Of each interval (not of all together).

    Returns
    -------
    dict of str to PairedComparison
        One a metric that both have. Pairs in which either is not finite are left out of that metric.

    Raises
    ------
    InputError
        For different numbers of rows, fewer than three, no metric in common, or a level outside 0..1.
    """
    checked_level(level)
    if len(a_rows) != len(b_rows) or len(a_rows) < 3:
        raise InputError(
            f"A comparison pairs replications: at least 3, as many of one as of the other; given {len(a_rows)} and "
            f"{len(b_rows)}."
        )
    a_columns, b_columns = columns_of(a_rows), columns_of(b_rows)
    shared = [name for name in a_columns if name in b_columns and name not in COUNTS]
    if not shared:
        raise InputError("The two systems have no metric in common.")
    return {name: _compare(name, a_columns[name], b_columns[name], level) for name in shared}


def compare_models(
    model_a: ServerModel,
    model_b: ServerModel,
    workload: Workload,
    plan: ReplicationPlan | None = None,
    *,
    fleet: Fleet | tuple[Fleet, Fleet] | None = None,
    server: type[Server] | tuple[type[Server] | None, type[Server] | None] | None = None,
    seed: int = 1,
    level: float = 0.95,
) -> dict[str, PairedComparison]:
    """Simulate two systems under one workload with common random numbers, and compare them.

    Parameters
    ----------
    model_a, model_b : ServerModel
        May be the same, where fleets or servers differ.
    workload : OpenWorkload or ClosedWorkload
    plan : ReplicationPlan, optional
        How many replications and how long. Default: 20 of 10,000 requests each. A warm-up that it leaves
        open is the longer of the two systems'.
    fleet : Fleet or tuple of two, optional
        Instances behind a balancer: one fleet for both systems, or one each, to compare balancers or numbers
        of instances. Default: one instance.
    server : subclass of `simulations.engines.simpy_engine.Server` or tuple of two, optional
        A server of your own for both systems, or one each (None: the library's). The SimPy engine runs it; the
        plan must state ``warm_up_s``, which does not follow from the model then.
    seed : int, default 1
        Replication i of either system has the seed ``derive_key(seed, i)``.
    level : float, default 0.95

    Returns
    -------
    dict of str to PairedComparison
        Of `simulations.analysis.metrics.METRIC_NAMES`.

    Raises
    ------
    InputError
        As `simulations.analysis.simulation.simulate_log`; for fewer than three replications; for a tuple that
        is not a pair; or when a server of your own comes without ``warm_up_s``.
    """
    design = plan or ReplicationPlan()
    whole("replications", design.replications, least=3)
    sides = tuple(zip((model_a, model_b), _per_side("fleet", fleet), _per_side("server", server), strict=True))
    settled = replace(design, warm_up_s=settling_time_s(design, workload, sides))
    seeds = [derive_key(seed, number) >> 1 for number in range(design.replications)]
    a_rows, b_rows = (
        [run_replication(model, workload, settled, key, fleet=instances, server=own) for key in seeds]
        for model, instances, own in sides
    )
    return compare_paired(a_rows, b_rows, level)


def _per_side(name: str, given: Side | tuple[Side, Side]) -> tuple[Side, Side]:
    """One for both systems, or one each."""
    if not isinstance(given, tuple):
        return given, given
    if len(given) != 2:
        raise InputError(f"{name} is a tuple of {len(given)}; give one for both systems, or a pair: (of A, of B).")
    return given


def _compare(name: str, a: Floats, b: Floats, level: float) -> PairedComparison:
    kept = np.isfinite(a) & np.isfinite(b)
    a, b = a[kept], b[kept]
    return PairedComparison(
        name, mean_interval(a, level), mean_interval(b, level), mean_interval(b - a, level),
        _relative_difference(a, b, level), _variance_reduction(a, b, level), int(a.size),
    )  # fmt: skip


def _relative_difference(a: Floats, b: Floats, level: float) -> Interval:
    """Ratio estimator of means: residuals b - ratio a over mean a, t on them."""
    if a.size < 2 or float(a.mean()) == 0.0:
        return Interval.unknown(level)
    ratio = float(b.mean() / a.mean())
    error = float(np.std(b - ratio * a, ddof=1)) / math.sqrt(a.size) / abs(float(a.mean()))
    half = student_quantile(a.size - 1, level) * error
    return Interval(ratio - 1.0 - half, ratio - 1.0, ratio - 1.0 + half, level)


def _variance_reduction(a: Floats, b: Floats, level: float) -> Interval:
    """Morgan's interval of Var(A + B) / Var(B - A): ratio (K -+ sqrt(K^2 - 1)), K = 1 + 2 (1 - r^2) t^2 / (n - 2)."""
    if a.size < 3 or (float(np.var(a)) == 0.0 and float(np.var(b)) == 0.0):
        return Interval.unknown(level)
    total, difference = a + b, b - a
    if float(np.var(difference)) == 0.0:
        return Interval(math.inf, math.inf, math.inf, level)
    if float(np.var(total)) == 0.0:
        return Interval(0.5, 0.5, 0.5, level)
    ratio = float(np.var(total) / np.var(difference))
    correlation = float(np.corrcoef(total, difference)[0, 1])
    k = 1.0 + 2.0 * (1.0 - correlation**2) * student_quantile(a.size - 2, level) ** 2 / (a.size - 2)
    spread = k + math.sqrt(k * k - 1.0)
    return Interval((1.0 + ratio / spread) / 2.0, (1.0 + ratio) / 2.0, (1.0 + ratio * spread) / 2.0, level)
