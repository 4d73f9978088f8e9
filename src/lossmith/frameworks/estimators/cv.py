"""Estimators that choose their penalty's strength by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from ...core.loss import Loss
from ...optimize.penalties import Penalty
from ...optimize.result import Solution
from ...optimize.solvers import Solver
from .base import Classification, LinearModel, Regression, checked
from .classifier import LossClassifier
from .fitting import warn
from .path import strengths, walk_path
from .regressor import LossRegressor

Array = np.ndarray[Any, Any]


def _search(search: Any, model: Any, data: tuple[Any, Array, Array | None], of_classes: bool) -> str:
    """Choose a strength, fit with it, and leave the results in the estimator's attributes; return what went wrong."""
    X, y, _ = data
    alphas = strengths(search.alphas, search.penalty, search.l1_ratio, model._problem(*data))
    folds = list(check_cv(search.cv, y, classifier=of_classes).split(X, y))
    scorer = None if search.scoring is None else check_scoring(model, search.scoring)
    path = walk_path(model.set_params(warm_start=True), alphas, data, folds, scorer, search.n_jobs)
    best = path.best(search.one_standard_error)
    search.alphas_, search.scores_, search.cv_results_ = path.alphas, path.scores, path.results()
    search.alpha_, search.best_index_ = float(path.alphas[best]), best
    search.best_score_ = float(path.scores[best].mean())
    model.n_features_in_ = X.shape[1]
    last = model.set_params(alpha=search.alpha_, warm_start=False)._fit(*data)
    search.best_estimator_, search._link = model, model._link
    search.coef_, search.intercept_ = model.coef_, model.intercept_
    search.solution_, search.n_iter_ = model.solution_, model.n_iter_
    count = len(path.unfinished)
    if last or not count:
        return str(last)
    return f"{count} of {path.scores.size} fits of the path did not converge, the first: {path.unfinished[0]}"


def _single(search: Any, model: Any) -> Any:
    """Give an estimator the settings that it shares with the search for its penalty's strength."""
    given, own = search.get_params(deep=False), model.get_params(deep=False)
    return model.set_params(**{name: value for name, value in given.items() if name in own})


class LossRegressorCV(Regression, LinearModel):
    """LossRegressor with the penalty's strength chosen by cross-validation along a path.

    Each fold goes down the strengths, from one at which all coefficients are 0 where the penalty has it, every fit
    starting from the last; then all rows are fitted with the best one.

    Parameters
    ----------
    loss : Loss or str
        As in :class:`LossRegressor`.
    penalty : "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        As in :class:`LossRegressor`; of a Penalty the path holds factors on its own strength.
    alphas : int or array_like
        How many strengths, or which. They begin where all coefficients are 0 and end at 1/1000 of that; for a penalty
        that never holds them there (L2), from 10 to 1e-6 times the mean variance of the features.
    l1_ratio : float
        Share of the L1 part of ``"elasticnet"``.
    cv : int, splitter, iterable of (train, test), or None
        Folds, as in scikit-learn; None: 5.
    scoring : None, str or callable
        Greater is better; None: minus the mean loss itself.
    one_standard_error : bool
        Whether to take the strongest penalty whose mean score is within one standard error of the best.
    n_jobs : int, optional
        Folds at a time, through joblib.
    solver, fit_intercept, tol, max_iter, max_seconds
        As in :class:`LossRegressor`, for each fit.

    Attributes
    ----------
    alpha_ : float
        The strength chosen, ``alphas_[best_index_]``.
    alphas_ : ndarray, shape (a,)
        The path, descending.
    scores_ : ndarray, shape (a, folds)
        Of the held-out rows.
    best_score_ : float
        Mean score at ``alpha_``.
    cv_results_ : dict
        The same as scikit-learn's searches keep it.
    best_estimator_ : LossRegressor
        The last fit; ``coef_``, ``intercept_``, ``n_iter_`` and ``solution_`` are its own.

    Warns
    -----
    ConvergenceWarning
        One line, when fits did not converge.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization Paths for Generalized Linear Models via Coordinate Descent,
    J. Stat. Softw. 33.

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> found = lm.LossRegressorCV("huber(delta=50)", "l1", alphas=10).fit(X, y)
    >>> found.scores_.shape, int((found.coef_ != 0).sum())
    ((10, 5), 8)
    """

    coef_: Array
    intercept_: float
    n_iter_: int
    solution_: Solution

    def __init__(
        self,
        loss: Loss | str = "mse",
        penalty: Penalty | str = "l2",
        alphas: Any = 30,
        *,
        l1_ratio: float = 0.5,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        solver: Solver | str = "auto",
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
        max_seconds: float | None = None,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LossRegressorCV:
        """Search and fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Finite features.
        y : array_like, shape (n,)
            Targets that the loss accepts.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0, for fits and scores.

        Returns
        -------
        LossRegressorCV
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit.
        """
        data = checked(self, X, y, sample_weight, numeric=True)
        model = _single(self, LossRegressor())
        if line := _search(self, model, data, of_classes=False):
            warn(type(self).__name__, line)
        return self


class LossClassifierCV(Classification, LinearModel):
    """LossClassifier with the penalty's strength chosen by cross-validation along a path.

    Each fold goes down the strengths, from one at which all coefficients are 0 where the penalty has it, every fit
    starting from the last; then all rows are fitted with the best one.

    Parameters
    ----------
    loss : Loss or str
        As in :class:`LossClassifier`.
    penalty : "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        As in :class:`LossClassifier`; of a Penalty the path holds factors on its own strength.
    alphas : int or array_like
        How many strengths, or which. They begin where all coefficients are 0 and end at 1/1000 of that; for a penalty
        that never holds them there (L2), from 10 to 1e-6 times the mean variance of the features.
    l1_ratio : float
        Share of the L1 part of ``"elasticnet"``.
    cv : int, splitter, iterable of (train, test), or None
        Folds, as in scikit-learn; None: 5, each with all classes in proportion.
    scoring : None, str or callable
        Greater is better; None: minus the mean loss itself.
    one_standard_error : bool
        Whether to take the strongest penalty whose mean score is within one standard error of the best.
    n_jobs : int, optional
        Folds at a time, through joblib.
    class_weight, solver, fit_intercept, tol, max_iter, max_seconds
        As in :class:`LossClassifier`, for each fit; scores know no weights of classes.

    Attributes
    ----------
    classes_ : ndarray, shape (k,)
        Labels in ascending order.
    alpha_ : float
        The strength chosen, ``alphas_[best_index_]``.
    alphas_ : ndarray, shape (a,)
        The path, descending.
    scores_ : ndarray, shape (a, folds)
        Of the held-out rows.
    best_score_ : float
        Mean score at ``alpha_``.
    cv_results_ : dict
        The same as scikit-learn's searches keep it.
    best_estimator_ : LossClassifier
        The last fit; ``coef_``, ``intercept_``, ``n_iter_`` and ``solution_`` are its own.

    Warns
    -----
    ConvergenceWarning
        One line, when fits did not converge.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization Paths for Generalized Linear Models via Coordinate Descent,
    J. Stat. Softw. 33.

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> found = lm.LossClassifierCV("squared_hinge", alphas=[1.0, 0.1, 0.01], scoring="accuracy").fit(scale(X), y)
    >>> found.alpha_, round(found.best_score_, 2)
    (0.01, 0.98)
    """

    coef_: Array
    intercept_: Array
    n_iter_: int
    solution_: Solution

    def __init__(
        self,
        loss: Loss | str = "log_loss",
        penalty: Penalty | str = "l2",
        alphas: Any = 30,
        *,
        l1_ratio: float = 0.5,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        solver: Solver | str = "auto",
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-8,
        max_iter: int = 1000,
        max_seconds: float | None = None,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LossClassifierCV:
        """Search and fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Finite features.
        y : array_like, shape (n,)
            Labels of any kind.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0, for fits and scores.

        Returns
        -------
        LossClassifierCV
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit.
        """
        data = checked(self, X, y, sample_weight, numeric=False)
        model = _single(self, LossClassifier())
        line = _search(self, model, data, of_classes=True)
        self.classes_ = model.classes_
        if line:
            warn(type(self).__name__, line)
        return self
