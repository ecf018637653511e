"""Says that a slow kernel is being compiled, which happens once and would otherwise be a long silence.

numba tells its listeners when it compiles, and says nothing when it loads a kernel from its cache. What is said goes to
the logger ``simulations`` as a warning: on stderr, unless the program that uses the library sends it elsewhere.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from numba.core import event

LOG = logging.getLogger("simulations")

COMPILING = "Compiling the {name} kernel: {seconds}, once. The result is kept beside the source, or in NUMBA_CACHE_DIR."


class CompileNotice(event.Listener):
    """Logs a text when numba begins to compile one kernel.

    Parameters
    ----------
    kernel : numba dispatcher
    text : str
    """

    def __init__(self, kernel: Any, text: str) -> None:
        self.kernel = kernel
        self.text = text

    def on_start(self, begun: Any) -> None:
        """Called by numba before it compiles anything at all."""
        if begun.data["dispatcher"] is self.kernel:
            LOG.warning(self.text)

    def on_end(self, ended: Any) -> None:
        """Nothing more is said."""


@cache
def announce(kernel: Any, name: str, seconds: str) -> None:
    """From now on, say when this kernel has to be compiled."""
    event.register("numba:compile", CompileNotice(kernel, COMPILING.format(name=name, seconds=seconds)))
