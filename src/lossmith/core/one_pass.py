"""Sum of weighted values, and the gradient times a number, in one pass over memory.

Large arrays are computed in pieces that stay in a core's cache: values are added up where they were made and
never written to memory, and the gradient is multiplied before it leaves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import fused, jit
from ..engine.compiled import compiled
from ..engine.pool import share
from ..ops import times, where
from .elementwise import Form

Array = Any

_PIECE = 32_768  # elements; the five arrays of a piece fit the L2 cache
_LANES = frozenset({"contract", "reassoc", "nsz"})  # sums may run in several lanes
_PIECES = 4  # that a thread must have to be worth starting


def total_and_slope(
    form: Form, y: Array, f: Array, parameters: tuple[float, ...], weight: Array | None, rate: float
) -> tuple[float, Array]:
    """Compute sum(weight * value) and rate * weight * slope.

    Parameters
    ----------
    form : Form
        The formulas.
    y, f : ndarray of one shape and a floating dtype
        Targets and predictions.
    parameters : tuple of float
        Scalars handed to each formula.
    weight : ndarray of f's shape, optional
        Weight 0 removes a sample, whatever its value and slope.
    rate : float
        By what the reduced loss grows with the sum.

    Returns
    -------
    tuple
        The sum in float64, and an array of f's shape and dtype that nobody else holds.
    """
    functions = (form.value, form.slope)
    if f.size < max(fused.KERNEL_FROM, _PIECE) or f.dtype not in (np.float32, np.float64) or not jit.available():
        value, slope = fused.evaluate(functions, y, f, parameters)
        if weight is not None:
            value, slope = times(weight, value), times(weight, slope)
        return float(value.sum(dtype=np.float64)), np.multiply(slope, rate, out=slope)
    return _in_pieces(functions, y, f, parameters, weight, rate)


def _in_pieces(
    functions: Any, y: Array, f: Array, parameters: tuple[float, ...], weight: Array | None, rate: float
) -> tuple[float, Array]:
    run = jit.kernel(functions, len(parameters), "single" if f.dtype == np.float32 else "double")
    slopes = np.empty(f.shape, f.dtype)
    flat_y, flat_f, flat = (np.ascontiguousarray(a).reshape(-1) for a in (y, f, slopes))
    factors = None if weight is None else np.ascontiguousarray(weight, f.dtype).reshape(-1)
    count = -(-f.size // _PIECE)
    totals = np.empty(count)  # one for each piece, so that the sum does not depend on the number of threads

    def work(start: int, stop: int) -> None:
        room = np.empty(_PIECE, f.dtype)
        for i in range(start, stop):
            here = slice(i * _PIECE, (i + 1) * _PIECE)
            value, slope = room[: min(_PIECE, f.size - here.start)], flat[here]
            run(flat_y[here], flat_f[here], value, slope, *parameters)
            if factors is None:
                totals[i] = _settle(value, slope, rate)
            else:
                totals[i] = _settle_weighted(value, slope, factors[here], rate)

    share(count, work, _PIECES)
    return float(totals.sum()), slopes


@compiled(fastmath=_LANES)
def _settle(values: Array, slopes: Array, rate: float) -> float:
    """Multiply slopes in place and return the sum of values."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
        slopes[i] *= rate
    return total


@compiled(fastmath=_LANES)
def _settle_weighted(values: Array, slopes: Array, weights: Array, rate: float) -> float:
    """Do the same with weights; what has weight 0 may be infinite or NaN."""
    total = 0.0
    for i in range(values.size):
        weight = weights[i]
        total += where(weight == 0.0, 0.0, weight * values[i])
        slopes[i] = where(weight == 0.0, 0.0, weight * rate * slopes[i])
    return total
