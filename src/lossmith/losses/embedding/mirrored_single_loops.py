"""The loops of :mod:`.mirrored_single`.

All take the place of their first row and of their first column, and products of a block of pairs; a
pair's (s - 1) / t is its product with the offsets of both ends added. What they add up for columns goes to an array
that is empty where rows stand for both ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.compiled import compiled
from ...engine.rows_exp import falling_single
from ...ops import sigmoid, softplus, word
from .geometry import Floats, Integers
from .lanes import LANES

Singles = Any
Number = Any


@compiled(grade="single", fastmath=LANES)
def sums_loop(
    row: int, column: int, x: Singles, offset: Singles, weight: Singles,
    first: Integers, last: Integers, rows: Floats, columns: Floats,
) -> None:  # fmt: skip
    """Add the weighted exponentials of negatives to the sums of rows and of columns."""
    m = x.shape[1]
    across, own, price = np.zeros(m, np.float32), offset[column : column + m], weight[column : column + m]
    for i in range(x.shape[0]):
        a, p = row + i, x[i]
        lo = min(max(first[a] - column, 0), m)
        hi = max(min(last[a] - column, m), lo)
        found = _exponentials(p[:lo], own[:lo], price[:lo], across[:lo], offset[a], weight[a])
        rows[i] += found + _exponentials(p[hi:], own[hi:], price[hi:], across[hi:], offset[a], weight[a])
    for j in range(columns.size):
        columns[j] += across[j]


@compiled(grade="single", fastmath=LANES)
@word
def _exponentials(p: Singles, own: Singles, price: Singles, across: Singles, offset: Number, weight: Number) -> Number:
    found = np.float32(0.0)
    for j in range(p.size):
        e = falling_single(p[j] + (offset + own[j]))
        across[j] += weight * e
        found += price[j] * e
    return np.float64(found)


@compiled(grade="single")
def positives_loop(
    row: int, column: int, x: Singles, offset: Singles, sums: Floats, base: Floats,
    values: Floats, counts: Floats, rate: Floats, first: Integers, last: Integers, weight: Floats,
) -> None:  # fmt: skip
    """Add up an anchor's losses, and what its negatives are pulled by: weight times slope over sum."""
    for i in range(x.shape[0]):
        a, drawn = row + i, 0.0
        for p in range(first[a], last[a]):
            if p != a:
                v = base[a] - (np.float64(x[i, p - column]) + offset[a] + offset[p])
                values[a] += weight[p] * softplus(v)
                counts[a] += weight[p]
                drawn += weight[p] * sigmoid(v)
        rate[a] = weight[a] * (drawn / sums[a]) if sums[a] > 0.0 else 0.0


@compiled(grade="single", fastmath=LANES)
def pulls_loop(
    row: int, column: int, x: Singles, offset: Singles, weight: Singles, rate: Singles, base: Floats,
    first: Integers, last: Integers, temperature: float, rows: Floats, columns: Floats,
) -> None:  # fmt: skip
    """Turn products into the pulls of pairs, from both their ends, and add them up."""
    m = x.shape[1]
    across, own = np.zeros(m, np.float32), offset[column : column + m]
    price, speed = weight[column : column + m], rate[column : column + m]
    for i in range(x.shape[0]):
        a, p = row + i, x[i]
        lo = min(max(first[a] - column, 0), m)
        hi = max(min(last[a] - column, m), lo)
        ours = (offset[a], weight[a], rate[a])
        rows[i] += _negatives(p[:lo], own[:lo], price[:lo], speed[:lo], across[:lo], ours)
        rows[i] += _negatives(p[hi:], own[hi:], price[hi:], speed[hi:], across[hi:], ours)
        for j in range(lo, hi):
            v = -(np.float64(p[j]) + offset[a] + own[j])
            slope = sigmoid(base[a] + v) + sigmoid(base[column + j] + v)
            p[j] = 0.0 if column + j == a else -weight[a] * price[j] * slope / temperature
            rows[i] += p[j]
            across[j] += p[j]
    for j in range(columns.size):
        columns[j] += across[j]


@compiled(grade="single", fastmath=LANES)
@word
def _negatives(p: Singles, own: Singles, price: Singles, speed: Singles, across: Singles, ours: Any) -> Number:
    offset, weight, rate = ours
    found = np.float32(0.0)
    for j in range(p.size):
        pull = (rate * price[j] + speed[j] * weight) * falling_single(p[j] + (offset + own[j]))
        p[j] = pull
        across[j] += pull
        found += pull
    return np.float64(found)
