"""Overlap of masks as a kernel: one pass over the pixels for its sums, one for the gradient.

Arrays come as (samples, before, classes, behind), whatever axis counts the classes; a mask without classes has
one. Work is cut into tiles: up to so many neighbouring pixels of one sample, with all their classes. What a tile
needs is loaded into a thread's own rows, in float64 and one row a class, so that the arithmetic runs on whole vectors
however the arrays lie. The cut depends on the shape only, so sums have the same bits on any number of threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..engine.compiled import compiled
from ..ops import exp, where, word

Array = Any
Number = Any

PROBABILITIES, SIGMOID, SOFTMAX = range(3)
BOTH, APART, SIZE = range(3)
# Numbers of a tile, so that its rows (four for each class) stay in the fastest cache; and the fewest pixels, since in
# short loops the checks before a vector loop cost more than it gains.
_TILE = 1024
_FEWEST = 256
_SUM = frozenset({"contract", "reassoc", "nsz"})


class Tiles(NamedTuple):
    """How a batch is cut.

    Attributes
    ----------
    width : int
        Pixels of a tile, along the last axis.
    chunks : int
        Tiles along that axis.
    per_sample : int
        Tiles of a sample.
    """

    width: int
    chunks: int
    per_sample: int


def tiles(shape: tuple[int, ...]) -> Tiles:
    """Cut samples of shape (samples, before, classes, behind) into tiles."""
    _, before, classes, behind = shape
    width = min(behind, max(_FEWEST, _TILE // classes // 8 * 8))
    chunks = -(-behind // width)
    return Tiles(width, chunks, before * chunks)


class Rows(NamedTuple):
    """What one thread works with: p, 1 - p, y and the slope, one row a class; and three rows over the pixels."""

    p: Array
    q: Array
    y: Array
    slope: Array
    top: Array
    rest: Array
    ties: Array


def rows_for(classes: Number, width: Number) -> Any:
    """Return a thread's arrays."""
    return Rows(
        np.empty((classes, width)),
        np.empty((classes, width)),
        np.empty((classes, width)),
        np.empty((classes, width)),
        np.empty(width),
        np.empty(width),
        np.empty(width),
    )


# --- a tile --------------------------------------------------------------------------------------------------


# Slices, since an index that might be negative keeps a loop scalar.


def load(f: Array, n: Number, a: Number, first: Number, size: Number, rows: Array) -> None:
    """Copy the pixels of a tile."""
    for c in range(f.shape[2]):
        pixels = f[n, a, c, first : first + size]
        for i in range(size):
            rows[c, i] = np.float64(pixels[i])


def load_targets(y: Array, indices: bool, n: Number, a: Number, first: Number, size: Number, rows: Array) -> None:
    """Copy the masks of a tile, or make them of class indices."""
    if not indices:
        load(y, n, a, first, size, rows)
        return
    pixels = y[n, a, 0, first : first + size]
    for c in range(rows.shape[0]):
        for i in range(size):
            rows[c, i] = 1.0 if pixels[i] == c else 0.0


@compiled(fastmath=_SUM)
def outside(row: Array, size: Number, nan_allowed: bool) -> Number:
    """Count what is not in [0, 1]."""
    found = 0.0
    for c in range(row.shape[0]):
        for i in range(size):
            x = row[c, i]
            inside = (x >= 0.0 and x <= 1.0) or (nan_allowed and x != x)
            found += 0.0 if inside else 1.0
    return found


@compiled(fastmath=_SUM)
def misnamed(y: Array, classes: Number, n: Number, a: Number, first: Number, size: Number) -> Number:
    """Count indices that name no class."""
    pixels = y[n, a, 0, first : first + size]
    found = 0.0
    for i in range(size):
        found += 0.0 if pixels[i] >= 0 and pixels[i] < classes else 1.0
    return found


def complements(p: Array, q: Array, size: Number) -> None:
    """Set q to 1 - p."""
    for c in range(p.shape[0]):
        for i in range(size):
            q[c, i] = 1.0 - p[c, i]


def sigmoids(p: Array, q: Array, size: Number) -> None:
    """Turn the logits in p into probabilities, q into their complements."""
    for c in range(p.shape[0]):
        for i in range(size):
            x = p[c, i]
            e = exp(-abs(x))
            high = 1.0 / (1.0 + e)
            p[c, i] = where(x >= 0.0, high, e * high)
            q[c, i] = where(x >= 0.0, e * high, high)


@word
def higher(x: Number, y: Number) -> Number:
    """Return the larger of two; y where x is NaN."""
    return where(x > y, x, y)


def softmaxes(p: Array, q: Array, top: Array, rest: Array, ties: Array, size: Number) -> None:
    """Turn the logits in p into probabilities over the classes, q into their complements."""
    top[:], rest[:], ties[:] = -math.inf, 0.0, -1.0
    for c in range(p.shape[0]):
        for i in range(size):
            top[i] = higher(p[c, i], top[i])
    # One of the largest stays out of the sum, so that neither p nor 1 - p of a sure pixel cancels.
    for c in range(p.shape[0]):
        for i in range(size):
            leads = p[c, i] >= top[i]
            e = exp(where(leads, 0.0, p[c, i] - top[i]))
            rest[i] += where(leads, 0.0, e)
            ties[i] += where(leads, 1.0, 0.0)
            p[c, i] = e
    inverse, complement = top, ties
    for i in range(size):
        others = rest[i] + ties[i]
        inverse[i] = 1.0 / (1.0 + others)
        complement[i] = others * inverse[i]
    for c in range(p.shape[0]):
        for i in range(size):
            share = p[c, i] * inverse[i]
            q[c, i] = where(p[c, i] == 1.0, complement[i], 1.0 - share)
            p[c, i] = share


def prepare(rows: Any, f: Array, link: Number, n: Number, a: Number, first: Number, size: Number) -> Number:
    """Load a tile's predictions as probabilities; return how many are outside the domain."""
    load(f, n, a, first, size, rows.p)
    if link == SIGMOID:
        sigmoids(rows.p, rows.q, size)
    elif link == SOFTMAX:
        softmaxes(rows.p, rows.q, rows.top, rows.rest, rows.ties, size)
    else:
        complements(rows.p, rows.q, size)
        return outside(rows.p, size, True)
    return 0.0


@compiled(fastmath=_SUM)
def overlap(p: Array, q: Array, y: Array, c: Number, size: Number, squared: bool) -> tuple[Number, Number, Number]:
    """Sum y p, what |A| + |B| exceeds twice of that by, and |A| + |B| over a row."""
    both, apart, whole = 0.0, 0.0, 0.0
    for i in range(size):
        a, b = y[c, i] * q[c, i], p[c, i] * (1.0 - y[c, i])
        both += y[c, i] * p[c, i]
        apart += (a - b) * (a - b) if squared else a + b
        whole += y[c, i] * y[c, i] + p[c, i] * p[c, i] if squared else y[c, i] + p[c, i]
    return both, apart, whole


def slopes(rows: Any, ratio: Array, gain: Array, squared: bool, size: Number) -> None:
    """Set the slope by p: gain times ratio - 2 y, or 2 (ratio p - y) for squared sizes."""
    p, y, slope = rows.p, rows.y, rows.slope
    for c in range(p.shape[0]):
        r, g = ratio[c], gain[c]
        for i in range(size):
            slope[c, i] = g * (2.0 * (r * p[c, i] - y[c, i]) if squared else r - 2.0 * y[c, i])


def through_link(rows: Any, link: Number, size: Number) -> None:
    """Turn the slope by p into that by what was given."""
    p, q, slope, mean = rows.p, rows.q, rows.slope, rows.rest
    if link == PROBABILITIES:
        return
    mean[:] = 0.0
    for c in range(p.shape[0] if link == SOFTMAX else 0):
        for i in range(size):
            mean[i] += slope[c, i] * p[c, i]
    for c in range(p.shape[0]):
        for i in range(size):
            slope[c, i] = p[c, i] * (slope[c, i] - mean[i]) if link == SOFTMAX else slope[c, i] * p[c, i] * q[c, i]


def store(slope: Array, place: Array, n: Number, a: Number, first: Number, size: Number) -> None:
    """Write a tile of the gradient."""
    for c in range(slope.shape[0]):
        pixels = place[n, a, c, first : first + size]
        for i in range(size):
            pixels[i] = slope[c, i]


# --- a share of the tiles -----------------------------------------------------------------------------------


def sum_up(
    f: Array,
    y: Array,
    indices: bool,
    link: Number,
    squared: bool,
    cut: Any,
    samples: Array,
    found: Array,
    faults: Array,
    start: Number,
    stop: Number,
) -> None:
    """Take the sums of tiles start ... stop - 1.

    Parameters
    ----------
    f : ndarray, shape (samples, before, classes, behind)
        Predictions.
    y : ndarray
        Masks of that shape, or class indices with one class.
    indices : bool
        Which of the two.
    link : int
        PROBABILITIES, SIGMOID or SOFTMAX.
    squared : bool
        Sizes as sums of squares.
    cut : Tiles
        How samples are cut.
    samples : ndarray of int
        The samples to be looked at.
    found : ndarray, shape (len(samples), tiles, classes, 3)
        For the sums of y p, of what is in one only, and of both sizes.
    faults : ndarray, shape (len(samples), tiles)
        For the number of entries outside their domain.
    start, stop : int
        Which of the tiles of all those samples.
    """
    rows = rows_for(f.shape[2], cut.width)
    for job in range(start, stop):
        j, tile = job // cut.per_sample, job % cut.per_sample
        n, a, first = samples[j], tile // cut.chunks, tile % cut.chunks * cut.width
        size = min(cut.width, f.shape[3] - first)
        faults[j, tile] = prepare(rows, f, link, n, a, first, size)
        load_targets(y, indices, n, a, first, size, rows.y)
        if indices:
            faults[j, tile] += misnamed(y, f.shape[2], n, a, first, size)
        else:
            faults[j, tile] += outside(rows.y, size, False)
        for c in range(f.shape[2]):
            both, apart, whole = overlap(rows.p, rows.q, rows.y, c, size, squared)
            found[j, tile, c, BOTH], found[j, tile, c, APART], found[j, tile, c, SIZE] = both, apart, whole


def descend(
    f: Array,
    y: Array,
    indices: bool,
    link: Number,
    squared: bool,
    cut: Any,
    samples: Array,
    ratio: Array,
    gain: Array,
    place: Array,
    start: Number,
    stop: Number,
) -> None:
    """Write the gradient of tiles start ... stop - 1; further parameters as for :func:`sum_up`.

    Parameters
    ----------
    ratio, gain : ndarray, shape (len(samples), classes)
        The overlap, and what a pixel's slope is multiplied with.
    place : ndarray of f's shape
        For the gradient.
    """
    rows = rows_for(f.shape[2], cut.width)
    for job in range(start, stop):
        j, tile = job // cut.per_sample, job % cut.per_sample
        n, a, first = samples[j], tile // cut.chunks, tile % cut.chunks * cut.width
        size = min(cut.width, f.shape[3] - first)
        prepare(rows, f, link, n, a, first, size)
        load_targets(y, indices, n, a, first, size, rows.y)
        slopes(rows, ratio[j], gain[j], squared, size)
        through_link(rows, link, size)
        store(rows.slope, place, n, a, first, size)


sum_up_double, sum_up_single = compiled()(sum_up), compiled(grade="single")(sum_up)
descend_double, descend_single = compiled()(descend), compiled(grade="single")(descend)
