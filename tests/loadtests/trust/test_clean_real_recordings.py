"""No check fires on the committed recordings of third-party servers, unless what it says is true."""

from pathlib import Path

import pytest

from loadtests.deployment import read_deployment
from loadtests.trust.judge import check_recording

locust_files = pytest.importorskip("loadtests.importing.locust_files", reason="stock Locust's files are not read yet")

RECORDINGS = Path(__file__).parents[3] / "data" / "recordings" / "third_party"
THINK = {"haproxy_gate": "exponential:1.0", "gunicorn_sync": "exponential:0.6"}


@pytest.mark.parametrize(
    ("folder", "source", "verdict"),
    [
        ("haproxy_gate", "steps.csv", "trusted"),
        ("gunicorn_sync", "steps.csv", "trusted"),
        ("haproxy_gate", "shape/locust", "trusted"),
        ("gunicorn_sync", "shape_ramp/locust", "usable-with-caveats"),  # 154 served requests in its first step
    ],
)
def test_the_checks_are_silent_on_clean_recordings(tmp_path, folder, source, verdict):
    deployment = read_deployment(RECORDINGS / folder / "deployment.json")
    imported = locust_files.import_locust(
        RECORDINGS / folder / source, tmp_path / "out", deployment=deployment, think=THINK[folder]
    )
    report = check_recording(imported)
    assert report.verdict == verdict, report.summary()
    assert set(report.fired) <= {"too-few-samples"}
