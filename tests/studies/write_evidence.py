"""Write docs/evidence.md from the committed results of the studies.

python tests/studies/write_evidence.py
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent))

import capacity_coverage as capacity
import simulation_coverage as simulation
import single_run_coverage as single_run
import trust_checks as trust

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests" / "studies" / "results" / "calibration_coverage.csv"
PAGE = ROOT / "docs" / "evidence.md"
LOWEST, HIGHEST = 0.94, 0.96

_NAMES = {
    "service_mean_s_held": "mean service time (parameter)",
    "service_cv_held": "cv of the service time (parameter)",
    "network_round_trip_s_held": "network round trip (parameter)",
    "predicted_throughput_rps_held": "throughput (prediction)",
    "predicted_goodput_rps_held": "goodput (prediction)",
    "predicted_shed_rate_held": "shed rate (prediction)",
    "predicted_mean_s_held": "mean residence time (prediction)",
    "predicted_p50_s_held": "P50 (prediction)",
    "predicted_p95_s_held": "P95 (prediction)",
    "predicted_p99_s_held": "P99 (prediction)",
}


def page_text() -> str:
    """The page, from the results alone."""
    opening = [
        "# Evidence",
        "",
        "What the intervals of this library are worth, measured. Written by",
        "`./run python tests/studies/write_evidence.py` from the results under `tests/studies/results`.",
        "",
    ]
    parts = (_calibration(), _simulation(), _none_seen(), _capacity(), _trust(), _not_measured())
    return "\n".join([*opening, *(line for part in parts for line in part)])


def _calibration() -> list[str]:
    with RESULTS.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    lines = [
        "## Calibration and prediction intervals",
        "",
        f"{len(rows)} synthetic servers and load tests drawn from a stated range",
        "(`tests/studies/calibration_coverage.py` says which), each calibrated on five levels of 20 s. Nominal level:",
        "90 %. A parameter interval is right when it holds the true value; a prediction interval when it holds what an",
        "independent 20 s measurement showed at a sixth level. The range in brackets is the 95 % Clopper-Pearson",
        "interval of the share.",
        "",
        "| Interval of | held the truth |",
        "|---|---|",
    ]
    for column, name in _NAMES.items():
        held = sum(int(row[column]) for row in rows)
        bounds = stats.binomtest(held, len(rows)).proportion_ci(0.95)
        lines.append(f"| {name} | {held / len(rows):.1%} ({bounds.low:.1%} to {bounds.high:.1%}) |")
    return [
        *lines,
        "",
        "Parameter intervals are somewhat too narrow; prediction intervals, which also hold the window's sampling",
        "noise and a stated 1 % run-to-run variation, are near their level. Shed-rate intervals are often exactly zero",
        "below the gate, which counts as held when nothing was shed.",
        "",
    ]


@dataclass(frozen=True)
class _Share:
    """How many of a cell's intervals held the truth."""

    cell: str
    design: str
    metric: str
    held: int
    experiments: int

    @property
    def share(self) -> float:
        return self.held / self.experiments

    @property
    def is_inside(self) -> bool:
        return LOWEST <= self.share <= HIGHEST

    def is_shown_outside(self, numbers: int) -> bool:
        """Whether its Clopper-Pearson interval, at 95 % over all numbers together, misses 94 to 96 % altogether."""
        bounds = stats.binomtest(self.held, self.experiments).proportion_ci(1.0 - 0.05 / numbers)
        return bool(bounds.high < LOWEST or bounds.low > HIGHEST)

    def __str__(self) -> str:
        return f"{self.cell}, {self.design}, {self.metric}: {self.share:.2%}"


DESIGNS = (*simulation.DESIGNS, single_run.DESIGN)


def _totals_of(design: str) -> dict[str, dict[str, float]]:
    return single_run.totals() if design == single_run.DESIGN else simulation.totals()


def _shares() -> list[_Share]:
    return [
        _Share(cell, design, metric, int(found[key]), int(found["experiments"]))
        for design in DESIGNS
        for cell, found in _totals_of(design).items()
        for metric in simulation.METRICS
        if (key := f"{design}_{metric}_held") in found
    ]


def _simulation() -> list[str]:
    shares = _shares()
    inside = [item for item in shares if item.is_inside]
    outside = [item for item in shares if not item.is_inside]
    shown = [item for item in outside if item.is_shown_outside(len(shares))]
    lines = [
        "## Simulation intervals",
        "",
        "How often the 95 % intervals of a simulation hold the long-run value",
        "(`tests/studies/simulation_coverage.py`, `tests/studies/single_run_coverage.py`).",
        "`fixed`: 20 replications. `single`: one call of `simulate`, as long as those together, by batch means.",
        "`sequential`: replications until a stated precision of the one metric, at least 20. The truth is exact for",
        "exponential service and a reference 2,000 times as long as an experiment otherwise. A replication has 3,000",
        "requests after its warm-up (6,000 in the cell M/G/50/75). The shed rate is judged where an experiment of 20",
        "replications expects at least 50 sheds. What was required: 94 to 96 %; numbers outside are bold.",
        "",
        "| Cell | Design | Experiments | mean | P95 | shed rate |",
        "|---|---|---|---|---|---|",
    ]
    for cell in [item.name for item in simulation.CELLS]:
        for design in DESIGNS:
            found = _totals_of(design).get(cell)
            if found is not None:
                numbers = [_percent(shares, cell, design, metric) for metric in simulation.METRICS]
                lines.append(f"| {cell} | {design} | {found['experiments']:,.0f} | {' | '.join(numbers)} |")
    lines += [
        "",
        f"{len(inside)} of {len(shares)} numbers lie in 94 to 96 %. Shown to lie outside, with all of them judged",
        f"together (Bonferroni, 95 %): {len(shown)}.",
    ]
    if outside:
        lines += ["", "Outside:", "", *(f"- {item} ({_direction(item)})" for item in outside)]
    return [*lines, "", *_warnings(), ""]


def _direction(item: _Share) -> str:
    return "intervals too narrow" if item.share < LOWEST else "intervals wider than needed"


def _warnings() -> list[str]:
    said_short = {cell: found["said_short"] / found["experiments"] for cell, found in single_run.totals().items()}
    worst = max(said_short, key=lambda cell: said_short[cell])
    return [
        "Not to be trusted: the shed rate below 50 expected sheds (the interval is only made no narrower than for",
        "independent sheds); quantiles of replications so short that they hold a few dozen slow requests; a single",
        "run that says that it is short. That was said, of one metric or more, in",
        f"{said_short[worst]:.1%} of the runs of the worst cell ({worst}); all runs are counted above.",
    ]


def _percent(shares: list[_Share], cell: str, design: str, metric: str) -> str:
    for item in shares:
        if (item.cell, item.design, item.metric) == (cell, design, metric):
            return f"{item.share:.2%}" if item.is_inside else f"**{item.share:.2%}**"
    return "not judged"


def _none_seen() -> list[str]:
    with simulation.NONE_SEEN.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    lines = [
        "### Where nothing was shed",
        "",
        "The one-sided 95 % bound, in runs of the length at which a run without a shed puts the bound just below the",
        "truth: it should hold in 95 %. Sheds come in clusters, of mean size 1 / (1 - utilization) at a server with",
        "Poisson arrivals and exponential service; taking them as independent (size 1) claims too much.",
        "",
        "| Cell | Cluster size assumed | Requests | held |",
        "|---|---|---|---|",
    ]
    for row in rows:
        held = int(row["held"]) / int(row["experiments"])
        lines.append(f"| {row['cell']} | {float(row['cluster_size']):.3g} | {int(row['requests']):,} | {held:.2%} |")
    return [*lines, ""]


def _capacity() -> list[str]:
    lines = [
        "## Capacity intervals",
        "",
        "How often the 90 % interval of `find_capacity` holds the true capacity",
        f"(`tests/studies/capacity_coverage.py`, seed {capacity.SEED}). The truth is the load at which the formula of",
        "the station reaches the limit, by root finding; of users the last whole number within it. Times are in mean",
        "service times. The range in brackets is the 95 % Clopper-Pearson interval of the share; missed below: the",
        "whole interval lies below the truth. Width and error of the middle are means, relative to the truth.",
        "",
        "| Cell | Searches | held the truth | missed below | above | width | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell, found in capacity.totals().items():
        count, held = found["experiments"], int(found["held"])
        bounds = stats.binomtest(held, int(count)).proportion_ci(0.95)
        shares = [f"{found[name] / count:.1%}" for name in ("below", "above")]
        held_text = f"{held / count:.1%} ({bounds.low:.1%} to {bounds.high:.1%})"
        sizes = [f"{found[name] / count:.2%}" for name in ("width", "error")]
        lines.append(f"| {cell} | {count:,.0f} | {' | '.join([held_text, *shares, *sizes])} |")
    versions = " ".join(sorted(capacity.versions_seen()))
    return [
        *lines,
        "",
        "Capacities in users are rounded down to whole users: where the limit is reached just above one, the middle is",
        "one user low half of the time. Close to saturation (M/M/50 at a P95 of 3.5 service times: 96 % busy) busy",
        "spells are long and rare, and even a run of a million requests holds few of them.",
        "",
        f"Versions: {versions}.",
        "",
    ]


def _trust() -> list[str]:
    alarms = trust.false_alarms()
    recordings = max(count.recordings for count in alarms.values())
    lines = [
        "## Trust checks",
        "",
        f"{recordings:,} clean recordings, simulated from a stated range (`tests/support/clean_recordings.py`), judged",
        f"by every check ([what they mean](trust-checks.md); `tests/studies/trust_checks.py`, seed {trust.SEED}). A",
        "false alarm is a finding of severity warning or critical. In brackets the 95 % Clopper-Pearson interval.",
        "Promised: at most 0.5 % a recording, each check. `too-few-samples` counts and does not estimate: what it says",
        "is true by definition. Where a check did not apply it could not fire; those recordings are counted.",
        "",
        "| Check | False alarms | Not applicable |",
        "|---|---|---|",
    ]
    for code, count in alarms.items():
        shown = "none possible" if code == "too-few-samples" else _share_text(count)
        lines.append(f"| `{code}` | {shown} | {count.not_applicable / count.recordings:.0%} |")
    lines += [
        "",
        "Power: faults put into other clean recordings of the same range (`tests/support/faults.py`, seed",
        f"{trust.FAULTY_SEED}). A recording to which the check does not apply counts as not detected.",
        "",
        "| Fault | Size | Check | Detected | Not applicable |",
        "|---|---|---|---|---|",
    ]
    found = trust.power()
    for fault in trust.FAULTS:
        count = found[fault.name]
        share = f"{count.not_applicable / count.recordings:.0%}"
        lines.append(f"| {fault.name} | {fault.size} | `{fault.check}` | {_share_text(count)} | {share} |")
    return [
        *lines,
        "",
        "The range holds servers with a single worker and very uneven service times, and tests with two users.",
        "There a stall looks like one long service, a few users are no herd or a few who wait, and a trend drowns",
        "in the noise of the queue: the checks stay silent rather than raise false alarms. Trends are the weakest:",
        "a window of a few dozen cycles cannot tell a drift of a tenth from a slow wave of its queue. Longer",
        "windows and more users give more power. `lost-worker` was judged on the recordings with several processes",
        "only; its one false alarm is a process that the simulated ramp down left without a user, which Locust's",
        "own balancing does not do.",
        "",
        f"Seeds {trust.SEED} and {trust.FAULTY_SEED}; {trust.MADE_WITH}.",
        "",
    ]


def _share_text(count: trust.Count) -> str:
    bounds = stats.binomtest(count.fired, count.recordings).proportion_ci(0.95)
    share = count.fired / count.recordings
    return f"{share:.1%} of {count.recordings:,} ({bounds.low:.1%} to {bounds.high:.1%})"


def _not_measured() -> list[str]:
    return [
        "## Not measured yet",
        "",
        "The block-bootstrap intervals of recorded steps; the interval of `find_capacity` over parameter draws, and of",
        "knee and saturation.",
        "",
    ]


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
