"""The operating system's limit on open files, which is also the limit on connections."""

from __future__ import annotations

import resource

_WANTED = 65_536


def raise_file_limit() -> int:
    """Raise the soft limit on open files as far as allowed; return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
