"""From per-sample values to a number: the only place where weights and 1/n exist."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import full_like, is_numpy, namespace, times

Array = Any
REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """Raise a ValueError for an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} is not accepted; give 'mean', 'sum' or 'none'")


def reduce(values: Array, weight: Array | None, reduction: str, measure: Array | None = None) -> Array:
    """Combine per-sample values.

    Parameters
    ----------
    values : array
        Per-sample values, not yet weighted.
    weight : array of the same shape, optional
        Weight 0 removes a sample, even one whose value is NaN or infinite.
    reduction : str
        "mean" is sum(w * l) / sum(w * m), 0 when nothing has weight; "sum" is sum(w * l); "none" is w * l.
    measure : array, optional
        What a sample counts in the mean besides its weight (class weights); 1 if not given.

    Returns
    -------
    array
        A number of the array's library, or per-sample values.
    """
    weighted = values if weight is None else times(weight, values)
    if reduction == "none":
        return weighted
    if weight is None and measure is None and type(values) is np.ndarray:
        return finished(np.add.reduce(values, axis=None, dtype=np.float64), values.size, values, reduction)
    xp = namespace(weighted)
    total = _sum(weighted)
    if reduction == "sum":
        return _narrowed(total, values)
    if weight is None and measure is None:
        return _narrowed(total / _size(values), values)
    mass = weight if measure is None else (measure if weight is None else weight * measure)
    whole = _sum(mass)
    empty = whole == 0
    mean = xp.where(empty, full_like(total, 0.0), total / xp.where(empty, full_like(whole, 1.0), whole))
    return _narrowed(mean, values)


def finished(total: float, mass: float, like: Array, reduction: str) -> Array:
    """Return the "sum" or "mean" of NumPy values that have been added up, in the dtype of ``like``."""
    if reduction == "sum":
        return _narrowed(total, like)
    return _narrowed(total / mass if mass else 0.0, like)


def _sum(x: Array) -> Array:
    """Sum of all elements; NumPy arrays in float64, since 70,000 ones in half precision add up to infinity."""
    xp = namespace(x)
    return np.add.reduce(x, axis=None, dtype=np.float64) if xp is np else xp.sum(x)


def _narrowed(x: Array, like: Array) -> Array:
    """Return a NumPy result in the dtype of the values; it may overflow there."""
    if not is_numpy(like) or (like.dtype == np.float64 and type(x) is np.float64):
        return x
    with np.errstate(over="ignore"):
        return np.asarray(x, like.dtype)[()]


def _size(values: Array) -> Any:
    if is_numpy(values):
        return values.size
    count = 1
    for length in values.shape:
        if length is None:  # known only when TensorFlow's program runs
            return namespace(values).size(values)
        count = count * length
    return count
