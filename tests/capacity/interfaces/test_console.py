"""What people see is what was given: no markup in it, no numbers made up from a range."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.interfaces.cli import run
from capacity.interfaces.console import envelope, out, parse_numbers, print_findings, table
from capacity.interfaces.output_targets import check_file_target, check_folder_target
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding


def test_numbers_and_ranges_are_read_in_their_order() -> None:
    assert parse_numbers("20, 5,7 - 9", "--users") == [20, 5, 7, 8, 9]
    assert len(parse_numbers("1-1000", "--users")) == 1_000


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("5-2000000", "more than 1,000 numbers"), ("1-600,601-1001", "more than 1,000 numbers"),
        ("²", "write whole numbers"), ("٣", "write whole numbers"), ("9" * 5_000, "write whole numbers"),
        ("5,6,5", "5 more than once"), ("1-4,3", "3 more than once"), ("", "write whole numbers"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_meant_are_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_numbers(text, "--users")


def test_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    odd = "x[/y] [bold]z :smile:"
    print_findings([Finding("odd-path", "warning", odd, odd)])
    out().print(table(odd, ("a", odd), [(odd, odd)]))
    shown = capsys.readouterr().out
    assert shown.count(odd) == 6
    assert "[odd-path]" in shown


def test_a_folder_that_looks_like_markup_is_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "x[/y]"
    assert run(["plan", "--growth", "guide", "--instance-capacity", "3350", "--out", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert (folder / "plan.json").is_file()
    assert f"Wrote {folder / 'plan.json'}" in said.err
    assert json.loads(said.out)["quantity"] == "ccu"


def test_a_documents_origin_is_the_same_everywhere() -> None:
    found = envelope({"model": Path("m.json"), "users": 5}, seed=3, packages=("numpy",))
    assert found["inputs"] == {"model": "m.json", "users": 5}
    assert (found["schema_version"], found["seed"]) == (1, 3)
    assert {"python", "fluxor-capacity", "numpy"} <= set(found["versions"])


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert check_file_target(tmp_path / "new" / "model.json")
    assert check_folder_target(tmp_path / "new")
    for check, path, named in (
        (check_file_target, tmp_path, "a folder; name a file in it"),
        (check_file_target, file / "model.json", "is a file, not a folder"),
        (check_folder_target, file, "a file; name a folder"),
        (check_folder_target, file / "out", "is a file, not a folder"),
    ):
        with pytest.raises(InputError, match=named):
            check(path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["calibrate", "absent", "--out", "."], "--out is ., a folder"),
        (["validate", "absent", "--against", "absent", "--out", "."], "--out is ., a folder"),
        (["plan", "--growth", "guide", "--instance-capacity", "10", "--out", "file"], "--out is file, a file"),
        (["record", "--host", "http://127.0.0.1:9", "--users", "5", "--out", "file/r"], "is a file, not a folder"),
        (["demo", "--out", "file/r"], "is a file, not a folder"),
        (["report", "held"], "a folder; name a file"),
    ],
)
def test_every_command_asks_for_its_place_first(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("held/report.html").mkdir(parents=True)
    assert run(arguments) == 2
    assert named in capsys.readouterr().err
