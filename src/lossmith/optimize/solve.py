"""Fit the penalised linear model: check that loss, penalty and solver fit, start well, run, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from ..core.registry import get
from .bars import Bar
from .constant import best_constant
from .objective import Objective, must_be_finite
from .penalties import Elastic, Penalty, Separable
from .progress import Descent, Progress, must_be_limits
from .result import Solution, Step
from .sharded import Settings, solve_shards
from .shards.blocks import Shards
from .solvers.automatic import Automatic, made_solver, must_fit
from .solvers.base import Solver

Array = npt.NDArray[np.float64]
# Share of a robust loss's largest curvature below which there is too little of it to start from.
_FLAT = 1e-3
Watch = Callable[[Step], Any]


def solve(
    loss: Loss | str,
    X: Any,
    y: Any = None,
    *,
    penalty: Penalty | None = None,
    solver: Solver | str = "auto",
    sample_weight: Any = None,
    intercept: bool = True,
    outputs: int | None = None,
    start: tuple[Any, Any] | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    max_seconds: float = float("inf"),
    watch: Watch | None = None,
    bar: bool = False,
) -> Solution:
    """Minimise the mean loss of X @ w + b plus a penalty on w.

    ``solver="auto"`` takes for smooth convex losses Newton's method up to 500 features, with many samples its matrix
    from a part of them; beyond that, and for rows of scores, L-BFGS. Under penalties that hold coefficients at 0 or
    within limits: proximal Newton steps on a working set of coefficients; accelerated proximal gradient for groups.
    Losses of two straight lines (absolute error, quantile, hinge): an interior point method up to 2,000 features, under
    L1 and L2, which ends with a duality gap; beyond that, and for other losses with kinks, smoothing whose width
    shrinks in stages to 1e-7 of the typical residual. Losses that are not convex: reweighting (each step minimises a
    parabola above the loss).

    Without ``start`` the fit starts from the best constant; regression losses that are not convex start from the least
    absolute error, which is what makes a redescending loss find the bulk of the data, and so do robust losses in whose
    unit nearly all residuals are huge.

    Parameters
    ----------
    loss : Loss or str
        Elementwise or row-wise, on raw scores; or its name. Robust losses have the target's unit: scale y first.
    X : array_like or SciPy sparse matrix, shape (n, d), or Shards
        Features, best of similar scale. A table in shards (:mod:`lossmith.optimize.shards`) holds targets and weights
        as well, and need not fit in memory.
    y : array_like, shape (n,)
        Targets in the loss's coding; left out for shards.
    penalty : Penalty, optional
        L1, L2, ElasticNet, MCP, SCAD, Box or GroupLasso; none by default.
    solver : Solver or str
        "auto", another name such as "gd", "newton" or "lbfgs", a call in text such as
        "gd(search=constant(step=0.1))", or an object from :mod:`lossmith.solvers`. Over shards "newton", "irls",
        "proximal_newton", "newton_rows", "lbfgs", "nesterov", "proximal_gradient" and "interior", where they fit.
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
        ``watch(step)`` with a :class:`Step` at the start and after each step; the fit ends when it returns True.
        Smoothed losses give the smoothed objective.
    bar : bool
        Whether to show a progress bar on a terminal, from the second second on.

    Returns
    -------
    Solution
        Coefficients, status and history.

    Raises
    ------
    ValueError
        For data or arguments that do not fit; for a solver that cannot minimise the loss under the penalty.
    TypeError
        For a loss or a penalty that is none.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0]], [1.0, 3.0, 5.0, 70.0, 9.0]
    >>> found = lm.solve(lm.MeanAbsoluteError(), X, y)
    >>> found.status, found.coefficients.round(6).tolist(), round(found.intercept, 6)
    ('converged', [2.0], 1.0)
    >>> lm.solve(lm.MeanAbsoluteError(), X, y, solver="newton")
    Traceback (most recent call last):
        ...
    ValueError: newton cannot minimise mae: it needs a loss without kinks (mae has one at 0, and second \
derivatives that are 0 elsewhere); solvers that fit: gd, \
adam, interior, smoothing; losses that newton takes: huber, log_cosh, mse, \
pseudo_huber
    """
    began = time.perf_counter()
    loss = get(loss)
    must_be_limits(tolerance, max_iterations, max_seconds)
    way = made_solver(solver)
    must_fit(way, loss, penalty)
    if isinstance(X, Shards):
        _nothing_beside(y, sample_weight)
        limits = Settings(penalty, intercept, outputs, start, way, tolerance, max_iterations, max_seconds, watch, bar)
        return solve_shards(loss, X, limits)
    objective = Objective.build(loss, X, y, sample_weight, penalty, intercept, outputs, look=False)
    way = way.chosen(objective) if isinstance(way, Automatic) else way
    if not way.looks:
        must_be_finite(objective.X)
    with Bar.shown(bar, tolerance) as line:
        progress = Progress(tolerance, max_iterations, began + max_seconds)
        progress.watch = told(objective, progress, watch, line)
        theta = start_of(objective, start, progress)
        descent = way.descend(objective, theta, progress)
    return solution_of(objective, descent, str(way), progress, began)


def _nothing_beside(y: Any, sample_weight: Any) -> None:
    if y is not None or sample_weight is not None:
        raise ValueError("X is a table in shards, which hold targets and weights; leave y and sample_weight out")


def told(
    objective: Objective, progress: Progress, watch: Watch | None, bar: Bar | None
) -> Callable[[Array], bool] | None:
    """Return what to call after each step, None for nothing."""
    if watch is None and bar is None:
        return None

    def tell(theta: Array) -> bool:
        step = Step(
            progress.steps,
            *objective.split(theta),
            progress.history[-1],
            progress.norms[-1],
            progress.norms[-1] / (progress.unit or 1.0),
            progress.seconds[-1],
            progress.passes[-1],
        )
        if bar is not None:
            bar.update(step)
        return watch is not None and watch(step) is True

    return tell


def start_of(objective: Objective, start: tuple[Any, Any] | None, progress: Progress) -> Array:
    """Flatten the given start, or find one, and move it to where the penalty is finite."""
    return _allowed(_start(objective, start, progress), objective, progress)


def _start(objective: Objective, start: tuple[Any, Any] | None, progress: Progress) -> Array:
    """Flatten the given start, or take the best constant."""
    if start is not None:
        coefficients, intercept = (np.asarray(part, np.float64).reshape(-1) for part in start)
        theta = np.concatenate([coefficients, intercept if objective.intercept else intercept[:0]])
        if theta.shape != (objective.size,):
            raise ValueError(f"start holds {theta.size} numbers; this problem has {objective.size}")
        if not np.isfinite(theta).all():
            raise ValueError("start holds NaN or infinite numbers")
        return theta
    theta = np.zeros(objective.size)
    if objective.intercept:
        k = objective.outputs or 1
        theta[-k:] = best_constant(objective.loss, objective.y, objective.share, objective.outputs)
    if objective.loss.traits.task == "regression" and (not objective.loss.traits.convex or _flat(objective, theta)):
        return _from_absolute_error(objective, theta, progress)
    return theta


def _flat(objective: Objective, theta: Array) -> bool:
    """Tell whether a robust loss bends for hardly any row, so that Newton's method would not know where to go."""
    traits = objective.loss.traits
    if traits.kinks or not (traits.lipschitz < np.inf and 0.0 < traits.smooth < np.inf):
        return False
    bend = float(objective.share @ objective.loss.hessian(objective.y, objective.raw(theta)))
    return bend < _FLAT * float(traits.smooth)


def _from_absolute_error(objective: Objective, theta: Array, progress: Progress) -> Array:
    """Return the least absolute error fit: a flat loss is about that, but for the rows it passes through."""
    from ..losses import MeanAbsoluteError

    must_be_finite(objective.X)
    traits = objective.loss.traits
    # The interior point method takes L1 and L2; a start needs no other penalty.
    penalty: Any = objective.penalty if isinstance(objective.penalty, Elastic) else None
    if traits.convex and penalty is not None:
        penalty = replace(penalty, alpha=penalty.alpha / traits.lipschitz)
    pilot = replace(objective, loss=MeanAbsoluteError(), penalty=penalty)
    quiet = Progress(1e-9 if traits.convex else 1e-4, progress.limit, progress.deadline)
    return Automatic().descend(pilot, theta, quiet).theta


def _allowed(theta: Array, objective: Objective, progress: Progress) -> Array:
    """Move coefficients to where the penalty is finite."""
    if not isinstance(objective.penalty, Separable):
        return theta
    d = objective.X.shape[1] * (objective.outputs or 1)
    moved = np.concatenate([objective.penalty.prox(theta[:d], 0.0), theta[d:]])
    if (moved != theta).any():
        # Where limits push a start, gradients may be huge, and what is small beside them is not small.
        gradient = objective.bare().value_and_gradient(theta)[1]
        progress.unit = max(1.0, float(np.abs(gradient).max(initial=0.0)))
    return moved


MESSAGES = {
    "converged": "",
    "stalled": "no further descent in floating point; optimality {optimality:.1e}",
    "iteration_limit": "stopped after {steps} steps; optimality {optimality:.1e}",
    "time_limit": "stopped by the clock; optimality {optimality:.1e}",
    "stopped": "stopped by watch after {steps} steps; optimality {optimality:.1e}",
    "diverged": "steps led away from the minimum; take a shorter step, or search=armijo",
}


def solution_of(objective: Objective, descent: Descent, method: str, progress: Progress, began: float) -> Solution:
    """Return how a descent ended, in the form that users get."""
    coefficients, intercept = objective.split(descent.theta)
    return Solution(
        coefficients,
        intercept,
        descent.status,
        objective.value(descent.theta),
        descent.optimality,
        descent.smoothing_error,
        progress.steps,
        time.perf_counter() - began,
        progress.recorded(descent),
        method,
        MESSAGES[descent.status].format(optimality=descent.optimality, steps=progress.steps),
        descent.gap,
    )
