import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window, summarise_steps
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import sha256
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.journals.journal import Journal, RequestRow
from loadtests.recording import Recording
from loadtests.store import (
    GENERATOR,
    JOURNAL,
    LATENCY_BINS,
    MANIFEST,
    check_new_folder,
    read_recording,
    write_recording,
)
from loadtests.tables import GENERATOR_COLUMNS, LATENCY_BIN_COLUMNS


@pytest.fixture
def folder(tmp_path, request_table):
    table = request_table(np.linspace(0.1, 10, 400), np.full(400, 0.05))
    steps = summarise_steps(table, [Window(1, 10, 2.0, 10.0)], think="exponential:0.2")
    gauges = pd.DataFrame([[1.0, 1.0, 10.0, 0.0, 5.0, 0.3, 0.4, 6e7, 7e7]], columns=list(GAUGE_COLUMNS))
    path = tmp_path / "recording"
    write_recording(path, Recording(Deployment(workers=5), steps, table, gauges, {"seed": 3}))
    return path


def rewrite(folder, name, change):
    """Change a file and its hash in the manifest, as a tool that edits recordings would."""
    change(folder / name)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_recording_comes_back_as_it_was_written(folder):
    recording = read_recording(folder)
    assert recording.deployment == Deployment(workers=5)
    assert recording.manifest["seed"] == 3
    assert recording.manifest["requests"] == len(recording.requests) == 400
    assert recording.step(1).think == "exponential:0.2"
    assert recording.requests_in(recording.step(1)).shape[0] == recording.step(1).requests
    assert recording.gaps(recording.step(1)).observed_s.mean() == pytest.approx(recording.step(1).gap_mean_s)
    assert recording.gauges["ccu_utilization"].tolist() == [10.0]
    assert recording.path == folder
    assert "10 users" in recording.summary()


def test_latency_bins_and_the_generator_s_rows_come_back_and_no_file_stands_for_none(folder, tmp_path):
    plain = read_recording(folder)
    assert plain.latency_bins.empty
    assert plain.generator.empty
    assert not (folder / LATENCY_BINS).exists()
    assert not (folder / GENERATOR).exists()
    bins = pd.DataFrame([[1, "", "any", 0.1, np.inf, 2.5]], columns=list(LATENCY_BIN_COLUMNS))
    generator = pd.DataFrame([[1.0, "0", 5, 10, 0.5, 0.01, 30, 1024, 1e9]], columns=list(GENERATOR_COLUMNS))
    write_recording(tmp_path / "with", replace(plain, latency_bins=bins, generator=generator, manifest={"seed": 3}))
    again = read_recording(tmp_path / "with")
    pd.testing.assert_frame_equal(again.latency_bins, bins.astype(LATENCY_BIN_COLUMNS))
    pd.testing.assert_frame_equal(again.generator, generator.astype(GENERATOR_COLUMNS))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([1, "", "any", 0.2, 0.1, 1.0], "end before they begin"),
        ([1, "", "any", 0.1, 0.2, np.nan], "no numbers from 0"),
        ([1, "", "lost", 0.1, 0.2, 1.0], "the outcomes lost"),
    ],
)
def test_impossible_latency_bins_are_refused(folder, tmp_path, row, problem):
    bins = pd.DataFrame([row], columns=list(LATENCY_BIN_COLUMNS))
    write_recording(tmp_path / "with", replace(read_recording(folder), latency_bins=bins, manifest={}))
    with pytest.raises(InputError, match=problem):
        read_recording(tmp_path / "with")


def test_a_step_counts_once(folder):
    recording = read_recording(folder)
    assert [step.step for step in recording.only(iter([1])).steps] == [1]
    with pytest.raises(InputError, match="more than once: 1; name each step once"):
        recording.only([1, 1])
    assert recording.without([1]).steps == ()


def test_a_folder_in_use_is_refused_as_output(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        check_new_folder(tmp_path)
    with pytest.raises(InputError, match="not empty"):
        check_new_folder(tmp_path / "note")
    assert check_new_folder(tmp_path / "new") == tmp_path / "new"


def test_an_interrupted_recording_says_how_much_is_there_and_what_to_do(tmp_path):
    journal = Journal(tmp_path / JOURNAL)
    journal.add(RequestRow(0.0, 1.0, 2.0, "0", 0, 0, "GET", "/a", 200, "served", 1, 5))
    journal.close()
    with pytest.raises(InputError, match=r"incomplete.*journal.*holds 1 requests; `capacity recover .*or record again"):
        read_recording(tmp_path)


@pytest.mark.parametrize(("name", "said"), [("nowhere", "does not exist"), ("", "is no recording")])
def test_a_folder_without_a_recording_is_refused(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        read_recording(tmp_path / name)


def test_every_problem_is_in_one_error(folder):
    (folder / "requests.parquet").write_bytes(b"")
    (folder / "steps.json").unlink()
    (folder / "gauges.parquet").write_bytes((folder / "gauges.parquet").read_bytes()[:-20])
    with pytest.raises(InputError) as caught:
        read_recording(folder)
    message = str(caught.value)
    assert "requests.parquet has 0 bytes" in message
    assert "steps.json is missing" in message
    assert "gauges.parquet is not readable" in message
    assert message.count("\n") >= 4


def test_a_changed_file_is_found_by_its_hash(folder):
    path = folder / "steps.json"
    path.write_text(path.read_text().replace("exponential:0.2", "exponential:0.3"))
    with pytest.raises(InputError, match=r"steps.json was changed"):
        read_recording(folder)


def test_missing_columns_are_named(folder):
    rewrite(
        folder, "requests.parquet", lambda path: pd.read_parquet(path).drop(columns=["cycle", "users"]).to_parquet(path)
    )
    with pytest.raises(InputError, match=r"requests.parquet has no column cycle, users"):
        read_recording(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(finish_s=table["start_s"] - 1), "finish before they start"),
        (lambda table: table.assign(start_s=np.nan), "without times"),
        (lambda table: table.assign(outcome="lost"), "outcomes lost"),
        (lambda table: table.assign(status="fine"), "wrong type"),
    ],
)
def test_values_that_cannot_be_are_refused(folder, change, said):
    rewrite(folder, "requests.parquet", lambda path: change(pd.read_parquet(path)).to_parquet(path))
    with pytest.raises(InputError, match=said):
        read_recording(folder)


STEP_CHANGES = [
    ({"start_s": float("nan")}, "start_s is nan"),
    ({"start_s": 9.0, "end_s": 8.0}, "must end after it starts"),
    ({"start_s": "2"}, "start_s is '2'; it must be a number"),
    ({"users": 0}, "users is 0"),
    ({"users": 1e400}, "users is inf"),
    ({"requests": True}, "requests is True"),
    ({"requests": 1}, "add up to its 1 requests"),
    ({"outcomes": {"lost": 1}}, "unknown: lost"),
    ({"outcomes": {"served": "many"}}, "served is 'many'"),
    ({"outcomes": 5}, "steps.json, entry 0"),
    ({"metrics": {}}, "missing: throughput_rps"),
    ({"metrics": {"p95_s": 5}}, "steps.json, entry 0"),
    ({"metrics": []}, "steps.json, entry 0"),
    ({"gap_mean_s": "long"}, "steps.json, entry 0"),
    ({"blocks": -1}, "blocks"),
    ({"cut": {"seconds": 1.0}}, "the key 'requests' is missing"),
    ({"cut": 3}, "steps.json, entry 0"),
]


@pytest.mark.parametrize(("change", "said"), STEP_CHANGES)
def test_a_step_with_values_that_cannot_be_is_refused(folder, change, said):
    step = json.loads((folder / "steps.json").read_text())["steps"][0]
    rewrite(folder, "steps.json", lambda path: path.write_text(json.dumps({"steps": [{**step, **change}]})))
    with pytest.raises(InputError, match=said):
        read_recording(folder)


def test_steps_that_are_no_steps_are_all_in_one_error(folder):
    step = json.loads((folder / "steps.json").read_text())["steps"][0]
    rewrite(folder, "steps.json", lambda path: path.write_text(json.dumps({"steps": [{"step": 1}, 5, step, step]})))
    with pytest.raises(InputError) as caught:
        read_recording(folder)
    assert "steps.json, entry 0: the key 'users' is missing" in str(caught.value)
    assert "steps.json, entry 1: " in str(caught.value)
    assert "numbers its steps [1, 1]" in str(caught.value)
    rewrite(folder, "steps.json", lambda path: path.write_text('{"steps": 1}'))
    with pytest.raises(InputError, match=r"steps.json is not a list of steps"):
        read_recording(folder)


MANIFEST_CHANGES = [
    ({"files": 5}, "list of files"),
    ({"files": {"steps.json": {}}}, "notes {} of steps.json; it must note its sha256"),
    ({"files": {"steps.json": 5}}, "notes 5 of steps.json"),
    ({"files": {"steps.json": {"bytes": "1", "sha256": 2}}}, "of steps.json; it must note"),
    ({"deployment": 5}, "a deployment of 5; it must be an object"),
    ({"versions": []}, "a versions of"),
    ({"requests": "many"}, "a requests of 'many'"),
    ({"requests": 3}, "400 rows where manifest.json says 3"),
    ({"seed": True}, "a seed of True; it must be a whole number"),
    ({"left_out": {}}, "a left_out of {}; it must be a list"),
]


@pytest.mark.parametrize(("change", "said"), MANIFEST_CHANGES)
def test_a_garbled_manifest_is_refused_in_words(folder, change, said):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **change}))
    with pytest.raises(InputError, match=re.escape(said)):
        read_recording(folder)


def test_what_a_manifest_lacks_is_all_in_one_error(folder):
    (folder / MANIFEST).write_text(json.dumps({"schema_version": 1, "files": {}}))
    with pytest.raises(InputError) as caught:
        read_recording(folder)
    for name in ("no versions", "no deployment", "no requests", "requests.parquet is not in the manifest"):
        assert name in str(caught.value)


def test_a_truncated_table_is_named_even_when_the_manifest_agrees_with_it(folder):
    rewrite(folder, "requests.parquet", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]))
    with pytest.raises(InputError, match=r"requests\.parquet is not readable as Parquet"):
        read_recording(folder)


def test_a_recording_of_a_later_schema_is_refused(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(InputError, match="schema_version 99"):
        read_recording(folder)
