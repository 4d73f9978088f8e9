"""Pieces of row kernels that work in the dtype of the logits: e^x for x <= 0, and the largest entry of a row.

Like :mod:`.simd`, plain arithmetic without branches. In float32 a vector holds 16 numbers instead of 8, which a
table of logits needs: its bars are those of memory. The coefficients are those of the polynomial through Chebyshev
nodes of (e^r - 1 - r) / r^2 on |r| <= log(2) / 2, of degree 4, computed with 40 digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import exp, where, word

Number = Any
_F = np.float32
_I = np.int32
_L = np.int64


@word
def falling_single(x: Number) -> Number:
    """e^x for a float32 x <= 0, in float32; at most 1.5 ulp, subnormal results and 0 included."""
    x = where(x < _F(-104.0), _F(-104.0), x)
    shifted = x * _F(1.4426950408889634) + _F(12582912.0)  # 1.5 * 2^23 rounds to the nearest integer
    whole = shifted - _F(12582912.0)
    # log 2 in two parts, the first of 10 bits: whole times it is exact
    r = (x - whole * _F(0.693359375)) - whole * _F(-0.00021219444005469057)
    p = _F(0.0013926183587713494)
    p = p * r + _F(0.008363179052722578)
    p = p * r + _F(0.041666554617204574)
    p = p * r + _F(0.16666576989698775)
    p = p * r + _F(0.5)
    risen = _F(1.0) + (r + r * r * p)
    # The low bits of ``shifted`` hold k. 2^k in two factors, one of them fixed, so that subnormal results round once.
    scaled = _I((_F(shifted).view(np.int32) << _I(23)) + _I(0x5F800000)).view(np.float32)
    return risen * scaled * _F(2.0**-64)


@word
def falling_double(x: Number) -> Number:
    """e^x in float64, in the accuracy of the loop's words."""
    return exp(x)


def highest_single(bits: Any) -> Number:
    """Return the largest number of a row of float32, given by its bits; NaN where it meets a positive one.

    On integers in the order of the numbers, since a maximum of floats would not vectorise: NaN has no order.
    """
    top = _I(-0x80000000)
    for i in range(bits.size):
        top = max(top, _I(bits[i] ^ ((bits[i] >> _I(31)) & _I(0x7FFFFFFF))))
    return _I(top ^ ((top >> _I(31)) & _I(0x7FFFFFFF))).view(np.float32)


def highest_double(bits: Any) -> Number:
    """Return the largest number of a row of float64, given by its bits."""
    top = _L(-0x8000000000000000)
    for i in range(bits.size):
        top = max(top, _L(bits[i] ^ ((bits[i] >> _L(63)) & _L(0x7FFFFFFFFFFFFFFF))))
    return _L(top ^ ((top >> _L(63)) & _L(0x7FFFFFFFFFFFFFFF))).view(np.float64)
