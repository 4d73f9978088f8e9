"""Loops over rows of logits whose coefficients lie on many classes: soft targets, smoothed labels.

All arithmetic is in float64 whatever the dtype of the logits: near the optimum, where p meets the targets, value
and gradient are differences of equal numbers, which float32 would leave without a digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import log1p, times, where
from ..ops.arrays import Softmax

Array = Any
Number = Any

LANES = 64

# What the loops are completed with.
highest: Any = None  # the largest entry of a row, from its bits
falling: Any = None  # e^x for x <= 0
term: Any = None  # term(c, parts, *parameters): what one class adds to the value
pull: Any = None  # pull(c, parts, *parameters): its derivative by log p
mix: Any = None  # one of the four functions that fill coefficients
census: Any = None  # census_of_row, compiled to add in several lanes
blend: Any = None  # blend_row, likewise
spend: Any = None  # rows_hard.spend_row in float64, likewise
weigh: Any = None  # weigh_row, likewise
weigh_one: Any = None  # the same for one class


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
        mass += c[j]
    return mass


def mix_rows(
    y: Array, r: Number, keep: Number, even: Number, weights: Array, some_ignored: bool, ignored: Number, c: Array
) -> Number:
    """Fill the coefficients of a row of targets and return their sum; -1 for one that is no distribution."""
    total, outside = census(y[r])
    if outside > 0.0 or not abs(total - 1.0) <= 1e-3:
        return -1.0
    return blend(y[r], keep, even * total, weights, c)


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
    y: Array,
    start: Number,
    count: Number,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    c: Array,
    lanes: Array,
) -> Number:
    """Fill the coefficients of a tile of target rows, and their sums; return a row that is no distribution, or -1."""
    k = weights.size
    for j in range(k):
        for i in range(count):
            c[j, i] = y[start + i, j]
    for i in range(LANES):
        lanes[0, i] = 0.0
        lanes[1, i] = 0.0
        lanes[2, i] = 0.0
    for j in range(k):
        for i in range(LANES):
            lanes[1, i] += c[j, i]
            lanes[2, i] += where((c[j, i] >= 0.0) & (c[j, i] <= 1.0), 0.0, 1.0)
    for i in range(count):
        if lanes[2, i] > 0.0 or not abs(lanes[1, i] - 1.0) <= 1e-3:
            return start + i
    for j in range(k):
        for i in range(LANES):
            c[j, i] = weights[j] * (keep * c[j, i] + even * lanes[1, i])
            lanes[0, i] += c[j, i]
    return -1


def mix_tile_of_labels(
    y: Array,
    start: Number,
    count: Number,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    c: Array,
    lanes: Array,
) -> Number:
    """Fill the coefficients of a tile of labels, which are known to be valid, and their sums."""
    k = weights.size
    for i in range(count):
        left = 0.0 if some_ignored and y[start + i] == ignored else 1.0
        lanes[0, i], lanes[1, i] = 0.0, left
    for j in range(k):
        for i in range(LANES):
            c[j, i] = even * weights[j] * lanes[1, i]
            lanes[0, i] += c[j, i]
    for i in range(count):
        label = y[start + i] if lanes[1, i] > 0.0 else 0
        c[label, i] += keep * weights[label] * lanes[1, i]
        lanes[0, i] += keep * weights[label] * lanes[1, i]
    return -1


def weigh_class(
    c: Number, gap: Number, e: Number, inverse: Number, others: Number, low: Number, parameters: Any
) -> tuple[Number, Number, Number, Number]:
    """Return what a class adds to the value, its derivative a by log p, p, and a (1 - p)."""
    p = e * inverse
    q = where(gap == 0.0, others, 1.0 - p)
    parts = Softmax(p, q, gap + low)
    a = pull(c, parts, *parameters)
    return term(c, parts, *parameters), a, p, a * q


def weigh_row(
    row: Array,
    top: Number,
    spent: Array,
    c: Array,
    bent: Array,
    inverse: Number,
    others: Number,
    low: Number,
    parameters: Any,
) -> tuple[Number, Number]:
    """Sum value and derivatives over a row; leave p in ``spent``, a in ``bent`` and a (1 - p) in ``c``."""
    value, pulled = 0.0, 0.0
    for j in range(c.size):
        x = np.float64(row[j])
        gap = where(x == top, 0.0, top - x)
        v, a, p, own = weigh_one(c[j], gap, spent[j], inverse, others, low, parameters)
        value += v
        pulled += a
        spent[j], bent[j], c[j] = p, a, own
    return value, pulled


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
    c, spent, bent = np.empty(k), np.empty(k), np.empty(k)
    for r in range(n):
        mass = mix(y, r, keep, even, weights, some_ignored, ignored, c)
        if mass < 0.0:
            return r
        top = np.float64(highest(bits[r]))
        rest, ties = spend(z[r], top, spent)
        rest += ties - 1.0
        total, low = 1.0 + rest, log1p(rest)
        value, pulled = weigh(z[r], top, spent, c, bent, 1.0 / total, rest / total, low, parameters)
        tilt = times(2.0 * ridge * mass, top + low)
        values[r] = value + times(ridge * mass, (top + low) * (top + low))
        if slopes.size > 0:
            out = slopes[r]
            for j in range(k):
                out[j] = c[j] - spent[j] * (pulled - bent[j]) + times(spent[j], tilt)
    return -1


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
    tile, c, spent, bent = np.zeros((k, LANES)), np.zeros((k, LANES)), np.zeros((k, LANES)), np.zeros((k, LANES))
    lanes = np.zeros((7, LANES))  # top, ties, 1 / total, rest / total, value, pulled, tilt
    low, masses = np.zeros(LANES), np.zeros((3, LANES))
    for start in range(0, n, LANES):
        count = min(LANES, n - start)
        block = z[start : start + count]
        for j in range(k):
            for i in range(count):
                tile[j, i] = block[i, j]
        bad = mix(y, start, count, keep, even, weights, some_ignored, ignored, c, masses)
        if bad >= 0:
            return bad
        for i in range(LANES):
            lanes[0, i] = -np.inf
            lanes[1, i] = -1.0
            lanes[4, i] = 0.0
            lanes[5, i] = 0.0
        for j in range(k):
            for i in range(LANES):
                lanes[0, i] = where(tile[j, i] > lanes[0, i], tile[j, i], lanes[0, i])
        for i in range(LANES):
            lanes[2, i] = 0.0
        for j in range(k):
            for i in range(LANES):
                gap = where(tile[j, i] == lanes[0, i], 0.0, tile[j, i] - lanes[0, i])
                spent[j, i] = falling(gap)
                lanes[1, i] += where(gap == 0.0, 1.0, 0.0)  # ties
                lanes[2, i] += where(gap == 0.0, 0.0, spent[j, i])
        for i in range(LANES):
            rest = lanes[1, i] + lanes[2, i]
            low[i] = log1p(rest)
            lanes[2, i], lanes[3, i] = 1.0 / (1.0 + rest), rest / (1.0 + rest)
        for j in range(k):
            for i in range(LANES):
                gap = where(tile[j, i] == lanes[0, i], 0.0, lanes[0, i] - tile[j, i])
                v, a, p, own = weigh_one(c[j, i], gap, spent[j, i], lanes[2, i], lanes[3, i], low[i], parameters)
                lanes[4, i] += v
                lanes[5, i] += a
                spent[j, i], bent[j, i], c[j, i] = p, a, own
        for i in range(LANES):
            level, mass = lanes[0, i] + low[i], masses[0, i]
            lanes[4, i] += times(ridge * mass, level * level)
            lanes[6, i] = times(2.0 * ridge * mass, level)
        for i in range(count):
            values[start + i] = lanes[4, i]
        if slopes.size > 0:
            for j in range(k):
                for i in range(LANES):
                    tilted = times(spent[j, i], lanes[6, i])
                    c[j, i] += tilted - spent[j, i] * (lanes[5, i] - bent[j, i])
            for j in range(k):
                for i in range(count):
                    slopes[start + i, j] = c[j, i]
    return -1
