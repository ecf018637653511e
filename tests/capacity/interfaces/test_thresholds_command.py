"""`capacity thresholds`: the profiles, what they say of measurements, and what cannot fire."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.interfaces.cli import run as command


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = command(["thresholds", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_without_measurements_every_profile_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    for profile in ("daily", "alert", "readiness", "scaling", "incident"):
        assert f"Profile {profile}" in out
    assert "cannot fire" not in out


def test_thresholds_of_the_maximum_cannot_fire_behind_the_guides_gate(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--ccu-base", "max")
    assert out.count("cannot fire") == 4
    assert "Base the threshold on normal capacity" in out
    document = json.loads(run(capsys, "--ccu-base", "max", "--json")[1])
    found = [(item["profile"], item["meaning"], item["threshold"]) for item in document["unreachable"]]
    assert found == [
        ("daily", "critical", 0.8), ("alert", "warning", 0.8), ("alert", "critical", 0.95), ("scaling", "scale", 0.8),
    ]  # fmt: skip
    assert {item["at_most"] for item in document["unreachable"]} == {0.67}


def test_a_residence_time_bounds_the_throughput(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, "--residence-time", "50ms", "--json")[1])
    assert [(item["metric"], item["at_most"]) for item in document["unreachable"]] == [("throughput_rps", 67_000)]


def test_measured_values_are_judged_by_every_profile_that_has_bands_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("--metric", "p95_s=50ms", "--metric", "error_rate=2%", "--metric", "ccu_utilization_normal=0.91")
    document = json.loads(run(capsys, *words, "--metric", "shed_rate=0.1", "--degradation", "60%", "--json")[1])
    levels = {item["profile"]: item["level"] for item in document["verdicts"]}
    assert levels == {"daily": "critical", "alert": "warning", "readiness": "critical"}
    assert (document["level"], document["incident"], document["without_bands"]) == ("critical", "P1", ["shed_rate"])
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "0.05 to below 0.2" in out
    assert "If this is an incident, it is P2." in out
    assert run(capsys, *words, "--strict")[0] == 99


def test_series_of_a_file_trigger_scaling_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "measured.json"
    minutes = [0, 60, 120, 180, 240, 300]
    path.write_text(json.dumps({"cpu_utilization": {"time_s": minutes, "value": [0.75, 0.8, 0.7, 0.9, 0.8, 0.75]}}))
    (episode,) = json.loads(run(capsys, str(path), "--json")[1])["scaling"]["episodes"]
    assert (episode["rule"]["metric"], episode["triggered_at_s"]) == ("cpu_utilization", 300)
    path.write_text(json.dumps({"cpu_utilization": {"time_s": minutes, "value": [0.75, 0.8, 0.6, 0.9, 0.8, 0.75]}}))
    assert "No scaling rule has held" in run(capsys, str(path))[1]


def test_profiles_of_a_policy_file_are_taken_with_its_deployment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        '[thresholds.daily]\nname = "night"\n[thresholds.daily.bands]\nqueue_utilization = {critical_from = 0.5}\n'
        "[deployment]\nworkers = 10\nqueue_capacity = 0\n"
    )
    document = json.loads(run(capsys, "--policy", str(path), "--metric", "queue_utilization=60%", "--json")[1])
    assert document["verdicts"][0]["profile"] == "night"
    assert {item["because"] for item in document["unreachable"]} == {"there is no queue"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "p95_s"), "write NAME=VALUE"),
        (("--metric", "p95_s=fast"), "bare numbers are seconds"),
        (("--metric", "queue_utilization=most"), "such as 0.8 or 80%"),
        (("--metric", "ccu_utilization=0.5"), "does not say its base"),
        (("--metric", "shed_rate=0.5"), "No profile has bands of shed_rate"),
        (("--metric", "error_rate=0.1", "--metric", "error_rate=0.2"), "each metric once"),
        (("--degradation", "20%"), "no effect without measurements"),
        (("--ccu-base", "most"), "must be normal or max"),
        (("--policy", "data/guide/policy.json", "--ccu-base", "max"), "no effect with a policy file"),
        (("nowhere.json",), "nowhere.json"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
