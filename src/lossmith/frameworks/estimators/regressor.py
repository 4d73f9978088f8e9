"""The regressor for any loss and penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loss import Loss
from ...optimize.penalties import Penalty
from ...optimize.result import Solution
from ...optimize.shards import Shards
from ...optimize.solvers import Solver
from ..links import Affine, Exponential, Link
from .base import LinearModel, Regression, checked, counting
from .fitting import Fit, out_of_reach, previous, trouble, warn
from .settings import link_of, made_loss
from .sharded import as_shards, run

Array = np.ndarray[Any, Any]


class LossRegressor(Regression, LinearModel):
    """Linear regression under any loss on the residual or on log-rates, with any penalty.

    It minimises ``mean(loss(y, X @ coef_ + intercept_)) + penalty(coef_)``, weighted if weights are given, with
    :func:`lossmith.optimize.solve`. Losses on log-rates (``"poisson"``) are fitted on the logarithm of the rate, and
    ``predict`` gives rates.

    Nothing is standardised, as in scikit-learn's linear models: a penalty means the coefficients as they are, and the
    parameter of a robust loss (Huber's delta) has the unit of y. Put ``StandardScaler`` before it in a pipeline, and
    ``TransformedTargetRegressor(..., transformer=RobustScaler())`` around it for a delta in units of the target's
    spread. Of a loss that is not convex a stationary point is found, from the least absolute error fit. ``score`` is
    R^2, as in scikit-learn; :func:`lossmith.to_sklearn` makes the loss a scorer.

    Parameters
    ----------
    loss : Loss or str
        A loss, its name, or a call in text such as ``"huber(delta=1.35)"``.
    penalty : None, "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        On the coefficients, never on the intercept; ``"l2"`` is alpha * sum of squares without a factor 1/2.
    alpha : float, optional
        Strength of a penalty given by name (by default 1e-4), relative to the *mean* loss; for a Penalty a factor on
        the strength it has (by default 1).
    l1_ratio : float
        Share of the L1 part of ``"elasticnet"``.
    solver : Solver or str
        "auto", which takes what suits loss and penalty, or any of :mod:`lossmith.solvers`: a name such as ``"lbfgs"``,
        a call in text such as ``"gd(search=constant(step=0.1))"``, or an object.
    fit_intercept : bool
        Whether to fit a constant.
    tol : float
        On the gradient relative to its start, or on the duality gap where there is one.
    max_iter : int
        Most steps.
    max_seconds : float, optional
        Wall time after which the best coefficients so far are kept.
    warm_start : bool
        Whether to start from the coefficients of the previous fit.
    verbose : bool
        Whether to show a progress bar on a terminal when the fit takes longer than 2 seconds.

    Attributes
    ----------
    coef_ : ndarray, shape (d,)
        Coefficients.
    intercept_ : float
        Constant.
    n_iter_ : int
        Steps taken.
    solution_ : Solution
        Status, objective, optimality and history.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    ConvergenceWarning
        One line when the tolerance was not reached; the best coefficients are kept.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter; McCullagh and Nelder (1989), Generalized Linear Models.

    Examples
    --------
    A wild point pulls the least squares line, and not Huber's:

    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0]], [1.0, 3.0, 5.0, 70.0, 9.0]
    >>> float(lm.LossRegressor("mse", penalty=None).fit(X, y).coef_[0].round(6))
    8.3
    >>> float(lm.LossRegressor("huber(delta=0.1)", penalty=None).fit(X, y).coef_[0].round(2))
    2.01
    >>> lm.LossRegressor("poisson").fit(X, [1, 2, 4, 8, 16]).predict([[5.0]]).round(1).tolist()
    [32.0]
    """

    coef_: Array
    intercept_: float
    n_iter_: int
    solution_: Solution

    def __init__(
        self,
        loss: Loss | str = "mse",
        penalty: Penalty | str | None = "l2",
        alpha: float | None = None,
        *,
        l1_ratio: float = 0.5,
        solver: Solver | str = "auto",
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
        max_seconds: float | None = None,
        warm_start: bool = False,
        verbose: bool = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> LossRegressor:
        """Fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d), Dask array, or Shards
            Finite features. Shards (:mod:`lossmith.shards`) hold targets and weights, and need not fit in memory.
        y : array_like, shape (n,), or Dask array
            Targets that the loss accepts; left out for shards.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0: 0 leaves a row out, a whole number repeats it.

        Returns
        -------
        LossRegressor
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit.
        """
        if (shards := as_shards(X, y, sample_weight)) is not None:
            line = self._fit_shards(shards)
        else:
            line = self._fit(*checked(self, X, y, sample_weight, numeric=True))
        if line:
            warn(type(self).__name__, line)
        return self

    def _fit(self, X: Any, y: Array, weight: Array | None) -> str:
        """Fit to checked data; return what went wrong, in one line."""
        problem = self._problem(X, y, weight)
        return self._take(problem, problem.run(previous(self, (X.shape[1],)) if self.warm_start else None))

    def _take(self, problem: Fit, found: Solution) -> str:
        """Keep a solution; return what went wrong, in one line."""
        self.coef_, self.intercept_ = found.coefficients, float(found.intercept)
        self.solution_, self.n_iter_ = found, found.iterations
        return out_of_reach(problem, found) or trouble(found, self.tol)

    def _fit_shards(self, shards: Shards) -> str:
        """Fit to rows that are read again and again; return what went wrong, in one line."""
        loss = made_loss(self.loss)
        self._link = number_link(loss)
        found = run(self, loss, shards, None, previous(self, (shards.features,)) if self.warm_start else None)
        self.n_features_in_ = shards.features
        self.coef_, self.intercept_ = found.coefficients, float(found.intercept)
        self.solution_, self.n_iter_ = found, found.iterations
        return trouble(found, self.tol)

    def _problem(self, X: Any, y: Array, weight: Array | None) -> Fit:
        loss = made_loss(self.loss)
        self._link = number_link(loss)
        X, y, weight = counting(X, y, weight)
        return self._posed(loss, X, self._link.encode(y), weight)

    def _mean_loss(self, X: Any, y: Array, weight: Array | None) -> float:
        """Return the mean loss of checked data."""
        raw = np.asarray(X @ self.coef_ + self.intercept_)
        return float(made_loss(self.loss)(self._link.encode(y), raw, weight))


def number_link(loss: Loss) -> Link:
    """Return the link of a loss that is trained on numbers.

    Raises
    ------
    ValueError
        For losses on classes and others.
    """
    link = link_of(loss)
    if not isinstance(link, (Affine, Exponential)):
        raise ValueError(f"{loss!r} is for classes; take LossClassifier, or a loss on numbers such as 'huber'")
    return link
