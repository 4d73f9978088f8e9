"""Pieces of the logistic function, and their products, as sums of two numbers: the side of JAX and PyTorch.

Their exp errs by up to 1.5 ulp in float64, and a power makes that as many times larger. Here it is put together from a
power of two and a series. A compiler may fuse a product with a sum, or fold (1 + q) - 1 into q: an absolute value in
between keeps it from both. Where one does so all the same, nothing is put back, as with one number.
"""

from __future__ import annotations

import math

from .elementwise import Array, absolute, exp, full_like, log1p, product_rounding, rounding, sqrt, where
from .namespaces import namespace
from .twofold import LN2_HIGH, LN2_LOW, LOG2_E

# Beyond, exp(-|x|) comes near to the smallest numbers, whose last places are worth more.
_DEEP = 650.0
_SERIES = tuple(1.0 / math.factorial(k) for k in range(15, 1, -1))
_LARGEST = 1e300


def serves(x: Array) -> bool:
    """Tell whether these are numbers of a library that is served, in float64."""
    name = namespace(x).__name__
    return (name == "jax.numpy" or name.endswith("torch")) and "float64" in str(x.dtype)


def falling_parts(a: Array) -> tuple[Array, Array]:
    """Return exp(-a) for 0 <= a <= 650, and what it lacks to 0.2 ulp."""
    xp = namespace(a)
    k = xp.floor(a * LOG2_E + 0.5)
    near, least = k * LN2_HIGH - a, k * LN2_LOW  # the first is exact
    r = near + least
    series = full_like(r, _SERIES[0])
    for coefficient in _SERIES[1:]:
        series = series * r + coefficient
    bent = absolute(r * r * series)
    grown = r + bent
    lost = (r - grown) + bent
    whole = absolute(1.0 + grown)
    # XLA's exp2 of a whole number is not exact, and torch's ldexp underflows.
    scale = xp.ldexp(full_like(a, 1.0), -xp.astype(k, xp.int32)) if xp.__name__ == "jax.numpy" else xp.exp2(-k)
    return whole * scale, (((1.0 - whole) + grown) + (lost + whole * ((near - r) + least))) * scale


def logistic_parts(x: Array) -> tuple[Array, ...]:
    """Return q = exp(-|x|), 1 / (1 + q), q / (1 + q) and log(1 + q), each with what it lacks, the last for q alone."""
    a = absolute(x)
    near = a < _DEEP
    high, low = falling_parts(where(near, a, full_like(a, _DEEP)))
    q, q_low = where(near, high, exp(-a)), where(near, low, full_like(a, 0.0))
    d = absolute(1.0 + q)
    p = 1.0 / d
    rest = (absolute(p * d) - 1.0) + product_rounding(p, d) + p * ((q - (d - 1.0)) + q_low)
    p_low = -p * rest
    return q, q_low, p, p_low, *product_parts(q, q_low, p, p_low), log1p(q), q_low * p


def product_parts(x: Array, x_low: Array, y: Array, y_low: Array) -> tuple[Array, Array]:
    """Return (x + x_low) (y + y_low) and what it lacks, for x, y >= 0."""
    return absolute(x * y), product_rounding(x, y) + (x * y_low + x_low * y)


def root_parts(x: Array, x_low: Array) -> tuple[Array, Array]:
    """Return the square root of x + x_low and what it lacks."""
    none = x == 0.0
    # From the square of the root: its derivative at 0 would be infinite.
    root = where(none, full_like(x, 0.0), sqrt(where(none, full_like(x, 1.0), x)))
    rest = (x - absolute(root * root)) - product_rounding(root, root) + x_low
    return root, 0.5 * rest / where(none, full_like(x, 1.0), root)


def product_of_sums(x: Array, x_low: Array, y: Array, y_low: Array) -> Array:
    """Return (x + x_low) (y + y_low); x may be infinite where both small numbers are 0."""
    return x * y + (where(absolute(x) < _LARGEST, x, full_like(x, _LARGEST)) * y_low + x_low * y)


def sum_parts(x: Array, y: Array, low: Array) -> tuple[Array, Array]:
    """Return x + y and what it lacks of x + y + low."""
    return x + y, rounding(x, -y) + low


def raised_parts(a: Array, x: Array, x_low: Array, y: Array, y_low: Array, scale: float) -> tuple[Array, Array]:
    """Return a + scale (x + x_low) (y + y_low) and what it lacks; a, x and y may be plain numbers."""
    grown = scale * y  # exact but for the last digits of y where the scale has several
    grown_low = scale * y_low + (product_rounding(y, scale) if type(y) is not float else 0.0)
    product = x * grown
    size = absolute(product)
    settled = where(product < 0.0, -size, size)
    base = a + full_like(settled, 0.0)
    lost = product_rounding(x, grown) + (x * grown_low + x_low * grown)
    return base + settled, rounding(base, -settled) + lost
