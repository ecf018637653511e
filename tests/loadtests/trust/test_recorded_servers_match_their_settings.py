"""The settings that made the recordings are those that stand beside them."""

import json
from pathlib import Path

import pytest

from studies.record_staging import CASES
from studies.server_recordings.third_party import SERVERS

RECORDINGS = Path(__file__).parents[3] / "data" / "recordings"


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_a_third_party_recording_has_the_deployment_and_levels_of_its_settings(server):
    folder = RECORDINGS / "third_party" / server.name
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert json.loads((folder / "deployment.json").read_text(encoding="utf-8")) == server.deployment
    assert truth["levels"] == sorted({level.users for level in server.levels})
    splits = {"train": "train_levels", "interpolation": "test_interpolation", "extrapolation": "test_extrapolation"}
    for split, key in splits.items():
        assert truth[key] == [level.users for level in server.levels if level.split == split]
    for level in server.levels:
        if level.split != "repeat":
            assert (folder / level.name / "requests.csv.gz").is_file()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_staging_recording_has_the_deployment_and_load_of_its_settings(case):
    truth = json.loads((RECORDINGS / "staging" / case.name / "truth.json").read_text(encoding="utf-8"))
    assert truth["deployment"] == case.deployment
    assert (truth["users"], truth["think"], truth["pacing"]) == (list(case.users), case.think, case.pacing)
    assert (truth["service_time"], truth["db_time"], truth["cpu_time"]) == (
        case.service_time,
        case.db_time,
        case.cpu_time,
    )
    assert truth["after"] in ("", *(other.name for other in CASES))
