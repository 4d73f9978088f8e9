"""The words of :mod:`.simd` in float32 arithmetic, 16 numbers to a vector, for formulas that keep 2 ulp that way.

Constants are written as ever: a kernel of this grade is translated with all of them, and those of the formula, as
float32. Stated bounds on the error, in ulp of the float32 result: exp 1, log1p_exp_neg 1.75, logistic_less,
logistic_slope and sech_squared 1, tanh_of_difference and log_cosh_of_difference 1.75 (of the exact difference).
Overflow, underflow to subnormals, infinities and NaN are those of the C library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.elementwise import rounding
from ..ops.twofold import product_error, select
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
    high, low, one, two = exp_factors(max(-abs(x), -106.0))
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


def logistic_less(x: Number, y: Number) -> Number:
    """1 / (1 + exp(-x)) - y; what rounding takes from 1 - y is put back."""
    q, q_low, p, p_low = shares(x)
    likely, rest = x >= 0.0, 1.0 - y
    a, b = select(likely, rest, -y), select(likely, -y, rest)
    lost = (1.0 - rest) - y
    top = a + b * q
    return top * p + (top * p_low + p * (b * q_low + lost * select(likely, 1.0, q)))


def logistic_slope(x: Number) -> Number:
    """Return q / (1 + q)^2 with q = exp(-|x|)."""
    return scaled_slope(x, 1.0)


def scaled_slope(x: Number, factor: Number) -> Number:
    """Return a power of 2 times logistic_slope(x), which it multiplies before that may be subnormal."""
    high, low, one, two = exp_factors(max(-abs(x), -106.0))
    q, q_low = high * (factor * one) * two, low * (factor * one) * two
    _, _, p, p_low = shares(x)
    square, square_low = product_parts(p, p_low, p, p_low)
    return q * square + (q * square_low + q_low * square)


def sech_squared(x: Number) -> Number:
    """1 / cosh(x)^2."""
    return scaled_slope(2.0 * x, 4.0)


def tanh_bend(z: Number) -> Number:
    """Return (tanh(x) / x - 1) / x^2 with z = x^2 in [0, 1]."""
    z2 = z * z
    low = (-0.3333333432674408 + 0.13333310186862946 * z) + (-0.05396341159939766 + 0.02182953432202339 * z) * z2
    high = (-0.00869780033826828 + 0.0032067287247627974 * z) + (
        -0.0009234423632733524 + 0.0001427753159077838 * z
    ) * z2
    return low + high * (z2 * z2)


def log_cosh_bend(z: Number) -> Number:
    """Return (log(cosh(x)) - x^2 / 2) / x^4 with z = x^2 in [0, 1]."""
    z2 = z * z
    low = (-0.0833333283662796 + 0.022222094237804413 * z) + (-0.006743945647031069 + 0.002173959044739604 * z) * z2
    high = (-0.0006989544490352273 + 0.0001909895072458312 * z) - 2.9980925319250673e-05 * z2
    return low + high * (z2 * z2)


def log1p_tail(q: Number) -> Number:
    """Return (log(1 + q) - q) / q^2 on [0, exp(-2)]."""
    return (-0.49999964237213135 + 0.3332502841949463 * q) + (-0.24687202274799347 + 0.16119083762168884 * q) * (q * q)


def tanh_of_difference(f: Number, y: Number) -> Number:
    """tanh(f - y); what rounding takes from the difference is put back."""
    r, lost = f - y, rounding(f, y)
    z = r * r
    near = r + (r * z * tanh_bend(z) + lost * (1.0 - 0.58 * z))
    q, q_low, p, p_low = shares(2.0 * r)
    top = 1.0 - q
    top_low = ((1.0 - top) - q) - q_low
    far = top * p + (top * p_low + top_low * p)
    return select(abs(r) < 1.0, near, select(r < 0.0, -far, far) + lost * (4.0 * q * p * p))


def log_cosh_of_difference(f: Number, y: Number) -> Number:
    """log(cosh(f - y)), likewise."""
    r, lost = f - y, rounding(f, y)
    a, z = abs(r), r * r
    z_low = product_error(r, r, z) + 2.0 * r * lost
    near = 0.5 * z + (z * z * log_cosh_bend(z) + z_low * (0.5 - 0.125 * z))
    q, _ = fall(2.0 * r)
    far = (a - _LN2) + ((q + q * q * log1p_tail(q)) + select(r < 0.0, -lost, lost))
    return select(a < 1.0, near, far)
