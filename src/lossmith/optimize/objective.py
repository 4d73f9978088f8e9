"""The penalised linear model's objective: the mean loss of X @ w + b, plus a penalty on w."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.contract import plain
from ..core.loss import Loss
from ..engine import pool
from ..losses.linear_blas import one_thread
from .penalties import Elastic, Penalty

Array = npt.NDArray[np.float64]


@dataclass
class Tally:
    """How many numbers of the features were read."""

    read: float = 0.0


@dataclass(frozen=True)
class Objective:
    """Mean loss over samples plus penalty, as a function of one flat vector of parameters.

    The vector holds the coefficients, row after row for several outputs, then the intercepts.

    Attributes
    ----------
    loss : Loss or smoothed loss
        Elementwise (one output) or row-wise (``outputs`` columns), on raw scores.
    X : ndarray or SciPy sparse matrix, shape (n, d)
        Features.
    y : ndarray, shape (n,)
        Targets in the loss's coding.
    share : ndarray, shape (n,)
        Weight of each sample divided by their sum.
    penalty : Penalty or None
        Acts on the coefficients.
    intercept : bool
        Whether there is one.
    outputs : int or None
        Columns of raw scores for a row-wise loss; None for an elementwise one.
    tally : Tally
        Counts what is read of the features, here and in all objectives made from this one.
    """

    loss: Any
    X: Any
    y: Any
    share: Array
    penalty: Penalty | None = None
    intercept: bool = True
    outputs: int | None = None
    tally: Tally = field(default_factory=Tally, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        loss: Loss,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        penalty: Penalty | None = None,
        intercept: bool = True,
        outputs: int | None = None,
        *,
        look: bool = True,
    ) -> Objective:
        """Check the data and make the objective.

        Parameters
        ----------
        loss : Loss
            Elementwise or row-wise.
        X : array_like or sparse matrix, shape (n, d)
            Finite features.
        y : array_like, shape (n,)
            Targets in the loss's coding.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0, not all 0.
        penalty : Penalty, optional
            Acts on the coefficients only.
        intercept : bool
            Whether to fit one.
        outputs : int, optional
            Columns of raw scores; required for row-wise losses, refused for others.
        look : bool
            Whether to look for numbers that are not finite, a pass over the features; False for solvers whose first
            gradient tells (:meth:`judge`).

        Raises
        ------
        ValueError
            Names the argument, what was given and what is accepted.
        """
        # Working sets read columns; everything else reads rows.
        by_columns = penalty is not None and not penalty.smooth and not loss.traits.kinks
        if y is None:
            raise ValueError("y is missing; give a target for each row of X")
        matrix, targets = _matrix(plain(X, "X"), by_columns), np.asarray(plain(y, "y"))
        if look:
            must_be_finite(matrix)
        if targets.shape != matrix.shape[:1]:
            raise ValueError(f"y has shape {targets.shape}; X of shape {matrix.shape} needs {matrix.shape[:1]}")
        if loss.tier not in ("elementwise", "row-wise"):
            raise ValueError(f"{type(loss).__name__} is of the {loss.tier} tier; a linear model takes the others")
        if (outputs is None) != (loss.tier == "elementwise"):
            raise ValueError(
                f"outputs={outputs} does not fit the {loss.tier} loss {type(loss).__name__}; "
                "row-wise losses need a number of columns, elementwise ones None"
            )
        share = _shares(sample_weight, matrix.shape[0])
        objective = cls(loss, matrix, targets, share, penalty, intercept, outputs)
        loss.value_and_gradient(targets, np.zeros(targets.shape if outputs is None else (*targets.shape, outputs)))
        return objective

    def judge(self, gradient: Array, slopes: Array) -> None:
        """Refuse features that are not finite, going by a gradient, in which all of them show.

        Parameters
        ----------
        gradient, slopes : ndarray
            Gradient of the mean loss, and what it is made of; where a slope is 0, the features are looked at.

        Raises
        ------
        ValueError
            For NaN or infinite features.
        """
        if not (np.isfinite(gradient).all() and (slopes * self.share).all()):
            must_be_finite(self.X)

    def bare(self) -> Objective:
        """Return the mean loss alone."""
        return replace(self, penalty=None)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return (int(self.X.shape[1]) + int(self.intercept)) * (self.outputs or 1)

    @property
    def passes(self) -> float:
        """How often features of this size were read, by this objective and those made from it."""
        return self.tally.read / max(int(self.X.shape[0]) * int(self.X.shape[1]), 1)

    def _read(self) -> Any:
        """Return the features, and count a pass over them."""
        self.tally.read += self.X.shape[0] * self.X.shape[1]
        return self.X

    def with_loss(self, loss: Any) -> Objective:
        """Return the same objective under another loss."""
        return replace(self, loss=loss)

    def split(self, theta: Array) -> tuple[Array, Any]:
        """Return coefficients, (d,) or (d, outputs), and the intercept, a float or (outputs,)."""
        k, d = self.outputs or 1, self.X.shape[1]
        coefficients, rest = theta[: d * k], theta[d * k :]
        if self.outputs is None:
            return coefficients, float(rest[0]) if self.intercept else 0.0
        return coefficients.reshape(d, k), rest if self.intercept else np.zeros(k)

    def raw(self, theta: Array) -> Array:
        """Return raw scores, (n,) or (n, outputs)."""
        coefficients, intercept = self.split(theta)
        used = np.flatnonzero(coefficients) if self.outputs is None else None
        if used is None or used.size > _FEW * self.X.shape[1]:
            return np.asarray(self._read() @ coefficients + intercept)
        self.tally.read += self.X.shape[0] * used.size
        return np.asarray(_columns(self.X, used) @ coefficients[used] + intercept)

    def value(self, theta: Array) -> float:
        """Return the objective."""
        values = self.loss.value_and_gradient(self.y, self.raw(theta))[0]
        return self.mean(values) + self._penalty(theta)

    def mean(self, values: Array) -> float:
        """Return the weighted mean of numbers, one a sample, by one thread: BLAS's wait for each other far longer."""
        return float(self.share @ values if values.size <= _ALONE else np.einsum("i,i->", self.share, values))

    def _penalty(self, theta: Array) -> float:
        return 0.0 if self.penalty is None else self.penalty.value(self.split(theta)[0])

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return the objective and its gradient, of the vector's shape."""
        return self.value_and_gradient_at(theta, self.raw(theta))

    def value_and_gradient_at(self, theta: Array, raw: Array) -> tuple[float, Array]:
        """Do the same for raw scores that are already there."""
        values, slopes = self.loss.value_and_gradient(self.y, raw)
        coefficients, _ = self.split(theta)
        weighted = slopes * (self.share if self.outputs is None else self.share[:, None])
        gradient = np.asarray(self._read().T @ weighted)
        value = self.mean(values)
        if self.penalty is not None:
            value += self.penalty.value(coefficients)
            gradient = gradient + self.penalty.gradient(coefficients)
        return value, np.concatenate([gradient.reshape(-1), np.atleast_1d(weighted.sum(axis=0))[: self._tail]])

    def value_and_slope_at(self, theta: Array, raw: Array, direction: Array, change: Array) -> tuple[float, float]:
        """Return the objective and its slope along a direction, without touching the features.

        Parameters
        ----------
        theta, raw : ndarray
            Parameters and their raw scores.
        direction, change : ndarray
            A direction of the parameters, and what it adds to the raw scores.
        """
        values, slopes = self.loss.value_and_gradient(self.y, raw)
        along = slopes * change if self.outputs is None else (slopes * change).sum(axis=1)
        value, slope = self.mean(values), self.mean(along)
        if self.penalty is not None:
            coefficients, step = self.split(theta)[0], self.split(direction)[0]
            value += self.penalty.value(coefficients)
            slope += float((self.penalty.gradient(coefficients) * step).sum())
        return value, slope

    def ahead(self, theta: Array, raw: Array, direction: Array) -> tuple[float, Array, Array]:
        """Return objective, gradient and raw scores one whole step ahead (one output), in one pass over the features.

        Parameters
        ----------
        theta, raw : ndarray
            Parameters and their raw scores.
        direction : ndarray
            The step.
        """
        coefficients, intercept = self.split(direction)
        loss = self.loss.compiled()
        self._read()
        there, d = np.empty_like(raw), self.X.shape[1]
        length = max(1, _CACHED // max(d, 1))
        sums = np.empty((-(-raw.size // length), d + 2))

        def work(first: int, last: int) -> None:
            for i in range(first, last):
                part = slice(i * length, (i + 1) * length)
                X, share = self.X[part], self.share[part]
                there[part] = X @ coefficients + (raw[part] + intercept)
                values, slopes = loss.value_and_gradient(self.y[part], there[part])
                slopes *= share
                sums[i, :d], sums[i, d], sums[i, d + 1] = X.T @ slopes, slopes.sum(), share @ values

        with one_thread():  # a block is too small for threads of BLAS: the blocks are shared instead
            pool.share(len(sums), work, least=_EACH)
        *pulled, tail, total = sums.sum(axis=0)
        gradient = np.append(pulled, tail) if self.intercept else np.array(pulled)
        if self.penalty is not None:
            gradient[:d] += self.penalty.gradient(self.split(theta + direction)[0])
        return float(total) + self._penalty(theta + direction), gradient, there

    @property
    def _tail(self) -> int:
        return (self.outputs or 1) if self.intercept else 0

    def hessian(self, curvature: Array) -> Array:
        """Return the matrix of second derivatives for given per-sample curvatures (one output).

        Parameters
        ----------
        curvature : ndarray, shape (n,)
            Of the loss at the present raw scores; a majoriser's serves as well.

        Returns
        -------
        ndarray, shape (size, size)
            X' diag(share * curvature) X, bordered by the intercept, plus the penalty's part.
        """
        matrix = self.gram(self.share * curvature)
        if isinstance(self.penalty, Elastic):
            d = np.arange(self.X.shape[1])
            matrix[d, d] += 2.0 * self.penalty.parts[1]
        return matrix

    def gram(self, weight: Array) -> Array:
        """Return X' diag(weight) X, bordered by the intercept's column of ones (one output).

        Parameters
        ----------
        weight : ndarray, shape (n,)
            Numbers >= 0.

        Returns
        -------
        ndarray, shape (size, size)
            In Fortran order.
        """
        used = np.flatnonzero(weight)
        self._read()
        X, w = (self.X, weight) if used.size > 0.5 * weight.size else (self.X[used], weight[used])
        d = X.shape[1]
        matrix = np.zeros((self.size, self.size), order="F")
        if d:
            matrix[:d, :d] = (X.T @ X.multiply(w[:, None]).tocsr()).toarray() if is_sparse(X) else _product(X, w)
        if self.intercept:
            matrix[d, :d] = matrix[:d, d] = np.asarray(X.T @ w)
            matrix[d, d] = w.sum()
        return matrix

    def pull(self, slopes: Array) -> Array:
        """Return the gradient of slopes @ raw by the parameters (one output)."""
        pulled = np.asarray(self._read().T @ slopes)
        return np.append(pulled, slopes.sum()) if self.intercept else pulled

    def rows(self, chosen: Any) -> Objective:
        """Return the objective of some of the samples, with the shares they have."""
        return replace(self, X=self.X[chosen], y=self.y[chosen], share=self.share[chosen])

    def columns(self, chosen: Any) -> Objective:
        """Return the objective as a function of some of the coefficients, the others being 0."""
        if np.size(chosen) == self.X.shape[1]:
            return self
        return replace(self, X=self.X[:, chosen] if is_sparse(self.X) else np.take(self.X, chosen, axis=1))


# Share of the coefficients that are not 0 up to which scores are made of their columns alone.
_FEW = 0.25
# Rows of a block of features that is scaled and multiplied while it is in the cache, and elements of one that is read
# twice there.
_BLOCK = 1024
_CACHED = 131_072
# Columns up to which BLAS's threads cost more than they bring: at 50 four times the time of one.
_NARROW = 128
# Numbers up to which BLAS adds in one thread.
_ALONE = 8192
# Blocks that a thread must have to be worth starting.
_EACH = 8


def _product(X: Array, weight: Array) -> Array:
    """X' diag(weight) X for weights >= 0, half of it computed, without a second copy of X."""
    from scipy.linalg.blas import dsyrk

    n, d = X.shape
    root = np.sqrt(weight)
    scaled = np.empty((min(_BLOCK, n), d))
    lower = np.zeros((d, d), order="F")
    with one_thread() if d <= _NARROW else nullcontext():
        for start in range(0, n, _BLOCK):
            part = np.multiply(X[start : start + _BLOCK], root[start : start + _BLOCK, None], out=scaled[: n - start])
            lower = dsyrk(1.0, part.T, beta=1.0, c=lower, lower=1, overwrite_c=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def _columns(X: Any, chosen: Any) -> Any:
    """Return some columns, read as they lie in memory."""
    if not is_sparse(X) and X.flags.f_contiguous:
        return np.take(X.T, chosen, axis=0).T
    return X[:, chosen]


def is_sparse(X: Any) -> bool:
    """Tell whether features are a SciPy sparse matrix."""
    from scipy.sparse import issparse

    return bool(issparse(X))


def _matrix(X: Any, by_columns: bool) -> Any:
    csc = is_sparse(X) and by_columns and X.format == "csc"
    try:
        matrix = X if csc else X.tocsr() if is_sparse(X) else np.asarray(X, np.float64)
    except ValueError as error:
        raise ValueError(f"X holds what is no number ({error}); encode it, or leave it out") from None
    if matrix.ndim != 2 or matrix.shape[0] == 0:
        raise ValueError(f"X has shape {matrix.shape}; give a table (n, d) with at least one row")
    return matrix


def must_be_finite(X: Any) -> None:
    """Refuse features that hold NaN or infinite numbers."""
    values = X.data if is_sparse(X) else X
    if not (np.isfinite(values.sum()) or np.isfinite(values).all()):  # a sum needs no array of flags
        raise ValueError("X holds NaN or infinite numbers; impute or drop them first")


def _shares(sample_weight: Any, n: int) -> Array:
    if sample_weight is None:
        return np.full(n, 1.0 / n)
    weight = np.asarray(plain(sample_weight, "sample_weight"), np.float64)
    if weight.shape != (n,) or not (weight.min() >= 0 and weight.max() < np.inf):
        raise ValueError(f"sample_weight must hold {n} finite numbers >= 0; its shape is {weight.shape}")
    total = weight.sum()
    if total == 0:
        raise ValueError("sample_weight is 0 for every sample; at least one must count")
    return np.asarray(weight / total)
