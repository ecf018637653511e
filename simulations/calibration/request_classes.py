"""Which endpoints of a recording a fit tells apart."""

from __future__ import annotations

import pandas as pd

from simulations.calibration.model_form import Mix

REST = "other"
"""Name of the class of all requests that are in no other."""
FEWEST_OF_CLASS = 60
_MOST_CLASSES, _LEAST_SHARE = 6, 0.02


def class_mix(shares: pd.Series, fewest: pd.Series) -> Mix:
    """At most six classes of at least 2 % of the requests each, which every step shows often enough.

    The rest, where there is any, is one more class, ``other``. One class alone needs no name.

    Parameters
    ----------
    shares : pandas.Series
        Share of the requests by endpoint, the largest first; the rest to 1 is of no known endpoint.
    fewest : pandas.Series
        Served requests by endpoint, at the step that has the fewest of them.

    Returns
    -------
    Mix
    """
    names = [
        str(name) for name, share in shares.items() if share >= _LEAST_SHARE and fewest.get(name, 0) >= FEWEST_OF_CLASS
    ]
    names = names[:_MOST_CLASSES]
    rest = 1.0 - float(shares[names].sum()) if names else 1.0
    if rest > _LEAST_SHARE and names:
        return Mix((*names, REST), (*[float(shares[name]) for name in names], rest))
    return Mix(tuple(names), tuple(float(shares[name]) for name in names)) if len(names) > 1 else Mix()
