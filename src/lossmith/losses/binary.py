"""Losses for two classes coded 0 and 1, on logits or on probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.domain import EXTENDED_REAL, UNIT, Domain
from ..core.elementwise import LinkedElementwise, inputs_among
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import (
    absolute,
    full_like,
    in_float32,
    log1p,
    log1p_exp_neg,
    logistic_less,
    logistic_slope,
    times,
    where,
    word,
    xlogy,
)

Array = Any


@word
def share_of(weight: Array, x: Array) -> Array:
    """Weight / x, where weight 0 means 'not there'."""
    gone = weight == 0.0
    return where(gone, full_like(x, 0.0), weight / where(gone, full_like(x, 1.0), x))


class _OnLogits:
    """BCE merged with the sigmoid; |f| (1 - y if f > 0 else y) + log(1 + exp(-|f|)) has no cancellation."""

    @staticmethod
    @in_float32
    def value(y: Array, f: Array) -> Array:
        return times(where(f > 0.0, 1.0 - y, y), absolute(f)) + log1p_exp_neg(f)

    @staticmethod
    @in_float32
    def slope(y: Array, f: Array) -> Array:
        return logistic_less(f, y)

    @staticmethod
    @in_float32
    def curvature(y: Array, f: Array) -> Array:
        return logistic_slope(f)


class _OnProbabilities:
    """BCE on the probability of class 1, exactly as written, without clipping."""

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return 0.0 - xlogy(y, f) - times(1.0 - y, log1p(-f))

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return share_of(1.0 - y, 1.0 - f) - share_of(y, f)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        # Dividing twice: the square of a tiny probability is no number.
        return share_of(share_of(1.0 - y, 1.0 - f), 1.0 - f) + share_of(share_of(y, f), f)


@register("bce", aliases=("binary_cross_entropy", "binary_crossentropy", "log_loss", "logistic"))
@dataclass(frozen=True)
class BinaryCrossEntropy(LinkedElementwise):
    """Binary cross-entropy, -y log p - (1 - y) log(1 - p), for labels 0/1 or soft labels in [0, 1].

    Parameters
    ----------
    inputs : {"logits", "probabilities"}
        What y_pred holds: a raw score f with p = 1 / (1 + exp(-f)), or p itself. No clipping takes place:
        p = 0 against label 1 costs infinity; give logits to train.

    References
    ----------
    Good (1952), Rational Decisions, J. R. Stat. Soc. B 14.

    Examples
    --------
    >>> import lossmith as lm
    >>> loss = lm.BinaryCrossEntropy(inputs="probabilities")
    >>> round(float(loss([1, 0, 1, 1], [0.9, 0.1, 0.8, 0.4])), 4)
    0.3375
    """

    inputs: str = inputs_among("logits", "probabilities")
    domain = UNIT
    forms: ClassVar[Mapping[str, Any]] = {"logits": _OnLogits, "probabilities": _OnProbabilities}
    prediction_domains: ClassVar[Mapping[str, Domain]] = {"logits": EXTENDED_REAL, "probabilities": UNIT}
    claims = Traits(
        "binary",
        convex=True,
        lipschitz=lambda loss: 1.0 if loss.inputs == "logits" else float("inf"),
        smooth=lambda loss: 0.25 if loss.inputs == "logits" else float("inf"),
        strong=lambda loss: 0.0 if loss.inputs == "logits" else 1.0,
        symmetric=True,
        robust=lambda loss: "bounded" if loss.inputs == "logits" else "no",
        proper=True,
        calibrated=True,
        elicits="mean",
    )
    about = About(
        formula=r"\ell(y, p) = -y \log p - (1 - y) \log(1 - p),\quad p = \sigma(f) \text{ on logits}",
        gradient=r"\sigma(f) - y \text{ by the logit; } \frac{p - y}{p (1 - p)} \text{ by the probability}",
        pros="probabilistic interpretation; strictly proper",
        cons="sensitive to label noise; needs a threshold other than 1/2 under class imbalance",
        best_for="binary classification with probabilities",
        reference="Good (1952), J. R. Stat. Soc. B 14",
        note="clipping at 1e-15 hides wrong-confident predictions and stops their gradient; logits need none",
    )
