"""The classifier for any loss and penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.multiclass import CategoricalCrossEntropy
from ...optimize.penalties import Penalty
from ...optimize.result import Solution
from ...optimize.shards import Shards
from ...optimize.solvers import Solver
from ..links import Affine, Exponential
from ..sklearn_responses import indices
from .base import Classification, LinearModel, checked, counting
from .fitting import Fit, previous, trouble, warn
from .settings import link_of, made_loss
from .sharded import Changed, Recoded, all_right, as_shards, labels, run

Array = np.ndarray[Any, Any]


class LossClassifier(Classification, LinearModel):
    """Linear classification under any loss on logits or margins, with any penalty.

    It minimises ``mean(loss(y, X @ coef_.T + intercept_)) + penalty(coef_)``, weighted if weights are given, with
    :func:`lossmith.optimize.solve`. Losses on one score (``"bce"``, ``"binary_focal"``, ``"hinge"``) separate two
    classes, losses on a row of scores (``"cross_entropy"``, ``"categorical_focal"``, ``"multi_margin"``) any number.
    Losses on logits have ``predict_proba``; the others do not, since their scores are no probabilities: wrap the
    estimator in ``CalibratedClassifierCV``.

    Nothing is standardised, as in scikit-learn's linear models: put ``StandardScaler`` before it in a pipeline.

    Parameters
    ----------
    loss : Loss or str
        A loss, its name, or a call in text such as ``"binary_focal(gamma=1)"``. ``"log_loss"`` is BinaryCrossEntropy
        for two classes and CategoricalCrossEntropy for more.
    penalty : None, "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        On the coefficients, never on the intercept; ``"l2"`` is alpha * sum of squares without a factor 1/2, so that
        LogisticRegression's C is ``alpha = 1 / (2 C n)``.
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
    class_weight : dict or "balanced", optional
        Weights of the labels, times those of the samples; "balanced" gives all classes the same total.
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
    classes_ : ndarray, shape (k,)
        Labels in ascending order.
    coef_ : ndarray, shape (1, d) for losses on one score, (k, d) for losses on rows
        Coefficients.
    intercept_ : ndarray, shape (1,) or (k,)
        Constants.
    n_iter_ : int
        Steps taken.
    solution_ : Solution
        Status, objective, optimality and history.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    ConvergenceWarning
        One line when the tolerance was not reached, or when a hyperplane separates the classes and no penalty keeps
        the coefficients from growing; the best ones are kept.

    References
    ----------
    Albert and Anderson (1984), On the existence of maximum likelihood estimates in logistic regression models,
    Biometrika 71 (separated classes).

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> names = load_iris().target_names[y]
    >>> lm.LossClassifier(alpha=1e-3).fit(X, names).predict(X[[0, 60, 140]]).tolist()
    ['setosa', 'versicolor', 'virginica']
    >>> svm = lm.LossClassifier("squared_hinge", alpha=1e-3).fit(X, y == 2)
    >>> svm.decision_function(X[[0, 140]]).round(1).tolist()
    [-10.2, 2.7]
    """

    coef_: Array
    intercept_: Array
    n_iter_: int
    solution_: Solution

    def __init__(
        self,
        loss: Loss | str = "log_loss",
        penalty: Penalty | str | None = "l2",
        alpha: float | None = None,
        *,
        l1_ratio: float = 0.5,
        solver: Solver | str = "auto",
        fit_intercept: bool = True,
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> LossClassifier:
        """Fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d), Dask array, or Shards
            Finite features. Shards (:mod:`lossmith.shards`) hold labels and weights, and need not fit in memory.
        y : array_like, shape (n,), or Dask array
            Labels of any kind; left out for shards.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0: 0 leaves a row out, a whole number repeats it.

        Returns
        -------
        LossClassifier
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit, and for labels of one class only.
        """
        if (shards := as_shards(X, y, sample_weight)) is not None:
            line = self._fit_shards(shards)
        else:
            line = self._fit(*checked(self, X, y, sample_weight, numeric=False))
        if line:
            warn(type(self).__name__, line)
        return self

    def _fit(self, X: Any, y: Array, weight: Array | None) -> str:
        """Fit to checked data; return what went wrong, in one line."""
        problem = self._problem(X, y, weight)
        shape = (X.shape[1],) if problem.outputs is None else (X.shape[1], problem.outputs)
        return self._take(problem, problem.run(previous(self, shape) if self.warm_start else None))

    def _take(self, problem: Fit, found: Solution) -> str:
        """Keep a solution; return what went wrong, in one line."""
        self.coef_ = np.atleast_2d(found.coefficients.T)
        self.intercept_ = np.atleast_1d(np.asarray(found.intercept, np.float64))
        self.solution_, self.n_iter_ = found, found.iterations
        return _separated(problem, found) or trouble(found, self.tol)

    def _fit_shards(self, shards: Shards) -> str:
        """Fit to rows that are read again and again; return what went wrong, in one line."""
        found_labels, mass = labels(shards)
        self.classes_ = _at_least_two(found_labels)
        k, given = len(self.classes_), self.class_weight
        factors = None if given is None else class_factors(given, self.classes_, mass)
        loss = class_loss(self.loss, k)
        self._link = link_of(loss)
        coded = Changed(shards, Recoded(self.classes_, self._link.encode, factors))
        outputs = k if loss.tier == "row-wise" else None
        shape = (shards.features,) if outputs is None else (shards.features, k)
        found = run(self, loss, coded, outputs, previous(self, shape) if self.warm_start else None)
        self.n_features_in_ = shards.features
        self.coef_ = np.atleast_2d(found.coefficients.T)
        self.intercept_ = np.atleast_1d(np.asarray(found.intercept, np.float64))
        self.solution_, self.n_iter_ = found, found.iterations
        if self.penalty is None and all_right(coded, found.coefficients, found.intercept):
            return _no_best(found)
        return trouble(found, self.tol)

    def _problem(self, X: Any, y: Array, weight: Array | None) -> Fit:
        check_classification_targets(y)
        X, y, weight = counting(X, y, weight)
        self.classes_, codes = known_classes(y)
        k = len(self.classes_)
        loss = class_loss(self.loss, k)
        self._link = link_of(loss)
        weight = class_weighted(self.class_weight, self.classes_, codes, weight)
        return self._posed(loss, X, self._link.encode(codes), weight, k if loss.tier == "row-wise" else None)

    def _mean_loss(self, X: Any, y: Array, weight: Array | None) -> float:
        """Return the mean loss of checked data."""
        loss = class_loss(self.loss, len(self.classes_))
        raw = np.asarray(X @ self.coef_.T + self.intercept_)
        codes = self._link.encode(indices(np.asarray(y), self.classes_, "y"))
        return float(loss(codes, raw if loss.tier == "row-wise" else raw[:, 0], weight))


def known_classes(y: Array) -> tuple[Array, Array]:
    """Return the labels and the code of each sample's.

    Raises
    ------
    ValueError
        For one class only.
    """
    classes, codes = np.unique(y, return_inverse=True)
    return _at_least_two(classes), codes


def _at_least_two(classes: Array) -> Array:
    if len(classes) < 2:
        raise ValueError(f"y holds one class only, {classes.tolist()[0]!r} (rows of weight 0 left out); give two")
    return classes


def class_loss(spec: Any, k: int) -> Loss:
    """Return the loss for so many classes.

    Raises
    ------
    ValueError
        For a loss on numbers, and one for two classes when there are more.
    """
    if isinstance(spec, str) and spec == "log_loss":
        return BinaryCrossEntropy() if k == 2 else CategoricalCrossEntropy()
    loss = made_loss(spec)
    if isinstance(link_of(loss), (Affine, Exponential)):
        raise ValueError(f"{loss!r} is for numbers; take LossRegressor, or a loss on classes such as 'log_loss'")
    if loss.tier == "elementwise" and k > 2:
        raise ValueError(
            f"{loss!r} separates two classes and y holds {k}. Only binary classification is supported. "
            "Take 'cross_entropy' or 'multi_margin', or wrap this in sklearn's OneVsRestClassifier"
        )
    return loss


def class_weighted(given: Any, classes: Array, codes: Array, weight: Array | None) -> Array | None:
    """Multiply the samples' weights by those of their classes."""
    if given is None:
        return weight
    ones = np.ones(codes.size) if weight is None else weight
    factors = class_factors(given, classes, np.bincount(codes, weights=ones, minlength=len(classes)))
    return np.asarray(ones * factors[codes])


def class_factors(given: Any, classes: Array, mass: Array) -> Array:
    """Return the weights of classes whose samples' weights add up to ``mass``.

    Raises
    ------
    ValueError
        For anything but a dictionary of labels that occur and "balanced".
    """
    if isinstance(given, str) and given == "balanced":
        return np.asarray(mass.sum() / (len(classes) * mass))
    if not isinstance(given, Mapping):
        raise ValueError(f"class_weight={given!r} is not accepted; give 'balanced', or a dictionary of labels' weights")
    return np.asarray(compute_class_weight(given, classes=classes, y=classes))


def _separated(problem: Fit, found: Solution) -> str:
    """Return a line if every training row is on its side and the loss falls on and on as scores grow."""
    if problem.penalty is not None:
        return ""
    raw = np.asarray(problem.X @ found.coefficients + found.intercept)
    right = (raw > 0) == (problem.y > 0) if problem.outputs is None else raw.argmax(axis=1) == problem.y
    if not right.all():
        return ""
    here, there = (float(problem.loss(problem.y, factor * raw, problem.weight)) for factor in (1.0, 2.0))
    if not there < here:
        return ""
    return _no_best(found)


def _no_best(found: Solution) -> str:
    return (
        "a hyperplane separates the classes, so that without a penalty no coefficients are the best: larger ones "
        f"always fit better; these stopped after {found.iterations} steps ({found.status}); give penalty='l2'"
    )
