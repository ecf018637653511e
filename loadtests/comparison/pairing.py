"""Which steps of two recordings can be compared, and what stands between the recordings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.recording import LoadStep, Recording

_GAPS_DIFFER, _MIX_DIFFERS = 0.05, 0.03
"""Differences of load that are told: of mean gaps beyond 3 standard errors of exponential ones, and of shares."""
_ONE_MOMENT_S = 1e-6
_SEEN = 0.01
"""A kind of request with a smaller share may be missing by chance."""


@dataclass(frozen=True)
class StepPair:
    """Steps of A and of B with the same users and the same think time; several on a side are repeats."""

    users: int
    a: tuple[LoadStep, ...]
    b: tuple[LoadStep, ...]


def pair_steps(a: Recording, b: Recording) -> tuple[StepPair, ...]:
    """Pair the steps of two recordings by users and think time, in ascending order of users.

    Parameters
    ----------
    a, b : Recording

    Returns
    -------
    tuple of StepPair

    Raises
    ------
    InputError
        With every reason for which the two cannot be compared: a refused recording, no level in common, different
        think times, different kinds of request, the same recording twice.
    """
    pairs = tuple(_pairs(a, b))
    problems = [*_refused("A", a), *_refused("B", b)]
    if not pairs:
        problems.append(_no_pair(a, b))
    else:
        problems += [*_other_requests(a, b), *_same_recording(a, b, pairs)]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"The two recordings cannot be compared:\n{listed}")
    return pairs


def comparability_findings(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> tuple[Finding, ...]:
    """What differs between the recordings besides the release, and what is left out."""
    return (
        *_trust("A", a), *_trust("B", b), *_changed_limits(a, b), *_left_out(a, b, pairs), *_other_gaps(pairs),
        *_other_mix(a, b, pairs), *_repeats(a, b, pairs), *_partly_shared(a, b, pairs),
    )  # fmt: skip


def is_one_run(recording: Recording) -> bool:
    """Whether all steps come from one run of the load generator, as far as is known.

    Repeats inside one run do not show what differs from one run to the next.
    """
    source = recording.manifest.get("source")
    return not (isinstance(source, dict) and source.get("kind") == "locust-files")


def _pairs(a: Recording, b: Recording) -> Iterator[StepPair]:
    for users in sorted({step.users for step in a.steps} & {step.users for step in b.steps}):
        a_steps = tuple(step for step in a.steps if step.users == users)
        b_steps = tuple(step for step in b.steps if step.users == users)
        a_kept = tuple(step for step in a_steps if any(_same_think(step, other) for other in b_steps))
        b_kept = tuple(step for step in b_steps if any(_same_think(step, other) for other in a_steps))
        if a_kept and b_kept:
            yield StepPair(users, a_kept, b_kept)


def _same_think(one: LoadStep, other: LoadStep) -> bool:
    """Nominal think times are equal, or one is not stated (then the measured gaps are compared)."""
    return one.think == other.think or not one.think or not other.think


def _refused(side: str, recording: Recording) -> Iterator[str]:
    trust = recording.manifest.get("trust")
    if isinstance(trust, dict) and trust.get("verdict") == "refused":
        reasons = [item.get("message", "") for item in trust.get("findings", []) if item.get("severity") == "critical"]
        why = f" ({' '.join(reasons)})" if reasons else ""
        yield f"{side} was refused by the trust checks{why}; record it again, or look at `capacity check`"


def _no_pair(a: Recording, b: Recording) -> str:
    shared = sorted({step.users for step in a.steps} & {step.users for step in b.steps})
    if not shared:
        return (
            f"no load level is in both: A has {_levels(a)} users, B has {_levels(b)}; record B with A's levels "
            f"(--users {_levels(a).replace(' ', '')})"
        )
    return (
        f"at {', '.join(map(str, shared))} users A thinks {_thinks(a)} and B {_thinks(b)}: another think time is "
        "another load; record B with A's"
    )


def _levels(recording: Recording) -> str:
    return ", ".join(str(users) for users in sorted({step.users for step in recording.steps}))


def _thinks(recording: Recording) -> str:
    return ", ".join(sorted({step.think or "as not stated" for step in recording.steps}))


def _other_requests(a: Recording, b: Recording) -> Iterator[str]:
    before, after = _shares(a.requests["endpoint"]), _shares(b.requests["endpoint"])
    if not before or not after:
        return
    only_a, only_b = (
        ", ".join(sorted(name for name, share in these.items() if share >= _SEEN and name not in those))
        for these, those in ((before, after), (after, before))
    )
    if only_a or only_b:
        yield (
            f"they send other requests (only in A: {only_a or 'none'}; only in B: {only_b or 'none'}); record both "
            "with one request mix"
        )


def _same_recording(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> Iterator[str]:
    """Said where one side brings nothing of its own: every step compared is one of the other side, too."""
    shared = [(of_a.step, of_b.step) for of_a, of_b in _shared_steps(a, b, pairs)]
    compared = (sum(len(pair.a) for pair in pairs), sum(len(pair.b) for pair in pairs))
    if len(shared) == min(compared):
        yield (
            f"A{_place(a)} and B{_place(b)} hold the same requests: one recording against itself differs by nothing, "
            "whatever the release does; give the one of the release before as A and the one of the release after as B"
        )


def _place(recording: Recording) -> str:
    return f" ({recording.path})" if recording.path else ""


def _partly_shared(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> Iterator[Finding]:
    shared = [(of_a.step, of_b.step) for of_a, of_b in _shared_steps(a, b, pairs)]
    if shared:
        said = ", ".join(f"step {of_a} of A is step {of_b} of B" for of_a, of_b in shared)
        yield Finding(
            "steps-shared", "warning",
            f"A and B hold the same requests in part: {said}. What they share differs by nothing, so a change looks "
            "smaller than it is.",
            "Leave the shared runs out of one side.", {"steps": [list(steps) for steps in shared]},
        )  # fmt: skip


def _shared_steps(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> list[tuple[LoadStep, LoadStep]]:
    """Each step of A that B has, too, under whatever number."""
    found: list[tuple[LoadStep, LoadStep]] = []
    for pair in pairs:
        twins = ((of_a, of_b) for of_a in pair.a for of_b in pair.b if _are_one(a, of_a, b, of_b))
        found += {of_a.step: (of_a, of_b) for of_a, of_b in twins}.values()
    return found


def _are_one(a: Recording, of_a: LoadStep, b: Recording, of_b: LoadStep) -> bool:
    """Whether two steps hold the same requests to the microsecond, or, not known one by one, the same numbers."""
    if of_a.requests == 0 or (of_a.requests, of_a.outcomes) != (of_b.requests, of_b.outcomes):
        return False
    rows_a, rows_b = a.requests_in(of_a), b.requests_in(of_b)
    if rows_a.empty or len(rows_a) != len(rows_b):
        return rows_a.empty and rows_b.empty and of_a.metrics == of_b.metrics
    return all(
        np.allclose(rows_a[name] - of_a.start_s, rows_b[name] - of_b.start_s, rtol=0.0, atol=_ONE_MOMENT_S)
        for name in ("start_s", "finish_s")
    )


def _trust(side: str, recording: Recording) -> Iterator[Finding]:
    trust = recording.manifest.get("trust")
    if not isinstance(trust, dict):
        yield Finding(
            "recording-not-checked", "info", f"No trust checks are on record for {side}.",
            "Run `capacity check` on its folder.", {"side": side},
        )  # fmt: skip
    elif trust.get("verdict") != "trusted":
        yield Finding(
            "recording-has-caveats", "warning",
            f"The trust checks call {side} {str(trust.get('verdict')).replace('-', ' ')}; the comparison is no better.",
            "Read its findings with `capacity check`.", {"side": side, "verdict": trust.get("verdict")},
        )  # fmt: skip


def _changed_limits(a: Recording, b: Recording) -> Iterator[Finding]:
    before, after = a.deployment.to_dict(), b.deployment.to_dict()
    changed = {
        name: [before.get(name), after.get(name)] for name in {**before, **after} if before.get(name) != after.get(name)
    }
    if changed:
        said = ", ".join(f"{name} {_stated(old)} -> {_stated(new)}" for name, (old, new) in changed.items())
        yield Finding(
            "deployment-changed", "info",
            f"The deployments differ: {said}. The differences are those of release and deployment together.",
            "Record both releases on one deployment to tell them apart.", {"changed": changed},
        )  # fmt: skip


def _stated(value: object) -> str:
    return "not stated" if value is None else str(value)


def _left_out(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> Iterator[Finding]:
    for side, recording, kept in (
        ("A", a, {step.step for pair in pairs for step in pair.a}),
        ("B", b, {step.step for pair in pairs for step in pair.b}),
    ):
        unpaired = [step for step in recording.steps if step.step not in kept]
        if unpaired:
            named = ", ".join(f"{step.step} ({step.users} users)" for step in unpaired)
            yield Finding(
                "steps-not-paired", "info",
                f"Left out of {side}, because the other has no step of the same users and think time: step {named}.",
                "Record the same levels on both sides.", {"side": side, "steps": [step.step for step in unpaired]},
            )  # fmt: skip


def _other_gaps(pairs: Sequence[StepPair]) -> Iterator[Finding]:
    for pair in pairs:
        before, after = (sum(s.gap_mean_s for s in steps) / len(steps) for steps in (pair.a, pair.b))
        noise = math.sqrt(sum(1.0 / max(sum(s.requests for s in steps), 1) for steps in (pair.a, pair.b)))
        if math.isfinite(before) and before > 0 and abs(after / before - 1.0) > _GAPS_DIFFER + 3.0 * noise:
            yield Finding(
                "gaps-differ", "warning",
                f"At {pair.users} users the gaps between a user's requests last {before:.3g} s in A and {after:.3g} s "
                f"in B ({after / before - 1.0:+.1%}): the two were not loaded alike.",
                "Record both with one think time, and look whether the load generator kept up.",
                {"users": pair.users, "a_s": before, "b_s": after},
            )  # fmt: skip


def _other_mix(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> Iterator[Finding]:
    before, after = _mix(a, [s for pair in pairs for s in pair.a]), _mix(b, [s for pair in pairs for s in pair.b])
    if not before or not after:
        return
    both = {name: [before.get(name, 0.0), after.get(name, 0.0)] for name in sorted({*before, *after})}
    moved = {name: shares for name, shares in both.items() if abs(shares[1] - shares[0]) > _MIX_DIFFERS}
    if moved:
        said = ", ".join(f"{name} {old:.1%} -> {new:.1%}" for name, (old, new) in moved.items())
        yield Finding(
            "mix-differs", "warning", f"The shares of the kinds of request differ: {said}.",
            "Record both with one request mix.", {"moved": moved},
        )  # fmt: skip


def _mix(recording: Recording, steps: Sequence[LoadStep]) -> dict[str, float]:
    """Share of each kind of request over the compared steps."""
    return _shares(pd.concat([recording.requests_in(step)["endpoint"] for step in steps]))


def _shares(endpoints: pd.Series) -> dict[str, float]:
    return {str(name): float(share) for name, share in endpoints.value_counts(normalize=True).items()}


def _repeats(a: Recording, b: Recording, pairs: Sequence[StepPair]) -> Iterator[Finding]:
    for side, recording, most in (
        ("A", a, max(len(pair.a) for pair in pairs)), ("B", b, max(len(pair.b) for pair in pairs)),
    ):  # fmt: skip
        if most > 1 and is_one_run(recording):
            yield Finding(
                "repeats-within-one-run", "info",
                f"The repeats of {side} are steps of one run: they do not show what differs from one run to the next, "
                "so the stated run-to-run variation is kept beside theirs.",
                "Repeat the whole run, and import the runs together.", {"side": side},
            )  # fmt: skip
