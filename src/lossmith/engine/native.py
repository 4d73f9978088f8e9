"""The words of :mod:`.simd` in float32 arithmetic, 16 numbers to a vector, for formulas that keep 2 ulp that way.

Constants are written as ever: a kernel of this grade is translated with all of them, and those of the formula, as
float32. Stated bounds on the error, in ulp of the float32 result: exp 1, log1p_exp_neg 1.75, logistic_share and
logistic_slope 1. Overflow, underflow to subnormals, infinities and NaN are those of the C library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.twofold import select
from .simd import inverse_rest, product_parts

Number = Any  # a float32 scalar of numba (or int32)

# log 2 in two parts, the first of 10 bits: a whole number below 2^14 times it is exact.
_LN2_HIGH, _LN2_LOW = 0.693359375, -0.00021219444005469057
_LN2 = 0.6931471805599453
_LOG2_E = 1.4426950408889634
_ROUND = 12582912.0  # 1.5 * 2^23: adding it rounds to the nearest integer and leaves that in the low bits


def power_of_two(k: Number) -> Number:
    """Return 2^k for -126 <= k <= 127."""
    return np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


def exp_tail(r: Number) -> Number:
    """Return (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2."""
    r2 = r * r
    low = (0.5 + 0.16666576266288757 * r) + (0.041666556149721146 + 0.008363178931176662 * r) * r2
    return low + 0.0013926184037700295 * (r2 * r2)


def exp_factors(x: Number) -> tuple[Number, Number, Number, Number]:
    """Return exp(x) as (high + low) one two, with two powers of 2: results may be subnormal."""
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    head = 1.0 + r
    rest = ((1.0 - head) + r) + r * r * exp_tail(r)
    high = head + rest
    k = np.int32(np.float32(shifted).view(np.int32) - np.int32(0x4B400000))
    half = np.int32(k >> np.int32(1))
    return high, (head - high) + rest, power_of_two(half), power_of_two(np.int32(k - half))


def exp(x: Number) -> Number:
    """e^x."""
    high, _, one, two = exp_factors(min(max(x, -104.0), 89.0))
    return high * one * two


def fall(x: Number) -> tuple[Number, Number]:
    """Return exp(-|x|) and what it lacks."""
    high, low, one, two = exp_factors(max(-abs(x), -104.0))
    return high * one * two, low * one * two


def log1p_bend(f: Number) -> Number:
    """Return (log(1 + f) - f) / f^2 for 1 + f in [sqrt(1/2), sqrt(2)]."""
    f2 = f * f
    f4 = f2 * f2
    low = (-0.4999999701976776 + 0.3333333134651184 * f) + (-0.25000786781311035 + 0.2000124305486679 * f) * f2
    high = (-0.16626448929309845 + 0.1420450061559677 * f) + (-0.13129308819770813 + 0.127263143658638 * f) * f2
    return low + (high - 0.07673327624797821 * f4) * f4


def log1p_exp_neg(x: Number) -> Number:
    """log(1 + exp(-|x|))."""
    q, q_low = fall(x)
    near = q < 0.41421356237309503
    f = select(near, q, 0.5 * (q - 1.0))
    small = f * f * log1p_bend(f) + q_low * (1.0 - 0.5 * q)
    return select(near, 0.0, _LN2) + (f + small)


def shares(x: Number) -> tuple[Number, Number, Number, Number]:
    """Return q = exp(-|x|) and 1 / (1 + q), each with what it lacks."""
    q, q_low = fall(x)
    d = 1.0 + q
    p = 1.0 / d
    return q, q_low, p, inverse_rest(p, d, (q - (d - 1.0)) + q_low)


def logistic_share(a: Number, b: Number, x: Number) -> Number:
    """(a + b q) / (1 + q) with q = exp(-|x|)."""
    q, q_low, p, p_low = shares(x)
    top = a + b * q
    return top * p + (top * p_low + b * q_low * p)


def logistic_slope(x: Number) -> Number:
    """Q / (1 + q)^2 with q = exp(-|x|)."""
    q, q_low, p, p_low = shares(x)
    high, low = product_parts(p, p_low, p, p_low)
    return q * high + (q * low + q_low * high)
