"""Reads what a staging server logged: the truth about its service times and its faults."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from loadtests.foundation.errors import InputError
from loadtests.staging.fault_log import FAULT_LOG_HEADER
from loadtests.staging.service_log import HEADER

_TEXTS = ("endpoint", "outcome", "request_id", "event", "kind", "fault", "client")


def read_service_log(path: str | Path) -> pd.DataFrame:
    """Read the service log of a staging server, also while it runs or after it was killed.

    Parameters
    ----------
    path : str or Path
        The file that `StagingOptions.service_log` names.

    Returns
    -------
    pandas.DataFrame
        One row a request that had a worker, ordered by `request`, in the columns that the page on
        files describes; times in seconds. A last line that was not written to its end is left out.

    Raises
    ------
    InputError
        When the file is missing or is not a service log.
    """
    return _read(Path(path), HEADER, "service log").sort_values("request", ignore_index=True)


def read_fault_log(path: str | Path) -> pd.DataFrame:
    """Read the fault log of a staging server.

    Parameters
    ----------
    path : str or Path
        The file that `StagingOptions.fault_log` names.

    Returns
    -------
    pandas.DataFrame
        One row an event, in the order of time.

    Raises
    ------
    InputError
        When the file is missing or is not a fault log.
    """
    return _read(Path(path), FAULT_LOG_HEADER, "fault log")


def _read(path: Path, header: str, name: str) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The {name} {path} cannot be read ({error}); give the file that the server wrote.") from None
    whole = text[: text.rfind("\n") + 1]
    if not whole.startswith(header):
        raise InputError(f"The file {path} is no {name}: its first line must be {header.strip()!r}.")
    columns = header.strip().split(",")
    kinds = {column: "str" if column in _TEXTS else "int64" if column == "request" else "float64" for column in columns}
    try:
        return pd.read_csv(io.StringIO(whole), dtype=kinds, keep_default_na=False)
    except ValueError as error:
        raise InputError(f"The {name} {path} has a line that does not fit its header ({error}).") from None
