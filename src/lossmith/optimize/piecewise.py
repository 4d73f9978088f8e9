"""Minimisers of sums of piecewise linear functions, one sum for each group: quantiles of leaves, and their like.

Small inputs are sorted. Large ones are narrowed down first: a sample of each group says roughly where its
minimiser lies, one pass over all functions counts what lies below and gathers the few that lie around it, and
only those are sorted. The answer is the same; a guess that missed is noticed and repaired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import jit
from ..engine.compiled import compiled
from ..engine.pool import share
from .smoothing import Kink

Array = npt.NDArray[np.float64]
Index = npt.NDArray[Any]

# Below this many functions a sort takes a few milliseconds at most.
NARROW_FROM = 32_768
# The sample has this many functions or, of many, every so many-th. Pieces the pass is cut into, whatever the number of
# threads, so that sums are the same.
_SAMPLE = 8_192
_EVERY = 30
_PIECES = 16
# A bracket reaches this many standard deviations of the sampled rank, and at least so many ranks, either way.
_DEVIATIONS = 4.0
_RANKS = 4.0
# Slopes this small relative to the group's are 0: what rounding leaves of sums that cancel.
_ZERO = 1e-10


def piecewise_minimum(groups: Index, kink: Kink, weight: Array, count: int) -> Array:
    """Minimise sums of piecewise linear functions with one kink each, one sum for each group, exactly.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        Group of each function, 0 ... count - 1.
    kink : Kink
        Place, left slope and jump (> 0) of each function.
    weight : ndarray, shape (n,)
        Weight of each function, >= 0.
    count : int
        Number of groups.

    Returns
    -------
    ndarray, shape (count,)
        Minimisers: weighted quantiles when the functions are pinball losses. The middle of an interval of
        minimisers; if that is a half-line its end or 0, whichever is inside; 0 for an empty group.

    Examples
    --------
    >>> import numpy as np
    >>> from lossmith.optimize.smoothing import Kink
    >>> absolute = Kink(place=np.array([0.0, 1.0, 5.0]), left=-np.ones(3), jump=2 * np.ones(3))
    >>> piecewise_minimum(np.array([0, 0, 0]), absolute, np.ones(3), 1).tolist()
    [1.0]
    """
    return minimise(groups, kink.place, weight * kink.left, weight * kink.jump, count)


def minimise(groups: Index, place: Array, left: Array, jump: Array, count: int) -> Array:
    """Do the work of :func:`piecewise_minimum` for slopes and jumps that are weighted already."""
    if place.size < NARROW_FROM or not jit.available():
        totals = _Totals.of(groups, left, jump, count)
        return _by_sorting(groups, place, jump, totals)[0]
    return _by_narrowing(groups, place, left, jump, count)


@dataclass(frozen=True)
class _Totals:
    """Of each group: slope left of all places still in question, size of the largest slope, number of functions."""

    left: Array
    scale: Array
    counts: Array

    @classmethod
    def of(cls, groups: Index, left: Array, jump: Array, count: int) -> _Totals:
        slope = np.bincount(groups, weights=left, minlength=count).astype(np.float64)
        mass = np.bincount(groups, weights=jump, minlength=count)
        return cls(slope, np.maximum(mass, np.abs(slope)), np.bincount(groups, minlength=count).astype(np.float64))


def _by_sorting(groups: Index, place: Array, jump: Array, totals: _Totals) -> tuple[Array, Array, Array]:
    """Minimisers, and the ends of the intervals of minimisers."""
    count = totals.left.size
    order = _order(groups, place, count)
    place, sorted_groups, jumps = place[order], groups[order], jump[order]
    ends = np.cumsum(np.bincount(groups, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])
    # Slope of each group's sum just after each of its kinks.
    running = np.cumsum(jumps)
    before = np.concatenate([[0.0], running])[starts]
    after = totals.left[sorted_groups] + running - before[sorted_groups]
    tolerance = _ZERO * totals.scale
    first = _first_true(after >= -tolerance[sorted_groups], sorted_groups, ends)
    last = _first_true(after > tolerance[sorted_groups], sorted_groups, ends)
    padded = np.append(place, 0.0)
    low = np.where(totals.left >= -tolerance, -np.inf, np.where(first < ends, padded[first], np.inf))
    high = np.where(last < ends, padded[last], np.inf)
    found = np.clip(0.0, low, high)
    bounded = np.isfinite(low) & np.isfinite(high)
    found[bounded] = 0.5 * (low[bounded] + high[bounded])
    return np.where(totals.counts > 0, found, 0.0), low, high


def _order(groups: Index, place: Array, count: int) -> npt.NDArray[np.intp]:
    """Order by group, then by place; a stable sort of short integers is a radix sort, twice as fast as a lexsort."""
    order = np.argsort(place)
    narrow = groups[order].astype(np.int16) if count < 2**15 else groups[order]
    return order[np.argsort(narrow, kind="stable")]


def _first_true(flags: npt.NDArray[np.bool_], groups: Index, ends: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Position of the first true flag of each group, or the group's end."""
    found = ends.copy()
    places = np.flatnonzero(flags)
    np.minimum.at(found, groups[places], places)
    return found


def _by_narrowing(groups: Index, place: Array, left: Array, jump: Array, count: int) -> Array:
    low, high = _brackets(groups, place, left, jump, count)
    found, wrong = np.zeros(count), np.ones(count, bool)
    while wrong.any():
        totals, chosen = _gather(groups, place, left, jump, low, high)
        values, begin, end = _by_sorting(groups[chosen], place[chosen], jump[chosen], totals)
        found[wrong] = values[wrong]
        # The minimisers lie inside unless the slope has its sign already below the bracket, or not yet above it.
        wrong &= ((low > -np.inf) & (begin == -np.inf)) | ((high < np.inf) & (end == np.inf))
        # Groups that are done gather nothing more; the others everything.
        low, high = np.where(wrong, -np.inf, np.inf), np.full(count, np.inf)
    return found


def _brackets(groups: Index, place: Array, left: Array, jump: Array, count: int) -> tuple[Array, Array]:
    """Two places for each group between which its minimisers probably lie, from a sample."""
    part = slice(None, None, min(max(1, place.size // _SAMPLE), _EVERY))
    group, place, left, jump = groups[part], place[part], left[part], jump[part]
    order = _order(group, place, count)
    group, place, jump = group[order], place[order], jump[order]
    counts = np.bincount(group, minlength=count)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    mass = np.bincount(group, weights=jump, minlength=count)
    total = -np.bincount(group, weights=left[order], minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_below = np.clip(total / mass, 0.0, 1.0)
        spread = np.sqrt(share_below * (1.0 - share_below) / counts)
        # Unequal weights make a sampled share less certain.
        spread *= np.sqrt(counts * np.bincount(group, weights=jump * jump, minlength=count)) / mass
        reach = mass * (_DEVIATIONS * spread + _RANKS / counts)
    running = np.concatenate([[0.0], np.cumsum(jump)])
    base = running[starts]
    low = np.searchsorted(running, base + total - reach, side="right") - 1
    high = np.searchsorted(running, base + total + reach, side="left")
    padded = np.append(place, 0.0)
    # Where the sample's ends are reached, the bracket has none.
    below = np.where(low > starts, padded[np.clip(low, 0, place.size)], -np.inf)
    above = np.where(high < starts + counts, padded[np.clip(high, 0, place.size)], np.inf)
    empty = ~(mass > 0)
    return np.where(empty, -np.inf, below), np.where(empty, np.inf, above)


def _gather(
    groups: Index, place: Array, left: Array, jump: Array, low: Array, high: Array
) -> tuple[_Totals, npt.NDArray[np.intp]]:
    """Sum up what lies outside the brackets; return the totals and the numbers of the functions inside."""
    edges = [place.size * i // _PIECES for i in range(_PIECES + 1)]
    sums = np.zeros((_PIECES, low.size, 4))
    inside = np.empty(place.size, np.int32)
    found = [0] * _PIECES

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            found[i] = _pass(groups, place, left, jump, low, high, edges[i], edges[i + 1], sums[i], inside)

    share(_PIECES, work)
    slope, mass, below, counts = sums.sum(axis=0).T
    totals = _Totals(slope + below, np.maximum(mass, np.abs(slope)), counts)
    chosen = np.concatenate([inside[edges[i] : edges[i] + found[i]] for i in range(_PIECES)])
    return totals, chosen.astype(np.intp)


@compiled()
def _pass(groups, place, left, jump, low, high, start, stop, sums, inside):  # type: ignore[no-untyped-def]
    """Add up slopes, jumps, jumps below the bracket and counts; list what lies inside."""
    position = start
    for i in range(start, stop):
        g = groups[i]
        x, mass = place[i], jump[i]
        sums[g, 0] += left[i]
        sums[g, 1] += mass
        sums[g, 2] += mass if x < low[g] else 0.0
        sums[g, 3] += 1.0
        if low[g] <= x <= high[g]:
            inside[position] = i
            position += 1
    return position - start
