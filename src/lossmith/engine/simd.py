"""Scalar exp, log, log1p, expm1 and tanh without branches, so that the compiler runs them on whole vectors.

Calls into the C library keep a loop scalar; these functions are plain arithmetic, selects and integer
operations on the bits of a float64, which LLVM turns into AVX code (8 numbers at a time with AVX-512). They
are meant for numba and are compiled into kernels; from Python they run slowly but give the same numbers.

Stated bounds on the error, in ulp of the exact result over the whole float64 range (tested against 60
digits): exp 0.75, log 1, log1p 1, expm1 1, tanh 2.5, power 1.25. Overflow, underflow to subnormals, infinities and
NaN are those of the C library.

The coefficients are near-minimax polynomials through Chebyshev nodes, computed with 160 digits by
``tools/fit_polynomials.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Number = Any  # a float64 (or int64) scalar, of numba in kernels and of NumPy elsewhere

_LOG2_E = 1.4426950408889634
# log 2 in two parts; the first has 20 trailing zero bits, so k times it is exact for |k| < 2^20.
_LN2_HIGH = 0.6931471804855391
_LN2_LOW = 7.440617110012397e-11
# Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits.
_ROUND = 6755399441055744.0
_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)
_SMALLEST_NORMAL = 2.2250738585072014e-308
_INF = float("inf")


def select(condition: bool, x: Number, y: Number) -> Number:
    """Return x or y; in kernels an instruction, since a branch can keep the loop scalar."""
    return x if condition else y


def product_error(x: Number, y: Number, product: Number) -> Number:
    """Return x * y - product exactly, for the rounded product; in kernels one fused multiply-add."""
    x_high, y_high = x * 134217729.0, y * 134217729.0
    x_high, y_high = x_high - (x_high - x), y_high - (y_high - y)
    x_low, y_low = x - x_high, y - y_high
    return ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def product_rounding(x: Number, y: Number) -> Number:
    """Return what rounding takes from x * y."""
    return product_error(x, y, x * y)


def power_of_two(k: Number) -> Number:
    """Return 2^k for -1022 <= k <= 1023, by writing the exponent's bits."""
    return np.int64((np.int64(k) + 1023) << 52).view(np.float64)


def reduced(x: Number) -> tuple[Number, Number, Number]:
    """Return k, r and low with x = k log 2 + r + low, |r| <= log(2) / 2 and low what rounding took from r."""
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    near = x - whole * _LN2_HIGH
    r = near - whole * _LN2_LOW
    low = (near - r) - whole * _LN2_LOW
    return np.int64(np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000)), r, low


def tail(r: Number) -> Number:
    """Return (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2; error 0.01 ulp of exp(r)."""
    p = 2.0914686968086876e-09
    p = p * r + 2.5105217004720745e-08
    p = p * r + 2.75572736431103e-07
    p = p * r + 2.7557255400206422e-06
    p = p * r + 2.4801587325547743e-05
    p = p * r + 0.00019841269874820627
    p = p * r + 0.0013888888888883748
    p = p * r + 0.008333333333326136
    p = p * r + 0.04166666666666667
    p = p * r + 0.1666666666666667
    return p * r + 0.5


def exp_sum(x: Number, rest: Number) -> Number:
    """e^(x + rest) for a rest of a few roundings of x."""
    k, r, low = reduced(min(max(x, -746.0), 710.0))
    half = k >> 1  # 2^k in two factors: results down to the smallest subnormal round once more, no more
    bent = r * r * tail(r)
    head = 1.0 + r
    # What that sum lost is put back, so that little but the last rounding is left.
    risen = head + (((1.0 - head) + r) + (bent + (low + rest) * (head + bent)))
    return risen * power_of_two(half) * power_of_two(k - half)


def exp(x: Number) -> Number:
    """e^x."""
    return exp_sum(x, 0.0)


def expm1(x: Number) -> Number:
    """e^x - 1."""
    k, r, low = reduced(min(max(x, -50.0), 710.0))
    half = k >> 1
    lower = 1.0 - power_of_two(max(-k, -100))
    head = lower + r
    risen = head + (((lower - head) + r) + (r * r * tail(r) + low))
    result = risen * power_of_two(half) * power_of_two(k - half)
    return select(x == 0.0, x, result)


def tanh(x: Number) -> Number:
    """Hyperbolic tangent, from expm1(-2|x|), which loses no digits near 0."""
    t = expm1(-2.0 * abs(x))
    a = -t / (2.0 + t)
    return select(x == 0.0, x, select(x < 0.0, -a, a))


def split(u: Number) -> tuple[Number, Number]:
    """Return e and m with u = 2^e m and m in [sqrt(1/2), sqrt(2)), for normal u > 0."""
    bits = np.float64(u).view(np.int64)
    e = (bits - _SQRT_HALF) >> 52
    return e, np.int64(bits - (e << 52)).view(np.float64)


def log_tail(z: Number) -> Number:
    """Return (2 atanh(s) / s - 2) / z with z = s^2, for 1 + f in [sqrt(1/2), sqrt(2)]; error 0.05 ulp."""
    p = 0.14617807153417325
    p = p * z + 0.15331611722055008
    p = p * z + 0.1818289243253687
    p = p * z + 0.22222211089379496
    p = p * z + 0.28571428626253836
    p = p * z + 0.3999999999989889
    return p * z + 0.666666666666667


def log_sum(f: Number, e: Number, correction: Number) -> Number:
    """Return e log 2 + log(1 + f) + correction, adding the small parts first."""
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    small = s * (half_square + z * log_tail(z)) + (e * _LN2_LOW + correction)
    return e * _LN2_HIGH - ((half_square - small) - f)


def log(x: Number) -> Number:
    """Natural logarithm."""
    tiny = x < _SMALLEST_NORMAL
    e, m = split(select(tiny, x * 18014398509481984.0, x))
    result = log_sum(m - 1.0, np.float64(e) - select(tiny, 54.0, 0.0), 0.0)
    result = select(x == _INF, x, select(x == 0.0, -_INF, result))
    return select(x >= 0.0, result, np.nan)


def log1p(x: Number) -> Number:
    """log(1 + x)."""
    u = 1.0 + x
    e, m = split(u)
    near = e == 0  # then 1 + x need not be formed: f is x itself
    lost = select(x > 1.0, 1.0 - (u - x), x - (u - 1.0)) / u
    result = log_sum(select(near, x, m - 1.0), np.float64(e), select(near, 0.0, lost))
    result = select(x == _INF, x, select(x == -1.0, -_INF, result))
    return select(x >= -1.0, result, np.nan)


def power(x: Number, exponent: Number) -> Number:
    """Raise x to a power, for x >= 0: exp of the product with log x, which is carried in two numbers."""
    tiny = x < _SMALLEST_NORMAL
    e, m = split(select(tiny, x * 18014398509481984.0, x))
    whole = np.float64(e) - select(tiny, 54.0, 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    bent = half_square - s * (half_square + z * log_tail(z))
    # log x = high + low; whole * _LN2_HIGH is exact, and what the two sums round away is kept.
    near = f - bent
    base = whole * _LN2_HIGH
    top = base + near
    rest = (near - (top - base)) + (((f - near) - bent) + whole * _LN2_LOW)
    high = top + rest
    low = rest - (high - top)
    product = exponent * high
    result = exp_sum(product, product_error(exponent, high, product) + exponent * low)
    end = select(exponent > 0.0, x, 1.0 / x)
    result = select(x == 0.0, end, select(x == _INF, end, result))
    return select(exponent == 0.0, 1.0, select(x >= 0.0, result, np.nan))
