"""Solvers for losses with kinks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..descents import lbfgs, newton
from ..interior import interior
from ..objective import Objective
from ..penalties import Elastic, Separable
from ..progress import Descent, Progress
from ..proximal import proximal_gradient
from ..sifting import sifted_here, sifting_pays
from ..smoothing import Smoothed, kinks
from ..working_sets import working_sets
from .base import SOLVERS, Solver
from .needs import Needs
from .second import NEWTON_UP_TO

Array = npt.NDArray[np.float64]

# Width of the last smoothing relative to the typical distance from the kinks at the start.
_FINEST = 1e-7


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
        """Tell whether the normal equations are small."""
        return objective.size <= NEWTON_UP_TO

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
        return Needs(kinks="wanted", one_output=True, penalty="proximal")

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        found = kinks(objective.loss, objective.y.astype(np.float64))
        raw, start, _ = progress.begin(objective, theta)
        first, width = theta, _typical(raw, found)
        finest = _FINEST * width
        while True:
            smoothed = Smoothed(objective.loss, found, width)
            progress.slack = smoothed.rounding(objective.raw(theta))
            descent = _stage(objective.with_loss(smoothed), smoothed, theta, progress)
            theta = descent.theta
            if width <= finest or progress.exhausted() is not None:
                break
            width *= 0.1
        if objective.value(theta) > start:
            descent = replace(descent, theta=first)
        return replace(descent, smoothing_error=smoothed.error)


def _typical(raw: Array, found: tuple[Any, ...]) -> float:
    distances = np.concatenate([np.abs(raw - kink.place) for kink in found])
    return float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0


def _stage(problem: Objective, smoothed: Smoothed, theta: Array, progress: Progress) -> Descent:
    if isinstance(problem.penalty, Elastic) or problem.penalty is None:
        if problem.size > NEWTON_UP_TO or not (problem.penalty is None or problem.penalty.smooth):
            return lbfgs(problem, theta, progress)
        brake = lambda y, raw, slope: smoothed.brake(raw)  # noqa: E731
        return newton(problem, theta, lambda y, raw, slope: smoothed.hessian(y, raw), brake, progress)
    if isinstance(problem.penalty, Separable):
        return working_sets(problem, theta, lambda y, raw, slope: smoothed.hessian(y, raw), progress)
    return proximal_gradient(problem, theta, progress)
