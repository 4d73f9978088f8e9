"""Ways down: Newton's method with an exact line search, and SciPy's L-BFGS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .objective import Objective
from .penalties import Elastic
from .result import Status

Array = npt.NDArray[np.float64]
Curvature = Callable[[Any, Array, Array], Array]
# Steps without a visible decrease after which rounding has the last word.
_STILL = 4


class _Stopped(Exception):
    """Raised inside a callback of SciPy's solver to end it."""


@dataclass
class Progress:
    """What the stages of one fit share: limits, history, and whom to tell.

    Attributes
    ----------
    tolerance : float
        Accepted largest component of the gradient, relative to ``unit``.
    limit : int
        Steps over all stages.
    deadline : float
        ``time.perf_counter()`` at which to stop.
    watch : callable or None
        ``watch(theta, objective, gradient_norm)`` at the start and after each step.
    history : list of float
        Objective at the start and after each step.
    unit : float
        Largest component of the gradient at the start, at least 1.
    slack : float
        What rounding alone can make of the gradient.
    """

    tolerance: float
    limit: int
    deadline: float
    watch: Callable[[Array, float, float], None] | None = None
    history: list[float] = field(default_factory=list)
    unit: float = 1.0
    slack: float = 0.0

    @property
    def accepted(self) -> float:
        """The relative gradient at which a descent has converged."""
        return self.tolerance + self.slack / self.unit

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return max(len(self.history) - 1, 0)

    def record(self, theta: Array, value: float, gradient: Array) -> None:
        """Note the start, or one step."""
        self.history.append(value)
        if self.watch is not None:
            self.watch(theta, value, float(np.abs(gradient).max(initial=0.0)))

    def exhausted(self) -> Status | None:
        """Tell which limit is reached, if any."""
        if self.steps >= self.limit:
            return "iteration_limit"
        return "time_limit" if time.perf_counter() >= self.deadline else None


@dataclass(frozen=True)
class Descent:
    """Where a descent ended: parameters, status and relative optimality."""

    theta: Array
    status: Status
    optimality: float


def newton(objective: Objective, theta: Array, curvature: Curvature, brake: Curvature, progress: Progress) -> Descent:
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
    """
    raw = objective.raw(theta)
    value, gradient = objective.value_and_gradient_at(theta, raw)
    damping, still, brakes = 1e-6, 0, None
    while True:
        optimality = float(np.abs(gradient).max(initial=0.0)) / progress.unit
        if optimality <= progress.accepted:
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(theta, limit, optimality)
        slopes = objective.loss.value_and_gradient(objective.y, raw)[1]
        if brakes is None:
            brakes = _positive(objective.hessian(brake(objective.y, raw, slopes)))
        matrix = objective.hessian(curvature(objective.y, raw, slopes)) + damping * brakes
        direction = -factored(matrix, brakes)(gradient)
        change = objective.raw(direction)
        t = line_search(objective, theta, raw, direction, change, value, gradient)
        if t is None or still == _STILL:
            return Descent(theta, "stalled", optimality)
        theta, raw, before = theta + t * direction, raw + t * change, value
        value, gradient = objective.value_and_gradient_at(theta, raw)
        still = still + 1 if before - value <= 1e-15 * abs(value) else 0
        # A step far from Newton's own length means that the parabola was no good model: brake harder.
        damping = min(damping * 10.0, 1.0) if t < 0.1 else max(damping / 10.0, 1e-10)
        progress.record(theta, value, gradient)


def _positive(matrix: Array) -> Array:
    """Lift a singular matrix off 0 by a trace of the identity."""
    level = float(np.trace(matrix)) / max(matrix.shape[0], 1)
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


def line_search(
    objective: Objective,
    theta: Array,
    raw: Array,
    direction: Array,
    change: Array,
    value: float,
    gradient: Array,
) -> float | None:
    """Find a step that lowers the objective and leaves little slope along the line; None if there is none."""
    start = float(gradient @ direction)
    if start >= 0:
        return None
    low, high, t, best = 0.0, np.inf, 1.0, None
    low_slope, best_value = start, value
    for _ in range(40):
        with np.errstate(over="ignore", invalid="ignore"):
            there, slope = objective.value_and_slope_at(theta + t * direction, raw + t * change, direction, change)
        enough = there <= value + 1e-4 * t * start and there <= best_value
        if enough:
            best, best_value = t, there
            if abs(slope) <= 0.5 * abs(start):
                return t
        if slope < 0 and enough:
            low, low_slope = t, slope
        elif slope < 0:
            high = t if not there <= best_value else high
            low = t if there <= best_value else low
        else:
            high = t
        if not np.isfinite(there):
            high = t
        t = 4.0 * t if high == np.inf else _between(low, high, low_slope, slope, t == high)
        if high - low <= 1e-12 * max(high, 1e-300) or t > 1e8:
            break
    return best


def _between(low: float, high: float, low_slope: float, high_slope: float, fresh: bool) -> float:
    """Secant point between two ends if their slopes allow, else the middle; never next to an end."""
    if fresh and np.isfinite(high_slope) and high_slope > 0 > low_slope:
        point = low - low_slope * (high - low) / (high_slope - low_slope)
        margin = 0.05 * (high - low)
        return float(min(max(point, low + margin), high - margin))
    return 0.5 * (low + high)


def lbfgs(objective: Objective, theta: Array, progress: Progress) -> Descent:
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
    """
    l1 = objective.penalty.parts[0] if isinstance(objective.penalty, Elastic) else 0.0
    return _lbfgs_split(objective, theta, progress, l1) if l1 > 0 else _lbfgs_plain(objective, theta, progress)


def _lbfgs_plain(objective: Objective, theta: Array, progress: Progress) -> Descent:
    def optimality(point: Array) -> float:
        return float(np.abs(objective.value_and_gradient(point)[1]).max(initial=0.0)) / progress.unit

    return _run_scipy(objective.value_and_gradient, theta, None, progress, lambda x: x, optimality)


def _lbfgs_split(objective: Objective, theta: Array, progress: Progress, l1: float) -> Descent:
    tail = theta.size - objective.X.shape[1] * (objective.outputs or 1)
    m = theta.size - tail

    def join(parts: Array) -> Array:
        return np.concatenate([parts[:m] - parts[m : 2 * m], parts[2 * m :]])

    def function(parts: Array) -> tuple[float, Array]:
        joined = join(parts)
        value, gradient = objective.value_and_gradient(joined)
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
    bounds = [(0.0, None)] * (2 * m) + [(None, None)] * tail
    return _run_scipy(function, parts, bounds, progress, join, optimality)


def _run_scipy(
    function: Callable[[Array], tuple[float, Array]],
    start: Array,
    bounds: Any,
    progress: Progress,
    join: Callable[[Array], Array],
    optimality: Callable[[Array], float],
) -> Descent:
    from scipy.optimize import minimize

    latest, slopes = start, np.zeros(1)

    def evaluate(point: Array) -> tuple[float, Array]:
        nonlocal slopes
        value, slopes = function(point)
        return value, slopes

    def callback(intermediate_result: Any) -> None:
        nonlocal latest
        latest = np.array(intermediate_result.x)
        progress.record(join(latest), float(intermediate_result.fun), slopes)
        if progress.exhausted() is not None:
            raise _Stopped

    options = {
        "maxiter": max(progress.limit - progress.steps, 1),
        "maxfun": 1_000_000,
        "maxcor": 20,
        "ftol": 0.0,
        "gtol": progress.tolerance * progress.unit,
    }
    limit: Status | None = progress.exhausted()
    if limit is None:
        try:
            latest = minimize(
                evaluate, start, jac=True, method="L-BFGS-B", bounds=bounds, callback=callback, options=options
            ).x
        except _Stopped:
            limit = progress.exhausted()
    theta = join(latest)
    reached = optimality(theta)
    if reached <= progress.accepted:
        return Descent(theta, "converged", reached)
    return Descent(theta, limit or progress.exhausted() or "stalled", reached)
