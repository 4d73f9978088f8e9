"""Loops over rows of logits whose coefficients lie on many classes: soft targets, smoothed labels.

For formulas marked ``in_float32`` the arithmetic on single logits of float32 is in float32, for all others in
float64: the value of a divergence, near its optimum, is a difference of equal numbers, which float32 would leave
without a digit. Sums that are subtracted from are float64 in any case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import log1p, times, where
from ..ops.arrays import Softmax
from .rows_hard import BLOCK
from .rows_tiles import LANES, room

Array = Any
Number = Any
Shares = tuple[Number, Number, Number, Number]  # 1 / total, rest / total, log(total), the leader's mark

# What the loops are completed with.
Real: Any = None  # dtype of the arithmetic on single logits
highest: Any = None  # the largest entry of a row, from its bits
falling: Any = None  # e^x for x <= 0
term: Any = None  # term(c, parts, *parameters): what one class adds to the value
pull: Any = None  # pull(c, parts, *parameters): its derivative by log p
mix: Any = None  # one of the four functions that fill coefficients
census: Any = None  # census_of_row, compiled to add in several lanes
blend: Any = None  # blend_row, likewise
spend: Any = None  # rows_hard.spend_row, likewise
weigh: Any = None  # weigh_row, likewise
weigh_one: Any = None  # the same for one class
spread: Any = None  # spread_row, compiled
share_out: Any = None  # shares_of_row, likewise
level_out: Any = None  # levelled_row, likewise
weigh_tile: Any = None  # the same three for a tile
spread_tile: Any = None
share_out_tile: Any = None
# The steps of a tile, likewise.
turn: Any = None
turn_back: Any = None
crown: Any = None
spend_tile: Any = None


def census_of_row(y: Array) -> tuple[Number, Number]:
    """Return the sum of a row and how many entries are no probabilities."""
    total, outside = 0.0, 0.0
    for j in range(y.size):
        p = np.float64(y[j])
        total += p
        outside += where((p >= 0.0) & (p <= 1.0), 0.0, 1.0)
    return total, outside


def blend_row(y: Array, keep: Number, even: Number, weights: Array, c: Array) -> Number:
    """Fill the coefficients, (keep y + even) times the class weights; return their sum."""
    mass = 0.0
    for j in range(c.size):
        c[j] = weights[j] * (keep * np.float64(y[j]) + even)
        mass += np.float64(c[j])
    return mass


def mix_rows(
    y: Array, r: Number, keep: Number, even: Number, weights: Array, some_ignored: bool, ignored: Number, c: Array
) -> Number:
    """Fill the coefficients of a row of targets and return their sum; -1 for one that is no distribution.

    Without weights they are the targets themselves.
    """
    total, outside = census(y[r])
    if outside > 0.0 or not abs(total - 1.0) <= 1e-3:
        return -1.0
    if weights.size > 0:
        return blend(y[r], keep, even * total, weights, c)
    for j in range(c.size):
        c[j] = y[r, j]
    return total


def mix_labels(
    y: Array, r: Number, keep: Number, even: Number, weights: Array, some_ignored: bool, ignored: Number, c: Array
) -> Number:
    """Fill the coefficients of a label, which is known to be valid, and return their sum."""
    label = y[r]
    if some_ignored and label == ignored:
        c[:] = 0.0
        return 0.0
    mass = 0.0
    for j in range(c.size):
        c[j] = even * weights[j]
        mass += c[j]
    c[label] += keep * weights[label]
    return mass + keep * weights[label]


def mix_tile_of_rows(
    y: Array, keep: Number, even: Number, weights: Array, some_ignored: bool, ignored: Number, c: Array, lanes: Array
) -> Number:
    """Fill the coefficients of a tile of target rows, and their sums; return a row that is no distribution, or -1."""
    turn(y, c)
    for i in range(LANES):
        lanes[0, i] = 0.0
        lanes[1, i] = 0.0
        lanes[2, i] = 0.0
    for j in range(len(c)):
        for i in range(LANES):
            lanes[1, i] += np.float64(c[j, i])
            lanes[2, i] += where((c[j, i] >= Real(0.0)) & (c[j, i] <= Real(1.0)), 0.0, 1.0)
    for i in range(len(y)):
        if lanes[2, i] > 0.0 or not abs(lanes[1, i] - 1.0) <= 1e-3:
            return i
    if weights.size == 0:
        for i in range(LANES):  # not in one assignment: numba compiles its error message, for longer than the tile
            lanes[0, i] = lanes[1, i]
        return -1
    for j in range(len(c)):
        for i in range(LANES):
            c[j, i] = weights[j] * (keep * np.float64(c[j, i]) + even * lanes[1, i])
            lanes[0, i] += np.float64(c[j, i])
    return -1


def mix_tile_of_labels(
    y: Array, keep: Number, even: Number, weights: Array, some_ignored: bool, ignored: Number, c: Array, lanes: Array
) -> Number:
    """Fill the coefficients of a tile of labels, which are known to be valid, and their sums."""
    for i in range(len(y)):
        lanes[0, i], lanes[1, i] = 0.0, 0.0 if some_ignored and y[i] == ignored else 1.0
    for j in range(len(c)):
        for i in range(LANES):
            c[j, i] = even * weights[j] * lanes[1, i]
            lanes[0, i] += np.float64(c[j, i])
    for i in range(len(y)):
        label = y[i] if lanes[1, i] > 0.0 else 0
        c[label, i] += keep * weights[label] * lanes[1, i]
        lanes[0, i] += keep * weights[label] * lanes[1, i]
    return -1


def shares_of_row(rest: Number) -> Shares:
    """Return 1 / total, rest / total, log(total), and the e by which a leader without equals is known.

    Only its p can be near 1, where 1 - p would cancel; that is rest / total. Others have p <= 1/2.
    """
    total = 1.0 + rest
    return 1.0 / total, rest / total, log1p(rest), where(rest < 1.0, 1.0, 2.0)


def weigh_class(
    c: Number, gap: Number, e: Number, inverse: Number, others: Number, low: Number, lead: Number, parameters: Any
) -> tuple[Number, Number]:
    """Return what a class adds to the value, and its derivative by log p."""
    p = e * inverse
    parts = Softmax(p, where(e == lead, others, Real(1.0) - p), gap + low)
    return term(c, parts, *parameters), pull(c, parts, *parameters)


def weigh_row(
    row: Array, top: Number, spent: Array, c: Array, shares: Shares, parameters: Any
) -> tuple[Number, Number]:
    """Sum value and derivatives over a row; leave the derivatives by log p in ``c``."""
    inverse, others, low, lead = Real(shares[0]), Real(shares[1]), Real(shares[2]), Real(shares[3])
    value, pulled = Real(0.0), 0.0
    for j in range(c.size):
        x = Real(row[j])
        gap = where(x == top, Real(0.0), top - x)
        v, a = weigh_one(c[j], gap, spent[j], inverse, others, low, lead, parameters)
        value += v
        c[j] = a
    for j in range(c.size):
        pulled += np.float64(c[j])
    return np.float64(value), pulled


def levelled_row(
    value: Number, pulled: Number, mass: Number, top: Number, shares: Shares, ridge: Number
) -> tuple[Number, Number, Number, Number, Number]:
    """Return the value with its ridge, and what the gradient is made of; see :func:`spread_row`."""
    inverse, others, low, _ = shares
    level = top + low
    height = np.float64(Real(pulled))
    lift = others * pulled - (pulled - height)
    raised = value + times(ridge * mass, level * level)
    return raised, inverse * pulled, height, lift, times(2.0 * ridge * mass, level)


def spread_row(spent: Array, a: Array, lead: Number, share: Number, height: Number, lift: Number, out: Array) -> None:
    """Fill the gradient a - p sum(a): for the leader (a - sum(a)) + (1 - p) sum(a), which does not cancel."""
    for j in range(out.size):
        e = spent[j]
        out[j] = where(e == lead, (a[j] - height) + lift, a[j] - e * share)


def long_rows(
    z: Array,
    bits: Array,
    y: Array,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    ridge: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> Number:
    """Fill values (n,) and, unless it is empty, slopes (n, k); return the first bad row, or -1."""
    n, k = z.shape
    c, spent = np.empty(k, Real), np.empty(k, Real)
    for r in range(n):
        mass = mix(y, r, keep, even, weights, some_ignored, ignored, c)
        if mass < 0.0:
            return r
        top = Real(highest(bits[r]))
        rest, ties, value, pulled = 0.0, -1.0, 0.0, 0.0
        for start in range(0, k, BLOCK):
            part, tied = spend(z[r, start : start + BLOCK], top, spent[start : start + BLOCK])
            rest += part
            ties += tied
        shares = share_out(rest + ties)
        for start in range(0, k, BLOCK):
            here = slice(start, start + BLOCK)
            v, a = weigh(z[r, here], top, spent[here], c[here], shares, parameters)
            value += v
            pulled += a
        values[r], share, height, lift, tilt = level_out(value, pulled, mass, np.float64(top), shares, ridge)
        if slopes.size > 0:
            spread(spent, c, Real(shares[3]), Real(share), Real(height), Real(lift), slopes[r])
            if tilt != 0.0:
                for j in range(k):
                    slopes[r, j] += times(spent[j] * shares[0], tilt)
    return -1


def shares_of_tile(lanes: Array, wide: Array) -> None:
    """Turn rest and ties into 1 / total, rest / total, log(total) and the leader's mark."""
    for i in range(LANES):
        rest = np.float64(lanes[1, i]) + np.float64(lanes[2, i])
        inverse, others, low, lead = share_out(rest)
        wide[2, i], wide[3, i], wide[4, i], wide[5, i] = inverse, others, low, lead
        lanes[1, i], lanes[2, i], lanes[3, i], lanes[4, i] = inverse, others, low, lead


def weigh_classes(tile: Array, spent: Array, c: Array, lanes: Array, wide: Array, parameters: Any) -> None:
    """Sum values and derivatives of a tile; leave the derivatives by log p in ``c``."""
    for i in range(LANES):
        lanes[5, i] = Real(0.0)
        wide[1, i] = 0.0
    for j in range(len(c)):
        for i in range(LANES):
            gap = where(tile[j, i] == lanes[0, i], Real(0.0), lanes[0, i] - tile[j, i])
            inverse, others, low, lead = lanes[1, i], lanes[2, i], lanes[3, i], lanes[4, i]
            v, a = weigh_one(c[j, i], gap, spent[j, i], inverse, others, low, lead, parameters)
            lanes[5, i] += v
            wide[1, i] += np.float64(a)
            c[j, i] = a


def spread_over_tile(spent: Array, c: Array, lanes: Array, wide: Array, masses: Array, ridge: Number) -> None:
    """Turn the derivatives by log p into the gradient; put the values into the first lane."""
    for i in range(LANES):
        shares = wide[2, i], wide[3, i], wide[4, i], wide[5, i]
        value, top = np.float64(lanes[5, i]), np.float64(lanes[0, i])
        wide[0, i], share, height, lift, wide[6, i] = level_out(value, wide[1, i], masses[i], top, shares, ridge)
        lanes[1, i], lanes[2, i], lanes[3, i] = share, height, lift
    for j in range(len(c)):
        for i in range(LANES):
            e = spent[j, i]
            led = (c[j, i] - lanes[2, i]) + lanes[3, i]
            c[j, i] = where(e == lanes[4, i], led, c[j, i] - e * lanes[1, i])
    if ridge != 0.0:
        for j in range(len(c)):
            for i in range(LANES):
                c[j, i] += times(spent[j, i] * wide[2, i], wide[6, i])


def short_rows(
    z: Array,
    bits: Array,
    y: Array,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    ridge: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> Number:
    """Do the same for rows that are too short to fill vectors: a tile of rows is turned."""
    n, k = z.shape
    tile, c, spent = room(k, Real), room(k, Real), room(k, Real)
    # top, 1 / total or share, rest / total or height, log(total) or lift, the leader's mark, value
    lanes = np.zeros((6, LANES), Real)
    # value, sum of derivatives, 1 / total, rest / total, log(total), the leader's mark, tilt
    wide, masses = np.zeros((7, LANES)), np.zeros((3, LANES))
    for start in range(0, n, LANES):
        rows = slice(start, min(start + LANES, n))
        turn(z[rows], tile)
        bad = mix(y[rows], keep, even, weights, some_ignored, ignored, c, masses)
        if bad >= 0:
            return start + bad
        crown(tile, lanes[0])
        spend_tile(tile, lanes[0], spent, lanes[1], lanes[2])
        share_out_tile(lanes, wide)
        weigh_tile(tile, spent, c, lanes, wide, parameters)
        spread_tile(spent, c, lanes, wide, masses[0], ridge)
        for i in range(len(values[rows])):
            values[start + i] = wide[0, i]
        if slopes.size > 0:
            turn_back(c, slopes[rows])
    return -1
