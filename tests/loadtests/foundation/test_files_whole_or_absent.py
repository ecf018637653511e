import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json, read_json_list, replacing, sha256, write_json, write_text


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_text(tmp_path / "notes.txt", "old")

    def fail():
        with replacing(path) as partial:
            partial.write_text("new, but half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "notes.txt", "old")
    script = (
        "import os, pathlib, signal, sys\n"
        "from loadtests.foundation.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('new, but half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    assert path.read_text() == "old"


def test_json_has_null_for_what_is_no_number(tmp_path):
    path = write_json(tmp_path / "deep" / "a.json", {"a": math.nan, "b": [math.inf, np.float64(1.5)], "c": np.int64(3)})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 1.5], "c": 3}
    assert read_json(path)["c"] == 3
    assert len(sha256(path)) == 64


@pytest.mark.parametrize(
    ("content", "said"), [("{", "not valid JSON"), ("[1]", "must hold a JSON object"), (b"\xff", "not valid")]
)
def test_a_file_that_is_no_json_object_is_refused_with_its_name(tmp_path, content, said):
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=f"growth file .*bad.json .*{said}"):
        read_json(path, "growth file")


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_json_list(tmp_path / "none.json")


def test_a_name_given_twice_in_an_object_is_refused(tmp_path: Path) -> None:
    """Python's reader keeps the last in silence."""
    path = tmp_path / "policy.json"
    path.write_text('{"target": 0.6, "inner": {"max": 3, "max": 4}}')
    with pytest.raises(InputError, match=r"policy\.json gives max twice in one object"):
        read_json(path, "policy file")
