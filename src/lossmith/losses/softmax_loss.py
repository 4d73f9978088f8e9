"""The base of losses for k classes: how targets become coefficients, and which loops compute large tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import contract
from ..core.domain import UNIT, Domain
from ..core.row_targets import class_weights_fit, labels, probability_rows, read_labels, row_shape
from ..core.rowwise import LOGITS, Kernel, RowForm, RowWiseLoss
from ..engine import rows
from ..ops import full_like, is_numpy, where
from ..ops.arrays import at, column, constants, one_hot, row_sum
from .softmax_labels import Labelled

Array = Any


@dataclass(frozen=True)
class SoftmaxLoss(RowWiseLoss):
    """Base of the losses sum_k c_k phi(log p_k), where c holds targets, smoothing and class weights.

    Subclasses give ``forms``, one for each kind of ``inputs``, which hold the texts that kernels compile, and their
    ``settings`` and ``numbers`` if they have any.
    """

    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {
        "logits": LOGITS,
        "probabilities": (UNIT,),
    }

    @property
    def settings(self) -> tuple[tuple[float, ...] | None, float, int | None]:
        """Class weights, label smoothing and ignored label: none, unless a subclass says otherwise."""
        return None, 0.0, None

    @property
    def numbers(self) -> tuple[float, ...]:
        """What the texts receive after c and the parts of a row."""
        return ()

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return what the formulas receive: the same."""
        return self.numbers

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check labels (n,), one-hot or soft rows (n, k) and class weights; what the kernel checks is left to it."""
        name = type(self).__name__
        class_weights_fit(self.settings[0], f, name)
        if self.inputs == "probabilities" and not self.by_kernel(f):
            probability_rows(f, f, "y_pred", name)
        y = contract.as_array(y_true, "y_true")
        if len(y.shape) == len(f.shape):
            return (row_shape if self.by_kernel(f) else probability_rows)(contract.targets(y, f), f, "y_true", name)
        return read_labels(y, f, name, self.settings[2], later=self.by_kernel(f))

    def coefficients(self, y: Array, f: Array) -> Array:
        """Turn labels and rows into c (n, k): one-hot rows, zeros for ignored labels, smoothed and weighted."""
        class_weights, smoothing, ignore = self.settings
        by_labels = len(y.shape) < len(f.shape)
        table = _hot(y, f) if by_labels else y
        if ignore is not None and by_labels:
            table = where(column(y == ignore), full_like(table, 0.0), table)
        if smoothing and by_labels and ignore is None:
            table = (1.0 - smoothing) * table + smoothing / f.shape[-1]
        elif smoothing:
            table = (1.0 - smoothing) * table + (smoothing / f.shape[-1]) * column(row_sum(table))
        return table if class_weights is None else table * constants(class_weights, f)

    def formulas(self, y: Array, f: Array) -> tuple[RowForm, Array]:
        """Return the formulas of one label a row where there is one, else those of rows of coefficients."""
        if self.inputs == "logits" and len(y.shape) < len(f.shape) and self.settings[1] == 0.0:
            return self.forms["logits"].of_labels, self._labelled(y, f)
        return super().formulas(y, f)

    def _labelled(self, y: Array, f: Array) -> Labelled:
        class_weights, smoothing, ignore = self.settings
        valid, one = (y >= 0) & (y < f.shape[-1]), full_like(f[..., 0], 1.0)
        index = where(valid, y, full_like(y, 0))
        if class_weights is not None:
            even = smoothing * float(np.mean(class_weights))
            one = at(constants([(1.0 - smoothing) * weight + even for weight in class_weights], f), index)
        weight = where(valid, one, full_like(one, float("nan")))
        return Labelled(index, weight if ignore is None else where(y == ignore, full_like(one, 0.0), weight))

    def _measure(self, y: Array, f: Array) -> Array | None:
        class_weights, smoothing, ignore = self.settings
        if class_weights is None and ignore is None:
            return None
        if len(y.shape) == len(f.shape):
            return row_sum(self.coefficients(y, f))
        if not is_numpy(f):
            return self._labelled(y, f).weight
        kept = np.ones(y.shape) if ignore is None else (y != ignore).astype(np.float64)
        if class_weights is None:
            return kept
        weights = (1.0 - smoothing) * np.array(class_weights) + smoothing * np.mean(class_weights)
        return kept * weights[np.where(kept == 0.0, 0, y)]

    @property
    def kernel(self) -> Kernel:
        """Compiled loops."""
        return self._by_rows

    @property
    def texts(self) -> rows.Texts:
        """The formulas of one class, as the kernels compile them."""
        found: rows.Texts = self.forms[self.inputs].texts
        return found

    @property
    def ridge(self) -> float:
        """Coefficient of (logsumexp z)^2."""
        return 0.0

    def scales(self, y: Array) -> bool:
        """Labels without smoothing have one coefficient a row."""
        return self.inputs == "logits" and y.dtype.kind == "i" and self.settings[1] == 0.0

    def _by_rows(self, y: Array, f: Array, values: Array, slopes: Array | None, scale: Array | None = None) -> None:
        class_weights, smoothing, ignore = self.settings
        weights = None if class_weights is None else np.array(class_weights)
        given: dict[str, Any] = {"class_weights": weights, "smoothing": smoothing, "ignored": ignore}
        if self.inputs == "logits":
            given |= {"ridge": self.ridge, "scale": scale}
            bad = rows.softmax(self.texts, f, y, values, slopes, parameters=self.numbers, **given)
        else:
            bad = rows.plain(self.texts, f, y, values, slopes, parameters=self.numbers, **given)
        if bad >= 0:
            self._refuse(y, f)

    def _refuse(self, y: Array, f: Array) -> None:
        """Say what is wrong with targets or predictions that a kernel has found wrong."""
        name, ignore = type(self).__name__, self.settings[2]
        if self.inputs == "probabilities":
            probability_rows(f, f, "y_pred", name)
        if y.ndim == 2:
            probability_rows(y, f, "y_true", name)
        else:
            labels(y if ignore is None else np.where(y == ignore, 0, y), f, name)

    def _check_predictions(self, f: Array) -> None:
        """Leave probabilities to the check of their rows."""

    def value_and_slope(self, form: Any, y: Array, f: Array, *parameters: Any) -> tuple[Array, Array]:
        """Evaluate both formulas, from one softmax if they are on logits."""
        both: tuple[Array, Array] = form.value_and_slope(y, f, *parameters)
        return both


def _hot(y: Array, f: Array) -> Array:
    """One-hot rows; NaN for what is no label, which only NumPy's arrays can be searched for beforehand."""
    table = one_hot(y, f)
    if is_numpy(f):
        return table
    return where(column((y < 0) | (y >= f.shape[-1])), full_like(table, float("nan")), table)
