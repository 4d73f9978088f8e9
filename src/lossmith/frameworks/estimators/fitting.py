"""One fit: from checked arrays to coefficients, and one line where something went wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import diags_array, issparse

from ...core.loss import Loss
from ...optimize.constant import best_constant
from ...optimize.objective import Objective
from ...optimize.path import Limits, along_path
from ...optimize.penalties import Penalty
from ...optimize.result import Solution
from ...optimize.solve import solve
from ...optimize.solvers.automatic import made_solver, must_fit
from ...optimize.solvers.base import Solver

Array = np.ndarray[Any, Any]
Start = tuple[Any, Any] | None

# A fit that can get no lower in floating point has arrived if it came so near.
_NEAR = 1e-6
# What is left of an objective of 1 where it should be 0.
_ROUNDING = 1e-12
# Columns are left as they are while no mean exceeds this many standard deviations, and these are within this factor.
_FAR = 10.0
# Rows of a block that stays in the cache.
_BLOCK = 1024


@dataclass(frozen=True)
class Fit:
    """A penalised linear fit, all its data checked.

    Attributes
    ----------
    loss : Loss
        On raw scores.
    X : ndarray or sparse matrix, shape (n, d)
        Features.
    y : ndarray, shape (n,)
        Targets in the loss's coding.
    weight : ndarray, shape (n,), or None
        Weights >= 0; rows of weight 0 do not count.
    penalty : Penalty or None
        On the coefficients.
    intercept : bool
        Whether to fit one.
    outputs : int or None
        Number of classes for row-wise losses.
    tolerance : float
        Of the solver.
    max_iterations : int
        Of the solver.
    max_seconds : float or None
        Of the solver.
    solver : Solver or str
        Which one.
    bar : bool
        Whether to show a progress bar on long fits.
    """

    loss: Loss
    X: Any
    y: Array
    weight: Array | None
    penalty: Penalty | None
    intercept: bool
    outputs: int | None
    tolerance: float
    max_iterations: int
    max_seconds: float | None
    solver: Solver | str = "auto"
    bar: bool = False

    def run(self, start: Start = None) -> Solution:
        """Solve, on columns that are moved to 0 or scaled where they lie far off or differ much.

        Moving them changes only the intercept, whatever the penalty; scaling them changes nothing without a penalty,
        which means the coefficients as they are. Descents then take fewer and more exact steps.
        """
        centre, spread = self._units()
        if spread is None:
            return self._solve(self.X, start)
        columns = spread if self.outputs is None else spread[:, None]
        inner = None if start is None else (start[0] * columns, start[1] + centre @ start[0])
        return self._back(self._solve(self._moved(centre, spread), inner), centre, spread)

    def path(self, penalties: Sequence[Penalty]) -> Iterator[Solution]:
        """Solve under one penalty after the other, each fit starting from the last.

        Parameters
        ----------
        penalties : sequence of Penalty
            In order.
        """
        way = made_solver(self.solver)
        must_fit(way, self.loss, penalties[0])
        centre, spread = replace(self, penalty=penalties[0])._units()
        X = self.X if spread is None else self._moved(centre, spread)
        limits = Limits(self.tolerance, self.max_iterations, np.inf if self.max_seconds is None else self.max_seconds)
        with np.errstate(over="ignore", invalid="ignore"):
            objective = Objective.build(self.loss, X, self.y, self.weight, None, self.intercept, self.outputs)
            for found in along_path(objective, penalties, way, limits):
                yield found if spread is None else self._back(found, centre, spread)

    def _moved(self, centre: Array, spread: Array) -> Any:
        return self.X @ diags_array(1.0 / spread) if issparse(self.X) else (self.X - centre) / spread

    def _back(self, found: Solution, centre: Array, spread: Array) -> Solution:
        """Return a solution for the columns as they are."""
        coefficients = found.coefficients / (spread if self.outputs is None else spread[:, None])
        return replace(found, coefficients=coefficients, intercept=found.intercept - centre @ coefficients)

    def _units(self) -> tuple[Array, Array | None]:
        """Return where columns are moved to 0 and what they are divided by; None for nothing to gain."""
        return units(*self.moments(), self.penalty, self.intercept and not issparse(self.X))

    def moments(self) -> tuple[Array, Array]:
        """Return the columns' means and standard deviations, (d,) each; without an intercept their sizes instead.

        A constant column has the standard deviation 1, and its mean is exactly its value.
        """
        n, d = self.X.shape
        share = np.full(n, 1.0 / n) if self.weight is None else self.weight / self.weight.sum()
        if issparse(self.X):
            square = np.asarray(self.X.multiply(self.X).T @ share).reshape(-1)
            return np.zeros(d), _positive(np.sqrt(square), np.zeros(d))
        # About the first row: what is far off must not cancel, and a constant column must be exactly constant.
        origin = self.X[0] if self.intercept else np.zeros(d)
        mean, square = np.zeros(d), np.zeros(d)
        for start in range(0, n, _BLOCK):
            part = self.X[start : start + _BLOCK] - origin
            mean += share[start : start + _BLOCK] @ part
            square += share[start : start + _BLOCK] @ np.square(part, out=part)
        if not self.intercept:
            return mean, _positive(np.sqrt(square), np.zeros(d))
        spread = np.sqrt(np.maximum(square - np.square(mean), 0.0))
        return origin + mean, _positive(spread, np.abs(mean))

    def null_gradient(self) -> Array:
        """Return the gradient of the mean loss by the coefficients where they are 0 and the intercept is the best."""
        n = self.X.shape[0]
        best = best_constant(self.loss, self.y, self.weight, self.outputs) if self.intercept else 0.0
        raw = np.zeros(n if self.outputs is None else (n, self.outputs)) + best
        slopes = self.loss.value_and_gradient(self.y, raw)[1]
        weight = np.ones(n) if self.weight is None else self.weight
        return np.asarray(self.X.T @ (slopes.T * (weight / weight.sum())).T)

    def _solve(self, X: Any, start: Start) -> Solution:
        # Trial points of a line search may overflow; it turns back from them.
        with np.errstate(over="ignore", invalid="ignore"):
            return solve(
                self.loss,
                X,
                self.y,
                penalty=self.penalty,
                solver=self.solver,
                sample_weight=self.weight,
                intercept=self.intercept,
                outputs=self.outputs,
                start=start,
                tolerance=self.tolerance,
                max_iterations=self.max_iterations,
                max_seconds=np.inf if self.max_seconds is None else self.max_seconds,
                bar=self.bar,
            )


def units(centre: Array, spread: Array, penalty: Penalty | None, movable: bool) -> tuple[Array, Array | None]:
    """Return where columns are moved to 0 and what they are divided by; None for nothing to gain.

    Parameters
    ----------
    centre, spread : ndarray, shape (d,)
        Means and standard deviations.
    penalty : Penalty or None
        Columns are divided only where there is none.
    movable : bool
        Whether an intercept takes up a move, and columns would not lose their zeros.
    """
    moves = movable and bool((np.abs(centre) > _FAR * spread).any())
    # The solver's tolerance is absolute for gradients below 1, so that columns should not be tiny.
    ends = (min(spread.min(initial=1.0), 1.0), max(spread.max(initial=1.0), 1.0))
    scales = penalty is None and bool(ends[1] > _FAR * ends[0])
    if not (moves or scales):
        return centre, None
    if not moves:
        centre = np.zeros_like(centre)
    return centre, spread if penalty is None else np.ones_like(spread)


def _positive(spread: Array, size: Array) -> Array:
    """Replace what is 0 but for rounding by 1."""
    return np.where(spread <= np.maximum(1e-7 * size, 1e-150), 1.0, spread)


def previous(estimator: Any, shape: tuple[int, ...]) -> Start:
    """Return where an estimator's last fit ended, None for a first one or one of other features or classes."""
    last = vars(estimator).get("solution_")
    return None if last is None or last.coefficients.shape != shape else (last.coefficients, last.intercept)


def trouble(found: Solution, tolerance: float) -> str:
    """Return what kept a fit from its tolerance, in one line; empty if nothing did."""
    # A perfect fit has no duality gap that is small relative to its objective.
    perfect = 0.0 <= found.objective <= _ROUNDING * float(found.history.objective.max())
    near = found.optimality <= max(tolerance, _NEAR) or perfect
    if found.status == "converged" or (found.status == "stalled" and near):
        return ""
    return f"{found.message} (asked for: {tolerance:g}); {_REMEDIES[found.status]}"


_REMEDIES = {
    "stalled": "scale features and target, penalise more, or raise tol",
    "iteration_limit": "raise max_iter, or scale features and target",
    "time_limit": "raise max_seconds",
    "diverged": "the best coefficients so far are kept",
    "stopped": "the best coefficients so far are kept",
}


def out_of_reach(problem: Fit, found: Solution) -> str:
    """Return a line if a loss that is not convex is flat but for rows that any coefficients could have met."""
    if problem.loss.traits.convex:
        return ""
    raw = np.asarray(problem.X @ found.coefficients + found.intercept)
    values = problem.loss.value_and_gradient(problem.y, raw)[0]
    inside, few = int((values < (1.0 - _ROUNDING) * values.max()).sum()), problem.X.shape[1] + 1
    if inside > few or values.size <= few or not values.any():
        return ""
    outside = values.size - inside
    return f"{outside} of {values.size} rows are beyond the reach of {problem.loss!r}; scale y, or widen it"


def warn(name: str, line: str) -> None:
    """Warn in one line, in scikit-learn's category for fits that did not converge."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(f"{name}: {line}", ConvergenceWarning, stacklevel=3)
