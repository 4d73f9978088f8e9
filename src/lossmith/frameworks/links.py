"""How a raw score becomes a prediction, and a target what the loss expects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.domain import SIGNS
from ..core.loss import Loss
from ..losses.binary import BinaryCrossEntropy
from ..losses.compose import WeightedSum
from ..losses.multiclass import CategoricalCrossEntropy
from ..ops.arrays import softmax

Array = np.ndarray[Any, Any]

# exp of more overflows float64.
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Link(ABC):
    """The map between targets, raw scores (what the loss is trained on) and predictions."""

    @property
    def probabilities(self) -> bool:
        """Whether predictions are probabilities of classes; scores in (0, 1) that are none say False."""
        return False

    @property
    def kind(self) -> str:
        """What others call this map: "identity", "exp", "sigmoid", "softmax", or "" where it has no name."""
        return ""

    @abstractmethod
    def encode(self, y: Array) -> Array:
        """Turn targets (numbers, or class codes 0 ... k-1) into the loss's coding and unit."""

    @abstractmethod
    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions, (n,) numbers or (n, k) rows that sum to 1."""

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""


@dataclass(frozen=True)
class Affine(Link):
    """Losses of the residual: the model works on (y - centre) / scale, and its score is that of a prediction."""

    centre: float = 0.0
    scale: float = 1.0

    @property
    def kind(self) -> str:
        """What others call this map."""
        return "identity" if (self.centre, self.scale) == (0.0, 1.0) else ""

    def encode(self, y: Array) -> Array:
        """Turn targets into the loss's coding and unit."""
        return (np.asarray(y, np.float64) - self.centre) / self.scale

    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions."""
        return self.centre + self.scale * raw

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "affine", "centre": self.centre, "scale": self.scale}


@dataclass(frozen=True)
class Exponential(Link):
    """Losses on log-rates: the prediction is exp(score)."""

    @property
    def kind(self) -> str:
        """What others call this map."""
        return "exp"

    def encode(self, y: Array) -> Array:
        """Turn targets into the loss's coding and unit."""
        return np.asarray(y, np.float64)

    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions."""
        return np.asarray(np.exp(np.minimum(raw, _LARGEST_EXPONENT)))

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "exponential"}


@dataclass(frozen=True)
class BinaryProbability(Link):
    """Losses on one logit: the probability for which the score is the loss's minimiser.

    With slopes g0 >= 0 against label 0 and g1 <= 0 against label 1, expected loss is stationary where
    p = g0 / (g0 - g1). For the cross-entropy that is the sigmoid; for the focal loss it undoes the focusing
    (Charoenphakdee et al. 2021) and alpha, so that predictions are probabilities there, too.
    """

    loss: Any

    @property
    def kind(self) -> str:
        """What others call this map."""
        return "sigmoid" if isinstance(self.loss, BinaryCrossEntropy) else ""

    @property
    def probabilities(self) -> bool:
        """True."""
        return True

    def encode(self, y: Array) -> Array:
        """Turn targets into the loss's coding and unit."""
        return np.asarray(y, np.float64)

    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions."""
        # Slopes underflow beyond; a probability within 1e-150 of 0 or 1 is far beyond any use.
        f = np.clip(raw, -100.0, 100.0)
        up, down = self.loss.gradient(np.zeros_like(f), f), -self.loss.gradient(np.ones_like(f), f)
        total = up + down
        return np.column_stack([down / total, up / total])

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "binary_probability"}


@dataclass(frozen=True)
class Margin(Link):
    """Losses of the margin y f with labels -1/+1: the sign is the decision, and there are no probabilities.

    Predictions are sigmoid(f) as scores: their order and the decision at 1/2 are right, their values mean nothing
    until a Platt map is fitted on held-out rows.
    """

    def encode(self, y: Array) -> Array:
        """Turn targets into the loss's coding and unit."""
        return 2.0 * np.asarray(y, np.float64) - 1.0

    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions."""
        from scipy.special import expit

        return np.column_stack([expit(-raw), expit(raw)])

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "margin"}


@dataclass(frozen=True)
class RowProbability(Link):
    """Losses on a row of logits: the probabilities for which the row is the loss's minimiser.

    The loss's slope against label j by logit j is -c_j (1 - p_j) with p the softmax; expected loss is
    stationary where the probability of j is proportional to p_j / c_j. For the cross-entropy that is the softmax;
    focusing and class weights are undone. Label smoothing is not: its softmax is taken as it is.
    """

    loss: Any

    @property
    def kind(self) -> str:
        """What others call this map."""
        class_weights, smoothing, _ = self.loss.settings
        plain = class_weights is None and isinstance(self.loss, CategoricalCrossEntropy)
        return "softmax" if smoothing > 0 or plain else ""

    @property
    def probabilities(self) -> bool:
        """True."""
        return True

    def encode(self, y: Array) -> Array:
        """Turn targets into the loss's coding and unit."""
        return np.asarray(y).astype(np.intp)

    def decode(self, raw: Array) -> Array:
        """Turn raw scores into predictions."""
        # Beyond e^-100 slopes underflow; no use needs smaller probabilities.
        f = np.maximum(raw, raw.max(axis=1, keepdims=True) - 100.0)
        parts = softmax(f)
        if self.kind == "softmax":
            return np.asarray(parts.probability)
        odds = np.empty_like(f)
        for j in range(f.shape[1]):
            slope = -self.loss.gradient(np.full(f.shape[0], j), f)[:, j]
            odds[:, j] = parts.probability[:, j] * parts.complement[:, j] / slope
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "row_probability"}


def output_link(loss: Loss) -> Link:
    """Return the link that suits a loss on raw scores; for losses of the residual it changes nothing.

    Parameters
    ----------
    loss : Loss
        On raw scores: the residual, one logit or log-rate, or a row of logits.

    Raises
    ------
    ValueError
        For a loss that cannot be trained on raw scores; says which inputs it should take.
    """
    task = loss.traits.task
    inputs = getattr(loss, "inputs", "raw")
    if loss.tier == "row-wise" and task == "multiclass" and inputs == "logits":
        return RowProbability(loss)
    if loss.tier == "elementwise" and task == "binary" and inputs == "logits":
        return BinaryProbability(loss)
    if loss.tier == "elementwise" and getattr(loss, "domain", None) == SIGNS:
        return Margin()
    if loss.tier == "elementwise" and inputs == "log_rate":
        return Exponential()
    if loss.tier == "elementwise" and task == "regression" and inputs == "raw":
        return Affine()
    if isinstance(loss, WeightedSum) and len(loss.losses) == 1:
        raise ValueError(
            f"{loss!r} is one loss times a factor, which changes trees only through their regularisation; give "
            f"{loss.losses[0]!r}"
        )
    if loss.tier in ("elementwise", "row-wise"):
        raise ValueError(
            f"{loss!r} cannot train these learners; take a loss of the residual, or one on a log-rate or logits"
        )
    raise ValueError(
        f"{loss!r} is a {loss.tier} loss and cannot train these learners, which give each row a score of its own; take "
        "one of the residual, such as huber, or one on logits"
    )
