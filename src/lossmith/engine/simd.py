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

from ..ops.twofold import (
    LN2_HIGH,
    LN2_LOW,
    log_parts,
    log_tail,
    power_of_two,
    product_error,
    reduced,
    select,
    softplus_parts,
    third_tail,
)

Number = Any  # a float64 (or int64) scalar, of numba in kernels and of NumPy elsewhere

_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)
_SMALLEST_NORMAL = 2.2250738585072014e-308
_INF = float("inf")


def product_rounding(x: Number, y: Number) -> Number:
    """Return what rounding takes from x * y."""
    return product_error(x, y, x * y)


def tail(r: Number) -> Number:
    """Return (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2; error 0.01 ulp of exp(r)."""
    return 0.5 + r * third_tail(r)


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


def log_sum(f: Number, e: Number, correction: Number) -> Number:
    """Return e log 2 + log(1 + f) + correction, adding the small parts first."""
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    small = s * (half_square + z * log_tail(z)) + (e * LN2_LOW + correction)
    return e * LN2_HIGH - ((half_square - small) - f)


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


def log1p_exp_neg(x: Number) -> Number:
    """log(1 + exp(-|x|)): with an argument in [0, 1] the logarithm has no special cases."""
    q = exp(-abs(x))
    near = q < 0.41421356237309503
    f = select(near, q, 0.5 * (q - 1.0))
    return log_sum(f, select(near, 0.0, 1.0), 0.0)


def exp_neg(x: Number) -> Number:
    """exp(-|x|), from what the logarithm needs in any case."""
    return softplus_parts(x)[0]


def log1p_exp_neg_high(x: Number) -> Number:
    """log(1 + exp(-|x|)), correctly rounded in nearly all cases."""
    return softplus_parts(x)[1]


def log1p_exp_neg_low(x: Number) -> Number:
    """What the rounding of log(1 + exp(-|x|)) takes."""
    return softplus_parts(x)[2]


def power(x: Number, exponent: Number) -> Number:
    """Raise x to a power, for x >= 0: exp of the product with log x, which is carried in two numbers."""
    tiny = x < _SMALLEST_NORMAL
    bits = np.float64(select(tiny, x * 18014398509481984.0, x)).view(np.int64)
    e = (bits >> 52) - 1023
    m = np.int64(bits - (e << 52)).view(np.float64)
    high, low = log_parts(m, np.float64(e) - select(tiny, 54.0, 0.0))
    product = exponent * high
    result = exp_sum(product, product_error(exponent, high, product) + exponent * low)
    end = select(exponent > 0.0, x, 1.0 / x)
    result = select(x == 0.0, end, select(x == _INF, end, result))
    return select(exponent == 0.0, 1.0, select(x >= 0.0, result, np.nan))
