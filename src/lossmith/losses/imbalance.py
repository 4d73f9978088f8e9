"""Focal losses: cross-entropy that turns down what is already easy."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.domain import EXTENDED_REAL, UNIT, Domain
from ..core.elementwise import ByParameters, LinkedElementwise, inputs_among
from ..core.parameters import fraction, non_negative, optional
from ..core.peaks import peak
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import (
    absolute,
    full_like,
    log,
    log1p,
    lost_part,
    power,
    product_rounding,
    quotient_rounding,
    rounding,
    times,
    where,
    word,
)
from .focal_logits import HARD_IN_GENERAL, SOFT_ELSEWHERE, both_classes, on_logits, on_logits_of_labels

Array = Any


@word
def complement_power(u: Array, p: Array, gamma: Any) -> Array:
    """(1 - p)^gamma from u = 1 - p; what u lost in that subtraction is put back to first order."""
    lost = (1.0 - u) - p
    main = power(u, gamma)
    return main + times(lost, main * gamma / where(u == 0.0, full_like(u, 1.0), u))


@word
def surprise_ratio(u: Array, surprise: Array) -> Array:
    """-log(p) / (1 - p), from u = 1 - p; its limit at p = 1 is 1."""
    gone = u == 0.0
    return where(gone, full_like(u, 1.0), surprise / where(gone, full_like(u, 1.0), u))


@word
def ratio_parts(p: Array, u: Array, surprise: Array) -> tuple[Array, Array]:
    """Return the same and by what share of itself it is too small."""
    ratio, full = surprise_ratio(u, surprise), full_like(u, 1.0)
    known = (surprise > 0.0) & (surprise < 1e4) & (u > 0.0)
    over = where(known, surprise, full)
    left = quotient_rounding(where(known, ratio, full), over, where(known, u, full))
    return ratio, lost_part(left, over) - lost_share(u, p)


@word
def lost_share(p: Array, u: Array) -> Array:
    """What p, where it is the rounded 1 - u, lacks of it, by p."""
    return lost_part((1.0 - p) - u, p)


@word
def focal_value(t: Array, surprise: Array, gamma: Any) -> Array:
    """(1 - p)^gamma (-log p), from t = 1 - p and the surprise -log p."""
    return times(power(t, gamma), surprise)


@word
def deep(height: Array) -> Array:
    """Where a power has nearly underflown, so that a factor must not come after it."""
    return height < 1e-280


@word
def focal_slope(p: Array, u: Array, surprise: Array, gamma: Any) -> Array:
    """Derivative of the focal value by p, from u = 1 - p, of which one may be rounded, and the surprise -log p."""
    ratio, share = ratio_parts(p, u, surprise)
    pull = gamma * times(p, ratio)
    inner = 1.0 + pull
    rest = rounding(pull, full_like(p, -1.0)) + pull * share - lost_share(p, u)
    height, half = complement_power(u, p, gamma), power(u, 0.5 * gamma)
    rise = height * inner
    slope = rise / p
    left = ((rise - slope * p) - product_rounding(slope, p)) + (product_rounding(height, inner) + height * rest)
    # Beyond 1e290, next to p = 0, the parts of a product would overflow. (Scaled: float32 cannot hold 1e290.)
    whole = where(absolute(1e-260 * slope) < 1e30, slope + left / p, slope)
    return -where(deep(height), half * (half * (inner / p)), whole)


@word
def steepness(p: Array, u: Array, gamma: Any) -> tuple[Array, Array]:
    """(2 gamma p + u) / p^2 and what that lacks, also for what p lacks, as far as nothing overflows."""
    pair, nothing = 2.0 * gamma * p, full_like(p, 0.0)
    top = pair + u
    first = top / p
    steep = first / p
    small = absolute(1e-100 * steep) < 1e30
    safe = where(small, p, 1.0)
    top, first = where(small, top, nothing), where(small, first, nothing)
    left = quotient_rounding(first, top, safe) + rounding(pair, -u)
    left = (quotient_rounding(where(small, steep, nothing), first, safe) + left / safe) / safe
    return steep, where(small, left - (steep + u / safe) * lost_share(p, u), nothing)


@word
def focal_curvature(p: Array, u: Array, surprise: Array, gamma: Any) -> Array:
    """Second derivative of the focal value by p."""
    nothing = full_like(u, 0.0)
    # At p = 0 its infinity is a smaller one than that of 1 / p^2.
    ratio, share = ratio_parts(p, u, surprise)
    bent = where(p == 0.0, nothing, times(full_like(u, gamma * (gamma - 1.0)), ratio))
    # There p is 1 to the last digit, a power of u alone could overflow, and 0 times infinity is 0.
    gone = u < 1e-37
    height, half = complement_power(u, p, gamma - 1.0), power(u, 0.5 * (gamma - 1.0))
    steep, left = steepness(p, u, gamma)
    whole = (steep + bent) + (left + bent * share + rounding(steep, -bent))
    whole = where(gone, full_like(u, gamma * (gamma + 1.0)), whole)
    main = where(deep(height), half * (half * whole), times(whole, height))
    return main + where(gone, power(u, gamma), nothing)


class _OnProbabilities:
    """Focal loss on the probability of class 1, as written, without clipping."""

    @staticmethod
    def value(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = times(complement_power(1.0 - f, f, gamma), -log(f))
        zero = times(power(f, gamma), -log1p(-f))
        return both_classes(y, one, zero, w1, w0)

    @staticmethod
    def slope(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_slope(f, 1.0 - f, -log(f), gamma)
        zero = focal_slope(1.0 - f, f, -log1p(-f), gamma)
        return both_classes(y, one, -zero, w1, w0)

    @staticmethod
    def curvature(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_curvature(f, 1.0 - f, -log(f), gamma)
        zero = focal_curvature(1.0 - f, f, -log1p(-f), gamma)
        return both_classes(y, one, zero, w1, w0)


def _class_weights(alpha: float | None) -> tuple[float, ...]:
    return (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)


@functools.lru_cache(maxsize=256)
def _extremes(inputs: str, gamma: float) -> tuple[float, float, float]:
    """Suprema of |gradient| and curvature, and infimum of the curvature, with unit weights.

    The derivatives are straight lines in y, so their extremes lie at the labels, which share one shape.
    """
    loss = BinaryFocal(inputs=inputs, gamma=gamma)
    if inputs == "probabilities":
        return math.inf, math.inf, -peak(lambda p: -loss.hessian(np.ones_like(p), p), 1e-9, 1.0) + 0.0
    scores = (-60.0, 60.0)
    # In the tails the gradient tends to -1 and the curvature to 0, passed before or not.
    steepest = max(1.0, peak(lambda f: np.abs(loss.gradient(np.ones_like(f), f)), *scores))
    most = peak(lambda f: loss.hessian(np.ones_like(f), f), *scores)
    return steepest, most, -max(0.0, peak(lambda f: -loss.hessian(np.ones_like(f), f), *scores)) + 0.0


def _bound(loss: BinaryFocal, which: int) -> float:
    """An extreme of this loss; a positive infimum belongs to the lighter class."""
    extreme, weights = _extremes(loss.inputs, loss.gamma)[which], _class_weights(loss.alpha)
    return extreme * (min(weights) if which == 2 and extreme > 0 else max(weights))


@register("focal", aliases=("binary_focal", "focal_loss", "sigmoid_focal"))
@dataclass(frozen=True)
class BinaryFocal(LinkedElementwise):
    """Focal loss for labels 0/1 (or soft labels): (1 - p_t)^gamma times the cross-entropy.

    Parameters
    ----------
    inputs : {"logits", "probabilities"}
        What y_pred holds.
    gamma : float, default 2.0
        How strongly easy samples are turned down; >= 0, and 0 is the cross-entropy.
    alpha : float, optional
        Weight of class 1, with 1 - alpha for class 0; None weighs both by 1.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar (2017), Focal Loss for Dense Object Detection, ICCV.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.BinaryFocal(gamma=2.0, alpha=0.25)([1], [0.3])), 7)
    0.0250983
    """

    inputs: str = inputs_among("logits", "probabilities")
    gamma: float = non_negative(2.0)
    alpha: float | None = optional(fraction(0.25), _class_weights)
    domain = UNIT
    forms: ClassVar[Mapping[str, Any]] = {
        "logits": ByParameters(lambda loss: on_logits(loss.gamma), SOFT_ELSEWHERE),
        "probabilities": _OnProbabilities,
    }
    label_forms: ClassVar[Mapping[str, Any]] = {
        "logits": ByParameters(lambda loss: on_logits_of_labels(loss.gamma, loss.alpha is None), HARD_IN_GENERAL)
    }
    prediction_domains: ClassVar[Mapping[str, Domain]] = {"logits": EXTENDED_REAL, "probabilities": UNIT}
    claims = Traits(
        "binary",
        convex=lambda loss: loss.gamma == 0 or loss.inputs == "probabilities",
        lipschitz=lambda loss: _bound(loss, 0),
        smooth=lambda loss: _bound(loss, 1),
        strong=lambda loss: _bound(loss, 2),
        symmetric=lambda loss: loss.alpha in (None, 0.5),
        robust=lambda loss: "bounded" if loss.inputs == "logits" else "no",
        proper=lambda loss: loss.gamma == 0 and loss.alpha in (None, 0.5),
        calibrated=lambda loss: loss.alpha in (None, 0.5),
        elicits=lambda loss: "mean" if loss.gamma == 0 and loss.alpha in (None, 0.5) else "",
    )
    about = About(
        formula=r"\ell(y, p) = -\alpha_t (1 - p_t)^\gamma \log p_t,\quad p_t = p \text{ if } y = 1,\ 1 - p "
        r"\text{ else}",
        gradient=r"(1 - 2y)\, \alpha_t (1 - p_t)^\gamma \bigl(1 - p_t - \gamma p_t \log p_t\bigr) "
        r"\text{ by the logit}",
        pros="attends to hard samples; tames the mass of easy negatives",
        cons="not proper: its scores are no probabilities; two more hyperparameters; not convex",
        best_for="dense detection; imbalance where ranking counts, not calibration",
        reference="Lin et al. (2017), ICCV",
        note="both classes carry a term; a loss with the positive half alone is minimised by predicting 1",
    )
