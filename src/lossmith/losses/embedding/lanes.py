"""Sums and maxima of a row for compiled loops, in several lanes: their order does not matter to anyone.

They stand apart from what calls ``exp``, whose rounding tricks a free order of sums would undo. What adds in several
lanes is always inlined (``@word``): numba would link another copy of it, with other lanes, where code comes from the
disk than where it has just been compiled.
"""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from ...ops import word
from .geometry import Floats

LANES = frozenset({"contract", "reassoc", "nsz"})


@compiled(fastmath=LANES)
@word
def total(x: Floats) -> float:
    """Sum of all numbers."""
    found = 0.0
    for i in range(x.size):
        found += x[i]
    return found


@compiled(fastmath=LANES | {"nnan"})
@word
def highest(x: Floats) -> float:
    """Largest number, -inf of none; NaN is not expected."""
    found = -np.inf
    for i in range(x.size):
        found = max(found, x[i])
    return found


@compiled(fastmath=LANES)
@word
def weighted(x: Floats, weight: Floats) -> float:
    """Sum of all numbers times their weights, of which there may be more."""
    found = 0.0
    for i in range(x.size):
        found += x[i] * weight[i]
    return found
