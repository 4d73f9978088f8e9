"""Proximal gradient over shards: one pass over the rows a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .objective import Objective
from .passes import Model, Passes, Point
from .progress import Descent, Progress
from .shards.blocks import Block

Array = npt.NDArray[np.float64]

# A step that was accepted is tried longer next time; one that was not is halved.
_LONGER = 1.1
_SHORTEST = 1e-18


@dataclass(frozen=True)
class _Several:
    """Work on a block: value and gradient of the mean loss at several parameters."""

    model: Model
    thetas: tuple[Array, ...]

    def __call__(self, block: Block) -> tuple[Any, ...]:
        part = self.model.part(block)
        with np.errstate(over="ignore", invalid="ignore"):
            return tuple(number for theta in self.thetas for number in part.value_and_gradient(theta))


def proximal_passes(
    passes: Passes, theta: Array, sample: Objective, progress: Progress, accelerate: bool = True
) -> Descent:
    """Minimise a smooth loss under any penalty that has a proximal step.

    A pass looks at the end of a step and at the point that the next one would start from, so that steps that are
    accepted, nearly all, cost one pass each.

    Parameters
    ----------
    passes : Passes
        The objective.
    theta : ndarray
        Start.
    sample : Objective
        Of some of the rows: says how long a first step should be.
    progress : Progress
        Limits and history.
    accelerate : bool
        Whether to add momentum, dropped whenever it points uphill.

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2. O'Donoghue and
    Candes (2015), Adaptive restart for accelerated gradient schemes, Found. Comput. Math. 15.
    """
    (here,) = _looked(passes, theta)
    optimality = _noted(passes, here, progress)
    ahead, momentum, step = here, 1.0, _first_step(sample, theta)
    while optimality > progress.accepted:
        limit = progress.exhausted() or ("stalled" if step < _SHORTEST else None)
        if limit is not None:
            return Descent(here.theta, limit, optimality)
        end = _stepped(passes, ahead, step)
        restart = not accelerate or float((ahead.theta - end) @ (end - here.theta)) > 0.0
        following = 1.0 if restart else 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5)
        further = 0.0 if restart else (momentum - 1.0) / following
        there, *beyond = _looked(passes, end, *([end + further * (end - here.theta)] if further else []))
        if not there.value <= _bound(ahead, end, step):
            step *= 0.5
            continue
        here, ahead, momentum, step = there, beyond[0] if beyond else there, following, _LONGER * step
        optimality = _noted(passes, here, progress)
    return Descent(here.theta, "converged", optimality)


def _looked(passes: Passes, *thetas: Array) -> list[Point]:
    """Return the mean loss at some parameters, without the penalty, in one pass."""
    found = passes.run(_Several(passes.model, thetas))
    return [Point(theta, float(found[2 * i]), np.asarray(found[2 * i + 1])) for i, theta in enumerate(thetas)]


def _noted(passes: Passes, point: Point, progress: Progress) -> float:
    """Record a point; return how far it is from optimal."""
    d, wrong = passes.coefficients, passes.violation(point)
    penalty = 0.0 if passes.penalty is None else passes.penalty.value(point.theta[:d])
    progress.record(point.theta, point.value + penalty, wrong)
    return progress.relative(wrong)


def _stepped(passes: Passes, point: Point, step: float) -> Array:
    """Step along the gradient, then towards the penalty."""
    end, d = point.theta - step * point.gradient, passes.coefficients
    if passes.penalty is not None:
        end[:d] = passes.penalty.prox(end[:d], step)
    return end


def _bound(point: Point, end: Array, step: float) -> float:
    """Return the height at ``end`` of the parabola whose width allows the step."""
    move = end - point.theta
    slack = 4.0 * float(np.finfo(np.float64).eps) * abs(point.value)
    return point.value + float(point.gradient @ move) + float(move @ move) / (2.0 * step) + slack


def _first_step(sample: Objective, theta: Array) -> float:
    """Return the step that the sample's curvature along its gradient asks for."""
    bare = sample.bare()
    gradient = bare.value_and_gradient(theta)[1]
    steep = float(gradient @ gradient)
    nudge = 1e-4 / max(float(np.abs(bare.raw(gradient)).max(initial=0.0)), 1e-300)
    curvature = float((gradient - bare.value_and_gradient(theta - nudge * gradient)[1]) @ gradient) / nudge
    return steep / curvature if curvature > 1e-12 * steep and np.isfinite(curvature) else 1.0
