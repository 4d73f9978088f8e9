"""Fit the penalised linear model: choose a method that suits the loss and the penalty, and run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from .constant import best_constant
from .curvature import brake, reweighting
from .descents import Curvature, Descent, Progress, lbfgs, newton
from .interior import interior
from .objective import Objective
from .penalties import Elastic, Penalty, Separable
from .proximal import proximal_gradient
from .result import Solution
from .sampled import pays, sampled_newton
from .smoothing import Kink, Smoothed, is_piecewise_linear, kinks
from .working_sets import working_sets

Array = npt.NDArray[np.float64]

# Newton's matrix costs n d^2 a step; beyond this L-BFGS is quicker.
_NEWTON_UP_TO = 500
# Width of the last smoothing relative to the typical distance from the kinks at the start.
_FINEST = 1e-7


def solve(
    loss: Loss,
    X: Any,
    y: Any,
    *,
    penalty: Penalty | None = None,
    sample_weight: Any = None,
    intercept: bool = True,
    outputs: int | None = None,
    start: tuple[Any, Any] | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    max_seconds: float = float("inf"),
    watch: Callable[[Any, Any, float, float], None] | None = None,
) -> Solution:
    """Minimise the mean loss of X @ w + b plus a penalty on w.

    Smooth convex losses: Newton with an exact line search up to 500 features, with many samples its matrix from a part
    of them; beyond that, and for rows of scores, L-BFGS. Under penalties that hold coefficients at 0 or within
    limits: proximal Newton steps on a working set of coefficients; accelerated proximal gradient for groups. Losses
    of two straight lines (absolute error, quantile, hinge): an interior point method up to 500 features, under L1
    and L2, which ends with a duality gap; beyond that L-BFGS on a smoothed loss whose width shrinks in stages to 1e-7
    of the typical residual. Losses that are not convex: reweighting (each step minimises a parabola above the
    loss) from the given start, or from the best constant; regression losses start from the least absolute
    error, which is what makes a redescending loss find the bulk of the data.

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise, on raw scores. Robust losses have the target's unit: scale y first.
    X : array_like or SciPy sparse matrix, shape (n, d)
        Features, best of similar scale.
    y : array_like, shape (n,)
        Targets in the loss's coding.
    penalty : Penalty, optional
        L1, L2, ElasticNet, MCP, SCAD, Box or GroupLasso; none by default.
    sample_weight : array_like, shape (n,), optional
        Numbers >= 0; only their ratios matter.
    intercept : bool, default True
        Whether to fit an unpenalised constant.
    outputs : int, optional
        Number of classes for row-wise losses.
    start : (coefficients, intercept), optional
        Where to start.
    tolerance : float
        On the largest component of the gradient, relative to that at the start (if greater than 1); for smoothed
        losses what rounding can do to it is allowed on top. The interior point method also brings the duality gap,
        relative to the objective, below it.
    max_iterations : int
        Steps over all stages.
    max_seconds : float
        Wall time after which the best iterate so far is returned.
    watch : callable, optional
        ``watch(coefficients, intercept, objective, gradient_norm)`` at the start and after each step, with the largest
        component of the gradient. Smoothed losses give the smoothed objective.

    Returns
    -------
    Solution
        Coefficients, status and history.

    Raises
    ------
    ValueError
        For data or arguments that do not fit.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = solve(lm.MeanAbsoluteError(), [[0.0], [1.0], [2.0], [3.0], [4.0]], [1.0, 3.0, 5.0, 70.0, 9.0])
    >>> found.status, found.coefficients.round(6).tolist(), round(found.intercept, 6)
    ('converged', [2.0], 1.0)
    """
    began = time.perf_counter()
    _must_fit(loss, penalty)
    objective = Objective.build(loss, X, y, sample_weight, penalty, intercept, outputs)

    def tell(theta: Array, value: float, norm: float) -> None:
        if watch is not None:
            watch(*objective.split(theta), value, norm)

    progress = Progress(tolerance, max_iterations, began + max_seconds, tell)
    theta = _start(objective, start, progress)
    progress.unit = max(1.0, float(np.abs(objective.value_and_gradient(theta)[1]).max(initial=0.0)))
    theta = _allowed(theta, objective)
    value, gradient = objective.value_and_gradient(theta)
    progress.record(theta, value, gradient)
    descent, method, error = _descend(objective, theta, progress)
    return _solution(objective, descent, method, error, progress, began)


def _must_fit(loss: Loss, penalty: Penalty | None) -> None:
    """Refuse pairs that no method here can minimise, and name what fits."""
    if penalty is None or isinstance(penalty, Elastic):
        return
    name, given = type(loss).__name__, type(penalty).__name__
    if loss.tier == "row-wise":
        raise ValueError(f"{given} needs a loss with one number a sample; with {name} give L1, L2 or ElasticNet")
    if loss.traits.kinks:
        raise ValueError(
            f"{given} needs a loss without kinks, such as huber, log_cosh or bce; with {name} give L1, L2 or ElasticNet"
        )


def _start(objective: Objective, start: tuple[Any, Any] | None, progress: Progress) -> Array:
    """Flatten the given start, or take the best constant."""
    if start is not None:
        coefficients, intercept = (np.asarray(part, np.float64).reshape(-1) for part in start)
        theta = np.concatenate([coefficients, intercept if objective.intercept else intercept[:0]])
        if theta.shape != (objective.size,):
            raise ValueError(f"start holds {theta.size} numbers; this problem has {objective.size}")
        return theta
    theta = np.zeros(objective.size)
    if objective.intercept:
        k = objective.outputs or 1
        theta[-k:] = best_constant(objective.loss, objective.y, objective.share, objective.outputs)
    if objective.loss.traits.task == "regression" and not objective.loss.traits.convex:
        from ..losses import MeanAbsoluteError

        quiet = Progress(1e-4, progress.limit, progress.deadline)
        theta = _descend(objective.with_loss(MeanAbsoluteError()), theta, quiet)[0].theta
    return theta


def _allowed(theta: Array, objective: Objective) -> Array:
    """Move coefficients to where the penalty is finite."""
    if isinstance(objective.penalty, Separable) and objective.outputs is None:
        d = objective.X.shape[1]
        return np.concatenate([objective.penalty.prox(theta[:d], 0.0), theta[d:]])
    return theta


def _descend(objective: Objective, theta: Array, progress: Progress) -> tuple[Descent, str, float]:
    loss = objective.loss
    if loss.tier == "elementwise" and loss.traits.kinks:
        lines = _lines(objective)
        if lines is not None:
            return interior(objective, lines, theta, progress), "interior point", 0.0
        found, descent, error = _smoothed(objective, theta, progress)
        if objective.value(found) > objective.value(theta):
            descent = replace(descent, theta=theta)
        return descent, "smoothing+" + _method(objective), error
    return _smooth(objective, theta, progress), _method(objective), 0.0


def _lines(objective: Objective) -> Kink | None:
    """Return the kinks of a loss made of two straight lines, where its normal equations are small enough."""
    if objective.size > _NEWTON_UP_TO or not is_piecewise_linear(objective.loss):
        return None
    found = kinks(objective.loss, objective.y.astype(np.float64))
    return found[0] if len(found) == 1 else None


def _method(objective: Objective) -> str:
    if objective.outputs is None and objective.penalty is not None and not objective.penalty.smooth:
        return "working sets" if isinstance(objective.penalty, Separable) else "proximal gradient"
    if objective.outputs is not None or objective.size > _NEWTON_UP_TO:
        return "lbfgs"
    return "newton" if objective.loss.traits.convex else "irls"


def _smooth(objective: Objective, theta: Array, progress: Progress) -> Descent:
    method = _method(objective)
    if method == "lbfgs":
        return lbfgs(objective, theta, progress)
    loss = objective.loss
    exact: Curvature = lambda y, raw, slope: loss.hessian(y, raw)  # noqa: E731
    steps = exact if loss.traits.convex else reweighting(loss).compute
    if method == "working sets":
        return working_sets(objective, theta, steps, progress)
    if method == "proximal gradient":
        return proximal_gradient(objective, theta, progress)
    descend = sampled_newton if method == "newton" and pays(objective) else newton
    return descend(objective, theta, steps, brake(loss), progress)


def _smoothed(objective: Objective, theta: Array, progress: Progress) -> tuple[Array, Descent, float]:
    """Follow the minimiser while the smoothing shrinks, from the typical distance from the kinks to 1e-7 of it."""
    loss, y = objective.loss, objective.y.astype(np.float64)
    found = kinks(loss, y)
    raw = objective.raw(theta)
    distances = np.concatenate([np.abs(raw - kink.place) for kink in found])
    unit = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    method = _method(objective)
    width = unit
    while True:
        smoothed = Smoothed(loss, found, width)
        problem = objective.with_loss(smoothed)
        progress.slack = smoothed.rounding(objective.raw(theta))
        if method == "lbfgs":
            descent = lbfgs(problem, theta, progress)
        else:
            descent = _newton_smoothed(problem, smoothed, theta, progress)
        theta = descent.theta
        if width <= unit * _FINEST or progress.exhausted() is not None:
            return theta, descent, smoothed.error
        width *= 0.1


def _newton_smoothed(problem: Objective, smoothed: Smoothed, theta: Array, progress: Progress) -> Descent:
    return newton(
        problem,
        theta,
        lambda y, raw, slope: smoothed.hessian(y, raw),
        lambda y, raw, slope: smoothed.brake(raw),
        progress,
    )


def _solution(
    objective: Objective, descent: Descent, method: str, error: float, progress: Progress, began: float
) -> Solution:
    coefficients, intercept = objective.split(descent.theta)
    messages = {
        "converged": "",
        "stalled": f"no further descent in floating point; optimality {descent.optimality:.1e}",
        "iteration_limit": f"stopped after {progress.steps} steps; optimality {descent.optimality:.1e}",
        "time_limit": f"stopped by the clock; optimality {descent.optimality:.1e}",
    }
    return Solution(
        coefficients,
        intercept,
        descent.status,
        objective.value(descent.theta),
        descent.optimality,
        error,
        progress.steps,
        time.perf_counter() - began,
        tuple(progress.history),
        method,
        messages[descent.status],
    )
