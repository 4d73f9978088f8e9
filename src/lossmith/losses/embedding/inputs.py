"""What losses on embeddings accept: labels, or rows of the batch that make up pairs and triplets."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from ...core import contract
from ...core.domain import Interval, check
from ...core.structured import Evaluation, StructuredLoss, Targets, whole_numbers
from ...ops import namespace
from .geometry import Floats, Integers

Array = Any

# Beyond this the square of a difference overflows.
_EMBEDDING = Interval(-1e150, 1e150, "both")


class EmbeddingLoss(StructuredLoss):
    """A loss whose predictions are embeddings, one a row, and whose targets are one array of whole numbers.

    These are a label for each embedding, if it ``takes_labels``, or have ``columns`` for each given item.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    takes_labels: ClassVar[bool] = True

    @abstractmethod
    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        """Compute values, and the gradient of sum(weight * values) if it is wanted."""

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return self._evaluate(y, f, weight, True)

    def _value(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return self._evaluate(y, f, weight, False)

    def _parts(self, y_true: Any) -> Targets:
        return (contract.as_array(y_true, "y_true"),)

    def _check_shapes(self, parts: Targets, f: Array) -> None:
        name, given, shape, width = type(self).__name__, tuple(parts[0].shape), tuple(f.shape), len(self.columns)
        if len(shape) != 2:
            raise ValueError(f"{name}: y_pred has shape {shape}; give one embedding a row, (n, d)")
        forms = [f"one label for each of the {shape[0]} embeddings, ({shape[0]},)"] if self.takes_labels else []
        forms += [f"an array (t, {width}) with the columns {', '.join(self.columns)}"] if width else []
        labels, rows = self.takes_labels and given == shape[:1], width > 0 and len(given) == 2 and given[1] == width
        if not labels and not rows:
            raise ValueError(f"{name}: y_true has shape {given} and y_pred {shape}; give {', or '.join(forms)}")

    def _read(self, parts: Targets, f: Floats) -> Integers:
        """Return labels, or whole numbers in columns.

        Raises
        ------
        ValueError
            For other shapes and for numbers that are not whole.
        """
        self._check_shapes(parts, f)
        return whole_numbers(np.asarray(parts[0]), "y_true", type(self).__name__)

    def _count(self, parts: Targets, f: Array) -> int:
        return int(parts[0].shape[0]) if len(parts[0].shape) else 0


def check_rows(rows: Integers, n: int, loss: str) -> None:
    """Raise a ValueError for a row number outside 0 ... n-1."""
    outside = (rows < 0) | (rows >= n)
    if outside.any():
        raise ValueError(f"{loss}: y_true holds row {rows[outside][0]}; the rows of y_pred are 0 to {n - 1}")


def check_embeddings(rows: Integers, f: Floats, weight: Floats | None, loss: str) -> None:
    """Check the embeddings that count; those of weight 0 may hold anything."""
    if weight is None:
        used = f
    elif rows.ndim == 1:
        used = f[weight > 0.0]
    else:
        used = f[np.unique(rows[weight > 0.0])]
    check(used, _EMBEDDING, "y_pred", loss, nan_allowed=True)


def stack(**arrays: Any) -> tuple[Integers, Array]:
    """Return row numbers (t, k) and the k arrays of shape (t, d) one after the other.

    Raises
    ------
    ValueError
        For arrays of different shapes.
    """
    checked = [contract.predictions(array, name) for name, array in arrays.items()]
    shapes = [tuple(array.shape) for array in checked]
    if len(shapes[0]) != 2 or any(shape != shapes[0] for shape in shapes):
        said = ", ".join(f"{name} {shape}" for name, shape in zip(arrays, shapes, strict=True))
        raise ValueError(f"shapes {said}; they must be equal, one embedding a row, (t, d)")
    t = shapes[0][0]
    rows = np.arange(len(checked) * t).reshape(len(checked), t).T
    return rows.astype(np.int64), namespace(*checked).concat(checked, axis=0)
