"""predict, sweep and slo-capacity on a calibrated model: documents, tables, exit codes, Ctrl-C."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from capacity.interfaces.cli import run
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.recording import STEP_METRICS
from simulations import InstanceCapacity, ServerModel, calibrate
from support.synthetic_recordings import record_model

INTERVAL = {"low", "mid", "high", "level", "kind"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    truth = ServerModel(Deployment(workers=8, queue_capacity=12, max_ccu=20), Exponential(0.05), 0.002)
    fit = calibrate(record_model(truth, (10, 25, 40, 60), Exponential(0.2), window_s=10.0), seed=1)
    return str(fit.save(tmp_path_factory.mktemp("model") / "model.json"))


def document_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Stdout must hold one JSON document without NaN, and nothing else."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert {"schema_version", "inputs", "seed", "versions"} <= set(document)
    assert isinstance(document, dict)
    return document


def test_predict_gives_the_documented_form(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", model, "--users", "30", "--think", "exponential:0.2", "--window", "20s", "--json"]) == 0
    found = document_of(capsys)
    for name in ("throughput_rps", "goodput_rps", "shed_rate", "in_flight"):
        assert set(found[name]) == INTERVAL
        assert found[name]["kind"] == "prediction"
    assert set(found["residence_time_s"]) == {"mean", "p50", "p95", "p99"}
    assert set(found["utilization"]) == {"workers", "gate_normal", "gate_max", "queue", "db_pool", "cpu"}
    assert found["utilization"]["gate_normal"] is None, "the deployment does not state a utilization"
    assert set(found["utilization"]["gate_max"]) == INTERVAL
    assert (found["window_s"], found["seed"]) == (20.0, 1)
    assert found["workload"]["kind"] == "closed"
    assert found["inputs"]["users"] == "30"
    # Little's law of the whole cycle: 30 users = throughput x (residence + think); 20 s leave a few per cent of noise.
    cycle_s = found["residence_time_s"]["mean"]["mid"] + 0.2
    assert found["throughput_rps"]["mid"] * cycle_s == pytest.approx(30, rel=0.05)


def test_predict_takes_arrivals_a_deployment_and_a_fleet(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    limits = tmp_path / "limits.json"
    limits.write_text('{"queue_capacity": 0}')
    load = ["predict", model, "--arrival-rate", "400", "--window", "5s", "--json"]
    assert run(load) == 0
    alone = document_of(capsys)
    more = ["--deployment", str(limits), "--instances", "4", "--balancer", "least-connections", "--seed", "7"]
    assert run([*load, *more]) == 0
    fleet = document_of(capsys)
    assert fleet["shed_rate"]["high"] < alone["shed_rate"]["low"]
    assert fleet["deployment"] == {"max_ccu": 20, "workers": 8, "queue_capacity": 0}
    assert (fleet["fleet"]["instances"], fleet["fleet"]["balancer"]) == (4, "least-connections")
    assert fleet["utilization"]["queue"] is None
    assert fleet["seed"] == 7
    assert "beyond-calibrated-range" in {item["code"] for item in alone["findings"]}


def test_predict_takes_sessions(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    load = ["predict", model, "--arrival-rate", "100", "--window", "20s"]
    assert run([*load, "--requests-per-session", "5", "--think", "exponential:0.1", "--json"]) == 0
    found = document_of(capsys)
    assert found["workload"] == {
        "kind": "sessions", "session_rate_per_s": 20.0, "requests_per_session": 5.0, "length": "geometric",
        "think": "exponential:0.1",
    }  # fmt: skip
    assert found["inputs"]["requests_per_session"] == "5"
    assert found["throughput_rps"]["low"] < 100 < found["throughput_rps"]["high"]
    assert run([*load, "--requests-per-session", "5"]) == 0
    assert "Predicted for 20 sessions a second of 5 requests" in capsys.readouterr().out


def test_a_sweep_over_sessions_counts_their_requests(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    load = ["sweep", model, "--arrival-rate", "40,80,120", "--requests-per-session", "4", "--think", "exponential:0.1"]
    assert run([*load, "--json"]) == 0
    found = document_of(capsys)["curve"]
    assert (found["quantity"], [level["load"] for level in found["levels"]]) == ("rps", [40, 80, 120])
    assert found["levels"][0]["metrics"]["goodput_rps"]["mid"] == pytest.approx(40, rel=0.1)


def test_predict_prints_a_table_for_people(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", model, "--users", "300", "--window", "5s"]) == 0
    said = capsys.readouterr()
    for shown in ("Predicted for 300 users", "served/s", "P95", "workers in use", "[beyond-calibrated-range]"):
        assert shown in said.out
    assert "nan" not in said.out


def test_sweep_writes_the_curve(model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "curve.csv"
    arguments = ["sweep", model, "--users", "10:60:10", "--think", "exponential:0.2", "--out", str(out), "--json"]
    assert run(arguments) == 0
    found = document_of(capsys)["curve"]
    assert [level["load"] for level in found["levels"]] == [10, 20, 30, 40, 50, 60]
    assert (found["quantity"], found["levels"][0]["metrics"]["goodput_rps"]["kind"]) == ("users", "parameter")
    assert 20 < found["knee"]["load"]["mid"] < 50
    # 8 workers at 50 ms serve 160 a second; the calibration saw 10 s a step, so a few per cent.
    assert found["saturation"]["goodput_rps"]["mid"] == pytest.approx(160, rel=0.08)
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["users"] for row in rows] == ["10", "20", "30", "40", "50", "60"]
    assert {f"{name}_{part}" for name in STEP_METRICS for part in ("low", "mid", "high")} <= set(rows[0])
    assert float(rows[0]["p95_s_mid"]) == found["levels"][0]["metrics"]["p95_s"]["mid"]


def test_sweep_counts_arrivals_and_says_what_it_does_not_reach(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", model, "--arrival-rate", "20,40,80"]) == 0
    said = capsys.readouterr().out
    for shown in ("arrivals/s", "[knee-not-reached]", "[saturation-not-reached]", "Add heavier levels"):
        assert (shown in said) == (shown != "Add heavier levels"), shown


def test_slo_capacity_gives_the_documented_form(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["slo-capacity", model, "--p95", "250ms", "--max-bad", "0.1%", "--think", "exponential:0.2"]
    assert run([*arguments, "--json"]) == 0
    document = document_of(capsys)
    found = document["instance_capacity"]
    assert {"quantity", "value", "arrival_rate_rps", "in_flight", "bound_by", "request_class", "valid_up_to"} <= set(
        found
    )
    assert (found["quantity"], found["valid_up_to"], found["request_class"]) == ("users", 60.0, None)
    assert found["bound_by"] in ("p95", "bad", "gate", "workers", "db_pool", "cpu")
    for name in ("value", "arrival_rate_rps", "in_flight"):
        assert (set(found[name]), found[name]["kind"]) == (INTERVAL, "parameter")
    assert InstanceCapacity.from_dict(found).objective == {"p95_s": 0.25, "max_bad_fraction": 0.001}
    assert document["inputs"]["think"] == "exponential:0.2"
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "largest load (users)" in said
    assert "P95 <= 250 ms, at most 0.1 % bad" in said


def test_an_objective_that_no_load_meets_ends_with_99(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slo-capacity", model, "--p95", "1ms", "--json"]) == 99
    document = document_of(capsys)
    assert document["instance_capacity"] is None
    assert "One user alone" in document["reason"]
    assert run(["slo-capacity", model, "--p95", "1ms"]) == 99
    said = capsys.readouterr()
    assert ("One user alone" in said.err, said.out) == (True, "")


BAD = [
    (["predict", "MODEL"], "Give either --users"),
    (["predict", "MODEL", "--users", "5", "--arrival-rate", "5"], "one of the two"),
    (["predict", "MODEL", "--arrival-rate", "5", "--think", "none"], "--think has no effect"),
    (["predict", "MODEL", "--users", "5", "--requests-per-session", "3"], "who never leave"),
    (["predict", "MODEL", "--arrival-rate", "5", "--requests-per-session", "0.5"], "at least 1"),
    (["predict", "MODEL", "--users", "0"], "users is 0"),
    (["predict", "MODEL", "--users", "many"], "--users is 'many'"),
    (["predict", "MODEL", "--arrival-rate", "-1"], "-1"),
    (["predict", "MODEL", "--arrival-rate", "nan"], "--arrival-rate is 'nan'"),
    (["predict", "MODEL", "--users", "5", "--think", "sometimes"], "sometimes"),
    (["predict", "MODEL", "--users", "5", "--window", "soon"], "soon"),
    (["predict", "MODEL", "--users", "5", "--window", "0s"], "window_s"),
    (["predict", "MODEL", "--users", "2.5"], "users is 2.5"),
    (["predict", "MODEL", "--arrival-rate", "1e9"], "Shorten the window"),
    (["predict", "MODEL", "--users", "5", "--instances", "0"], "instances is 0"),
    (["predict", "MODEL", "--users", "5", "--balancer", "random"], "--balancer has no effect"),
    (["predict", "MODEL", "--users", "5", "--instances", "2", "--balancer", "fair"], "fair"),
    (["predict", "MODEL", "--users", "5", "--deployment", "absent.json"], "absent.json"),
    (["predict", "MODEL", "--users", "5", "--seed", "-1"], "seed"),
    (["predict", "absent.json", "--users", "5"], "absent.json"),
    (["sweep", "MODEL"], "one of the two"),
    (["sweep", "MODEL", "--users", "1:10:0"], "step must be above 0"),
    (["sweep", "MODEL", "--users", "1:5000:1"], "more than 1,000"),
    (["sweep", "MODEL", "--users", ","], "without any level"),
    (["sweep", "MODEL", "--users", "0.5:3:0.5"], "users is 0.5"),
    (["sweep", "MODEL", "--users", "5,5"], "more than once"),
    (["sweep", "MODEL", "--users", "5", "--arrival-rate", "5"], "one of the two"),
    (["sweep", "MODEL", "--users", "1e9"], "minutes"),
    (["sweep", "MODEL", "--users", "5", "--out", "."], "a folder"),
    (["slo-capacity", "MODEL"], "needs a limit"),
    (["slo-capacity", "MODEL", "--p95", "0ms"], "p95_s"),
    (["slo-capacity", "MODEL", "--p95", "slow"], "slow"),
    (["slo-capacity", "MODEL", "--max-bad", "150%"], "150%"),
    (["slo-capacity", "MODEL", "--p95", "50s"], "max_bad_fraction too"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_ends_with_exit_code_2_and_says_what_was_given(
    arguments: list[str], message: str, model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run([model if item == "MODEL" else item for item in arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--arrival-rate", "8000", "--window", "10m"],
        ["sweep", "--users", "1000:3000:50"],
    ],
    ids=["predict", "sweep"],
)
def test_an_interrupt_stops_at_once(arguments: list[str], model: str) -> None:
    """Both would take minutes; after the interrupt they have five seconds, most of them for a busy machine."""
    command = [sys.executable, "-m", "capacity.interfaces.cli", arguments[0], model, *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        time.sleep(6.0)
        assert running.poll() is None, "it was to run for longer"
        asked_at = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == ""
    assert time.monotonic() - asked_at < 5.0
