"""Logs of many batches: read at once or, where a field is no number, as text, with the same requests either way."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from loadtests import import_locust
from loadtests.importing import request_table
from loadtests.importing.file_hashes import FileHashes
from loadtests.importing.request_table import read_window
from loadtests.recording import Recording

HEADER = "timestamp,request_type,name,response_time_ms,response_length,status_code,exception\n"
ROWS = 40_000


def written(folder: Path, rows: list[str]) -> Recording:
    folder.mkdir()
    (folder / "requests.csv").write_text(HEADER + "".join(rows))
    (folder / "STEPS.csv").write_text("step,users,requests,start_s,end_s\n1,10,requests.csv,0,390\n")
    return import_locust(folder, folder.parent / f"{folder.name}-out")


def row(number: int, took: str = "12.5") -> str:
    status, error = (503, '"HTTPError(""503, busy"")"') if number % 20 == 0 else (200, "")
    return f"{1.7e9 + number / 100},GET,/item/{number % 7},{took},512,{status},{error}\n"


@pytest.mark.parametrize("took", ["N/A", "", "nan", "-1"])
@pytest.mark.parametrize("place", [3, 25_000, ROWS - 1])
def test_a_field_that_is_no_number_loses_its_row_only_wherever_it_stands(tmp_path: Path, took: str, place: int) -> None:
    clean = [row(number) for number in range(ROWS)]
    whole = written(tmp_path / "whole", clean)
    torn = written(tmp_path / "torn", [*clean[:place], row(place, took), *clean[place + 1 :]])
    pd.testing.assert_frame_equal(torn.requests, whole.requests.drop(index=place).reset_index(drop=True))
    noted = next(item for item in torn.manifest["findings"] if item["numbers"].get("lines"))
    assert noted["numbers"]["number"] == 1
    assert noted["numbers"]["lines"] == [place + 2]


def test_a_window_is_read_as_the_rows_that_finished_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_table, "_GROUP_ROWS", 5_000)
    recording = written(tmp_path / "log", [row(number) for number in range(ROWS)])
    window = read_window(tmp_path / "log-out" / "requests.parquet", 100.0, 200.0)
    finish = recording.requests["finish_s"]
    expected = recording.requests[(finish >= 100.0) & (finish < 200.0)]
    pd.testing.assert_frame_equal(
        window.astype({"outcome": "str"}),
        expected[["start_s", "finish_s", "outcome"]].reset_index(drop=True),
    )
    assert read_window(tmp_path / "log-out" / "requests.parquet", 1e6, 2e6).empty


def test_a_later_edit_of_the_log_does_not_change_the_recording(tmp_path: Path) -> None:
    recording = written(tmp_path / "log", [row(number) for number in range(ROWS)])
    copy = tmp_path / "log-out" / "source" / "requests.csv"
    noted = recording.manifest["files"]["source/requests.csv"]
    with (tmp_path / "log" / "requests.csv").open("r+") as stream:
        stream.write("edited")
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == noted["sha256"]
    assert copy.stat().st_size == noted["bytes"]


def test_an_error_ends_copies_that_are_under_way(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 4_000_000)

    def copy_and_fail() -> None:
        with FileHashes() as hashes:
            for number in range(200):
                hashes.copy(tmp_path / "log", tmp_path / f"copy-{number}")
            raise RuntimeError("elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        copy_and_fail()
    assert len(list(tmp_path.glob("copy-*"))) < 200


def test_a_copy_that_cannot_be_made_ends_the_import_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileHashes, "_hashed", full)
    with pytest.raises(OSError, match="No space"):
        written(tmp_path / "log", [row(number) for number in range(ROWS)])
    assert not (tmp_path / "log-out").exists()
