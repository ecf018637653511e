"""Random variates by identity: a number belongs to a request, not to the moment at which it is drawn.

A request's uniforms are a pure function of (key, index, owner, attempt, stage):
`index` is the user's cycle (closed workloads) or the arrival's position (open),
`owner` the user. So one rejected request does not hand every later service
time to somebody else, both engines see the same numbers, and two models with
the same seed see the same luck (common random numbers).

The generator is Philox4x32-10 [1]_, the counter-based generator of Random123,
JAX and cuRAND. One call gives two uniforms: the request's service time and the
gap before it. Times follow by inverting the distribution through a table of
its quantile function with 128 linear cells per octave of the tail probability,
down to 2^-53 on both sides; for smooth distributions the table's mean is within
2e-5 of the exact one (tested).

This module is the readable reference (numpy). `kernels` carries its compiled
twin; a test holds the two to the same bits.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random
   numbers: as easy as 1, 2, 3", SC'11, 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.distributions import Distribution

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

STAGE_REQUEST, STAGE_FIRST_REQUEST, STAGE_WORK, STAGE_ROUTE, STAGE_CLASS, STAGE_RETRY, STAGE_SESSION = range(7)
"""Purposes, two numbers each: (service time, gap before the request); (time of a user's first request, -);
(CPU time, database time); (instance, second choice); (request class, -); (jitter of the wait before the attempt, -);
(gap before the session, its number of requests)."""

CELLS_PER_OCTAVE_BITS = 7
LOWEST_EXPONENT = 1023 - 53
TABLE_CELLS = 52 << CELLS_PER_OCTAVE_BITS

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT_32 = np.uint64(32)
_ROUNDS = 10


def philox4x32(counter: tuple[Words, Words, Words, Words], key: int) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox4x32 on arrays of 32-bit words held in uint64; `key` is 64 bits, low word first."""
    c0, c1, c2, c3 = counter
    k0, k1 = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)
    for _ in range(_ROUNDS):
        product_0, product_1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> _SHIFT_32) ^ c1 ^ k0,
            product_1 & _LOW_32,
            (product_0 >> _SHIFT_32) ^ c3 ^ k1,
            product_0 & _LOW_32,
        )
        k0, k1 = (k0 + _WEYL_0) & _LOW_32, (k1 + _WEYL_1) & _LOW_32
    return c0, c1, c2, c3


def uniforms(
    key: int, index: ArrayLike, owner: ArrayLike = 0, *, attempt: int = 0, stage: int = STAGE_REQUEST
) -> tuple[Floats, Floats]:
    """Two uniforms in (0, 1) for each request: odd multiples of 2^-53, so neither end occurs.

    Parameters
    ----------
    key : int
        64 bits, from `loadtests.foundation.seeds.derive_key`.
    index : array of int
        A user's cycle, or an arrival's position (below 2^32).
    owner : array of int, default 0
        The user (below 2^32).
    attempt : int, default 0
        Which try of the same request.
    stage : int, default STAGE_REQUEST
        What the numbers are for.
    """
    positions, owners = np.broadcast_arrays(np.asarray(index, dtype=np.uint64), np.asarray(owner, dtype=np.uint64))
    counter = (positions, owners, np.full_like(positions, attempt), np.full_like(positions, stage))
    w0, w1, w2, w3 = philox4x32(counter, key)
    return _to_unit((w0 << _SHIFT_32) | w1), _to_unit((w2 << _SHIFT_32) | w3)


def _to_unit(bits: Words) -> Floats:
    return np.asarray(((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52, dtype=float)


def quantile_table(distribution: Distribution) -> Floats:
    """Quantiles (shape 2 x (cells + 1), seconds): row 0 by lower, row 1 by upper tail probability."""
    bits = (np.arange(TABLE_CELLS + 1, dtype=np.int64) + (LOWEST_EXPONENT << CELLS_PER_OCTAVE_BITS)) << (
        52 - CELLS_PER_OCTAVE_BITS
    )
    tail = bits.view(np.float64)
    return np.vstack([distribution.quantile_s(tail), distribution.upper_quantile_s(tail)])


def times_s(table: Floats, unit: Floats) -> Floats:
    """Invert uniforms through a quantile table, linearly inside a cell."""
    upper = unit > 0.5
    tail = np.where(upper, 1.0 - unit, unit)
    bits = tail.view(np.int64)
    inside = 52 - CELLS_PER_OCTAVE_BITS
    cell = (bits >> inside) - (LOWEST_EXPONENT << CELLS_PER_OCTAVE_BITS)
    fraction = (bits & ((1 << inside) - 1)) * 2.0**-inside
    row = upper.astype(np.int64)
    left, right = table[row, cell], table[row, cell + 1]
    return np.asarray(left + fraction * (right - left), dtype=float)
