"""A real Prometheus scrapes two real staging servers while Locust loads one and the other is restarted."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests import (
    Deployment,
    Exponential,
    LoadPlan,
    PrometheusGauges,
    PrometheusServer,
    QueryMap,
    StagingOptions,
    import_prometheus,
    read_recording,
    record,
    start_staging,
)
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.files import to_json
from loadtests.foundation.http_client import fetch
from loadtests.foundation.units import Quantity
from loadtests.prometheus.client import query_range, raw_series
from support.prometheus_server import start_prometheus

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(max_ccu=30, utilization_percent=67, workers=10, queue_capacity=10, db_pool=3)
USERS = (5, 60)
AGE_S = 1.8  # a gauge beside a poll is at most one second and one scrape old


@dataclass(frozen=True)
class World:
    url: str
    loaded: str
    restarted: str
    range_s: tuple[float, float]
    recording: Any
    counted: dict[str, float]
    folder: Any
    paced: list[int]


def options(port=0):
    return StagingOptions(DEPLOYMENT, "exponential:0.05", port=port)


def query_map(port, **changes):
    labels = f'{{instance="127.0.0.1:{port}",path!~"/health|/ready|/metrics|/api/metrics"}}'
    gauges = {
        name: f'{name}{{instance="127.0.0.1:{port}"}}' for name in ("fluxor_in_flight_requests", "fluxor_workers_busy")
    }
    given = {
        "requests": "http_requests_total" + labels,
        "duration_buckets": "http_request_duration_seconds_bucket" + labels,
        "gauges": {"in_flight": gauges["fluxor_in_flight_requests"], "workers_busy": gauges["fluxor_workers_busy"]},
    }
    return QueryMap(**{**given, **changes})


def paced_requests(host, seconds, every_s=0.02):
    """One request after the other, evenly spaced; how many were sent."""
    begun = time.monotonic()
    sent = 0
    while time.monotonic() < begun + seconds:
        assert fetch(f"{host}/api/echo").status == 200
        sent += 1
        time.sleep(max(0.0, begun + sent * every_s - time.monotonic()))
    return sent


def two_lives(port, paced):
    """Load a server, end it, start it anew on the same port, load it again."""
    for _ in range(2):
        with start_staging(StagingOptions(DEPLOYMENT, "constant:1ms", port=port)) as server:
            time.sleep(1.2)  # a few scrapes before the load
            paced.append(paced_requests(server.host, 5.0))
            time.sleep(1.2)


def counters_of(host):
    """Requests by path and status as the server itself counts them."""
    families = text_string_to_metric_families(fetch(f"{host}/metrics").body.decode())
    return {
        (sample.labels["path"], sample.labels["status"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "http_requests_total"
    }


def free_port():
    with start_staging(options()) as server:
        return server.port


def wait_for_scrape(url, port):
    server = PrometheusServer(url)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = raw_series(server, f'up{{instance="127.0.0.1:{port}"}}', time.time() - 30, time.time())
        if any((item.value == 1).any() for item in found):
            return
        time.sleep(0.2)
    raise AssertionError("Prometheus scraped nothing")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as running:
        other = free_port()
        server = running.enter_context(start_staging(options()))
        prometheus = running.enter_context(start_prometheus(folder, [server.port, other], every="500ms"))
        wait_for_scrape(prometheus.url, server.port)
        paced = []
        lives = threading.Thread(target=two_lives, args=(other, paced))
        begun = time.time()
        time.sleep(1.2)  # the first scrapes see no request
        lives.start()
        gauges = PrometheusGauges(PrometheusServer(prometheus.url), query_map(server.port))
        plan = LoadPlan(USERS, 5.0, Exponential(0.1))
        recording = record(server.host, plan, folder / "recorded", deployment=DEPLOYMENT, prometheus=gauges)
        lives.join()
        time.sleep(1.2)  # two more scrapes
        yield World(
            prometheus.url, str(server.port), str(other), (begun, time.time()), recording,
            counters_of(server.host), folder, paced,
        )  # fmt: skip


@pytest.fixture(scope="module")
def imported(world):
    return import_prometheus(
        world.url, query_map(world.loaded), world.range_s, world.folder / "imported", deployment=DEPLOYMENT
    )


def test_requests_by_outcome_are_the_server_s_own_counters(world, imported):
    of_application = {status: value for (path, status), value in world.counted.items() if path == "/api/users"}
    assert imported.manifest["totals"] == {"served": of_application["200"], "shed": of_application["503"]}


def test_the_load_generator_counts_the_same_requests(world, imported):
    by_outcome = world.recording.requests["outcome"].value_counts()
    in_preflight = 1
    totals = imported.manifest["totals"]
    assert totals == {"served": by_outcome["served"] + in_preflight, "shed": by_outcome["shed"]}


def test_buckets_add_up_to_the_requests_of_each_step(imported):
    assert len(imported.steps) >= 2
    for step in imported.steps:
        bins = imported.latency_bins[imported.latency_bins["step"] == step.step]
        assert bins["count"].sum() == step.requests == sum(step.outcomes.values())
        assert (bins["high_s"] > bins["low_s"]).all()


def test_each_level_of_the_load_test_is_found_and_only_the_heavy_one_sheds(world, imported):
    for planned in world.recording.steps:
        offset = world.recording.manifest["clock"]["origin_epoch_s"] - imported.manifest["clock"]["origin_epoch_s"]
        middle = offset + (planned.start_s + planned.end_s) / 2
        found = [step for step in imported.steps if step.start_s <= middle < step.end_s]
        assert len(found) == 1
        assert (found[0].outcomes.get("shed", 0) > 0) == (planned.outcomes.get("shed", 0) > 0)
        assert found[0].load_quantity is Quantity.IN_FLIGHT
        assert found[0].users <= min(planned.users, DEPLOYMENT.gate)


def test_what_it_cannot_tell_is_said(imported):
    codes = {item["code"] for item in imported.manifest["findings"]}
    assert {"identifiability", "server-side-latency", "open-load", "bursts-unseen"} <= codes
    assert "histogram-differs" not in codes
    verdict = imported.manifest["identifiability"]
    status = {item["name"]: item["status"] for item in verdict["quantities"]}
    assert verdict["verdict"] == "identified"
    assert (status["think_time"], status["client_latency"], status["gate"]) == ("unknown", "unknown", "known")


def test_the_recording_reads_back_with_its_raw_samples(imported):
    again = read_recording(imported.path)
    assert to_json([step.to_dict() for step in again.steps]) == to_json([step.to_dict() for step in imported.steps])
    assert again.requests.empty
    assert again.latency_bins.equals(imported.latency_bins)
    assert "prometheus/samples.parquet" in again.manifest["files"]
    assert again.manifest["source"]["kind"] == "prometheus"


def test_gauges_of_prometheus_follow_the_load_on_the_recording_s_clock(world):
    recording = world.recording
    gauges = recording.gauges
    first, last = recording.requests["start_s"].min(), recording.requests["finish_s"].max()
    light, heavy = recording.steps
    inside = {
        step.users: gauges[(gauges["time_s"] > step.start_s + AGE_S) & (gauges["time_s"] < step.end_s)]
        for step in (light, heavy)
    }
    assert gauges["in_flight"].notna().sum() >= 8
    assert (gauges["in_flight"].dropna() <= DEPLOYMENT.gate).all()
    assert (gauges["workers_busy"].dropna() <= DEPLOYMENT.workers).all()
    after_preflight = gauges["time_s"] > gauges["time_s"].min() + AGE_S
    idle = after_preflight & ((gauges["time_s"] < first) | (gauges["time_s"] > last + AGE_S))
    assert (gauges.loc[idle, "in_flight"].dropna() == 0).all()
    assert inside[5]["in_flight"].max() <= 5
    assert inside[60]["in_flight"].min() > 5
    assert recording.manifest["findings"] == []
    assert read_recording(recording.path).gauges.equals(gauges)


def test_a_restart_is_found_and_no_step_spans_it(world, tmp_path):
    found = import_prometheus(world.url, query_map(world.restarted, gauges={}), world.range_s, tmp_path / "out")
    assert found.manifest["source"]["restarts"] == 1
    restart = next(item for item in found.manifest["findings"] if item["code"] == "counter-restart")
    (at_s,) = (at - world.range_s[0] for at in restart["numbers"]["at_s"])
    assert not any(step.start_s < at_s <= step.end_s for step in found.steps)
    assert {step.start_s > at_s for step in found.steps} == {True, False}
    assert found.manifest["totals"] == {"served": sum(world.paced)}


def test_several_instances_are_refused_by_name(world, tmp_path):
    with pytest.raises(InputError, match="2 scraped instances") as error:
        import_prometheus(world.url, QueryMap(), world.range_s, tmp_path / "out")
    assert world.loaded in str(error.value)
    assert world.restarted in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_no_prometheus_is_refused_before_any_load(world, tmp_path):
    staging = f"http://127.0.0.1:{world.loaded}"
    gauges = PrometheusGauges(PrometheusServer(staging))
    with pytest.raises(RunError, match="no Prometheus at"):
        record(staging, LoadPlan((1,), 1.0, Exponential(0.1)), tmp_path / "out", prometheus=gauges)
    assert not (tmp_path / "out").exists()


def test_a_query_that_is_none_is_refused_with_the_server_s_own_words(world):
    with pytest.raises(InputError, match="parse error"):
        query_range(PrometheusServer(world.url), "sum(", *world.range_s, 1.0)


def test_more_points_than_the_server_gives_at_once_come_in_chunks(world):
    begin = world.range_s[1] - 30.0
    (found,) = query_range(PrometheusServer(world.url), "vector(1)", begin, begin + 30.0, 0.001)
    assert len(found.time_s) == 30_001
    assert np.allclose(np.diff(found.time_s), 0.001, atol=1e-4)


def test_gauges_that_cannot_be_had_any_more_cost_only_their_columns(world):
    gone = PrometheusGauges(PrometheusServer("http://127.0.0.1:9"))
    polled = world.recording.gauges[["time_s"]]
    table, (finding,) = gone.merged_into(polled, time.time() - 20, 10.0)
    assert table.equals(polled)
    assert finding.code == "prometheus-unavailable"
