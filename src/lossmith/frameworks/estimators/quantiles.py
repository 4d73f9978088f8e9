"""Several conditional quantiles at once, which never cross."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ...losses.quantile import Quantile
from ...optimize.penalties import Penalty
from ...optimize.result import Solution
from ...optimize.solvers import Solver
from .base import LinearModel, checked, counting
from .fitting import Fit, trouble, warn
from .sharded import as_shards, run

Array = np.ndarray[Any, Any]


class QuantileLossRegressor(RegressorMixin, LinearModel):  # type: ignore[misc]
    """Linear quantile regression for several levels; predictions of a row never cross.

    Each level is its own fit, exact up to a duality gap. Where the lines of two levels cross, which they do at the
    edges of data whose spread changes, ``predict`` sorts each row's numbers: the rearrangement of Chernozhukov,
    Fernandez-Val and Galichon (2010), who prove that the sorted curves are nearer to the true ones than the fitted
    (never farther, in any L^p distance), whatever the fitting method. It holds for every row, also beyond the training
    data, which constraints on the coefficients (Bondell, Reich and Wang 2010) secure only inside a box; in exchange the
    sorted curves have bends where lines cross, and ``coef_`` are those of the lines before.

    Parameters
    ----------
    quantiles : sequence of float
        Levels in (0, 1), in ascending order.
    penalty : None, "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        As in :class:`LossRegressor`; scikit-learn's ``QuantileRegressor`` is ``"l1"``.
    alpha : float, optional
        As in :class:`LossRegressor`.
    l1_ratio : float
        Share of the L1 part of ``"elasticnet"``.
    solver : Solver or str
        As in :class:`LossRegressor`; "auto" is an interior point method up to 2,000 features.
    fit_intercept : bool
        Whether to fit constants.
    tol : float
        On the duality gap relative to the objective.
    max_iter : int
        Most steps of each fit.
    max_seconds : float, optional
        Wall time of each fit after which the best coefficients so far are kept.
    n_jobs : int, optional
        Levels at a time, through joblib.
    verbose : bool
        Whether to show a progress bar on a terminal when a fit takes longer than 2 seconds.

    Attributes
    ----------
    coef_ : ndarray, shape (q, d)
        Coefficients of each level's line.
    intercept_ : ndarray, shape (q,)
        Constants.
    n_iter_ : int
        Most steps of a level.
    solutions_ : tuple of Solution
        One for each level.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    ConvergenceWarning
        One line when a level's tolerance was not reached; the best coefficients are kept.

    References
    ----------
    Koenker and Bassett (1978), Econometrica 46; Chernozhukov, Fernandez-Val and Galichon (2010), Quantile and
    probability curves without crossing, Econometrica 78; Bondell, Reich and Wang (2010), Noncrossing quantile
    regression curve estimation, Biometrika 97.

    Examples
    --------
    >>> import lossmith as lm
    >>> X = [[float(i)] for i in range(100)]
    >>> y = [x + (-1) ** int(x) * (x % 7) * x / 50 for (x,) in X]
    >>> bands = lm.QuantileLossRegressor([0.1, 0.5, 0.9], penalty=None).fit(X, y)
    >>> bands.predict([[50.0]]).round(1).tolist()
    [[45.0, 50.0, 55.0]]
    """

    coef_: Array
    intercept_: Array
    n_iter_: int
    solutions_: tuple[Solution, ...]

    def __init__(
        self,
        quantiles: Any = (0.1, 0.5, 0.9),
        penalty: Penalty | str | None = "l2",
        alpha: float | None = None,
        *,
        l1_ratio: float = 0.5,
        solver: Solver | str = "auto",
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
        max_seconds: float | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.quantiles = quantiles
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> QuantileLossRegressor:
        """Fit all levels.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d), Dask array, or Shards
            Finite features. Shards (:mod:`lossmith.shards`) hold targets and weights, and need not fit in memory.
        y : array_like, shape (n,), or Dask array
            Targets; left out for shards.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0: 0 leaves a row out, a whole number repeats it.

        Returns
        -------
        QuantileLossRegressor
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit.
        """
        levels = _levels(self.quantiles)
        if (shards := as_shards(X, y, sample_weight)) is not None:
            found = [run(self, Quantile(q=level), shards, None) for level in levels]
            self.n_features_in_ = shards.features
        else:
            data = counting(*checked(self, X, y, sample_weight, numeric=True))
            problems = [self._problem(level, *data) for level in levels]
            found = Parallel(n_jobs=self.n_jobs)(delayed(problem.run)() for problem in problems)
        self.solutions_ = tuple(found)
        self.coef_ = np.array([solution.coefficients for solution in found])
        self.intercept_ = np.array([solution.intercept for solution in found])
        self.n_iter_ = max(solution.iterations for solution in found)
        lines = [trouble(solution, self.tol) for solution in found]
        if bad := [f"quantile {level:g}: {line}" for level, line in zip(self.quantiles, lines, strict=True) if line]:
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            warn(type(self).__name__, bad[0] + more)
        return self

    def _problem(self, level: float, X: Any, y: Array, weight: Array | None) -> Fit:
        return self._posed(Quantile(q=level), X, np.asarray(y, np.float64), weight)

    def predict(self, X: Any) -> Array:
        """Predict all quantiles.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n, q)
            Ascending in every row.
        """
        return np.sort(self._raw(X), axis=1)

    def crossings(self, X: Any) -> Array:
        """Tell where the fitted lines cross, and ``predict`` therefore sorts.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray of bool, shape (n,)
            Many are a sign that quantiles are not linear in these features.
        """
        return np.asarray((np.diff(self._raw(X), axis=1) < 0).any(axis=1))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score by the pinball losses; greater is better.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.
        y : array_like, shape (n,)
            Targets.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0.

        Returns
        -------
        float
            Minus the mean loss, averaged over the levels.
        """
        check_is_fitted(self)
        predicted, y = self.predict(X), np.asarray(y, np.float64)
        losses = [
            float(Quantile(q=level)(y, column, sample_weight))
            for level, column in zip(_levels(self.quantiles), predicted.T, strict=True)
        ]
        return -float(np.mean(losses))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # minus a loss, no R^2
        return tags


def _levels(quantiles: Any) -> list[float]:
    given = np.asarray(quantiles, np.float64)
    if given.ndim != 1 or not given.size or not ((given > 0) & (given < 1)).all() or (np.diff(given) <= 0).any():
        raise ValueError(
            f"quantiles={quantiles!r} is not accepted; give ascending levels in (0, 1), such as (0.1, 0.9)"
        )
    return [float(level) for level in given]
