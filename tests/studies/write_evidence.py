"""Write docs/evidence.md from the committed results of the studies.

python tests/studies/write_evidence.py
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent))

import calibration_coverage as calibration
import capacity_coverage as capacity
import comparison_errors as comparison
import drift_errors as drift
import forecast_coverage as forecasts
import knee_coverage as knees
import model_check_power as checks
import order_date_risk as order_dates
import planning_backtest as planning
import planning_verdict as verdict
import simulation_coverage as simulation
import single_run_coverage as single_run
import step_interval_coverage as step_intervals
import trust_checks as trust

from simulations.calibration.model_checks import FALSE_ALARMS
from simulations.calibration.validation import CPU_BOUND_P95, KNEE, LIMITS, NOISE_FACTOR, SINGLE_STEP_FACTOR
from studies.results_table import read_rows

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests" / "studies" / "results" / "calibration_coverage.csv"
PAGE = ROOT / "docs" / "evidence.md"
LOWEST, HIGHEST = 0.94, 0.96

ACCURACY = RESULTS.with_name("prediction_accuracy.csv")

_PARAMETERS = {
    "service_mean_s_held": "mean service time", "service_cv_held": "cv of the times",
    "cpu_mean_s_held": "mean CPU time", "database_mean_s_held": "mean database time",
    "network_round_trip_s_held": "network round trip", "workers_held": "workers", "gate_limit_held": "gate",
}  # fmt: skip
_PREDICTED = {
    "predicted_goodput_rps_held": "goodput", "predicted_shed_rate_held": "shed rate", "predicted_mean_s_held": "mean",
    "predicted_p50_s_held": "P50", "predicted_p95_s_held": "P95", "predicted_p99_s_held": "P99",
}  # fmt: skip


_AIMED = (0.87, 0.93)


def page_text() -> str:
    """The page, from the results alone."""
    opening = [
        "# Evidence",
        "",
        "What the intervals of this library are worth, measured. Written by",
        "`./run python tests/studies/write_evidence.py` from the results under `tests/studies/results`.",
        "",
    ]
    parts = (
        _accuracy(), _calibration(), _checks(), _steps(), _trust(), _knees(), _comparison(), _drift(), _simulation(),
        _none_seen(), _capacity(), _forecasts(), _planning(), _order_dates(), _not_measured(),
    )  # fmt: skip
    return "\n".join([*opening, *(line for part in parts for line in part)])


def _calibration() -> list[str]:
    with RESULTS.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    regimes = sorted({row["regime"] for row in rows})
    numbers = ", ".join(f"{sum(row['regime'] == name for row in rows)} {name}" for name in regimes)
    return [
        "## Calibration and prediction intervals",
        "",
        f"{len(rows)} synthetic servers and load tests drawn from a stated range",
        f"({numbers};",
        "`tests/studies/calibration_coverage.py` says which), each calibrated on levels of 20 s. Nominal level: 90 %.",
        "A parameter interval is right when it holds the true value; a prediction interval when it holds what an",
        "independent 20 s measurement showed at a level that was left out. The range in brackets is the 95 %",
        "Clopper-Pearson interval of the share.",
        "",
        f"| Interval of | all | {' | '.join(regimes)} |",
        f"|---|---|{'---|' * len(regimes)}",
        *(_coverage_row(f"{name} (parameter)", column, rows, regimes) for column, name in _PARAMETERS.items()),
        *(_coverage_row(f"{name} (prediction)", column, rows, regimes) for column, name in _PREDICTED.items()),
        "",
        *_calibration_conclusion(rows, regimes),
    ]


def _calibration_conclusion(rows: list[dict[str, str]], regimes: list[str]) -> list[str]:
    named = {**_PARAMETERS, **_PREDICTED}
    shares = [share for column in named if (share := _counted(rows, column)) is not None]
    inside = sum(
        round(_AIMED[0] * 100) <= round(100 * held / count) <= round(_AIMED[1] * 100) for held, count in shares
    )
    low = [
        f"{name} ({regime})"
        for column, name in named.items()
        for regime in ("all", *regimes)
        if (found := _counted([row for row in rows if regime in ("all", row["regime"])], column)) and _is_below(*found)
    ]
    below = ", ".join(low) or "none"
    return [
        f"Aimed at: 87 to 93 %. Over all regimes {inside} of {len(shares)} shares lie there.",
        f"Below it by more than chance, each share judged alone by its 95 % range: {below}.",
        "Shed-rate intervals are often exactly zero below the gate, which counts as held when nothing was shed.",
        "Those of whole numbers (workers, gate) are the shortest run of numbers that holds 90 % of the draws. Where",
        "one number has more than that, it is held more often: they are wide by their nature, not by their draws.",
        f"Seed {calibration.SEED}; {calibration.MADE_WITH}.",
        "",
    ]


def _counted(rows: list[dict[str, str]], column: str) -> tuple[int, int] | None:
    """Intervals that held the truth, and all."""
    known = [int(row[column]) for row in rows if row[column] != ""]
    return (sum(known), len(known)) if known else None


def _is_below(held: int, count: int) -> bool:
    return bool(stats.binomtest(held, count).proportion_ci(0.95).high < _AIMED[0])


def _coverage_row(name: str, column: str, rows: list[dict[str, str]], regimes: list[str]) -> str:
    cells = [_held(rows, column, with_range=True)]
    cells += [_held([row for row in rows if row["regime"] == regime], column) for regime in regimes]
    return f"| {name} | {' | '.join(cells)} |"


def _held(rows: list[dict[str, str]], column: str, *, with_range: bool = False) -> str:
    known = [int(row[column]) for row in rows if row[column] != ""]
    if not known:
        return ""
    share = f"{sum(known) / len(known):.0%}"
    if not with_range:
        return share
    bounds = stats.binomtest(sum(known), len(known)).proportion_ci(0.95)
    return f"{share} ({bounds.low:.0%} to {bounds.high:.0%}) of {len(known)}"


def _checks() -> list[str]:
    rows = read_rows(checks.RESULTS)
    by_case = {
        case: [row for row in rows if row["case"] == case] for case in dict.fromkeys(row["case"] for row in rows)
    }
    clean = [name for name in (checks.KNOWN, checks.CALIBRATED) if name in by_case]
    nominal = FALSE_ALARMS * checks.JUDGED
    return [
        "## Checks of the model",
        "",
        "How often `check_model` speaks (a warning or worse) of servers inside the model family, and outside it",
        f"(`tests/studies/model_check_power.py`, seeds from {checks.FIRST_SEED:,}).",
        f"Each of {checks.JUDGED} comparisons is set to speak by chance at {FALSE_ALARMS:.1%} of the recordings at",
        f"most, and only of differences that matter: together nominally at most {nominal:.1%}. Ranges are 95 %",
        "Clopper-Pearson intervals. *Estimate known*: draws around an estimate that is 1 % off the truth.",
        "*Calibrated*: as a user would.",
        "",
        "| Servers | recordings | any finding | refused | findings |",
        "|---|---|---|---|---|",
        *(_check_row(_CLEAN_NAMES[name], by_case[name]) for name in clean),
        *(_check_row(name, found) for name, found in by_case.items() if name not in clean),
        "",
        *(_alarms_in_words(by_case[name], name, nominal) for name in clean),
        "",
    ]


_CLEAN_NAMES = {
    checks.KNOWN: "**inside the family**, estimate known", checks.CALIBRATED: "**inside the family**, calibrated",
}  # fmt: skip


def _check_row(name: str, rows: list[dict[str, str]]) -> str:
    codes = Counter(code for row in rows for code in row["noticed"].split())
    told = ", ".join(f"{code} {number}" for code, number in codes.most_common()) or "none"
    noticed, refused = (
        _share_with_range(sum(bool(row[key]) for row in rows), len(rows)) for key in ("noticed", "refused")
    )
    return f"| {name} | {len(rows):,} | {noticed} | {refused} | {told} |"


def _share_with_range(hits: int, count: int) -> str:
    bounds = stats.binomtest(hits, count).proportion_ci(0.95)
    return f"{hits / count:.1%} ({bounds.low:.1%} to {bounds.high:.1%})"


def _alarms_in_words(rows: list[dict[str, str]], name: str, nominal: float) -> str:
    hits = sum(bool(row["noticed"]) for row in rows)
    bounds = stats.binomtest(hits, len(rows)).proportion_ci(0.95)
    said = "above the nominal rate" if bounds.low > nominal else "not above the nominal rate, as far as so many tell"
    return f"- {_CLEAN_NAMES[name].replace('*', '')}: {hits} of {len(rows):,}, {said}."


def _accuracy() -> list[str]:
    with ACCURACY.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if _shows_something(row)]
    lines = [
        "## Predictions of real servers",
        "",
        "`./run python tests/studies/prediction_accuracy.py`: every recording under `data/recordings` is calibrated on",
        "some of its load levels, and the others are predicted, without the true settings. Errors are relative, of",
        "the shed rate in points; *limit* is that of the median, and nine in ten errors are to stay within 2.5",
        "times it. Beside them: what the same steps give without waiting (N / (R + Z)), by the closed M/M/c formula,",
        "and by straight lines between the calibrated levels. Shed rates count where anything was shed, or",
        "predicted to be. Servers that are bound by their processor stand apart: what else runs on the machine",
        "takes part in that, and their limit for the P95 is 15 %.",
        "",
    ]
    for kind, source, title in _ACCURACY_TABLES:
        chosen = [row for row in rows if (row["kind"], row["source"]) == (kind, source) and not _is_cpu_bound(row)]
        if chosen:
            lines += [f"**{title}**", "", *_accuracy_table(chosen, dict(LIMITS)), ""]
    bound = [row for row in rows if _is_cpu_bound(row) and row["source"] == "log"]
    lines += ["**Bound by their processor, from request logs**", ""]
    lines += [*_accuracy_table(bound, {**LIMITS, "p95_s": CPU_BOUND_P95}), ""]
    logs = [row for row in rows if row["source"] == "log"]
    return [
        *lines,
        *_accuracy_by_region([row for row in logs if not _is_cpu_bound(row)]),
        *_accuracy_by_recording(logs),
    ]


_ACCURACY_TABLES = (
    ("third_party", "log", "Third-party servers, from request logs"),
    ("third_party", "json", "Third-party servers, from Locust's JSON reports alone"),
    ("third_party", "csv", "Third-party servers, from Locust's CSV files alone"),
    ("staging", "log", "The staging server"),
    ("transfer", "log", "After a change: other limits, think times, mix, arrivals, sessions, or three instances"),
)
_CPU_BOUND = ("cpu", "gunicorn_cpu")
AFTER_A_CHANGE = 1.5
_METRICS = {"goodput_rps": "goodput", "mean_s": "mean", "p95_s": "P95", "p99_s": "P99", "shed_rate": "shed rate"}


def _shows_something(row: dict[str, str]) -> bool:
    return row["metric"] != "shed_rate" or float(row["measured"]) > 0 or float(row["mid"]) > 0


def _is_cpu_bound(row: dict[str, str]) -> bool:
    return row["recording"] in _CPU_BOUND


def _accuracy_table(rows: list[dict[str, str]], limits: dict[str, float]) -> list[str]:
    recordings = len({row["recording"] for row in rows})
    lines = [
        f"| {recordings} recordings | median error | in 9 of 10 at most | limit | within 2.5 limits | in the interval "
        "| no waiting | closed M/M/c | interpolation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for metric, name in _METRICS.items():
        mine = [row for row in rows if row["metric"] == metric]
        errors = [float(row["error"]) for row in mine]
        if not errors:
            continue
        limit = limits[metric]
        within = sum(error <= SINGLE_STEP_FACTOR * limit for error in errors) / len(errors)
        held = sum(int(row["held"]) for row in mine) / len(mine)
        others = [_median_of(mine, f"{base}_error") for base in ("no_waiting", "closed_mmc", "interpolation")]
        lines.append(
            f"| {name} | **{np.median(errors):.1%}** | {np.quantile(errors, 0.9):.1%} | {limit:.1%} | {within:.0%} | "
            f"{held:.0%} of {len(mine)} | {' | '.join(others)} |"
        )
    return lines


def _accuracy_by_region(rows: list[dict[str, str]]) -> list[str]:
    lines = [
        "**By place on the way to saturation** (from request logs, not bound by their processor; median errors, bold",
        f"above the limit; after a change that is {AFTER_A_CHANGE:g} times as large). The knee is {KNEE[0]:g} to",
        f"{KNEE[1]:g} of saturation: there small changes of load move everything, and the limit is not below",
        f"{NOISE_FACTOR:g} times the half-width of a measured interval. Within 2.5 limits: of all numbers of the row.",
        "",
        f"| servers | region | steps | {' | '.join(_METRICS.values())} | within 2.5 limits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, title in (("third_party", "third-party"), ("staging", "staging"), ("transfer", "after a change")):
        for region in ("below", "knee", "beyond"):
            here = [row for row in rows if (row["kind"], row["region"]) == (kind, region)]
            if here:
                steps = len({(row["recording"], row["users"]) for row in here})
                medians = [_median_against_limit([row for row in here if row["metric"] == name]) for name in _METRICS]
                within = np.mean([float(row["error"]) <= SINGLE_STEP_FACTOR * _limit_of(row) for row in here])
                lines.append(f"| {title} | {region} | {steps} | {' | '.join(medians)} | {within:.0%} |")
    return [*lines, "", *_accuracy_by_range(rows)]


def _accuracy_by_range(rows: list[dict[str, str]]) -> list[str]:
    lines = [
        "**Interpolation and extrapolation** (the same servers; median errors of levels between the calibrated loads",
        "of an instance, and of levels outside of them)",
        "",
        f"| servers | levels | steps | {' | '.join(_METRICS.values())} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, title in (("third_party", "third-party"), ("staging", "staging"), ("transfer", "after a change")):
        for inside, name in (("1", "between"), ("0", "outside")):
            here = [row for row in rows if (row["kind"], row["inside"]) == (kind, inside)]
            if here:
                steps = len({(row["recording"], row["users"]) for row in here})
                medians = [_median_of([row for row in here if row["metric"] == metric], "error") for metric in _METRICS]
                lines.append(f"| {title} | {name} | {steps} | {' | '.join(medians)} |")
    return [*lines, ""]


def _limit_of(row: dict[str, str]) -> float:
    """Of a median error; larger after a change, and at the knee not below what noise alone gives."""
    limit = float(LIMITS[row["metric"]]) * (AFTER_A_CHANGE if row["kind"] == "transfer" else 1.0)
    return max(limit, NOISE_FACTOR * float(row["noise"])) if row["region"] == "knee" else limit


def _median_against_limit(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    error = float(np.median([float(row["error"]) for row in rows]))
    return f"**{error:.1%}**" if error > np.median([_limit_of(row) for row in rows]) else f"{error:.1%}"


def _median_of(rows: list[dict[str, str]], column: str) -> str:
    known = [float(row[column]) for row in rows if row[column] not in ("", "nan")]
    return f"{np.median(known):.1%}" if known else ""


def _accuracy_by_recording(rows: list[dict[str, str]]) -> list[str]:
    lines = [
        "**Each recording** (from request logs; median over its test levels, by region where there are any)",
        "",
        "| recording | form found | region | goodput | mean | P95 | P99 | shed rate |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted({row["recording"] for row in rows}):
        mine = [row for row in rows if row["recording"] == name]
        for region in ("below", "knee", "beyond"):
            here = [row for row in mine if row["region"] == region]
            if here:
                medians = [_median_of([row for row in here if row["metric"] == metric], "error") for metric in _METRICS]
                lines.append(f"| {name} | {mine[0]['form']} | {region} | {' | '.join(medians)} |")
    return [*lines, ""]


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


def _steps() -> list[str]:
    totals = {cell.name: step_intervals.totals()[cell.name] for cell in step_intervals.CELLS}
    shares = [
        _Share(cell, "", name, int(found[key]), int(found["windows"]))
        for cell, found in totals.items()
        for name in step_intervals.STEP_METRICS
        if (key := f"{name}_held") in found
    ]
    names = ("throughput", "goodput", "shed rate", "mean", "P50", "P95", "P99")
    lines = [
        "## Intervals of recorded steps",
        "",
        "How often the 90 % intervals of a step's metrics hold the long-run value, in windows of 45 s of a simulated",
        f"closed loop (`tests/studies/step_interval_coverage.py`, seed {step_intervals.SEED}, which says what the",
        "systems are). Load: users over the users that keep every worker just busy. The gate has a place in line for",
        "each worker, or for everybody. The truth comes from 2,000 further windows. Goodput is judged where it is not",
        f"throughput, the shed rate where a window expects at least {step_intervals.FEW_SHEDS:.0f} sheds.",
        "Aimed at: 87 to 93 %; numbers outside are bold. Few blocks: share of windows with that finding.",
        "",
        f"| System, gate, load | Windows | Blocks | Few blocks | {' | '.join(names)} |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    for cell, found in totals.items():
        count = found["windows"]
        numbers = [_step_percent(found, name) for name in step_intervals.STEP_METRICS]
        blocks = f"{found['blocks'] / count:.0f} | {found['few_blocks'] / count:.0%}"
        lines.append(f"| {cell} | {count:,.0f} | {blocks} | {' | '.join(numbers)} |")
    return [*lines, "", *_steps_outside(shares, totals), ""]


def _step_percent(found: dict[str, float], name: str) -> str:
    if f"{name}_held" not in found:
        return ""
    share = found[f"{name}_held"] / found["windows"]
    return f"{share:.1%}" if STEP_LOWEST <= share <= STEP_HIGHEST else f"**{share:.1%}**"


def _steps_outside(shares: list[_Share], totals: dict[str, dict[str, float]]) -> list[str]:
    narrow = [item for item in shares if item.share < STEP_LOWEST]
    wide = [item for item in shares if item.share > STEP_HIGHEST]
    tails = [item for item in narrow if item.metric in ("p95_s", "p99_s") and ", no gate, " in item.cell]
    bursts = [item for item in narrow if item not in tails and item.cell.startswith("high cv")]
    worst = min(shares, key=lambda item: item.share)
    return [
        f"{len(shares) - len(narrow) - len(wide)} of {len(shares)} numbers lie in 87 to 93 %, {len(narrow)} below and "
        f"{len(wide)} above; the standard error",
        f"of one is {(0.9 * 0.1 / worst.experiments) ** 0.5:.1%}. The lowest: {worst.share:.1%} ({worst.cell}, "
        f"{worst.metric}). Below:",
        "",
        f"- {len(tails)} are P95 and P99 without a gate. Near and beyond saturation the queue wanders over many",
        "  seconds, and the slowest requests are those of its few highest excursions. A window that saw no high one",
        "  cannot tell how high they go, nor that it is short: what it lacks it does not show. Most such windows say",
        "  that they have few blocks. Record longer, or the level several times, and take the far tail from the model.",
        f"- {len(bursts)} are other metrics of services with a high cv: a few long services, and the bursts behind",
        "  them, make most of the effect, and 45 s hold few of them.",
        f"- {len(narrow) - len(tails) - len(bursts)} are means and medians without a gate, for the reason of the",
        "  tails, and shed rates of a few dozen sheds, which come in clusters.",
        "",
        "Above are most of all rates of regular users (low cv): their counts are steadier over many cycles than over",
        "one, and blocks of about a cycle take no credit for that.",
        "",
        *_cuts_without_a_transient(totals),
        "",
        f"Versions: {'; '.join(sorted(step_intervals.versions_seen()))}.",
    ]


def _cuts_without_a_transient(totals: dict[str, dict[str, float]]) -> list[str]:
    searched = sum(found["searched"] for found in totals.values())
    cut = sum(found["cut_short"] for found in totals.values())
    worst = max(totals, key=lambda cell: totals[cell]["cut_short"] / totals[cell]["searched"])
    return [
        f"The search for a transient cut {cut:.0f} of {searched:,.0f} of these windows, which have none "
        f"({cut / searched:.2%});",
        f"of the {totals[worst]['searched']:.0f} of the worst cell ({worst}) it cut {totals[worst]['cut_short']:.0f}.",
    ]


STEP_LOWEST, STEP_HIGHEST = 0.87, 0.93
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


_CELLS = {
    "same": "the same server",
    "at_margin": "all times 5 % longer: exactly at the margin",
    "slower_10": "service times 10 % longer",
    "slower_20": "service times 20 % longer",
    "restless": "the same server; speeds vary by 3 % from run to run where 1 % is stated",
    "same_with_service_time": "the same server, service time judged too",
    "at_margin_with_service_time": "exactly at the margin, service time judged too",
    "slower_10_with_service_time": "service times 10 % longer, service time judged too",
}


def _comparison() -> list[str]:
    rows = comparison.rows_by_cell()
    lines = [
        "## Comparisons of two recordings",
        "",
        "Pairs of simulated load tests of one server, four steps of 30 s each, compared with a margin of 5 % and",
        "intervals at 90 % (`tests/studies/comparison_errors.py` says which server and loads). Each recording has its",
        "own speed, with a coefficient of variation of 1 %. The rows share their recordings A. What is claimed: where",
        "no difference lies beyond the margin, *worse* is said in at most 5 % of the pairs. In brackets the 95 %",
        "Clopper-Pearson interval.",
        "",
        "| B is | Pairs | worse | unclear | not worse |",
        "|---|---|---|---|---|",
    ]
    for cell, name in _CELLS.items():
        if rows[cell]:
            shares = [_verdict_share(rows[cell], verdict) for verdict in ("worse", "unclear", "not worse")]
            lines.append(f"| {name} | {len(rows[cell])} | {' | '.join(shares)} |")
    lines += [
        "",
        "How often the 90 % interval of a step's own change holds the true change:",
        "",
        "| B is | goodput | mean | P95 |",
        "|---|---|---|---|",
    ]
    for cell in ("same", "at_margin"):
        held = [_held_share(rows[cell], metric) for metric in ("goodput_rps", "mean_s", "p95_s")]
        lines.append(f"| {_CELLS[cell]} | {' | '.join(held)} |")
    half = sum(float(row["half_width_p95_all_steps"]) for row in rows["same"]) / len(rows["same"])
    return [
        *lines,
        "",
        f"The mean change of P95 over all steps is known to {half:.1%} (half an interval, mean). Four steps of 30 s",
        "tell a release that is 20 % slower from an equal one. They are too short to show that nothing changed by more",
        "than 5 % at any load: the verdict on equal releases is *unclear*, with how much longer would decide.",
        "",
        *_cells_not_measured([name for cell, name in _CELLS.items() if not rows[cell]]),
    ]


def _drift() -> list[str]:
    lines = [
        "## Drift of a live service",
        "",
        "Servers drawn as for the parameter intervals above, each calibrated on five levels (three where nothing",
        f"waits), then measured live: {drift.WINDOWS} windows of {drift.WINDOW_S:g} s, under users that follow a day",
        "(`tests/studies/drift_errors.py`). The server's speed has a coefficient of variation of 1 %, from window to",
        "window in even cases, for the whole series in odd ones. From the seventh window on its times are longer as",
        "stated. What is claimed: of unchanged servers at most 5 % are said to drift or to have single windows",
        "outside, where a calibration's draws hold the truth as often as they claim. In brackets the 95 %",
        "Clopper-Pearson interval.",
        "",
        "| Times from window 7 on | Series | inside | single windows | drift |",
        "|---|---|---|---|---|",
    ]
    rows = drift.results()
    for slower in drift.SLOWER:
        verdicts = [{"verdict": row[f"{drift.name_of(slower)}_verdict"]} for row in rows]
        shares = [_verdict_share(verdicts, verdict) for verdict in ("inside", "excursion", "drift")]
        said = "unchanged" if slower == 1 else f"{slower - 1:.0%} longer"
        lines.append(f"| {said} | {len(rows)} | {' | '.join(shares)} |")
    return [
        *lines,
        "",
        "The claim is about servers that the draws leave possible. A calibration that is farther off than its draws",
        "say shows as drift, so the first row may hold more alarms than claimed; it has too few series to tell by how",
        "many.",
        "",
    ]


def _cells_not_measured(names: list[str]) -> list[str]:
    return ["Not measured yet, though the study has them:", "", *(f"- {name}" for name in names), ""] if names else []


def _verdict_share(rows: list[dict[str, str]], verdict: str) -> str:
    hits = sum(row["verdict"] == verdict for row in rows)
    bounds = stats.binomtest(hits, len(rows)).proportion_ci(0.95)
    return f"{hits / len(rows):.1%} ({bounds.low:.1%} to {bounds.high:.1%})"


def _held_share(rows: list[dict[str, str]], metric: str) -> str:
    return f"{sum(int(row[f'{metric}_held']) for row in rows) / (len(rows) * len(comparison.USERS)):.1%}"


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


def _knees() -> list[str]:
    lines = [
        "## Knee searches",
        "",
        "How often the 90 % interval of `find-knee` holds the true knee (`tests/studies/knee_coverage.py`, seed",
        f"{knees.SEED}). Closed stations of exponential times, whose knee is known exactly; every step is",
        f"{knees.WINDOW_S:.0f} s of simulated requests, judged as those of a real server are, at most",
        f"{knees.OPTIONS.max_steps} steps, from {knees.OPTIONS.start_users} users. In brackets the 95 %",
        "Clopper-Pearson interval; steps, width and error of the middle are means, relative to the truth. Farthest:",
        "the largest level that any search asked for, over the knee.",
        "",
        "| Server and objective | Knee | Searches | held the truth | steps | width | error | farthest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in knees.results().items():
        count, truth = len(rows), float(rows[0]["truth"])
        held = sum(int(row["held"]) for row in rows)
        bounds = stats.binomtest(held, count).proportion_ci(0.95)
        steps = sum(int(row["steps"]) for row in rows) / count
        width = sum((float(row["high"]) - float(row["low"])) / truth for row in rows) / count
        error = sum(float(row["mid"]) / truth - 1.0 for row in rows) / count
        farthest = max(float(row["largest_asked"]) for row in rows) / truth
        held_text = f"{held / count:.1%} ({bounds.low:.1%} to {bounds.high:.1%})"
        sizes = f"{steps:.1f} | {width:.1%} | {error:+.1%} | {farthest:.2f}"
        lines.append(f"| {name} | {truth:.0f} | {count} | {held_text} | {sizes} |")
    versions = " ".join(sorted({row["versions"] for rows in knees.results().values() for row in rows}))
    return [*lines, "", f"Versions: {versions}.", ""]


def _forecasts() -> list[str]:
    found = forecasts.rows()
    ahead = range(1, forecasts.HORIZON + 1)
    lines = [
        "## Forecasts of demand",
        "",
        "How often the 90 % interval of a month's peak holds what came, and the pinball loss (of logarithms, mean over",
        "six quantiles) beside that of `trailing-quantile`, the simplest way (`tests/studies/forecast_coverage.py`,",
        f"seed {forecasts.SEED}, which says what the series are). Five and a half years of days are seen, six months",
        "kept back; `short`: 19 and three months. The months of a series go together, so the range in brackets is that",
        "of the mean over series (1.96 standard errors). *Below*: what came lay below the interval, the harmless side.",
        "",
        f"| Series | Number | held | below | loss | trailing | {' | '.join(f'month {month}' for month in ahead)} |",
        "|---|---|---|---|---|---|" + "---|" * len(ahead),
    ]
    for cell in forecasts.CELLS:
        mine = [row for row in found if row["cell"] == cell]
        if mine:
            lines.append(_forecast_row(cell, mine))
    chosen = Counter(row["model"] for row in found)
    ways = ", ".join(f"{name} {count}" for name, count in chosen.most_common())
    return [
        *lines,
        "",
        f"The ways that the backtests chose: {ways}.",
        f"A forecast here rests on {_origins_text(found)} backtest origins: few errors to recalibrate by.",
        f"Shown to hold too little: {_too_narrow(found)}.",
        f"Behind a gate {_above(found, 'shed'):.0%} of the months came above the interval, where 5 % should; months",
        "with shed requests are scored by no backtest. A history of less than 15 months knows no year; a short one has",
        "too few origins to recalibrate. Launches that nobody dates widen the intervals; an event file takes them out",
        f"and puts the coming ones on. The page views are one series, from {forecasts.REAL_FORECASTS} ends a half year",
        "apart: six numbers, not a coverage.",
        "",
        f"Versions: {'; '.join(sorted({row['versions'] for row in found}))}.",
        "",
    ]


def _too_narrow(found: list[dict[str, str]]) -> str:
    names = []
    for cell in forecasts.CELLS:
        mine = [row for row in found if row["cell"] == cell]
        if mine and _held_range(mine)[1] < 0.9:
            names.append(f"`{cell}`")
    return ", ".join(names) or "none"


def _held_range(mine: list[dict[str, str]]) -> tuple[float, float]:
    by_series = forecasts.values(mine, "held").mean(axis=1)
    reach = 1.96 * by_series.std(ddof=1) / len(mine) ** 0.5 if len(mine) > 1 else 1.0
    return max(0.0, by_series.mean() - reach), min(1.0, by_series.mean() + reach)


def _above(found: list[dict[str, str]], cell: str) -> float:
    mine = [row for row in found if row["cell"] == cell]
    return float(1 - sum(forecasts.values(mine, part).mean() for part in ("held", "below")))


def _origins_text(found: list[dict[str, str]]) -> str:
    numbers = [int(row["origins"]) for row in found]
    return f"{min(numbers)} to {max(numbers)}"


def _forecast_row(cell: str, mine: list[dict[str, str]]) -> str:
    held, below, loss, base = (forecasts.values(mine, part) for part in forecasts.PARTS)
    low, high = _held_range(mine)
    shares = [f"{share:.0%}" for share in held.mean(axis=0)] + [""] * (forecasts.HORIZON - held.shape[1])
    return (
        f"| {cell} | {len(mine)} | **{held.mean():.0%}** ({low:.0%} to {high:.0%}) | {below.mean():.0%} "
        f"| {loss.mean():.3f} | {base.mean():.3f} | {' | '.join(shares)} |"
    )


def _planning() -> list[str]:
    rows = read_rows(planning.RESULTS)
    made = [row for row in rows if row["family"] not in planning.REAL]
    groups: list[tuple[str, list[dict[str, str]]]] = [("all synthetic", made)]
    groups += [(name, [row for row in made if row["family"] == name]) for name in planning.FAMILIES]
    groups += [(name, [row for row in made if int(row["service"]) % 2 == odd]) for odd, name in _HISTORIES.items()]
    groups += [(f"lead time {lead} mo", [row for row in made if int(row["lead"]) == lead]) for lead in planning.LEADS]
    groups += [(name, [row for row in rows if row["family"] == name]) for name in planning.REAL]
    return [
        "## Plans tested on the past",
        "",
        f"A stated risk of {planning.RISK:.0%}, without safety factor or N+1, over {len(made):,} planned months of",
        "synthetic services whose law is known, and over two real histories of page views",
        f"(`tests/studies/planning_backtest.py`, seed {planning.SEED}; its protocol was fixed beforehand).",
        "*Risk* is the share of months in which demand exceeds what was ordered, by the true probabilities where the",
        "law is known, with its 95 % interval clustered by service; *hours* are instance-hours over an oracle's, who",
        "knows law and state (for page views: the months). The rules are tuned at every origin on the same past to",
        "the same risk; *at the same risk* they are multiplied, afterwards, to come short as often as the planner.",
        "",
        *_planning_verdict(made),
        "",
        "| Services | months | planner: risk | hours | seasonal-naive: risk | hours | at the same risk "
        "| trailing-quantile: risk | hours | at the same risk |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_planned(name, mine) for name, mine in groups),
        "",
        "Two weeks of requests at a load balancer (`elb_request_count_8c0756`) are refused: too short for months.",
        "",
        "Every series, risk and hours of the planner:",
        "",
        *(_planned_services(family, made) for family in planning.FAMILIES),
        "",
    ]


def _planning_verdict(made: list[dict[str, str]]) -> list[str]:
    rule, factor, hours = verdict.rule_to_beat(made)
    kept = verdict.risk_of(made, "planner")
    by = "as tuned" if factor == 1.0 else f"times {factor:.3f}"
    return [
        f"**By the protocol: {'met' if verdict.is_met(made) else 'not met'}.** The planner's risk is {kept.share:.1%}",
        f"({kept.low:.1%} to {kept.high:.1%}, of {kept.effective:,.0f} effective months; asked {verdict.LOWEST:.0%} to",
        f"{verdict.HIGHEST:.0%}), its hours {verdict.hours_ratio(made, 'planner'):.3f} of the oracle's;",
        f"the better rule, {rule} {by}, has {hours:.3f}. It is on the safe side where growth ends (*saturating*), and",
        "page views came short more often than stated, in too few effective months",
        f"(below {verdict.FEWEST_EFFECTIVE}) for a verdict.",
    ]


_HISTORIES = {1: "all days known", 0: "30 months known"}


def _planned(name: str, rows: list[dict[str, str]]) -> str:
    cells = [_risk_text(verdict.risk_of(rows, "planner")), f"{verdict.hours_ratio(rows, 'planner'):.3f}"]
    for rule in verdict.RULES:
        same = verdict.hours_ratio(rows, rule, verdict.factor_of_same_risk(rows, rule))
        risk = _risk_text(verdict.risk_of(rows, rule))
        cells += [risk, f"{verdict.hours_ratio(rows, rule):.3f}", f"{same:.3f}"]
    return f"| {name} | {len(rows):,} | {' | '.join(cells)} |"


def _risk_text(risk: verdict.Risk) -> str:
    return f"{risk.share:.1%} ({risk.low:.1%} to {risk.high:.1%})"


def _planned_services(family: str, rows: list[dict[str, str]]) -> str:
    cells = []
    for number in range(planning.SERVICES):
        mine = [row for row in rows if (row["family"], int(row["service"])) == (family, number)]
        cells.append(f"{verdict.risk_of(mine, 'planner').share:.1%} {verdict.hours_ratio(mine, 'planner'):.2f}")
    return f"- {family}: {', '.join(cells)}"


def _order_dates() -> list[str]:
    rows = read_rows(order_dates.RESULTS)
    return [
        "## Order dates tested on the past",
        "",
        "How often demand exceeds the fleet on any day before an order placed on its date arrives, where",
        f"{planning.RISK:.0%} is stated: plans for {order_dates.HORIZON} months from forecasts of services whose law",
        f"is known (`tests/studies/order_date_risk.py`, seed {planning.SEED}). 95 % interval, clustered by service.",
        "",
        "| Services | orders | came too late |",
        "|---|---|---|",
        *(_order_row(name, [row for row in rows if name in ("all", row["family"])]) for name in _ORDER_GROUPS),
        "",
        "Orders of one plan go together, so a service counts once. Half of the services are known for 30 months only.",
        "How high bursts go (*bursty*) is then known from a handful of them, and dates come too late more often.",
        "",
    ]


_ORDER_GROUPS = ("all", *planning.FAMILIES)


def _order_row(name: str, rows: list[dict[str, str]]) -> str:
    late = verdict.numbers(rows, "late_risk")
    share, error, number = verdict.clustered(late, [f"{row['family']} {row['service']}" for row in rows])
    half = error * float(stats.t.ppf(0.975, number - 1))
    return f"| {name} | {len(rows):,} | {share:.1%} ({max(0.0, share - half):.1%} to {share + half:.1%}) |"


def _not_measured() -> list[str]:
    return [
        "## Not measured yet",
        "",
        "The interval of `find_capacity` over parameter draws, and of knee and saturation.",
        "",
    ]


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
