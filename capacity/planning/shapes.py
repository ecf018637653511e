"""Instance shapes as data: the limits of one instance of each kind, its memory and its price."""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from capacity.planning.constraint_inputs import InstanceLimits
from capacity.planning.fleet_rules import kept
from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from simulations.analysis.capacity_curve import InstanceCapacity

_LIMITS = tuple(item.name for item in fields(Deployment))
_OWN = ("name", "capacity", "memory_mib", "memory_base_mib", "network_mbps", "price_per_hour", "currency")
_POSITIVE = ("memory_mib", "network_mbps")
_ENDS = ("low", "mid", "high")
Price = int | float | Mapping[int, int | float]


@dataclass(frozen=True)
class InstanceShape:
    """A kind of instance that can be bought or configured.

    Parameters
    ----------
    name : str
    deployment : Deployment
        Its limits: gate, workers, pool, cores.
    memory_mib : number, optional
        Memory that one instance has, MiB.
    memory_base_mib : number, default 0
        Of it, what an idle instance takes.
    network_mbps : number, optional
        Megabits a second.
    price_per_hour : number or mapping of int to number, optional
        Of one running instance; 0 for one that is paid for already. A mapping gives prices by the month from which they
        hold (``{0: 0.20, 12: 0.15}``). None: not known.
    currency : str, optional
        Of the price, such as ``EUR``; needed with a price.
    capacity : Interval or number, optional
        Load of one instance, above 0, where somebody states it: in the quantity of the growth, used where no model and
        nobody else gives one.

    Raises
    ------
    InputError
        For an empty name, a number out of range, and a price without a currency.
    """

    name: str
    deployment: Deployment
    memory_mib: int | float | None = None
    memory_base_mib: int | float = 0
    network_mbps: int | float | None = None
    price_per_hour: Price | None = None
    currency: str | None = None
    capacity: Interval | float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError(f"A shape's name is {self.name!r}; it must be text such as large.")
        for name in (*_POSITIVE, "memory_base_mib"):
            self._keep(name)
        if self.price_per_hour is not None:
            object.__setattr__(self, "price_per_hour", _checked_price(self.price_per_hour))
        if self.capacity is not None:
            object.__setattr__(self, "capacity", _checked_capacity(self.capacity))
        if self.currency is not None and (not isinstance(self.currency, str) or not self.currency.strip()):
            raise InputError(f"currency is {self.currency!r}; it must be text such as EUR.")
        if (self.price_per_hour is None) != (self.currency is None):
            given = f"price_per_hour {self.price_per_hour} and currency {self.currency}"
            raise InputError(f"{given}; a price needs both.")

    def _keep(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        object.__setattr__(self, name, kept(name, value))
        if name in _POSITIVE and value == 0:
            raise InputError(f"{name} is 0; it must be above 0. Leave out what is not known.")

    def price_in(self, month: int) -> int | float | None:
        """Price per hour in a month; None where none is stated for it."""
        given = self.price_per_hour
        if not isinstance(given, Mapping):
            return given
        return next((price for start, price in reversed(list(given.items())) if start <= month), None)

    @property
    def stated_capacity(self) -> Interval | None:
        """The capacity that somebody states, as an interval."""
        return self.capacity if isinstance(self.capacity, Interval) else None

    @property
    def limits(self) -> InstanceLimits:
        """Its limits as constraints read them, without a normal capacity."""
        others = {name: getattr(self, name) for name in ("memory_mib", "memory_base_mib", "network_mbps")}
        stated = {name: value for name, value in others.items() if value is not None}
        return InstanceLimits.of_deployment(self.deployment, **stated)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: one flat object, without what is not stated."""
        own = {name: getattr(self, name) for name in _OWN}
        stated = {name: value for name, value in own.items() if value is not None and value != 0}
        if isinstance(self.price_per_hour, Mapping):
            stated["price_per_hour"] = {str(start): price for start, price in self.price_per_hour.items()}
        elif self.price_per_hour is not None:
            stated["price_per_hour"] = self.price_per_hour
        if self.stated_capacity is not None:
            stated["capacity"] = self.stated_capacity.to_dict()
        return {**stated, **self.deployment.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InstanceShape:
        """Read `to_dict`'s form.

        Raises
        ------
        InputError
            For what is no object, an unknown key (with the known ones), or a value out of range.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"A shape is given as {data!r}; it must be an object with named values.")
        unknown = sorted(map(str, set(data) - {*_OWN, *_LIMITS}))
        if unknown:
            raise InputError(f"no {', '.join(unknown)} is known; allowed are {', '.join(sorted((*_OWN, *_LIMITS)))}.")
        own = {name: data[name] for name in _OWN if name in data and name != "name"}
        if isinstance(own.get("capacity"), Mapping):
            own["capacity"] = _read_capacity(own["capacity"])
        limits = {name: data[name] for name in _LIMITS if name in data}
        return cls(data.get("name", ""), Deployment.from_dict(limits), **own)


def _checked_price(value: Any) -> int | float | dict[int, int | float]:
    if not isinstance(value, Mapping):
        return kept("price_per_hour", value)
    if not value:
        raise InputError("price_per_hour has no month; give a price by the month from which it holds, such as 0: 0.20.")
    found = {_first_month(start): kept("price_per_hour", price) for start, price in value.items()}
    return dict(sorted(found.items()))


def _first_month(value: Any) -> int:
    """A month, which JSON and TOML write as text."""
    is_text = isinstance(value, str) and value.isascii() and value.isdigit()
    return whole("month of price_per_hour", int(value) if is_text else value)


def _checked_capacity(value: Any) -> Interval:
    found = value if isinstance(value, Interval) else Interval.assumed(kept("capacity", value))
    if not 0 < found.low <= found.high < math.inf:
        raise InputError(f"capacity is {found.low:g} to {found.high:g}; it must be above 0 and finite.")
    return found


def _read_capacity(data: Mapping[str, Any]) -> Interval:
    """Low, mid and high; without a level nobody claims a probability."""
    unknown, missing = sorted(set(data) - {*_ENDS, "level", "kind"}), [name for name in _ENDS if name not in data]
    if unknown or missing:
        listed = f"has no {', '.join(missing)}" if missing else f"knows no {', '.join(unknown)}"
        raise InputError(f"capacity {listed}; give a number, or low, mid, high and, if it is known, level.")
    low, mid, high = (float(kept(f"capacity {name}", data[name])) for name in _ENDS)
    level = float(exact("capacity level", data.get("level", 1)))
    return Interval(low, mid, high, level, data.get("kind", "parameter" if level < 1 else "assumed"))


@dataclass(frozen=True)
class ShapeCapacity:
    """What one instance of a shape carries. Made by `capacity_of_shape`.

    Parameters
    ----------
    shape : InstanceShape
    capacity : InstanceCapacity, optional
        None: it carries nothing, or nothing that the evidence supports.
    findings : tuple of Finding
        What a reader must know, such as a claim that no resource supports.
    reason : str
        Why there is no capacity.
    """

    shape: InstanceShape
    capacity: InstanceCapacity | None
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "shape": self.shape.to_dict(), "capacity": None if self.capacity is None else self.capacity.to_dict(),
            "findings": [item.to_dict() for item in self.findings], "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ShapeCapacity:
        """Read what `to_dict` wrote."""
        return cls(
            InstanceShape.from_dict(data["shape"]),
            None if data["capacity"] is None else InstanceCapacity.from_dict(data["capacity"]),
            tuple(Finding.from_dict(item) for item in data["findings"]), data["reason"],
        )  # fmt: skip


def read_shapes(path: str | Path) -> tuple[InstanceShape, ...]:
    """Read shapes from TOML, JSON or CSV, by the file's ending.

    Parameters
    ----------
    path : str or Path
        TOML: tables ``[[shapes]]``. JSON: a list of objects, or an object with a list `shapes`. CSV: a header and
        one row a shape; an empty cell is not stated. The keys are the fields of `Deployment` and of `InstanceShape`.

    Returns
    -------
    tuple of InstanceShape
        In the order of the file.

    Raises
    ------
    InputError
        When the file cannot be read or has no shapes; all problems of all shapes in one error.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"The shapes file {path} does not exist; give the path of a TOML, JSON or CSV file.")
    readers = {".toml": _toml_rows, ".csv": _csv_rows, ".json": _json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"The shapes file {path} ends in {path.suffix!r}; it must be .toml, .json or .csv.")
    try:
        rows = reader(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The shapes file {path} is not valid {path.suffix[1:].upper()} ({error}).") from None
    return _shapes(path, rows)


def _shapes(path: Path, rows: Any) -> tuple[InstanceShape, ...]:
    if not isinstance(rows, list) or not rows:
        raise InputError(f"The shapes file {path} has no shapes; give at least one with a name.")
    problems, shapes = [], []
    for number, row in enumerate(rows, 1):
        try:
            shapes.append(InstanceShape.from_dict(row))
        except InputError as error:
            name = row.get("name", "without a name") if isinstance(row, Mapping) else "without a name"
            problems.append(f"shape {number} ({name}): {error}")
    problems += repeated_names(shapes)
    if problems:
        raise InputError(f"The shapes file {path} has problems:\n  " + "\n  ".join(problems))
    return tuple(shapes)


def repeated_names(shapes: Sequence[InstanceShape]) -> list[str]:
    """One problem for each name that several shapes have."""
    names = [shape.name for shape in shapes]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return [f"{names.count(name)} shapes are named {name}; give each a name of its own." for name in repeated]


def _toml_rows(text: str) -> Any:
    return tomllib.loads(text).get("shapes")


def _json_rows(text: str) -> Any:
    document = json.loads(text)
    return document.get("shapes") if isinstance(document, dict) else document


def _csv_rows(text: str) -> list[dict[str, Any]]:
    rows = csv.DictReader(text.splitlines(), restkey="more cells than the header", strict=True)
    return [{name: _cell(name, cell) for name, cell in row.items() if cell not in (None, "")} for row in rows]


def _cell(name: str, text: Any) -> Any:
    """A number where the column counts something and the text is one; else the text, to be refused with its name."""
    if name in ("name", "currency") or text == UNLIMITED or not isinstance(text, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
