"""A tile of ``LANES`` short rows, turned, so that every vector holds one column of many rows.

:mod:`.rows_hard` and :mod:`.rows_soft` share these steps; :mod:`.rows` fills in the names declared below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import where

Array = Any
Number = Any

LANES = 128
# The most numbers a vector holds.
WIDEST = 16

# What the loops are completed with.
Real: Any = None  # dtype of the arithmetic on single logits
falling: Any = None  # e^x for x <= 0


def room(k: Number, kind: Any) -> Array:
    """Return a tile for rows of k, with memory for whole squares behind it."""
    return np.zeros((-(-k // WIDEST) * WIDEST, LANES), kind)[:k]


def turn_square(block: Array, i: Number, j: Number, tile: Array) -> None:
    """Turn the square of a block at [i, j] into a tile (one instruction in a kernel: see :mod:`.turning`)."""
    count = 64 // max(block.itemsize, tile.itemsize)
    square = block[i : i + count, j : j + count]
    tile[j : j + square.shape[1], i : i + count] = square.T


def turn_square_back(tile: Array, i: Number, j: Number, block: Array) -> None:
    """Do the reverse; it may leave anything in the first columns of the rows below the first of them."""
    count = 64 // max(block.itemsize, tile.itemsize)
    square = block[i : i + count, j : j + count]
    square[...] = tile[j : j + square.shape[1], i : i + count].T


def squares(count: Number, k: Number, size: Number) -> tuple[Number, Number]:
    """Return the side of squares, and how many rows of a block (count, k) are turned by them.

    Of numbers, not arrays: it is compiled once for both directions.
    """
    width = 64 // size
    return width, count - count % width if 2 * k >= width else 0


def turn(block: Array, tile: Array) -> None:
    """Fill the first lanes of a tile (k, LANES) with rows (count, k)."""
    count, k = block.shape
    width, whole = squares(count, k, max(block.itemsize, tile.itemsize))
    for i in range(0, whole, width):
        for j in range(0, k, width):
            turn_square(block, i, j, tile)
    for j in range(k):
        for i in range(whole, count):
            tile[j, i] = block[i, j]


def turn_back(tile: Array, block: Array) -> None:
    """Fill rows (count, k) from the first lanes of a tile."""
    count, k = block.shape
    width, whole = squares(count, k, max(block.itemsize, tile.itemsize))
    for i in range(0, whole, width):
        # The last columns first: what their vectors store beyond a row is overwritten.
        for j in range((k - 1) // width * width, -1, -width):
            turn_square_back(tile, i, j, block)
    # In this order and not along the rows: short inner loops cost more than strides.
    for j in range(k):
        for i in range(whole, count):
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
