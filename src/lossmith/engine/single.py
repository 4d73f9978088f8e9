"""The words of :mod:`.simd` with shorter polynomials: float64 arithmetic that is good for float32 results.

The relative error is at most 2^-30 (tested over float32's range, and next to the roots of log and lgamma), so that a
float32 result is nearly always the correctly rounded one. The range is that of float64 without its subnormals, which
float32 cannot tell from 0. Infinities and NaN are those of :mod:`.simd`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.twofold import LN2_HIGH, LN2_LOW, LOG2_E, ROUND, power_of_two, select
from .simd import _INF, HALF_LOG_2PI_LESS_HALF, LESS_EULER, TWO_BY_ROOT_PI, split

Number = Any
_LN2 = LN2_HIGH + LN2_LOW


def reduced(x: Number) -> tuple[Number, Number]:
    """Return k and r with x = k log 2 + r, |r| <= log(2) / 2."""
    shifted = x * LOG2_E + ROUND
    k = np.int64(np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000))
    return k, x - (shifted - ROUND) * _LN2


def bend(r: Number) -> Number:
    """Return exp(r) - 1 on |r| <= log(2) / 2; relative error 2^-30.8."""
    r2 = r * r
    low = 0.500000001346581 + 0.16666666681623232 * r
    middle = 0.041666464925285904 + 0.0083333109254809 * r
    high = 0.0013933649996309251 + 0.00019890990824673654 * r
    return r + r2 * (low + (middle + high * r2) * r2)


def exp(x: Number) -> Number:
    """e^x; 0 below exp(-708)."""
    k, r = reduced(min(max(x, -708.0), 709.7))
    result = power_of_two(k) * (1.0 + bend(r))
    return select(x < -708.0, 0.0, select(x > 709.7, _INF, result))


def expm1(x: Number) -> Number:
    """e^x - 1."""
    k, r = reduced(min(max(x, -50.0), 709.7))
    scale = power_of_two(k)
    result = scale * bend(r) + (scale - 1.0)
    return select(x > 709.7, _INF, result)


def tanh(x: Number) -> Number:
    """Hyperbolic tangent."""
    t = expm1(-2.0 * abs(x))
    a = t / (2.0 + t)
    return select(x > 0.0, -a, a)


def log_near(f: Number) -> Number:
    """Return log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)]; relative error 2^-43."""
    return log_quotient(f / (2.0 + f))


def log_quotient(s: Number) -> Number:
    """Return log((1 + s) / (1 - s)) for a quotient in [sqrt(1/2), sqrt(2)]; relative error 2^-43."""
    z = s * s
    z2 = z * z
    low = 0.6666666666737868 + 0.3999999879244169 * z
    high = (0.28571755535032944 + 0.22191337428065783 * z) + 0.19363884986633198 * z2
    return s * (2.0 + z * (low + high * z2))


def log(x: Number) -> Number:
    """Natural logarithm, of float64 numbers that are not subnormal."""
    e, m = split(x)
    result = np.float64(e) * _LN2 + log_near(m - 1.0)
    result = select(x == _INF, x, select(x == 0.0, -_INF, result))
    return select(x >= 0.0, result, np.nan)


def log1p(x: Number) -> Number:
    """log(1 + x)."""
    u = 1.0 + x
    e, m = split(u)
    near = e == 0  # then 1 + x need not be formed: f is x itself
    result = np.float64(e) * _LN2 + log_near(select(near, x, m - 1.0))
    result = select(x == _INF, x, select(x == -1.0, -_INF, result))
    return select(x >= -1.0, result, np.nan)


def log1p_exp_neg(x: Number) -> Number:
    """log(1 + exp(-|x|)): with an argument in [0, 1] the logarithm has no special cases."""
    q = exp(-abs(x))
    near = q < 0.41421356237309503
    return select(near, 0.0, _LN2) + log_near(select(near, q, 0.5 * (q - 1.0)))


def logistic_parts(x: Number) -> tuple[Number, ...]:
    """Return q = exp(-|x|), 1 / (1 + q), q / (1 + q) and log(1 + q); 0 for what they lack."""
    k, r = reduced(max(-abs(x), -708.0))
    q = power_of_two(k) * (1.0 + bend(r))
    near = q < 0.41421356237309503
    f = select(near, q, 0.5 * (q - 1.0))
    d, under = 1.0 + q, 2.0 + f
    both = 1.0 / (d * under)  # one division serves both quotients
    p, bent = both * under, select(near, 0.0, _LN2) + log_quotient(f * (both * d))
    return q, 0.0, p, 0.0, q * p, 0.0, bent, 0.0


def power(x: Number, exponent: Number) -> Number:
    """Raise x to a power, for x >= 0."""
    result = exp(exponent * log(x))
    return select(exponent == 0.0, 1.0, result)


def erf(x: Number) -> Number:
    """Error function: 1 - exp(-g) with one polynomial for g, which loses no digits near 0."""
    a = min(abs(x), 4.6)
    a2 = a * a
    a4 = a2 * a2
    low = (0.6366197834510742 + 0.10277227744417887 * a) + (-0.01912520175076906 - 0.00022494293078804527 * a) * a2
    middle = (0.0017396687174298271 - 0.0006639579963426222 * a) + (
        0.00010591100937179969 + 9.511376119703161e-06 * a
    ) * a2
    high = (-8.155315705865781e-06 + 1.5573680896041745e-06 * a) - 1.0905016931344281e-07 * a2
    result = -expm1(-(a * TWO_BY_ROOT_PI + a2 * (low + (middle + high * a4) * a4)))
    return select(x == 0.0, x, select(x < 0.0, -result, result))


def lgamma(x: Number) -> Number:
    """Logarithm of Gamma(x), x > 0; see :func:`.simd.lgamma`."""
    large = x >= 3.5
    n = (x + ROUND) - ROUND
    f = x - n
    c = select(n < 0.5, x + x * x, select(n < 1.5, x, select(n < 2.5, 1.0, x - 1.0)))
    e, m = split(select(large, x, c))
    logarithm = np.float64(e) * _LN2 + log_near(m - 1.0)
    f2 = f * f
    f4 = f2 * f2
    low = (0.3224670334689425 - 0.06735230107386855 * f) + (0.020580799471518252 - 0.0073855468990587005 * f) * f2
    middle = (0.002890795321559696 - 0.0011928853081351017 * f) + (
        0.0005065171429518161 - 0.00022170155904749816 * f
    ) * f2
    high = 0.00011347281994554691 - 5.138485860045513e-05 * f
    near = f * LESS_EULER + f2 * (low + (middle + high * f4) * f4)
    over = 1.0 / x
    z = over * over
    tail = over * (
        (0.08333333312119084 - 0.0027776941948208624 * z)
        + (0.0007883901767006314 - 0.0004847634001382658 * z) * (z * z)
    )
    far = (x - 0.5) * (logarithm - 1.0) + (HALF_LOG_2PI_LESS_HALF + tail)
    result = select(large, far, near + select(n < 1.5, -logarithm, logarithm))
    result = select(x == 0.0, _INF, select(x == _INF, x, result))
    return select(x >= 0.0, result, np.nan)
