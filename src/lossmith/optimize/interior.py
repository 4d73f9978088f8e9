"""Losses made of two straight lines a sample: a primal-dual interior point method, with a duality gap.

The problem is min over theta of sum_i phi_i(raw_i - place_i) + penalty, where phi_i has slope low_i left of its kink
and high_i right of it. With raw - place = u - v, u, v >= 0, a dual number g_i in [low_i, high_i] for each sample and
the conditions u (high - g) = v (g - low) = mu, each Newton step is one weighted least squares problem, whatever the
number of samples. An L1 penalty is one more such function for each coefficient, on the coefficient itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .descents import Descent, Progress
from .objective import Objective
from .penalties import Elastic
from .smoothing import Kink

Array = npt.NDArray[np.float64]

# Share of the way to the wall that a step may go (Mehrotra's predictor-corrector).
_NEARLY = 0.995
# First distance from the walls, relative to the mean distance from the kinks (0.1 to 1 differ by 10 % in steps).
_MARGIN = 0.3


def interior(objective: Objective, kink: Kink, theta: Array, progress: Progress) -> Descent:
    """Minimise an objective whose loss is linear on both sides of one kink a sample.

    Parameters
    ----------
    objective : Objective
        Of one output.
    kink : Kink
        Of each sample's loss.
    theta : ndarray
        Start.
    progress : Progress
        Limits and history. A step is accepted as the last when the duality gap, relative to the objective, and
        the dual's residual, relative to the gradient at the start, are below the tolerance.

    Returns
    -------
    Descent
        Its optimality is the larger of the two.

    References
    ----------
    Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical Science 12. Mehrotra (1992),
    On the implementation of a primal-dual interior point method, SIAM J. Optim. 2.
    """
    problem = _Lines.of(objective, kink)
    point = problem.start(theta)
    first = None
    progress.begin(objective, theta)
    while True:
        state = problem.state(point)
        value = objective.value(point.theta)
        if first is None:
            first = state.gap  # a measure of size where the objective is 0
        else:
            progress.record(point.theta, value, state.dual_residual, state.gap)
        optimality = max(
            state.gap / max(abs(value), 1e-6 * first),
            float(np.abs(state.dual_residual).max(initial=0.0)) / progress.unit,
        )
        if optimality <= progress.tolerance:
            return Descent(point.theta, "converged", optimality, state.gap)
        if (limit := progress.exhausted()) is not None:
            return Descent(point.theta, limit, optimality, state.gap)
        moved = problem.step(point, state)
        if moved is None:
            return Descent(point.theta, "stalled", optimality, state.gap)
        point = moved


@dataclass(frozen=True)
class _Point:
    """Coefficients, distances above and below each kink, and the dual numbers."""

    theta: Array
    u: Array
    v: Array
    g: Array


@dataclass(frozen=True)
class _State:
    """What a point lacks: to both walls, to the primal and the dual equations, and the duality gap."""

    up: Array
    down: Array
    primal: Array
    dual_residual: Array
    gap: float


@dataclass(frozen=True)
class _Lines:
    """All the functions of the problem: one for each sample with weight, then one for each L1-penalised coefficient."""

    objective: Objective
    place: Array
    low: Array
    high: Array
    l1: float
    l2: float

    @classmethod
    def of(cls, objective: Objective, kink: Kink) -> _Lines:
        used = np.flatnonzero(objective.share * kink.jump)  # a sample without weight has no room between its walls
        if used.size < objective.share.size:
            objective = objective.rows(used)
            kink = Kink(kink.place[used], kink.left[used], kink.jump[used])
        l1, ridge = objective.penalty.parts if isinstance(objective.penalty, Elastic) else (0.0, 0.0)
        extra = np.full(objective.X.shape[1] if l1 else 0, l1)
        low, jump = objective.share * kink.left, objective.share * kink.jump
        place = np.concatenate([kink.place, 0.0 * extra])
        return cls(objective, place, np.concatenate([low, -extra]), np.concatenate([low + jump, extra]), l1, ridge)

    def raw(self, theta: Array) -> Array:
        raw = self.objective.raw(theta)
        return np.concatenate([raw, theta[: self.objective.X.shape[1]]]) if self.l1 else raw

    def pull(self, g: Array) -> Array:
        n = self.objective.share.size
        pulled = self.objective.pull(g[:n])
        pulled[: g.size - n] += g[n:]
        return pulled

    def ridge(self, theta: Array) -> Array:
        along = 2.0 * self.l2 * theta
        along[self.objective.X.shape[1] :] = 0.0
        return along

    def start(self, theta: Array) -> _Point:
        """Return a point well inside the walls."""
        distance = self.raw(theta) - self.place
        margin = _MARGIN * (float(np.abs(distance).mean()) or 1.0)
        middle = 0.5 * (self.low + self.high)
        return _Point(theta, np.maximum(distance, 0.0) + margin, np.maximum(-distance, 0.0) + margin, middle)

    def state(self, point: _Point) -> _State:
        up, down = self.high - point.g, point.g - self.low
        primal = self.place - self.raw(point.theta) + point.u - point.v
        dual = -self.pull(point.g) - self.ridge(point.theta)
        return _State(up, down, primal, dual, float(point.u @ up + point.v @ down))

    def step(self, point: _Point, state: _State) -> _Point | None:
        """Return the next point; None where rounding leaves no way."""
        u, v, up, down = point.u, point.v, state.up, state.down
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            stiffness = 1.0 / (u / up + v / down)
            solver = self._factor(stiffness)
            if solver is None:
                return None

            def direction(to_up: Array, to_down: Array) -> tuple[Array, Array, Array, Array]:
                rest = state.primal + to_up / up - to_down / down
                theta = solver(state.dual_residual + self.pull(stiffness * rest))
                g = stiffness * (self.raw(theta) - rest)
                return theta, (to_up + u * g) / up, (to_down - v * g) / down, g

            mu = state.gap / (2.0 * u.size)
            _, du, dv, dg = direction(-u * up, -v * down)
            primal, dual = _reach(u, v, du, dv), _reach(up, down, -dg, dg)
            left = (u + primal * du) @ (up - dual * dg) + (v + primal * dv) @ (down + dual * dg)
            target = mu * (left / state.gap) ** 3
            theta, du, dv, dg = direction(target - u * up + du * dg, target - v * down - dv * dg)
            primal, dual = _NEARLY * _reach(u, v, du, dv), _NEARLY * _reach(up, down, -dg, dg)
        moved = _Point(point.theta + primal * theta, u + primal * du, v + primal * dv, point.g + dual * dg)
        return moved if np.isfinite(moved.theta).all() and max(primal, dual) > 1e-12 else None

    def _factor(self, stiffness: Array) -> Any:
        """Factorise the normal equations."""
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        n, d = self.objective.X.shape
        matrix = self.objective.gram(stiffness[:n])
        diagonal = np.arange(d)
        matrix[diagonal, diagonal] += (stiffness[n:] if self.l1 else 0.0) + 2.0 * self.l2
        level = float(np.trace(matrix)) / max(matrix.shape[0], 1)
        for lift in (1e-15, 1e-12, 1e-9, 1e-6):
            try:
                factor = cho_factor(matrix + lift * level * np.eye(matrix.shape[0]), lower=True)
            except (LinAlgError, ValueError):
                continue
            return lambda b, factor=factor: np.asarray(cho_solve(factor, b, check_finite=False))
        return None


def _reach(a: Array, b: Array, da: Array, db: Array) -> float:
    """How far one can go until the first of the positive numbers reaches 0; at most 1 / 0.995, a full step."""
    most = max(float((-da / a).max(initial=0.0)), float((-db / b).max(initial=0.0)))
    return 1.0 / max(most, _NEARLY)
