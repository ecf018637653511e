from itertools import pairwise

import pytest

from loadtests.foundation.errors import InputError
from loadtests.load.load_shapes import LoadShape, Stretch, parse_shape
from loadtests.load.traffic_history import read_traffic_history


def levels(text):
    return [(item.seconds, item.begin_users, item.end_users, item.is_plateau) for item in parse_shape(text).stretches]


def test_steps_spikes_and_soaks_are_plateaus():
    assert levels("steps:5,10:30s") == [(30, 5, 5, True), (30, 10, 10, True)]
    assert levels("spike:5:50:1m") == [(60, 5, 5, True), (60, 50, 50, True), (60, 5, 5, True)]
    assert levels("soak:20:8h") == [(28_800, 20, 20, True)]


def test_a_ramp_is_no_plateau_and_goes_in_a_straight_line():
    shape = parse_shape("ramp:0:10:20s")
    assert shape.plateaus == ()
    assert [shape.users_at(second) for second in (0, 2, 10, 19.9, 20, 99)] == [0, 1, 5, 10, 10, 10]
    assert parse_shape("ramp:10:1:9s").users_at(3) == 7


def test_a_breakpoint_rises_to_its_limit_or_a_hundred_levels():
    assert [item.begin_users for item in parse_shape("breakpoint:5:10:30s:38").stretches] == [5, 15, 25, 35]
    endless = parse_shape("breakpoint:5:10:30s")
    assert len(endless.stretches) == 100
    assert endless.is_sought_limit
    assert not parse_shape("steps:5:30s").is_sought_limit


def test_shapes_join_in_their_order():
    shape = parse_shape("ramp:1:50:60s+soak:50:5m+breakpoint:60:10:30s:100")
    assert [item.is_plateau for item in shape.stretches] == [False] + [True] * 6
    assert shape.duration_s == 60 + 300 + 5 * 30
    assert shape.is_sought_limit
    assert shape.users_at(61) == 50


@pytest.mark.parametrize("text", ["steps:5,10:30s", "ramp:0:10:0.5s", "spike:1:2:3s", "breakpoint:5:10:30s:38"])
def test_a_shape_s_text_and_its_json_read_back_as_the_same_shape(text):
    shape = parse_shape(text)
    assert parse_shape(shape.text) == shape
    assert LoadShape.from_dict(shape.to_dict()) == shape


@pytest.mark.parametrize(
    "text",
    [
        "", "wave:1:2", "ramp:1:2", "ramp:1:2:3s:4", "ramp:0:0:9s", "ramp:-1:5:9s", "ramp:1.5:5:9s", "ramp:1:5:0s",
        "ramp:1:5:-3s", "steps:0:9s", "steps::9s", "soak:5", "soak:5:soon", "soak:99999999:5s", "spike:0:5:9s",
        "breakpoint:5:0:9s", "breakpoint:5:1:9s:4", "ramp:1:5:9s+", "replay:absent.csv:5:60", "replay:5:60",
        "soak:5:nan", "ramp:1:5:inf",
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be_is_refused_with_its_text(text):
    with pytest.raises(InputError) as caught:
        parse_shape(text)
    assert repr(text) in str(caught.value) or "ramp:1:5:9s+" in text


def test_an_unknown_shape_lists_the_known_ones():
    with pytest.raises(InputError, match=r"ramp:FROM:TO:TIME, spike:BASE:PEAK:TIME.*replay:FILE:PEAK:SPEED"):
        parse_shape("wave:1:2")


def test_a_plateau_is_constant_and_has_users():
    with pytest.raises(InputError, match="must be constant"):
        Stretch(5.0, 1, 2, is_plateau=True)
    with pytest.raises(InputError, match="users"):
        Stretch(5.0, 0, 0, is_plateau=True)


@pytest.fixture
def history(tmp_path):
    def write(text):
        (tmp_path / "day:1.csv").write_text(text)
        return tmp_path / "day:1.csv"

    return write


DAY = "timestamp,value\n2026-03-01T00:00,500\n2026-03-01T00:10,1000\n2026-03-01T00:20,1001\n2026-03-01T00:30,0\n"


def test_a_history_is_replayed_in_fewer_users_and_less_time(history):
    shape = parse_shape(f"replay:{history(DAY)}:10:60x")
    assert [(item.seconds, item.begin_users, item.is_plateau) for item in shape.stretches] == [
        (10, 5, True), (20, 10, True), (10, 0, False),
    ]  # fmt: skip
    assert shape.text == "replay:day:1.csv:10:60"


def test_levels_of_a_history_shorter_than_five_seconds_are_passed_through(history):
    shape = parse_shape(f"replay:{history(DAY)}:10:200")
    assert [(item.seconds, item.is_plateau) for item in shape.stretches] == [(3, False), (6, True), (3, False)]


def test_a_replay_faster_than_locust_can_follow_names_the_fastest_that_it_can(history):
    with pytest.raises(InputError, match="a speed of at most 300 is possible"):
        parse_shape(f"replay:{history(DAY)}:10:301")


def test_times_of_a_history_are_iso_with_or_without_a_zone_or_seconds(history):
    zoned = read_traffic_history(history("value,timestamp\n1,2026-03-01T01:00:00+01:00\n2,2026-03-01T00:00:10Z\n"))
    seconds = read_traffic_history(history("\ufefftimestamp, value\n1.0,1\n11.5,2\n\n31.5,3\n"))
    assert (zoned.times_s, zoned.lengths_s) == ((0, 10), (10, 10))
    assert (seconds.lengths_s, seconds.values) == ((10.5, 20, 15.25), (1, 2, 3))


def test_every_bad_row_of_a_history_is_in_one_error_with_its_line(history):
    rows = ["timestamp,value", "1,5", "2,-1", "3,many", "3,5", "soon,5", "7,nan", "8", "9,1,1", "10,5"]
    with pytest.raises(InputError) as caught:
        read_traffic_history(history("\n".join(rows)))
    said = str(caught.value)
    places = [said.index(f"line {line}") for line in (8, 9, 6, 3, 4, 7, 5)]
    assert all(before < after for before, after in pairwise(places))
    assert "line 10:" not in said
    assert "line 2:" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs the columns"), ("time,value\n1,2\n", "needs the columns"), ("timestamp,value,value\n", "needs the"),
        ("timestamp,value\n1,2\n", "at least two"), ("timestamp,value\n1,0\n2,0\n", "above 0"),
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_is_refused(history, text, said):
    with pytest.raises(InputError, match=said):
        read_traffic_history(history(text))


def test_a_history_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"timestamp,value\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        read_traffic_history(tmp_path / "a.csv")


def test_many_bad_rows_are_counted_not_listed(history):
    with pytest.raises(InputError) as caught:
        read_traffic_history(history("timestamp,value\n" + "x,y\n" * 1_000))
    assert "2000 problems in all" in str(caught.value)
    assert len(str(caught.value)) < 2_000
