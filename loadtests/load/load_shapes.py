"""Load shapes as data: how many users are asked for, and when.

A shape is a sequence of stretches. In a stretch users are constant, or go from one number to another in a straight
line. Constant stretches that are meant to be measured are plateaus; the rest is passed through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import parse_duration_s
from loadtests.load.traffic_history import TrafficHistory, read_traffic_history

SHORTEST_PLATEAU_S = 5.0
"""A level of a replayed history counts as a plateau from this length on: the shortest settling time is 1 s of it."""

SHORTEST_CHANGE_S = 2.0
"""Locust changes its users once a second, so levels of a replayed history have to last at least twice that."""

MOST_LEVELS = 100
GRAMMAR = (
    "steps:USERS,USERS,...:TIME, ramp:FROM:TO:TIME, spike:BASE:PEAK:TIME, soak:USERS:TIME, "
    "breakpoint:FROM:BY:EVERY[:MOST], replay:FILE:PEAK:SPEED, or several of them joined by +"
)
_JOINT = re.compile(r"\+(?=(?:steps|ramp|spike|soak|breakpoint|replay):)")


@dataclass(frozen=True)
class Stretch:
    """A part of a shape.

    Parameters
    ----------
    seconds : float
    begin_users, end_users : int
        Users at its begin and at its end, in a straight line between; 0 is allowed where it is no plateau.
    is_plateau : bool
        Whether its users are constant, and are to be measured.
    """

    seconds: float
    begin_users: int
    end_users: int
    is_plateau: bool = False

    def __post_init__(self) -> None:
        positive("length of a stretch", self.seconds)
        for users in (self.begin_users, self.end_users):
            whole("users", users, least=1 if self.is_plateau else 0)
        if self.is_plateau and self.begin_users != self.end_users:
            raise InputError(
                f"A plateau goes from {self.begin_users} to {self.end_users} users; they must be constant."
            )

    def users_after(self, seconds: float) -> int:
        """Users at a time after its begin (at its end when later), rounded.

        Parameters
        ----------
        seconds : float

        Returns
        -------
        int
        """
        share = min(max(seconds / self.seconds, 0.0), 1.0)
        return round(self.begin_users + share * (self.end_users - self.begin_users))


@dataclass(frozen=True)
class LoadShape:
    """A named sequence of stretches.

    Parameters
    ----------
    text : str
        As `parse_shape` reads it.
    stretches : tuple of Stretch
    is_sought_limit : bool
        Whether running into an abort condition is what it is for.
    is_endless : bool
        Whether it rises without a stated end (after `MOST_LEVELS` it ends all the same).

    Raises
    ------
    InputError
        When it has no stretch, or only stretches without users.
    """

    text: str
    stretches: tuple[Stretch, ...]
    is_sought_limit: bool = False
    is_endless: bool = False

    def __post_init__(self) -> None:
        if not any(max(item.begin_users, item.end_users) for item in self.stretches):
            raise InputError(f"The shape {self.text!r} asks for no users; it needs a stretch with at least one.")

    @property
    def duration_s(self) -> float:
        """Length of all stretches, seconds."""
        return sum(item.seconds for item in self.stretches)

    @property
    def plateaus(self) -> tuple[Stretch, ...]:
        """Those that are meant to be measured."""
        return tuple(item for item in self.stretches if item.is_plateau)

    def users_at(self, seconds: float) -> int:
        """Users asked for at a time after the begin; at the last stretch's end when later.

        Parameters
        ----------
        seconds : float

        Returns
        -------
        int
        """
        begin_s = 0.0
        for item in self.stretches:
            if seconds < begin_s + item.seconds:
                return item.users_after(seconds - begin_s)
            begin_s += item.seconds
        return self.stretches[-1].end_users

    def to_dict(self) -> dict[str, Any]:
        """JSON form; a stretch is [seconds, begin_users, end_users, is_plateau]."""
        rows = [[item.seconds, item.begin_users, item.end_users, item.is_plateau] for item in self.stretches]
        kinds = {"is_sought_limit": self.is_sought_limit, "is_endless": self.is_endless}
        return {"text": self.text, "stretches": rows, **kinds}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoadShape:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        LoadShape
        """
        stretches = tuple(Stretch(float(row[0]), row[1], row[2], bool(row[3])) for row in data["stretches"])
        return cls(data["text"], stretches, bool(data["is_sought_limit"]), bool(data["is_endless"]))


def steps(users: Sequence[int], step_time_s: float) -> LoadShape:
    """Levels of users, each for the same time.

    Parameters
    ----------
    users : sequence of int
    step_time_s : float

    Returns
    -------
    LoadShape
    """
    levels = [whole("users", level, least=1) for level in users]
    text = f"steps:{','.join(map(str, levels))}:{step_time_s:g}s"
    return LoadShape(text, tuple(_plateau(level, step_time_s) for level in levels))


def ramp(begin_users: int, end_users: int, time_s: float) -> LoadShape:
    """Users in a straight line; no plateau.

    Parameters
    ----------
    begin_users, end_users : int
        0 or more.
    time_s : float

    Returns
    -------
    LoadShape
    """
    return LoadShape(f"ramp:{begin_users}:{end_users}:{time_s:g}s", (Stretch(time_s, begin_users, end_users),))


def spike(base_users: int, peak_users: int, time_s: float) -> LoadShape:
    """A base, a sudden peak, and the base again, each for `time_s`; three plateaus.

    Parameters
    ----------
    base_users, peak_users : int
    time_s : float

    Returns
    -------
    LoadShape
    """
    levels = (base_users, peak_users, base_users)
    return LoadShape(f"spike:{base_users}:{peak_users}:{time_s:g}s", tuple(_plateau(level, time_s) for level in levels))


def soak(users: int, time_s: float) -> LoadShape:
    """One level for a long time.

    Parameters
    ----------
    users : int
    time_s : float

    Returns
    -------
    LoadShape
    """
    return LoadShape(f"soak:{users}:{time_s:g}s", (_plateau(users, time_s),))


def breakpoint_search(begin_users: int, by_users: int, every_s: float, most_users: int | None = None) -> LoadShape:
    """Levels that rise until the test is aborted, or to a limit.

    Parameters
    ----------
    begin_users, by_users : int
        First level, and how much each is above the one before.
    every_s : float
        Length of a level.
    most_users : int, optional
        Last level at most. Absent: a hundred levels, and the plan needs an abort condition.

    Returns
    -------
    LoadShape
    """
    by_users = whole("by_users", by_users, least=1)
    last = whole("begin_users", begin_users, least=1) + (MOST_LEVELS - 1) * by_users
    if most_users is not None:
        last = min(last, whole("most_users", most_users, least=begin_users))
    limit = "" if most_users is None else f":{most_users}"
    levels = range(begin_users, last + 1, by_users)
    text = f"breakpoint:{begin_users}:{by_users}:{every_s:g}s{limit}"
    return LoadShape(text, tuple(_plateau(level, every_s) for level in levels), True, most_users is None)


def replay(history: TrafficHistory, peak_users: int, speed: float, *, name: str = "history") -> LoadShape:
    """A traffic history in fewer users and less time.

    Parameters
    ----------
    history : TrafficHistory
    peak_users : int
        Users at the history's largest value; the others in proportion, rounded.
    speed : float
        The factor by which time is compressed.
    name : str
        For the shape's text.

    Returns
    -------
    LoadShape
        Neighbours of equal users are one stretch; a plateau where it lasts `SHORTEST_PLATEAU_S` and has users.

    Raises
    ------
    InputError
        When an interval would be shorter than `SHORTEST_CHANGE_S`; with the largest speed that is possible.
    """
    peak_users, speed = whole("peak_users", peak_users, least=1), positive("speed", speed)
    shortest_s = min(history.lengths_s)
    if shortest_s / speed < SHORTEST_CHANGE_S:
        raise InputError(
            f"At {speed:g} times its speed the history's shortest interval of {shortest_s:g} s lasts "
            f"{shortest_s / speed:.3g} s, and a load generator changes its users once a second; a speed of at most "
            f"{shortest_s / SHORTEST_CHANGE_S:g} is possible (or give the history in longer intervals)."
        )
    scale = peak_users / max(history.values)
    levels = [
        (round(value * scale), length / speed) for value, length in zip(history.values, history.lengths_s, strict=True)
    ]
    merged = [(users, sum(length for _, length in run)) for users, run in groupby(levels, key=lambda level: level[0])]
    stretches = (Stretch(length, users, users, users > 0 and length >= SHORTEST_PLATEAU_S) for users, length in merged)
    return LoadShape(f"replay:{name}:{peak_users}:{speed:g}", tuple(stretches))


def joined(shapes: Sequence[LoadShape]) -> LoadShape:
    """One shape after the other.

    Parameters
    ----------
    shapes : sequence of LoadShape

    Returns
    -------
    LoadShape
    """
    stretches = tuple(item for shape in shapes for item in shape.stretches)
    is_sought_limit, is_endless = (
        any(getattr(item, name) for item in shapes) for name in ("is_sought_limit", "is_endless")
    )
    return LoadShape("+".join(item.text for item in shapes), stretches, is_sought_limit, is_endless)


def parse_shape(text: str) -> LoadShape:
    """Read a shape's text.

    Parameters
    ----------
    text : str
        ``steps:5,10,20:30s``, ``ramp:FROM:TO:TIME``, ``spike:BASE:PEAK:TIME``, ``soak:USERS:TIME``,
        ``breakpoint:FROM:BY:EVERY[:MOST]``, ``replay:FILE:PEAK:SPEED``, or several joined by ``+``.

    Returns
    -------
    LoadShape

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    shapes = [_single(part.strip()) for part in _JOINT.split(text)]
    return shapes[0] if len(shapes) == 1 else joined(shapes)


def _single(text: str) -> LoadShape:
    kind, _, rest = text.partition(":")
    readers: dict[str, Callable[[list[str]], LoadShape]] = {
        "steps": lambda words: steps([_users(word) for word in words[0].split(",")], _time_s(words[1])),
        "ramp": lambda words: ramp(_users(words[0]), _users(words[1]), _time_s(words[2])),
        "spike": lambda words: spike(_users(words[0]), _users(words[1]), _time_s(words[2])),
        "soak": lambda words: soak(_users(words[0]), _time_s(words[1])),
        "breakpoint": lambda words: breakpoint_search(
            _users(words[0]), _users(words[1]), _time_s(words[2]), *map(_users, words[3:])
        ),
        "replay": lambda words: replay(
            read_traffic_history(words[0]), _users(words[1]), _factor(words[2]), name=Path(words[0]).name
        ),
    }
    counts = {"steps": (2,), "ramp": (3,), "spike": (3,), "soak": (2,), "breakpoint": (3, 4), "replay": (3,)}
    words = rest.rsplit(":", 2) if kind == "replay" else rest.split(":")
    if kind not in readers or len(words) not in counts[kind]:
        raise InputError(f"The shape {text!r} is not known; write {GRAMMAR}, for example ramp:1:50:60s+soak:50:5m.")
    try:
        return readers[kind](words)
    except ValueError as error:
        raise InputError(f"The shape {text!r} cannot be used: {error}") from None


def _plateau(users: int, seconds: float) -> Stretch:
    return Stretch(seconds, users, users, is_plateau=True)


def _users(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 7):
        raise InputError(f"users are {word!r}; they must be a whole number below ten million.")
    return int(word)


def _time_s(word: str) -> float:
    return positive("time", parse_duration_s(word, "time"))


def _factor(word: str) -> float:
    try:
        return positive("speed", float(word.removesuffix("x")))
    except ValueError:
        raise InputError(f"the speed is {word!r}; it must be a number above 0, for example 60.") from None
