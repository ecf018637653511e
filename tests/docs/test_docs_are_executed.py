"""Everything shown in the Markdown pages is executed: Python snippets and light `capacity` commands.

Each page runs from top to bottom in one namespace and one scratch folder that sees `data` and `tests`.
A block directly after ``<!-- not executed: REASON -->`` is left out. Commands that load a server or
fit a model are only parsed, so that their options exist. Output lines shown below an executed command
must occur in what it prints; ``...`` stands for lines left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import typer.main

from capacity.interfaces import cli

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(path for path in [ROOT / "README.md"] if path.is_file())]
LIGHT = {"instances", "plan", "forecast", "locustfile", "report", "thresholds", "--help", "--version"}

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<kind>[\w-]*)\s*$")
_LEFT_OUT = re.compile(r"<!-- not executed: \S.*-->\s*$")
_COMMAND = re.compile(r"^\$ (?:\./run )?capacity(?: (?P<rest>.*))?$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and the line number of its first line."""

    kind: str
    lines: tuple[str, ...]
    first_line: int
    left_out: bool


def blocks_of(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        fence = _FENCE.match(lines[place])
        place += 1
        if fence is None:
            continue
        start = place
        while lines[place].strip() != fence["ticks"]:
            place += 1
        indent = len(fence["indent"])
        before = next((line for line in reversed(lines[: start - 1]) if line.strip()), "")
        inside = tuple(line[indent:] for line in lines[start:place])
        yield Block(fence["kind"], inside, start + 1, _LEFT_OUT.search(before) is not None)
        place += 1


def commands_of(block: Block) -> Iterator[tuple[int, list[str], list[str]]]:
    """Line number, arguments and shown output of every `capacity` command in a console block."""
    starts = [at for at, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        lines = list(block.lines[start:end])
        command = lines.pop(0)
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).strip()
        found = _COMMAND.match(command)
        if found is not None:
            yield block.first_line + start, shlex.split(found["rest"] or "", comments=True), lines


def execute_python(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    source = "\n" * (block.first_line - 1) + "\n".join(block.lines) + "\n"
    exec(compile(source, str(page), "exec"), namespace)  # noqa: S102 - our own documentation


def execute_command(where: str, arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if not arguments or LIGHT.isdisjoint({arguments[0], arguments[-1]}):
        parse_command(where, arguments)
        return
    capsys.readouterr()
    code = cli.run(arguments)
    printed = capsys.readouterr()
    assert code == 0, f"{where}: exit code {code}\n{printed.err}"
    have = {" ".join(line.split()) for line in (printed.out + printed.err).splitlines()}
    missing = [line for line in shown if line.strip() not in ("", "...") and " ".join(line.split()) not in have]
    assert not missing, f"{where} prints otherwise; not found: {missing}\nprinted:\n{printed.out}{printed.err}"


def parse_command(where: str, arguments: list[str]) -> None:
    """Check that a command that is too heavy to run takes these arguments."""
    group: Any = typer.main.get_command(cli.app)
    assert arguments, f"{where}: a command without arguments"
    assert arguments[0] in group.commands, f"{where}: there is no command {arguments[0]}"
    group.commands[arguments[0]].make_context(arguments[0], list(arguments[1:]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_everything_shown_on_a_page_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("agg")
    for name in ("data", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.left_out:
            continue
        if block.kind == "python":
            execute_python(page, block, namespace)
        elif block.kind == "console":
            for line, arguments, shown in commands_of(block):
                execute_command(f"{page.name}:{line}", arguments, shown, capsys)


def test_links_between_pages_lead_somewhere() -> None:
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
    targets = [(page, target) for page in PAGES for target in link.findall(page.read_text(encoding="utf-8"))]
    local = [(page, target) for page, target in targets if not target.startswith(("http://", "https://"))]
    assert [f"{page.name}: {target}" for page, target in local if not (page.parent / target).exists()] == []


EXAMPLE = """\
Text.

```python
x = 1
```

<!-- not executed: needs a server -->
```python
raise RuntimeError
```

```console
$ capacity instances --peak 7000 \\
    --instance-capacity 3350
shown
$ ls
```
"""


def test_blocks_are_found_with_their_kind_place_and_mark() -> None:
    first, second, third = blocks_of(EXAMPLE)
    assert (first.kind, first.lines, first.first_line, first.left_out) == ("python", ("x = 1",), 4, False)
    assert second.left_out
    arguments = ["instances", "--peak", "7000", "--instance-capacity", "3350"]
    assert list(commands_of(third)) == [(third.first_line, arguments, ["shown"])]


def test_a_line_that_the_command_does_not_print_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["instances", "--peak", "7000", "--instance-capacity", "3350"]
    with pytest.raises(AssertionError, match="prints otherwise"):
        execute_command("page:1", arguments, ["never printed"], capsys)


def test_a_heavy_command_is_parsed_but_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    execute_command("page:1", ["demo", "--quick"], ["anything"], capsys)
    with pytest.raises(Exception, match="No such option"):
        execute_command("page:1", ["demo", "--no-such-option"], [], capsys)
