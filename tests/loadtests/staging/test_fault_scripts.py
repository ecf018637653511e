"""The grammar of faults: what is read, what is refused."""

import json
import math

import pytest

from loadtests import Deployment, Fault, StagingOptions, parse_fault, read_fault_script
from loadtests.foundation.errors import InputError

TEXTS = {
    "stall:5s:2s": Fault("stall", 5.0, 2.0, "loop"),
    "stall:0:500ms:workers": Fault("stall", 0.0, 0.5, "workers"),
    "slow-database:1m:30s:5": Fault("slow-database", 60.0, 30.0, 5.0),
    "slow-start:0:10s:2.5": Fault("slow-start", 0.0, 10.0, 2.5),
    "reset:0:forever:1%": Fault("reset", 0.0, math.inf, 0.01),
    "error:2:3:0.5": Fault("error", 2.0, 3.0, 0.5),
    "rate-limit:0:forever:100": Fault("rate-limit", 0.0, math.inf, 100.0),
    "forgetful-gate:0:forever:60s": Fault("forgetful-gate", 0.0, math.inf, 60.0),
    "crash:30s": Fault("crash", 30.0),
}


@pytest.mark.parametrize(("text", "fault"), TEXTS.items())
def test_a_text_says_what_happens_and_can_be_written_again(text, fault):
    assert parse_fault(text) == fault
    assert parse_fault(fault.text()) == fault


@pytest.mark.parametrize(
    "text",
    [
        "", "crash", "crash:1s:2s", "crash:-1s", "quake:1s:2s", "stall:1s", "stall:1s:0s", "stall:1s:-2s",
        "stall:1s:2s:disk", "stall:0:forever", "stall:1s:nan", "stall:x:2s", "slow-database:1s:2s",
        "slow-database:1s:2s:0", "slow-database:1s:2s:x", "slow-start:1s:2s:-1", "reset:0:1s:1.5", "reset:0:1s:-10%",
        "error:0:1s:nan", "rate-limit:0:1s:0", "rate-limit:0:1s:inf", "forgetful-gate:0:1s:0", "reset:0:1s:0.5:7",
    ],
)  # fmt: skip
def test_what_does_not_fit_the_grammar_is_refused_with_the_reason(text):
    with pytest.raises(InputError, match=r"must|write|needs|nothing else"):
        parse_fault(text)


def test_all_problems_of_a_script_are_in_one_error(tmp_path):
    path = tmp_path / "faults.json"
    path.write_text(json.dumps({"faults": ["stall:5s:2s", "quake:1s", {"kind": "crash"}, "reset:0:1s:2"]}))
    with pytest.raises(InputError) as refused:
        read_fault_script(path)
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"faults": "stall:1s:2s"}', '{"faults": [], "typo": 1}', "not json", '{"faults": [7]}']
)
def test_a_file_that_is_no_script_is_refused(tmp_path, content):
    path = tmp_path / "faults.json"
    path.write_text(content)
    with pytest.raises(InputError, match="fault"):
        read_fault_script(path)


def test_a_script_holds_texts_and_objects(tmp_path):
    path = tmp_path / "faults.json"
    item = {"kind": "error", "at_s": 1, "duration_s": "forever", "value": 0.5}
    path.write_text(json.dumps({"schema_version": 1, "faults": ["stall:5s:2s", item]}))
    assert read_fault_script(path) == (parse_fault("stall:5s:2s"), parse_fault("error:1s:forever:0.5"))


def test_options_keep_their_faults_through_json(tmp_path):
    options = StagingOptions(
        Deployment(workers=3), cpu_time="exponential:5ms", faults=tuple(TEXTS), fault_log=tmp_path / "faults.csv"
    )
    assert StagingOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize("bad", [{"cpu_time": "slow"}, {"faults": ["quake:1s:1s"]}])
def test_options_that_cannot_be_read_are_refused(bad):
    with pytest.raises(InputError):
        StagingOptions(**bad)
