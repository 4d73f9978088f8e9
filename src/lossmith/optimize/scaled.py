"""Working sets of many dense columns: coordinate descent on a float32 copy of them, scaled for one quadratic model.

A step on a model need not be exact, because the next one starts from an exact gradient. So the columns, times the
root of the samples' weights and of length 1, are kept in half the memory, which is what coordinate descent waits for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import jit, pool
from ..engine.compiled import compiled
from ..engine.jit import SUMS
from .objective import Objective
from .penalties import Separable
from .worked import Places, Step, Worked, gathered

Array = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

# Numbers that a thread must have to be worth starting.
_EACH = 200_000
# Sweeps of one step at most, which a later one continues: float32 may never show changes as small as asked for. One in
# so many goes over all coordinates even where those that are not 0 still move.
_SWEEPS = 60
_ALL = 15


@dataclass
class Scaled(Worked):
    """Dense columns, many of them, that coordinate descent reads one by one.

    Attributes
    ----------
    source : ndarray in Fortran order, shape (n, any)
        Where the columns are: the features, or a copy of those chosen if they lie in rows.
    at : ndarray, shape (k,)
        Which of its columns they are.
    """

    objective: Objective
    chosen: Places
    source: Array
    at: Places
    _spare: Array | None = None
    _copy: Single | None = None
    _lengths: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, objective: Objective, chosen: Places) -> Scaled:
        """Hold columns; those of features in rows are gathered, with room for more."""
        X = objective.X
        if X.flags.f_contiguous:
            return cls(objective, chosen, X, chosen)
        spare = np.empty((min(X.shape[1], 2 * chosen.size), X.shape[0]))  # memory not written to costs nothing
        spare[: chosen.size] = gathered(X, chosen)
        return cls(objective, chosen, spare.T, np.arange(chosen.size), spare)

    @property
    def share(self) -> float:
        """A pass over all features costs as much as a few sweeps."""
        return 0.1

    def holding(self, chosen: Places) -> Scaled:
        """Return what holds these columns; gathered ones join those that are there while there is room."""
        if self._spare is None:
            return Scaled(self.objective, chosen, self.source, chosen, None, self._copy)
        new = np.setdiff1d(chosen, self.chosen)
        before, after = self.chosen.size, self.chosen.size + new.size
        if after > len(self._spare):
            return Scaled.of(self.objective, chosen)
        self._spare[before:after] = gathered(self.objective.X, new)
        held = np.append(self.chosen, new)
        return Scaled(self.objective, held, self.source, np.arange(after), self._spare, self._copy)

    def _pulled(self, slopes: Array) -> Array:
        self._count()
        return pulled(self.source, self.at, slopes)

    def _scores(self, coefficients: Array) -> Array:
        self._count()
        used = np.flatnonzero(coefficients)
        found = np.zeros(self.objective.share.size)
        if not jit.available():
            return np.asarray(self.source[:, self.at[used]] @ coefficients[used])
        each = max(1, _EACH // max(used.size, 1))
        columns, factors = self.at[used], coefficients[used]
        pool.share(found.size, lambda start, stop: _add(self.source, columns, factors, found, start, stop), each)
        return found

    def least(self, weight: Array, gradient: Array, here: Array, step: Step, fresh: bool) -> Array:
        """Return where the model is least."""
        if fresh or self._lengths.size != here.size:
            self._scale(np.sqrt(weight), here.size)
        assert self._copy is not None
        return minimise_scaled(self._copy[: here.size], self._lengths, gradient, here, step, self.chosen.size)

    def _scale(self, root: Array, size: int) -> None:
        """Make the copy; the intercept's column, of ones, is its last."""
        k = self.chosen.size
        if self._copy is None or len(self._copy) < size:
            self._copy = np.empty((min(4 * size, self.objective.size), root.size), np.float32)
        self._lengths, copy = np.empty(size), self._copy
        if jit.available():
            each = max(1, _EACH // root.size)
            pool.share(k, lambda start, stop: _fill(self.source, self.at, root, copy, self._lengths, start, stop), each)
        else:
            self._lengths[:k] = _filled(self.source, self.at, root, copy)
        if size > k:
            self._lengths[k] = np.linalg.norm(root)
            copy[k] = root / (self._lengths[k] or 1.0)


def pulled(X: Array, chosen: Places, slopes: Array) -> Array:
    """Return chosen columns' products with a vector, without gathering them.

    Parameters
    ----------
    X : ndarray in Fortran order, shape (n, d)
        Features.
    chosen : ndarray of int, shape (k,)
        Columns.
    slopes : ndarray, shape (n,)
        The vector.

    Returns
    -------
    ndarray, shape (k,)
    """
    if not jit.available():
        return np.array([X[:, j] @ slopes for j in chosen])
    found = np.empty(chosen.size)
    each = max(1, _EACH // max(slopes.size, 1))
    pool.share(chosen.size, lambda start, stop: _dots(X, chosen, slopes, found, start, stop), each)
    return found


def minimise_scaled(columns: Single, lengths: Array, gradient: Array, w: Array, step: Step, penalised: int) -> Array:
    """Minimise gradient @ (u - w) + |Z (u - w)|^2 / 2 + penalty(u), plus the step's brake, coordinate by coordinate.

    Parameters
    ----------
    columns : ndarray of float32, shape (k, n)
        Z' with rows of length 1.
    lengths : ndarray, shape (k,)
        The true lengths; a coordinate with length 0 stays.
    gradient, w : ndarray, shape (k,)
        Gradient at w; where to start.
    step : Step
        Penalty, brake and tolerance.
    penalised : int
        How many coordinates, the first ones, bear the penalty.

    Returns
    -------
    ndarray, shape (k,)
        As exact as float32 allows: the gradient falls to some 1e-5 of what it was.
    """
    found, moved = w.copy(), np.zeros(columns.shape[1], np.float32)
    penalty: Separable = step.penalty
    make = _loop if jit.available() else _slow
    make(type(penalty).shrink)(
        columns, lengths, gradient, found, w, moved, penalty.parameters, penalised, step.brake, step.tolerance, _SWEEPS
    )
    return found


@functools.cache
def _loop(shrink: Any) -> Any:
    return compiled(fastmath=SUMS)(_text(shrink, _inner, _outer))


def _slow(shrink: Any) -> Any:
    return _text(shrink, lambda z, r: float(z @ r), _shift)


def _shift(z: Single, factor: float, r: Single) -> None:
    r += np.float32(factor) * z


def _text(shrink: Any, inner: Any, outer: Any) -> Any:
    """Return the text of the loop; sweeps over all coordinates alternate with ones over those that are not 0."""

    def loop(Z, lengths, gradient, w, start, r, parameters, penalised, brake, tolerance, sweeps):  # type: ignore[no-untyped-def]
        everywhere = True
        for sweep in range(sweeps):
            everywhere, largest = everywhere or sweep % _ALL == 0, 0.0
            for j in range(w.size):
                if lengths[j] == 0.0 or (not everywhere and j < penalised and w[j] == 0.0):
                    continue
                curved = lengths[j] * lengths[j] + brake
                slope = gradient[j] + lengths[j] * inner(Z[j], r)
                target = w[j] - (slope + brake * (w[j] - start[j])) / curved
                moved = shrink(target, 1.0 / curved, *parameters) if j < penalised else target
                step = moved - w[j]
                if step != 0.0:
                    w[j] = moved
                    largest = max(largest, abs(step) * curved)
                    outer(Z[j], step * lengths[j], r)
            if largest <= tolerance:
                if everywhere:
                    return
                everywhere = True
            else:
                everywhere = False

    return loop


def _inner(z, r):  # type: ignore[no-untyped-def]
    found = np.float32(0.0)
    for i in range(r.size):
        found += z[i] * r[i]
    return found


def _outer(z, factor, r):  # type: ignore[no-untyped-def]
    single = np.float32(factor)
    for i in range(r.size):
        r[i] += single * z[i]


def _filled(X: Array, at: Places, root: Array, copy: Single) -> Array:
    lengths = np.empty(at.size)
    for j, column in enumerate(at):
        scaled = root * X[:, column]
        lengths[j] = np.linalg.norm(scaled)
        copy[j] = scaled / (lengths[j] or 1.0)
    return lengths


@compiled(fastmath=SUMS)
def _fill(X, at, root, copy, lengths, start, stop):  # type: ignore[no-untyped-def]
    for j in range(start, stop):
        column, total = at[j], 0.0
        for i in range(root.size):
            total += (root[i] * X[i, column]) ** 2
        lengths[j] = np.sqrt(total)
        factor = 1.0 / lengths[j] if total > 0.0 else 0.0
        for i in range(root.size):
            copy[j, i] = factor * (root[i] * X[i, column])


@compiled(fastmath=SUMS)
def _dots(X, chosen, slopes, found, start, stop):  # type: ignore[no-untyped-def]
    for j in range(start, stop):
        column, total = chosen[j], 0.0
        for i in range(slopes.size):
            total += X[i, column] * slopes[i]
        found[j] = total


@compiled(fastmath=SUMS)
def _add(X, columns, factors, found, start, stop):  # type: ignore[no-untyped-def]
    k = columns.size
    for j in range(0, k - 3, 4):
        a, b, c, d = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
        p, q, r, s = factors[j], factors[j + 1], factors[j + 2], factors[j + 3]
        for i in range(start, stop):
            found[i] += (p * X[i, a] + q * X[i, b]) + (r * X[i, c] + s * X[i, d])
    for j in range(k - k % 4, k):
        a, p = columns[j], factors[j]
        for i in range(start, stop):
            found[i] += p * X[i, a]
