"""Quantiles of many groups of numbers at once, as a leaf of a tree wants them.

The q-quantile of n numbers lies at the rank q (n - 1), counted from 0, and between two numbers on the straight line
(NumPy's default, and LightGBM's rule). It lies nearer the middle than the minimiser of the pinball loss, by up to one
rank, and trees with such leaves score better on rows they have not seen (by about 1 % for q = 0.9, 30,000 rows).

Small inputs are sorted. Large ones are narrowed down first, as in :mod:`.piecewise`: a sample says roughly where the
quantiles lie, one pass counts what lies below and gathers what lies around; a guess that missed is repaired.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import jit
from ..engine.compiled import compiled
from ..engine.pool import take_turns
from .piecewise import NARROW_FROM

Array = npt.NDArray[np.float64]
Index = npt.NDArray[Any]

# The sample has one in so many numbers. Pieces of the pass, whatever the number of threads.
_EVERY = 30
_PIECES = 16
# Numbers of a piece that are looked at together.
_BLOCK = 1024
# A bracket reaches this many standard deviations of the sampled rank, and so many ranks more, either way.
_DEVIATIONS = 4.0
_RANKS = 4.0


def group_quantiles(groups: Index, place: Array, score: Array, level: float, count: int) -> Array:
    """Return a quantile of place - score for each group.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        Group of each number, 0 ... count - 1.
    place, score : ndarray, shape (n,)
        The numbers are their differences, finite.
    level : float
        Between 0 and 1.
    count : int
        Number of groups.

    Returns
    -------
    ndarray, shape (count,)
        Quantiles; 0 for an empty group.

    Examples
    --------
    >>> group_quantiles(np.array([0, 0, 1, 0]), np.array([4.0, 1.0, 7.0, 2.0]), np.zeros(4), 0.75, 2).tolist()
    [3.0, 7.0]
    """
    if place.size < NARROW_FROM or not jit.available():
        return _by_sorting(groups, place - score, level, count)
    groups = groups.astype(np.int32, copy=False)
    low, high, found = np.empty(count), np.empty(count), np.zeros(count)
    _bracket(groups, place, score, _EVERY, level, low, high)
    missed = np.ones(count, bool)
    while missed.any():
        _sift_and_pick(groups, place, score, level, low, high, found, missed)
        # Groups that are done gather nothing more; the others everything.
        low, high = np.where(missed, -np.inf, np.inf), np.where(missed, np.inf, -np.inf)
    return found


def _by_sorting(groups: Index, numbers: Array, level: float, count: int) -> Array:
    order = np.lexsort((numbers, groups))
    sizes = np.bincount(groups, minlength=count)
    start, rank = np.cumsum(sizes) - sizes, level * np.maximum(sizes - 1, 0)
    whole = np.floor(rank).astype(np.intp)
    ordered = np.append(numbers[order], 0.0)
    low, high = ordered[start + whole], ordered[start + np.minimum(whole + 1, np.maximum(sizes - 1, 0))]
    return np.where(sizes > 0, low + (rank - whole) * (high - low), 0.0)


def _sift_and_pick(
    groups: Index, place: Array, score: Array, level: float, low: Array, high: Array, found: Array, missed: Index
) -> None:
    """Fill what was missed before, and tell what is missed still."""
    n, count = place.size, low.size
    edges = np.array([n * i // _PIECES for i in range(_PIECES + 1)])
    counts = np.zeros((_PIECES, count, 2), np.int64)  # of numbers that are not below the bracket, and that are
    # Fresh memory, of which only what lies inside a bracket is ever touched.
    inside, owner, gathered = np.empty(n), np.empty(n, np.int32), np.zeros(_PIECES, np.int64)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            tables = (counts[i].reshape(-1), inside, owner)
            gathered[i] = _sift(groups, place, score, low, high, edges[i], edges[i + 1], *tables)

    take_turns(_PIECES, work, 1)
    below = counts[..., 1].sum(axis=0)
    _pick(inside, owner, edges, gathered, below, counts.sum(axis=(0, 2)), level, found, missed)


@compiled()
def _bracket(groups, place, score, every, level, low, high):  # type: ignore[no-untyped-def]
    """Fill two numbers for each group between which its quantile probably lies."""
    ends = np.zeros(low.size + 1, np.int64)
    for i in range(0, groups.size, every):
        ends[groups[i] + 1] += 1
    for g in range(low.size):
        ends[g + 1] += ends[g]
    sample, at = np.empty(ends[low.size]), ends.copy()
    for i in range(0, groups.size, every):
        sample[at[groups[i]]] = place[i] - score[i]
        at[groups[i]] += 1
    for g in range(low.size):
        own = sample[ends[g] : ends[g + 1]]
        reach = _DEVIATIONS * math.sqrt(level * (1.0 - level) * own.size) + _RANKS
        first, last = math.floor(level * own.size - reach), math.ceil(level * own.size + reach)
        low[g] = _nth(own, first) if first >= 0 else -np.inf
        high[g] = _nth(own, last) if last < own.size else np.inf


@compiled()
def _sift(groups, place, score, low, high, start, stop, counts, inside, owner):  # type: ignore[no-untyped-def]
    """Count numbers and those below the brackets, and gather those inside; return how many these are.

    A block at a time: comparing is vector code, and a place that may be overwritten is one store of four bytes.
    """
    numbers, keys, marks = np.empty(_BLOCK), np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.uint32)
    chosen, position = np.empty(_BLOCK + 1, np.uint32), start
    for begin in range(start, stop, _BLOCK):
        count, found = min(_BLOCK, stop - begin), np.uint32(0)
        for i in range(count):
            g, x = np.uint32(groups[begin + i]), place[begin + i] - score[begin + i]
            numbers[i], keys[i] = x, 2 * np.int32(g) + np.int32(x < low[g])
            marks[i] = np.uint32(x >= low[g]) & np.uint32(x <= high[g])
        for i in range(count):
            counts[np.uint32(keys[i])] += 1
            chosen[found] = i
            found += marks[i]
        for k in range(np.int64(found)):
            i = chosen[k]
            inside[position + k], owner[position + k] = numbers[i], keys[i] >> 1
        position += np.int64(found)
    return position - start


@compiled()
def _pick(inside, owner, edges, gathered, below, sizes, level, found, missed):  # type: ignore[no-untyped-def]
    """Fill the quantiles that lie inside their brackets."""
    ends = np.zeros(found.size + 1, np.int64)
    for k in range(gathered.size):
        for i in range(edges[k], edges[k] + gathered[k]):
            ends[owner[i] + 1] += 1
    for g in range(found.size):
        ends[g + 1] += ends[g]
    numbers, at = np.empty(ends[found.size]), ends.copy()
    for k in range(gathered.size):
        for i in range(edges[k], edges[k] + gathered[k]):
            numbers[at[owner[i]]] = inside[i]
            at[owner[i]] += 1
    for g in range(found.size):
        if missed[g]:
            rank = level * max(sizes[g] - 1, 0)
            whole = math.floor(rank)
            own, near = numbers[ends[g] : ends[g + 1]], whole - below[g]
            further = near + 1 if whole + 1 < sizes[g] else near
            missed[g] = sizes[g] > 0 and (near < 0 or further >= own.size)
            if sizes[g] > 0 and not missed[g]:
                one = _nth(own, near)
                other = one if further == near else own[further:].min()  # what is larger has moved behind
                found[g] = one + (rank - whole) * (other - one)


def _nth(x: Any, n: Any) -> Any:
    """Return the number of rank n; what is smaller moves before it, what is larger behind (Hoare's FIND)."""
    first, last = 0, x.size - 1
    while first < last:
        pivot, i, j = x[(first + last) // 2], first, last
        while i <= j:
            while x[i] < pivot:
                i += 1
            while pivot < x[j]:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if n <= j:
            last = j
        elif n >= i:
            first = i
        else:
            return x[n]
    return x[n]
