"""Shapes are data: read from three kinds of file, with every problem in one error."""

import json
from pathlib import Path
from typing import Any

import pytest

from capacity.planning.constraint_inputs import InstanceLimits
from capacity.planning.shapes import InstanceShape, ShapeCapacity, read_shapes
from loadtests import Deployment, Interval
from loadtests.foundation.errors import InputError
from simulations.analysis.capacity_curve import InstanceCapacity

SMALL = InstanceShape("small", Deployment(workers=50, cpu_cores=4.0), 4_096, price_per_hour=0.2, currency="EUR")
LARGE = InstanceShape("large", Deployment(workers=100, db_pool="unlimited", cpu_cores=8.0))

TOML = """
[[shapes]]
name = "small"
workers = 50
cpu_cores = 4.0
memory_mib = 4096
price_per_hour = 0.2
currency = "EUR"
[[shapes]]
name = "large"
workers = 100
cpu_cores = 8.0
db_pool = "unlimited"
"""
CSV = """name,workers,cpu_cores,db_pool,memory_mib,price_per_hour,currency
small,50,4.0,,4096,0.2,EUR
large,100,8.0,unlimited,,,
"""
JSON = json.dumps({"shapes": [SMALL.to_dict(), LARGE.to_dict()]})


@pytest.mark.parametrize(
    ("name", "text"),
    [("s.toml", TOML), ("s.csv", CSV), ("s.json", JSON), ("s.json", json.dumps([SMALL.to_dict(), LARGE.to_dict()]))],
)
def test_shapes_are_read_from_toml_csv_and_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_shapes(tmp_path / name) == (SMALL, LARGE)


def test_all_problems_of_a_file_are_in_one_error(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "workers": 0},
        {"name": "b", "cores": 4},
        {"workers": 5},
        {"name": "c", "price_per_hour": 1},
        {"name": "d"},
        {"name": "d", "memory_mib": 4},
        {"name": "e", "memory_mib": "4"},
        7,
    ]
    (tmp_path / "s.json").write_text(json.dumps(rows))
    with pytest.raises(InputError) as caught:
        read_shapes(tmp_path / "s.json")
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip().split(":")[0] for line in lines] == [
        "shape 1 (a)", "shape 2 (b)", "shape 3 (without a name)", "shape 4 (c)", "shape 7 (e)",
        "shape 8 (without a name)", "2 shapes are named d; give each a name of its own.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("s.toml", "x = ", "not valid TOML"),
        ("s.json", "{", "not valid JSON"),
        ("s.csv", "name,workers\n", "no shapes"),
        ("s.toml", "shapes = []", "no shapes"),
        ("s.json", '{"shape": []}', "no shapes"),
        ("s.yaml", "", r"must be .toml, .json or .csv"),
        ("s.csv", "name,workers\na,1,2\n", "more cells than the header"),
        ("s.csv", "name,workers\na,many\n", "workers is 'many'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, text: str, named: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=named):
        read_shapes(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_shapes(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"name": ""}, "name is ''"),
        ({"memory_mib": 0}, "memory_mib is 0"),
        ({"price_per_hour": -1, "currency": "EUR"}, "price_per_hour is -1"),
        ({"price_per_hour": 1}, "needs both"),
        ({"currency": "EUR"}, "needs both"),
        ({"price_per_hour": 1, "currency": ""}, "currency is ''"),
        ({"price_per_hour": {}, "currency": "EUR"}, "price_per_hour has no month"),
        ({"price_per_hour": {"June": 1}, "currency": "EUR"}, "month of price_per_hour is 'June'"),
        ({"price_per_hour": {-1: 1}, "currency": "EUR"}, "month of price_per_hour is -1"),
        ({"price_per_hour": {0: -1}, "currency": "EUR"}, "price_per_hour is -1"),
        ({"price_per_hour": {0: "1"}, "currency": "EUR"}, "price_per_hour is '1'"),
        ({"capacity": 0}, "capacity is 0 to 0; it must be above 0"),
        ({"capacity": "many"}, "capacity is 'many'"),
        ({"capacity": Interval.unknown()}, "it must be above 0 and finite"),
    ],
)
def test_what_is_not_allowed_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        InstanceShape(**{"name": "a", "deployment": Deployment(), **given})


UNSURE = Interval(80, 100, 130, 0.8, "parameter")
PRICED = InstanceShape("p", Deployment(), price_per_hour={6: 0.1, 0: 0.2}, currency="EUR", capacity=UNSURE)


@pytest.mark.parametrize(
    "shape", [SMALL, LARGE, InstanceShape("o", Deployment(), price_per_hour=0, currency="EUR"), PRICED]
)
def test_the_json_form_reads_back(shape: InstanceShape) -> None:
    assert InstanceShape.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape
    carried = ShapeCapacity(shape, InstanceCapacity.assumed(5))
    assert ShapeCapacity.from_dict(json.loads(json.dumps(carried.to_dict()))) == carried


def test_a_price_holds_from_its_month_on() -> None:
    assert PRICED.price_in(0) == PRICED.price_in(5) == 0.2
    assert PRICED.price_in(6) == PRICED.price_in(99) == 0.1
    later = InstanceShape("p", Deployment(), price_per_hour={3: 0.1}, currency="EUR")
    assert (later.price_in(2), later.price_in(3), SMALL.price_in(7), LARGE.price_in(0)) == (None, 0.1, 0.2, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000", Interval.assumed(1_000.0)),
        ("{ low = 900, mid = 1000, high = 1200 }", Interval(900, 1_000, 1_200, 1.0, "assumed")),
        ("{ low = 900, mid = 1000, high = 1200, level = 0.8 }", Interval(900, 1_000, 1_200, 0.8, "parameter")),
    ],
)
def test_a_row_may_state_its_capacity_and_prices_by_month(tmp_path: Path, text: str, expected: Interval) -> None:
    prices = 'price_per_hour = { 0 = 0.2, 12 = 0.15 }\ncurrency = "EUR"'
    (tmp_path / "s.toml").write_text(f'[[shapes]]\nname = "a"\ncapacity = {text}\n{prices}\n')
    (shape,) = read_shapes(tmp_path / "s.toml")
    assert (shape.capacity, shape.price_per_hour) == (expected, {0: 0.2, 12: 0.15})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{ low = 900, mid = 1000 }", "capacity has no high; give a number, or low, mid, high"),
        ("{ low = 900, mid = 1000, high = 1200, unit = 1 }", "capacity knows no unit"),
        ("{ low = 900, mid = 800, high = 1200 }", "low <= mid <= high"),
        ("{ low = 900, mid = 1000, high = 1200, level = 2 }", "level is 2"),
        ("[1, 2]", r"capacity is \[1, 2\]"),
    ],
)
def test_a_capacity_that_is_none_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "s.toml").write_text(f'[[shapes]]\nname = "a"\ncapacity = {text}\n')
    with pytest.raises(InputError, match=named):
        read_shapes(tmp_path / "s.toml")


def test_constraints_read_a_shapes_limits() -> None:
    assert SMALL.limits == InstanceLimits(workers=50, cpu_cores=4.0, memory_mib=4_096)
