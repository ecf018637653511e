"""Files as they arrive from elsewhere: cut, joined, re-saved, hostile. A caveat or one error, never a crash."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests import import_locust
from loadtests.foundation.errors import InputError
from loadtests.importing import request_log, safe_files
from loadtests.recording import Recording
from support.csv_files import RECORDINGS, read_csv, write_csv

RUN = RECORDINGS / "gunicorn_sync" / "u0020"
HEADER = "timestamp,request_type,name,response_time_ms,response_length,status_code,exception"
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with one run (all its files, or only those named) and a STEPS.csv; the folder."""

    def make(*names: str, log: str = "requests.csv") -> Path:
        place = tmp_path / "in"
        place.mkdir()
        for path in RUN.iterdir():
            if path.name.startswith("locust") and (not names or path.name in names):
                (place / path.name).write_bytes(path.read_bytes())
        if not names or "requests.csv" in names:
            (place / "requests.csv").write_bytes(gzip.decompress((RUN / "requests.csv.gz").read_bytes()))
        has_log = not names or "requests.csv" in names
        row = {"step": 1, "users": 20, "stats_prefix": "locust" if set(names) != {"requests.csv"} else ""}
        write_csv(place / "STEPS.csv", [row | {"requests": log if has_log else "", "think": "exponential:0.6"}])
        return place

    return make


def imported(place: Path) -> Recording:
    return import_locust(place, place.parent / "out")


def found(recording: Recording, code: str) -> dict[str, object]:
    matching = [item for item in recording.manifest["findings"] if item["code"] == code]
    assert matching, (code, recording.manifest["findings"])
    return matching[0]


def log_lines(place: Path) -> list[bytes]:
    return (place / "requests.csv").read_bytes().splitlines(keepends=True)


def test_a_log_that_ends_inside_a_row_loses_that_row_only(folder: Folder) -> None:
    place = folder()
    lines = log_lines(place)
    (place / "requests.csv").write_bytes(b"".join(lines[:-1]) + lines[-1][:25])
    recording = imported(place)
    assert len(recording.requests) == len(lines) - 2
    found(recording, "truncated-file")


def test_a_gzip_log_that_was_cut_keeps_what_can_be_unpacked(folder: Folder) -> None:
    place = folder(log="requests.csv.gz")
    whole = (RUN / "requests.csv.gz").read_bytes()
    (place / "requests.csv.gz").write_bytes(whole[: len(whole) * 9 // 10])
    number = len(log_lines(place)) - 1
    recording = imported(place)
    assert 0.7 * number < len(recording.requests) < number
    found(recording, "truncated-file")


def test_a_history_that_ends_inside_a_row_is_used_up_to_there(folder: Folder) -> None:
    place = folder("locust_stats_history.csv")
    content = (place / "locust_stats_history.csv").read_bytes()
    (place / "locust_stats_history.csv").write_bytes(content[:-40])
    found(imported(place), "truncated-file")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-with-mark", "latin-1"])
def test_every_usual_encoding_gives_the_same_requests_and_names(folder: Folder, encoding: str) -> None:
    place = folder()
    text = (place / "requests.csv").read_text(encoding="utf-8").replace("/work", "/caf\u00e9")
    history = (place / "locust_stats_history.csv").read_text(encoding="utf-8").replace("/work", "/caf\u00e9")
    for name, content in (("requests.csv", text), ("locust_stats_history.csv", history)):
        if encoding == "utf-16-be-with-mark":
            (place / name).write_bytes(b"\xfe\xff" + content.encode("utf-16-be"))
        else:
            (place / name).write_bytes(content.encode(encoding))
    recording = imported(place)
    assert len(recording.requests) == text.count("\n") - 1
    assert set(recording.requests["endpoint"]) == {"/caf\u00e9"}
    assert recording.steps[0].users == 20


def test_lines_of_different_encodings_in_one_file_are_each_read_and_said(folder: Folder) -> None:
    place = folder()
    lines = log_lines(place)
    lines[5] = lines[5].replace(b"/work", "/caf\u00e9".encode("latin-1"))
    lines[6] = lines[6].replace(b"/work", "/caf\u00e9".encode())
    (place / "requests.csv").write_bytes(b"".join(lines))
    recording = imported(place)
    assert (recording.requests["endpoint"] == "/caf\u00e9").sum() == 2
    found(recording, "mixed-encoding")


def test_decimal_commas_between_semicolons_give_the_same_numbers(folder: Folder) -> None:
    place = folder()
    plain = import_locust(place, place.parent / "plain")
    for name in ("requests.csv", "locust_stats_history.csv", "locust_stats.csv", "STEPS.csv"):
        rows = [{key: value.replace(".", ",") if key != "requests" else value for key, value in row.items()}
                for row in read_csv(place / name)]  # fmt: skip
        write_csv(place / name, rows)
        text = (place / name).read_text()
        swapped = "\n".join(";".join(_fields(line)) for line in text.splitlines()) + "\n"
        (place / name).write_text(swapped)
    (place / "STEPS.csv").write_text("step;users;stats_prefix;requests;skip_s\n1;20;locust;requests.csv;12,5\n")
    recording = imported(place)
    assert len(recording.requests) == len(plain.requests)
    assert recording.requests["finish_s"].sum() == pytest.approx(plain.requests["finish_s"].sum())
    assert recording.steps[0].start_s == pytest.approx(plain.requests["start_s"].min() + 12.5, abs=1.0)


def _fields(line: str) -> list[str]:
    import csv

    return next(csv.reader([line]))


def test_a_header_in_the_middle_is_skipped(folder: Folder) -> None:
    place = folder()
    lines = log_lines(place)
    (place / "requests.csv").write_bytes(b"".join([*lines[:50], lines[0], *lines[50:]]))
    history = (place / "locust_stats_history.csv").read_bytes().splitlines(keepends=True)
    (place / "locust_stats_history.csv").write_bytes(b"".join([*history[:20], history[0], *history[20:]]))
    recording = imported(place)
    assert len(recording.requests) == len(lines) - 1
    found(recording, "repeated-header")


@pytest.mark.parametrize("word", ["N/A", "NaN", "", "null"])
def test_a_response_time_that_is_not_known_leaves_its_row_out_and_says_where(folder: Folder, word: str) -> None:
    place = folder()
    lines = log_lines(place)
    fields = lines[10].split(b",")
    fields[3] = word.encode()
    lines[10] = b",".join(fields)
    (place / "requests.csv").write_bytes(b"".join(lines))
    recording = imported(place)
    assert len(recording.requests) == len(lines) - 2
    assert found(recording, "no-response-time")["numbers"]["lines"] == [11]  # type: ignore[index]


@pytest.mark.parametrize(("place_in_row", "word"), [(0, b"yesterday"), (3, b"12ms"), (3, b"-5"), (0, b"inf")])
def test_a_number_that_is_none_leaves_its_row_out_and_says_where(
    folder: Folder, place_in_row: int, word: bytes
) -> None:
    place = folder()
    lines = log_lines(place)
    fields = lines[10].split(b",")
    fields[place_in_row] = word
    lines[10] = b",".join(fields)
    (place / "requests.csv").write_bytes(b"".join(lines))
    recording = imported(place)
    assert len(recording.requests) == len(lines) - 2
    assert found(recording, "unreadable-values")["numbers"]["lines"] == [11]  # type: ignore[index]


def test_percentiles_that_are_not_known_leave_counts_usable(folder: Folder) -> None:
    place = folder("locust_stats_history.csv")
    rows = read_csv(place / "locust_stats_history.csv")
    rows = [{key: "N/A" if key.endswith("%") else value for key, value in row.items()} for row in rows]
    write_csv(place / "locust_stats_history.csv", rows)
    step = imported(place).steps[0]
    assert step.metrics["throughput_rps"].is_known
    assert step.metrics["mean_s"].is_known
    assert step.metrics["p95_s"].high == float("inf") or step.metrics["p95_s"].high > 0.3


def test_a_counter_that_goes_down_starts_again_there_and_no_rate_is_negative(folder: Folder) -> None:
    place = folder("locust_stats_history.csv")
    before = import_locust(place, place.parent / "before").steps[0]
    rows = read_csv(place / "locust_stats_history.csv")
    base = int(rows[60]["Total Request Count"])
    for row in rows[62:]:
        for name in ("Total Request Count",):
            row[name] = str(max(int(row[name]) - base, 0))
    write_csv(place / "locust_stats_history.csv", rows)
    recording = imported(place)
    found(recording, "counter-went-down")
    assert 0 < recording.steps[0].requests <= before.requests


def test_history_rows_that_go_back_in_time_are_left_out_and_said(folder: Folder) -> None:
    place = folder("locust_stats_history.csv")
    before = import_locust(place, place.parent / "before").steps[0]
    rows = read_csv(place / "locust_stats_history.csv")
    rows[70]["Timestamp"] = rows[71]["Timestamp"] = str(int(rows[70]["Timestamp"]) - 30)
    write_csv(place / "locust_stats_history.csv", rows)
    recording = imported(place)
    found(recording, "clock-went-back")
    assert recording.steps[0].requests == pytest.approx(before.requests, rel=0.1)


def test_a_clock_that_was_set_back_during_a_log_is_said_and_no_request_is_lost(folder: Folder) -> None:
    place = folder("requests.csv")
    rows = read_csv(place / "requests.csv")
    for row in rows[len(rows) // 2 :]:
        row["timestamp"] = f"{float(row['timestamp']) - 20:.6f}"
    write_csv(place / "requests.csv", rows)
    recording = imported(place)
    assert len(recording.requests) == len(rows)
    found(recording, "clock-went-back")


def test_millions_of_names_are_folded_into_one(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder("requests.csv")
    rows = [row | {"name": f"/item/{number}"} for number, row in enumerate(read_csv(place / "requests.csv"))]
    write_csv(place / "requests.csv", rows)
    recording = imported(place)
    assert recording.requests["endpoint"].nunique() == request_log.MOST_NAMES + 1
    folded = (recording.requests["endpoint"] == request_log.OTHER_NAME).sum()
    assert folded == len(rows) - request_log.MOST_NAMES
    assert found(recording, "too-many-names")["numbers"]["number"] == folded  # type: ignore[index]


def test_formulas_and_terminal_codes_in_names_stay_data(folder: Folder) -> None:
    place = folder("requests.csv")
    names = ["=HYPERLINK(evil)", "\x1b[31mred\x1b[0m", "+1+1", "@SUM(A1)"]
    rows = [row | {"name": names[number % 4]} for number, row in enumerate(read_csv(place / "requests.csv"))]
    write_csv(place / "requests.csv", rows)
    assert set(imported(place).requests["endpoint"]) == set(names)


def test_a_terminal_code_in_a_file_name_is_spelled_out_in_findings(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    (place / "\x1b[2Jrun.csv").write_bytes(gzip.decompress((RUN / "requests.csv.gz").read_bytes())[:-20])
    write_csv(place / "STEPS.csv", [{"step": 1, "users": 20, "requests": "\x1b[2Jrun.csv"}])
    recording = imported(place)
    assert "\x1b" not in str([item["message"] for item in recording.manifest["findings"]])
    assert "\\x1b[2Jrun.csv" in str(found(recording, "truncated-file")["message"])


def test_a_gzip_bomb_is_refused_before_it_fills_the_disk(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder(log="requests.csv.gz")
    row = b"1795447418.5,GET,/work,10.0,10,200,\n"
    with gzip.open(place / "requests.csv.gz", "wb") as stream:
        stream.write(HEADER.encode() + b"\n")
        for _ in range(90):
            stream.write(row * 30_000)
    with pytest.raises(InputError, match="unpacks to more than"):
        imported(place)
    assert not (place.parent / "out").exists()


def test_a_report_that_unpacks_to_too_much_is_refused(folder: Folder) -> None:
    place = folder("locust_stats.csv", "locust_report.json")
    (place / "locust_report.json").write_bytes(gzip.compress(b"[" + b" " * (200 << 20) + b"]", 1))
    with pytest.raises(InputError, match="MiB"):
        imported(place)


def test_a_zip_file_is_refused_with_what_to_do(folder: Folder) -> None:
    place = folder(log="requests.zip")
    with zipfile.ZipFile(place / "requests.zip", "w") as archive:
        archive.writestr("requests.csv", "timestamp\n")
    with pytest.raises(InputError, match="zip file; unpack it"):
        imported(place)


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Folder) -> None:
    place = folder("requests.csv")
    secret = place.parent / "secret.csv"
    (place / "requests.csv").rename(secret)
    (place / "requests.csv").symlink_to(secret)
    with pytest.raises(InputError, match="outside the folder"):
        imported(place)
    assert not (place.parent / "out").exists()


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd"])
def test_a_path_that_leads_out_of_the_folder_is_refused(folder: Folder, path: str) -> None:
    place = folder("requests.csv", log=path)
    (place / "requests.csv").rename(place.parent / "secret.csv")
    with pytest.raises(InputError, match="outside the folder"):
        imported(place)


def test_a_link_inside_the_folder_is_followed(folder: Folder) -> None:
    place = folder("requests.csv")
    (place / "requests.csv").rename(place / "real.csv")
    (place / "requests.csv").symlink_to("real.csv")
    assert len(imported(place).requests) > 1_000


def test_a_pipe_is_no_file_to_wait_for(folder: Folder) -> None:
    place = folder("requests.csv")
    (place / "requests.csv").unlink()
    os.mkfifo(place / "requests.csv")
    with pytest.raises(InputError, match="not a file"):
        imported(place)


def test_missing_columns_of_all_files_are_in_one_error_with_their_lines(folder: Folder) -> None:
    place = folder()
    for name, column in (
        ("requests.csv", "response_time_ms"), ("locust_stats_history.csv", "Total Request Count"),
        ("locust_stats.csv", "Failure Count"), ("locust_failures.csv", "Error"),
    ):  # fmt: skip
        content = (place / name).read_text(encoding="utf-8")
        (place / name).write_text(content.replace(column, "something else", 1), encoding="utf-8")
    (place / "locust_report.json").write_text('{"not": "a report"}')
    with pytest.raises(InputError) as error:
        imported(place)
    text = str(error.value)
    for expected in ("response_time_ms", "total request count", "failure count", "error", "locust_report.json"):
        assert expected in text
    assert text.count("line 1: the columns") == 4


def test_all_problems_of_a_steps_file_are_in_one_error_with_their_lines(folder: Folder) -> None:
    place = folder()
    (place / "STEPS.csv").write_text(
        "step,users,think,stats_prefix,requests,skip_s,start_s,end_s\n"
        "1,20,exponential:x,locust,requests.csv,,,\n"
        "two,20,,locust,,,,\n"
        "3,-1,,locust,,,,\n"
        "4,20,,nothing,,,,\n"
        "5,20,,locust,absent.csv,-3,,\n"
        "6,20,,locust,,,50,40\n"
        "7,20,,locust,,,,\n"
        "7,20,,locust,,,,\n"
    )
    with pytest.raises(InputError) as error:
        imported(place)
    text = str(error.value)
    for expected in ("line 2: think", "line 3: step", "line 4: users", "line 5: it names no files", "line 6: skip_s",
                     "line 6:", "absent.csv", "line 7: end_s", "the step 7 occurs more than once"):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize("content", [os.urandom(4_096), b"\0a\rb,c\rd\n\x80"], ids=["random", "carriage-returns"])
def test_an_empty_file_and_a_binary_one_are_refused_without_a_crash(folder: Folder, content: bytes) -> None:
    place = folder()
    (place / "locust_stats.csv").write_bytes(b"")
    (place / "locust_stats_history.csv").write_bytes(content)
    with pytest.raises(InputError, match="columns"):
        imported(place)


def test_a_line_without_end_does_not_fill_the_memory(folder: Folder) -> None:
    place = folder("locust_stats_history.csv")
    with (place / "locust_stats_history.csv").open("ab") as stream:
        stream.write(b"x" * (8 << 20) + b"\n")
    found(imported(place), "line-too-long")


def test_what_unpacks_believably_is_not_taken_for_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_files, "_RATIO_FROM_BYTES", 0)
    with safe_files.BoundedStream(RUN / "requests.csv.gz") as stream:
        while stream.read():
            pass
        assert stream.bytes_read > 50_000


def test_steps_that_overlap_in_time_are_refused(folder: Folder) -> None:
    place = folder("requests.csv")
    rows = [{"step": step, "users": 20, "requests": "requests.csv"} for step in (1, 2)]
    write_csv(place / "STEPS.csv", rows)
    with pytest.raises(InputError, match="overlap in time"):
        imported(place)


def test_a_failed_import_leaves_a_given_empty_folder_empty(folder: Folder) -> None:
    place = folder("requests.csv")
    rows = [{"step": step, "users": 20, "requests": "requests.csv"} for step in (1, 2)]
    write_csv(place / "STEPS.csv", rows)
    (place.parent / "out").mkdir()
    with pytest.raises(InputError):
        imported(place)
    assert list((place.parent / "out").iterdir()) == []
