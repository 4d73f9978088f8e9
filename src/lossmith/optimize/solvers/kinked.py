"""Solvers for losses with kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..descents import Curvature, lbfgs, newton
from ..group import GroupLasso
from ..group_newton import group_newton
from ..interior import interior
from ..objective import Objective
from ..penalties import Elastic, Penalty, Separable
from ..progress import Best, Descent, Progress
from ..proximal import proximal_gradient
from ..sifting import sifted_here, sifting_pays
from ..smoothing import Smoothed, SmoothedRows, kinks
from ..sweeps import SiftedSweep, Sweep
from ..working_sets import working_sets
from .base import SOLVERS, Solver
from .needs import Needs
from .second import NEWTON_UP_TO

Array = npt.NDArray[np.float64]

# The normal equations cost n d^2 a step, of which there are 10 to 20; smoothing takes hundreds of passes. On 300 x 800
# 3 seconds against 77, on 2000 x 600 2 against 2.7.
_INTERIOR_UP_TO = 2000
# Width of the last smoothing relative to the typical distance from the kinks at the start.
_FINEST = 1e-7
# The same for rows of scores: L-BFGS compares objectives, which see less than Newton's method.
_FINEST_ROWS = 1e-6
# Share of a majorising curvature in steps on a working set; 0.01 took 10 steps a stage, 0.05 and 0.1 15 and 25.
_ABOVE = 0.01
# Smoothing may cost this share of the objective.
_CLOSE = 1e-5


@SOLVERS.register("interior", aliases=("interior_point",))
@dataclass(frozen=True)
class InteriorPoint(Solver):
    """Primal-dual interior point method for losses of two straight lines; it ends with a duality gap.

    Of many rows it works on those near their kinks only; the others are sure to be on one side, or join. The end is the
    exact optimum where the rows on their kinks tell it, with a gap of 0.

    References
    ----------
    Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical Science 12.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.solve(lm.Quantile(q=0.75), [[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 70.0], solver="interior")
    >>> found.status, found.gap < 1e-6
    ('converged', True)
    """

    @property
    def needs(self) -> Needs:
        """A loss such as the absolute error, a quantile loss or the hinge."""
        return Needs(kinks="one", convex=True, one_output=True, penalty="elastic")

    def suits(self, objective: Objective) -> bool:
        """Tell whether the normal equations are small; what is left for more features takes far longer."""
        return objective.size <= _INTERIOR_UP_TO

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return SiftedSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        (kink,) = kinks(objective.loss, objective.y.astype(np.float64))
        lower = sifted_here if sifting_pays(objective) else interior
        return lower(objective, kink, theta, progress)


@SOLVERS.register("smoothing")
@dataclass(frozen=True)
class Smoothing(Solver):
    """Kinks rounded off, less and less: each stage starts from the last one's minimum.

    The width shrinks from the typical distance from the kinks at the start to 1e-7 of it; what is left of it bounds the
    error in objective. Each stage is solved by Newton's method, L-BFGS or, under penalties that hold coefficients, by
    proximal Newton or proximal gradient steps.

    References
    ----------
    Nesterov (2005), Smooth minimization of non-smooth functions, Math. Program. 103.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.solve(lm.MeanAbsoluteError(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], penalty=lm.Box(0.0, 1.5))
    >>> found.method, found.coefficients.round(6).tolist()
    ('smoothing', [1.5])
    """

    @property
    def needs(self) -> Needs:
        """Kinks at known places."""
        return Needs(kinks="wanted", penalty="proximal")

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        rounded, width = _rounded(objective, progress.begin(objective, theta)[0])
        finest = (_FINEST if objective.outputs is None else _FINEST_ROWS) * width
        lowest = Best(theta, progress.history[0], np.inf)
        sure: Descent | None = None
        while True:
            smoothed = rounded(width)
            progress.slack = smoothed.rounding(objective.raw(theta))
            descent = _stage(objective.with_loss(smoothed), smoothed, theta, progress)
            descent = replace(descent, smoothing_error=smoothed.error)
            theta = descent.theta
            lowest = lowest.or_this(theta, objective.value(theta), descent.optimality)
            sure = descent if descent.status == "converged" else sure
            if width <= finest or progress.exhausted() is not None:
                return replace(_surest(descent, sure, lowest), theta=lowest.theta)
            width *= 0.1


def _surest(last: Descent, sure: Descent | None, lowest: Best) -> Descent:
    """Return the last stage or, where it went too fine for floating point, the last one that converged.

    What is lower than that one's minimum is no farther above the true minimum than its smoothing can cost.
    """
    if last.status != "stalled" or sure is None or sure.smoothing_error > _CLOSE * abs(lowest.value):
        return last
    return sure


def _rounded(objective: Objective, raw: Array) -> tuple[Callable[[float], Any], float]:
    """Return the smoothed loss as a function of its width, and the typical distance from the kinks."""
    loss = objective.loss
    if objective.outputs is not None:
        rows = SmoothedRows.of(loss, objective.outputs, 1.0)
        distances = np.abs(rows.distances(objective.y, raw))
        return lambda width: replace(rows, width=width), _typical(distances[np.isfinite(distances)])
    found = kinks(loss, objective.y.astype(np.float64))
    distances = np.concatenate([np.abs(raw - kink.place) for kink in found])
    return lambda width: Smoothed(loss, found, width), _typical(distances)


def _typical(distances: Array) -> float:
    return float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0


def _stage(problem: Objective, smoothed: Any, theta: Array, progress: Progress) -> Descent:
    smooth = problem.penalty is None or problem.penalty.smooth
    if problem.outputs is not None and not (problem.penalty is None or isinstance(problem.penalty, Elastic)):
        return proximal_gradient(problem, theta, progress)
    many = problem.size > NEWTON_UP_TO and (smooth or isinstance(problem.penalty, Elastic))
    if problem.outputs is not None or many:
        return lbfgs(problem, theta, progress)
    exact: Curvature = lambda y, raw, slope: smoothed.hessian(y, raw)  # noqa: E731
    above: Curvature = lambda y, raw, slope: smoothed.brake(raw)  # noqa: E731
    if smooth:
        return newton(problem, theta, exact, above, progress)
    # A narrow parabola curves few samples; a little of one that lies above all of them keeps steps sensible.
    steps: Curvature = lambda y, raw, slope: exact(y, raw, slope) + _ABOVE * above(y, raw, slope)  # noqa: E731
    if isinstance(problem.penalty, GroupLasso) and problem.size <= NEWTON_UP_TO and smoothed.traits.convex:
        return group_newton(problem, theta, steps, progress)
    if isinstance(problem.penalty, Separable):
        return working_sets(problem, theta, steps, progress)
    return proximal_gradient(problem, theta, progress)
