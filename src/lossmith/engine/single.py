"""The words of :mod:`.simd` with shorter polynomials: float64 arithmetic that is good for float32 results.

The relative error is at most 2^-30 (tested), so that a float32 result is nearly always the correctly rounded one.
The range is that of float64 without its subnormals, which float32 cannot tell from 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .simd import _INF, _LN2_HIGH, _LN2_LOW, _LOG2_E, _ROUND, power_of_two, select, split

Number = Any
_LN2 = _LN2_HIGH + _LN2_LOW


def reduced(x: Number) -> tuple[Number, Number]:
    """Return k and r with x = k log 2 + r, |r| <= log(2) / 2."""
    shifted = x * _LOG2_E + _ROUND
    k = np.int64(np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000))
    return k, x - (shifted - _ROUND) * _LN2


def bend(r: Number) -> Number:
    """Return exp(r) - 1 on |r| <= log(2) / 2; relative error 2^-30.8."""
    p = 0.00019890990824673654
    p = p * r + 0.0013933649996309251
    p = p * r + 0.0083333109254809
    p = p * r + 0.041666464925285904
    p = p * r + 0.16666666681623232
    p = p * r + 0.500000001346581
    return r + r * r * p


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
    a = -t / (2.0 + t)
    return select(x < 0.0, -a, a)


def log_near(f: Number) -> Number:
    """Return log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)]; relative error 2^-40."""
    s = f / (2.0 + f)
    z = s * s
    p = 0.19363884986633198
    p = p * z + 0.22191337428065783
    p = p * z + 0.28571755535032944
    p = p * z + 0.3999999879244169
    p = p * z + 0.6666666666737868
    return s * (2.0 + z * p)


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


def power(x: Number, exponent: Number) -> Number:
    """Raise x to a power, for x >= 0."""
    result = exp(exponent * log(x))
    return select(exponent == 0.0, 1.0, result)
