"""First-order ways down: gradient descent, subgradients, momentum, Adam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .descents import Stepper
from .lines import Line
from .objective import Objective
from .progress import Best, Descent, Progress

Array = npt.NDArray[np.float64]
# Takes a point, and the line down its gradient, to the next parameters and raw scores; None where there is no way.
Move = Callable[[Line], tuple[Array, Array] | None]

# Raw scores are carried along from step to step; after so many they are computed anew.
_FRESH = 64
# A step of Adam that is shorter than this share of the parameters moves nothing.
_SHORTEST = 1e-15


def gradient_descent(
    objective: Objective, theta: Array, progress: Progress, move: Move, certain: bool = True
) -> Descent:
    """Minimise an objective by moves that know its gradient, or a subgradient.

    Parameters
    ----------
    objective : Objective
        Of any number of outputs.
    theta : ndarray
        Start.
    progress : Progress
        Limits and history.
    move : callable
        Where to go from a point.
    certain : bool
        Whether a gradient of 0 proves a minimum; subgradients prove nothing.

    Returns
    -------
    Descent
        The lowest point visited; "diverged" where the objective grew without bound.
    """
    raw, value, gradient = progress.begin(objective, theta)
    best = Best(theta, value, np.inf)
    while True:
        optimality = progress.relative(gradient)
        best = best.or_this(theta, value, optimality)
        if progress.blown(value, gradient):
            return best.descent("diverged")
        if optimality <= progress.accepted and (certain or not gradient.any()):
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return best.descent(limit)
        moved = move(Line(objective, theta, raw, -gradient, value, gradient))
        if moved is None:
            return best.descent("stalled")
        theta, raw = moved
        with np.errstate(over="ignore", invalid="ignore"):
            raw = raw if (progress.steps + 1) % _FRESH else objective.raw(theta)
            value, gradient = objective.value_and_gradient_at(theta, raw)
        progress.record(theta, value, gradient)


def along(stepper: Stepper) -> Move:
    """Return moves down the gradient, as far as a search says."""

    def move(line: Line) -> tuple[Array, Array] | None:
        t = stepper(line)
        return None if t is None else line.ahead(t)

    return move


def heavy_ball(step: float, momentum: float) -> Move:
    """Return moves that repeat a share of the last one.

    Parameters
    ----------
    step : float
        Length, in units of the gradient.
    momentum : float
        The share, in [0, 1).
    """
    velocity: Array | None = None

    def move(line: Line) -> tuple[Array, Array]:
        nonlocal velocity
        last = 0.0 if velocity is None else momentum * velocity
        velocity = last + step * line.direction
        theta = line.theta + velocity
        return theta, line.objective.raw(theta)

    return move


class Adaptive:
    """Moves of Adam; the step is halved, and goes on from the lowest point, whenever it no longer helps.

    Parameters
    ----------
    step : float
        First length of a step of each parameter.
    decays : tuple of float
        Of the means of gradients and of their squares.
    patience : int
        Steps without a new lowest objective before the step is halved.
    """

    def __init__(self, step: float, decays: tuple[float, float], patience: int) -> None:
        self._step, self._decays, self._patience = step, decays, patience
        self._lowest: Line | None = None
        self._waited = 0
        self._forget()

    def _forget(self) -> None:
        self._first: Array | float = 0.0
        self._second: Array | float = 0.0
        self._count = 0

    def __call__(self, line: Line) -> tuple[Array, Array] | None:
        """Return the next parameters and raw scores; None when steps became too small to matter."""
        if self._lowest is None or line.value < self._lowest.value:
            self._lowest, self._waited = line, 0
        self._waited += 1
        if self._waited > self._patience:
            self._step, self._waited, line = 0.5 * self._step, 0, self._lowest
            self._forget()
        if self._step < _SHORTEST * (1.0 + float(np.abs(line.theta).max(initial=0.0))):
            return None
        theta = line.theta - self._step * self._direction(line.gradient)
        return theta, line.objective.raw(theta)

    def _direction(self, gradient: Array) -> Array:
        """Return the mean gradient in units of its root mean square, both freed of their start at 0."""
        a, b = self._decays
        self._count += 1
        self._first = a * self._first + (1.0 - a) * gradient
        self._second = b * self._second + (1.0 - b) * gradient * gradient
        mean, square = self._first / (1.0 - a**self._count), self._second / (1.0 - b**self._count)
        return np.asarray(mean / (np.sqrt(square) + 1e-300))
