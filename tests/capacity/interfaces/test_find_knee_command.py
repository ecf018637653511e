"""What `capacity find-knee` prints."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from capacity.interfaces.commands_knee import print_result
from loadtests.deployment import Deployment
from loadtests.knee.knee_search import KneeOptions, KneeResult, belief_after
from loadtests.knee.knee_step import KneeObjective, KneeStep
from loadtests.recording import Recording
from loadtests.trust.report import TrustReport


def test_a_step_with_too_few_requests_for_a_percentile_is_shown_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    steps = (
        KneeStep(10, 2.0, 160, 0, 9, 0.110, 0.05, math.nan),
        KneeStep(1, 2.0, 16, 0, 2, math.nan, math.nan, math.nan),
    )
    objective = KneeObjective(0.005)
    belief = belief_after(steps, objective, KneeOptions())
    result = KneeResult(objective, belief.interval(), "not-met", "p95", steps, belief)
    print_result(result, Recording(Deployment(), (), pd.DataFrame(), manifest={"trust": TrustReport((), ()).to_dict()}))
    said = capsys.readouterr().out
    (row,) = (line for line in said.splitlines() if line.startswith("│ 2"))
    assert [cell.strip() for cell in row.split("│")][1:6] == ["2", "1", "2.0 s", "16", "-"]
    assert "No load meets the objective: already 1 user breaks the limit on p95." in said
