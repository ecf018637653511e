"""Options that say on what a load runs: instances, balancer, mix of request classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from simulations.model.fleet import Fleet


def fleet_of(instances: int, balancer: str) -> Fleet:
    """So many instances behind a balancer; refuse a balancer for one."""
    from simulations.model.fleet import Fleet

    if balancer and instances == 1:
        raise InputError("--balancer has no effect with one instance; give --instances too, or leave it out.")
    return Fleet(instances, balancer or "round-robin")  # type: ignore[arg-type]


def parse_mix(text: str) -> dict[str, float] | None:
    """Weights by request class, `CLASS=WEIGHT,CLASS=WEIGHT`; None without any.

    Raises
    ------
    InputError
        For a part without a weight above 0, or a class that is named twice.
    """
    if not text:
        return None
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().rpartition("=")
        if not equals or not name or name in found or not _is_positive(weight):
            raise InputError(
                f"--mix has {part.strip()!r}; write CLASS=WEIGHT, each class once, such as /orders=3,/static=1."
            )
        found[name] = float(weight)
    return found


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
