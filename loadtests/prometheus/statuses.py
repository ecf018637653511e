"""What an HTTP status, as a label has it, says about a request's outcome."""

from __future__ import annotations

from loadtests.tables import Outcome

_KINDS: dict[int, Outcome] = {503: "shed", 429: "rate_limited"}
_CLASSES: dict[str, Outcome] = {
    "1": "served", "2": "served", "3": "served", "4": "client_error", "5": "server_error",
}  # fmt: skip


def outcome_of_status(text: str) -> Outcome | None:
    """The outcome of a status such as ``200``, ``503`` or ``5xx``; None when it is neither.

    A class tells less: a 503 in ``5xx`` counts as a server error, a 429 in ``4xx`` as a client error.
    """
    if len(text) != 3 or text[0] not in _CLASSES or not (text.isdecimal() or text[1:].lower() == "xx"):
        return None
    kind = _KINDS.get(int(text)) if text.isdecimal() else None
    return kind or _CLASSES[text[0]]


def is_class(text: str) -> bool:
    """Whether a status is only known by its first digit."""
    return text[1:].lower() == "xx"
