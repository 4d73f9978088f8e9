"""Regularisation paths: one fit after the other down the strengths of a penalty."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from ..core.registry import get
from .objective import Objective
from .penalties import Penalty
from .progress import Progress, must_be_limits
from .quadratic import Quadratic
from .result import Solution
from .solve import solution_of, start_of
from .solvers.automatic import Automatic, made_solver, must_be_penalty, must_fit
from .solvers.base import Solver

Array = npt.NDArray[np.float64]

# Where a path of so many strengths ends, relative to the strength at which all coefficients are 0.
_SHRINK_TO = 1e-3


@dataclass(frozen=True, eq=False)
class RegularisationPath:
    """Fits along the strengths of a penalty.

    Attributes
    ----------
    alphas : ndarray, shape (a,)
        Strengths, descending.
    solutions : tuple of Solution
        One for each.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.5]], [1.0, 3.0, 5.0, 6.0]
    >>> lm.regularisation_path(lm.Huber(), X, y, penalty=lm.L1(), alphas=[0.5, 0.1]).statuses
    ('converged', 'converged')
    """

    alphas: Array
    solutions: tuple[Solution, ...]

    @property
    def coefficients(self) -> Array:
        """Coefficients, (a, d) or (a, d, k)."""
        return np.array([found.coefficients for found in self.solutions])

    @property
    def intercepts(self) -> Array:
        """Constants, (a,) or (a, k)."""
        return np.array([found.intercept for found in self.solutions])

    @property
    def objectives(self) -> Array:
        """Mean loss plus penalty of each fit, (a,)."""
        return np.array([found.objective for found in self.solutions])

    @property
    def statuses(self) -> tuple[str, ...]:
        """How each fit ended."""
        return tuple(found.status for found in self.solutions)


def regularisation_path(
    loss: Loss | str,
    X: Any,
    y: Any,
    *,
    penalty: Penalty,
    alphas: Any = 30,
    solver: Solver | str = "auto",
    sample_weight: Any = None,
    intercept: bool = True,
    outputs: int | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    max_seconds: float = float("inf"),
) -> RegularisationPath:
    """Fit a linear model for every strength of a penalty, each fit starting from the last.

    Parameters
    ----------
    loss : Loss or str
        As of :func:`lossmith.solve`.
    X : array_like or SciPy sparse matrix, shape (n, d)
        Features.
    y : array_like, shape (n,)
        Targets in the loss's coding.
    penalty : Penalty
        One with a strength ``alpha``, which is replaced.
    alphas : int or array_like
        How many strengths, evenly spaced on a logarithmic scale from the one at which all coefficients are 0 to 1/1000
        of it; or which.
    solver, sample_weight, intercept, outputs, tolerance, max_iterations, max_seconds
        As of :func:`lossmith.solve`, for each fit.

    Returns
    -------
    RegularisationPath
        Strengths, strongest first, and the solutions.

    Raises
    ------
    ValueError
        For data or arguments that do not fit, and a penalty without a strength.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via coordinate descent,
    J. Stat. Softw. 33.

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> path = lm.regularisation_path(lm.MeanSquaredError(), X, y, penalty=lm.L1(), alphas=5)
    >>> path.alphas.round(3).tolist()
    [4.296, 0.764, 0.136, 0.024, 0.004]
    >>> (path.coefficients != 0).sum(axis=1).tolist()
    [0, 4, 7, 9, 10]
    """
    loss = get(loss)
    must_be_limits(tolerance, max_iterations, max_seconds)
    must_be_penalty(penalty)
    if penalty is None or "alpha" not in {field.name for field in dataclasses.fields(penalty)}:
        raise ValueError(f"{penalty!r} has no strength alpha to go along; give L1(), L2(), ElasticNet(), MCP() ...")
    must_fit(made_solver(solver), loss, penalty)
    objective = Objective.build(loss, X, y, sample_weight, penalty, intercept, outputs)
    given = strengths_of(objective, penalty, alphas)
    penalties = [dataclasses.replace(penalty, alpha=float(alpha)) for alpha in given]  # type: ignore[call-arg]
    limits = Limits(tolerance, max_iterations, max_seconds)
    return RegularisationPath(given, tuple(along_path(objective, penalties, made_solver(solver), limits)))


@dataclass(frozen=True)
class Limits:
    """When each fit of a path ends, as of :func:`lossmith.solve`."""

    tolerance: float
    max_iterations: int
    max_seconds: float


def along_path(
    objective: Objective, penalties: Sequence[Penalty], solver: Solver, limits: Limits, start: Any = None
) -> Iterator[Solution]:
    """Fit under one penalty after the other, each fit starting from the last.

    Parameters
    ----------
    objective : Objective
        Data and loss; its penalty is replaced.
    penalties : sequence of Penalty
        In order.
    solver : Solver
        That fits loss and penalties.
    limits : Limits
        Of each fit.
    start : (coefficients, intercept), optional
        Of the first fit.

    Yields
    ------
    Solution
        For each penalty.
    """
    quadratic: Quadratic | None = None
    for place, penalty in enumerate(penalties):
        began = time.perf_counter()
        problem = dataclasses.replace(objective, penalty=penalty, tally=type(objective.tally)())
        progress = Progress(limits.tolerance, limits.max_iterations, began + limits.max_seconds)
        theta = start_of(problem, start, progress)
        if place == 0 and isinstance(solver, Automatic):
            quadratic = Quadratic.of(problem, theta)
        if quadratic is not None:
            name, descent = "coordinate_descent", quadratic.descend(problem, theta, progress)
        else:
            way = solver.chosen(problem) if isinstance(solver, Automatic) else solver
            name, descent = str(way), way.descend(problem, theta, progress)
        found = solution_of(problem, descent, name, progress, began)
        start = found.coefficients, found.intercept
        yield found


def strengths_of(objective: Objective, penalty: Penalty, alphas: Any) -> Array:
    """Return the strengths of a path, descending.

    Parameters
    ----------
    objective : Objective
        Data and loss.
    penalty : Penalty
        With a strength.
    alphas : int or array_like
        How many, or which.

    Raises
    ------
    ValueError
        For what is neither, and where a number is not enough.
    """
    if np.ndim(alphas) == 1:
        given = np.sort(np.asarray(alphas, np.float64))[::-1]
        if not given.size or not (given[-1] >= 0 and given[0] < np.inf):
            raise ValueError("alphas must be finite numbers >= 0")
        return given
    if isinstance(alphas, bool) or not isinstance(alphas, (int, np.integer)) or alphas < 1:
        raise ValueError(f"alphas={alphas!r} is not accepted; give a number of strengths >= 1, or a list of them")
    unit = dataclasses.replace(penalty, alpha=1.0)  # type: ignore[call-arg]
    bare = objective.bare()
    theta = start_of(bare, None, Progress(1e-4, 100, np.inf))
    theta[: objective.X.shape[1] * (objective.outputs or 1)] = 0.0
    slopes = bare.split(bare.value_and_gradient(theta)[1])[0]
    strongest = unit.alpha_max(slopes)
    if not strongest < np.inf:
        raise ValueError(f"{type(penalty).__name__} holds coefficients at 0 for no strength; give a list of alphas")
    return np.geomspace(strongest or 1.0, _SHRINK_TO * (strongest or 1.0), int(alphas))
