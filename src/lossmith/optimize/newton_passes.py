"""Newton's method, its proximal sister and L-BFGS over shards: one pass a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import coordinate
from .curvature import brake, reweighting
from .descents import factored
from .objective import Objective, is_sparse
from .passes import Curvature, Passes, Point
from .penalties import Separable
from .progress import Descent, Progress
from .sampled import Metric

Array = npt.NDArray[np.float64]

# Coefficients up to which the matrix is that of all, under penalties that hold coefficients at 0.
_ALL_UP_TO = 1000
# Steps that one pass tries where the whole one was too long, or too short.
_SHORTER = tuple(0.5**i for i in range(1, 13))
# Steps without a visible decrease after which rounding has the last word; attempts to find a way down.
_LONGER = (2.0, 4.0, 8.0, 16.0)
_STILL = 4
_ATTEMPTS = 12
# Share of the violation that may lie outside the coefficients that are worked on.
_OUTSIDE = 0.1


@dataclass(frozen=True)
class Exact:
    """The loss's own curvature."""

    loss: Any

    def __call__(self, y: Any, raw: Array, slope: Array) -> Array:
        """Return it per sample."""
        return np.asarray(self.loss.hessian(y, raw))


@dataclass(frozen=True)
class Above:
    """A curvature > 0 that is no smaller in spirit: of a parabola above the loss, or what brakes Newton's steps."""

    loss: Any

    def __call__(self, y: Any, raw: Array, slope: Array) -> Array:
        """Return it per sample."""
        if self.loss.tier == "row-wise":
            k = raw.shape[1]
            return np.broadcast_to(np.eye(k), (raw.shape[0], k, k))
        compute = brake(self.loss) if self.loss.traits.convex else reweighting(self.loss).compute
        return np.asarray(compute(y, raw, slope))


def newton_passes(passes: Passes, theta: Array, sample: Objective, progress: Progress) -> Descent:
    """Minimise a smooth loss under any penalty.

    Parameters
    ----------
    passes : Passes
        The objective.
    theta : ndarray
        Start, best the solution of a sample.
    sample : Objective
        Of some of the rows: says which coefficients to work on where there are too many for a matrix of all.
    progress : Progress
        Limits and history.
    """
    loss = passes.model.loss
    walk = _Walk(passes, (Exact(loss),) if loss.traits.convex else (Exact(loss), Above(loss)))
    walk.choose(theta, sample.bare().value_and_gradient(theta)[1])
    point = walk.start(theta)
    if not progress.history:
        progress.record(theta, point.value, passes.violation(point))
    still = 0
    while True:
        wrong = passes.violation(point)
        optimality = float(wrong.max(initial=0.0)) / progress.unit
        if optimality <= progress.accepted:
            return Descent(point.theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(point.theta, limit, optimality)
        point = walk.refreshed(point, wrong)
        moved = walk.step(point, 0.1 * min(progress.tolerance * progress.unit, float(wrong.max())))
        if moved is None or still == _STILL:
            return Descent(point.theta, "stalled", optimality)
        still = still + 1 if point.value - moved.value <= 1e-15 * abs(point.value) else 0
        point = moved
        progress.record(point.theta, point.value, passes.violation(point))


@dataclass
class _Walk:
    """Steps of a descent: what is worked on, and how hard it brakes."""

    passes: Passes
    curvatures: tuple[Curvature, ...]
    columns: Any = None
    damping: float = 1e-6
    brakes: Array | None = None

    def choose(self, theta: Array, gradient: Array) -> None:
        """Work on all coefficients, or on those that are not 0 and those that want to leave it most."""
        d, penalty = self.passes.coefficients, self.passes.penalty
        if d <= _ALL_UP_TO:
            return
        distance = penalty.distance(theta[:d], gradient[:d])  # type: ignore[union-attr]
        size = min(_ALL_UP_TO, max(100, 2 * int(np.count_nonzero(theta[:d]))))
        rank = np.where(theta[:d] != 0.0, np.inf, distance)
        self.columns = np.sort(np.argpartition(rank, d - size)[d - size :])

    def start(self, theta: Array) -> Point:
        """Look at the start, and learn how to brake."""
        above = Above(self.passes.model.loss)
        point = self.passes.at(theta, (self.curvatures[0], above), self.columns)
        matrix = np.asarray(point.above)
        level = float(np.trace(matrix)) / max(len(matrix), 1)
        self.brakes = matrix + (1e-6 * level or 1.0) * np.eye(len(matrix))
        return point

    def refreshed(self, point: Point, wrong: Array) -> Point:
        """Work on other coefficients where those outside are wrong; a pass makes their matrix."""
        if self.columns is None:
            return point
        d = self.passes.coefficients
        outside = np.delete(wrong[:d], self.columns).max(initial=0.0)
        if outside <= _OUTSIDE * wrong.max():
            return point
        self.choose(point.theta, point.gradient)
        return self.start(point.theta)

    def step(self, point: Point, tolerance: float) -> Point | None:
        """Return a better point, None where there is none."""
        for _ in range(_ATTEMPTS):
            target = self._target(point, tolerance)
            moved = self._accepted(point, target)
            if moved is not None:
                return moved
            self.damping = max(100.0 * self.damping, 1e-6)
            if self.damping > 1e9:
                return None
        return None

    def _accepted(self, point: Point, target: Array) -> Point | None:
        direction, d, penalty = target - point.theta, self.passes.coefficients, self.passes.penalty
        moved = self.passes.at(target, self.curvatures, self.columns)
        if penalty is None or penalty.smooth:
            promised = float(self.passes.gradient(point) @ direction)
        else:
            promised = float(point.gradient @ direction) + penalty.value(target[:d]) - penalty.value(point.theta[:d])
        slack = 4.0 * float(np.finfo(np.float64).eps) * abs(point.value)
        if moved.value <= point.value + 1e-4 * min(promised, 0.0) + slack:
            self.damping = max(0.1 * self.damping, 1e-12)
            return moved
        values = self.passes.along(point.theta, direction, _SHORTER)
        best = int(np.argmin(values))
        if not values[best] < point.value:
            return None
        self.damping = min(10.0 * self.damping, 1.0)
        return self.passes.at(point.theta + _SHORTER[best] * direction, self.curvatures, self.columns)

    def _target(self, point: Point, tolerance: float) -> Array:
        """Where the quadratic model of the loss plus the penalty is least."""
        penalty, d = self.passes.penalty, self.passes.coefficients
        matrix = self._matrix(point)
        if penalty is None or penalty.smooth:
            ridge = np.concatenate([np.full(d, self.passes.ridge), np.zeros(self.passes.size - d)])
            gradient = self.passes.gradient(point)
            step = factored(matrix + np.diag(ridge), self.brakes)(gradient)
            return np.asarray(point.theta - self._fixed(step, gradient))
        d = self.passes.coefficients
        places = np.arange(point.theta.size)
        if self.columns is not None:
            places = np.append(self.columns, np.arange(d, point.theta.size))
        here, gradient, free = point.theta[places], point.gradient[places], point.theta.size - d
        there = point.theta.copy()
        if isinstance(penalty, Separable):
            matrix = np.ascontiguousarray(matrix)
            there[places] = coordinate.minimise(matrix, gradient, here, penalty, free, 0.0, tolerance)
        else:
            there[places] = _proximal(matrix, gradient, here, penalty, free, tolerance)
        return there

    def _fixed(self, step: Array, gradient: Array) -> Array:
        """Take out what rounding makes of a direction along which nothing changes: the same number for all classes."""
        k = self.passes.model.outputs
        if k is None or np.abs(gradient.reshape(-1, k).sum(axis=1)).max() > 1e-9 * np.abs(gradient).max() + 1e-12:
            return step
        rows = step.reshape(-1, k)
        return np.asarray((rows - rows.mean(axis=1, keepdims=True)).reshape(-1))

    def _matrix(self, point: Point) -> Array:
        matrix, brakes = np.asarray(point.matrix), np.asarray(self.brakes)
        if len(self.curvatures) == 1:
            return matrix + self.damping * brakes
        try:  # where the loss is convex around here, its own curvature is the better guide
            np.linalg.cholesky(matrix + self.passes.ridge * np.eye(len(matrix)) - 1e-9 * brakes)
        except np.linalg.LinAlgError:
            matrix = np.asarray(point.above)
        return matrix + self.damping * brakes


def _proximal(matrix: Array, gradient: Array, here: Array, penalty: Any, free: int, tolerance: float) -> Array:
    """Minimise the quadratic plus a penalty that knows no single coefficients, by accelerated proximal gradient."""
    d = here.size - free
    step = 1.0 / float(np.linalg.eigvalsh(matrix)[-1])
    there, ahead, momentum = here, here, 1.0
    for _ in range(20_000):
        last, slope = there, gradient + matrix @ (ahead - here)
        there = ahead - step * slope
        there[:d] = penalty.prox(there[:d], step)
        wrong = gradient + matrix @ (there - here)
        distance = penalty.distance(there[:d], wrong[:d])
        if max(distance.max(initial=0.0), np.abs(wrong[d:]).max(initial=0.0)) <= tolerance:
            break
        restart = float((ahead - there) @ (there - last)) > 0.0
        following = 1.0 if restart else 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5)
        ahead, momentum = there + (0.0 if restart else (momentum - 1.0) / following) * (there - last), following
    return there


def lbfgs_passes(passes: Passes, theta: Array, sample: Objective, progress: Progress) -> Descent:
    """Minimise a smooth loss under a smooth penalty where there are too many parameters for a matrix.

    Limited-memory BFGS on top of the diagonal of the sample's Hessian. Close to the minimum, where values differ by
    rounding only, the slope decides whether a step is good.

    Parameters
    ----------
    passes : Passes
        The objective.
    theta : ndarray
        Start.
    sample : Objective
        Of some of the rows.
    progress : Progress
        Limits and history.
    """
    metric = Metric(_Diagonal(_diagonal(passes, sample, theta)))
    point, still = passes.at(theta), 0
    gradient = passes.gradient(point)
    progress.record(theta, point.value, gradient)
    while True:
        optimality = float(np.abs(gradient).max(initial=0.0)) / progress.unit
        if optimality <= progress.accepted:
            return Descent(point.theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(point.theta, limit, optimality)
        moved = _along(passes, point, gradient, -metric.solve(gradient))
        if moved is None or still == _STILL:
            return Descent(point.theta, "stalled", optimality)
        there = passes.gradient(moved)
        metric.learn(moved.theta - point.theta, there - gradient)
        better = np.abs(there).max() < 0.9 * np.abs(gradient).max()
        still = 0 if better or moved.value < point.value * (1 - np.sign(point.value) * 1e-15) else still + 1
        point, gradient = moved, there
        progress.record(point.theta, point.value, gradient)


def _along(passes: Passes, point: Point, gradient: Array, direction: Array) -> Point | None:
    """Go the whole way if that is good, else the best of a ladder of steps."""
    slope = float(gradient @ direction)
    if slope >= 0.0:
        return None
    moved = passes.at(point.theta + direction)
    slack = 4.0 * float(np.finfo(np.float64).eps) * abs(point.value)
    ahead = float(passes.gradient(moved) @ direction) if np.isfinite(moved.value) else np.inf
    if moved.value <= point.value + 1e-4 * slope + slack and abs(ahead) <= 0.9 * abs(slope):
        return moved
    steps = _SHORTER if ahead > 0.0 else _LONGER
    values = passes.along(point.theta, direction, steps)
    best = int(np.argmin(values))
    if moved.value <= values[best] and moved.value < point.value:
        return moved
    if not values[best] < point.value:
        return None
    return passes.at(point.theta + steps[best] * direction)


def _diagonal(passes: Passes, sample: Objective, theta: Array) -> Array:
    """The diagonal of the sample's Hessian, > 0."""
    raw = sample.raw(theta)
    k = sample.outputs or 1
    curvature = np.maximum(sample.loss.hessian(sample.y, raw), 0.0)
    rows = curvature[:, None] if sample.outputs is None else np.einsum("ikk->ik", curvature)
    rows = (rows + 0.01 * rows.mean() + 1e-12) * sample.share[:, None]
    squared = sample.X.multiply(sample.X) if is_sparse(sample.X) else np.square(sample.X)
    found = np.concatenate([np.asarray(squared.T @ rows).reshape(-1), rows.sum(axis=0)[: k * int(sample.intercept)]])
    found[: passes.coefficients] += passes.ridge
    return np.asarray(np.maximum(found, 1e-10 * found.max()))


@dataclass(frozen=True, eq=False)
class _Diagonal:
    diagonal: Array

    def __call__(self, gradient: Array) -> Array:
        return np.asarray(gradient / self.diagonal)
