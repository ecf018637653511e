"""The base of every error that the library raises on purpose.

A message says what was given, what is allowed and what to do. Two kinds are
enough, because a caller can do two things: correct the input, or look at the
world (a port in use, a host that refuses) and try again.
"""


class CapacityError(Exception):
    """Base of the library's own errors; ``exit_code`` is what the command line returns."""

    exit_code = 1


class InputError(CapacityError, ValueError):
    """The caller gave something that is not allowed (exit code 2)."""

    exit_code = 2


class RunError(CapacityError, RuntimeError):
    """Something outside the program failed while it ran (exit code 1)."""

    exit_code = 1
