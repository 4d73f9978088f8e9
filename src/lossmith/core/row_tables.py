"""Tables of NumPy numbers, one sample a row: evaluated some rows at a time, written where a caller wants them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
# Numbers of a block that NumPy computes at once: what lies between result and input stays in the cache, and
# does not take many times the table's memory.
BLOCK = 16_384


def in_blocks(
    work: Callable[..., tuple[Array, ...]], f: Array, y: Array, more: tuple[Array, ...] = (), width: int = 1
) -> tuple[Array, ...]:
    """Call ``work(y, f, *more)`` for some rows at a time and put the results together.

    Parameters
    ----------
    work : callable
        Returns arrays whose first axes are the samples'.
    f : ndarray, shape (..., k)
        Predictions; results have its dtype.
    y : ndarray, shape (...) or (..., k)
        Targets.
    more : tuple of ndarray, shape (..., k)
        What else has a row for each sample.
    width : int
        Numbers of a result for each number of f (k for a Hessian).

    Returns
    -------
    tuple of ndarray
        Results with the leading axes of f.
    """
    with np.errstate(all="ignore"):
        if f.size * width <= BLOCK:
            return tuple(np.asarray(result).astype(f.dtype, copy=False) for result in work(y, f, *more))
        count, step = math.prod(f.shape[:-1]), max(1, BLOCK // (f.shape[-1] * width))
        tables = [a.reshape(count, *a.shape[f.ndim - 1 :]) for a in (y, f, *more)]
        results: list[Array] = []
        for start in range(0, count, step):
            found = work(*(a[start : start + step] for a in tables))
            results = results or [np.empty((count, *part.shape[1:]), f.dtype) for part in found]
            for result, part in zip(results, found, strict=True):
                result[start : start + step] = part
        return tuple(result.reshape(*f.shape[:-1], *result.shape[1:]) for result in results)


def into(given: Array | None, result: Array) -> Array:
    """Copy a result into an array that was given for it, unless it was computed there."""
    if given is None or given is result:
        return result
    given[...] = result
    return given


def usable(given: Array | None, f: Array, shape: tuple[int, ...]) -> Array:
    """Return where a kernel may write: the array given, if it is in C order and either f's memory or apart from it."""
    if given is not None and given.flags.c_contiguous:
        same = given.ctypes.data == f.ctypes.data and given.strides == f.strides
        if same or not np.may_share_memory(given, f):
            return given
    return np.empty(shape, f.dtype)
