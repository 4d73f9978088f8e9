"""Loops over rows of logits with one label each; :mod:`.rows` fills in the names declared below.

Two forms of one computation. Long rows: the numbers of a row are summed in the lanes of a vector. Short rows go
through the tiles of :mod:`.rows_tiles`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import log1p, times, where
from ..ops.arrays import Softmax
from .rows_tiles import LANES, room

Array = Any
Number = Any

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
worth: Any = None  # worth_of_labels, likewise
settle: Any = None  # settle_tile, likewise
stretch: Any = None  # stretch_row or stretch_tile, likewise
# The steps of a tile, likewise.
turn: Any = None
turn_back: Any = None
crown: Any = None
spend_tile: Any = None


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
    inverse = 1.0 / total
    p = e * inverse
    q = where(gap == 0.0, rest * inverse, 1.0 - p)
    parts = Softmax(p, q, gap + low)
    a = pull(c, parts, *parameters)
    tilt = times(2.0 * ridge * c, level)
    value = term(c, parts, *parameters) + times(ridge * c, level * level)
    return value, a * q + times(p, tilt), (tilt - a) * inverse


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


def worth_of_labels(
    labels: Array, some_ignored: bool, ignored: Number, weights: Array, scale: Array, places: Array, worths: Array
) -> None:
    """Fill the class of each label, 0 for an ignored one, and what it counts."""
    for r in range(labels.size):
        place, c = labels[r], 1.0
        if some_ignored and place == ignored:
            place, c = 0, 0.0
        if weights.size > 0:
            c *= weights[place]
        if scale.size > 0:
            c *= scale[r]
        places[r], worths[r] = place, c


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
    spent, places, worths = np.empty(k, z.dtype), np.empty(n, np.int64), np.empty(n)
    worth(labels, some_ignored, ignored, weights, scale, places, worths)
    for r in range(n):
        row, label = z[r], places[r]
        top = highest(bits[r])
        rest, ties = 0.0, -1.0
        for start in range(0, k, BLOCK):
            stop = min(start + BLOCK, k)
            part, tied = spend(row[start:stop], top, spent[start:stop])
            rest += part
            ties += tied
        gap = 0.0 if row[label] == top else np.float64(top) - np.float64(row[label])
        e, leading = np.float64(spent[label]), np.float64(top)
        value, own, factor = head(gap, e, leading, rest + ties, worths[r], ridge, parameters)
        values[r] = value
        if slopes.size > 0:
            stretch(spent, Real(factor), slopes[r])
            slopes[r, label] = own


def stretch_row(spent: Array, factor: Number, out: Array) -> None:
    """Multiply, where 0 stays 0 even against infinity."""
    if abs(factor) == np.inf:
        for i in range(out.size):
            out[i] = 0.0 if spent[i] == 0.0 else spent[i] * factor
    else:
        for i in range(out.size):
            out[i] = spent[i] * factor


def stretch_tile(spent: Array, factor: Array) -> None:
    """Multiply, likewise: a factor is infinite with a logit at infinity and a ridge."""
    for j in range(len(spent)):
        for i in range(LANES):
            lost = (abs(factor[i]) == np.inf) & (spent[j, i] == Real(0.0))
            spent[j, i] = where(lost, Real(0.0), spent[j, i] * factor[i])


def settle_tile(heads: Array, lanes: Array, ridge: Number, parameters: Any) -> None:
    """Turn the label's logit, its e and its worth into value and own gradient; find the factor of the others."""
    for i in range(LANES):
        top = np.float64(lanes[0, i])
        gap = where(heads[0, i] == top, 0.0, top - heads[0, i])
        rest = np.float64(lanes[1, i]) + np.float64(lanes[2, i])
        value, own, factor = head(gap, heads[1, i], top, rest, heads[2, i], ridge, parameters)
        heads[0, i], heads[1, i], lanes[3, i] = value, own, factor


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
    tile, spent = room(k, z.dtype), room(k, z.dtype)
    lanes = np.zeros((4, LANES), z.dtype)  # top, rest, ties, factor
    heads = np.zeros((3, LANES))  # the label's logit, its e, its worth; then value and own gradient
    places = np.zeros(LANES, np.int64)
    for start in range(0, n, LANES):
        rows = slice(start, min(start + LANES, n))
        worth(labels[rows], some_ignored, ignored, weights, scale[rows], places, heads[2])
        turn(z[rows], tile)
        crown(tile, lanes[0])
        spend_tile(tile, lanes[0], spent, lanes[1], lanes[2])
        for i in range(LANES):
            heads[0, i], heads[1, i] = tile[places[i], i], spent[places[i], i]
        settle(heads, lanes, ridge, parameters)
        for i in range(len(values[rows])):
            values[start + i] = heads[0, i]
        if slopes.size > 0:
            stretch(spent, lanes[3])
            turn_back(spent, slopes[rows])
            # Not into the tile: vectors that load numbers which have just been stored one by one must wait for them.
            for i in range(len(values[rows])):
                slopes[start + i, places[i]] = heads[1, i]
