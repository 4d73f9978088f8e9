"""Leaf values of trees grown for a loss without curvature: the exact minimiser of the loss in each leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import jit
from ..engine.compiled import compiled
from ..engine.pool import share
from ..optimize.piecewise import NARROW_FROM, minimise
from ..optimize.smoothing import kinks

Array = np.ndarray[Any, Any]

_PER_THREAD = 65_536
# Cells of the look-up table from a step to a leaf.
_CELLS = 4096


class LeafRefit:
    """Refits leaf values under a loss made of straight lines with one kink (absolute, pinball, hinge).

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
        self._away = np.empty_like(self._place)

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
            Minimisers of the weighted loss, such as a weighted quantile of the residuals.
        """
        subtract(self._place, score, self._away)
        return minimise(leaf, self._away, self._left, self._jump, count)


def subtract(x: Array, y: Array, out: Array) -> None:
    """Fill ``out`` with x - y, on all threads.

    Parameters
    ----------
    x, y, out : ndarray, shape (n,)
        The operands, and the array to fill; it may be one of them.
    """
    share(out.size, lambda a, b: np.subtract(x[a:b], y[a:b], out=out[a:b]), _PER_THREAD)


def copy(x: Array, out: Array) -> None:
    """Fill ``out`` with x, on all threads.

    Parameters
    ----------
    x, out : ndarray, shape (n,)
        What is copied, and the array to fill.
    """
    share(out.size, lambda a, b: np.copyto(out[a:b], x[a:b]), _PER_THREAD)


def leaves_of(step: Array, values: Array) -> Array:
    """Tell samples' leaves from what a tree added to their scores.

    Parameters
    ----------
    step : ndarray, shape (n,)
        Scores after the tree minus scores before.
    values : ndarray, shape (count,)
        The tree's leaf values.

    Returns
    -------
    ndarray of int32, shape (n,)
        The leaf whose value is nearest; of equal ones any.

    Examples
    --------
    >>> leaves_of(np.array([0.3, -0.1, 0.1 + 1e-16]), np.array([0.1, 0.3, -0.1])).tolist()
    [1, 2, 0]
    """
    order = np.argsort(values)
    middle = 0.5 * (values[order][1:] + values[order][:-1])
    leaf = np.empty(step.shape, np.int32)
    if step.size < NARROW_FROM or not jit.available():
        leaf[...] = order[np.searchsorted(middle, step)]
        return leaf
    low, high = (float(middle[0]), float(middle[-1])) if middle.size else (0.0, 0.0)
    scale = _CELLS / (high - low) if high > low else 0.0
    cells = np.arange(_CELLS) / scale + low if scale else np.full(_CELLS, low)
    before = np.searchsorted(middle, np.nextafter(cells, -np.inf)).astype(np.int32)
    names = order.astype(np.int32)
    arguments = (step, middle, before, names, low, scale, leaf)
    share(step.size, lambda start, stop: _look_up(*arguments, start, stop), _PER_THREAD)
    return leaf


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
    share(score.size, lambda start, stop: _add(score, leaf, values, start, stop), _PER_THREAD)


@compiled()
def _add(score, leaf, values, start, stop):  # type: ignore[no-untyped-def]
    """Do the work of ``add_leaves``."""
    for i in range(start, stop):
        score[i] += values[leaf[i]]


@compiled()
def _look_up(step, middle, before, names, low, scale, leaf, start, stop):  # type: ignore[no-untyped-def]
    """Start at the cell's first leaf; few cells hold an end between two leaves."""
    for i in range(start, stop):
        x = step[i]
        cell = int(min(max((x - low) * scale, 0.0), before.size - 1.0))
        position = before[cell]
        while position < middle.size and middle[position] < x:
            position += 1
        leaf[i] = names[position]
