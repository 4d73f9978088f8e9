"""Newton's method for many samples: its matrix from some of them, its gradient from all.

The Hessian of a random part of the samples is that of all up to sqrt(d / m) for m samples in d dimensions. A step with
it shrinks the error by about that factor, costs two passes over the features instead of the matrix's n d^2, and the
changes of the gradient (limited-memory BFGS) correct the matrix on the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .descents import Curvature, Descent, Progress, factored, line_search, newton
from .objective import Objective

Array = npt.NDArray[np.float64]

# Samples for the matrix: one in so many, and at least so many for each parameter.
_ONE_IN = 16
_FOR_EACH = 100
# How well the problem of the part is solved: its solution is off by sampling anyway.
_ROUGHLY = 1e-3
# Corrections that are kept, and steps after which the full matrix takes over.
_MEMORY = 12
_PATIENCE = 60


def pays(objective: Objective) -> bool:
    """Tell whether there are enough samples for a part of them to do."""
    return _part(objective) * 4 <= objective.share.size


def _part(objective: Objective) -> int:
    return max(objective.share.size // _ONE_IN, _FOR_EACH * objective.size)


def sampled_newton(
    objective: Objective, theta: Array, curvature: Curvature, brake: Curvature, progress: Progress
) -> Descent:
    """Minimise a smooth convex objective with one output; arguments as for :func:`.descents.newton`.

    References
    ----------
    Byrd, Chin, Neveitt and Nocedal (2011), On the use of stochastic Hessian information in optimization methods for
    machine learning, SIAM J. Optim. 21.
    """
    progress.begin(objective, theta)
    matrix, theta = _start(objective, theta, curvature, brake, progress)
    metric = Metric(factored(matrix))
    value, gradient, raw = objective.ahead(np.zeros_like(theta), np.zeros(objective.share.size), theta)
    for _ in range(_PATIENCE):
        optimality = float(np.abs(gradient).max(initial=0.0)) / progress.unit
        if optimality <= progress.accepted:
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(theta, limit, optimality)
        moved = _step(objective, theta, raw, value, gradient, -metric.solve(gradient))
        if moved is None:
            break
        step, value, there, raw = moved
        metric.learn(step, there - gradient)
        theta, gradient = theta + step, there
        progress.record(theta, value, gradient)
    return newton(objective, theta, curvature, brake, progress)


def _step(
    objective: Objective, theta: Array, raw: Array, value: float, gradient: Array, direction: Array
) -> tuple[Array, float, Array, Array] | None:
    """Go the whole way if that is good, else as far as a line search says; step, objective, gradient, raw scores."""
    slope = float(gradient @ direction)
    if slope >= 0.0:
        return None
    there, ahead, raw_there = objective.ahead(theta, raw, direction)
    slack = 4.0 * float(np.finfo(np.float64).eps) * abs(value)  # close to the minimum only the slope still tells
    if there <= value + 1e-4 * slope + slack and abs(float(ahead @ direction)) <= 0.5 * abs(slope):
        return direction, there, ahead, raw_there
    t = line_search(objective, theta, raw, direction, raw_there - raw, value, gradient)
    if t is None:
        return None
    step, raw_there = t * direction, raw + t * (raw_there - raw)
    return step, *objective.value_and_gradient_at(theta + step, raw_there), raw_there


def _start(
    objective: Objective, theta: Array, curvature: Curvature, brake: Curvature, progress: Progress
) -> tuple[Array, Array]:
    """Solve the problem of a part of the samples roughly; return its matrix and its solution."""
    n = objective.share.size
    chosen = np.sort(np.random.default_rng(0).choice(n, _part(objective), replace=False))
    part = objective.rows(chosen)
    part = replace(part, share=part.share / part.share.sum())
    quiet = Progress(_ROUGHLY, progress.limit, progress.deadline, unit=progress.unit)
    found = newton(part, theta, curvature, brake, quiet).theta
    raw = part.raw(found)
    slopes = part.loss.value_and_gradient(part.y, raw)[1]
    matrix = part.hessian(curvature(part.y, raw, slopes))
    return matrix + 1e-8 * part.hessian(brake(part.y, raw, slopes)), found


@dataclass
class Metric:
    """The inverse of a matrix, corrected by limited-memory BFGS.

    Attributes
    ----------
    base : callable
        The inverse of the matrix, times a vector.
    """

    base: Callable[[Array], Array]

    def __post_init__(self) -> None:
        self._steps: deque[tuple[Array, Array, float]] = deque(maxlen=_MEMORY)

    def learn(self, step: Array, change: Array) -> None:
        """Remember by how much the gradient changed along a step."""
        curved = float(step @ change)
        if curved > 0.0:
            self._steps.append((step, change, curved))

    def solve(self, gradient: Array) -> Array:
        """The two loops of Nocedal (1980)."""
        q, shares = gradient.copy(), []
        for step, change, curved in reversed(self._steps):
            shares.append(float(step @ q) / curved)
            q -= shares[-1] * change
        q = self.base(q)
        for (step, change, curved), share in zip(self._steps, reversed(shares), strict=True):
            q += (share - float(change @ q) / curved) * step
        return np.asarray(q)
