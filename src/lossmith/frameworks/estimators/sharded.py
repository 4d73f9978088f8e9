"""What estimators do with tables in shards and with Dask collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import diags_array, issparse

from ...optimize.result import Solution
from ...optimize.sharded import Settings, sample_numbers, solve_shards
from ...optimize.shards import Block, Shards, from_dask
from ...optimize.shards.dask import is_dask
from ...optimize.solvers.automatic import made_solver
from ...optimize.survey import Survey, survey
from .fitting import Start, units
from .settings import made_penalty

Array = np.ndarray[Any, Any]


def as_shards(X: Any, y: Any = None, sample_weight: Any = None) -> Shards | None:
    """Return the shards that were given to ``fit``; None for a table in memory.

    Raises
    ------
    ValueError
        For targets or weights beside shards, which hold them.
    """
    if isinstance(X, Shards):
        if y is not None or sample_weight is not None:
            raise ValueError("X is a table in shards, which hold targets and weights; leave y and sample_weight out")
        return X
    return from_dask(X, y, sample_weight) if is_dask(X) else None


@dataclass(frozen=True, eq=False)
class Changed(Shards):
    """Shards whose blocks are changed on the way, wherever they are.

    Attributes
    ----------
    shards : Shards
        The rows.
    change : callable
        From a block to a block; picklable.
    """

    shards: Shards
    change: Callable[[Block], Block]

    @property
    def features(self) -> int:
        """Number of columns of X."""
        return self.shards.features

    @property
    def pieces(self) -> int:
        """About how many blocks there are."""
        return self.shards.pieces

    @property
    def memory(self) -> int:
        """Bytes that a fit may hold of the rows."""
        return self.shards.memory

    def each(self, work: Callable[[Block], Any]) -> Iterator[Any]:
        """Do some work on every changed block."""
        yield from self.shards.each(_After(self.change, work))

    def total(self, work: Callable[[Block], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Add up what some work returns for every changed block."""
        return self.shards.total(_After(self.change, work))


@dataclass(frozen=True)
class _After:
    change: Callable[[Block], Block]
    work: Callable[[Block], Any]

    def __call__(self, block: Block) -> Any:
        return self.work(self.change(block))


@dataclass(frozen=True, eq=False)
class Moved:
    """Columns moved and divided."""

    centre: Array
    spread: Array

    def __call__(self, block: Block) -> Block:
        """Return the changed block."""
        X = block.X @ diags_array(1.0 / self.spread) if issparse(block.X) else (block.X - self.centre) / self.spread
        return replace(block, X=X)


@dataclass(frozen=True, eq=False)
class Recoded:
    """Labels turned into the loss's coding, and rows weighted by their classes where asked for.

    Attributes
    ----------
    classes : ndarray, shape (k,)
        Labels in ascending order; rows of others have weight 0.
    encode : callable
        From numbers of classes to targets.
    factors : ndarray, shape (k,), or None
        Weights of the classes.
    """

    classes: Array
    encode: Callable[[Array], Array]
    factors: Array | None = None

    def __call__(self, block: Block) -> Block:
        """Return the changed block."""
        codes = np.minimum(np.searchsorted(self.classes, block.y), len(self.classes) - 1)
        weight = block.weight if self.factors is None else block.weights * self.factors[codes]
        return replace(block, y=self.encode(codes), weight=weight)


@dataclass(frozen=True)
class _Labels:
    def __call__(self, block: Block) -> tuple[Array, Array]:
        used = block.weights > 0.0
        found, codes = np.unique(np.asarray(block.y)[used], return_inverse=True)
        return found, np.bincount(codes, weights=block.weights[used], minlength=len(found))


def labels(shards: Shards) -> tuple[Array, Array]:
    """Return the labels that occur in rows of weight above 0, and the sum of weights of each, in one pass."""
    parts = list(shards.each(_Labels()))
    found, codes = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    return found, np.bincount(codes, weights=np.concatenate([part[1] for part in parts]), minlength=len(found))


@dataclass(frozen=True, eq=False)
class _Raw:
    coefficients: Array
    intercept: Any

    def __call__(self, block: Block) -> Array:
        return np.asarray(block.X @ self.coefficients + self.intercept)


def raw_scores(X: Any, coefficients: Array, intercept: Any) -> Array:
    """Return raw scores of shards or of a Dask collection, computed block by block."""
    if isinstance(X, Shards):
        return np.concatenate(list(X.each(_Raw(coefficients, intercept))))
    import dask.array

    table = X if isinstance(X, dask.array.Array) else X.to_dask_array()
    return np.asarray((table @ coefficients + intercept).compute())


def run(estimator: Any, loss: Any, shards: Shards, outputs: int | None, start: Start = None) -> Solution:
    """Fit an estimator's linear model to shards, on columns that are moved or scaled where :class:`Fit` would.

    Parameters
    ----------
    estimator : LossRegressor, LossClassifier or QuantileLossRegressor
        Holds the arguments.
    loss : Loss
        On raw scores.
    shards : Shards
        With targets in the loss's coding.
    outputs : int or None
        Number of classes for row-wise losses.
    start : (coefficients, intercept), optional
        Where to start.
    """
    penalty = made_penalty(estimator.penalty, estimator.alpha, estimator.l1_ratio)
    seen = survey(shards, loss, outputs, sample_numbers(shards))
    sparse = issparse(seen.sample.X)
    size = np.hypot(seen.mean, seen.spread) if sparse or not estimator.fit_intercept else seen.spread
    floor = np.zeros(size.size) if sparse or not estimator.fit_intercept else np.abs(seen.mean)
    spread = np.where(size <= np.maximum(1e-7 * floor, 1e-150), 1.0, size)
    mean = np.zeros_like(spread) if sparse else seen.mean
    centre, scale = units(mean, spread, penalty, estimator.fit_intercept and not sparse)
    limit = np.inf if estimator.max_seconds is None else estimator.max_seconds
    settings = Settings(
        penalty,
        estimator.fit_intercept,
        outputs,
        start,
        made_solver(estimator.solver),
        estimator.tol,
        estimator.max_iter,
        limit,
        bar=bool(estimator.verbose),
    )
    if scale is None:
        return solve_shards(loss, shards, settings, seen)
    return _in_units(loss, shards, settings, seen, Moved(centre, scale))


def _in_units(loss: Any, shards: Shards, settings: Settings, seen: Survey, moved: Moved) -> Solution:
    columns = moved.spread if settings.outputs is None else moved.spread[:, None]
    if settings.start is not None:
        coefficients, intercept = settings.start
        settings = replace(settings, start=(coefficients * columns, intercept + moved.centre @ coefficients))
    seen = replace(seen, sample=moved(seen.sample))
    found = solve_shards(loss, Changed(shards, moved), settings, seen)
    coefficients = found.coefficients / columns
    intercept = found.intercept - moved.centre @ coefficients
    return replace(found, coefficients=coefficients, intercept=intercept)


def all_right(shards: Shards, coefficients: Array, intercept: Any) -> bool:
    """Tell whether every row is on its side, in one pass."""
    (wrong,) = shards.total(_Errors(coefficients, intercept))
    return bool(wrong == 0)


@dataclass(frozen=True, eq=False)
class _Errors:
    coefficients: Array
    intercept: Any

    def __call__(self, block: Block) -> tuple[int]:
        raw = np.asarray(block.X @ self.coefficients + self.intercept)
        wrong = (raw > 0) != (block.y > 0) if raw.ndim == 1 else raw.argmax(axis=1) != block.y
        return (int((wrong & (block.weights > 0.0)).sum()),)
