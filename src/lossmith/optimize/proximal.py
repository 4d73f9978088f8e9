"""Proximal gradient, plain and accelerated: one step along the gradient of the loss, one towards the penalty."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .objective import Objective
from .progress import Best, Descent, Progress

Array = npt.NDArray[np.float64]

# A step that was accepted is tried longer next time; one that was not is halved.
_LONGER = 1.1
_SHORTEST = 1e-18
# Raw scores are carried along from step to step; after so many they are computed anew.
_FRESH = 64


def proximal_gradient(objective: Objective, theta: Array, progress: Progress, accelerate: bool = True) -> Descent:
    """Minimise an objective with a smooth loss and any penalty that has a proximal step.

    Parameters
    ----------
    objective : Objective
        Its penalty acts on the coefficients; without one this is (accelerated) gradient descent.
    theta : ndarray
        Start.
    progress : Progress
        Limits and history; the optimality is the largest distance of -gradient from the subdifferential.
    accelerate : bool
        Whether to add momentum, dropped whenever it points uphill.

    Returns
    -------
    Descent

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2. O'Donoghue and
    Candes (2015), Adaptive restart for accelerated gradient schemes, Found. Comput. Math. 15.
    """
    part = _Part(objective)
    raw, value, _ = progress.begin(objective, theta)
    best = Best(theta, value, np.inf)
    ahead, raw_ahead, momentum, step = theta, raw, 1.0, 0.0
    while True:
        value, gradient = part.smooth.value_and_gradient_at(ahead, raw_ahead)
        step = step * _LONGER or part.first_step(ahead, raw_ahead, value, gradient)
        there, raw_there, reached, step = part.backtrack(ahead, value, gradient, step)
        move = (ahead - there) / step
        optimality = progress.relative(move)
        if optimality <= 2.0 * progress.accepted or (progress.steps + 1) % _FRESH == 0:
            raw_there = objective.raw(there)
            optimality = progress.relative(part.wrong(there, raw_there))
        progress.record(there, reached + part.penalty(there), np.full(1, optimality * progress.unit))
        best = best.or_this(there, progress.history[-1], optimality)
        if optimality <= progress.accepted:
            return Descent(there, "converged", optimality)
        if (limit := progress.exhausted()) is not None or step < _SHORTEST:
            return best.descent(limit or "stalled")
        restart = not accelerate or float((ahead - there) @ (there - theta)) > 0.0
        following = 1.0 if restart else 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5)
        weight = 0.0 if restart else (momentum - 1.0) / following
        ahead, raw_ahead = there + weight * (there - theta), raw_there + weight * (raw_there - raw)
        theta, raw, momentum = there, raw_there, following


class _Part:
    """The smooth part of an objective, and steps towards its penalty."""

    def __init__(self, objective: Objective) -> None:
        self.smooth, self._penalty = objective.bare(), objective.penalty
        self._shape: tuple[int, ...] = (objective.X.shape[1], objective.outputs or 1)
        self._shape = self._shape[:1] if objective.outputs is None else self._shape
        self._size = int(np.prod(self._shape))

    def penalty(self, theta: Array) -> float:
        """Return the penalty's value."""
        return 0.0 if self._penalty is None else self._penalty.value(theta[: self._size].reshape(self._shape))

    def proximal(self, point: Array, gradient: Array, step: float) -> Array:
        """Step along the gradient, then towards the penalty."""
        there = point - step * gradient
        if self._penalty is not None:
            coefficients = there[: self._size].reshape(self._shape)
            there[: self._size] = self._penalty.prox(coefficients, step).reshape(-1)
        return there

    def wrong(self, theta: Array, raw: Array) -> Array:
        """Return how far each parameter is from optimal."""
        gradient = self.smooth.value_and_gradient_at(theta, raw)[1]
        if self._penalty is not None:
            part = slice(None, self._size)
            w, g = theta[part].reshape(self._shape), gradient[part].reshape(self._shape)
            gradient[part] = self._penalty.distance(w, g).reshape(-1)
        return gradient

    def first_step(self, theta: Array, raw: Array, value: float, gradient: Array) -> float:
        """Return the step that the loss's curvature along the gradient asks for."""
        change = self.smooth.raw(gradient)
        steep = float(gradient @ gradient)
        nudge = 1e-4 / max(float(np.abs(change).max(initial=0.0)), 1e-300)
        slope = self.smooth.value_and_slope_at(theta - nudge * gradient, raw - nudge * change, gradient, change)[1]
        curvature = (steep - slope) / nudge
        return steep / curvature if curvature > 1e-12 * steep and np.isfinite(curvature) else 1.0

    def backtrack(self, ahead: Array, value: float, gradient: Array, step: float) -> tuple[Array, Array, float, float]:
        """Halve the step until a parabola of that width lies above; point, raw scores, loss there, step."""
        slack = 4.0 * float(np.finfo(np.float64).eps) * abs(value)
        while True:
            there = self.proximal(ahead, gradient, step)
            move, raw = there - ahead, self.smooth.raw(there)
            with np.errstate(over="ignore", invalid="ignore"):
                reached = float(self.smooth.share @ self.smooth.loss.value_and_gradient(self.smooth.y, raw)[0])
            bound = value + float(gradient @ move) + float(move @ move) / (2.0 * step)
            if reached <= bound + slack or step < _SHORTEST:
                return there, raw, reached, step
            step *= 0.5
