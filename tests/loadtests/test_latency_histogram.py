import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.estimation.latency_histogram import (
    HISTOGRAMS,
    RELATIVE_PRECISION,
    RESOLUTION_S,
    LatencyHistogram,
    histograms_to_dict,
    merge_histograms,
    read_histograms,
    step_histograms,
)
from loadtests.estimation.steady_state import Window, summarise
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import write_json

TIMES = st.lists(st.floats(1e-6, 3000.0), min_size=1, max_size=100)


@given(TIMES, st.data())
@settings(max_examples=30, deadline=None)
def test_the_parts_add_up_to_the_whole(times, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=4)))
    parts = [LatencyHistogram.of(times[low:high]) for low, high in zip([0, *cuts], [*cuts, len(times)], strict=True)]
    merged, whole = merge_histograms(parts), LatencyHistogram.of(times)
    assert merged == whole
    assert merged.count == len(times)
    assert [merged.quantile_s(p) for p in (0, 0.5, 0.99, 1)] == [whole.quantile_s(p) for p in (0, 0.5, 0.99, 1)]


@given(TIMES, st.floats(0.01, 1.0))
@settings(max_examples=30, deadline=None)
def test_quantiles_are_within_the_stated_precision_of_exact_ones(times, probability):
    exact = float(np.quantile(times, probability, method="inverted_cdf"))
    found = LatencyHistogram.of(times).quantile_s(probability)
    near = [
        exact,
        *(float(np.quantile(times, np.clip(probability + d, 0, 1), method="inverted_cdf")) for d in (-1e-9, 1e-9)),
    ]
    assert min(abs(found - value) - RELATIVE_PRECISION * value for value in near) <= RESOLUTION_S


@given(TIMES)
@settings(max_examples=15, deadline=None)
def test_the_payload_brings_everything_back(times):
    whole = LatencyHistogram.of(times)
    assert LatencyHistogram.from_payload(whole.payload()) == whole


def test_merging_does_not_change_the_parts():
    part = LatencyHistogram.of([0.1, 0.2])
    merge_histograms([part, part])
    assert part.count == 2


def test_no_requests_have_no_quantile_and_times_out_of_range_count_at_its_ends():
    assert math.isnan(merge_histograms([]).quantile_s(0.5))
    assert LatencyHistogram.of([0.0, -1.0]).quantile_s(1.0) == RESOLUTION_S
    assert LatencyHistogram.of([1e9]).quantile_s(0.5) == pytest.approx(3600.0, rel=RELATIVE_PRECISION)


@pytest.mark.parametrize("text", ["", "garbage", "HISTFAAAABd42pNpmSzMwMDAxAABzFCaEUoz2X+AMIKZAEARAtM=x"])
def test_a_text_that_is_no_histogram_is_refused(text):
    with pytest.raises(InputError, match="is no HDR histogram"):
        LatencyHistogram.from_payload(text)


def test_each_step_and_outcome_has_a_histogram_and_they_come_back_from_the_file(tmp_path, request_table):
    finish = np.linspace(0.1, 10.0, 400)
    table = request_table(finish, np.where(np.arange(400) % 4 == 0, 0.001, 0.2))
    table.loc[np.arange(400) % 4 == 0, "outcome"] = "shed"
    step = summarise(table, Window(2, 10, 5.0, 10.0))
    made = step_histograms(table, [step])
    assert {(item.step, item.outcome): item.histogram.count for item in made} == {
        (2, outcome): count for outcome, count in step.outcomes.items()
    }
    write_json(tmp_path / HISTOGRAMS, histograms_to_dict(made))
    again = read_histograms(tmp_path)
    assert again == made
    served = next(item.histogram for item in again if item.outcome == "served")
    assert served.quantile_s(0.95) == pytest.approx(step.metrics["p95_s"].mid, rel=2 * RELATIVE_PRECISION)


def test_a_file_without_histograms_is_refused(tmp_path):
    write_json(tmp_path / HISTOGRAMS, {"histograms": [{"step": 1}]})
    with pytest.raises(InputError, match="not a list of histograms"):
        read_histograms(tmp_path)
