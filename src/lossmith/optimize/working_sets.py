"""Smooth losses under penalties that hold coefficients at 0: proximal Newton steps on a working set.

Only coefficients that are not 0, or that want to leave it most, are worked on. On those few columns the quadratic
model of the loss is a small matrix, which grows as columns join and on which coordinate descent costs no pass over
the samples. One pass over all features then tells which coefficients are still wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .descents import Curvature, Descent, Progress
from .objective import Objective, is_sparse
from .scaled import Scaled, pulled
from .worked import Kept, Places, Read, Step, Worked

Array = npt.NDArray[np.float64]

# Coefficients of the first working set at least; share of the wrong ones that join later.
_FIRST = 50
_JOIN = 0.5
# Coefficients that want to join, as a share of those that are not 0, that make a working set the last one.
_LAST = 0.1
# Products of a column with others that take as long as to read a few: what may join at the price of a few passes.
_PAYS = 16
# Coefficients per sample beyond which reading columns is quicker than making the matrix and descending on it.
_MATRIX = 0.2
# The same for a matrix that changes from step to step.
_CHANGING = 100
# Share of the largest violation, relative to the gradient, by which gradients may yet change: what may soon be wrong
# joins where columns are cheap.
_MARGIN = 0.3
# Rounds without a visible decrease of the objective, or of the violation by half, after which rounding has the last
# word.
_STILL = 4
# Halvings of a step before the model is braked instead.
_HALVINGS = 6
# Proximal Newton steps on one working set.
_STEPS = 20
# Rounds in which only the coefficients near to being wrong are looked at; how near.
_ROUNDS = 10
_NEAR = 1.5
# Factor by which a step on an old matrix must improve for the matrix to be kept.
_KEEPS = 0.25


def working_sets(objective: Objective, theta: Array, curvature: Curvature, progress: Progress) -> Descent:
    """Minimise an objective with one output, a smooth loss and a separable penalty.

    Parameters
    ----------
    objective : Objective
        Its penalty is Separable.
    theta : ndarray
        Start.
    curvature : callable
        ``curvature(y, raw, slope)`` per sample, >= 0.
    progress : Progress
        Limits and history; the optimality is the largest distance of -gradient from the subdifferential.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via coordinate
    descent, J. Stat. Softw. 33. Johnson and Guestrin (2015), Blitz, ICML.
    """
    walk, still, lowest, nearest = _Walk.begun(objective, theta, curvature, progress), 0, np.inf, np.inf
    while True:
        optimality = walk.optimality
        still = 0 if walk.value < lowest or optimality < 0.5 * nearest else still + 1
        lowest, nearest = min(walk.value, lowest), min(optimality, nearest)
        if optimality <= progress.tolerance:
            return Descent(walk.theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(walk.theta, limit, optimality)
        if still == _STILL:
            return Descent(walk.theta, "stalled", optimality)
        near = walk.near()
        walk.improve()
        for _ in range(_ROUNDS if near is not None else 0):
            walk.look(near)
            if walk.optimality <= progress.tolerance or progress.exhausted() is not None:
                break
            walk.improve()
        walk.look()


@dataclass
class _Walk:
    """Where a descent is, and the columns it works on."""

    objective: Objective
    curvature: Curvature
    progress: Progress
    theta: Array
    raw: Array
    value: float
    slopes: Array
    gradient: Array
    worked: Worked | None = None

    @classmethod
    def begun(cls, objective: Objective, theta: Array, curvature: Curvature, progress: Progress) -> _Walk:
        """Look at the start."""
        penalty: Any = objective.penalty
        with np.errstate(invalid="ignore", over="ignore"):
            raw, value, gradient = progress.begin(objective, theta)
        gradient[: objective.X.shape[1]] -= penalty.gradient(theta[: objective.X.shape[1]])
        slopes = objective.loss.value_and_gradient(objective.y, raw)[1]
        objective.judge(gradient, slopes)
        return cls(objective, curvature, progress, theta, raw, value, slopes, gradient)

    @property
    def wrong(self) -> Array:
        """How far each parameter is from optimal."""
        d, penalty = self.objective.X.shape[1], self.objective.penalty
        distance = penalty.distance(self.theta[:d], self.gradient[:d])  # type: ignore[union-attr]
        return np.concatenate([distance, np.abs(self.gradient[d:])])

    @property
    def optimality(self) -> float:
        """The largest of these, in units of the start's."""
        return float(self.wrong.max(initial=0.0)) / self.progress.unit

    def near(self) -> Places | None:
        """Return the coefficients that may soon be wrong; None where a look at some is hardly cheaper."""
        X, d, penalty = self.objective.X, self.objective.X.shape[1], self.objective.penalty
        if is_sparse(X) or not X.flags.f_contiguous:
            return None
        ahead = penalty.distance(self.theta[:d], _NEAR * self.gradient[:d])  # type: ignore[union-attr]
        found = np.flatnonzero((ahead > 0.0) | (self.theta[:d] != 0.0))
        return found if found.size < 0.5 * d else None

    def look(self, near: Places | None = None) -> None:
        """Find the gradient, of all coefficients or of some: others have not been wrong, and are taken to be right."""
        objective = self.objective
        slopes = objective.share * self.slopes
        if near is None or self.worked is None:
            self.gradient = objective.pull(slopes)
            return
        self.gradient[self.worked.places] = self.worked.pull(slopes)
        others = np.setdiff1d(near, self.worked.chosen)
        objective.tally.read += others.size * slopes.size
        self.gradient[others] = pulled(objective.X, others, slopes)

    def improve(self) -> None:
        """Take steps on some coefficients and the intercept until none is wrong by more than a share of what is."""
        objective, progress = self.objective, self.progress
        part, goal = self._part()
        places, brake, last, fresh = part.places, 0.0, np.inf, False
        penalty: Any = objective.penalty
        for _ in range(_STEPS):
            here = self.theta[places]
            gradient = part.pull(objective.share * self.slopes)
            most = _wrong(part, here, gradient)
            if most <= goal or progress.exhausted() is not None:
                break
            weight = objective.share * self.curvature(objective.y, self.raw, self.slopes)
            step, fresh = Step(penalty, brake, 0.3 * min(goal, 0.1 * most)), fresh or most > _KEEPS * last
            there = part.least(weight, gradient, here, step, fresh)
            found = _search(part, here, self.raw, gradient, there - here, self.value)
            if found is None:
                brake, fresh = max(10.0 * brake, 0.1 * float(weight.sum())), True
                continue
            brake, last, fresh = 0.1 * brake, most, False
            t, self.value, self.raw, self.slopes = found
            self.theta = self.theta.copy()
            self.theta[places] = here + t * (there - here)
            progress.record(self.theta, self.value, np.full(1, most))

    def _part(self) -> tuple[Worked, float]:
        """Return the coefficients to work on, and how far from optimal they may stay."""
        d, wrong, least = self.objective.X.shape[1], self.wrong, 0.5 * self.progress.tolerance * self.progress.unit
        w = self.theta[:d]
        part = self.worked = self._holding(w, wrong[:d])
        support, away = np.count_nonzero(w), np.count_nonzero((wrong[:d] > 0.0) & (w == 0.0))
        last = away <= _LAST * support and not isinstance(part, Scaled)  # hardly any more will join
        return part, least if last else max(part.share * float(wrong.max()), least)

    def _holding(self, w: Array, wrong: Array) -> Worked:
        """Hold the coefficients that are not 0 and those that are most wrong."""
        objective, held = self.objective, self.worked
        size, support = 0 if held is None else held.chosen.size, int(np.count_nonzero(w))
        if is_sparse(objective.X):
            return Read.of(objective, _chosen(w, wrong, max(_FIRST, 2 * support)))
        away = int(np.count_nonzero((wrong > 0.0) & (w == 0.0)))
        room = 0 if isinstance(held, Scaled) else int((size * size + _PAYS * w.size) ** 0.5) - size
        chosen = _chosen(w, wrong, support + min(away, max(room, _FIRST, int(_JOIN * away) if size else 0)))
        if not isinstance(held, Scaled) and self._matrix_pays(chosen.size):
            return (held or Kept(objective)).holding(chosen)
        if away < support:
            chosen = np.union1d(chosen, self._soon(w, wrong))
        return held.holding(chosen) if isinstance(held, Scaled) else Scaled.of(objective, chosen)

    def _matrix_pays(self, columns: int) -> bool:
        """Tell whether a matrix costs less than sweeps over columns: one that changes with every step hardly does."""
        constant = self.objective.loss.traits.constant_hessian
        return columns <= (_MATRIX * self.objective.share.size if constant else _CHANGING)

    def _soon(self, w: Array, wrong: Array) -> Places:
        """Return the coefficients that may be wrong when those that are wrong now are mended."""
        gradient = self.gradient[: w.size]
        ahead = 1.0 + _MARGIN * float(wrong.max()) / (float(np.abs(gradient).max()) or 1.0)
        penalty: Any = self.objective.penalty
        return np.flatnonzero(penalty.distance(w, ahead * gradient) > 0.0)


def _chosen(w: Array, wrong: Array, size: int) -> Places:
    """Return the coefficients that are not 0 and those that are most wrong, in order."""
    size = min(w.size, max(size, 1))  # the intercept alone may be wrong
    rank = np.where(w != 0.0, np.inf, wrong)
    if size == w.size:
        return np.arange(w.size)
    return np.sort(np.argpartition(rank, w.size - size)[w.size - size :])


def _wrong(part: Worked, theta: Array, gradient: Array) -> float:
    k = part.chosen.size
    distance = part.objective.penalty.distance(theta[:k], gradient[:k])  # type: ignore[union-attr]
    return float(max(distance.max(initial=0.0), np.abs(gradient[k:]).max(initial=0.0)))


def _search(
    part: Worked, theta: Array, raw: Array, gradient: Array, direction: Array, value: float
) -> tuple[float, float, Array, Array] | None:
    """Halve the step until the objective falls by a share of what the model promises; step, objective, scores, slopes.

    None after a few halvings: under a penalty that is not convex the way to a good point may lead over a hill, and
    only a shorter step of a braked model is sure to go down.
    """
    change, k, objective = part.raw(direction), part.chosen.size, part.objective
    penalty: Any = objective.penalty
    promised = float(gradient @ direction) + penalty.value(theta[:k] + direction[:k]) - penalty.value(theta[:k])
    few, t = 4.0 * float(np.finfo(np.float64).eps), 1.0
    for _ in range(_HALVINGS):
        there = raw + t * change
        with np.errstate(over="ignore", invalid="ignore"):
            values, slopes = objective.loss.value_and_gradient(objective.y, there)
        reached = objective.mean(values) + penalty.value(theta[:k] + t * direction[:k])
        slack = few * max(abs(value), objective.mean(np.abs(values)))  # parts may cancel in the whole
        if reached <= value + 1e-4 * t * min(promised, 0.0) + slack:
            return t, reached, there, slopes
        t *= 0.5
    return None
