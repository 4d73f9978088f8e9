"""Targets of losses on a row of predictions: labels, or rows of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import is_numpy, namespace

Array = Any


def label_shape(y: Array, f: Array, loss: str) -> Array:
    """Check that there is one label for each row of predictions.

    Raises
    ------
    ValueError
        Names both shapes.
    """
    if tuple(y.shape) != tuple(f.shape[:-1]):
        raise ValueError(
            f"{loss}: y_true has shape {tuple(y.shape)} and y_pred has shape {tuple(f.shape)}; give labels of "
            f"shape {tuple(f.shape[:-1])} or target rows of shape {tuple(f.shape)}"
        )
    return y


def labels(y: Array, f: Array, loss: str) -> Array:
    """Check whole-number labels 0 ... k-1 against rows of predictions.

    Raises
    ------
    ValueError
        Names the first label outside, or both shapes.
    """
    label_shape(y, f, loss)
    if is_numpy(f) and not (y.dtype.kind in "iu" and y.min() >= 0 and y.max() < f.shape[-1]):
        outside = ~((y >= 0) & (y < f.shape[-1]) & (y == np.floor(y)))
        if outside.any():
            raise ValueError(
                f"{loss}: y_true holds the label {y[outside].reshape(-1)[0]:g}; accepted are whole numbers "
                f"0 ... {f.shape[-1] - 1} (y_pred has {f.shape[-1]} columns)"
            )
    return y


def read_labels(y: Array, f: Array, loss: str, ignored: int | None = None, *, later: bool = False) -> Array:
    """Check labels and return them as integers, int64 if they are NumPy's.

    Parameters
    ----------
    y, f : array, shapes (...) and (..., k)
        Labels and predictions.
    loss : str
        Name for messages.
    ignored : int, optional
        A label that is accepted besides 0 ... k-1.
    later : bool
        Whether a kernel will look at the labels, so that those in its own dtype need no look now.

    Raises
    ------
    TypeError
        For floats of a library that tells them apart.
    ValueError
        Names the first label outside, or both shapes.
    """
    label_shape(y, f, loss)
    if not is_numpy(f):
        if is_float(y):
            raise TypeError(f"{loss}: y_true holds floats of shape {tuple(y.shape)}; give whole-number labels")
        return _roomy(y)
    if not (later and y.dtype == np.int64):
        labels(y if ignored is None else np.where(y == ignored, 0, y), f, loss)
    return y.astype(np.int64, copy=False)


def _roomy(y: Array) -> Array:
    """Return labels in integers that hold any class: places counted in bytes would begin again at 256."""
    narrow = any(kind in str(y.dtype) for kind in ("int8", "int16"))
    xp = namespace(y)
    return xp.astype(y, xp.int32) if narrow else y


def one_hot_labels(y: Array, f: Array, loss: str) -> Array:
    """Return the labels of one-hot rows.

    Raises
    ------
    ValueError
        For rows that are not one 1 among zeros, and for shapes that differ.
    """
    row_shape(y, f, "y_true", loss)
    xp = namespace(y)
    if is_numpy(y) and not (((y == 0) | (y == 1)).all() and (y.sum(-1) == 1).all()):
        raise ValueError(f"{loss}: y_true has rows that are not one-hot; give labels of shape {tuple(f.shape[:-1])}")
    return xp.argmax(y, axis=-1)


def class_weights_fit(weights: tuple[float, ...] | None, f: Array, loss: str) -> None:
    """Check that there is one weight for each class.

    Raises
    ------
    ValueError
        Names both numbers.
    """
    if weights is not None and len(weights) != f.shape[-1]:
        raise ValueError(
            f"{loss}: {len(weights)} class weights were given and y_pred has {f.shape[-1]} columns; "
            "give one weight for each class"
        )


def row_shape(y: Array, f: Array, argument: str, loss: str) -> Array:
    """Check that there is one target row for each row of predictions.

    Raises
    ------
    ValueError
        Names both shapes.
    """
    if tuple(y.shape) != tuple(f.shape):
        raise ValueError(
            f"{loss}: {argument} has shape {tuple(y.shape)} and y_pred has shape {tuple(f.shape)}; they must be equal"
        )
    return y


def probability_rows(y: Array, f: Array, argument: str, loss: str) -> Array:
    """Check rows of probabilities: entries in [0, 1] that sum to 1 within 1e-3.

    Raises
    ------
    ValueError
        Names the first row that is no distribution.
    """
    row_shape(y, f, argument, loss)
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


def is_float(array: Array) -> bool:
    """Tell whether an array holds floating numbers."""
    if is_numpy(array):
        return bool(array.dtype.kind == "f")
    return "float" in str(array.dtype) and namespace(array) is not np
