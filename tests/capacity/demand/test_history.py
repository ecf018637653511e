"""Traffic histories: what is read, what is refused with its line, and what is said about the rest."""

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from capacity import TrafficHistory, read_history
from capacity.demand.growth_table import rows_of_text
from capacity.demand.history_table import clean_columns, columns_of_history
from loadtests.foundation.errors import InputError

HISTORIES = Path(__file__).parents[3] / "data" / "traffic_histories"
HOURS = "timestamp,value\n" + "".join(f"2026-01-01T{hour:02d}:00:00Z,{hour}\n" for hour in range(6))


def read(text: str, **options: Any) -> TrafficHistory:
    return read_history(io.StringIO(text), **options)


def codes(history: TrafficHistory) -> list[str]:
    return [item.code for item in history.findings]


def test_six_hours_are_six_intervals_of_an_hour() -> None:
    history = read(HOURS)
    assert (history.interval_s, history.span_s, history.values.tolist()) == (3_600, 6 * 3_600, [0, 1, 2, 3, 4, 5])
    assert codes(history) == []
    assert repr(history) == "TrafficHistory(6 rows of 60 min, 2026-01-01T00:00:00Z to 2026-01-01T06:00:00Z)"


def test_counts_of_an_interval_become_events_per_second() -> None:
    counts, loads, unsaid = (read(HOURS, values_are=kind) for kind in ("counts", "loads", None))
    assert counts.values.tolist() == [hour / 3_600 for hour in range(6)]
    assert loads.values.tolist() == unsaid.values.tolist() == [0, 1, 2, 3, 4, 5]
    assert [item.to_dict()["values_are"] for item in (counts, loads, unsaid)] == ["counts", "loads", None]
    frame = pd.read_csv(io.StringIO(HOURS))
    assert TrafficHistory.from_frame(frame, values_are="counts").values.tolist() == counts.values.tolist()
    with pytest.raises(InputError, match="counts, loads"):
        read(HOURS, values_are="rates")


@pytest.mark.parametrize(
    "stamps",
    [
        ("2026-01-01", "2026-01-02", "2026-01-03"),
        ("2026-01-01 00:00:00", "2026-01-02 00:00:00", "2026-01-03 00:00:00"),
        ("2026-01-01T01:00+01:00", "2026-01-02T01:00+01:00", "2026-01-03T01:00+01:00"),
        ("1767225600", "1767312000", "1767398400"),
    ],
)
def test_days_are_read_however_they_are_written(stamps: tuple[str, ...]) -> None:
    history = read("timestamp,value\n" + "".join(f"{stamp},1\n" for stamp in stamps))
    assert history.starts_s.tolist() == [1_767_225_600 + 86_400 * day for day in range(3)]


def test_a_missing_time_zone_is_said_and_a_stated_one_is_used() -> None:
    text = "timestamp,value\n2026-01-01T00:00,1\n2026-01-01T01:00,2\n"
    assert codes(read(text)) == ["time-zone-assumed"]
    berlin = read(text, timezone="Europe/Berlin")
    assert codes(berlin) == []
    assert read(text).starts_s[0] - berlin.starts_s[0] == 3_600


def test_the_hour_that_a_clock_shows_twice_is_two_hours() -> None:
    text = "timestamp,value\n2025-10-26T01:00,1\n2025-10-26T02:00,2\n2025-10-26T02:00,3\n2025-10-26T03:00,4\n"
    history = read(text, timezone="Europe/Berlin")
    assert set(history.starts_s[1:] - history.starts_s[:-1]) == {3_600}
    with pytest.raises(InputError, match=r"line 4: its timestamp is that of line 3"):
        read(text)


def test_an_hour_that_no_clock_shows_is_refused() -> None:
    with pytest.raises(InputError, match=r"line 3: .* put forward"):
        read("timestamp,value\n2025-03-30T01:30,1\n2025-03-30T02:30,2\n", timezone="Europe/Berlin")


def test_local_days_stay_days_when_the_clocks_change() -> None:
    text = "timestamp,value\n" + "".join(f"2025-10-{day},1\n" for day in range(24, 30))
    assert read(text, timezone="Europe/Berlin").interval_s == 86_400


def test_calendar_months_are_even_intervals() -> None:
    text = "timestamp,value\n" + "".join(f"2025-{month:02d}-01,{month}\n" for month in range(1, 13))
    assert read(text).interval_s == 30.4375 * 86_400


def test_a_gap_of_whole_intervals_is_told_with_its_place() -> None:
    history = read(HOURS.replace("2026-01-01T03:00:00Z,3\n", ""))
    (gap,) = history.findings
    assert (gap.code, gap.numbers["missing"], gap.numbers["longest"]) == ("history-gaps", 1, 1)
    assert "after line 4" in gap.message


@pytest.mark.parametrize("mark", ["censored", "shed"])
def test_intervals_with_shed_requests_are_marked(mark: str) -> None:
    text = f"timestamp,value,{mark}\n2026-01-01,1,0\n2026-01-02,2,true\n2026-01-03,3,12.5\n2026-01-04,4,\n"
    assert read(text).censored.tolist() == [False, True, True, False]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(b"\xef\xbb\xbftimestamp,value\n2026-01-01,1\n2026-01-02,2\n")
    assert len(read_history(path).values) == 2


def test_all_bad_rows_are_named_in_one_error() -> None:
    text = (
        "timestamp,value\n2026-01-01T00:00Z,1\n2026-01-01T01:00Z,\n2026-01-01T02:00Z,nan\n2026-01-01T03:00Z,-1\n"
        "2026-01-01T04:00Z,many\nsoon,1\n2026-01-01T06:00Z,1\n2026-01-01T06:00Z,1\n2026-01-01T05:00Z,1\n"
        '2026-01-01T07:00Z,1\n2026-01-01T07:20Z,1\n2026-01-01T08:00Z,"1,5"\n2026-01-01T09:00Z,1,5\n'
    ) + "".join(f"2026-01-02T{hour:02d}:00Z,1\n" for hour in range(6))
    with pytest.raises(InputError) as caught:
        read(text)
    said = str(caught.value)
    for part in (
        "line 3: value is empty", "line 4: value is", "line 5: value is '-1'", "line 6: value is 'many'",
        "line 7: timestamp is 'soon'", "line 9: its timestamp is that of line 8", "line 10: its timestamp lies before",
        "line 12: it comes 1,200 s after line 11", "line 13: value is '1,5'; write decimals with a point",
        "line 14: it has more cells",
    ):  # fmt: skip
        assert part in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "columns none"),
        ("timestamp,value\n", "no rows"),
        ("timestamp,value\n2026-01-01,1\n", "1 rows"),
        ("timestamp;value\n2026-01-01;1,5\n", "Separate columns by commas"),
        ("when,value\n2026-01-01,1\n", "needed are timestamp and value"),
        ("timestamp,value,shed,censored\n2026-01-01,1,0,0\n", "each once"),
        ("timestamp,value\n1767225600000,1\n1767312000000,1\n", "Divide milliseconds"),
        ("timestamp,value\n20260101,1\n20260102,1\n", "as seconds that is in 1970. Write 2026-01-01"),
        ("timestamp,value\n2026-01-01T00:00Z,1\n2026-01-01T01:00,1\n", "use one kind"),
        ("timestamp,value\n2020-01-01,1\n2021-01-01,1\n", "at least one row a month"),
    ],
)
def test_what_is_no_history_is_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(text)


def test_an_unknown_time_zone_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Europe/Berlin or UTC"):
        read(HOURS, timezone="Mars/Olympus")
    with pytest.raises(InputError, match="timestamp and value"):
        read_history(tmp_path / "nothing.csv")


def test_a_frame_is_a_history_too() -> None:
    days = pd.date_range("2026-01-01", periods=4, freq="D", tz="UTC")
    indexed = TrafficHistory.from_frame(pd.DataFrame({"value": [1, 2, 3, 4]}, index=days))
    column = TrafficHistory.from_frame(pd.DataFrame({"timestamp": days, "value": [1, 2, 3, 4]}))
    assert indexed.to_frame().equals(column.to_frame())
    assert indexed.to_dict()["sha256"] == column.to_dict()["sha256"]
    with pytest.raises(InputError, match="row 2: value is"):
        TrafficHistory.from_frame(pd.DataFrame({"value": [1, 2, -3, 4]}, index=days))


def test_real_histories_are_read_and_a_broken_one_is_refused() -> None:
    views = read_history(HISTORIES / "wikipedia_r_daily.csv")
    assert (len(views.values), views.interval_s) == (2_863, 86_400)
    assert codes(views) == ["time-zone-assumed", "history-gaps"]
    with pytest.raises(InputError, match="bad rows"):
        read_history(HISTORIES / "ec2_request_latency_system_failure.csv")


def test_retries_are_no_demand() -> None:
    history = read("timestamp,value,retries\n2026-01-01,100,10\n2026-01-02,200,80\n")
    assert history.values.tolist() == [90, 120]
    assert history.retry_share == pytest.approx(0.3)
    assert codes(history) == ["time-zone-assumed", "retries-separated"]
    stated = read("timestamp,value\n2026-01-01,100\n2026-01-02,200\n", retry_share=0.25)
    assert (stated.values.tolist(), stated.retry_share) == ([75, 150], 0.25)


def test_attempts_beside_logical_requests_are_only_compared() -> None:
    history = read("timestamp,value,attempts\n2026-01-01,100,150\n2026-01-02,200,250\n")
    assert (history.values.tolist(), history.retry_share) == ([100, 200], 0.25)
    assert "are counted apart" in history.findings[-1].message


def test_retries_inflate_what_shed_requests_censor() -> None:
    """Of 100 served, 30 were retries: 70 first attempts were served, and the demand is at least that."""
    history = read("timestamp,value,retries,shed\n2026-01-01,100,30,12\n2026-01-02,90,0,0\n2026-01-03,90,5,0\n")
    assert (history.values.tolist(), history.censored.tolist()) == ([70, 90, 85], [True, False, False])
    (found,) = (item for item in history.findings if item.code == "retries-with-shed")
    assert found.numbers["intervals"] == 1


@pytest.mark.parametrize(
    ("text", "share", "named"),
    [
        ("timestamp,value,retries\n2026-01-01,1,2\n2026-01-02,1,0\n", 0, "line 2: retries is 2, value 1"),
        ("timestamp,value,attempts\n2026-01-01,3,2\n2026-01-02,1,1\n", 0, "line 2: attempts is 2, value 3"),
        ("timestamp,value,retries\n2026-01-01,1,\n2026-01-02,1,0\n", 0, "line 2: retries is empty or NaN"),
        ("timestamp,value,retries\n2026-01-01,1,-1\n2026-01-02,1,0\n", 0, "line 2: retries is '-1'"),
        ("timestamp,value,retries,attempts\n2026-01-01,1,0,1\n2026-01-02,1,0,1\n", 0, "each once"),
        ("timestamp,value,retries\n2026-01-01,1,0\n2026-01-02,1,0\n", 0.1, "give one of the two"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,1\n", 1.0, "from 0 to below 1"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,1\n", float("nan"), "retry_share is nan"),
    ],
)
def test_retries_that_cannot_be_are_refused(text: str, share: float, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(text, retry_share=share)


BERLIN = ZoneInfo("Europe/Berlin")
WRITINGS: dict[str, Callable[[datetime], str]] = {
    "aware": lambda moment: moment.isoformat(),
    "naive": lambda moment: moment.replace(tzinfo=None).isoformat(" "),
    "seconds": lambda moment: str(int(moment.timestamp())),
}


@pytest.mark.parametrize("writing", list(WRITINGS))
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_whole_columns_are_read_as_rows_are_one_by_one(writing: str, zone: str | None) -> None:
    """A year of hours with both changes of clocks, a gap, shed requests, retries, and spaces."""
    first = datetime(2025, 1, 1, tzinfo=BERLIN if zone else UTC).astimezone(UTC)
    moments = [first + timedelta(hours=at) for at in range(8_760) if at not in (500, 501)]
    stamps = [WRITINGS[writing](moment.astimezone(BERLIN if zone else UTC)) for moment in moments]
    rows = [f" {stamp} ,{at % 50 + 10}.5,{'' if at % 9 else 1.5},{at % 3}" for at, stamp in enumerate(stamps)]
    text = "\n".join(["timestamp,value,shed,retries", *rows[:10], "", *rows[10:], ""])
    header, labelled = rows_of_text("x", text)
    slow, slow_zone = columns_of_history("x", header, labelled, zone)
    cells = {name: [row[name] for _, row in labelled] for name in header}
    quick = clean_columns(cells, [label for label, _ in labelled], zone)
    assert quick is not None
    for name in ("starts_s", "values", "censored", "retries"):
        assert getattr(quick[0], name).tolist() == getattr(slow, name).tolist()
    assert quick[1] == slow_zone
    made = read(text, timezone=zone)
    assert made.starts_s.tolist() == slow.starts_s.tolist()
    gap = next(item for item in made.findings if item.code == "history-gaps")
    assert "after line 502" in gap.message  # 500 rows, the header, a blank line


@pytest.mark.parametrize(
    "bad", ["2025-01-01T05:00Z,-1", "2025-01-01T05:00Z,nan", "2025-01-01T05:00Z,", "soon,1", "2025-01-01T05:20Z,1",
            "2025-01-01T04:00Z,1", "2025-01-01T03:00Z,1", "2025-01-01T05:00,1", "2025-01-01T05:00Z,1,1",
            '"2025-01-01T05:00Z\n",inf', "20250101,1"],
)  # fmt: skip
def test_a_bad_row_is_seen_in_whole_columns_too(bad: str) -> None:
    text = "timestamp,value\n" + "".join(f"2025-01-01T0{hour}:00Z,1\n" for hour in range(5)) + f"{bad}\n"
    with pytest.raises(InputError, match=r"line [678]|use one kind"):
        read(text)


def test_a_long_history_is_read_several_times_as_fast_as_row_by_row() -> None:
    """About twelve times on an idle machine, and the best of three of each; a third of that is a loss of the way."""
    text = "timestamp,value\n" + "".join(f"{1_640_995_200 + 300 * at},{at % 97}.5\n" for at in range(40_000))

    def one_by_one() -> None:
        columns_of_history("x", *rows_of_text("x", text), None)

    assert best_of_three(lambda: read(text)) < best_of_three(one_by_one) / 3


def best_of_three(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(3):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)
