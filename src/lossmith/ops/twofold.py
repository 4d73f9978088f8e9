"""exp(-|x|) and log(1 + exp(-|x|)) in plain arithmetic, the logarithm as an unevaluated sum of two numbers.

A formula that raises 1 + exp(-|x|) to a large power makes the rounding of the logarithm as many times larger;
with its second part, which leaves an absolute error of at most 2^-60, nothing is lost. The one text runs on NumPy's
float64 arrays and, compiled, on the scalars of a kernel: it has no branches, so it becomes vector code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Number = Any  # a float64 (or int64): a NumPy array or scalar, or a scalar of a kernel

LOG2_E = 1.4426950408889634
# log 2 in two parts; the first has 20 trailing zero bits, so k times it is exact for |k| < 2^20.
LN2_HIGH = 0.6931471804855391
LN2_LOW = 7.440617110012397e-11
# log 2 as float64 has it, and the rest.
LN2 = 0.6931471805599453
LN2_REST = 2.3190468138462996e-17
# Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits.
ROUND = 6755399441055744.0
# log 1.5 and the root of 2, likewise.
_LN1_5 = 0.4054651081081644
_LN1_5_REST = -2.8811380259626426e-18
_SQRT2 = 1.4142135623730951
_SQRT2_REST = -9.667293313452913e-17


def select(condition: Any, x: Number, y: Number) -> Number:
    """Return x where the condition holds, else y; in kernels an instruction, since a branch can keep a loop scalar."""
    return np.where(condition, x, y)


def halves(x: Number) -> tuple[Number, Number]:
    """Return two numbers of half as many digits with the sum x."""
    split = x * 134217729.0
    high = split - (split - x)
    return high, x - high


def product_error(x: Number, y: Number, product: Number) -> Number:
    """Return x * y - product exactly, for the rounded product; in kernels one fused multiply-add."""
    x_high, x_low = halves(x)
    y_high, y_low = (x_high, x_low) if y is x else halves(y)
    return ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def power_of_two(k: Number) -> Number:
    """Return 2^k for -1022 <= k <= 1023, by writing the exponent's bits."""
    return np.int64((np.int64(k) + 1023) << 52).view(np.float64)


def reduced(x: Number) -> tuple[Number, Number, Number]:
    """Return k, r and low with x = k log 2 + r + low, |r| <= log(2) / 2 and low what rounding took from r."""
    shifted = x * LOG2_E + ROUND
    whole = shifted - ROUND
    near = x - whole * LN2_HIGH
    r = near - whole * LN2_LOW
    low = (near - r) - whole * LN2_LOW
    return np.int64(np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000)), r, low


def third_tail(r: Number) -> Number:
    """Return (exp(r) - 1 - r - r^2 / 2) / r^3 on |r| <= log(2) / 2; error 0.01 ulp of exp(r)."""
    # Estrin's scheme: half as long a chain of dependent operations as Horner's, which is what a vector waits for.
    r2 = r * r
    r4 = r2 * r2
    low = (0.1666666666666667 + 0.04166666666666667 * r) + (0.008333333333326136 + 0.0013888888888883748 * r) * r2
    middle = (0.00019841269874820627 + 2.4801587325547743e-05 * r) + (
        2.7557255400206422e-06 + 2.75572736431103e-07 * r
    ) * r2
    high = 2.5105217004720745e-08 + 2.0914686968086876e-09 * r
    return low + (middle + high * r4) * r4


def log_tail(z: Number) -> Number:
    """Return (2 atanh(s) / s - 2) / z with z = s^2, for 1 + f in [sqrt(1/2), sqrt(2)]; error 0.05 ulp."""
    z2 = z * z
    low = 0.666666666666667 + 0.3999999999989889 * z
    middle = 0.28571428626253836 + 0.22222211089379496 * z
    high = (0.1818289243253687 + 0.15331611722055008 * z) + 0.14617807153417325 * z2
    return low + (middle + high * z2) * z2


def exp_parts(x: Number) -> tuple[Number, Number]:
    """Return exp(x) as two numbers, for x <= 0."""
    # Steps of log(2) / 2 leave |r| <= log(2) / 4, so that the rounded terms, from r^3 / 6 on, are small.
    k, twice, rest = reduced(2.0 * select(x < -746.0, -746.0, x))
    r, low = 0.5 * twice, 0.5 * rest
    square = r * r
    bent = 0.5 * square
    first = 1.0 + r
    second = first + bent
    lost = ((1.0 - first) + r) + ((first - second) + bent) + 0.5 * product_error(r, r, square)
    small = lost + (r * square * third_tail(r) + low * second)
    odd = (k & 1) == 1
    root = select(odd, _SQRT2, 1.0)
    high = second * root
    small = product_error(second, root, high) + select(odd, _SQRT2_REST, 0.0) * second + small * root
    total = high + small
    half = k >> 2  # 2^k in two factors: results down to the smallest subnormal round once more, no more
    one, two = power_of_two(half), power_of_two((k >> 1) - half)
    return total * one * two, ((high - total) + small) * one * two


def softplus_parts(x: Number) -> tuple[Number, Number, Number]:
    """Return q = exp(-|x|), within 0.51 ulp where normal, and log(1 + q) of the unrounded q as two numbers."""
    q, q_low = exp_parts(-abs(x))
    # 1 + q = c (1 + s) / (1 - s) with c one of 1, 1.5 and 2, so that s is small
    lower, upper = q < 0.22, q > 0.72
    c = select(lower, 1.0, select(upper, 2.0, 1.5))
    base = select(lower, 0.0, select(upper, LN2, _LN1_5))
    base_rest = select(lower, 0.0, select(upper, LN2_REST, _LN1_5_REST))
    over = q - (c - 1.0)
    under = (1.0 + c) + q
    over_lost, under_lost = q - (over + (c - 1.0)), ((1.0 + c) - under) + q
    return q, *log_sum_parts(over, over_lost, under, under_lost, base, base_rest + q_low / (1.0 + q))


def log_sum_parts(
    over: Number, over_lost: Number, under: Number, under_lost: Number, base: Number, rest: Number
) -> tuple[Number, Number]:
    """Return base + rest + log((1 + s) / (1 - s)) as two numbers; s = over / under, each with what rounding took."""
    s = over / under
    product = s * under
    missed = (((over - product) - product_error(s, under, product)) + over_lost) - s * under_lost
    z = s * s
    top = base + 2.0 * s
    shift = 2.0 * missed / under
    # The logarithm's slope in s is 2 / (1 - z).
    small = ((base - top) + 2.0 * s) + (s * z * log_tail(z) + (shift + (shift * z + rest)))
    high = top + small
    return high, (top - high) + small


def log_parts(m: Number, e: Number) -> tuple[Number, Number]:
    """Return log(2^e m) as two numbers, for m in [1, 2); the first is within 0.55 ulp beside the root at 1, too."""
    lower, upper = m < 1.22, m > 1.72
    middle = select(lower, 0.0, select(upper, 0.0, _LN1_5))
    c = select(lower, 1.0, select(upper, 2.0, 1.5))
    whole = e + select(upper, 1.0, 0.0)
    top = whole * LN2_HIGH  # exact
    base = top + middle
    rest = whole * LN2_LOW + select(middle == 0.0, 0.0, _LN1_5_REST)
    lost = select(top == 0.0, 0.0, (top - base) + middle)
    under = m + c
    return log_sum_parts(m - c, 0.0, under, (c - under) + m, base, rest + lost)
