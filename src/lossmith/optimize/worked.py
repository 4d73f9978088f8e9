"""The columns of the features that a working set holds, and the quadratic models that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..losses.linear_blas import one_thread
from . import coordinate
from .objective import Objective
from .penalties import Separable

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

# Columns up to which BLAS's threads cost more than they bring.
_NARROW = 128
# What is added to the matrix's diagonal, relative to its largest entry, wherever there is a feature at all.
_LIFT = 1e-12
# The same where float32 may have made it indefinite.
_LIFT_SINGLE = 1e-5


@dataclass(frozen=True)
class Step:
    """How far coordinate descent on a quadratic model goes.

    Attributes
    ----------
    penalty : Separable
        On the coefficients.
    brake : float
        Added to the model's diagonal.
    tolerance : float
        Changes of the gradient that are small enough to end it.
    """

    penalty: Separable
    brake: float
    tolerance: float


class Worked(ABC):
    """Some columns of an objective's features, in the order in which they joined, and the intercept."""

    objective: Objective
    chosen: Places

    @property
    @abstractmethod
    def share(self) -> float:
        """Share of the present violation to which their problem is solved before all features are read again."""

    @property
    def places(self) -> Places:
        """Which parameters they are, the intercept last."""
        d = self.objective.X.shape[1]
        return np.append(self.chosen, np.arange(d, d + int(self.objective.intercept)))

    def pull(self, slopes: Array) -> Array:
        """Return the gradient of slopes @ raw by these parameters."""
        pulled = self._pulled(slopes)
        return np.append(pulled, slopes.sum()) if self.objective.intercept else pulled

    def raw(self, direction: Array) -> Array:
        """Return what a step of these parameters adds to the raw scores."""
        k = self.chosen.size
        change = self._scores(direction[:k])
        return change + direction[k] if self.objective.intercept else change

    def _count(self) -> None:
        self.objective.tally.read += self.chosen.size * self.objective.share.size

    @abstractmethod
    def _pulled(self, slopes: Array) -> Array: ...

    @abstractmethod
    def _scores(self, coefficients: Array) -> Array: ...

    @abstractmethod
    def holding(self, chosen: Places) -> Worked:
        """Return what holds these columns; their order may be another."""

    @abstractmethod
    def least(self, weight: Array, gradient: Array, here: Array, step: Step, fresh: bool) -> Array:
        """Return where the quadratic model plus the penalty is least.

        Parameters
        ----------
        weight : ndarray, shape (n,)
            Curvature of each sample's part of the objective, >= 0.
        gradient, here : ndarray, shape (k,)
            Gradient of the mean loss, and parameters.
        step : Step
            How far to go.
        fresh : bool
            Whether the matrix of earlier weights will not do.
        """


@dataclass
class Read(Worked):
    """Sparse columns, which coordinate descent reads one by one.

    Attributes
    ----------
    X : SciPy sparse matrix in CSC format
        The columns.
    """

    objective: Objective
    chosen: Places
    X: Any

    @classmethod
    def of(cls, objective: Objective, chosen: Places) -> Read:
        """Gather columns."""
        return cls(objective, chosen, objective.X[:, chosen].tocsc())

    @property
    def share(self) -> float:
        """Each step costs a read."""
        return 0.1

    def holding(self, chosen: Places) -> Read:
        """Return what holds these columns."""
        return Read.of(self.objective, chosen)

    def _pulled(self, slopes: Array) -> Array:
        self._count()
        return np.asarray(self.X.T @ slopes)

    def _scores(self, coefficients: Array) -> Array:
        self._count()
        return np.asarray(self.X @ coefficients)

    def least(self, weight: Array, gradient: Array, here: Array, step: Step, fresh: bool) -> Array:
        """Return where the model is least."""
        free = here.size - self.chosen.size
        return coordinate.minimise_by_columns(
            self.X, weight, gradient, here, step.penalty, free, step.brake, step.tolerance
        )


@dataclass
class Kept(Worked):
    """Dense columns and their matrix X' diag(weight) X; both grow, and nothing is gathered or multiplied twice.

    The matrix is made in float32 of columns of length 1, which takes half the time: gradients are exact, so that a step
    on it leaves a small share of the error, and the next one a small share of that. Where it does not, the
    columns are nearly dependent, and the matrix is made again in float64.

    Attributes
    ----------
    blocks : list of ndarray, shape (columns, n)
        Columns as rows, as they joined.
    """

    objective: Objective
    chosen: Places = field(default_factory=lambda: np.zeros(0, np.intp))
    blocks: list[Array] = field(default_factory=list)
    _units: list[Any] = field(default_factory=list)
    _lengths: Array = field(default_factory=lambda: np.zeros(0))
    _weight: Array | None = None
    _matrix: Array = field(default_factory=lambda: np.zeros((0, 0)))
    _grade: Any = np.float32
    _made: bool = False

    @property
    def share(self) -> float:
        """Steps on the matrix cost little beside a pass over all features."""
        return 0.003

    def holding(self, chosen: Places) -> Kept:
        """Let those join that are not there yet."""
        new = np.setdiff1d(chosen, self.chosen)
        if new.size:
            self.blocks.append(gathered(self.objective.X, new))
            self.chosen = np.append(self.chosen, new)
        return self

    def _pulled(self, slopes: Array) -> Array:
        self._count()
        return np.concatenate([block @ slopes for block in self.blocks]) if self.blocks else np.zeros(0)

    def _scores(self, coefficients: Array) -> Array:
        self._count()
        found, start = np.zeros(self.objective.share.size), 0
        for block in self.blocks:
            found += coefficients[start : start + len(block)] @ block
            start += len(block)
        return found

    def least(self, weight: Array, gradient: Array, here: Array, step: Step, fresh: bool) -> Array:
        """Return where the model is least."""
        if fresh and self._made and self._grade == np.float32:
            self._grade, self._units = np.float64, []
        self._made = fresh or self._weight is None
        if self._made:
            self._weight, self._matrix = weight, np.zeros((0, 0))
        self._grow()
        free = here.size - self.chosen.size
        return coordinate.minimise(self._matrix, gradient, here, step.penalty, free, step.brake, step.tolerance)

    def _grow(self) -> None:
        """Let the matrix reach over all columns; the intercept's row and column come last."""
        k, free, weight = self.chosen.size, int(self.objective.intercept), np.asarray(self._weight)
        done = max(len(self._matrix) - free, 0)
        if len(self._matrix) == k + free:
            return
        matrix = np.empty((k + free, k + free))
        matrix[:done, :done] = self._matrix[:done, :done]
        with one_thread() if k <= _NARROW else nullcontext():
            self._products(matrix, weight, done)
        if free:
            matrix[k, :k] = matrix[:k, k] = self._pulled(weight)
            matrix[k, k] = weight.sum()
        lift = _LIFT if self._grade == np.float64 else _LIFT_SINGLE
        fresh = np.einsum("ii->i", matrix)[done:]
        fresh += np.where(fresh > 0.0, lift * fresh.max(initial=0.0), 0.0)
        self._matrix = matrix

    def _products(self, matrix: Array, weight: Array, done: int) -> None:
        """Fill the rows and columns of those that joined since ``done``."""
        self._count()
        for block in self.blocks[len(self._units) :]:
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            lengths[lengths == 0.0] = 1.0
            self._units.append((block / lengths[:, None]).astype(self._grade))
            self._lengths = np.append(self._lengths[: sum(map(len, self._units[:-1]))], lengths)
        top, start = float(weight.max(initial=0.0)) or 1.0, 0
        level = (weight / top).astype(self._grade)
        for i, new in enumerate(self._units):
            mine, start = slice(start, start + len(new)), start + len(new)
            if mine.start < done:
                continue
            scaled = new if level.min() == 1.0 else new * np.sqrt(level)
            matrix[mine, mine] = _outer(top, self._lengths[mine], scaled @ scaled.T, self._lengths[mine])
            scaled, at = (new if level.min() == 1.0 else new * level), 0
            for other in self._units[:i]:
                them, at = slice(at, at + len(other)), at + len(other)
                matrix[mine, them] = _outer(top, self._lengths[mine], scaled @ other.T, self._lengths[them])
                matrix[them, mine] = matrix[mine, them].T


def _outer(factor: float, left: Array, product: Any, right: Array) -> Array:
    return np.asarray(factor * left[:, None] * product * right)


def gathered(X: Array, chosen: Places) -> Array:
    """Return columns of dense features as rows."""
    if X.flags.f_contiguous:
        return np.take(X.T, chosen, axis=0)
    return np.take(X, chosen, axis=1).T
