"""Words for formulas of p = 1 / (1 + exp(-x)): its pieces, and products and roots of them, as sums of two numbers.

A power of p raises the rounding of p to that power, too. In float64 what rounding takes from each piece is therefore
carried in a second, small number. Where results are float32, and in other libraries than those served, the second
numbers are 0: the texts are the same, and so are their results but for a few roundings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import logistic_numpy, logistic_wide
from .elementwise import Array, absolute, exp, fallen_slope, full_like, log1p, primitive, sqrt, where, word


def _carried(x: Array) -> Any:
    """Return the functions that carry the second numbers of an array; None where they are 0."""
    if type(x) is float:  # a constant beside NumPy's arrays
        return logistic_numpy
    if type(x) is np.ndarray:
        return logistic_numpy if x.dtype == np.float64 else None
    return logistic_wide if logistic_wide.serves(x) else None


def carries(x: Array) -> bool:
    """Tell whether the words below carry second numbers for an array."""
    return _carried(x) is not None


@primitive
def logistic_parts(x: Array) -> tuple[Array, ...]:
    """Return q = exp(-|x|), 1 / (1 + q), q / (1 + q) and log(1 + q), each with what it lacks, the last for q alone."""
    if carried := _carried(x):
        return carried.logistic_parts(x)  # type: ignore[no-any-return]
    q = exp(-absolute(x))
    nothing = full_like(x, 0.0)
    p = 1.0 / (1.0 + q)
    return q, nothing, p, nothing, q * p, nothing, log1p(q), nothing


@primitive
def product_parts(x: Array, x_low: Array, y: Array, y_low: Array) -> tuple[Array, Array]:
    """(x + x_low) (y + y_low) as a number and what it lacks; the small numbers are known to few digits only."""
    carried = _carried(x)
    return carried.product_parts(x, x_low, y, y_low) if carried else (x * y, full_like(x, 0.0))


@primitive
def root_parts(x: Array, x_low: Array) -> tuple[Array, Array]:
    """Square root of x + x_low as a number and what it lacks."""
    carried = _carried(x)
    return carried.root_parts(x, x_low) if carried else (sqrt(x), full_like(x, 0.0))


@primitive
def product_of_sums(x: Array, x_low: Array, y: Array, y_low: Array) -> Array:
    """(x + x_low) (y + y_low); x may be infinite where both small numbers are 0."""
    carried = _carried(x)
    return carried.product_of_sums(x, x_low, y, y_low) if carried else x * y


@primitive
def sum_parts(x: Array, y: Array, low: Array) -> tuple[Array, Array]:
    """Return x + y and what it lacks of x + y + low, for a low of the size of a rounding."""
    carried = _carried(x)
    return carried.sum_parts(x, y, low) if carried else (x + y, low)


@primitive
def raised_parts(a: Array, x: Array, x_low: Array, y: Array, y_low: Array, scale: Any) -> tuple[Array, Array]:
    """Return a + scale (x + x_low) (y + y_low) and what it lacks, for a plain scale of at most 5 binary digits."""
    if carried := _carried(x):
        return carried.raised_parts(a, x, x_low, y, y_low, scale)  # type: ignore[no-any-return]
    return a + scale * x * y, full_like(x, 0.0)


@primitive
def exp_neg_factors(x: Array) -> tuple[Array, Array]:
    """Two numbers whose product is exp(-|x|), for when that underflows and what it is multiplied by is large."""
    half = exp(-0.5 * absolute(x))
    return half, half


@word
def logistic_less(x: Array, y: Array) -> Array:
    """1 / (1 + exp(-x)) - y for y in [0, 1], with the digits of both tails."""
    likely, q = x >= 0.0, exp(-absolute(x))
    return (where(likely, 1.0 - y, -y) + where(likely, -y, 1.0 - y) * q) / (1.0 + q)


@word
def logistic_slope(x: Array) -> Array:
    """Return q / (1 + q)^2 with q = exp(-|x|): the derivative of the sigmoid."""
    return fallen_slope(exp(-absolute(x)))
