"""Coordinate descent on a quadratic with a separable penalty, compiled around the penalty's proximal step."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import jit
from ..engine.compiled import compiled
from ..engine.jit import SUMS
from .penalties import Separable

Array = npt.NDArray[np.float64]


def minimise(
    matrix: Array,
    gradient: Array,
    w: Array,
    penalty: Separable,
    free: int,
    brake: float,
    tolerance: float,
    sweeps: int = 10_000,
) -> Array:
    """Minimise gradient @ (u - w) + (u - w)' (matrix + brake) (u - w) / 2 + penalty(u), coordinate by coordinate.

    Parameters
    ----------
    matrix : ndarray, shape (k, k), C-contiguous
        Symmetric, >= 0. A coordinate with 0 on the diagonal stays.
    gradient, w : ndarray, shape (k,)
        Of the quadratic at w; where to start.
    penalty : Separable
        Acts on all coordinates but the last ones.
    free : int
        How many of the last coordinates bear no penalty.
    brake : float
        Added to the diagonal, >= 0.
    tolerance : float
        A sweep whose largest change of the gradient (diagonal times step) is below this is the last.
    sweeps : int
        At most so many.

    Returns
    -------
    ndarray, shape (k,)
    """
    found = w.copy()
    run: Any = _loop(type(penalty).shrink) if jit.available() else _plain(type(penalty).shrink)
    run(matrix, gradient.copy(), found, w, penalty.parameters, w.size - free, brake, tolerance, sweeps)
    return found


@functools.cache
def _loop(shrink: Any) -> Any:
    return compiled()(_plain(shrink))


def _plain(shrink: Any) -> Any:
    """Return the text of the loop; sweeps over all coordinates alternate with ones over those that are not 0."""

    def loop(matrix, gradient, w, start, parameters, penalised, brake, tolerance, sweeps):  # type: ignore[no-untyped-def]
        k = w.size
        everywhere = True
        for _ in range(sweeps):
            largest = 0.0
            for j in range(k):
                curved = matrix[j, j] + brake
                if curved <= 0.0 or (not everywhere and j < penalised and w[j] == 0.0):
                    continue
                target = w[j] - (gradient[j] + brake * (w[j] - start[j])) / curved
                moved = shrink(target, 1.0 / curved, *parameters) if j < penalised else target
                step = moved - w[j]
                if step != 0.0:
                    w[j] = moved
                    largest = max(largest, abs(step) * curved)
                    for i in range(k):
                        gradient[i] += step * matrix[j, i]
            if largest <= tolerance:
                if everywhere:
                    return
                everywhere = True
            else:
                everywhere = False

    return loop


def minimise_by_columns(
    X: Any,
    weight: Array,
    gradient: Array,
    w: Array,
    penalty: Separable,
    free: int,
    brake: float,
    tolerance: float,
    sweeps: int = 1000,
) -> Array:
    """Do the same where the matrix, X' diag(weight) X, is larger than X: each step reads a column of X.

    Parameters
    ----------
    X : SciPy sparse matrix in CSC format, shape (n, k - free)
        Features; a free coordinate has a column of ones.
    weight : ndarray, shape (n,)
        Numbers >= 0.
    gradient, w, penalty, free, brake, tolerance, sweeps
        As for :func:`minimise`.

    Returns
    -------
    ndarray, shape (k,)
    """
    found, pulled = w.copy(), np.zeros(weight.size)
    columns = X.indptr, X.indices, X.data
    make = _column_loop if jit.available() else _column_text
    run: Any = make(type(penalty).shrink)
    last = penalty.parameters, w.size - free, brake, tolerance, sweeps
    run(columns, weight, gradient, found, w, pulled, *last)
    return found


@functools.cache
def _column_loop(shrink: Any) -> Any:
    return compiled(fastmath=SUMS)(_column_text(shrink))


def _column_text(shrink: Any) -> Any:
    """Return the text of the loop; ``pulled`` is diag(weight) X (u - w)."""
    helpers: Any = _dot, _square, _add
    inner, square, add = helpers

    def loop(X, weight, gradient, w, start, pulled, parameters, penalised, brake, tolerance, sweeps):  # type: ignore[no-untyped-def]
        k = w.size
        curved = np.empty(k)
        for j in range(k):
            curved[j] = brake + (square(X, j, weight) if j < penalised else weight.sum())
        everywhere = True
        for _ in range(sweeps):
            largest = 0.0
            for j in range(k):
                if curved[j] <= 0.0 or (not everywhere and j < penalised and w[j] == 0.0):
                    continue
                slope = gradient[j] + (inner(X, j, pulled) if j < penalised else pulled.sum())
                target = w[j] - (slope + brake * (w[j] - start[j])) / curved[j]
                moved = shrink(target, 1.0 / curved[j], *parameters) if j < penalised else target
                step = moved - w[j]
                if step != 0.0:
                    w[j] = moved
                    largest = max(largest, abs(step) * curved[j])
                    if j < penalised:
                        add(X, j, step, weight, pulled)
                    else:
                        for i in range(weight.size):
                            pulled[i] += step * weight[i]
            if largest <= tolerance:
                if everywhere:
                    return
                everywhere = True
            else:
                everywhere = False

    return loop


def _dot(X, j, p):  # type: ignore[no-untyped-def]
    starts, places, values = X
    found = 0.0
    for m in range(starts[j], starts[j + 1]):
        found += values[m] * p[places[m]]
    return found


def _square(X, j, weight):  # type: ignore[no-untyped-def]
    starts, places, values = X
    found = 0.0
    for m in range(starts[j], starts[j + 1]):
        found += weight[places[m]] * values[m] * values[m]
    return found


def _add(X, j, step, weight, pulled):  # type: ignore[no-untyped-def]
    starts, places, values = X
    for m in range(starts[j], starts[j + 1]):
        pulled[places[m]] += step * weight[places[m]] * values[m]
