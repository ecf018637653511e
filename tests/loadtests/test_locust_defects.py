"""Defects of Locust's own outputs and ways, each beside a recording of the same run that is right.

| Defect | Test, here where no file is named |
|---|---|
| Locust holds all users up before it says that it stops | test_step_marks |
| importing Locust patches the whole process | foundation/test_lazy_packages: ..never_loads_locust |
| failures are mixed into its percentiles | test_percentiles_of_the_csv_mix_503s.. |
| its CSV lacks the last second | test_the_csv_lacks_the_last_second |
| percentiles of its history are cumulative | test_percentiles_of_the_history_are_cumulative.. |
| .. except with full history | importing/test_locust_versions: cumulative_percentiles_are_told_from_recent_ones |
| its requests a second are smoothed, seconds are skipped | test_requests_a_second_of_the_history.. |
| .. in files of other people | importing/test_stock_locust: each_source_counts_what_the_log_counts.. |
| its user count is not the number in flight | test_the_user_count_is_not.. |
| times are rounded to two digits | test_times_above_100_ms_are_rounded.. |
| .. so that a percentile is off | importing/test_locust_versions: bounds_from_locusts_percentiles.. |
| its request logger corrupts its file under several processes | test_the_request_logger_corrupts.. |
| counts at quitting are short | test_a_count_at_quitting.., test_the_master_s_total_lacks.. |
| no open arrivals | test_recording_other_loads: a_schedule_with_too_few_users.. |
| a healthy gate's 503s fail the run | test_a_503_of_a_healthy_gate.. |
| --run-time counts from the start of spawning | test_the_run_time_counts_from_the_start_of_spawning.. |
| users come in bursts once a second | test_users_come_in_bursts.. |
| its JSON report blends 503s with served requests | importing/test_third_party_recordings: blended_percentiles.. |
"""

import csv
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest

from loadtests.deployment import Deployment
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import read_recording
from support.locust_runs import at_once, finish, locust_total, our, start_locust, two_processes, wait_for_rows

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(max_ccu=30, utilization_percent=67, workers=5, queue_capacity=5, db_pool=3)
NATIVE_LOGGER = """
from locust import events
from locust.contrib.csv_request_logger import CsvRequestLogger

logger = CsvRequestLogger("native.csv")

@events.init.add_listener
def register(environment, **_):
    logger.register(environment)
"""
COUNT_AT_QUITTING = """
from locust import events

counted = []

@events.request.add_listener
def count(**_):
    counted.append(1)

@events.quitting.add_listener
def tell(**_):
    with open("at_quitting.txt", "a") as file:
        file.write(f"{len(counted)}\\n")
"""


class Run:
    """A run of stock Locust with all its own files and our recording of it."""

    def __init__(self, folder, host, *words, end_by=None):
        process = start_locust(
            folder, "-f", f"{our('locustfile.py')},extra.py", "-H", host, "--csv", "native", "--json-file", "report",
            "--recording", "out", *words,
        )  # fmt: skip
        if end_by is not None:
            wait_for_rows(folder / "out", 40)
            os.kill(process.pid, end_by)
        self.code, self.said = finish(process)
        self.folder = folder
        self.recording = read_recording(folder / "out")
        self.requests = self.recording.requests
        self.report = json.loads((folder / "report.json").read_text())

    @property
    def total(self):
        return locust_total(self.folder / "report.json")

    def native(self, name):
        return pd.read_csv(self.folder / f"native_{name}.csv")


def run_staged(folder):
    """A heavy step that the gate turns mostly away, then a light one; each served request takes 0.25 s."""
    (folder / "extra.py").write_text(NATIVE_LOGGER)
    with start_staging(StagingOptions(DEPLOYMENT, "uniform:0.2:0.3")) as server:
        return Run(
            folder, server.host, "--step-users", "40,3", "--step-time", "4s", "--hold-time", "0.7s",
            "--think", "uniform:0.05:0.15", "--spawn-rate", "20", "--stop-timeout", "2",
        )  # fmt: skip


def test_the_csv_lacks_the_last_second(staged):
    aggregated = staged.native("stats").set_index("Name").loc["Aggregated", "Request Count"]
    assert aggregated < staged.total
    assert len(staged.requests) == staged.total


def test_percentiles_of_the_csv_mix_503s_with_served_requests(staged):
    blended_s = staged.native("stats").set_index("Name").loc["Aggregated", "50%"] / 1e3
    heavy = staged.recording.steps[0]
    assert heavy.metrics["shed_rate"].mid > 0.5
    assert blended_s < 0.1
    assert heavy.metrics["p50_s"].mid > 0.19
    served = staged.requests[staged.requests["outcome"] == "served"]
    assert (served["finish_s"] - served["start_s"]).min() > 0.19


def test_times_above_100_ms_are_rounded_to_two_digits_in_the_report(staged):
    times = {int(float(time)) for entry in staged.report for time in entry["response_times"]}
    assert all(time % 10 == 0 for time in times if time >= 100)
    ours_ms = (staged.requests["finish_s"] - staged.requests["start_s"]) * 1e3
    slow_ms = ours_ms[ours_ms >= 100]
    assert slow_ms.nunique() > 2 * len([time for time in times if time >= 100])
    assert (np.rint(slow_ms) % 10 != 0).mean() > 0.5


def test_percentiles_of_the_history_are_cumulative_since_the_start(staged):
    """Near the end of the light step, in which nobody is turned away, it still tells of the heavy one."""
    last = staged.native("stats_history").iloc[-1]
    light = staged.recording.steps[-1]
    assert last["User Count"] <= 3
    assert float(last["50%"]) < 100
    assert light.metrics["p50_s"].mid > 0.19
    assert light.metrics["shed_rate"].mid == 0
    assert last["Total Failure Count"] > 0


def test_requests_a_second_of_the_history_are_smoothed_over_ten_seconds(staged):
    last = staged.native("stats_history").iloc[-1]
    light = staged.recording.steps[-1]
    assert last["Requests/s"] > 3 * light.metrics["throughput_rps"].mid
    length_s = light.end_s - light.start_s
    assert light.metrics["throughput_rps"].mid == pytest.approx(light.requests / length_s)


def test_a_503_of_a_healthy_gate_fails_the_run(staged):
    assert staged.code == 1
    assert set(staged.requests["outcome"]) == {"served", "shed"}
    assert sum(entry["num_failures"] for entry in staged.report) == (staged.requests["outcome"] == "shed").sum()
    assert staged.recording.manifest["findings"] == []


def test_users_come_in_bursts_once_a_second_and_stay_outside_of_the_steady_window(staged):
    heavy = staged.recording.steps[0]
    begun = staged.requests[staged.requests["start_s"] < 4.0]
    first = begun.groupby("user_id")["start_s"].min()
    bursts = sorted(first.round(0).unique())
    assert len(first) == 40
    assert len(bursts) <= 3
    assert heavy.start_s > first.max()
    assert staged.recording.manifest["ramps"][0]["seconds"] > 0.8


def test_the_user_count_is_not_the_number_of_requests_in_flight(staged):
    heavy = staged.recording.steps[0]
    moments = np.linspace(heavy.start_s, heavy.end_s, 50)
    starts, ends = (staged.requests[name].to_numpy() for name in ("start_s", "finish_s"))
    in_flight = [((starts <= at) & (ends > at)).sum() for at in moments]
    assert staged.native("stats_history")["User Count"].max() == 40
    assert min(in_flight) < 40  # somebody thinks, at some moment; on a busy machine not at all of them
    assert staged.requests["users"].max() == 40


def run_parallel(folder):
    """Two processes with Locust's request logger; users come over two seconds of the four."""
    (folder / "extra.py").write_text(NATIVE_LOGGER)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        return Run(
            folder, server.host, "--users", "10", "--spawn-rate", "4", "--run-time", "4s",
            "--think", "constant:30ms", *two_processes(),
        )  # fmt: skip


def test_the_request_logger_corrupts_its_file_under_several_processes(parallel):
    with (parallel.folder / "native.csv").open(newline="", errors="replace") as file:
        rows = list(csv.reader(file))[1:]
    whole = [row for row in rows if len(row) == 7 and row[0] and row[2] == "/api/users"]
    assert len(whole) < parallel.total
    assert len(parallel.requests) == parallel.total
    assert parallel.recording.manifest["findings"] == []


def test_the_run_time_counts_from_the_start_of_spawning_and_a_step_from_when_all_users_run(parallel):
    """So its own rate is that of fewer users than were asked for."""
    (step,), (ramp,) = parallel.recording.steps, parallel.recording.manifest["ramps"]
    assert ramp["seconds"] > 1.5
    assert step.start_s > ramp["seconds"]
    assert step.end_s < 4.0 + ramp["seconds"]
    last_user_after_s = parallel.requests.groupby("user_id")["start_s"].min().max()
    assert 1.5 < last_user_after_s < step.start_s
    assert (parallel.recording.requests_in(step)["users"] == 10).all()
    its_own_rate_rps = parallel.native("stats").set_index("Name").loc["Aggregated", "Requests/s"]
    assert its_own_rate_rps < 0.95 * step.metrics["throughput_rps"].mid


def run_ended(folder):
    """Ended by a signal, Locust says that it is quitting while its users still run."""
    (folder / "extra.py").write_text(COUNT_AT_QUITTING)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.3")) as server:
        return Run(
            folder, server.host, "--users", "8", "--spawn-rate", "8", "--think", "constant:10ms",
            "--stop-timeout", "3", end_by=signal.SIGTERM,
        )  # fmt: skip


def test_a_count_at_quitting_lacks_the_requests_that_finish_while_locust_stops(runs):
    run = runs["ended"].result()
    first = int((run.folder / "at_quitting.txt").read_text().splitlines()[0])
    assert first < run.total
    assert len(run.requests) == run.total


def run_slow_workers(folder):
    """Without our listener: Locust's total, the server's log, what was said."""
    log = folder / "service.csv"
    with start_staging(StagingOptions(DEPLOYMENT, "constant:1.5", service_log=log)) as server:
        words = ("-f", our("locustfile.py"), "-H", server.host, "--users", "4", "--spawn-rate", "4", "--run-time", "4s")
        more = ("--think", "constant:10ms", "--stop-timeout", "5", *two_processes(), "--json-file", "report")
        _, said = finish(start_locust(folder, *words, *more))
    return locust_total(folder / "report.json"), len(pd.read_csv(log)), said


def test_the_master_s_total_lacks_the_requests_that_workers_finish_after_half_a_second(runs):
    """That the recording has them is the case above, and of two processes elsewhere."""
    total, answered, said = runs["slow_workers"].result()
    assert total < answered, said


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    acts = {"staged": run_staged, "parallel": run_parallel, "ended": run_ended, "slow_workers": run_slow_workers}
    return at_once(acts, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def staged(runs):
    return runs["staged"].result()


@pytest.fixture
def parallel(runs):
    return runs["parallel"].result()
