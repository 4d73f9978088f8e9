"""A tile of ``LANES`` short rows, turned, so that every vector holds one column of many rows.

:mod:`.rows_hard` and :mod:`.rows_soft` share these steps; :mod:`.rows` fills in the names declared below.
"""

from __future__ import annotations

from typing import Any

from ..ops import where

Array = Any

LANES = 128

# What the loops are completed with.
Real: Any = None  # dtype of the arithmetic on single logits
falling: Any = None  # e^x for x <= 0


def turn(block: Array, tile: Array) -> None:
    """Fill the first lanes of a tile (k, LANES) with rows (count, k)."""
    count, k = block.shape
    for j in range(k):
        for i in range(count):
            tile[j, i] = block[i, j]


def turn_back(tile: Array, block: Array) -> None:
    """Fill rows (count, k) from the first lanes of a tile."""
    count, k = block.shape
    # In this order and not along the rows: short inner loops cost more than strides.
    for j in range(k):
        for i in range(count):
            block[i, j] = tile[j, i]


def crown(tile: Array, top: Array) -> None:
    """Find the largest entry of each row."""
    for i in range(LANES):
        top[i] = -float("inf")
    for j in range(len(tile)):
        for i in range(LANES):
            top[i] = where(tile[j, i] > top[i], tile[j, i], top[i])


def spend_tile(tile: Array, top: Array, spent: Array, rest: Array, ties: Array) -> None:
    """Fill ``spent`` with e^(z - top), and for each row its sum beside the top's and how many more stand there."""
    for i in range(LANES):
        rest[i] = Real(0.0)
        ties[i] = Real(-1.0)
    for j in range(len(tile)):
        for i in range(LANES):
            gap = where(tile[j, i] == top[i], Real(0.0), tile[j, i] - top[i])
            e = falling(gap)
            spent[j, i] = e
            flat = gap == Real(0.0)
            rest[i] += where(flat, Real(0.0), e)
            ties[i] += where(flat, Real(1.0), Real(0.0))
