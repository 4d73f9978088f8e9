"""What losses on embeddings accept: labels, or rows of the batch that make up pairs and triplets."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import contract
from ...core.domain import Interval, check
from ...core.structured import Evaluation, StructuredLoss, Targets, whole_numbers
from ...ops import namespace
from .geometry import Floats, Integers

Array = Any

# Beyond this the square of a difference overflows.
_EMBEDDING = Interval(-1e150, 1e150, "both")


class EmbeddingLoss(StructuredLoss):
    """A loss whose predictions are embeddings, one a row, and whose targets are one array of whole numbers."""

    @abstractmethod
    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        """Compute values, and the gradient of sum(weight * values) if it is wanted."""

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return self._evaluate(y, f, weight, True)

    def _value(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return self._evaluate(y, f, weight, False)

    def _parts(self, y_true: Any) -> Targets:
        return (contract.as_array(y_true, "y_true"),)

    def _count(self, parts: Targets, f: Array) -> int:
        return int(parts[0].shape[0]) if len(parts[0].shape) else 0


def read(y: npt.NDArray[Any], f: Floats, loss: str, columns: tuple[str, ...] = (), by_label: bool = True) -> Integers:
    """Check the shape of targets: a label for each embedding, or whole numbers in columns for each given item.

    Parameters
    ----------
    y : ndarray, shape (n,) or (t, number of columns)
        Labels, or what the columns name.
    f : ndarray, shape (n, d)
        Embeddings.
    loss, columns, by_label
        Who asks, and which of the two forms it takes.

    Raises
    ------
    ValueError
        For other shapes and for numbers that are not whole.
    """
    if f.ndim != 2:
        raise ValueError(f"{loss}: y_pred has shape {f.shape}; give one embedding a row, (n, d)")
    n, width = len(f), len(columns)
    forms = [f"one label for each of the {n} embeddings, ({n},)"] if by_label else []
    forms += [f"an array (t, {width}) with the columns {', '.join(columns)}"] if columns else []
    labels, rows = by_label and y.shape == (n,), width > 0 and y.ndim == 2 and y.shape[1] == width
    if not labels and not rows:
        raise ValueError(f"{loss}: y_true has shape {y.shape} and y_pred {f.shape}; give {', or '.join(forms)}")
    return whole_numbers(y, "y_true", loss)


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
