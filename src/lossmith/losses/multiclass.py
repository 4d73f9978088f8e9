"""Losses for k classes: rows of logits or probabilities against labels or target distributions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import contract
from ..core.domain import UNIT, Domain
from ..core.elementwise import inputs_among
from ..core.parameters import non_negative, optional, share, weights, whole
from ..core.registry import register
from ..core.rowwise import LOGITS, RowWiseLoss, is_float, labels, probability_rows
from ..core.traits import About, Traits
from ..ops import full_like, is_numpy, log, power, times, where
from ..ops.arrays import Softmax, column, constant_row, diagonal, one_hot, row_sum, softmax
from . import softmax as family
from .binary import share_of
from .imbalance import BinaryFocal, focal_curvature, focal_slope, focal_value, surprise_ratio

Array = Any


@dataclass(frozen=True)
class SoftmaxLoss(RowWiseLoss):
    """Base of the losses sum_k c_k phi(log p_k), where c holds targets, smoothing and class weights.

    Subclasses declare ``class_weights`` (one number >= 0 for each class, or None), ``label_smoothing``
    and ``ignore_index``.
    """

    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {
        "logits": LOGITS,
        "probabilities": (UNIT,),
    }

    @property
    @abstractmethod
    def settings(self) -> tuple[tuple[float, ...] | None, float, int | None]:
        """Class weights, label smoothing and ignored label."""

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Turn labels (n,), one-hot or soft rows (n, k) into the coefficients c (n, k)."""
        name = type(self).__name__
        class_weights, smoothing, _ = self.settings
        if self.inputs == "probabilities":
            probability_rows(f, f, "y_pred", name)
        y = contract.as_array(y_true, "y_true")
        if len(y.shape) == len(f.shape):
            rows = probability_rows(contract.targets(y, f), f, "y_true", name)
        else:
            rows = self._rows_of_labels(y, f)
        if smoothing:
            rows = (1.0 - smoothing) * rows + (smoothing / f.shape[-1]) * column(row_sum(rows))
        if class_weights is None:
            return rows
        if len(class_weights) != f.shape[-1]:
            raise ValueError(
                f"{name}: {len(class_weights)} class weights were given and y_pred has {f.shape[-1]} columns; "
                "give one weight for each class"
            )
        return rows * constant_row(class_weights, f)

    def _rows_of_labels(self, y: Array, f: Array) -> Array:
        """One-hot rows; rows of zeros for ignored labels."""
        name = type(self).__name__
        if not is_numpy(f) and is_float(y):
            raise TypeError(f"{name}: y_true holds floats of shape {tuple(y.shape)}; give whole-number labels")
        ignore = self.settings[2]
        if ignore is None:
            return one_hot(labels(y, f, name), f)
        ignored = y == ignore
        rows = one_hot(labels(where(ignored, full_like(y, 0), y), f, name), f)
        return where(column(ignored), full_like(rows, 0.0), rows)

    def _measure(self, y: Array, f: Array) -> Array | None:
        class_weights, _, ignore = self.settings
        return row_sum(y) if class_weights is not None or ignore is not None else None


class _CrossEntropyOnLogits:
    @staticmethod
    def value(c: Array, z: Array) -> Array:
        return row_sum(times(c, softmax(z).surprise))

    @staticmethod
    def slope(c: Array, z: Array) -> Array:
        return family.slope(softmax(z), -c)

    @staticmethod
    def curvature(c: Array, z: Array) -> Array:
        return family.curvature(softmax(z), -c, full_like(z, 0.0))

    @staticmethod
    def product(c: Array, z: Array, v: Array) -> Array:
        return family.product(softmax(z), -c, full_like(z, 0.0), v)


class _CrossEntropyOnProbabilities:
    @staticmethod
    def value(c: Array, p: Array) -> Array:
        return row_sum(times(c, -log(p)))

    @staticmethod
    def slope(c: Array, p: Array) -> Array:
        return -share_of(c, p)

    @staticmethod
    def curvature(c: Array, p: Array) -> Array:
        return diagonal(share_of(share_of(c, p), p))

    @staticmethod
    def product(c: Array, p: Array, v: Array) -> Array:
        return share_of(share_of(c, p), p) * v


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

    References
    ----------
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
    forms: ClassVar[Mapping[str, Any]] = {
        "logits": _CrossEntropyOnLogits,
        "probabilities": _CrossEntropyOnProbabilities,
    }
    claims = Traits(
        "multiclass",
        convex=True,
        lipschitz=lambda loss: _steepest(loss) if loss.inputs == "logits" else float("inf"),
        smooth=lambda loss: 0.5 * _heaviest(loss) if loss.inputs == "logits" else float("inf"),
        symmetric=lambda loss: _even(loss.class_weights),
        robust=lambda loss: "bounded" if loss.inputs == "logits" else "no",
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

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return nothing: targets carry the weights."""
        return ()


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


class _FocalOnLogits:
    """Phi(u) = -(1 - e^u)^gamma u of u = log p."""

    @staticmethod
    def value(c: Array, z: Array, gamma: float) -> Array:
        parts = softmax(z)
        return row_sum(times(c, focal_value(parts.complement, parts.surprise, gamma)))

    @staticmethod
    def slope(c: Array, z: Array, gamma: float) -> Array:
        parts = softmax(z)
        return family.slope(parts, times(c, _first(parts, gamma)))

    @staticmethod
    def curvature(c: Array, z: Array, gamma: float) -> Array:
        parts = softmax(z)
        return family.curvature(parts, times(c, _first(parts, gamma)), times(c, _second(parts, gamma)))

    @staticmethod
    def product(c: Array, z: Array, v: Array, gamma: float) -> Array:
        parts = softmax(z)
        return family.product(parts, times(c, _first(parts, gamma)), times(c, _second(parts, gamma)), v)


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


class _FocalOnProbabilities:
    @staticmethod
    def value(c: Array, p: Array, gamma: float) -> Array:
        return row_sum(times(c, focal_value(1.0 - p, -log(p), gamma)))

    @staticmethod
    def slope(c: Array, p: Array, gamma: float) -> Array:
        return times(c, focal_slope(p, 1.0 - p, -log(p), gamma))

    @staticmethod
    def curvature(c: Array, p: Array, gamma: float) -> Array:
        return diagonal(times(c, focal_curvature(p, 1.0 - p, -log(p), gamma)))

    @staticmethod
    def product(c: Array, p: Array, v: Array, gamma: float) -> Array:
        return times(c, focal_curvature(p, 1.0 - p, -log(p), gamma)) * v


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
    forms: ClassVar[Mapping[str, Any]] = {"logits": _FocalOnLogits, "probabilities": _FocalOnProbabilities}
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

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return gamma."""
        return (self.gamma,)
