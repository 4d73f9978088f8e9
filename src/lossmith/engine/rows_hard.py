"""Loops over rows of logits with one label each; :mod:`.rows` fills in the names declared below.

Two forms of one computation. Long rows: the numbers of a row are summed in the lanes of a vector. Short rows:
a tile of ``LANES`` rows is turned, so that every vector holds one column of many rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import log1p, times, where
from ..ops.arrays import Softmax

Array = Any
Number = Any

LANES = 128
# A sum of float32 runs over this many numbers, in 16 lanes or more; the sums of blocks are added in float64.
BLOCK = 2048

# What the loops are completed with.
Real: Any = None  # dtype of the arithmetic on single logits
highest: Any = None  # the largest entry of a row, from its bits
falling: Any = None  # e^x for x <= 0
term: Any = None  # term(c, parts, *parameters): what the row's label adds to the value
pull: Any = None  # pull(c, parts, *parameters): its derivative by log p
spend: Any = None  # spend_row, compiled to add in several lanes
head: Any = None  # head_of_row, compiled


def spend_row(row: Array, top: Number, spent: Array) -> tuple[Number, Number]:
    """Fill ``spent`` with e^(z - top); return its sum without the places of the top, and how many those are.

    The largest logit stays out of the sum as an exact 1, so that neither log p nor 1 - p of a confident row cancels.
    """
    rest = Real(0.0)
    ties = Real(0.0)
    for i in range(row.size):
        x = Real(row[i])
        gap = where(x == top, Real(0.0), x - top)
        e = falling(gap)
        spent[i] = e
        flat = gap == Real(0.0)
        rest += where(flat, Real(0.0), e)
        ties += where(flat, Real(1.0), Real(0.0))
    return np.float64(rest), np.float64(ties)


def head_of_row(
    gap: Number, e: Number, top: Number, rest: Number, c: Number, ridge: Number, parameters: Any
) -> tuple[Number, Number, Number]:
    """Return the value, the label's gradient, and what e^(z - top) of the others is multiplied with.

    ``gap`` is top - z at the label, ``e`` its e^-gap, and ``rest`` the sum without one 1 for the top.
    """
    total = 1.0 + rest
    low = log1p(rest)
    level = top + low
    p = e / total
    q = where(gap == 0.0, rest / total, 1.0 - p)
    parts = Softmax(p, q, gap + low)
    a = pull(c, parts, *parameters)
    tilt = times(2.0 * ridge * c, level)
    value = term(c, parts, *parameters) + times(ridge * c, level * level)
    return value, a * q + times(p, tilt), (tilt - a) / total


def first_stranger(labels: Array, classes: Number, some_ignored: bool, ignored: Number) -> Number:
    """Return the first row whose label is neither 0 ... classes - 1 nor ignored; -1 if there is none."""
    strange = 0
    for i in range(labels.size):
        outside = (labels[i] < 0) | (labels[i] >= classes)
        strange += outside & ~(some_ignored & (labels[i] == ignored))
    if strange == 0:
        return -1
    for i in range(labels.size):
        outside = (labels[i] < 0) | (labels[i] >= classes)
        if outside and not (some_ignored and labels[i] == ignored):
            return i
    return -1


def long_rows(
    z: Array,
    bits: Array,
    labels: Array,
    some_ignored: bool,
    ignored: Number,
    weights: Array,
    scale: Array,
    ridge: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> None:
    """Fill values (n,) and, unless it is empty, slopes (n, k), which may be the memory of z."""
    n, k = z.shape
    spent = np.empty(k, z.dtype)
    for r in range(n):
        row = z[r]
        label, c = labels[r], 1.0
        if some_ignored and label == ignored:
            label, c = 0, 0.0
        if weights.size > 0:
            c *= weights[label]
        if scale.size > 0:
            c *= scale[r]
        top = highest(bits[r])
        rest, ties = 0.0, -1.0
        for start in range(0, k, BLOCK):
            stop = min(start + BLOCK, k)
            part, tied = spend(row[start:stop], top, spent[start:stop])
            rest += part
            ties += tied
        gap = 0.0 if row[label] == top else np.float64(top) - np.float64(row[label])
        value, own, factor = head(gap, np.float64(spent[label]), np.float64(top), rest + ties, c, ridge, parameters)
        values[r] = value
        if slopes.size > 0:
            out = slopes[r]
            share = Real(factor)
            if abs(share) == np.inf:
                for i in range(k):
                    out[i] = 0.0 if spent[i] == 0.0 else spent[i] * share
            else:
                for i in range(k):
                    out[i] = spent[i] * share
            out[label] = own


def short_rows(
    z: Array,
    bits: Array,
    labels: Array,
    some_ignored: bool,
    ignored: Number,
    weights: Array,
    scale: Array,
    ridge: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> None:
    """Do the same for rows that are too short to fill vectors."""
    n, k = z.shape
    tile, spent = np.zeros((k, LANES), z.dtype), np.zeros((k, LANES), z.dtype)
    lanes = np.zeros((4, LANES), z.dtype)  # top, rest, ties, factor
    heads = np.zeros((3, LANES))  # the label's logit, its e, its worth; then value and own gradient
    for start in range(0, n, LANES):
        count = min(LANES, n - start)
        block = z[start : start + count]
        for j in range(k):
            for i in range(count):
                tile[j, i] = block[i, j]
        for i in range(LANES):
            lanes[0, i] = -np.inf
            lanes[1, i] = 0.0
            lanes[2, i] = -1.0
        for j in range(k):
            for i in range(LANES):
                lanes[0, i] = where(tile[j, i] > lanes[0, i], tile[j, i], lanes[0, i])
        for j in range(k):
            for i in range(LANES):
                gap = where(tile[j, i] == lanes[0, i], Real(0.0), tile[j, i] - lanes[0, i])
                e = falling(gap)
                spent[j, i] = e
                flat = gap == Real(0.0)
                lanes[1, i] += where(flat, Real(0.0), e)
                lanes[2, i] += where(flat, Real(1.0), Real(0.0))
        for i in range(count):
            label, c = labels[start + i], 1.0
            if some_ignored and label == ignored:
                label, c = 0, 0.0
            if weights.size > 0:
                c *= weights[label]
            if scale.size > 0:
                c *= scale[start + i]
            heads[0, i], heads[1, i], heads[2, i] = tile[label, i], spent[label, i], c
        for i in range(LANES):
            top = np.float64(lanes[0, i])
            gap = where(heads[0, i] == top, 0.0, top - heads[0, i])
            rest = np.float64(lanes[1, i]) + np.float64(lanes[2, i])
            value, own, factor = head(gap, heads[1, i], top, rest, heads[2, i], ridge, parameters)
            heads[0, i], heads[1, i], lanes[3, i] = value, own, factor
        for i in range(count):
            values[start + i] = heads[0, i]
        if slopes.size > 0:
            for j in range(k):
                for i in range(LANES):
                    # A factor is infinite with a logit at infinity and a ridge.
                    lost = (abs(lanes[3, i]) == np.inf) & (spent[j, i] == Real(0.0))
                    spent[j, i] = where(lost, Real(0.0), spent[j, i] * lanes[3, i])
            for i in range(count):
                label = labels[start + i]
                spent[0 if some_ignored and label == ignored else label, i] = heads[1, i]
            fill = slopes[start : start + count]
            # In this order and not along the rows: short inner loops cost more than strides.
            for j in range(k):
                for i in range(count):
                    fill[i, j] = spent[j, i]
