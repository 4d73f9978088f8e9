"""The row-wise tier: a row of predictions for one target, with gradient, Hessian matrix and product."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from ..ops import is_numpy, namespace
from ..ops.arrays import row_sum
from . import contract, host
from .attach import attach, finite
from .domain import EXTENDED_REAL, Domain, check
from .loss import Loss

Array = Any


class RowForm(Protocol):
    """The formulas of a row-wise loss: plain functions of ``(y, f, *parameters)`` on arrays.

    ``value`` gives (n,), ``slope`` (n, k), ``curvature`` (n, k, k), and ``product(y, f, v, *parameters)``
    the Hessian times v, (n, k), without the matrix.
    """

    value: Callable[..., Array]
    slope: Callable[..., Array]
    curvature: Callable[..., Array]
    product: Callable[..., Array]


@dataclasses.dataclass(frozen=True)
class RowWiseLoss(Loss):
    """Base of the row-wise tier: predictions (n, k), per-sample values (n,).

    Subclasses give ``forms`` and ``prediction_domains`` by ``inputs``, and how targets are read.
    """

    tier: ClassVar[str] = "row-wise"
    curvature_kind: ClassVar[str] = "exact"
    forms: ClassVar[Mapping[str, Any]]
    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]]
    inputs: str = "raw"

    @abstractmethod
    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Turn targets into what the formulas take; raise a ValueError for what does not fit."""

    @abstractmethod
    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return what the formulas receive after y and f."""

    @property
    def form(self) -> RowForm:
        """The formulas in force."""
        found: RowForm = self.forms[self.inputs]
        return found

    @host.by_kernels
    def gradient(self, y_true: Any, y_pred: Any) -> Array:
        y, f, _ = self._accept(y_true, y_pred, None, False)
        return self._compute("slope", y, f)

    def value_and_gradient(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array]:
        """Compute per-sample values (n,) and gradient (n, k).

        Parameters
        ----------
        y_true : array_like
            As in the call.
        y_pred : array_like, shape (n, k)
            Rows of predictions.
        out : tuple of ndarrays of shapes (n,) and (n, k), optional
            Arrays to fill (NumPy only).

        Returns
        -------
        tuple of arrays
            Values and gradient in y_pred's dtype.
        """
        value, slope = self._all(("value", "slope"), y_true, y_pred, out)
        return value, slope

    def value_gradient_hessian(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array, Array]:
        """Compute per-sample values (n,), gradient (n, k) and Hessian (n, k, k).

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.
        out : tuple of three ndarrays, optional
            Arrays to fill (NumPy only).

        Returns
        -------
        tuple of arrays
            Values, gradient and Hessian in y_pred's dtype.
        """
        value, slope, curvature = self._all(("value", "slope", "curvature"), y_true, y_pred, out)
        return value, slope, curvature

    @host.by_kernels
    def hessian(self, y_true: Any, y_pred: Any) -> Array:
        """Compute the matrices of second derivatives by y_pred.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.

        Returns
        -------
        array, shape (n, k, k)
            One symmetric matrix for each sample.
        """
        y, f, _ = self._accept(y_true, y_pred, None, False)
        return self._compute("curvature", y, f)

    @host.by_kernels
    def hessian_vector_product(self, y_true: Any, y_pred: Any, vector: Any) -> Array:
        """Compute Hessian times vector for each sample, without the matrix.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.
        vector : array_like, shape (n, k)
            One vector for each sample.

        Returns
        -------
        array, shape (n, k)
            The products.

        Raises
        ------
        ValueError
            When vector does not have the shape of y_pred.
        """
        y, f, _ = self._accept(y_true, y_pred, None, False)
        v = contract.predictions(vector, "vector")
        if tuple(v.shape) != tuple(f.shape):
            raise ValueError(f"vector has shape {tuple(v.shape)}; give y_pred's shape {tuple(f.shape)}")
        return self._compute("product", y, f, v)

    # --- machinery ------------------------------------------------------------------------------------

    def _accept(
        self, y_true: Any, y_pred: Any, sample_weight: Any, broadcast: bool
    ) -> tuple[Array, Array, Array | None]:
        if broadcast:
            raise ValueError(f"{type(self).__name__} compares rows; broadcast=True is for elementwise losses")
        f = contract.predictions(y_pred)
        if len(f.shape) < 2:
            raise ValueError(
                f"{type(self).__name__}: y_pred has shape {tuple(f.shape)}; give one row of predictions "
                "for each sample, shape (n, k)"
            )
        weight = contract.weights(sample_weight, tuple(f.shape[:-1]), f)
        y, f = self._drop_masked(y_true, f, weight)
        y = self.read_targets(y, f)
        if is_numpy(f):
            self._check_predictions(f)
        return y, f, weight

    def _drop_masked(self, y_true: Any, f: Array, weight: Array | None) -> tuple[Any, Array]:
        """Give samples of weight 0 the target and prediction of one that counts: they may hold anything."""
        y = contract.as_array(y_true, "y_true")
        if weight is None or not is_numpy(f) or not (weight == 0).any() or not (weight != 0).any():
            return y, f
        if y.shape[: weight.ndim] != weight.shape:
            return y, f
        keep = tuple(np.argwhere(weight != 0)[0])
        y, f = y.copy(), f.copy()
        y[weight == 0], f[weight == 0] = y[keep], f[keep]
        return y, f

    def _check_predictions(self, f: Array) -> None:
        domains = self.prediction_domains[self.inputs]
        if len(domains) == 1:
            check(f, domains[0], "y_pred", type(self).__name__, nan_allowed=True)
            return
        if f.shape[-1] != len(domains):
            raise ValueError(
                f"{type(self).__name__}: y_pred has shape {f.shape}; give {len(domains)} columns ({self.inputs})"
            )
        for i, domain in enumerate(domains):
            check(f[..., i], domain, f"y_pred[..., {i}]", type(self).__name__, nan_allowed=True)

    def _compute(self, order: str, y: Array, f: Array, *more: Array) -> Array:
        """Evaluate one formula, NumPy arrays in float64."""
        function = getattr(self.form, order)
        if not is_numpy(f):
            return function(y, f, *more, *self.parameters(f))
        wide = f.astype(np.float64)
        with np.errstate(all="ignore"):
            result = function(y, wide, *(m.astype(np.float64) for m in more), *self.parameters(wide))
            return np.asarray(result).astype(f.dtype, copy=False)

    @host.by_kernels
    def _all(self, orders: tuple[str, ...], y_true: Any, y_pred: Any, out: Any) -> tuple[Array, ...]:
        y, f, _ = self._accept(y_true, y_pred, None, False)
        results = tuple(self._compute(order, y, f) for order in orders)
        if out is None:
            return results
        if not isinstance(out, tuple) or len(out) != len(results):
            raise TypeError(f"out must be a tuple of {len(results)} arrays to fill")
        for array, result in zip(out, results, strict=True):
            contract.check_out((array,), 1, result)
            array[...] = result
        return out

    def _values(self, y: Array, f: Array) -> Array:
        if is_numpy(f):
            return self._compute("value", y, f)
        form, parameters = self.form, self.parameters(f)

        def rise(a: Array, d: Array) -> Array:
            half = 0.5 * form.product(y, a, d, *parameters)
            return row_sum(d * (finite(form.slope(y, a, *parameters)) + half))

        return attach(f, lambda a: form.value(y, a, *parameters), rise)


def labels(y: Array, f: Array, loss: str) -> Array:
    """Check whole-number labels 0 ... k-1 against rows of predictions.

    Raises
    ------
    ValueError
        Names the first label outside, or both shapes.
    """
    if tuple(y.shape) != tuple(f.shape[:-1]):
        raise ValueError(
            f"{loss}: y_true has shape {tuple(y.shape)} and y_pred has shape {tuple(f.shape)}; give labels of "
            f"shape {tuple(f.shape[:-1])} or target rows of shape {tuple(f.shape)}"
        )
    if is_numpy(f):
        outside = ~((y >= 0) & (y < f.shape[-1]) & (y == np.floor(y)))
        if outside.any():
            raise ValueError(
                f"{loss}: y_true holds the label {y[outside].reshape(-1)[0]:g}; accepted are whole numbers "
                f"0 ... {f.shape[-1] - 1} (y_pred has {f.shape[-1]} columns)"
            )
    return y


def probability_rows(y: Array, f: Array, argument: str, loss: str) -> Array:
    """Check rows of probabilities: entries in [0, 1] that sum to 1 within 1e-3.

    Raises
    ------
    ValueError
        Names the first row that is no distribution.
    """
    if tuple(y.shape) != tuple(f.shape):
        raise ValueError(
            f"{loss}: {argument} has shape {tuple(y.shape)} and y_pred has shape {tuple(f.shape)}; they must be equal"
        )
    if is_numpy(y):
        sums = y.sum(-1, dtype=np.float64)
        wrong = ~((y >= 0).all(-1) & (y <= 1).all(-1) & (np.abs(sums - 1.0) <= 1e-3))
        wrong &= ~np.isnan(sums) if argument == "y_pred" else True
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"{loss}: {argument} row {place[0] if len(place) == 1 else place} is no distribution "
                f"(sum {sums[place]:.6g}); give entries in [0, 1] that sum to 1, or inputs='logits'"
            )
    return y


LOGITS = (EXTENDED_REAL,)


def is_float(array: Array) -> bool:
    """Tell whether an array holds floating numbers."""
    if is_numpy(array):
        return bool(array.dtype.kind == "f")
    return "float" in str(array.dtype) and namespace(array) is not np
