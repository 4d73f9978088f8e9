"""Pieces of the logistic function, and their products, as sums of two numbers: NumPy's side of :mod:`.logistic`.

NumPy's exp is good to 0.7 ulp; here it is put together from a table in two numbers and from expm1 of a small
remainder, whose rounding does not count.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .twofold import product_error

Array = Any

_STEPS = 8.0  # entries of the table for a change of 1
_LAST = 746.0  # exp(-746) is 0
_CUT = 2.0**29 + 1.0  # multiplying by it leaves 24 of 53 digits above those that a difference keeps
# exp(-1/8) as float64 has it, and the rest.
_STEP, _STEP_REST = 0.8824969025845955, -5.224526916735663e-17


@functools.cache
def _table() -> tuple[Array, Array]:
    """Return exp(-k / 8) in two numbers for all k that give more than 0, by doubling."""
    high, low = np.ones(1), np.zeros(1)
    factor = np.array([_STEP]), np.array([_STEP_REST])
    while high.size <= _LAST * _STEPS:
        more = _normal(*product_parts(high, low, *factor))
        high, low = np.concatenate((high, more[0])), np.concatenate((low, more[1]))
        factor = _normal(*product_parts(*factor, *factor))
    return high, low


def _normal(x: Array, x_low: Array) -> tuple[Array, Array]:
    total = x + x_low
    return total, (x - total) + x_low


def logistic_parts(x: Array) -> tuple[Array, ...]:
    """Return q = exp(-|x|), 1 / (1 + q), q / (1 + q) and log(1 + q), each with what it lacks, the last for q alone."""
    a = np.absolute(x)
    k = np.rint(np.fmin(a, _LAST) * _STEPS)
    entry = k.astype(np.intp)
    high, low = (column[entry] for column in _table())
    k *= 1.0 / _STEPS
    k -= a  # exact
    bent = np.expm1(k, out=k)
    bent *= high
    bent += low
    q = high + bent
    high -= q
    high += bent
    p = 1.0 / (1.0 + q)
    other = q * p
    lost = product_error(q, p, other)
    carried = high * p
    # p (1 + q) is p + q p: what it lacks of 1 needs no second exact product.
    rest = 1.0 - p
    rest -= other
    rest -= lost
    rest -= carried
    rest *= p
    lost += q * rest + carried
    return q, high, p, rest, other, lost, np.log1p(q), carried


def product_parts(x: Array, x_low: Array, y: Array, y_low: Array) -> tuple[Array, Array]:
    """Return (x + x_low) (y + y_low) and what it lacks."""
    product = x * y
    return product, product_error(x, y, product) + (x * y_low + x_low * y)


def root_parts(x: Array, x_low: Array) -> tuple[Array, Array]:
    """Return the square root of x + x_low and what it lacks."""
    root = np.sqrt(x)
    rest = x_low - product_error(root, root, x)
    return root, 0.5 * rest / np.where(x == 0.0, 1.0, root)


def product_of_sums(x: Array, x_low: Array, y: Array, y_low: Array) -> Array:
    """Return (x + x_low) (y + y_low); x may be infinite where y_low is 0."""
    return x * y + (np.fmin(x, 1e300) * y_low + x_low * y)


def sum_parts(x: Array, y: Array, low: Array) -> tuple[Array, Array]:
    """Return x + y and what it lacks of x + y + low."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back) + low


def raised_parts(a: Array, x: Array, x_low: Array, y: Array, y_low: Array, scale: float) -> tuple[Array, Array]:
    """Return a + scale (x + x_low) (y + y_low) and what it lacks."""
    x_high, y_high = _leading(x), _leading(y)
    scaled = scale * y_high
    main = scaled * x_high  # exact: 24 digits, 24 and those of the scale
    rest = scaled * ((x - x_high) + x_low) + scale * ((y - y_high) + y_low) * x
    return _normal(*sum_parts(a, main, rest))


def _leading(x: Array) -> Array:
    """Return the first 24 binary digits of numbers."""
    split = _CUT * x
    return split - (split - x)
