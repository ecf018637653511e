"""A file of live windows is read as it stands; what is wrong with it is said in one error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity
from loadtests.live.windows_file import read_live_windows

HEADER = "start_s,window_s,users,goodput_rps,p95_s\n"


def written(folder: Path, text: str, name: str = "live.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_windows_of_users_are_read_and_what_is_empty_was_not_measured(tmp_path: Path) -> None:
    first, second = read_live_windows(written(tmp_path, HEADER + "0,60,40,380.5,0.21\n60,60,40,,0.2\n"))
    assert (first.load, first.quantity, first.window_s) == (40, Quantity.USERS, 60)
    assert first.metrics == {"goodput_rps": (380.5, 380.5), "p95_s": (0.21, 0.21)}
    assert set(second.metrics) == {"p95_s"}
    assert first.is_followed_by(second)


def test_timestamps_are_times_on_one_clock(tmp_path: Path) -> None:
    rows = ("2026-12-01T08:00:00Z,60,900,0.05", "2026-12-01T10:00:00+01:00,60,900,0.05")
    text = "\n".join(["timestamp,window_s,arrival_rate_rps,mean_s", *rows])
    first, second = read_live_windows(written(tmp_path, text))
    assert second.start_s - first.start_s == 3_600
    assert (first.begins, first.quantity) == ("2026-12-01T08:00:00Z", Quantity.RPS)
    assert not first.is_followed_by(second)


def test_json_has_the_same_names(tmp_path: Path) -> None:
    rows = [{"start_s": 0, "window_s": 60, "users": 40, "shed_rate": 0.01, "p99_s": None}]
    for document in (rows, {"windows": rows}):
        (window,) = read_live_windows(written(tmp_path, json.dumps(document), "live.json"))
        assert window.metrics == {"shed_rate": (0.01, 0.01)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start_s,window_s,users,load\n0,60,4,1\n", "has the columns load,"),
        ("window_s,users,p95_s\n60,4,1\n", "needed are start_s or timestamp"),
        ("start_s,window_s,users,arrival_rate_rps,p95_s\n0,60,4,5,1\n", "users or arrival_rate_rps"),
        (HEADER, "holds no windows"),
        (HEADER + "0,60,40,1,0.2\n30,60,40,1,0.2\n", "line 3: it begins before the window above ends"),
        (HEADER + "0,0,40,1,0.2\n60,60,1.5,1,0.2\n120,60,4,x,0.2\n", "3 bad rows"),
        (HEADER + "0,60,40,,\n", "no metric at all"),
        (HEADER + "0,60,,1,1\n", "users or arrival_rate_rps is empty"),
        (HEADER + "0,60,40,1,-1\n", "p95_s"),
        ("timestamp,window_s,users,p95_s\nsoon,60,4,1\n", "ISO 8601"),
        ("start_s,window_s,users,shed_rate\n0,60,4,5\n", "share of at most 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_live_windows(written(tmp_path, text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_no_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_live_windows(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="list of objects"):
        read_live_windows(written(tmp_path, '{"windows": 3}', "live.json"))
