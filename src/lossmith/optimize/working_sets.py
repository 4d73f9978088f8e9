"""Smooth losses under penalties that hold coefficients at 0: proximal Newton steps on a working set.

Only coefficients that are not 0, or that want to leave it most, are worked on. On those few columns the quadratic
model of the loss is a small matrix, made by one symmetric product, on which coordinate descent costs no pass over
the samples. One pass over all features then tells which coefficients are still wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import coordinate
from .descents import Curvature, Descent, Progress
from .objective import Objective, is_sparse
from .penalties import Separable

Array = npt.NDArray[np.float64]

# Coefficients of the first working set; later ones hold twice those that are not 0.
_FIRST = 50
# Share of the present violation to which the problem of the working set is solved before all features are read again.
_SHARE = 0.1
# Coefficients per sample beyond which reading columns is quicker than making the matrix and descending on it.
_MATRIX = 0.2
# Rounds without a visible decrease after which rounding has the last word.
_STILL = 4
# Halvings of a step before the model is braked instead.
_HALVINGS = 6
# Proximal Newton steps on one working set.
_STEPS = 20


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
    penalty: Any = objective.penalty
    d = objective.X.shape[1]
    (raw, *_), still = progress.begin(objective, theta), 0
    while True:
        wrong = _violation(objective, penalty, theta, raw)
        optimality = float(wrong.max(initial=0.0)) / progress.unit
        if optimality <= progress.tolerance:
            return Descent(theta, "converged", optimality)
        if (limit := progress.exhausted()) is not None:
            return Descent(theta, limit, optimality)
        chosen = _chosen(theta[:d], wrong[:d])
        goal = max(_SHARE * optimality, 0.5 * progress.tolerance) * progress.unit
        before = progress.history[-1]
        theta, raw = _improve(objective, chosen, theta, raw, curvature, goal, progress)
        still = still + 1 if progress.history[-1] >= before else 0
        if still == _STILL:
            return Descent(theta, "stalled", optimality)


def _violation(objective: Objective, penalty: Separable, theta: Array, raw: Array) -> Array:
    slopes = objective.loss.value_and_gradient(objective.y, raw)[1] * objective.share
    gradient = objective.pull(slopes)
    d = objective.X.shape[1]
    return np.concatenate([penalty.distance(theta[:d], gradient[:d]), np.abs(gradient[d:])])


def _chosen(w: Array, wrong: Array) -> npt.NDArray[np.intp]:
    """Return the coefficients that are not 0 and those that are most wrong, in order."""
    size = min(w.size, max(_FIRST, 2 * int(np.count_nonzero(w))))
    rank = np.where(w != 0.0, np.inf, wrong)
    if size == w.size:
        return np.arange(w.size)
    return np.sort(np.argpartition(rank, w.size - size)[w.size - size :])


def _improve(
    objective: Objective,
    chosen: npt.NDArray[np.intp],
    theta: Array,
    raw: Array,
    curvature: Curvature,
    goal: float,
    progress: Progress,
) -> tuple[Array, Array]:
    """Take proximal Newton steps on some coefficients and the intercept until none is wrong by more than the goal."""
    part, places = objective.columns(chosen), np.append(chosen, np.arange(objective.X.shape[1], theta.size))
    by_columns = is_sparse(part.X) or chosen.size > _MATRIX * part.share.size
    if by_columns:
        part = replace(part, X=part.X.tocsc() if is_sparse(part.X) else np.asfortranarray(part.X))
    matrix, brake = None, 0.0
    for _ in range(_STEPS):
        here = theta[places]
        slopes = objective.loss.value_and_gradient(objective.y, raw)[1]
        gradient = part.pull(objective.share * slopes)
        wrong = _wrong(part, here, gradient)
        if wrong <= goal or progress.exhausted() is not None:
            break
        weight = objective.share * curvature(objective.y, raw, slopes)
        settings: Any = part.penalty, int(objective.intercept), brake, 0.3 * min(goal, 0.1 * wrong)
        if by_columns:
            there = coordinate.minimise_by_columns(part.X, weight, gradient, here, *settings)
        else:
            if matrix is None or not objective.loss.traits.constant_hessian:
                matrix = _lifted(part.gram(weight))
            there = coordinate.minimise(matrix, gradient, here, *settings)
        found = _search(part, here, raw, gradient, there - here, progress.history[-1])
        if found is None:
            brake = max(10.0 * brake, 0.1 * float(weight.sum()))
            continue
        brake *= 0.1
        t, value, raw = found
        theta = theta.copy()
        theta[places] = here + t * (there - here)
        progress.record(theta, value, np.full(1, wrong))
    return theta, raw


def _wrong(part: Objective, theta: Array, gradient: Array) -> float:
    k = part.X.shape[1]
    distance = part.penalty.distance(theta[:k], gradient[:k])  # type: ignore[union-attr]
    return float(max(distance.max(initial=0.0), np.abs(gradient[k:]).max(initial=0.0)))


def _lifted(matrix: Array) -> Array:
    """Return the matrix with a diagonal > 0 wherever there is a feature at all."""
    diagonal = np.einsum("ii->i", matrix)
    diagonal += np.where(diagonal > 0.0, 1e-12 * diagonal.max(initial=0.0), 0.0)
    return np.ascontiguousarray(matrix)


def _search(
    part: Objective, theta: Array, raw: Array, gradient: Array, direction: Array, value: float
) -> tuple[float, float, Array] | None:
    """Halve the step until the objective falls by a share of what the model promises; step, objective, raw scores.

    None after a few halvings: under a penalty that is not convex the way to a good point may lead over a hill, and
    only a shorter step of a braked model is sure to go down.
    """
    change, k = part.raw(direction), part.X.shape[1]
    penalty: Any = part.penalty
    promised = float(gradient @ direction) + penalty.value(theta[:k] + direction[:k]) - penalty.value(theta[:k])
    slack = 4.0 * float(np.finfo(np.float64).eps) * abs(value)
    t = 1.0
    for _ in range(_HALVINGS):
        there = raw + t * change
        with np.errstate(over="ignore", invalid="ignore"):
            values = part.loss.value_and_gradient(part.y, there)[0]
        reached = float(part.share @ values) + penalty.value(theta[:k] + t * direction[:k])
        if reached <= value + 1e-4 * t * min(promised, 0.0) + slack:
            return t, reached, there
        t *= 0.5
    return None
