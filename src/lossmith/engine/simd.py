"""Scalar exp, log, log1p, expm1, tanh, power, erf and lgamma without branches, so that they run on whole vectors.

Calls into the C library keep a loop scalar; these functions are plain arithmetic, selects and integer
operations on the bits of a float64, which LLVM turns into AVX code (8 numbers at a time with AVX-512). They
are meant for numba and are compiled into kernels; from Python they run slowly but give the same numbers.

Stated bounds on the error, in ulp of the exact result over the whole float64 range (tested against 60
digits): exp 0.75, log 1, log1p 1, expm1 1.25, tanh 2.75, power 1.25, log1p_exp_neg 1.75, erf 1.75, lgamma 2, the last
for x > 0 and next to its roots at 1 and 2, too; lgamma of x < 0 is NaN. Overflow, underflow to subnormals, infinities
and NaN are those of the C library.

The coefficients are near-minimax polynomials, computed with 60 digits by ``tools/fit_polynomials.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ops.twofold import (
    LN2,
    LN2_HIGH,
    LN2_LOW,
    LN2_REST,
    LOG2_E,
    ROUND,
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

_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)
_SMALLEST_NORMAL = 2.2250738585072014e-308
_INF = float("inf")
# 2 / sqrt(pi), 1 - Euler's gamma and (zeta(2) - 1) / 2 as float64 has them, each with the rest; (log(2 pi) - 1) / 2
TWO_BY_ROOT_PI, TWO_BY_ROOT_PI_REST = 1.1283791670955126, 1.533545961316588e-17
LESS_EULER, LESS_EULER_REST = 0.42278433509846713, 4.942915152430645e-18
HALF_ZETA, HALF_ZETA_REST = 0.3224670334241132, 1.520336175199238e-17
HALF_LOG_2PI_LESS_HALF = 0.4189385332046727
_LAST_LGAMMA = 2.5599833278516383e305  # Gamma's logarithm overflows beyond


def product_rounding(x: Number, y: Number) -> Number:
    """Return what rounding takes from x * y."""
    return product_error(x, y, x * y)


def less_product(a: Number, x: Number, y: Number) -> Number:
    """Return a - x y, rounded once."""
    # On its own, since a function that names the error of a product is compiled to the letter, without fused sums.
    return product_error(-x, y, -a)


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


def exp_sum_parts(x: Number, rest: Number) -> tuple[Number, Number]:
    """e^(x + rest) likewise, and 0 for what it lacks."""
    return exp_sum(x, rest), 0.0


def exp(x: Number) -> Number:
    """e^x."""
    return exp_sum(x, 0.0)


def expm1(x: Number) -> Number:
    """e^x - 1."""
    # Limits as those of exp, whose first steps a kernel for both then takes once; from 2^-80 on the result is -1.
    k, r, low = reduced(min(max(x, -746.0), 710.0))
    k = max(k, -80)
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


def inverse_rest(p: Number, d: Number, d_low: Number) -> Number:
    """Return what p lacks of 1 / (d + d_low)."""
    return -p * (product_error(p, d, 1.0) + p * d_low)


def fall(x: Number) -> tuple[Number, Number, Number, Number]:
    """Return exp(-|x|) as (risen + rest) one two, with two powers of 2: results may be subnormal."""
    # exp(-780) is 0 even if a billion multiplies it before the powers of 2 do.
    a = max(-abs(x), -780.0)
    shifted = a * LOG2_E + ROUND
    whole = shifted - ROUND
    # The first is exact, by a fused sum.
    r, further = less_product(a, whole, LN2), whole * LN2_REST
    bent = r * r * tail(r)
    head = 1.0 + r
    rest = ((1.0 - head) + r) + (bent - further * (head + bent))
    risen = head + rest
    one = power_of_two(np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000 - 128))
    return risen, (head - risen) + rest, one, 2.938735877055719e-39  # 2^-128


def exp_neg_factors(x: Number) -> tuple[Number, Number]:
    """Return two numbers whose product is exp(-|x|)."""
    risen, _, one, two = fall(x)
    return risen * one, two


def share_parts(q: Number, q_low: Number, p: Number) -> tuple[Number, Number, Number]:
    """Return q p, what its rounding takes, and what p lacks of 1 / (1 + q + q_low)."""
    other = q * p
    short = product_error(q, p, other)
    return other, short, p * ((((1.0 - p) - other) - short) - q_low * p)


def log_bend(z: Number) -> Number:
    """Return (2 atanh(s) / s - 2) / z with z = s^2, for 1 + q in [1, 2]; error 0.05 ulp of log(1 + q)."""
    z2 = z * z
    z4 = z2 * z2
    low = (0.6666666666666666 + 0.40000000000014596 * z) + (0.2857142856710506 + 0.22222222717801782 * z) * z2
    middle = (0.18181789417326447 + 0.15385570592912243 * z) + (0.13314135550881162 + 0.12001155182857778 * z) * z2
    high = 0.08800317650868773 + 0.16164938169471338 * z
    return low + (middle + high * z4) * z4


def logistic_parts(x: Number) -> tuple[Number, ...]:
    """Return q = exp(-|x|), 1 / (1 + q), q / (1 + q), each with what it lacks to 0.2 ulp, log(1 + q) to 1.5, and 0."""
    risen, rest, one, two = fall(x)
    scale = one * two  # exact, for a subnormal result too
    q, q_low = risen * scale, rest * scale
    p, s = 1.0 / (1.0 + q), q / (2.0 + q)
    z, half = s * s, 0.5 * q
    small = s * (half * q + z * log_bend(z))
    bent = q + (q_low * p + less_product(small, half, q))
    other, short, p_low = share_parts(q, q_low, p)
    return q, q_low, p, p_low, other, short + crossed(q, q_low, p, p_low), bent, 0.0


def log_cosh_bend(z: Number) -> Number:
    """Return (log(cosh(x)) - x^2 / 2) / x^4 with z = x^2 in [0, 1]; error 0.15 ulp of log(cosh(x))."""
    z2 = z * z
    z4 = z2 * z2
    z8 = z4 * z4
    p0 = (-0.08333333333333333 + 0.02222222222222137 * z) + (-0.006746031745967723 + 0.002186948851714409 * z) * z2
    p1 = (-0.0007386029311497739 + 0.0002565802938522133 * z) + (
        -9.098791312588812e-05 + 3.2771874213328906e-05 * z
    ) * z2
    p2 = (-1.1933781196370895e-05 + 4.354852001368825e-06 * z) + (
        -1.5541264512762475e-06 + 5.123930967613874e-07 * z
    ) * z2
    p3 = (-1.4079863135772361e-07 + 2.7314386709292744e-08 * z) + -2.6886032518415317e-09 * z2
    return (p0 + p1 * z4) + (p2 + p3 * z4) * z8


def log1p_tail(q: Number) -> Number:
    """Return (log(1 + q) - q) / q^2 on [0, exp(-2)]; error 0.1 ulp of log(1 + q)."""
    q2 = q * q
    q4 = q2 * q2
    low = (-0.49999999999999983 + 0.3333333333330662 * q) + (-0.24999999993466265 + 0.19999999378415548 * q) * q2
    high = (-0.16666636532504503 + 0.14284871143845915 * q) + (-0.12485532061166153 + 0.10955503982198646 * q) * q2
    return (low + high * q4) + (-0.08963168486719919 + 0.05029322957444329 * q) * (q4 * q4)


def log_cosh_of_difference(f: Number, y: Number) -> Number:
    """log(cosh(f - y))."""
    r = f - y
    a, z = abs(r), r * r
    near = 0.5 * z + (z * z * log_cosh_bend(z) + (0.5 - 0.25 * z) * product_error(r, r, z))
    # expm1 is what tanh(f - y) is made of, too: beside that it costs nothing.
    q = 1.0 + expm1(-2.0 * a)
    far = (a - LN2) + (q + q * q * log1p_tail(q))
    return select(a < 1.0, near, far)


def fallen_slope(q: Number) -> Number:
    """Q / (1 + q)^2, for q in [0, 1]."""
    d = 1.0 + q
    p = 1.0 / d
    return q * (p * p + 2.0 * p * inverse_rest(p, d, q - (d - 1.0)))


def product_parts(x: Number, x_low: Number, y: Number, y_low: Number) -> tuple[Number, Number]:
    """Return (x + x_low) (y + y_low) and what it lacks."""
    product = x * y
    return product, product_error(x, y, product) + crossed(x, x_low, y, y_low)


def product_of_sums(x: Number, x_low: Number, y: Number, y_low: Number) -> Number:
    """Return x (y + y_low), since what sums lack is little beside 4 ulp; x may be infinite where y_low is 0."""
    return x * y + min(x, 1e300) * y_low


def crossed(x: Number, x_low: Number, y: Number, y_low: Number) -> Number:
    """Return x y_low + x_low y."""
    return x * y_low + x_low * y


def root_parts(x: Number, x_low: Number) -> tuple[Number, Number]:
    """Return the square root of x + x_low and what it lacks."""
    root = math.sqrt(x)
    return root, select(x == 0.0, 0.0, 0.5 * (x_low - product_error(root, root, x)) / root)


def log_in_parts(x: Number) -> tuple[Number, Number]:
    """Return log(x) as two numbers, for finite x > 0."""
    tiny = x < _SMALLEST_NORMAL
    bits = np.float64(select(tiny, x * 18014398509481984.0, x)).view(np.int64)
    e = (bits >> 52) - 1023
    m = np.int64(bits - (e << 52)).view(np.float64)
    return log_parts(m, np.float64(e) - select(tiny, 54.0, 0.0))


def power(x: Number, exponent: Number) -> Number:
    """Raise x to a power, for x >= 0: exp of the product with log x, which is carried in two numbers."""
    high, low = log_in_parts(x)
    product = exponent * high
    result = exp_sum(product, product_error(exponent, high, product) + exponent * low)
    end = select(exponent > 0.0, x, 1.0 / x)
    result = select(x == 0.0, end, select(x == _INF, end, result))
    return select(exponent == 0.0, 1.0, select(x >= 0.0, result, np.nan))


def erf_bend(a: Number) -> Number:
    """Return (-log(1 - erf(a)) - c a) / a^2 with c = 2 / sqrt(pi), on [0, 6]; error 0.05 ulp of erf(a)."""
    a2 = a * a
    a4 = a2 * a2
    a8 = a4 * a4
    p0 = (0.6366197723675828 + 0.10277260330182046 * a) + (-0.019128447005656024 - 0.00020919468869617035 * a) * a2
    p1 = (0.001696206344648465 - 0.000590125364712799 * a) + (2.587798453605238e-05 + 6.449338095654927e-05 * a) * a2
    p2 = (-2.9726895000161215e-05 + 3.4114230063246778e-06 * a) + (
        2.8303489218951187e-06 - 1.7371428378829636e-06 * a
    ) * a2
    p3 = (3.3311261109829684e-07 + 1.391179429616763e-07 * a) + (
        -1.4269197665575097e-07 + 6.609340821722622e-08 * a
    ) * a2
    p4 = (-2.1074260919626726e-08 + 5.025174925809372e-09 * a) + (
        -9.135094738066614e-10 + 1.256183015705192e-10 * a
    ) * a2
    p5 = (-1.2695199027198454e-11 + 8.908824080825856e-13 * a) + (
        -3.879921424213835e-14 + 7.897787721530457e-16 * a
    ) * a2
    return ((p0 + p1 * a4) + (p2 + p3 * a4) * a8) + (p4 + p5 * a4) * (a8 * a8)


def erf(x: Number) -> Number:
    """Error function: 1 - exp(-g) with one polynomial for g, which loses no digits near 0 and rounds to 1 beyond 6."""
    a = min(abs(x), 6.0)
    first, bent = a * TWO_BY_ROOT_PI, a * TWO_BY_ROOT_PI_REST + a * a * erf_bend(a)
    g = first + bent
    lost = ((first - g) + bent) + product_error(a, TWO_BY_ROOT_PI, first)
    risen = expm1(-g)
    result = lost * (1.0 + risen) - risen
    return select(x == 0.0, x, select(x < 0.0, -result, result))


def lgamma_bend(f: Number) -> Number:
    """Return the cubic and further terms of log Gamma(2 + f), by f^3, on |f| <= 1/2; error 0.2 ulp of lgamma."""
    f2 = f * f
    f4 = f2 * f2
    f8 = f4 * f4
    p0 = (-0.0673523010531981 + 0.020580808427784307 * f) + (-0.00738555102867387 + 0.0028905103307878756 * f) * f2
    p1 = (-0.0011927539117253553 + 0.0005096695221547781 * f) + (
        -0.00022315475721987853 + 9.945757753419642e-05 * f
    ) * f2
    p2 = (-4.4926267601823265e-05 + 2.0506356296054763e-05 * f) + (
        -9.439080055177794e-06 + 4.381261405000474e-06 * f
    ) * f2
    p3 = (-2.042263423666873e-06 + 9.282109272701004e-07 * f) + (
        -4.364131898732528e-07 + 2.708245957688481e-07 * f
    ) * f2
    return ((p0 + p1 * f4) + (p2 + p3 * f4) * f8) - 1.2842552562592766e-07 * (f8 * f8)


def stirling_tail(x: Number) -> Number:
    """Return log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2) for x >= 5.5; error 0.05 ulp of log Gamma(x)."""
    over = 1.0 / x
    z = over * over
    z2 = z * z
    low = (0.08333333333333325 - 0.0027777777775246644 * z) + (0.0007936506700327756 - 0.0005952152496616417 * z) * z2
    high = (0.0008397118358790112 - 0.001821556266651718 * z) + 0.004018639119485306 * z2
    return over * (low + high * (z2 * z2))


def lgamma(x: Number) -> Number:
    """Logarithm of Gamma(x), x > 0: a polynomial around 2, where whole steps lead, or Stirling's series, and one log.

    Gamma(2 + f) = c Gamma(x) or Gamma(x) / c, where c is the product of what the steps from x to 2 + f passed.
    """
    large = x >= 5.5
    n = (x + ROUND) - ROUND
    f = x - n
    c = select(n > 2.5, x - 1.0, 1.0) * select(n > 3.5, x - 2.0, 1.0) * select(n > 4.5, x - 3.0, 1.0)
    c = select(large, x, select(n < 0.5, x + x * x, select(n < 1.5, x, c)))
    factor = select(large, x - 0.5, select(n < 1.5, -1.0, 1.0))
    # Stirling's -x = -(x - 1/2) - 1/2 is taken from the logarithm, before the product rounds.
    one = select(large, 1.0, 0.0)
    high, low = log_in_parts(c)
    main = high - one
    # Between 1 and 2 the three largest terms cancel; what their rounding takes is put back.
    square = f * f
    lead, bent = select(large, 0.0, f * LESS_EULER), select(large, 0.0, square * HALF_ZETA)
    first = factor * main
    second = first + lead
    total = second + bent
    lost = ((first - second) + lead) + ((second - total) + bent)
    lost_near = product_error(f, LESS_EULER, lead) + product_error(square, HALF_ZETA, bent)
    further = LESS_EULER_REST + f * (HALF_ZETA_REST + f * lgamma_bend(f))
    near = f * further + (lost_near + product_error(f, f, square) * HALF_ZETA)
    rest = lost + select(large, HALF_LOG_2PI_LESS_HALF + stirling_tail(x), near)
    result = total + (factor * (((high - main) - one) + low) + rest)
    result = select(x == 0.0, _INF, select(x > _LAST_LGAMMA, _INF, result))
    return select(x >= 0.0, result, np.nan)
