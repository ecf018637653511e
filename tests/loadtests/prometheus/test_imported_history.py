"""Hours of known traffic in a real Prometheus server, imported: what is found is what happened."""

import time
from dataclasses import replace

import numpy as np
import pytest

from loadtests import Deployment, Exponential, ImportOptions, QueryMap, import_prometheus, read_recording
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.units import Quantity
from loadtests.prometheus.client import PrometheusServer, raw_series
from simulations import calibrate
from support.live_traffic import Traffic, open_metrics, poisson_traffic, scraped, steady
from support.prometheus_server import start_prometheus, write_history

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

LEVELS = ((20.0, 1800.0), (50.0, 1200.0), (110.0, 1500.0), (50.0, 900.0))
SCRAPE_S = 15.0
SHORT_S = 900.0


def query_map(name="live", **changes):
    given = {
        "requests": f"{name}_requests_total",
        "duration_buckets": f"{name}_seconds_bucket",
        "process_start": f'start_seconds{{job="{name}"}}',
        "gauges": {"in_flight": f"{name}_in_flight"},
    }
    return QueryMap(**{**given, **changes})


def short(begin, name, seed, **labels):
    """A quarter of an hour at one rate, a scrape every 5 s."""
    traffic = poisson_traffic(begin, ((30.0, SHORT_S),), seed)
    return scraped(traffic, begin + np.arange(0.0, SHORT_S, 5.0), name, **labels)


def changed(series, change):
    """Each series as `change` makes it; None drops it."""
    return [item for item in map(change, series) if item is not None]


def without_label(label):
    return lambda item: replace(item, labels={name: value for name, value in item.labels.items() if name != label})


def with_a_nan(item):
    return replace(item, value=np.where(np.arange(len(item.value)) == 50, np.nan, item.value))


def without_infinity(item):
    return None if item.labels.get("le") == "+Inf" else item


def not_cumulative(item):
    return replace(item, value=item.value / 9) if item.labels.get("le") == "0.2" else item


def by_class(item):
    status = item.labels.get("status")
    return item if status is None else replace(item, labels={**item.labels, "status": f"{status[0]}xx"})


def served_only(begin):
    """A server whose histogram does not see what the gate turns away."""
    traffic = poisson_traffic(begin, ((30.0, SHORT_S),), 10, shed_above=20.0)
    is_served = traffic.status == "200"
    served = Traffic(traffic.finish_s[is_served], traffic.residence_s[is_served], traffic.status[is_served])
    times = begin + np.arange(0.0, SHORT_S, 5.0)
    counted = [item for item in scraped(traffic, times, "gated") if item.labels["__name__"] == "gated_requests_total"]
    return [*counted, *(item for item in scraped(served, times, "gated") if "seconds" in item.labels["__name__"])]


def faulty(begin):
    """One job for each kind of fault."""
    twice = short(begin, "twice", 8)
    return [
        *served_only(begin),
        *changed(short(begin, "nan", 3), with_a_nan),
        *changed(short(begin, "open", 4), without_infinity),
        *changed(short(begin, "crooked", 5), not_cumulative),
        *changed(short(begin, "unlabelled", 6), without_label("status")),
        *changed(short(begin, "classes", 7), by_class),
        *(replace(item, labels={**item.labels, "replica": replica}) for replica in "ab" for item in twice),
        *changed(short(begin, "fractions", 9), lambda item: replace(item, value=item.value / 7)),
    ]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """URL, begin and the traffic that was there."""
    folder = tmp_path_factory.mktemp("history")
    begin = float(int(time.time())) - 4 * 3600
    traffic = poisson_traffic(begin, LEVELS, 1, shed_above=100.0)
    times = begin + np.arange(0.0, sum(seconds for _, seconds in LEVELS), SCRAPE_S)
    inside = [float(((traffic.finish_s > at) & (traffic.finish_s - traffic.residence_s <= at)).sum()) for at in times]
    series = [
        *scraped(traffic, times),
        steady("up", times, 1.0, job="live", instance="10.0.0.1:80"),
        steady("live_in_flight", times, np.array(inside), job="live", instance="10.0.0.1:80"),
        steady("start_seconds", times, begin - 100, job="live", instance="10.0.0.1:80"),
        *faulty(begin),
    ]
    write_history(folder, open_metrics(series))
    with start_prometheus(folder, []) as prometheus:
        yield prometheus.url, begin, traffic


def whole_range(begin):
    return begin, begin + sum(seconds for _, seconds in LEVELS)


@pytest.fixture(scope="module")
def imported(history, tmp_path_factory):
    url, begin, _ = history
    return import_prometheus(url, query_map(), whole_range(begin), tmp_path_factory.mktemp("out") / "live")


def happened(history, step) -> Traffic:
    _, begin, traffic = history
    return traffic.between(begin + step.start_s, begin + step.end_s)


def test_every_level_becomes_a_step_inside_its_own_time(imported):
    borders = np.cumsum([0.0, *(seconds for _, seconds in LEVELS)])
    assert len(imported.steps) == len(LEVELS)
    for step, begin_s, end_s, (_, seconds) in zip(imported.steps, borders[:-1], borders[1:], LEVELS, strict=True):
        assert begin_s - SCRAPE_S <= step.start_s < step.end_s <= end_s + SCRAPE_S
        assert step.window_s > 0.9 * seconds


def test_counts_are_exact_even_for_the_first_503s_which_begin_their_series(history, imported):
    for step in imported.steps:
        there = happened(history, step)
        assert step.outcomes.get("served", 0) == (there.status == "200").sum()
        assert step.outcomes.get("shed", 0) == (there.status == "503").sum()
    _, begin, traffic = history
    counted = traffic.between(begin, whole_range(begin)[1] - SCRAPE_S)
    assert imported.manifest["totals"]["shed"] == (counted.status == "503").sum()


def test_the_bounds_hold_the_latencies_of_served_requests(history, imported):
    for step in imported.steps:
        served = happened(history, step).served_s
        truth = {"mean_s": served.mean(), **{f"p{q}_s": np.quantile(served, q / 100) for q in (50, 95, 99)}}
        for name, value in truth.items():
            low, high = step.metrics[name].low, step.metrics[name].high
            assert low <= value <= high, (step.step, name)


def test_the_load_of_a_step_is_its_mean_number_in_flight(history, imported):
    for step in imported.steps:
        assert step.load_quantity is Quantity.IN_FLIGHT
        assert step.users == max(1, round(happened(history, step).residence_s.sum() / step.window_s))
    assert "in-flight-differs" not in {item["code"] for item in imported.manifest["findings"]}
    assert imported.gauges["active_connections"].equals(imported.gauges["in_flight"])


def test_without_gauges_and_limits_the_model_is_only_partly_identified(imported):
    verdict = imported.manifest["identifiability"]
    status = {item["name"]: item["status"] for item in verdict["quantities"]}
    assert verdict["verdict"] == "partly-identified"
    assert status["service_time_mean"] == status["waiting_time_mean"] == "unknown"
    assert (status["gate"], status["load_range"], status["residence_time_shape"]) == ("bounded",) * 3


def test_a_histogram_of_served_requests_only_is_recognised(history, tmp_path):
    url, begin, _ = history
    found = import_prometheus(url, query_map("gated"), (begin, begin + SHORT_S), tmp_path / "out")
    assert set(found.latency_bins["outcome"]) == {"served"}
    for step in found.steps:
        bins = found.latency_bins[found.latency_bins["step"] == step.step]
        assert bins["count"].sum() == step.outcomes["served"] < step.requests
        assert step.metrics["mean_s"].low > 0.05


def test_fewer_levels_keep_the_longest_stretch_of_each_band_of_rate(history, tmp_path):
    url, begin, _ = history
    options = ImportOptions(levels=3, think=Exponential(0.5))
    found = import_prometheus(url, query_map(), whole_range(begin), tmp_path / "out", options=options)
    assert [round(step.metrics["throughput_rps"].mid, -1) for step in found.steps] == [20, 50, 110]
    assert [item["reason"] for item in found.manifest["left_out_stretches"]] == [
        "a longer stretch of the same band of rate is kept"
    ]
    for step in found.steps:
        inside = happened(history, step).residence_s.sum() / step.window_s
        assert step.load_quantity is Quantity.USERS
        assert step.users == round(inside + 0.5 * step.metrics["throughput_rps"].mid)


def test_a_calibration_of_counters_and_histograms_finds_the_residence_time_and_says_what_it_cannot_tell(imported):
    fit = calibrate(imported)
    mean_s = 0.08 * np.exp(0.7**2 / 2)
    fitted = fit.parameters["service_mean_s"].mid + fit.parameters["network_round_trip_s"].mid
    assert fitted == pytest.approx(mean_s, rel=0.05)  # the traffic waits for nobody: all of it is service
    assert fit.valid_range.unit == "requests per second"
    assert (fit.valid_range.lowest, fit.valid_range.highest) == pytest.approx((20.0, 110.0), rel=0.05)
    assert fit.identified["workers"] is False
    (workers,) = (item for item in fit.findings if item.code == "workers-not-identified")
    assert "requests per second" in workers.message
    assert "users" not in workers.message


def test_a_range_at_one_load_identifies_nothing(history, tmp_path):
    url, begin, _ = history
    deployment = Deployment(workers=10, queue_capacity=10)
    found = import_prometheus(url, query_map(), (begin, begin + 1500.0), tmp_path / "out", deployment=deployment)
    assert found.manifest["identifiability"]["verdict"] == "not-identified"
    assert {"gate-never-reached", "identifiability"} <= {item["code"] for item in found.manifest["findings"]}
    assert read_recording(found.path).deployment == deployment


def test_raw_samples_of_hours_are_those_that_were_scraped(history):
    url, begin, _ = history
    (found,) = raw_series(PrometheusServer(url), 'live_requests_total{status="200"}', *whole_range(begin))
    assert np.allclose(np.diff(found.time_s), SCRAPE_S, atol=1e-6)
    assert np.all(np.diff(found.value) >= 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("open", 'no bucket le="\\+Inf"'),
        ("crooked", "is not cumulative"),
        ("unlabelled", "no label 'status' .*instance, job"),
        ("twice", "would count twice"),
        ("fractions", "grows by fractions"),
    ],
)
def test_series_that_cannot_be_counted_are_refused(history, tmp_path, name, said):
    url, begin, _ = history
    with pytest.raises(InputError, match=said):
        import_prometheus(url, query_map(name), (begin, begin + SHORT_S), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "code"), [("nan", "bad-samples"), ("classes", "status-classes")])
def test_what_can_be_lived_with_becomes_a_finding(history, tmp_path, name, code):
    url, begin, _ = history
    found = import_prometheus(url, query_map(name), (begin, begin + SHORT_S), tmp_path / "out")
    assert code in {item["code"] for item in found.manifest["findings"]}
    assert len(found.steps) == 1


def test_all_empty_queries_are_named_at_once(history, tmp_path):
    url, begin, _ = history
    with pytest.raises(InputError, match=r"(?s)requests: no_requests_total.*duration_buckets: no_seconds_bucket"):
        import_prometheus(url, query_map("no"), (begin, begin + 60.0), tmp_path / "out")


def test_a_range_without_data_says_so(history, tmp_path):
    url, begin, _ = history
    with pytest.raises(InputError, match="no samples between the two times"):
        import_prometheus(url, query_map(), (begin - 9_000.0, begin - 8_000.0), tmp_path / "out")


def test_a_gauge_that_does_not_exist_is_a_finding(history, tmp_path):
    url, begin, _ = history
    gauges = {"in_flight": "live_in_flight", "cores": "no_such_gauge"}
    found = import_prometheus(url, query_map(gauges=gauges), whole_range(begin), tmp_path / "out")
    assert found.gauges["cores"].isna().all()
    assert [item["numbers"] for item in found.manifest["findings"] if item["code"] == "gauge-absent"] == [
        {"gauge": "cores"}
    ]


@pytest.mark.parametrize("range_s", [(200.0, 100.0), (100.0, 100.0), (-5.0, 100.0), (float("nan"), 100.0)])
def test_a_range_that_is_none_is_refused(tmp_path, range_s):
    with pytest.raises(InputError, match=r"from|range"):
        import_prometheus("http://127.0.0.1:9", query_map(), range_s, tmp_path / "out")


def test_a_server_that_cannot_be_reached_is_named(tmp_path):
    with pytest.raises(RunError, match=r"http://127.0.0.1:9 cannot be reached"):
        import_prometheus("http://127.0.0.1:9", query_map(), (100.0, 200.0), tmp_path / "out")
