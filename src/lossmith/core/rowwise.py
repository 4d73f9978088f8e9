"""The row-wise tier: a row of predictions for one target, with gradient, Hessian matrix and product."""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from ..engine import rows
from ..ops import is_numpy
from ..ops.arrays import row_sum
from . import contract, host, row_tables
from .attach import attach, finite
from .domain import EXTENDED_REAL, Domain, check
from .loss import Loss
from .row_targets import is_float

Array = Any
LOGITS = (EXTENDED_REAL,)


class RowForm(Protocol):
    """The formulas of a row-wise loss: plain functions of ``(y, f, *parameters)`` on arrays.

    ``value`` gives (n,), ``slope`` (n, k), ``curvature`` (n, k, k), and ``product(y, f, v, *parameters)``
    the Hessian times v, (n, k), without the matrix.
    """

    @property
    def value(self) -> Callable[..., Array]: ...
    @property
    def slope(self) -> Callable[..., Array]: ...
    @property
    def curvature(self) -> Callable[..., Array]: ...
    @property
    def product(self) -> Callable[..., Array]: ...


Kernel = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class RowWiseLoss(Loss):
    """Base of the row-wise tier: predictions (n, k), per-sample values (n,).

    Subclasses give ``forms`` and ``prediction_domains`` by ``inputs``, and how targets are read; with a
    :attr:`kernel`, large tables of NumPy numbers are computed by compiled loops.
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

    def coefficients(self, y: Array, f: Array) -> Array:
        """Turn targets as read into what the formulas take; for NumPy arrays, a block of rows at a time."""
        return y

    def formulas(self, y: Array, f: Array) -> tuple[RowForm, Array]:
        """Return the formulas for targets as read, of libraries other than NumPy, and the targets as they take them."""
        return self.form, self.coefficients(y, f)

    @property
    def kernel(self) -> Kernel | None:
        """What computes large tables of NumPy numbers, ``kernel(y, f, values, slopes or None)``; None: the formulas.

        It takes targets as read, f (n, k) in C order, and fills values (n,) and slopes (n, k), which may be f itself.
        """
        return None

    def scales(self, y: Array) -> bool:
        """Tell whether the kernel takes a fifth argument for these targets: a factor for each row."""
        return False

    def value_and_slope(self, form: Any, y: Array, f: Array, *parameters: Any) -> tuple[Array, Array]:
        """Evaluate both formulas of a form; losses whose formulas share their parts say how."""
        return form.value(y, f, *parameters), form.slope(y, f, *parameters)

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
            Arrays to fill (NumPy only). The second may be y_pred: the gradient then takes its place.

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
        y = y.copy()
        y[weight == 0] = y[keep]
        if self.prediction_domains[self.inputs] != LOGITS:  # logits may be anything, and are many
            f = f.copy()
            f[weight == 0] = f[keep]
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

    def by_kernel(self, f: Array) -> bool:
        """Tell whether compiled loops compute these predictions; their size and dtype alone decide."""
        return is_numpy(f) and self.kernel is not None and rows.worth_compiling(f)

    def _compute(self, order: str, y: Array, f: Array, *more: Array) -> Array:
        """Evaluate one formula for targets as read, NumPy arrays in float64 or by the kernel."""
        if not is_numpy(f):
            form, targets = self.formulas(y, f)
            return getattr(form, order)(targets, f, *more, *self.parameters(f))
        if order in ("value", "slope") and self.by_kernel(f):
            return self._filled(y, f, slope=order == "slope")[order == "slope"]
        width = f.shape[-1] if order == "curvature" else 1
        (result,) = self._blocks(lambda *given: (getattr(self.form, order)(*given),), y, f, more, width)
        return result

    def _pair(
        self, y: Array, f: Array, values: Array | None = None, slopes: Array | None = None
    ) -> tuple[Array, Array]:
        """Compute values and gradient for targets as read, into arrays that may be given."""
        if self.by_kernel(f):
            return self._filled(y, f, values, slopes)
        if not is_numpy(f):
            form, targets = self.formulas(y, f)
            return self.value_and_slope(form, targets, f, *self.parameters(f))
        found = self._blocks(functools.partial(self.value_and_slope, self.form), y, f)
        return row_tables.into(values, found[0]), row_tables.into(slopes, found[1])

    def _filled(
        self,
        y: Array,
        f: Array,
        values: Array | None = None,
        slopes: Array | None = None,
        *,
        slope: bool = True,
        scale: tuple[Array, ...] = (),
    ) -> tuple[Array, Array | None]:
        """Run the kernel on tables in C order; values and, if wanted, the gradient."""
        assert self.kernel is not None
        table = row_tables.usable(slopes, f, f.shape) if slope else None
        if table is not None and not f.flags.c_contiguous:
            np.copyto(table, f)  # the kernel works where the logits lie
        flat = (np.ascontiguousarray(f) if table is None or f.flags.c_contiguous else table).reshape(-1, f.shape[-1])
        column = row_tables.usable(values, f, f.shape[:-1])
        targets = np.ascontiguousarray(y).reshape(len(flat), *y.shape[f.ndim - 1 :])
        self.kernel(targets, flat, column.reshape(-1), None if table is None else table.reshape(flat.shape), *scale)
        return row_tables.into(values, column), None if table is None else row_tables.into(slopes, table)

    def _blocks(
        self,
        formulas: Callable[..., tuple[Array, ...]],
        y: Array,
        f: Array,
        more: tuple[Array, ...] = (),
        width: int = 1,
    ) -> tuple[Array, ...]:
        """Evaluate formulas in float64, some rows at a time."""

        def work(y: Array, f: Array, *more: Array) -> tuple[Array, ...]:
            wide, targets = f.astype(np.float64), y.astype(np.float64) if y.dtype.kind == "f" else y
            others = (m.astype(np.float64) for m in more)
            return formulas(self.coefficients(targets, wide), wide, *others, *self.parameters(wide))

        return row_tables.in_blocks(work, f, y, more, width)

    @host.by_kernels
    def _all(self, orders: tuple[str, ...], y_true: Any, y_pred: Any, out: Any) -> tuple[Array, ...]:
        y, f, _ = self._accept(y_true, y_pred, None, False)
        given: tuple[Any, ...] = (None,) * len(orders) if out is None else self._accept_out(out, orders, f)
        pair = self._pair(y, f, *given[:2])
        if len(orders) == 2:
            return pair if out is None else out
        third = row_tables.into(given[2], self._compute(orders[2], y, f))
        return (*pair, third) if out is None else out

    def _accept_out(self, out: Any, orders: tuple[str, ...], f: Array) -> tuple[Array, ...]:
        if not isinstance(out, tuple) or len(out) != len(orders):
            raise TypeError(f"out must be a tuple of {len(orders)} arrays to fill")
        shapes = {"value": f.shape[:-1], "slope": f.shape, "curvature": (*f.shape, f.shape[-1])}
        for array, order in zip(out, orders, strict=True):
            nothing = np.empty((), f.dtype) if is_numpy(f) else f
            contract.check_out((array,), 1, np.broadcast_to(nothing, shapes[order]) if is_numpy(f) else f)
        return out

    def _values(self, y: Array, f: Array) -> Array:
        if is_numpy(f):
            return self._compute("value", y, f)
        fixed = not is_float(y)
        parameters, (form, y) = self.parameters(f), self.formulas(y, f)
        if host.is_jax(f):
            return host.jax_chain().rows(form, y, f, parameters)
        if fixed and host.is_tensorflow(f):
            return host.tensorflow_rows().values(form, y, f, parameters)

        def rise(a: Array, d: Array) -> Array:
            half = 0.5 * form.product(y, a, d, *parameters)
            return row_sum(d * (finite(form.slope(y, a, *parameters)) + half))

        return attach(f, lambda a: form.value(y, a, *parameters), rise)
