import pytest

from loadtests.journals.journal import (
    JOURNAL_COLUMNS,
    PULSE_COLUMNS,
    Journal,
    Pulse,
    RequestRow,
    classify,
    count_rows,
    pulses_path,
    read_marks,
)
from loadtests.journals.journal_merge import read_lines
from loadtests.tables import GENERATOR_COLUMNS, REQUEST_COLUMNS, SCHEDULE_COLUMNS


def wrapping(inner):
    try:
        raise ConnectionError("gave up") from inner
    except ConnectionError as error:
        return error


@pytest.mark.parametrize(
    ("status", "exception", "outcome"),
    [
        (200, None, "served"), (304, None, "served"), (503, ValueError(), "shed"), (429, None, "rate_limited"),
        (404, ValueError(), "client_error"), (500, None, "server_error"), (502, ValueError(), "server_error"),
        (200, AssertionError("wrong body"), "failed"), (0, None, "failed"), (0, TimeoutError(), "timeout"),
        (0, ConnectionRefusedError(), "refused"), (0, ConnectionResetError(), "reset"), (0, BrokenPipeError(), "reset"),
        (0, wrapping(ConnectionRefusedError()), "refused"), (0, OSError("odd"), "failed"),
        (0, Exception("Max retries", ConnectionRefusedError()), "refused"),
    ],
)  # fmt: skip
def test_every_outcome_follows_from_status_and_error(status, exception, outcome):
    assert classify(status, exception) == outcome


def row(number):
    return RequestRow(1e9 + number, number, number + 0.5, "0", 3, number, "GET", "/a,b", 200, "served", 5, 10)


def test_the_journal_has_the_columns_of_the_requests_table():
    assert list(RequestRow._fields) == list(JOURNAL_COLUMNS) == [*REQUEST_COLUMNS, *SCHEDULE_COLUMNS]
    assert list(Pulse._fields) == list(PULSE_COLUMNS)
    assert list(Pulse._fields)[: len(GENERATOR_COLUMNS)] == list(GENERATOR_COLUMNS)


def test_whole_rows_come_back_even_when_the_last_line_is_torn(tmp_path):
    path = tmp_path / "journal.csv"
    journal = Journal(path)
    for number in range(3):
        journal.add(row(number))
    journal.close()
    journal.close()
    with path.open("a") as stream:
        stream.write("1000000003.0,3,3.5,0,3,3,GE")
    table = read_lines(path, JOURNAL_COLUMNS)
    assert table["finish_s"].tolist() == [0.5, 1.5, 2.5]
    assert table["endpoint"].tolist() == ["/a,b"] * 3
    assert {name: str(kind) for name, kind in table.dtypes.items()} == JOURNAL_COLUMNS
    assert table["due_s"].isna().all()
    assert count_rows(path) == 3


def test_rows_of_workers_go_into_files_of_their_own_and_count(tmp_path):
    journal = Journal(tmp_path / "journal.csv")
    journal.add_from_worker("host_1", "1000000000.0,0.0,0.5,0,0,0,GET,/,200,served,5,10\r\n")
    journal.add_from_worker("host_2", "")
    journal.flush(Pulse(1.0, "master", 0, 0, 0.1, 0.0, 10, 1024, 1e9, "", "here", 1.0, 0))
    journal.close()
    journal.add_from_worker("host_1", "too late")
    assert len(read_lines(tmp_path / "journal.host_1.csv", REQUEST_COLUMNS)) == 1
    assert read_lines(tmp_path / "journal.host_2.csv", REQUEST_COLUMNS).empty
    assert read_lines(pulses_path(tmp_path / "journal.csv"), PULSE_COLUMNS)["worker_id"].tolist() == ["master"]
    assert count_rows(tmp_path / "journal.csv") == 1


def test_marks_come_back_in_order_and_a_missing_journal_has_none(tmp_path):
    journal = Journal(tmp_path / "journal.csv")
    journal.mark("asked", 1, 5)
    journal.mark("reached", 1, 5)
    assert [(mark.event, mark.step, mark.users) for mark in read_marks(tmp_path / "journal.csv")] == [
        ("asked", 1, 5),
        ("reached", 1, 5),
    ]
    assert read_marks(tmp_path / "other.csv") == ()
    assert count_rows(tmp_path / "other.csv") == 0
    journal.close()
