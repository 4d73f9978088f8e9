"""Focal losses: cross-entropy that turns down what is already easy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.domain import EXTENDED_REAL, UNIT, Domain
from ..core.elementwise import LinkedElementwise, inputs_among
from ..core.parameters import fraction, non_negative, optional
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import full_like, log, log1p, power, sigmoid, softplus, times, where, word

Array = Any


@word
def focal_value(t: Array, surprise: Array, gamma: Any) -> Array:
    """(1 - p)^gamma (-log p), from t = 1 - p and the surprise -log p."""
    return times(power(t, gamma), surprise)


@word
def focal_logit_slope(s: Array, t: Array, surprise: Array, gamma: Any) -> Array:
    """Derivative of the focal value by the logit of p = s, t = 1 - s; always <= 0."""
    return -power(t, gamma) * (gamma * times(s, surprise) + t)


@word
def focal_logit_curvature(s: Array, t: Array, surprise: Array, gamma: Any) -> Array:
    """Second derivative of the focal value by the logit; negative for badly wrong predictions."""
    bend = gamma * times(s, surprise) * (gamma * s - t)
    return power(t, gamma) * (bend + (2.0 * gamma + 1.0) * s * t)


@word
def surprise_ratio(u: Array, surprise: Array) -> Array:
    """-log(p) / (1 - p), from u = 1 - p; its limit at p = 1 is 1."""
    gone = u == 0.0
    return where(gone, full_like(u, 1.0), surprise / where(gone, full_like(u, 1.0), u))


@word
def focal_slope(p: Array, u: Array, surprise: Array, gamma: Any) -> Array:
    """Derivative of the focal value by p."""
    return -power(u, gamma) * (gamma * surprise_ratio(u, surprise) + 1.0 / p)


@word
def focal_curvature(p: Array, u: Array, surprise: Array, gamma: Any) -> Array:
    """Second derivative of the focal value by p."""
    steep = gamma * ((gamma - 1.0) * surprise_ratio(u, surprise) + 2.0 / p)
    return times(steep, power(u, gamma - 1.0)) + power(u, gamma) / p / p


class _OnLogits:
    """Focal loss merged with the sigmoid; label 0 is label 1 with the sign of the logit turned."""

    @staticmethod
    def value(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_value(sigmoid(-f), softplus(-f), gamma)
        zero = focal_value(sigmoid(f), softplus(f), gamma)
        return times(w1 * y, one) + times(w0 * (1.0 - y), zero)

    @staticmethod
    def slope(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        s, t = sigmoid(f), sigmoid(-f)
        one = focal_logit_slope(s, t, softplus(-f), gamma)
        zero = focal_logit_slope(t, s, softplus(f), gamma)
        return times(w1 * y, one) - times(w0 * (1.0 - y), zero)

    @staticmethod
    def curvature(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        s, t = sigmoid(f), sigmoid(-f)
        one = focal_logit_curvature(s, t, softplus(-f), gamma)
        zero = focal_logit_curvature(t, s, softplus(f), gamma)
        return times(w1 * y, one) + times(w0 * (1.0 - y), zero)


class _OnProbabilities:
    """Focal loss on the probability of class 1, as written, without clipping."""

    @staticmethod
    def value(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_value(1.0 - f, -log(f), gamma)
        zero = focal_value(f, -log1p(-f), gamma)
        return times(w1 * y, one) + times(w0 * (1.0 - y), zero)

    @staticmethod
    def slope(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_slope(f, 1.0 - f, -log(f), gamma)
        zero = focal_slope(1.0 - f, f, -log1p(-f), gamma)
        return times(w1 * y, one) - times(w0 * (1.0 - y), zero)

    @staticmethod
    def curvature(y: Array, f: Array, gamma: Any, w1: Any, w0: Any) -> Array:
        one = focal_curvature(f, 1.0 - f, -log(f), gamma)
        zero = focal_curvature(1.0 - f, f, -log1p(-f), gamma)
        return times(w1 * y, one) + times(w0 * (1.0 - y), zero)


def _class_weights(alpha: float | None) -> tuple[float, ...]:
    return (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)


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
    forms: ClassVar[Mapping[str, Any]] = {"logits": _OnLogits, "probabilities": _OnProbabilities}
    prediction_domains: ClassVar[Mapping[str, Domain]] = {"logits": EXTENDED_REAL, "probabilities": UNIT}
    claims = Traits("binary", robust="bounded", calibrated=lambda loss: loss.alpha in (None, 0.5))
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
