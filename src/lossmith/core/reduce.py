"""From per-sample values to a number: the only place where weights and 1/n exist."""

from __future__ import annotations

from typing import Any

from ..ops import full_like, namespace, times

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
    xp = namespace(weighted)
    total = xp.sum(weighted)
    if reduction == "sum":
        return total
    if weight is None and measure is None:
        return total / _size(values)
    mass = weight if measure is None else (measure if weight is None else weight * measure)
    whole = xp.sum(mass)
    empty = whole == 0
    return xp.where(empty, full_like(total, 0.0), total / xp.where(empty, full_like(whole, 1.0), whole))


def _size(values: Array) -> Any:
    count = 1
    for length in values.shape:
        count = count * length
    return count
