"""Packages whose names load on first use (PEP 562), so that importing one costs nothing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def attach(package_name: str, exports: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package_name : str
        The package's ``__name__``.
    exports : mapping of str to str
        Public name to the full name of the module that holds it.

    Examples
    --------
    ::

        __getattr__, __dir__ = attach(__name__, {"Interval": "loadtests.foundation.intervals"})

    Type checkers see the names by a ``TYPE_CHECKING`` import beside it.
    """

    def load(name: str) -> Any:
        module = exports.get(name)
        if module is None:
            raise AttributeError(f"module {package_name!r} has no attribute {name!r}")
        with collector_paused():
            value = getattr(import_module(module), name)
        setattr(sys.modules[package_name], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package_name]), *exports})

    return load, names


@contextmanager
def collector_paused() -> Iterator[None]:
    """Do not look for garbage while much is loaded that stays: 5 % of a start that loads numba and SciPy."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
