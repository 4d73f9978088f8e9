"""Ways down: Newton's method with an exact line search, and SciPy's L-BFGS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .lines import Line, line_search, strong_wolfe
from .objective import Objective
from .penalties import Elastic
from .progress import Best, Descent, Progress
from .result import Status

__all__ = ["Curvature", "Descent", "Progress", "Stepper", "factored", "lbfgs", "line_search", "newton"]

Array = npt.NDArray[np.float64]
Curvature = Callable[[Any, Array, Array], Array]
# Takes a line downhill to the length of a step; None where no step descends.
Stepper = Callable[[Line], float | None]
# Steps without a visible decrease after which rounding has the last word.
_STILL = 4
# Times that SciPy's search is begun: rounding can end it far from the minimum, with what it remembers of the way.
_BEGUN = 4


class _Stopped(Exception):
    """Raised inside a callback of SciPy's solver to end it."""


def newton(
    objective: Objective,
    theta: Array,
    curvature: Curvature,
    brake: Curvature,
    progress: Progress,
    stepper: Stepper = strong_wolfe,
    plain: bool = False,
) -> Descent:
    """Minimise an objective with one output by damped Newton steps (Levenberg-Marquardt).

    Parameters
    ----------
    objective : Objective
        With a smooth penalty.
    theta : ndarray
        Start.
    curvature : callable
        ``curvature(y, raw, slope)`` per sample, >= 0: the loss's Hessian, or a majoriser's (then this is IRLS).
    brake : callable
        The same with numbers > 0, asked once: its matrix, times a small adaptive factor, is added to Newton's. It
        sets a sensible length of step where no sample has curvature.
    progress : Progress
        Limits and history.
    stepper : callable
        Finds the length of each step.
    plain : bool
        Leave the brake alone: steps whose length is given say nothing about the model.

    Returns
    -------
    Descent
    """
    raw, value, gradient = progress.begin(objective, theta)
    damping, still, brakes = 1e-6, 0, None
    best = Best(theta, value, np.inf)
    while True:
        optimality = progress.relative(gradient)
        best = best.or_this(theta, value, optimality)
        if progress.blown(value, gradient):
            return best.descent("diverged")
        if optimality <= progress.accepted:
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return best.descent(limit)
        slopes = objective.loss.value_and_gradient(objective.y, raw)[1]
        if brakes is None:
            brakes = _positive(objective.hessian(brake(objective.y, raw, slopes)))
        matrix = objective.hessian(curvature(objective.y, raw, slopes)) + damping * brakes
        line = Line(objective, theta, raw, -factored(matrix, brakes)(gradient), value, gradient)
        t = stepper(line)
        if t is None or still == _STILL:
            return best.descent("stalled")
        (theta, raw), before = line.ahead(t), value
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = objective.value_and_gradient_at(theta, raw)
        still = still + 1 if before - value <= 1e-15 * abs(value) and not plain else 0
        # A step far from Newton's own length means that the parabola was no good model: brake harder.
        damping = min(damping * 10.0, 1.0) if t < 0.1 and not plain else max(damping / 10.0, 1e-10)
        progress.record(theta, value, gradient)


def _positive(matrix: Array) -> Array:
    """Lift a singular matrix off 0 by a trace of the identity."""
    level = float(np.trace(matrix)) / max(matrix.shape[0], 1)
    if not np.isfinite(level):
        raise ValueError("products of the columns of X overflow; scale X to numbers of ordinary size")
    return matrix + (1e-6 * level or 1.0) * np.eye(matrix.shape[0])


def factored(matrix: Array, brakes: Array | None = None) -> Callable[[Array], Array]:
    """Return a solver for a matrix >= 0, braking harder while it is numerically singular."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    lift, factor = _positive(matrix) if brakes is None else brakes, 1e-12
    while True:
        try:
            found = cho_factor(matrix)
        except LinAlgError:
            matrix = matrix + factor * lift
            factor *= 100.0
        else:
            return lambda b: np.asarray(cho_solve(found, b))


def lbfgs(objective: Objective, theta: Array, progress: Progress, memory: int = 20) -> Descent:
    """Minimise any objective with a smooth loss by SciPy's L-BFGS-B.

    An L1 part of the penalty is smooth in the positive and negative parts of the coefficients, which are
    then bounded below by 0.

    Parameters
    ----------
    objective : Objective
        The loss may be row-wise.
    theta : ndarray
        Start.
    progress : Progress
        Limits and history.
    memory : int
        Steps that are remembered.

    Returns
    -------
    Descent
    """
    l1 = objective.penalty.parts[0] if isinstance(objective.penalty, Elastic) else 0.0
    if l1 > 0:
        return _lbfgs_split(objective, theta, progress, l1, memory)
    return _lbfgs_plain(objective, theta, progress, memory)


def _lbfgs_plain(objective: Objective, theta: Array, progress: Progress, memory: int) -> Descent:
    def optimality(point: Array) -> float:
        return progress.relative(objective.value_and_gradient(point)[1])

    function = _known(objective, theta, progress)
    return _run_scipy(function, theta, np.full(theta.shape, -np.inf), progress, lambda x: x, optimality, memory)


def _known(objective: Objective, theta: Array, progress: Progress) -> Callable[[Array], tuple[float, Array]]:
    """Return the objective as a function that does not evaluate its start once more."""
    _, value, gradient = progress.begin(objective, theta)

    def function(point: Array) -> tuple[float, Array]:
        # SciPy asks for the start first, and changes arrays that it is given.
        return (value, gradient.copy()) if np.array_equal(point, theta) else objective.value_and_gradient(point)

    return function


def _lbfgs_split(objective: Objective, theta: Array, progress: Progress, l1: float, memory: int) -> Descent:
    tail = theta.size - objective.X.shape[1] * (objective.outputs or 1)
    m = theta.size - tail
    known = _known(objective, theta, progress)

    def join(parts: Array) -> Array:
        return np.concatenate([parts[:m] - parts[m : 2 * m], parts[2 * m :]])

    def function(parts: Array) -> tuple[float, Array]:
        joined = join(parts)
        value, gradient = known(joined)
        w, smooth = joined[:m], gradient[:m] - l1 * np.sign(joined[:m])
        value += l1 * float((parts[:m] + parts[m : 2 * m]).sum() - np.abs(w).sum())
        return value, np.concatenate([smooth + l1, l1 - smooth, gradient[m:]])

    def optimality(point: Array) -> float:
        gradient = objective.value_and_gradient(point)[1]
        w = point[:m]
        smooth = gradient[:m] - l1 * np.sign(w)
        distance = np.where(w == 0, np.maximum(np.abs(smooth) - l1, 0.0), np.abs(gradient[:m]))
        return float(max(distance.max(initial=0.0), np.abs(gradient[m:]).max(initial=0.0))) / progress.unit

    parts = np.concatenate([np.maximum(theta[:m], 0.0), np.maximum(-theta[:m], 0.0), theta[m:]])
    low = np.repeat([0.0, -np.inf], [2 * m, tail])
    return _run_scipy(function, parts, low, progress, join, optimality, memory)


def _run_scipy(
    function: Callable[[Array], tuple[float, Array]],
    start: Array,
    low: Array,
    progress: Progress,
    join: Callable[[Array], Array],
    optimality: Callable[[Array], float],
    memory: int,
) -> Descent:
    from scipy.optimize import Bounds, minimize

    latest, slopes = start, np.zeros_like(start)

    def evaluate(point: Array) -> tuple[float, Array]:
        nonlocal slopes
        value, slopes = function(point)
        return value, slopes

    def callback(intermediate_result: Any) -> None:
        nonlocal latest
        latest = np.array(intermediate_result.x)
        # Where a number is at its bound, the slope may point through it.
        wanted = np.where(latest > low, slopes, np.minimum(slopes, 0.0))
        progress.record(join(latest), float(intermediate_result.fun), wanted)
        if progress.exhausted() is not None:
            raise _Stopped

    most, goal = max(progress.limit - progress.steps, 1), progress.tolerance * progress.unit
    options = {"maxiter": most, "maxfun": 1_000_000, "maxcor": memory, "ftol": 0.0, "gtol": goal}
    fixed = {"jac": True, "method": "L-BFGS-B", "bounds": Bounds(low), "callback": callback, "options": options}
    for _ in range(_BEGUN):
        before = progress.steps
        if progress.exhausted() is None:
            with contextlib.suppress(_Stopped):
                latest = minimize(evaluate, latest, **fixed).x
        reached, limit = optimality(join(latest)), progress.exhausted()
        if reached <= progress.accepted or limit is not None or progress.steps == before:
            break
    status: Status = "converged" if reached <= progress.accepted else limit or "stalled"
    return Descent(join(latest), status, reached)
