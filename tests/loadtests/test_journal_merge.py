import json
import socket

import numpy as np
import pytest

from loadtests.foundation.errors import InputError, RunError
from loadtests.journals.conversion import convert_journal, recover_recording
from loadtests.journals.journal import Journal, Pulse, RequestRow, marks_path, run_path, to_lines
from loadtests.journals.journal_merge import busiest_share, merge_journal
from loadtests.server_cpu import ServerCpu
from loadtests.store import JOURNAL, read_recording


def row(finish_s, worker="0", user=0, cycle=0, users=1, residence_s=0.1):
    return RequestRow(
        1e9 + finish_s, finish_s - residence_s, finish_s, worker, user, cycle, "GET", "/a", 200, "served", users, 5
    )


def pulse(time_s, worker="0", requests=0, client="", received_s=None, closed=0, **changes):
    state = Pulse(
        time_s, worker, 1, requests, time_s / 2, 0.0, 20, 1024, 1e9, client, "here",
        time_s if received_s is None else received_s, closed,
    )  # fmt: skip
    return state._replace(**changes)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / JOURNAL)


def codes(merged):
    return [finding.code for finding in merged.findings]


def test_rows_of_all_processes_are_in_the_order_of_finishing(journal):
    journal.add_from_worker("a", to_lines([row(1.0), row(3.0, cycle=1)]))
    journal.add_from_worker("b", to_lines([row(2.0, "1")]))
    for name, client, requests in (("0", "a", 2), ("1", "b", 1)):
        journal.add_pulse(pulse(3.1, name, requests, client, closed=1))
    journal.flush(pulse(3.2, "master", closed=1))
    journal.close()
    merged = merge_journal(journal.path)
    assert merged.requests["worker_id"].tolist() == ["0", "1", "0"]
    assert merged.requests["finish_s"].tolist() == [1.0, 2.0, 3.0]
    assert codes(merged) == []
    assert merged.complete_until_s == 3.1


def test_users_are_those_of_all_workers_as_last_heard_of(journal):
    journal.add_from_worker("a", to_lines([row(1.0, users=3), row(4.0, cycle=1, users=5)]))
    journal.add_from_worker("b", to_lines([row(2.0, "1", users=10), row(3.0, "1", cycle=1, users=20)]))
    journal.add_pulse(pulse(4.1, "0", 2, "a", closed=1))
    journal.add_pulse(pulse(3.5, "1", 2, "b", closed=1))
    journal.close()
    assert merge_journal(journal.path).requests["users"].tolist() == [3, 13, 23, 5]


def test_another_machine_s_clock_is_moved_by_its_quickest_message(journal):
    journal.add_from_worker("a", to_lines([row(500.0), row(501.0, cycle=1)]))
    for sent_s, received_s, requests in ((500.1, 1.130, 1), (501.1, 2.101, 2), (502.1, 3.2, 2)):
        state = pulse(sent_s, "0", requests, "a", received_s, machine="there", epoch_offset_s=1e9 + 3, closed=1)
        journal.add_pulse(state)
    journal.flush(pulse(3.3, "master", closed=1))
    journal.close()
    merged = merge_journal(journal.path)
    assert merged.requests["finish_s"].tolist() == pytest.approx([1.001, 2.001])
    assert (merged.requests["finish_s"] - merged.requests["start_s"]).tolist() == pytest.approx([0.1, 0.1])
    assert merged.generator["time_s"].tolist() == pytest.approx([1.101, 2.101, 3.101, 3.3])
    [finding] = merged.findings
    assert finding.code == "clocks-differ"
    assert finding.numbers["error_s"] == pytest.approx(3 + 498.999)


def test_a_clock_that_is_right_is_not_spoken_of(journal):
    journal.add_from_worker("a", to_lines([row(500.0)]))
    journal.add_pulse(pulse(500.1, "0", 1, "a", 1.1, machine="there", epoch_offset_s=1e9 - 499, closed=1))
    journal.flush(pulse(1.2, "master", closed=1))
    journal.close()
    assert codes(merge_journal(journal.path)) == []


def test_rows_that_come_twice_count_once(journal):
    journal.add_from_worker("a", to_lines([row(1.0), row(2.0, cycle=1), row(2.0, cycle=1)]))
    journal.add_pulse(pulse(2.1, "0", 2, "a", closed=1))
    journal.close()
    merged = merge_journal(journal.path)
    assert len(merged.requests) == 2
    assert codes(merged) == ["worker-duplicated"]
    assert merged.findings[0].numbers == {"worker_id": "0", "requests": 1}


def test_two_workers_of_one_number_stay_two(journal):
    journal.add_from_worker("a", to_lines([row(1.0)]))
    journal.add_from_worker("b", to_lines([row(2.0)]))
    for client in "ab":
        journal.add_pulse(pulse(2.1, "0", 1, client, closed=1))
    journal.close()
    merged = merge_journal(journal.path)
    assert merged.requests["worker_id"].tolist() == ["0", "0@b"]
    assert codes(merged) == ["worker-duplicated"]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (pulse(9.5, "0", 2, "a", closed=1), "announced 2 requests, of which 1 arrived"),
        (pulse(8.0, "0", 1, "a"), "last heard 2.0 s before the end"),
        (pulse(1.0, "0", 1, "a", closed=1), "stopped 9.0 s before the end"),
    ],
)
def test_a_worker_that_is_lost_is_said(journal, last, said):
    journal.add_from_worker("a", to_lines([row(1.0)]))
    journal.add_pulse(last)
    journal.flush(pulse(10.0, "master", closed=1))
    journal.close()
    merged = merge_journal(journal.path)
    assert codes(merged) == ["worker-lost"]
    assert said in merged.findings[0].message
    assert merged.findings[0].severity == "critical"


def test_the_busiest_process_says_how_near_the_generator_is_to_its_limit(journal):
    for time_s in (1.0, 2.0, 3.0):
        journal.add_pulse(pulse(time_s, "0", client="a", cpu_s=0.2 * time_s))
        journal.add_pulse(pulse(time_s, "1", client="b", cpu_s=0.9 * time_s))
    journal.close()
    assert busiest_share(merge_journal(journal.path).generator, 0.0, 4.0) == pytest.approx(0.9)
    assert np.isnan(busiest_share(merge_journal(journal.path).generator, 5.0, 6.0))


def write_marks(journal, *marks):
    lines = to_lines([(event, step, users, at, 1e9 + at) for event, step, users, at in marks])
    with marks_path(journal.path).open("a") as stream:
        stream.write(lines)


def fill(journal, until_s):
    """One user who sends every 0.2 s."""
    for number, finish in enumerate(np.arange(0.1, until_s, 0.2)):
        journal.add(row(float(finish), cycle=number))
    journal.flush(pulse(until_s, "0", number + 1))
    journal.close()


def test_a_planned_test_that_was_killed_keeps_its_complete_steps(journal, tmp_path):
    run_path(journal.path).write_text(
        json.dumps({"plan": {"users": [1, 2], "settle_s": 0.5}, "has_steps": True, "host": "http://h", "seed": 3})
    )
    write_marks(journal, ("asked", 1, 1, 0.0), ("reached", 1, 1, 0.1), ("asked", 2, 2, 5.0), ("reached", 2, 2, 5.1))
    fill(journal, 9.0)
    recording = recover_recording(tmp_path)
    assert [step.step for step in recording.steps] == [1]
    assert recording.manifest["left_out"] == [{"step": 2, "users": 2, "reason": "the test was interrupted in it"}]
    [finding] = recording.manifest["findings"]
    assert finding["code"] == "interrupted"
    assert finding["numbers"] == {"missing_s": 1.0}
    assert recording.manifest["source"] == {"kind": "locust-run"}
    assert recording.manifest["plan"]["users"] == [1, 2]
    assert read_recording(tmp_path).steps == recording.steps
    with pytest.raises(InputError, match="whole already"):
        recover_recording(tmp_path)


def test_a_plan_that_was_not_followed_is_not_told(journal, tmp_path):
    run_path(journal.path).write_text(json.dumps({"plan": {"users": [50], "settle_s": 0.5}, "has_steps": True}))
    write_marks(journal, ("asked", 1, 1, 0.0), ("reached", 1, 1, 0.1), ("ended", 1, 1, 8.0))
    fill(journal, 9.0)
    recording = recover_recording(tmp_path)
    assert recording.manifest["plan"] == {"settle_s": 1.0}
    assert [step.users for step in recording.steps] == [1]


def test_an_unplanned_test_that_was_killed_is_as_long_as_its_journal(journal, tmp_path):
    write_marks(journal, ("asked", 1, 1, 0.0), ("reached", 1, 1, 0.1))
    fill(journal, 9.0)
    [step] = recover_recording(tmp_path).steps
    assert (step.start_s, step.end_s) == pytest.approx((1.1, 9.0), abs=0.05)


def test_a_test_of_several_starts_at_the_web_page_has_their_plateaus(journal, tmp_path):
    write_marks(
        journal, ("asked", 1, 1, 0.0), ("reached", 1, 1, 0.1), ("ended", 1, 1, 4.0),
        ("asked", 2, 1, 6.0), ("reached", 2, 1, 6.1), ("ended", 2, 1, 9.0),
    )  # fmt: skip
    fill(journal, 9.0)
    recording = convert_journal(tmp_path)
    assert [(step.step, step.users) for step in recording.steps] == [(1, 1), (2, 1)]
    assert recording.manifest["left_out"] == []


def test_a_folder_without_a_journal_or_a_load_is_refused(journal, tmp_path):
    journal.close()
    with pytest.raises(InputError, match="holds no journal"):
        recover_recording(tmp_path / "nowhere")
    with pytest.raises(RunError, match="ended before its load began"):
        recover_recording(tmp_path)
    write_marks(journal, ("asked", 1, 1, 0.0))
    with pytest.raises(RunError, match="No request finished"):
        recover_recording(tmp_path)


def free_host():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("host", ["http://192.0.2.1:80", "http://example.invalid", "nobody listens", "nonsense"])
def test_the_processor_time_of_a_server_that_is_not_here_is_unknown(host):
    host = free_host() if host == "nobody listens" else host
    assert np.isnan(ServerCpu(host).seconds())
    assert not ServerCpu(host).is_known
