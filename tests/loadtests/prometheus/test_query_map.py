"""The query map file: defaults, forms, and everything that is wrong in it at once."""

import json

import pytest

from loadtests import QueryMap, read_query_map
from loadtests.foundation.errors import InputError


def test_the_defaults_are_the_staging_server_s_names():
    names = QueryMap()
    assert names.requests.startswith("http_requests_total{")
    assert names.duration_sum == names.duration_buckets.replace("_bucket", "_sum")
    gauges = ["in_flight", "workers_busy", "queue_length", "db_in_use", "cpu_seconds", "resident_bytes"]
    assert list(names.gauges) == gauges


def test_json_and_toml_say_the_same(tmp_path):
    given = {"requests": 'http_total{job="shop"}', "status_label": "code", "gauges": {"in_flight": "sum(inside)"}}
    (tmp_path / "map.json").write_text(json.dumps(given))
    (tmp_path / "map.toml").write_text(
        'requests = \'http_total{job="shop"}\'\nstatus_label = "code"\n[gauges]\nin_flight = "sum(inside)"\n'
    )
    read = read_query_map(tmp_path / "map.toml")
    assert read == read_query_map(tmp_path / "map.json")
    assert read == QueryMap(**given)
    assert QueryMap.from_dict(json.loads(json.dumps(read.to_dict()))) == read


def test_null_means_that_there_is_no_such_series():
    names = QueryMap.from_dict({"duration_buckets": None, "process_start": None, "gauges": None})
    assert (names.duration_buckets, names.duration_sum, names.process_start, names.gauges) == ("", "", "", {})


@pytest.mark.parametrize("selector", ['a{b=~"x{1,3}|y\\"}"}', "a", ' ns:a_total { b = "c" } ', "a{b='{'}"])
def test_selectors_may_hold_any_text_in_their_values(selector):
    assert QueryMap(requests=selector).requests == selector


def test_everything_wrong_is_in_one_error():
    with pytest.raises(InputError) as error:
        QueryMap(
            requests="rate(a[1m])", status_label="no label", duration_buckets="seconds_count", duration_unit_s=0,
            gauges={"Bad Name": "a", "time_s": "b", "empty": " "}, target_labels=("9",),
        )  # fmt: skip
    said = str(error.value)
    for part in (
        "rate(a[1m])", "'no label'", "seconds_count", "duration_unit_s", "'Bad Name'", "'time_s'", "'empty'", "'9'",
    ):  # fmt: skip
        assert part in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"request": "a"}, "no request; allowed are requests"),
        ({"requests": ""}, "must be a selector"),
        ({"requests": 5}, "must be text"),
        ({"gauges": ["a"]}, "must be an object"),
        ({"target_labels": "job"}, "must be a list"),
        ({"duration_unit_s": "1ms"}, "without quotes"),
    ],
)
def test_each_wrong_form_says_what_is_allowed(given, said):
    with pytest.raises(InputError, match=said):
        QueryMap.from_dict(given)


@pytest.mark.parametrize(("name", "text"), [("map.toml", "a = "), ("map.json", "{"), ("map.json", "[]")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="query map"):
        read_query_map(tmp_path / name)


@pytest.mark.parametrize("name", ["gone.json", "gone.toml"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(InputError, match=name):
        read_query_map(tmp_path / name)
