"""`capacity import-prometheus`, and `record --prometheus`, as people and machines call them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capacity.interfaces.cli import run
from capacity.interfaces.commands_import_prometheus import parse_moment
from loadtests import read_recording
from loadtests.foundation.errors import InputError
from support.live_traffic import open_metrics, poisson_traffic, scraped
from support.prometheus_server import start_prometheus, write_history

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

QUERIES = {"requests": "live_requests_total", "duration_buckets": "live_seconds_bucket", "gauges": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """Two levels of a quarter of an hour, three hours ago."""
    folder = tmp_path_factory.mktemp("history")
    begin = float(int(time.time())) - 3 * 3600
    traffic = poisson_traffic(begin, ((20.0, 900.0), (60.0, 900.0)), 1)
    write_history(folder, open_metrics(scraped(traffic, begin + np.arange(0.0, 1800.0, 15.0))))
    with start_prometheus(folder, []) as prometheus:
        yield prometheus.url, begin


def words(url: str, folder: Path, begin: str, end: str, *more: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    path = folder / "map.json"
    path.write_text(json.dumps(QUERIES))
    named = ["--query-map", str(path), "--from", begin, "--to", end, "--out", str(folder / "out")]
    return ["import-prometheus", url, *named, *more]


def test_machines_get_one_document(
    server: tuple[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, begin = server
    deployment = tmp_path / "deployment.toml"
    deployment.write_text("workers = 10\nqueue_capacity = 20\n")
    options = ("--deployment", str(deployment), "--json")
    assert run(words(url, tmp_path, str(begin), str(begin + 1800), *options)) == 0
    document = json.loads(capsys.readouterr().out)
    assert [step["load_quantity"] for step in document["steps"]] == ["in_flight", "in_flight"]
    assert document["identifiability"]["verdict"] == "partly-identified"
    assert document["inputs"]["query_map"]["requests"] == QUERIES["requests"]
    assert read_recording(tmp_path / "out").deployment.gate == 30


def test_people_get_the_levels_the_verdict_and_what_is_not_known(
    server: tuple[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, begin = server
    moments = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (begin, begin + 1800))
    assert run(words(url, tmp_path, *moments)) == 0
    said = capsys.readouterr()
    for part in ("P95 between", "Identifiability: partly-identified", "think_time", "[gate-never-reached]"):
        assert part in said.out
    assert f"Wrote {tmp_path / 'out'}" in said.err


def test_a_relative_range_without_data_is_bad_input(
    server: tuple[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = server
    assert run(words(url, tmp_path, "now-20m", "now")) == 2
    assert "live_requests_total" in capsys.readouterr().err


def test_an_address_where_nothing_answers_is_a_run_time_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words("http://127.0.0.1:9", tmp_path, "now-1h", "now")) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--think", "soon"), "soon"),
        (("--step", "1 week"), "--step"),
        (("--levels", "0"), "levels"),
        (("--ca-file", "none.pem"), "none.pem"),
        (("--ca-file", "none.pem", "--insecure"), "contradict"),
        (("--header", "Authorization: word"), "would be kept in clear"),
    ],
)
def test_options_that_cannot_be_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert run(words("http://127.0.0.1:9", tmp_path, "now-1h", "now", *options)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 10_000.0), ("now-2h", 2_800.0), ("now - 90s", 9_910.0), ("1234.5", 1234.5),
        ("1970-01-01T01:00Z", 3600.0), ("1970-01-01T01:00+01:00", 0.0),
    ],
)  # fmt: skip
def test_moments_are_read(text: str, seconds: float) -> None:
    assert parse_moment(text, "--from", 10_000.0) == seconds


@pytest.mark.parametrize("text", ["2026-11-25T08:00", "yesterday", "now+1h", "-5", "", "nan", "1e400"])
def test_moments_without_a_zone_or_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--from"):
        parse_moment(text, "--from", 10_000.0)


def test_record_refuses_a_map_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.json"
    path.write_text("{}")
    given = ["record", "--host", "http://127.0.0.1:9", "--users", "5", "--out", str(tmp_path / "out")]
    assert run([*given, "--query-map", str(path)]) == 2
    assert "--prometheus" in capsys.readouterr().err


def test_record_asks_prometheus_before_it_sends_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["record", "--host", "http://127.0.0.1:9", "--users", "5", "--out", str(tmp_path / "out")]
    assert run([*given, "--prometheus", "http://127.0.0.1:9"]) == 1
    assert "Prometheus at http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
