"""The backtest as rows: by way and month, and by way over all months."""

from __future__ import annotations

from typing import Any

import numpy as np

from capacity.demand.backtest import Backtest
from capacity.demand.history import Floats
from capacity.demand.quantile_scores import coverage, inside_interval


def score_rows(tested: Backtest, chosen: int) -> list[dict[str, Any]]:
    """One row a way and month ahead."""
    return [row for model in range(len(tested.names)) for row in _rows_of(tested, model, model == chosen)]


def _rows_of(tested: Backtest, model: int, is_chosen: bool) -> list[dict[str, Any]]:
    raw = inside_interval(tested.forecasts[model], tested.observed)
    independent = tested.effective_origins(model) / max(tested.scored_origins, 1)
    rows = []
    for month in range(tested.observed.shape[1]):
        origins = int(np.isfinite(tested.observed[:, month]).sum())
        rows.append({
            "model": tested.names[model], "chosen": is_chosen, "month": month + 1,
            "pinball": mean_known(tested.losses[model, :, month]),
            "coverage": mean_known(tested.inside[model, :, month]), "coverage_raw": mean_known(raw[:, month]),
            "origins": origins, "effective_origins": independent * origins,
        })  # fmt: skip
    return rows


def model_rows(tested: Backtest, chosen: int) -> list[dict[str, Any]]:
    """One row a way, over all months."""
    rows = []
    for model, name in enumerate(tested.names):
        effective = tested.effective_origins(model)
        covered = coverage(tested.inside[model], effective)
        rows.append({
            "model": name, "chosen": model == chosen, "pinball": float(tested.origin_losses[model].mean()),
            "coverage": covered.mid, "coverage_low": covered.low, "coverage_high": covered.high,
            "coverage_raw": mean_known(inside_interval(tested.forecasts[model], tested.observed)),
            "origins": tested.scored_origins, "effective_origins": effective,
        })  # fmt: skip
    return rows


def mean_known(values: Floats) -> float:
    """Mean of what is not NaN; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
