"""Losses for k classes: rows of logits or probabilities against labels or target distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.elementwise import inputs_among
from ..core.parameters import non_negative, optional, share, weights, whole
from ..core.registry import register
from ..core.traits import About, Traits
from ..engine.rows import Texts
from ..ops import full_like, log, power, times, where, word
from ..ops.arrays import Softmax
from . import softmax as family
from .binary import share_of
from .imbalance import BinaryFocal, focal_curvature, focal_slope, focal_value, surprise_ratio
from .softmax_loss import SoftmaxLoss as SoftmaxLoss

Array = Any


@word
def _plain_term(c: Array, p: Array) -> Array:
    """-c log p, exactly as written, without clipping."""
    return times(c, -log(p))


@word
def plain_pull(c: Array, p: Array) -> Array:
    """Derivative of -c log p by p."""
    return -share_of(c, p)


def plain_bend(c: Array, p: Array) -> Array:
    """Second derivative of -c log p by p."""
    return share_of(share_of(c, p), p)


@register(
    "cce",
    aliases=("categorical_cross_entropy", "categorical_crossentropy", "cross_entropy", "softmax_cross_entropy"),
)
@dataclass(frozen=True)
class CategoricalCrossEntropy(SoftmaxLoss):
    """Categorical cross-entropy, -sum_k y_k log p_k, for labels 0 ... k-1, one-hot or soft rows.

    Parameters
    ----------
    inputs : {"logits", "probabilities"}
        What the rows of y_pred (n, k) hold. Probabilities must sum to 1 and are not clipped.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over all classes, in [0, 1).
    class_weights : sequence of float, optional
        One weight for each class. "mean" divides by the sum of the targets' weights, for labels and for
        target rows alike (torch divides by n for the latter).
    ignore_index : int, optional
        Label of samples that do not count (any integer, -100 in torch). A batch of nothing else costs 0.
    z_loss : float, default 0.0
        On logits, adds z_loss (log sum_k exp z_k)^2, times the target's weight, which keeps the logits of large
        models from drifting; >= 0, usually 1e-4.

    References
    ----------
    Chowdhery et al. (2022), PaLM (z-loss);
    Bridle (1990), Probabilistic Interpretation of Feedforward Classification Network Outputs;
    Szegedy et al. (2016), Rethinking the Inception Architecture (label smoothing).

    Examples
    --------
    >>> import lossmith as lm
    >>> loss = lm.CategoricalCrossEntropy(inputs="probabilities")
    >>> round(float(loss([0, 1, 2], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])), 4)
    0.4243
    """

    inputs: str = inputs_among("logits", "probabilities")
    label_smoothing: float = share(0.0)
    class_weights: tuple[float, ...] | None = weights()
    ignore_index: int | None = optional(whole(0, at_least=-(2**62)))
    z_loss: float = non_negative(0.0)
    forms: ClassVar[Mapping[str, Any]] = {
        "logits": family.Ridged(family.CROSS_ENTROPY),
        "probabilities": family.PlainForm(Texts(_plain_term, plain_pull), plain_bend),
    }
    claims = Traits(
        "multiclass",
        convex=lambda loss: loss.z_loss == 0,
        lipschitz=lambda loss: _steepest(loss) if loss.inputs == "logits" and not loss.z_loss else float("inf"),
        smooth=lambda loss: 0.5 * _heaviest(loss) if loss.inputs == "logits" and not loss.z_loss else float("inf"),
        strong=lambda loss: float("-inf") if loss.z_loss else 0.0,
        symmetric=lambda loss: _even(loss.class_weights),
        robust=lambda loss: "bounded" if loss.inputs == "logits" and not loss.z_loss else "no",
        proper=lambda loss: loss.label_smoothing == 0 and _even(loss.class_weights),
        calibrated=lambda loss: _even(loss.class_weights),
        elicits=lambda loss: "mean" if loss.label_smoothing == 0 and _even(loss.class_weights) else "",
    )
    about = About(
        formula=r"\ell(y, p) = -\sum_k y_k \log p_k,\quad p = \operatorname{softmax}(z) \text{ on logits}",
        gradient=r"p - y \text{ by the logits; } -y_k / p_k \text{ by the probabilities}",
        pros="probabilistic interpretation; generalises the binary case; strictly proper",
        cons="sensitive to label noise; confident mistakes dominate",
        best_for="multi-class classification with probabilities",
        reference="Bridle (1990); Szegedy et al. (2016)",
        note="(p - y) / p is not the gradient by the probabilities: that is -y / p. p - y is it by the logits. "
        "Integer labels need no one-hot encoding",
    )

    @property
    def settings(self) -> tuple[tuple[float, ...] | None, float, int | None]:
        """Class weights, label smoothing and ignored label."""
        return self.class_weights, self.label_smoothing, self.ignore_index

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.z_loss and self.inputs != "logits":
            raise ValueError(f"{type(self).__name__}: z_loss={self.z_loss:g} needs logits; give inputs='logits'")

    @property
    def ridge(self) -> float:
        """The z-loss."""
        return self.z_loss

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return the z-loss on logits: targets carry the weights."""
        return (self.z_loss,) if self.inputs == "logits" else ()


def _even(class_weights: tuple[float, ...] | None) -> bool:
    return class_weights is None or min(class_weights) == max(class_weights)


def _heaviest(loss: Any) -> float:
    """Largest sum of a row of coefficients."""
    weights, smoothing = loss.class_weights or (1.0,), loss.label_smoothing
    return float((1.0 - smoothing) * max(weights) + smoothing * sum(weights) / len(weights))


def _steepest(loss: Any) -> float:
    """Norm of the gradient where all probability lies on the worst class; without weights, for many classes."""
    weights, smoothing = loss.class_weights, loss.label_smoothing
    if weights is None:
        return float((1.0 + (1.0 - smoothing) ** 2) ** 0.5)
    rows = (1.0 - smoothing) * np.diag(weights) + smoothing / len(weights) * np.array(weights)
    pulls = rows.sum(axis=1)[:, None, None] * np.eye(len(weights)) - rows[:, None, :]
    return float(np.linalg.norm(pulls, axis=2).max())


@word
def _focal_term(c: Array, parts: Softmax, gamma: float) -> Array:
    """-c phi with phi(u) = -(1 - e^u)^gamma u of u = log p."""
    return times(c, focal_value(parts.complement, parts.surprise, gamma))


@word
def _focal_pull(c: Array, parts: Softmax, gamma: float) -> Array:
    return times(c, _first(parts, gamma))


def _focal_bend(c: Array, parts: Softmax, gamma: float) -> Array:
    return times(c, _second(parts, gamma))


@word
def _first(parts: Softmax, gamma: float) -> Array:
    """phi': -(1-p)^gamma (1 + gamma p (-log p) / (1-p))."""
    p, u, surprise = parts.probability, parts.complement, parts.surprise
    return -power(u, gamma) * (1.0 + gamma * times(p, surprise_ratio(u, surprise)))


def _second(parts: Softmax, gamma: float) -> Array:
    """phi''; where p is 1 it is multiplied by (1 - p)^2 = 0, so 0 stands for its infinity."""
    p, u, surprise = parts.probability, parts.complement, parts.surprise
    # Below 1e-300, where the inverse overflows, the square underflows to 0 as well.
    gone = u <= 1e-300
    steep = power(where(gone, full_like(u, 1.0), u), gamma - 1.0)
    inner = 2.0 * p - times(p, surprise) + (gamma - 1.0) * times(p * p, surprise_ratio(u, surprise))
    return where(gone, full_like(u, 0.0), gamma * steep * inner)


FOCAL = family.SoftmaxForm(Texts(_focal_term, _focal_pull), _focal_bend)


@word
def _plain_focal_term(c: Array, p: Array, gamma: float) -> Array:
    return times(c, focal_value(1.0 - p, -log(p), gamma))


@word
def _plain_focal_pull(c: Array, p: Array, gamma: float) -> Array:
    return times(c, focal_slope(p, 1.0 - p, -log(p), gamma))


def _plain_focal_bend(c: Array, p: Array, gamma: float) -> Array:
    return times(c, focal_curvature(p, 1.0 - p, -log(p), gamma))


def _bound(loss: Any, trait: str) -> float:
    """A bound of the binary focal loss: the steepest and most curved rows have two classes."""
    binary = BinaryFocal(inputs=loss.inputs, gamma=loss.gamma)
    return float(getattr(binary.traits, trait)) * (max(loss.alpha) if loss.alpha else 1.0)


@register("categorical_focal", aliases=("softmax_focal", "focal_softmax"))
@dataclass(frozen=True)
class CategoricalFocal(SoftmaxLoss):
    """Focal loss for k classes, -alpha_y (1 - p_y)^gamma log p_y.

    Parameters
    ----------
    inputs : {"logits", "probabilities"}
        What the rows of y_pred (n, k) hold.
    gamma : float, default 2.0
        >= 0; 0 is the cross-entropy.
    alpha : sequence of float, optional
        One weight for each class; "mean" divides by the sum of the targets' weights.
    ignore_index : int, optional
        Label of samples that do not count.

    References
    ----------
    Lin et al. (2017), Focal Loss for Dense Object Detection, ICCV.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.CategoricalFocal(gamma=2.0)([0], [[1.0, 0.0, -1.0]])), 7)
    0.0456778
    """

    inputs: str = inputs_among("logits", "probabilities")
    gamma: float = non_negative(2.0)
    alpha: tuple[float, ...] | None = weights()
    ignore_index: int | None = optional(whole(0, at_least=-(2**62)))
    forms: ClassVar[Mapping[str, Any]] = {
        "logits": FOCAL,
        "probabilities": family.PlainForm(Texts(_plain_focal_term, _plain_focal_pull), _plain_focal_bend),
    }
    claims = Traits(
        "multiclass",
        convex=lambda loss: loss.gamma == 0 or loss.inputs == "probabilities",
        lipschitz=lambda loss: 2.0**0.5 * _bound(loss, "lipschitz"),
        smooth=lambda loss: 2.0 * _bound(loss, "smooth"),
        strong=lambda loss: 2.0 * _bound(loss, "strong") if loss.inputs == "logits" else 0.0,
        symmetric=lambda loss: _even(loss.alpha),
        robust=lambda loss: "bounded" if loss.inputs == "logits" else "no",
        proper=lambda loss: loss.gamma == 0 and _even(loss.alpha),
        calibrated=lambda loss: _even(loss.alpha),
        elicits=lambda loss: "mean" if loss.gamma == 0 and _even(loss.alpha) else "",
    )
    about = About(
        formula=r"\ell(y, p) = -\alpha_y (1 - p_y)^\gamma \log p_y",
        gradient=r"-\alpha_y (1 - p_y)^\gamma \Bigl(1 - \tfrac{\gamma p_y \log p_y}{1 - p_y}\Bigr)"
        r"(e_y - p) \text{ by the logits}",
        pros="attends to hard samples",
        cons="not proper: its scores are no probabilities; not convex",
        best_for="many classes of very unequal difficulty",
        reference="Lin et al. (2017), ICCV",
        note="libraries that apply a sigmoid to each class compute another loss",
    )

    @property
    def settings(self) -> tuple[tuple[float, ...] | None, float, int | None]:
        """Class weights, label smoothing (none) and ignored label."""
        return self.alpha, 0.0, self.ignore_index

    @property
    def numbers(self) -> tuple[float, ...]:
        """Gamma."""
        return (self.gamma,)
