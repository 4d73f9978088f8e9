"""The base of losses for k classes: how targets become coefficients, and which loops compute large tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import contract
from ..core.domain import UNIT, Domain
from ..core.row_targets import class_weights_fit, labels, probability_rows, read_labels, row_shape
from ..core.rowwise import LOGITS, Kernel, RowWiseLoss
from ..engine import rows
from ..ops import full_like, is_numpy, where
from ..ops.arrays import column, constant_row, one_hot, row_sum

Array = Any


@dataclass(frozen=True)
class SoftmaxLoss(RowWiseLoss):
    """Base of the losses sum_k c_k phi(log p_k), where c holds targets, smoothing and class weights.

    Subclasses declare ``class_weights`` (one number >= 0 for each class, or None), ``label_smoothing``
    and ``ignore_index``.
    """

    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {
        "logits": LOGITS,
        "probabilities": (UNIT,),
    }

    @property
    @abstractmethod
    def settings(self) -> tuple[tuple[float, ...] | None, float, int | None]:
        """Class weights, label smoothing and ignored label."""

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check labels (n,), one-hot or soft rows (n, k) and class weights; what the kernel checks is left to it."""
        name = type(self).__name__
        class_weights_fit(self.settings[0], f, name)
        if self.inputs == "probabilities":
            probability_rows(f, f, "y_pred", name)
        y = contract.as_array(y_true, "y_true")
        if len(y.shape) == len(f.shape):
            return (row_shape if self.by_kernel(f) else probability_rows)(contract.targets(y, f), f, "y_true", name)
        return read_labels(y, f, name, self.settings[2], later=self.by_kernel(f))

    def coefficients(self, y: Array, f: Array) -> Array:
        """Turn labels and rows into c (n, k): one-hot rows, zeros for ignored labels, smoothed and weighted."""
        class_weights, smoothing, ignore = self.settings
        table = y if len(y.shape) == len(f.shape) else one_hot(y, f)
        if ignore is not None and table is not y:
            table = where(column(y == ignore), full_like(table, 0.0), table)
        if smoothing:
            table = (1.0 - smoothing) * table + (smoothing / f.shape[-1]) * column(row_sum(table))
        return table if class_weights is None else table * constant_row(class_weights, f)

    def _measure(self, y: Array, f: Array) -> Array | None:
        class_weights, smoothing, ignore = self.settings
        if class_weights is None and ignore is None:
            return None
        if not is_numpy(f) or len(y.shape) == len(f.shape):
            return row_sum(self.coefficients(y, f))
        kept = np.ones(y.shape) if ignore is None else (y != ignore).astype(np.float64)
        if class_weights is None:
            return kept
        weights = (1.0 - smoothing) * np.array(class_weights) + smoothing * np.mean(class_weights)
        return kept * weights[np.where(kept == 0.0, 0, y)]

    @property
    def kernel(self) -> Kernel | None:
        """Compiled loops for logits."""
        return self._by_rows if self.inputs == "logits" else None

    @property
    @abstractmethod
    def texts(self) -> rows.Texts:
        """The formulas on logits."""

    @property
    def ridge(self) -> float:
        """Coefficient of (logsumexp z)^2."""
        return 0.0

    @property
    def numbers(self) -> tuple[float, ...]:
        """What the formulas on logits receive, the ridge apart."""
        return ()

    def scales(self, y: Array) -> bool:
        """Labels without smoothing have one coefficient a row."""
        return y.dtype.kind == "i" and self.settings[1] == 0.0

    def _by_rows(self, y: Array, f: Array, values: Array, slopes: Array | None, scale: Array | None = None) -> None:
        class_weights, smoothing, ignore = self.settings
        bad = rows.softmax(
            self.texts,
            f,
            y,
            values,
            slopes,
            parameters=self.numbers,
            class_weights=None if class_weights is None else np.array(class_weights),
            scale=scale,
            smoothing=smoothing,
            ignored=ignore,
            ridge=self.ridge,
        )
        if bad >= 0 and y.ndim == 2:
            probability_rows(y, f, "y_true", type(self).__name__)
        elif bad >= 0:
            labels(y if ignore is None else np.where(y == ignore, 0, y), f, type(self).__name__)

    def value_and_slope(self, y: Array, f: Array, *parameters: Any) -> tuple[Array, Array]:
        """Evaluate both formulas, from one softmax if they are on logits."""
        if self.inputs == "logits":
            both: tuple[Array, Array] = self.forms["logits"].value_and_slope(y, f, *parameters)
            return both
        return super().value_and_slope(y, f, *parameters)
