"""Counters of one instance between its scrapes, through restarts, gaps and late beginnings."""

import numpy as np
import pytest

from loadtests import QueryMap
from loadtests.foundation.errors import InputError
from loadtests.prometheus.client import Series
from loadtests.prometheus.counters import read_counters
from loadtests.prometheus.histograms import read_histogram
from loadtests.prometheus.observed import Fetched, observe
from loadtests.prometheus.statuses import outcome_of_status
from support.live_traffic import poisson_traffic, scraped

TIMES = np.arange(0.0, 60.0, 10.0)


def series(values, name="n_total", times=TIMES, **labels):
    values = np.asarray(values, dtype=float)
    there = ~np.isnan(values)
    return Series({"__name__": name, **labels}, np.asarray(times)[there], values[there])


GONE = float("nan")


def test_gains_are_differences_of_neighbouring_samples():
    found = read_counters([series([3, 5, 5, 9, 10, 20])])
    assert found.gained[:, 0].tolist() == [2, 0, 4, 1, 10]
    assert found.scrape_interval_s == 10
    assert found.is_usable.all()


def test_a_series_that_begins_late_began_at_zero():
    found = read_counters([series([3, 5, 6, 9, 10, 20]), series([GONE, GONE, 7, 8, 8, 8], status="503")])
    assert found.gained[:, 1].tolist() == [0, 7, 1, 0, 0]


def test_a_scrape_that_found_no_series_yet_counts_as_zero():
    found = read_counters([series([GONE, GONE, 4, 5, 6, 7])], scraped_s=TIMES)
    assert found.gained[:, 0].tolist() == [0, 4, 1, 1, 1]


def test_after_a_counter_fell_all_counters_of_the_process_began_at_zero():
    found = read_counters([series([10, 20, 30, 3, 4, 5]), series([0, 0, 1, 2, 2, 2], status="503")])
    assert found.is_restart.tolist() == [False, False, True, False, False]
    assert found.gained.tolist() == [[10, 0], [10, 1], [3, 2], [1, 0], [1, 0]]


def test_a_restart_shows_by_the_start_time_even_where_no_counter_fell():
    starts = series([5, 5, 5, 29, 29, 29], name="start")
    found = read_counters([series([1, 2, 3, 4, 5, 6])], start_times=[starts])
    assert found.is_restart.tolist() == [False, False, True, False, False]
    assert found.gained[:, 0].tolist() == [1, 1, 4, 1, 1]


def test_series_that_come_back_after_a_restart_are_no_second_restart():
    starts = series([5, 5, 5, 29, 29, 29], name="start")
    found = read_counters([series([10, 20, 30, GONE, GONE, 6])], TIMES, [starts])
    assert found.is_restart.tolist() == [False, False, True, False, False]
    assert found.gained[:, 0].tolist() == [10, 10, 0, 0, 6]


def test_without_a_start_time_series_that_vanish_show_the_restart():
    found = read_counters([series([1, 2, 3, 4, 5, 6], a="1"), series([5, 6, GONE, GONE, 7, 8], a="2")])
    assert found.is_restart.tolist() == [False, True, False, False, False]
    assert found.gained[:, 1].tolist() == [1, 0, 0, 7, 1]


def test_a_series_removed_while_the_process_lives_on_gains_nothing():
    starts = series([5] * 6, name="start")
    found = read_counters([series([1, 2, 3, 4, 5, 6], a="1"), series([5, 6, GONE, GONE, 7, 8], a="2")], None, [starts])
    assert not found.is_restart.any()
    assert found.gained[:, 1].tolist() == [1, 0, 0, 1, 1]


def test_missing_scrapes_lengthen_an_interval_and_many_make_a_gap():
    times = np.array([0.0, 10.0, 20.0, 40.0, 50.0, 90.0])
    found = read_counters([series([0, 1, 2, 4, 5, 9], times=times)])
    assert found.gained[:, 0].tolist() == [1, 1, 2, 1, 4]
    assert found.is_gap.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("bad", [np.inf, -1.0])
def test_a_sample_that_is_no_count_leaves_its_scrape_out(bad):
    found = read_counters([series([0, 1, bad, 3, 4, 5]), series([0, 0, 5, 5, 5, 5], status="503")])
    assert found.left_out_samples == 1
    assert found.gained.tolist() == [[1, 0], [2, 5], [1, 0], [1, 0]]
    assert not found.is_restart.any()


def test_nan_samples_leave_their_scrapes_out():
    item = Series({"__name__": "n_total"}, TIMES, np.array([0, 1, np.nan, 3, 4, 5]))
    found = read_counters([item])
    assert (found.left_out_samples, found.gained[:, 0].tolist()) == (1, [1, 2, 1, 1])


def test_too_few_scrapes_are_refused():
    with pytest.raises(InputError, match="2 usable scrapes"):
        read_counters([series([0, 1], times=[0.0, 1.0])])


def test_series_of_two_sources_that_took_turns_are_refused():
    first = series(np.arange(20), times=np.arange(20) * 10.0, a="1")
    second = series(np.arange(20), times=np.arange(20) * 10.0 + 5, a="2")
    with pytest.raises(InputError, match="not scraped together"):
        read_counters([first, second])


def test_series_that_follow_one_another_are_of_one_source():
    first = series(np.arange(20), times=np.arange(20) * 10.0, path="/old")
    second = series(np.arange(20), times=200.0 + np.arange(20) * 10.0, path="/new")
    found = read_counters([first, second], None, [series([5, 5], name="start", times=[0.0, 390.0])])
    assert found.gained.sum(axis=0).tolist() == [19, 19]


def test_gains_add_up_and_are_never_negative_whatever_the_process_does():
    random = np.random.default_rng(5)
    for _ in range(200):
        lives = [np.cumsum(random.poisson(2.0, (random.integers(3, 9), 3)), axis=0) for _ in range(3)]
        values = np.concatenate(lives).astype(float)
        times = np.arange(len(values)) * 10.0
        starts = series(np.repeat([1.0, 2.0, 3.0], [len(life) for life in lives]), name="start", times=times)
        columns = [
            series(np.where(column == 0, GONE, column), times=times, place=str(i)) for i, column in enumerate(values.T)
        ]
        found = read_counters([item for item in columns if len(item.time_s)], times, [starts])
        assert (found.gained >= 0).all()
        assert found.gained.sum() == sum(life[-1].sum() for life in lives) - lives[0][0].sum()
        assert found.is_restart.sum() == 2


def histogram(bucket_values, **more):
    return [series(values, "s_bucket", le=edge, **more) for edge, values in bucket_values.items()]


def test_bins_are_differences_of_buckets_in_seconds():
    buckets = {"5": [0, 1, 2, 3, 4, 5], "20": [0, 3, 6, 9, 12, 15], "+Inf": [0, 4, 8, 12, 16, 20]}
    found = read_histogram(read_counters(histogram(buckets)), "s_bucket", 0.001, "")
    assert found.low_s.tolist() == [0.0, 0.005, 0.02]
    assert found.high_s.tolist() == [0.005, 0.02, np.inf]
    assert found.gained.sum(axis=0).tolist() == [5, 10, 5]
    assert set(found.outcome) == {"any"}


def test_histograms_with_a_status_tell_outcomes_apart():
    good = histogram({"1": [0, 1, 2, 3, 4, 5], "+Inf": [0, 2, 4, 6, 8, 10]}, code="200")
    shed = histogram({"1": [0, 1, 1, 1, 1, 3], "+Inf": [0, 1, 1, 1, 1, 3]}, code="503")
    found = read_histogram(read_counters(good + shed), "s_bucket", 1.0, "code")
    counts = dict(
        zip(zip(found.outcome, found.low_s.tolist(), strict=True), found.gained.sum(axis=0).tolist(), strict=True)
    )
    assert counts == {("served", 0.0): 5, ("served", 1.0): 5, ("shed", 0.0): 3, ("shed", 1.0): 0}


def test_buckets_that_are_a_little_out_of_order_count_as_none():
    buckets = {"1": [0, 100, 200, 300, 400, 501], "+Inf": [0, 100, 200, 300, 400, 500]}
    found = read_histogram(read_counters(histogram(buckets)), "s_bucket", 1.0, "")
    assert found.out_of_order == 1
    assert (found.gained >= 0).all()


def test_every_label_set_that_is_no_histogram_is_named_in_one_error():
    parts = histogram({"1": [0, 1, 2, 3, 4, 5]}, path="/a") + histogram({"x": [0, 1, 2, 3, 4, 5]}, path="/b")
    parts += [series([0, 1, 2, 3, 4, 5], "s_bucket", path="/c")]
    with pytest.raises(InputError) as error:
        read_histogram(read_counters(parts), "s_bucket", 1.0, "")
    assert all(part in str(error.value) for part in ("'/a'", "+Inf", "le='x'", "no label le"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200", "served"), ("304", "served"), ("404", "client_error"), ("429", "rate_limited"), ("503", "shed"),
        ("500", "server_error"), ("5xx", "server_error"), ("2XX", "served"), ("0", None), ("ok", None), ("", None),
        ("999", None), ("²00", None),
    ],
)  # fmt: skip
def test_outcomes_of_statuses(status, outcome):
    assert outcome_of_status(status) == outcome


def fetched(**changes):
    all_series = scraped(poisson_traffic(0.0, ((30.0, 300.0),), 2), np.arange(0.0, 300.0, 5.0))
    by_name = {"requests": "live_requests_total", "buckets": "live_seconds_bucket", "sums": "live_seconds_sum"}
    parts = {
        part: tuple(item for item in all_series if item.labels["__name__"] == name) for part, name in by_name.items()
    }
    return Fetched(**{**parts, **changes})


def test_a_series_that_repeats_another_one_is_noticed():
    requests = fetched().requests
    copy = Series({**requests[0].labels, "path": "/again"}, requests[0].time_s, requests[0].value)
    assert observe(fetched(), QueryMap()).look_alikes == ()
    found = observe(fetched(requests=(*requests, copy)), QueryMap())
    assert [labels["path"] for labels in found.look_alikes] == ["/again"]


def test_problems_of_requests_and_of_their_histogram_come_together():
    given = fetched()
    halves = tuple(Series(item.labels, item.time_s, item.value / 2) for item in given.requests)
    with pytest.raises(InputError) as error:
        observe(fetched(requests=halves, buckets=given.buckets[:-1]), QueryMap())
    assert "by fractions" in str(error.value)
    assert "+Inf" in str(error.value)
