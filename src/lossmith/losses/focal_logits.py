"""Binary focal loss on logits: the formulas of one class, and of both with hard or soft labels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ops import (
    absolute,
    carries,
    clip,
    exp_neg,
    exp_neg_factors,
    exp_sum_parts,
    full_like,
    indicator,
    log1p_exp_neg_high,
    log1p_exp_neg_low,
    logistic_parts,
    positive_part,
    product_of_sums,
    product_parts,
    product_rounding,
    raised_parts,
    root_parts,
    rounding,
    sum_parts,
    times,
    where,
    word,
)

Array = Any
Formula = Callable[..., Array]
Pair = tuple[Array, Array]
# Beyond, exp(-|f|) is 0 in any case; products of larger numbers would overflow in float32.
FAR = 1e9
# Beyond, where nothing is left to put back, a product's rounding would overflow in float32.
HUGE = 1e30


# --- any gamma ------------------------------------------------------------------------------------------


@word
def scaled_power(x: Array, x_low: Array, far: Array, bent: Array, low: Array, a: Any, b: Any) -> Array:
    """(x + x_low) exp(-a far - b (bent + low)): times powers of exp(-|f|) and 1 / (1 + exp(-|f|)), by their logarithms.

    What rounding takes from the products would be as large in the result as the logarithms are: it is put back
    to first order. x keeps its digits where the exponential alone underflows.
    """
    # Both are >= 0. Of an absolute value no compiler makes a fused sum, in which the rounding would not have happened.
    side, top = absolute(a * far), absolute(b * bent)
    lost = product_rounding(far, a) + product_rounding(bent, b) + b * low
    total = -side - top
    deep = total < -600.0
    height, rest = exp_sum_parts(total + indicator(deep, far) * 200.0, rounding(-side, top) - lost)
    finite = where(absolute(x) < HUGE, x, full_like(x, 0.0))
    found = x * height + (product_rounding(finite, height) + (finite * rest + x_low * height))
    return found * where(deep, full_like(far, 1.3838965267367376e-87), full_like(far, 1.0))  # exp(-200)


@word
def surprise_parts(far: Array, bent: Array, low: Array, likely: Array) -> Pair:
    """-log p and what it lacks, from log(1 + q) and what that lacks."""
    return where(likely, bent, far + bent), low + where(likely, full_like(far, 0.0), rounding(far, -bent))


@word
def with_product(start: Array, x: Array, x_low: Array, y: Array, y_low: Array) -> Pair:
    """Return start + (x + x_low) (y + y_low) and what it lacks."""
    piece = x * y
    lost = product_rounding(x, y) + (x * y_low + x_low * y)
    return start + piece, lost + rounding(start, -piece)


@word
def class_value(t: Array, gamma: Any) -> Array:
    """Focal value for the class with logit t.

    With q = exp(-|t|) its chance is 1 / (1 + q) and its surprise log(1 + q) for t > 0, and below q / (1 + q) and
    |t| + log(1 + q).
    """
    far, bent, low = clip(absolute(t), 0.0, FAR), log1p_exp_neg_high(t), log1p_exp_neg_low(t)
    likely = t >= 0.0
    surprise = where(likely, bent, absolute(t) + bent)
    _, lost = surprise_parts(far, bent, low, likely)
    return scaled_power(surprise, lost, far, bent, low, where(likely, full_like(t, gamma), 0.0), gamma)


@word
def class_slope(t: Array, gamma: Any) -> Array:
    """Derivative of the focal value by the logit; always <= 0."""
    far, bent, low, q = clip(absolute(t), 0.0, FAR), log1p_exp_neg_high(t), log1p_exp_neg_low(t), exp_neg(t)
    likely, one = t >= 0.0, full_like(t, 1.0)
    surprise, lost = surprise_parts(far, bent, low, likely)
    grown, grown_low = gamma * surprise, product_rounding(surprise, gamma) + gamma * lost
    steep, rest = with_product(where(likely, q, one), where(likely, one, q), full_like(t, 0.0), grown, grown_low)
    return -scaled_power(steep, rest, far, bent, low, where(likely, full_like(t, gamma), 0.0), gamma + 1.0)


@word
def class_curvature(t: Array, gamma: Any) -> Array:
    """Second derivative of the focal value by the logit; negative for badly wrong predictions."""
    far, bent, low, q = clip(absolute(t), 0.0, FAR), log1p_exp_neg_high(t), log1p_exp_neg_low(t), exp_neg(t)
    plain, likely, power = 2.0 * gamma + 1.0, t >= 0.0, full_like(t, gamma)
    surprise, lost = surprise_parts(far, bent, low, likely)
    grown, grown_low = gamma * surprise, product_rounding(surprise, gamma) + gamma * lost
    # gamma - q, and gamma q - 1 below
    lever = where(likely, power - q, absolute(gamma * q) - 1.0)
    below = product_rounding(q, gamma) + rounding(absolute(gamma * q), full_like(t, 1.0))
    lever_low = where(likely, rounding(power, q), below)
    ground = where(likely, q, full_like(t, 1.0))
    inner, rest = with_product(absolute(plain * ground), lever, lever_low, grown, grown_low)
    rest = rest + product_rounding(ground, plain)
    return scaled_power(inner, rest, far, bent, low, where(likely, power, 1.0), gamma + 2.0)


# --- gamma a small multiple of 1/2: products and roots instead of logarithms -----------------------------


@word
def shorter(x: Array) -> Array:
    """|x|, but at most FAR."""
    return where(absolute(x) < FAR, absolute(x), FAR)


def power_parts(twice: int) -> Callable[[Array, Array], Pair]:
    """Return the word (x, x_low) -> (x + x_low)^(twice / 2), a number and what it lacks."""
    if twice == 0:
        return unity_parts
    if twice == 1:
        return root_parts
    if twice == 2:
        return same_parts
    below = power_parts(twice - 2)

    @word
    def raised(x: Array, x_low: Array) -> Pair:
        rest, rest_low = below(x, x_low)
        return product_parts(rest, rest_low, x, x_low)

    return raised


@word
def unity_parts(x: Array, x_low: Array) -> Pair:
    """One, to the last digit."""
    return full_like(x, 1.0), full_like(x, 0.0)


@word
def same_parts(x: Array, x_low: Array) -> Pair:
    """X as it is."""
    return x, x_low


@functools.cache
def by_products(gamma: float) -> tuple[Formula, Formula, Formula]:
    """Return :func:`class_value` and its derivatives for 2 gamma = 0, 1, 2, ...

    With a = q and b = 1 where t >= 0, and a = 1 and b = q below, p = b / (1 + q) and 1 - p = a / (1 + q). All that
    is rounded on the way is carried along, but for the logarithm; kernels, which have fused sums, leave more.
    """
    power = power_parts(round(2.0 * gamma))

    @word
    def value(t: Array, gamma: Any) -> Array:
        _, _, r, r_low, other, other_low, bent, bent_low = logistic_parts(t)
        high, low = power(where(t >= 0.0, other, r), where(t >= 0.0, other_low, r_low))
        return product_of_sums(positive_part(-t) + bent, bent_low, high, low)

    @word
    def slope(t: Array, gamma: Any) -> Array:
        q, q_low, r, r_low, other, other_low, bent, bent_low = logistic_parts(t)
        likely, nothing = t >= 0.0, full_like(q, 0.0)
        high, low = power(where(likely, other, r), where(likely, other_low, r_low))
        high, low = product_parts(high, low, r, r_low)
        surprise, lost = sum_parts(where(likely, nothing, shorter(t)), bent, bent_low)
        turn, turn_low = where(likely, full_like(q, 1.0), q), where(likely, nothing, q_low)
        steep, rest = raised_parts(where(likely, q, 1.0), turn, turn_low, surprise, lost, gamma)
        return -product_of_sums(steep, rest + where(likely, q_low, nothing), high, low)

    return value, slope, curvature_by_products(power)


def curvature_by_products(power: Callable[[Array, Array], Pair]) -> Formula:
    """Return :func:`class_curvature` likewise; its steps are those of the slope, so that a kernel takes them once."""

    @word
    def curvature(t: Array, gamma: Any) -> Array:
        q, q_low, r, r_low, other, other_low, bent, bent_low = logistic_parts(t)
        likely, nothing, plain = t >= 0.0, full_like(q, 0.0), 2.0 * gamma + 1.0
        high, low = power(where(likely, other, r), where(likely, other_low, r_low))
        high, low = product_parts(high, low, r, r_low)
        high, low = product_parts(high, low, where(likely, r, other), where(likely, r_low, other_low))
        surprise, lost = sum_parts(where(likely, nothing, shorter(t)), bent, bent_low)
        # gamma - q, and gamma q - 1 below
        way = where(likely, full_like(q, -1.0), gamma)
        grown, grown_low = raised_parts(where(likely, full_like(q, gamma), -1.0), q, q_low, way, nothing, 1.0)
        ground = where(likely, q, 1.0)
        inner, rest = raised_parts(plain * ground, grown, grown_low, surprise, lost, gamma)
        rest = rest + (product_rounding(ground, plain) + plain * where(likely, q_low, nothing))
        # There q alone would lose digits to underflow, and the powers are 1.
        one, two = exp_neg_factors(t)
        return where(t < -690.0, inner * one * two, product_of_sums(inner, rest, high, low))

    return curvature


# --- both classes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Formulas:
    """Value, slope and curvature of a loss, functions of (y, f, gamma, w1, w0)."""

    value: Formula
    slope: Formula
    curvature: Formula


@word
def both_classes(y: Array, one: Array, zero: Array, w1: Any, w0: Any) -> Array:
    """w1 y one + w0 (1 - y) zero; what rounding takes from the weights of soft labels is put back."""
    other = 1.0 - y
    share_1, share_0 = w1 * y, w0 * other
    main = times(share_1, one) + times(share_0, zero)
    lost_0 = product_rounding(other, w0) + w0 * ((1.0 - other) - y)
    lost = times(product_rounding(y, w1), one) + times(lost_0, zero)
    return where(absolute(main) < float("inf"), main + lost, main)


def for_soft_labels(value: Formula, slope: Formula, curvature: Formula) -> Formulas:
    """Return the loss of targets in [0, 1] from the formulas of a class; label 0 is label 1 with the logit turned."""

    def both_values(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        return both_classes(y, value(f, gamma), value(-f, gamma), w1, w0)

    def both_slopes(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        return both_classes(y, slope(f, gamma), -slope(-f, gamma), w1, w0)

    def both_curvatures(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        return both_classes(y, curvature(f, gamma), curvature(-f, gamma), w1, w0)

    return Formulas(both_values, both_slopes, both_curvatures)


def for_labels(value: Formula, slope: Formula, curvature: Formula) -> Formulas:
    """Return the same for targets that are 0 or 1, which have one class each."""

    def its_value(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = y > 0.5
        return times(where(one, full_like(f, w1), w0), value(where(one, f, -f), gamma))

    def its_slope(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = y > 0.5
        return times(where(one, full_like(f, w1), -w0), slope(where(one, f, -f), gamma))

    def its_curvature(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = y > 0.5
        return times(where(one, full_like(f, w1), w0), curvature(where(one, f, -f), gamma))

    return Formulas(its_value, its_slope, its_curvature)


def for_alike_labels(value: Formula, slope: Formula, curvature: Formula) -> Formulas:
    """Return the same where both classes weigh 1: what multiplies by that takes a tenth of the time."""

    def its_value(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        return value(where(y > 0.5, f, -f), gamma)

    def its_slope(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = y > 0.5
        pull = slope(where(one, f, -f), gamma)
        return where(one, pull, -pull)

    def its_curvature(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        return curvature(where(y > 0.5, f, -f), gamma)

    return Formulas(its_value, its_slope, its_curvature)


# Longer products lose more than 4 ulp.
_BY_PRODUCTS = {0.5 * twice: by_products(0.5 * twice) for twice in range(9)}
_IN_GENERAL = class_value, class_slope, class_curvature
_SOFT = {gamma: for_soft_labels(*texts) for gamma, texts in _BY_PRODUCTS.items()}
_HARD = {gamma: for_labels(*texts) for gamma, texts in _BY_PRODUCTS.items()}
_ALIKE = {gamma: for_alike_labels(*texts) for gamma, texts in _BY_PRODUCTS.items()}
SOFT_IN_GENERAL, HARD_IN_GENERAL = for_soft_labels(*_IN_GENERAL), for_labels(*_IN_GENERAL)


def on_logits(gamma: float) -> Formulas:
    """Return the formulas for a gamma: quick ones where it is a small multiple of 1/2."""
    return _SOFT.get(gamma, SOFT_IN_GENERAL)


def _elsewhere(order: str) -> Formula:
    """Return one of the formulas for other libraries than NumPy: general where no small numbers are carried."""

    def formula(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        chosen = on_logits(gamma) if carries(f) else SOFT_IN_GENERAL
        return getattr(chosen, order)(y, f, gamma, w1, w0)

    return formula


SOFT_ELSEWHERE = Formulas(*(_elsewhere(order) for order in ("value", "slope", "curvature")))


def on_logits_of_labels(gamma: float, alike: bool) -> Formulas:
    """Return the formulas for a gamma and for targets that are 0 or 1; ``alike`` if both classes weigh 1."""
    return (_ALIKE if alike else _HARD).get(gamma, HARD_IN_GENERAL)
