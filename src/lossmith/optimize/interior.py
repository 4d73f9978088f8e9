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
from .objective import Objective, is_sparse
from .penalties import Elastic
from .smoothing import Kink

Array = npt.NDArray[np.float64]

# Share of the way to the wall that a step may go (Mehrotra's predictor-corrector).
_NEARLY = 0.995
# First distance from the walls, relative to the mean distance from the kinks (0.1 to 1 differ by 10 % in steps).
_MARGIN = 0.3
# Times that rows are exchanged for others in looking for it, under an L2 penalty.
_EXCHANGES = 10
# Steps beyond the tolerance in which it may still show.
_FURTHER = 4
# Optimality from which on the exact optimum is looked for.
_SETTLED = 1e-3


@dataclass(frozen=True)
class Tilt:
    """A linear function that is added to an objective: ``value`` at ``centre``, and its slope."""

    centre: Array
    value: float
    slope: Array

    def at(self, theta: Array) -> float:
        """Return its value."""
        return self.value + float(self.slope @ (theta - self.centre))


def interior(
    objective: Objective,
    kink: Kink,
    theta: Array,
    progress: Progress,
    tilt: Tilt | None = None,
    margin: float | None = None,
    penalised: int | None = None,
) -> Descent:
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
    tilt : Tilt, optional
        A linear function that is added. Then the start is on record, and the unit known.
    margin : float, optional
        How far predictions at the start may be off; a share of the mean distance from the kinks by default.
    penalised : int, optional
        How many of the first columns the penalty is on, for features that hold intercepts as columns. Then the start is
        on record.

    Returns
    -------
    Descent
        Its optimality is the larger of the two.

    References
    ----------
    Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical Science 12. Mehrotra (1992),
    On the implementation of a primal-dual interior point method, SIAM J. Optim. 2.
    """
    problem = _Lines.of(objective, kink, tilt or Tilt(theta, 0.0, np.zeros_like(theta)), penalised)
    point = problem.start(theta, problem.margin(theta) if margin is None else margin)
    first, best = None, (np.inf, theta)
    near: Descent | None = None
    more = _FURTHER
    if tilt is None and penalised is None:
        progress.begin(objective, theta)
    while True:
        state = problem.state(point)
        value = problem.value(point.theta)
        if first is None:
            first = state.gap  # a measure of size where the objective is 0
        else:
            progress.record(point.theta, value, state.dual_residual, state.gap)
        best = (value, point.theta) if value < best[0] else best
        optimality = state.optimality(max(abs(value), 1e-6 * first), progress.unit)
        settled = progress.tolerance < _SETTLED and optimality <= _SETTLED
        exact = corner(problem, point, state) if settled else None
        if exact is not None:
            progress.record(exact, problem.value(exact), np.zeros(1), 0.0)
            return Descent(exact, "converged", 0.0, 0.0)
        if optimality <= progress.tolerance:
            near = near or Descent(point.theta, "converged", optimality, state.gap)
            more -= 1
            if not settled or more < 0:
                return near
        limit = progress.exhausted()
        moved = problem.step(point, state) if limit is None else None
        if moved is None:
            return near or Descent(best[1], limit or "stalled", optimality, state.gap)
        point = moved


def corner(lines: _Lines, point: _Point, state: _State) -> Array | None:
    """Return the exact optimum, if it is told by which rows lie on their kink and on which side the others are.

    Those rows are equations for the parameters, and the dual numbers of the others are at their ends. The answer is
    right if no row is on another side than was thought, and if the dual numbers of the rows on their kink lie
    between theirs.
    """
    room = lines.high - lines.low
    with np.errstate(divide="ignore"):
        rank = (point.u + point.v) * room / np.minimum(state.up, state.down)
    chosen = lines.touching(rank / (float((point.u + point.v).mean()) or 1.0))
    side = np.where(point.u > point.v, lines.high, lines.low)
    for _ in range(_EXCHANGES if lines.l2 else 1):
        free = side.copy()
        free[chosen] = 0.0
        found = lines.through(chosen, -lines.pull(free) - lines.tilt.slope)
        if found is None:
            return None
        theta, g = found
        away = lines.raw(theta) - lines.place
        away[chosen] = 0.0
        slack = 1e-9 * room[chosen]
        below, above = g < lines.low[chosen] - slack, g > lines.high[chosen] + slack
        crossed = np.flatnonzero(away * (side - 0.5 * (lines.low + lines.high)) < 0.0)
        if not (below.any() or above.any() or crossed.size):
            return theta
        side[chosen[below]], side[chosen[above]] = lines.low[chosen[below]], lines.high[chosen[above]]
        chosen = np.append(chosen[~(below | above)], crossed)
    return None


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

    def optimality(self, size: float, unit: float) -> float:
        """Return the gap or the dual's residual, whichever is larger in its own measure."""
        return max(self.gap / size, float(np.abs(self.dual_residual).max(initial=0.0)) / unit)


@dataclass(frozen=True)
class _Lines:
    """All the functions of the problem: one for each sample with weight, then one for each L1-penalised coefficient."""

    objective: Objective
    place: Array
    low: Array
    high: Array
    l1: float
    l2: float
    d: int
    tilt: Tilt

    @classmethod
    def of(cls, objective: Objective, kink: Kink, tilt: Tilt, penalised: int | None) -> _Lines:
        used = np.flatnonzero(objective.share * kink.jump)  # a sample without weight has no room between its walls
        if used.size < objective.share.size:
            objective = objective.rows(used)
            kink = Kink(kink.place[used], kink.left[used], kink.jump[used])
        l1, ridge = objective.penalty.parts if isinstance(objective.penalty, Elastic) else (0.0, 0.0)
        d = objective.X.shape[1] if penalised is None else penalised
        extra = np.full(d if l1 else 0, l1)
        low, jump = objective.share * kink.left, objective.share * kink.jump
        place = np.concatenate([kink.place, 0.0 * extra])
        low, high = np.concatenate([low, -extra]), np.concatenate([low + jump, extra])
        return cls(objective, place, low, high, l1, ridge, d, tilt)

    def value(self, theta: Array) -> float:
        penalty = self.objective.penalty
        held = 0.0 if penalty is None else penalty.value(theta[: self.d])
        return self.objective.bare().value(theta) + held + self.tilt.at(theta)

    def raw(self, theta: Array) -> Array:
        raw = self.objective.raw(theta)
        return np.concatenate([raw, theta[: self.d]]) if self.l1 else raw

    def pull(self, g: Array) -> Array:
        n = self.objective.share.size
        pulled = self.objective.pull(g[:n])
        pulled[: g.size - n] += g[n:]
        return pulled

    def ridge(self, theta: Array) -> Array:
        along = 2.0 * self.l2 * theta
        along[self.d :] = 0.0
        return along

    def touching(self, rank: Array) -> npt.NDArray[np.intp]:
        """Return the rows that seem to lie on their kink: as many as parameters where these alone decide."""
        p = self.objective.size
        if self.l2 == 0.0:
            return np.argpartition(rank, p - 1)[:p] if rank.size > p else np.arange(rank.size)
        near = np.flatnonzero(rank < 1.0)
        return near if near.size <= p else near[np.argpartition(rank[near], p - 1)[:p]]

    def through(self, chosen: npt.NDArray[np.intp], rest: Array) -> tuple[Array, Array] | None:
        """Return parameters with the chosen rows on their kinks, and dual numbers of these that make up the rest."""
        p, d, n = self.objective.size, self.objective.X.shape[1], self.objective.share.size
        if chosen.size > p or (self.l2 == 0.0 and chosen.size < p):
            return None
        rows = np.zeros((chosen.size, p))
        samples = chosen < n
        X = self.objective.X[chosen[samples]]
        rows[samples, :d] = X.toarray() if is_sparse(X) else X
        rows[samples, d:] = 1.0
        rows[~samples, chosen[~samples] - n] = 1.0
        ridge = np.concatenate([np.full(self.d, 2.0 * self.l2), np.zeros(p - self.d)])
        system = np.block([[np.diag(ridge), rows.T], [rows, np.zeros((chosen.size, chosen.size))]])
        try:
            found = np.linalg.solve(system, np.concatenate([rest, self.place[chosen]]))
        except np.linalg.LinAlgError:
            return None
        return (found[:p], found[p:]) if np.isfinite(found).all() else None

    def margin(self, theta: Array) -> float:
        """Return how far from the walls a start from nowhere should be."""
        return _MARGIN * (float(np.abs(self.raw(theta) - self.place).mean()) or 1.0)

    def start(self, theta: Array, margin: float) -> _Point:
        """Return the point on the central path of these residuals: u (high - g) = v (g - low), the same for all."""
        distance, room = self.raw(theta) - self.place, self.high - self.low
        middle = margin * float(room.mean()) / room
        root = np.sqrt(np.square(distance) + 4.0 * np.square(middle))
        below = middle + 0.5 * (root - np.abs(distance))
        above = below + np.abs(distance)
        u, v = np.where(distance > 0.0, above, below), np.where(distance > 0.0, below, above)
        return _Point(theta, u, v, self.low + room * (middle / v))

    def state(self, point: _Point) -> _State:
        up, down = self.high - point.g, point.g - self.low
        primal = self.place - self.raw(point.theta) + point.u - point.v
        dual = -self.pull(point.g) - self.ridge(point.theta) - self.tilt.slope
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

        n = self.objective.share.size
        matrix = self.objective.gram(stiffness[:n])
        diagonal = np.arange(self.d)
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
