"""The loops of :mod:`.facing_single`.

Both take the place of their first row and of their first column, and a block of pairs; a pair's (s - 1) / t is its
product with the offsets of both ends added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.compiled import compiled
from ...engine.rows_exp import falling_single
from ...ops import word
from .geometry import Floats, Integers
from .lanes import LANES

Singles = Any
Number = Any


@compiled(grade="single", fastmath=LANES)
def exponentials_loop(
    row: int, column: int, x: Singles, query_offset: Singles, key_offset: Singles, weight: Singles,
    first: Integers, last: Integers, own: Floats, sums: Floats,
) -> None:  # fmt: skip
    """Turn products into weighted exponentials, 0 within a class, with their sums; keep what belongs to the own key."""
    m = x.shape[1]
    offset, price = key_offset[column : column + m], weight[column : column + m]
    for i in range(x.shape[0]):
        a, p = row + i, x[i]
        lo = min(max(first[a] - column, 0), m)
        hi = max(min(last[a] - column, m), lo)
        found = _exponentials(p[:lo], offset[:lo], price[:lo], query_offset[a])
        sums[i] = found + _exponentials(p[hi:], offset[hi:], price[hi:], query_offset[a])
        for j in range(lo, hi):
            if column + j == a:
                own[a] = np.float64(p[j]) + query_offset[a] + offset[j]
            p[j] = 0.0


@compiled(grade="single", fastmath=LANES)
@word
def _exponentials(p: Singles, offset: Singles, price: Singles, ours: Number) -> Number:
    found = np.float32(0.0)
    for j in range(p.size):
        e = price[j] * falling_single(p[j] + (ours + offset[j]))
        p[j] = e
        found += e
    return np.float64(found)


@compiled(grade="single", fastmath=LANES)
def pulls_loop(row: int, column: int, x: Singles, rate: Singles, own: Singles, columns: Floats) -> None:
    """Turn exponentials into pulls, and add them up for the keys."""
    m = x.shape[1]
    across = np.zeros(m, np.float32)
    for i in range(x.shape[0]):
        p, ours = x[i], rate[i]
        for j in range(m):
            pull = p[j] * ours
            p[j] = pull
            across[j] += pull
        here = row + i - column
        if 0 <= here < m:
            p[here] = -own[i]  # it was 0
            across[here] -= own[i]
    for j in range(m):
        columns[j] += across[j]
