"""Leaf values of trees grown for a loss without curvature: what minimises the loss in each leaf, or next to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import jit
from ..engine.compiled import compiled
from ..engine.pool import take_turns
from ..ops import where
from ..optimize.piecewise import NARROW_FROM, minimise
from ..optimize.quantiles import group_quantiles
from ..optimize.smoothing import kinks

Array = np.ndarray[Any, Any]

_PIECE = 65_536
# Samples whose leaves are searched at a time, and cells of the table where a search begins.
_BLOCK = 1024
_CELLS = 4096


class LeafRefit:
    """Refits leaf values under a loss made of straight lines with one kink (absolute, pinball, hinge).

    Rows of equal weight under the absolute and the pinball loss get LightGBM's rule, the quantile between two rows;
    all else gets the exact minimiser.

    Parameters
    ----------
    loss : Loss
        Elementwise.
    target : ndarray, shape (n,)
        In the loss's coding.
    weight : ndarray, shape (n,), optional
        Numbers >= 0.

    Examples
    --------
    >>> import lossmith as lm
    >>> refit = LeafRefit(lm.MeanAbsoluteError(), np.array([1.0, 2.0, 6.0, 5.0]))
    >>> refit.values(np.zeros(4), np.array([0, 0, 0, 1]), 2).tolist()
    [2.0, 5.0]
    """

    def __init__(self, loss: Any, target: Array, weight: Array | None = None) -> None:
        (kink,) = kinks(loss, np.asarray(target, np.float64))
        w = 1.0 if weight is None else np.asarray(weight, np.float64)
        self._place, self._left, self._jump = kink.place, kink.left * w, kink.jump * w
        self._level = _level(self._left, self._jump)

    def values(self, score: Array, leaf: Array, count: int) -> Array:
        """Return what to add to the scores of each leaf's samples.

        Parameters
        ----------
        score : ndarray, shape (n,)
            Present raw scores.
        leaf : ndarray of int, shape (n,)
            Leaf of each sample, 0 ... count - 1.
        count : int
            Number of leaves.

        Returns
        -------
        ndarray, shape (count,)
            Quantiles of the residuals, or minimisers of the weighted loss.
        """
        if self._level is not None:
            return group_quantiles(leaf, self._place, score, self._level, count)
        return minimise(leaf, self._place - score, self._left, self._jump, count)


def _level(left: Array, jump: Array) -> float | None:
    """Return the quantile that minimises a sum of these; None if they are unlike, or flat on one side."""
    if not (left[0] < 0.0 < left[0] + jump[0] and (left == left[0]).all() and (jump == jump[0]).all()):
        return None
    return float(-left[0] / jump[0])


def told_apart(values: Array, tolerance: float) -> tuple[Array, Array]:
    """Return the leaf values that can be told apart, and which of them each leaf has.

    Parameters
    ----------
    values : ndarray, shape (count,)
        Leaf values.
    tolerance : float
        Values no further apart are one.

    Examples
    --------
    >>> distinct, which = told_apart(np.array([0.3, -0.1, 0.3 + 1e-15]), 1e-14)
    >>> distinct.tolist(), which.tolist()
    ([-0.1, 0.3], [1, 0, 1])
    """
    order = np.argsort(values)
    new = np.diff(values[order], prepend=-np.inf) > tolerance
    which = np.empty(values.size, np.intp)
    which[order] = np.cumsum(new) - 1
    return values[order][new], which


def leaves_of(after: Array, before: Array, values: Array) -> Array:
    """Tell samples' leaves from what a tree added to their scores, and bring the scores before it up to date.

    Parameters
    ----------
    after : ndarray, shape (n,)
        Scores after the tree.
    before : ndarray, shape (n,)
        Scores before the tree; filled with those after it.
    values : ndarray, shape (count,)
        The tree's leaf values.

    Returns
    -------
    ndarray of int32, shape (n,)
        The leaf whose value is nearest; of equal ones any.

    Examples
    --------
    >>> leaves_of(np.array([0.3, -0.1, 0.1 + 1e-16]), np.zeros(3), np.array([0.1, 0.3, -0.1])).tolist()
    [1, 2, 0]
    """
    order = np.argsort(values)
    middle = 0.5 * (values[order][1:] + values[order][:-1])
    if after.size < NARROW_FROM or not jit.available():
        leaf = order[np.searchsorted(middle, after - before)].astype(np.int32)
        before[...] = after
        return leaf
    leaf = np.empty(after.shape, np.int32)
    arguments = (after, before, *_table(middle), order.astype(np.int32), leaf)
    take_turns(after.size, lambda start, stop: _look_up(*arguments, start, stop), _PIECE)
    return leaf


def _table(middle: Array) -> tuple[Array, Array, float, float, int]:
    """Return the ends of leaves, how many lie before each of many cells, the cells' origin and scale, and a step.

    The step is half of what a search by halving has to cover in the cell with most ends. An end and a sample's step
    find their cell by the same arithmetic, so that rounding cannot put them in a wrong order.
    """
    width = float(middle[-1] - middle[0]) if middle.size else 0.0
    origin, scale = (float(middle[0]), (_CELLS - 1) / width) if width > 0.0 else (0.0, 0.0)
    cell = np.clip((middle - origin) * scale, 0, _CELLS - 1).astype(np.intp)
    inside = np.bincount(cell, minlength=_CELLS)
    most = int(inside.max())
    ends = np.concatenate([middle, np.full(2 * most + 1, np.inf)])
    return ends, (np.cumsum(inside) - inside).astype(np.uint64), origin, scale, 2 ** most.bit_length() // 2


def add_leaves(score: Array, leaf: Array, values: Array) -> None:
    """Add each sample's leaf value to its score, in place.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Raw scores.
    leaf : ndarray of int, shape (n,)
        Leaf of each sample.
    values : ndarray, shape (count,)
        Leaf values.

    Examples
    --------
    >>> score = np.zeros(3)
    >>> add_leaves(score, np.array([1, 0, 1]), np.array([0.5, 2.0]))
    >>> score.tolist()
    [2.0, 0.5, 2.0]
    """
    if score.size < NARROW_FROM or not jit.available():
        score += values[leaf]
        return
    take_turns(score.size, lambda start, stop: _add(score, leaf, values, start, stop), _PIECE)


@compiled()
def _add(score, leaf, values, start, stop):  # type: ignore[no-untyped-def]
    """Do the work of ``add_leaves``."""
    for i in range(start, stop):
        score[i] += values[leaf[i]]


@compiled()
def _look_up(after, before, ends, base, origin, scale, half, names, leaf, start, stop):  # type: ignore[no-untyped-def]
    """Search each sample's step among the ends of leaves: a block at a time, so that each halving is vector code."""
    steps, places = np.empty(_BLOCK), np.empty(_BLOCK, np.uint64)  # an index that may be negative is checked
    for begin in range(start, stop, _BLOCK):
        count = min(_BLOCK, stop - begin)
        for i in range(count):
            step = after[begin + i] - before[begin + i]
            before[begin + i] = after[begin + i]
            steps[i] = step
            cell = (step - origin) * scale
            cell = where(cell > 0.0, cell, 0.0)  # also what is no number
            places[i] = base[np.uint64(where(cell < _CELLS - 1.0, cell, _CELLS - 1.0))]
        covered = half
        while covered > 0:
            for i in range(count):
                places[i] += np.uint64(covered) * np.uint64(ends[places[i] + np.uint64(covered - 1)] < steps[i])
            covered //= 2
        for i in range(count):
            leaf[begin + i] = names[places[i]]
