"""A trained model: raw scores, predictions, training curve, and a description that is saved without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.links import Link

Array = np.ndarray[Any, Any]
FORMAT = "lossmith-model/1"


class Model(Protocol):
    """What maps features to raw scores."""

    def raw(self, X: Any) -> Array:
        """Return raw scores, (n,) or (n, k)."""

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""


@dataclass(frozen=True)
class TrainingCurve:
    """How a training went, in the loss's own units (targets of residual losses are scaled).

    Attributes
    ----------
    iterations : tuple of int
        0 is the start.
    train, valid : tuple of float
        Mean loss after each iteration; ``valid`` is empty without validation rows.
    metric : tuple of float
        The caller's metric on the validation rows, smaller is better; empty if none was given.
    gradient_norm : tuple of float
        Linear: largest component of the objective's gradient. Boosted: root mean square of the samples' slopes.
    best : int
        The iteration whose model was kept.
    stopped : str
        Why it ended: "converged", "stalled", "iteration limit", "time limit", "early stopping", "no split left".
    """

    iterations: tuple[int, ...]
    train: tuple[float, ...]
    valid: tuple[float, ...]
    metric: tuple[float, ...]
    gradient_norm: tuple[float, ...]
    best: int
    stopped: str


@dataclass(frozen=True)
class Fitted:
    """What a learner returns.

    Attributes
    ----------
    loss : Loss
        What it was trained with.
    link : Link
        From targets to the loss's coding, from raw scores to predictions.
    model : Model
        From features to raw scores.
    curve : TrainingCurve or None
        None for a revived model.
    curvature : str
        What second-order steps were built on: "exact", "majoriser", "gauss_newton", "surrogate", or "smoothed" (the
        exact one of a loss whose kinks are rounded off).
    """

    loss: Loss
    link: Link
    model: Model
    curve: TrainingCurve | None
    curvature: str

    def raw(self, X: Any) -> Array:
        """Return raw scores, (n,) or (n, k), in the unit in which the loss was trained.

        Parameters
        ----------
        X : ndarray, shape (n, d)
            Features as in training.
        """
        return self.model.raw(X)

    def predict(self, X: Any) -> Array:
        """Return predictions.

        Parameters
        ----------
        X : ndarray, shape (n, d)
            Features as in training.

        Returns
        -------
        ndarray
            On the target's scale what the loss elicits (mean, median, quantile ...), shape (n,); or class
            probabilities, shape (n, k), if ``has_probabilities``, else scores between 0 and 1.
        """
        return self.link.decode(self.model.raw(X))

    def encode(self, y: Any) -> Array:
        """Return targets in the coding and unit of the loss, to be held against :meth:`raw`."""
        return self.link.encode(np.asarray(y))

    @property
    def has_probabilities(self) -> bool:
        """Whether predictions are class probabilities (the hinge losses give scores only)."""
        return self.link.probabilities

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able dictionary from which :func:`lossmith.workflow.learners.revive` makes an equal model."""
        return {
            "format": FORMAT,
            "loss": self.loss.to_config(),
            "link": self.link.to_config(),
            "model": self.model.to_config(),
            "curvature": self.curvature,
        }
