"""The vocabulary a formula is written in: words on arrays of any library, and on scalars inside kernels.

Two kinds of words exist. A *primitive* asks the array's own library; kernels replace it by a scalar
function. A *derived word* is written in other words, so its one text serves everywhere.

Rules for a formula: no ``if`` on data, no assignment into arrays, at least one array argument a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .namespaces import namespace, special
from .twofold import softplus_parts

Array = Any
F = TypeVar("F", bound=Callable[..., Any])

PRIMITIVES: list[Callable[..., Any]] = []
DERIVED: list[Callable[..., Any]] = []
NARROW: set[Callable[..., Any]] = set()
LOG2 = math.log(2.0)
_LARGEST_SINGLE = float(np.finfo(np.float32).max)
# Libraries whose float32 expm1 errs by 4 ulp next to 0.
_ROUGH = ("jax.numpy", "TensorFlowNamespace")
# Multipliers that cut a number in two halves: of float64, of float32, and of a float64 of which 12 bits stay.
_HALVE, _HALVE_SINGLE, _HALVE_FOR_SINGLE = 2.0**27 + 1.0, 2.0**12 + 1.0, 2.0**41 + 1.0


def primitive(function: F) -> F:
    """Mark a word that every array library brings along."""
    PRIMITIVES.append(function)
    return function


def word(function: F) -> F:
    """Mark a function written in other words, so that kernels can compile the same text.

    Authors of losses use it for helpers that several formulas share.
    """
    DERIVED.append(function)
    return function


def in_float32(function: F) -> F:
    """Mark a formula that keeps 2 ulp when its kernel computes float32 arrays in float32, not in float64.

    Twice as many numbers fit into a vector. Its words must have a meaning in that grade; tests measure the rest.
    """
    NARROW.add(function)
    return function


# --- primitives ---------------------------------------------------------------------------------------


@primitive
def exp(x: Array) -> Array:
    """Exponential, e to the power x."""
    return namespace(x).exp(x)


@primitive
def log(x: Array) -> Array:
    """Natural logarithm."""
    return namespace(x).log(x)


@primitive
def log1p(x: Array) -> Array:
    """log(1 + x), accurate near 0."""
    return namespace(x).log1p(x)


@primitive
def expm1(x: Array) -> Array:
    """exp(x) - 1, accurate near 0."""
    xp = namespace(x)
    if xp.__name__ not in _ROUGH or not _single(x):
        return xp.expm1(x)
    near = xp.where(xp.abs(x) < 0.5, x, full_like(x, 0.0))
    return xp.where(xp.abs(x) < 0.5, _expm1_series(near), xp.expm1(x))


def _expm1_series(x: Array) -> Array:
    """exp(x) - 1 for |x| < 1/2 in float32, by nine terms."""
    tail = full_like(x, 1.0 / 362880.0)
    for factorial in (40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0):
        tail = tail * x + 1.0 / factorial
    return x + x * x * tail


@primitive
def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    xp = namespace(x)
    if xp.__name__ != "jax.numpy":
        return xp.tanh(x)
    grown = expm1(-2.0 * xp.abs(x))  # XLA's own errs by 6 ulp in float64
    return xp.copysign(grown / (2.0 + grown), x)


@primitive
def erf(x: Array) -> Array:
    """Error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return special(x).erf(x)


@primitive
def lgamma(x: Array) -> Array:
    """Logarithm of Gamma(x), for x > 0; infinite at 0.

    For x < 0 it is NaN in kernels, and elsewhere log(abs(Gamma(x))) as the array's library has it. Next to the roots
    at 1 and 2 kernels keep relative accuracy, SciPy (for NumPy) absolute accuracy of 1e-15.
    """
    return special(x).lgamma(x)


@primitive
def sqrt(x: Array) -> Array:
    """Square root."""
    return namespace(x).sqrt(x)


@primitive
def absolute(x: Array) -> Array:
    """Absolute value."""
    return namespace(x).abs(x)


@primitive
def power(x: Array, exponent: Any) -> Array:
    """X to a power, for x >= 0."""
    return namespace(x, exponent).pow(x, exponent)


@primitive
def where(condition: Array, x: Any, y: Any) -> Array:
    """X where the condition holds, else y; at least one of x and y must be an array."""
    return namespace(x, y).where(condition, x, y)


@primitive
def full_like(x: Array, value: Any) -> Array:
    """Return a constant array of the shape, dtype and device of x."""
    return namespace(x).full_like(x, value)


@primitive
def log1p_exp_neg_low(x: Array) -> Array:
    """What :func:`log1p_exp_neg_high` lacks of log(1 + exp(-abs(x))); taken as 0 but for NumPy's float64."""
    if namespace(x) is not np or x.dtype != np.float64:
        return full_like(x, 0.0)
    _, high, low = softplus_parts(x)
    return (high - log1p_exp_neg_high(x)) + low


@primitive
def constant_rounding(x: Array, value: float) -> Array:
    """What the dtype of x takes from a plain number: float32 turns 0.1 into 0.1 + 1.5e-9; 0 in float64."""
    return full_like(x, value - float(np.float32(value)) if _single(x) else 0.0)


def _single(x: Array) -> bool:
    """Tell whether an array holds float32 numbers."""
    return float(namespace(x).finfo(x.dtype).max) == _LARGEST_SINGLE


# --- derived words ------------------------------------------------------------------------------------


@word
def square(x: Array) -> Array:
    """X times x."""
    return x * x


@word
def positive_part(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return where(x < 0.0, 0.0, x)


@word
def indicator(condition: Array, like: Array) -> Array:
    """1.0 where the condition holds, else 0.0, in the dtype of ``like``."""
    return where(condition, full_like(like, 1.0), full_like(like, 0.0))


@word
def sign(x: Array) -> Array:
    """-1, 0 or 1; NaN stays NaN."""
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))


@word
def clip(x: Array, low: Any, high: Any) -> Array:
    """X limited to [low, high] (plain numbers); NaN stays NaN."""
    return where(x < low, low, where(x > high, high, x))


@word
def times(weight: Array, x: Array) -> Array:
    """Weight times x, where weight 0 means 'not there': 0 even against infinity."""
    return weight * where(weight == 0.0, 0.0, x)


@word
def xlogy(x: Array, y: Array) -> Array:
    """X log y with 0 log 0 = 0."""
    return where(x == 0.0, full_like(x, 0.0), x * log(where(x == 0.0, full_like(y, 1.0), y)))


@word
def log1p_exp_neg(x: Array) -> Array:
    """log(1 + exp(-abs(x))): the part of the softplus that both signs share."""
    return log1p(exp(-absolute(x)))


@word
def exp_sum_parts(x: Array, rest: Array) -> tuple[Array, Array]:
    """Return exp(x + rest), for a rest of a few roundings of x, as two numbers; kernels need one."""
    main = exp(x)
    return main, main * rest


@word
def exp_neg(x: Array) -> Array:
    """exp(-abs(x)), to be used beside the two words that follow."""
    return exp(-absolute(x))


@word
def log1p_exp_neg_high(x: Array) -> Array:
    """log(1 + exp(-abs(x))), of which :func:`log1p_exp_neg_low` knows the rounding."""
    return log1p_exp_neg(x)


@word
def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow or cancellation."""
    return positive_part(x) + log1p_exp_neg(x)


@word
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) with full relative accuracy on both sides."""
    q = exp(-absolute(x))
    return where(x >= 0.0, 1.0, q) / (1.0 + q)


@word
def log_cosh(x: Array) -> Array:
    """log(cosh(x)), accurate to a few ulp from 0 to overflow.

    With t = 1 - exp(-2|x|), of which tanh is made too: below 3/4 it is log1p(sinh(x)^2) / 2 with sinh(x)^2 =
    t^2 / (4 (1 - t)), which does not cancel; above, |x| - log 2 + log1p(1 - t).
    """
    a = absolute(x)
    t = -expm1(-2.0 * a)
    small = a < 0.75
    q = 1.0 - t
    bent = log1p(where(small, 0.25 * t * t / where(small, q, 1.0), q))
    return where(small, 0.5 * bent, (a - LOG2) + bent)


@word
def rounding(f: Array, y: Array) -> Array:
    """What rounding takes from f - y: the difference is exactly (f - y) + rounding(f, y); 0 beside infinity.

    Moller's and Knuth's two-sum. It matters where a small change of the residual is a large one of the result.
    """
    r = f - y
    back = r - f
    lost = (f - (r - back)) - (y + back)
    return where(absolute(r) < float("inf"), lost, 0.0)


@word
def product_rounding(x: Array, factor: Any) -> Array:
    """What rounding takes from x * factor, by Dekker's splitting; in float32 also what it takes from a plain factor.

    Kernels, which have instructions for it, do not compile this text.
    """
    product = x * factor
    single = _single(product)
    ours = _HALVE_SINGLE if single else _HALVE
    x_high, x_low = _halves(x, ours)
    high, low = _halves(factor, _HALVE_FOR_SINGLE if single and type(factor) is float else ours)
    return ((x_high * high - product) + x_high * low + x_low * high) + x_low * low


@word
def quotient_rounding(quotient: Array, over: Array, under: Any) -> Array:
    """Return over - quotient * under, exactly but for a last rounding: under times what the quotient lacks."""
    return (over - quotient * under) - product_rounding(quotient, under)


@word
def lost_part(lost: Array, whole: Array) -> Array:
    """Return lost / whole for what rounding took from the whole; 0 where that is 0 or infinite."""
    known = (whole != 0.0) & (absolute(whole) < float("inf"))
    return where(known, lost / where(known, whole, 1.0), full_like(lost, 0.0))


def _halves(x: Any, multiplier: float) -> tuple[Any, Any]:
    """Return two numbers of half as many digits with the sum x."""
    split = multiplier * x
    high = split - (split - x)
    return high, x - high


@word
def room(f: Array, y: Array, edge: Any) -> Array:
    """Edge - abs(f - y) to a rounding of its own size, although f - y has been rounded; negative beyond."""
    r = f - y
    return (edge - absolute(r)) - (sign(r) * rounding(f, y) - constant_rounding(f, edge))


@word
def smaller(x: Array, y: Any) -> Array:
    """Return the smaller of an array and a plain number; NaN stays NaN."""
    return where(x > y, y, x)


@word
def larger(x: Array, y: Any) -> Array:
    """Return the larger of an array and a plain number; NaN stays NaN."""
    return where(x < y, y, x)


@word
def scaled_exp(x: Array, factor: Any) -> Array:
    """exp(factor x), with what rounding takes from a large product put back."""
    product = factor * x
    main = exp(product)
    # Beyond, exp is 0 or infinite; the rounding of infinity is no number.
    known = absolute(product) < 1e3
    lost = where(known, product_rounding(x, factor), 0.0 * factor * where(absolute(x) < 1.0, x, 0.0))
    return where(main < float("inf"), main + main * lost, main)


@word
def fallen_slope(q: Array) -> Array:
    """Return q / (1 + q)^2 for q in [0, 1]; what rounding takes from the sum is put back."""
    d = 1.0 + q
    share = q / square(d)
    return share - share * (2.0 * ((1.0 - d) + q) / d)


@word
def sech_squared(x: Array) -> Array:
    """1 / cosh(x)^2, the derivative of tanh, without cancellation in the tails."""
    return 4.0 * fallen_slope(exp(-2.0 * absolute(x)))


@word
def tanh_of_difference(f: Array, y: Array) -> Array:
    """tanh(f - y); in float32 kernels with what rounding takes from the difference."""
    return tanh(f - y)


@primitive
def log_cosh_of_difference(f: Array, y: Array) -> Array:
    """log(cosh(f - y)), likewise, and on NumPy's float64."""
    if type(f) is np.ndarray and f.dtype == np.float64:
        return _log_cosh_of_difference(f, y)
    return log_cosh(f - y)


def _log_cosh_of_difference(f: Any, y: Any) -> Any:
    """log(cosh(f - y)) as log1p(2 sinh(r / 2)^2); what rounding takes from r is put back with the slope tanh(r)."""
    r = f - y
    flat = r.reshape(-1)
    tame = flat.dot(flat) < 4e5  # then nothing is infinite or NaN, and no square of sinh(r / 2) overflows
    near = r if tame else np.minimum(np.maximum(r, -300.0), 300.0)  # log(cosh(300)) is 300 - log 2 to the last digit
    back = r - f
    lost = f - (r - back)
    back += y
    lost -= back
    lost *= np.tanh(near)
    s = np.sinh(0.5 * near)
    s *= s + s
    found = np.log1p(s)
    if tame:
        found += lost
        return found
    return (found + np.where(np.isnan(lost), 0.0, lost)) + (np.absolute(r) - np.absolute(near))
