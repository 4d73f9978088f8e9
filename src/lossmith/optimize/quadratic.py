"""Squared errors under penalties on single coefficients: one matrix for all strengths of a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import coordinate
from .objective import Objective
from .penalties import Separable
from .progress import Descent, Progress

Array = npt.NDArray[np.float64]

# Features up to which the matrix is kept.
_UP_TO = 500
# Rounds without a visible change after which rounding has the last word.
_STILL = 3


@dataclass(frozen=True)
class Quadratic:
    """A mean loss of constant curvature as what it is: a quadratic in the parameters.

    Attributes
    ----------
    origin : ndarray, shape (size,)
        Parameters about which it is written.
    value : float
        Mean loss there.
    slope : ndarray, shape (size,)
        Its gradient there.
    matrix : ndarray, shape (size, size)
        Its second derivatives.
    """

    origin: Array
    value: float
    slope: Array
    matrix: Array

    @classmethod
    def of(cls, objective: Objective, theta: Array) -> Quadratic | None:
        """Return the quadratic; None for other losses and penalties, and for too many features.

        Parameters
        ----------
        objective : Objective
            Any.
        theta : ndarray
            Parameters about which to write it.
        """
        traits = objective.loss.traits
        straight = traits.kinks or not traits.constant_hessian or objective.outputs is not None
        if straight or not isinstance(objective.penalty, Separable) or objective.size > _UP_TO:
            return None
        value, slope = objective.bare().value_and_gradient(theta)
        matrix = objective.gram(objective.share * float(traits.smooth))
        return cls(theta, value, slope, np.ascontiguousarray(matrix))

    def at(self, theta: Array) -> tuple[float, Array]:
        """Return the mean loss and its gradient."""
        step = theta - self.origin
        change = self.matrix @ step
        return self.value + float((self.slope + 0.5 * change) @ step), self.slope + change

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise under the objective's penalty by coordinate descent, without a look at the samples.

        Parameters
        ----------
        objective : Objective
            Of this loss and these features; its penalty counts.
        theta : ndarray
            Start.
        progress : Progress
            Limits and history.
        """
        penalty: Any = objective.penalty
        d, still = objective.X.shape[1], 0
        progress.count(objective)
        value, gradient = self.at(theta)
        while True:
            wrong = np.concatenate([penalty.distance(theta[:d], gradient[:d]), np.abs(gradient[d:])])
            progress.unit = progress.unit or max(1.0, float(np.abs(gradient).max(initial=0.0)))
            progress.record(theta, value + penalty.value(theta[:d]), wrong)
            optimality = progress.relative(wrong)
            if optimality <= progress.tolerance:
                return Descent(theta, "converged", optimality)
            if (limit := progress.exhausted()) is not None:
                return Descent(theta, limit, optimality)
            if still == _STILL:
                return Descent(theta, "stalled", optimality)
            goal = 0.1 * progress.tolerance * progress.unit
            there = coordinate.minimise(
                self.matrix, gradient, theta, penalty, int(objective.intercept), 0.0, goal, sweeps=1000
            )
            still = still + 1 if (there == theta).all() else 0
            theta = there
            value, gradient = self.at(theta)
