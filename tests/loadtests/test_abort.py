import numpy as np
import pytest

from loadtests.foundation.errors import InputError
from loadtests.load.abort import FEWEST_REQUESTS, AbortCondition, Aborted, RecentRequests, RequestCounts, parse_abort


def recent(condition, outcomes, residence_s=0.1, at_s=100.0):
    watched = RecentRequests([parse_abort(condition)])
    for outcome in outcomes:
        watched.cell(at_s).add(outcome, residence_s)
    return watched


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("error-rate>5%", AbortCondition("error-rate", 0.05)),
        (" shed-rate > 0.5 over 30s ", AbortCondition("shed-rate", 0.5, 30.0)),
        ("p95>200ms over 1m", AbortCondition("p95", 0.2, 60.0)),
    ],
)
def test_a_condition_reads_and_reads_back(text, condition):
    assert parse_abort(text) == condition
    assert parse_abort(condition.text()) == condition


@pytest.mark.parametrize(
    "text",
    ["", "error-rate", "errors>5%", "error-rate<5%", "error-rate>5", "error-rate>100%", "p95>0", "p95>fast",
     "p95>1s over 0s", "p95>1s over", "error-rate>-1%", "p42>1s"],
)  # fmt: skip
def test_a_condition_that_cannot_be_is_refused_with_the_grammar(text):
    with pytest.raises(InputError, match="Write 'error-rate>5%', 'shed-rate>50%' or 'p95>2s'"):
        parse_abort(text)


def test_errors_are_neither_served_nor_shed():
    outcomes = (
        ["served"] * 80 + ["shed"] * 14 + ["timeout", "reset", "server_error", "rate_limited", "refused", "failed"]
    )
    met = recent("error-rate>5%", outcomes).aborted(100.5)
    assert (met.value, met.requests) == (0.06, 100)
    assert recent("error-rate>6%", outcomes).aborted(100.5) is None
    assert recent("shed-rate>13.9%", outcomes).aborted(100.5).value == 0.14
    assert recent("shed-rate>14%", outcomes).aborted(100.5) is None


def test_few_requests_are_not_judged():
    assert recent("error-rate>5%", ["failed"] * (FEWEST_REQUESTS - 1)).aborted(100.5) is None
    assert recent("error-rate>5%", ["failed"] * FEWEST_REQUESTS).aborted(100.5) is not None


def test_only_the_window_counts_and_old_cells_go():
    watched = recent("error-rate>5% over 5s", ["failed"] * 50)
    assert watched.aborted(104.9) is not None
    assert watched.aborted(106.1) is None
    watched.cell(1_000.0).add("served", 0.1)
    assert len(watched._cells) == 1


def test_a_percentile_is_at_most_two_percent_above_the_exact_one():
    times = np.random.default_rng(1).lognormal(-3, 1, 5_000)
    counts = RequestCounts()
    for time_s in times:
        counts.add("served", time_s)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        exact = np.quantile(times, share, method="inverted_cdf")
        assert exact <= counts.metric(name) * (1 + 1e-9)
        assert counts.metric(name) <= exact * 1.0201


def test_slow_errors_do_not_count_in_a_percentile():
    watched = recent("p95>1s", ["served"] * 50)
    for _ in range(50):
        watched.cell(100.0).add("timeout", 30.0)
    assert watched.aborted(100.5) is None


def test_counts_of_workers_add_up():
    first, second = RequestCounts(), RequestCounts()
    for outcome, time_s in (("served", 0.1), ("served", 0.2), ("shed", 0.001)):
        first.add(outcome, time_s)
        second.add(outcome, time_s)
    total = RequestCounts.from_dict(first.to_dict())
    total.update(RequestCounts.from_dict(second.to_dict()))
    assert (total.requests, total.outcomes["shed"], total.latencies.total()) == (6, 2, 4)


def test_what_was_met_reads_back_and_explains_itself():
    met = Aborted(parse_abort("p95>2s"), 2.5, 300)
    assert Aborted.from_dict(met.to_dict()) == met
    assert met.text() == "p95 was 2.5 s over 10 s (300 requests), above the limit of 2 s"
    assert "31.0% over 10 s" in Aborted(parse_abort("error-rate>5%"), 0.31, 100).text()
