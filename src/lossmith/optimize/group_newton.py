"""Proximal Newton steps under a group lasso: the quadratic model is minimised group by group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .descents import Curvature, factored
from .group import GroupLasso
from .objective import Objective
from .progress import Best, Descent, Progress

Array = npt.NDArray[np.float64]

# Rounds over all groups of one model, each with some of Newton's steps; halvings of a step; steps without a visible
# decrease.
_ROUNDS = 30
_INNER = 10
_HALVINGS = 40
_STILL = 4
# Newton's iteration for the norm of one group.
_ROOTS = 60


def group_newton(objective: Objective, theta: Array, curvature: Curvature, progress: Progress) -> Descent:
    """Minimise a smooth loss with one output under a group lasso.

    Parameters
    ----------
    objective : Objective
        Its penalty is a GroupLasso.
    theta : ndarray
        Start.
    curvature : callable
        ``curvature(y, raw, slope)`` per sample, > 0 for enough of them.
    progress : Progress
        Limits and history.

    References
    ----------
    Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM J. Optim. 24;
    Qin, Scheinberg and Goldfarb (2013), Efficient block-coordinate descent algorithms for the group lasso, Math.
    Program. Comput. 5.
    """
    penalty: GroupLasso = objective.penalty  # type: ignore[assignment]
    part, d = objective.bare(), objective.X.shape[1]
    raw, value, _ = progress.begin(objective, theta)
    best, still = Best(theta, value, np.inf), 0
    while True:
        gradient = part.value_and_gradient_at(theta, raw)[1]
        wrong = gradient.copy()
        wrong[:d] = penalty.distance(theta[:d], gradient[:d])
        progress.norms[-1] = float(np.abs(wrong).max(initial=0.0))
        optimality = progress.relative(wrong)
        best = best.or_this(theta, value, optimality)
        if optimality <= progress.accepted:
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return best.descent(limit)
        slopes = objective.loss.value_and_gradient(objective.y, raw)[1]
        model = _Model.of(part.hessian(curvature(objective.y, raw, slopes)), gradient, theta, penalty)
        direction = model.minimum(0.1 * progress.unit * min(progress.tolerance, optimality)) - theta
        found = _shortened(objective, theta, raw, value, direction, float(gradient @ direction))
        if found is None or still == _STILL:
            return best.descent("stalled")
        still = still + 1 if value - found[2] <= 1e-15 * abs(value) else 0
        theta, raw, value = found
        progress.record(theta, value, wrong)


def _shortened(
    objective: Objective, theta: Array, raw: Array, value: float, direction: Array, slope: float
) -> tuple[Array, Array, float] | None:
    """Halve a step until it brings part of what the model promised; None where nothing does."""
    penalty, d, change = objective.penalty, objective.X.shape[1], objective.raw(direction)
    assert penalty is not None
    promised = slope + penalty.value(theta[:d] + direction[:d]) - penalty.value(theta[:d])
    slack, t = 4.0 * float(np.finfo(np.float64).eps) * abs(value), 1.0
    for _ in range(_HALVINGS):
        there, ahead = theta + t * direction, raw + t * change
        values = objective.loss.value_and_gradient(objective.y, ahead)[0]
        reached = objective.mean(values) + penalty.value(there[:d])
        if reached <= value + 1e-4 * t * min(promised, 0.0) + slack:
            return there, ahead, reached
        t *= 0.5
    return None


class _Group(NamedTuple):
    """Where a group is, how strongly it is held, and the eigenvalues and eigenvectors of its block."""

    places: npt.NDArray[np.int64]
    strength: float
    sizes: Array
    vectors: Array


class _Model(NamedTuple):
    """A parabola that touches the loss, plus the penalty."""

    matrix: Array
    gradient: Array
    start: Array
    penalty: GroupLasso
    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, matrix: Array, gradient: Array, start: Array, penalty: GroupLasso) -> _Model:
        """Take the blocks apart."""
        level = 1e-12 * (float(np.trace(matrix)) / max(len(matrix), 1) or 1.0)
        groups = []
        for places, strength in penalty.blocks():
            sizes, vectors = np.linalg.eigh(matrix[np.ix_(places, places)])
            groups.append(_Group(places, strength, np.maximum(sizes, level), vectors))
        return cls(matrix, gradient, start, penalty, tuple(groups))

    def minimum(self, tolerance: float) -> Array:
        """Return where it is least: rounds over the groups say which are 0, Newton's method where the others are."""
        point, slope = self.start.copy(), self.gradient.copy()
        for _ in range(_ROUNDS):
            self._round(point, slope)
            for _ in range(_INNER):
                if self._wrong(point, slope) <= tolerance:
                    return point
                moved = self._moved(point, slope)
                if moved is None:
                    break
                slope = slope + self.matrix @ (moved - point)
                point = moved
        return point

    def _round(self, point: Array, slope: Array) -> None:
        """Minimise over one group after the other, then the intercept, in place."""
        for group in self.groups:
            here = point[group.places]
            wanted = group.vectors.T @ here * group.sizes - group.vectors.T @ slope[group.places]
            there = group.vectors @ held(group.sizes, wanted, group.strength)
            point[group.places] = there
            slope += self.matrix[:, group.places] @ (there - here)
        d = self._held
        if point.size > d and self.matrix[d, d] > 0.0:
            move = -slope[d] / self.matrix[d, d]
            point[d] += move
            slope += move * self.matrix[:, d]

    def _moved(self, point: Array, slope: Array) -> Array | None:
        """Take Newton's step on what is not 0, where the norms are smooth; None where it does not help."""
        penalty, d = self.penalty, self._held
        used = np.append(point[:d] != 0.0, np.ones(point.size - d, bool))
        matrix, total = self.matrix.copy(), slope.copy()
        total[:d] += penalty.gradient(point[:d])
        for group in self.groups:
            here = point[group.places]
            norm = float(np.linalg.norm(here))
            if norm > 0.0:
                bent = np.eye(here.size) - np.outer(here, here) / norm**2
                matrix[np.ix_(group.places, group.places)] += group.strength / norm * bent
        step = np.zeros_like(point)
        step[used] = -factored(matrix[np.ix_(used, used)])(total[used])
        promised, t = float(total @ step), 1.0
        for _ in range(_HALVINGS):
            move = t * step
            there = point + move
            rise = float(slope @ move + 0.5 * move @ self.matrix @ move)
            rise += penalty.value(there[:d]) - penalty.value(point[:d])
            if rise <= 1e-4 * t * promised:
                return there
            t *= 0.5
        return None

    def _wrong(self, point: Array, slope: Array) -> float:
        d = self._held
        distance = self.penalty.distance(point[:d], slope[:d]).max(initial=0.0)
        return float(max(distance, np.abs(slope[d:]).max(initial=0.0)))

    @property
    def _held(self) -> int:
        return len(self.penalty.groups)


def held(sizes: Array, wanted: Array, strength: float) -> Array:
    """Minimise sum(sizes z^2) / 2 - wanted @ z + strength |z|, for sizes > 0.

    Parameters
    ----------
    sizes, wanted : ndarray, shape (m,)
        Of the parabola, along its axes.
    strength : float
        Of the norm, >= 0.

    Examples
    --------
    >>> held(np.array([1.0, 1.0]), np.array([3.0, 4.0]), 2.5).tolist()
    [1.5, 2.0]
    """
    if float(np.linalg.norm(wanted)) <= strength:
        return np.zeros_like(wanted)
    # |z| = r where h(r) = |wanted / (sizes r + strength)| is 1; 1 / h is convex enough for Newton from below.
    r = max((float(np.linalg.norm(wanted)) - strength) / float(sizes.max()), 0.0)
    for _ in range(_ROOTS):
        below = sizes * r + strength
        h = float(np.linalg.norm(wanted / below))
        fall = float((np.square(wanted) * sizes / below**3).sum()) / h
        step = (h - 1.0) * h / fall
        r += step
        if abs(step) <= 1e-16 * r:
            break
    return np.asarray(wanted * r / (sizes * r + strength))
