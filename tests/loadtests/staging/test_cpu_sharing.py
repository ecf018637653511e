"""CPU-bound requests share the cores: how residence depends on size tells processor sharing from a line.

With n requests always inside and k cores, a request of size x stays x n / k under processor sharing: what it
loses to others is proportional to its size. In a line it waits the same whatever its size.
"""

import http.client
import math
import threading

import numpy as np
import psutil
import pytest
from scipy import stats

from loadtests import Deployment, StagingOptions, read_service_log, start_staging
from loadtests.foundation.http_client import fetch
from loadtests.staging import cpu_work

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

SMALL_S, LARGE_S = 0.008, 0.048
CLIENTS, REQUESTS_EACH = 8, 20
BATCHES = 8
FALSE_ALARM = 0.001  # of calling a line processor sharing, or the other way round


def loaded(folder, workers, cpu_cores=None, requests_each=REQUESTS_EACH):
    """The log of a server under clients that never pause, and what it says of its cores."""
    sizes = f"mixture:0.5*constant:{SMALL_S}+0.5*constant:{LARGE_S}"
    limits = Deployment(workers=workers, queue_capacity=CLIENTS, cpu_cores=cpu_cores)
    options = StagingOptions(limits, "none", cpu_time=sizes, service_log=folder / "service.csv")

    def client(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(requests_each):
            connection.request("GET", "/api/echo")
            assert connection.getresponse().read()
        connection.close()

    with start_staging(options) as server:
        threads = [threading.Thread(target=client, args=(server.port,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        affinity = psutil.Process(server.pid).cpu_affinity()
        cores = fetch(f"{server.host}/api/metrics").json_object()["cpu"]
    return read_service_log(options.service_log), cores, affinity


def kind_of_sharing(log):
    """Which of the two relations holds, by a t test on batches in time.

    The log ratio of the time lost by large and by small requests is 0 in a line and log(large / small) under
    processor sharing. Each verdict needs the batches' mean to lie beyond the half of that, significantly.
    """
    inside = log.iloc[CLIENTS:-CLIENTS]  # while all clients are there
    lost = inside["wait_s"] + inside["realised_s"] - inside["cpu_s"]
    ratios = []
    for rows in np.array_split(np.arange(len(inside)), BATCHES):
        size = inside["planned_cpu_s"].to_numpy()[rows]
        ratios.append(
            math.log(lost.to_numpy()[rows][size > SMALL_S].mean() / lost.to_numpy()[rows][size == SMALL_S].mean())
        )
    half = math.log(LARGE_S / SMALL_S) / 2
    if stats.ttest_1samp(ratios, half, alternative="greater").pvalue < FALSE_ALARM:
        return "processor sharing"
    return "line" if stats.ttest_1samp(ratios, half, alternative="less").pvalue < FALSE_ALARM else "undecided"


@pytest.mark.parametrize(("workers", "kind"), [(CLIENTS, "processor sharing"), (1, "line")])
def test_how_residence_depends_on_size_shows_who_shares_the_cores(tmp_path, workers, kind):
    log, _, _ = loaded(tmp_path, workers)
    assert len(log) == CLIENTS * REQUESTS_EACH
    assert (log["cpu_s"] >= 0.98 * log["planned_cpu_s"]).all()
    assert (log["cpu_s"] <= log["cpu_wall_s"] + 1e-3).all()
    assert (log["cpu_wall_s"] <= log["realised_s"] + 2e-6).all()
    assert kind_of_sharing(log) == kind


@pytest.mark.skipif(not hasattr(psutil.Process, "cpu_affinity"), reason="this system cannot pin a process")
def test_a_server_with_one_core_gets_no_more_than_one_core(tmp_path):
    log, cores, affinity = loaded(tmp_path, CLIENTS, cpu_cores=1, requests_each=5)
    span_s = (log["start_s"] + log["realised_s"]).max() - log["start_s"].min()
    assert log["cpu_s"].sum() <= span_s
    assert len(affinity) == cores["cores"] == cores["cores_stated"] == 1


def test_more_cores_than_there_are_is_said_and_harms_nothing():
    with start_staging(StagingOptions(Deployment(cpu_cores=4096.5), "none")) as server:
        cores = fetch(f"{server.host}/api/metrics").json_object()["cpu"]
    assert (cores["cores_stated"], cores["pinned"]) == (4096.5, False)
    assert "4096.5" in cpu_work.limit_cores(4096.5).message


def test_hashing_leaves_pythons_lock_to_others():
    state = []

    def work():
        state.append("begun")
        cpu_work._hash(1_000_000)
        state.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    turns = 0
    while len(state) < 2:
        turns += len(state)
    thread.join()
    assert turns > 1_000  # holding the lock, the one call would leave a few turns before it and none in it


def test_planned_cpu_times_do_not_change_the_other_draws(tmp_path):
    def planned(cpu_time, name):
        options = StagingOptions(Deployment(), "exponential:1ms", cpu_time=cpu_time, service_log=tmp_path / name)
        with start_staging(options) as server:
            for _ in range(5):
                fetch(f"{server.host}/api/echo")
        return read_service_log(options.service_log)

    without, burning = planned("none", "a.csv"), planned("exponential:1ms", "b.csv")
    assert without["planned_s"].tolist() == burning["planned_s"].tolist()
    assert set(without["cpu_s"]) == {0.0}
    assert (burning["realised_s"] >= burning["planned_s"] + burning["cpu_wall_s"] - 3e-6).all()
