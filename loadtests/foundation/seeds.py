"""The one door for seeds: whole numbers in, independent keys out."""

from __future__ import annotations

import numpy as np

from loadtests.foundation.checks import whole


def derive_key(seed: int, *path: int) -> int:
    """A 64-bit key that belongs to `seed` and a path of small numbers (replication, draw, step).

    Uses numpy's SeedSequence, so keys of different paths are independent for
    every practical purpose and the same everywhere.
    """
    sequence = np.random.SeedSequence(entropy=whole("seed", seed), spawn_key=path)
    return int(sequence.generate_state(1, np.uint64)[0])


def generator(seed: int, *path: int) -> np.random.Generator:
    """A numpy generator for statistics (bootstrap, optimisers), keyed like `derive_key`."""
    return np.random.default_rng(np.random.SeedSequence(entropy=whole("seed", seed), spawn_key=path))
