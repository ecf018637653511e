"""A load plan as options of Locust's command line.

Options stay text, checked, in Locust's parsed options: a master sends these to its workers, and only plain values
travel. What is in files (a plan, a body, a history) is read where the option is given, and travels as text too.
"""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json, to_json
from loadtests.foundation.server_access import Access, parse_header
from loadtests.foundation.units import parse_duration_s
from loadtests.load.abort import parse_abort
from loadtests.load.load_shapes import GRAMMAR, LoadShape, parse_shape, soak
from loadtests.load.pacing import parse_pacing
from loadtests.load.plan import LoadPlan, parse_think
from loadtests.load.planned_requests import (
    DEFAULT_REQUESTS,
    MIXES,
    format_request,
    named_mix,
    parse_request,
)


def add_plan_options(parser: Any) -> None:
    """Add the plan's options to Locust's command line.

    Parameters
    ----------
    parser : locust.argument_parser.LocustArgumentParser
    """
    group = parser.add_argument_group("Load plan")
    for name, kind, default, text in (
        ("--plan", _plan_text, None, "JSON file with the whole plan; the options below then have no effect"),
        ("--directions", str, None, "JSON file that asks for levels of users while the test runs, instead of a shape"),
        ("--shape", _shape_text, None, f"instead of --users and --run-time: {GRAMMAR}"),
        ("--step-users", _levels, None, "levels of users, one step each, e.g. 5,10,20: the same as --shape steps"),
        ("--step-time", _checked(parse_duration_s), "30s", "length of a step, e.g. 30s"),
        ("--hold-time", _checked(parse_duration_s), "0s", "how long the last level's users go on after its end"),
        ("--think", _checked(parse_think), "exponential:1s", "time between response and next request, a distribution"),
        (
            "--pacing",
            _checked(parse_pacing),
            "think",
            "think; or poisson:RATE, constant:RATE, sessions:RATE:REQUESTS: requests a second of each user",
        ),
        ("--mix", _checked(named_mix), None, f"a named mix of requests: {', '.join(MIXES)}"),
        ("--request-timeout", _checked(parse_duration_s), "30s", "longest wait for a response"),
        ("--ca", _file, None, "PEM file of the authorities that sign the server's certificate"),
        ("--cert", _file, None, "client certificate, PEM"),
        ("--key", _file, None, "its key, where it is in another file"),
        ("--seed", int, 1, "seed of think times, schedules and of the mix"),
    ):
        group.add_argument(name, type=kind, default=default, help=text.replace("%", "%%"))
    group.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    _add_repeatable(group)


def _add_repeatable(group: Any) -> None:
    defaults = ", ".join(map(format_request, DEFAULT_REQUESTS))
    for name, kind, text in (
        ("--request", _request_text, f"'METHOD /path weight body', body: text or @FILE (default: {defaults})"),
        ("--header", _checked(parse_header), "'NAME: env:VARIABLE', or 'NAME: value', which is no secret"),
        ("--abort-if", _checked(parse_abort), "'error-rate>5%', 'shed-rate>50%' or 'p95>2s': ends the test"),
    ):
        group.add_argument(name, type=kind, action="append", help=f"{text}; may be repeated".replace("%", "%%"))


def has_schedule(options: Any) -> bool:
    """Whether the options of a Locust process are those of a plan whose requests are due on a schedule.

    Parameters
    ----------
    options : argparse.Namespace

    Returns
    -------
    bool
        False also where the options are of somebody else's locustfile.
    """
    if getattr(options, "plan", None) and hasattr(options, "abort_if"):
        return plan_of(options).pacing.is_scheduled
    return hasattr(options, "abort_if") and parse_pacing(getattr(options, "pacing", "think")).is_scheduled


def plan_of(options: Any) -> LoadPlan:
    """The plan that options describe.

    Parameters
    ----------
    options : argparse.Namespace

    Returns
    -------
    LoadPlan
        Without a shape of its own (`shape_of` says so) it is a soak of Locust's ``--users`` for its ``--run-time``, as
        far as these are given (else one user, one second).
    """
    if options.plan:
        return _plan(options.plan)
    return _plan_from_words(json.dumps({name: getattr(options, name, None) for name in _NAMES}))


_NAMES = (
    "shape", "step_users", "step_time", "think", "pacing", "mix", "request", "request_timeout", "ca", "cert", "key",
    "seed", "insecure", "header", "abort_if", "spawn_rate", "num_users", "run_time",
)  # fmt: skip


@lru_cache(maxsize=4)
def _plan(text: str) -> LoadPlan:
    return LoadPlan.from_dict(json.loads(text))


@lru_cache(maxsize=4)
def _plan_from_words(text: str) -> LoadPlan:
    words: dict[str, Any] = json.loads(text)
    requests = [parse_request(item) for item in words["request"] or ()]
    return LoadPlan(
        think=parse_think(words["think"]),
        requests=tuple(requests) or (named_mix(words["mix"]) if words["mix"] else DEFAULT_REQUESTS),
        seed=words["seed"],
        request_timeout_s=parse_duration_s(words["request_timeout"]),
        spawn_rate=words["spawn_rate"],
        **_levels_of(words),
        pacing=parse_pacing(words["pacing"]),
        access=_access(words),
        abort_if=tuple(parse_abort(item) for item in words["abort_if"] or ()),
    )


def shape_of(options: Any) -> LoadShape | None:
    """The shape that options ask for; None where Locust's own ``--users`` and ``--run-time`` hold.

    Parameters
    ----------
    options : argparse.Namespace

    Returns
    -------
    LoadShape or None
    """
    return plan_of(options).load_shape if options.plan or options.shape or options.step_users else None


def _levels_of(words: dict[str, Any]) -> dict[str, Any]:
    """The plan's shape, or its users and the length of their steps."""
    if words["shape"]:
        return {"shape": LoadShape.from_dict(json.loads(words["shape"]))}
    if words["step_users"]:
        users = tuple(int(part) for part in words["step_users"].split(","))
        return {"users": users, "step_time_s": parse_duration_s(words["step_time"])}
    return {"shape": soak(words["num_users"] or 1, parse_duration_s(words["run_time"] or 1.0))}


def _access(words: dict[str, Any]) -> Access:
    paths = {"certificate": words["cert"], "ca": words["ca"], "key": words["key"]}
    headers = tuple(parse_header(item) for item in words["header"] or ())
    return Access(headers, is_insecure=bool(words["insecure"]), **{n: Path(p) for n, p in paths.items() if p})


def _explained(read: Callable[[str], str]) -> Callable[[str], str]:
    @wraps(read)
    def argument(text: str) -> str:
        try:
            return read(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return argument


def _checked(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """Keep an option's text when it can be read."""

    def read(text: str) -> str:
        parse(text)
        return text

    return _explained(read)


@_explained
def _plan_text(path: str) -> str:
    plan = read_json(path, "load plan")
    LoadPlan.from_dict(plan)
    return to_json(plan)


@_explained
def _shape_text(text: str) -> str:
    return json.dumps(parse_shape(text).to_dict())


@_explained
def _request_text(text: str) -> str:
    return format_request(parse_request(text))


@_explained
def _file(path: str) -> str:
    if not Path(path).is_file():
        raise InputError(f"The file {path} does not exist.")
    return str(Path(path).absolute())


@_explained
def _levels(text: str) -> str:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or min(levels) < 1:
        raise InputError(f"{text!r} is not a list of users; write whole numbers from 1, e.g. 5,10,20")
    return text
