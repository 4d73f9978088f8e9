"""The same coefficients as scikit-learn's own estimators, where both solve the same problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.svm import LinearSVC

import lossmith as lm

Array = np.ndarray[Any, Any]
N, D = 200, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
SLOPES = np.array([1.0, -2.0, 0.5, 0.0, 0.0, 0.3])
Y = X @ SLOPES + 1.5 + RNG.standard_t(2, size=N)
COUNTS = RNG.poisson(np.exp(0.3 * X @ SLOPES)).astype(float)
CLASSES = np.array(["a", "b", "c"])[np.digitize(Y, [0.0, 2.5])]
SIDES = np.array(["no", "yes"])[(Y > 1.0).astype(int)]
WEIGHT = RNG.uniform(0.5, 2.0, size=N)

REGRESSIONS = {
    "least squares": (lm.LossRegressor("mse", None), LinearRegression(), Y),
    "ridge": (lm.LossRegressor("mse", "l2", 3.0 / WEIGHT.sum()), Ridge(alpha=3.0), Y),
    "lasso": (lm.LossRegressor("mse", "l1", 0.2), Lasso(alpha=0.1, tol=1e-12, max_iter=10_000), Y),
    "elastic net": (
        # scikit-learn halves the squared error and the squares of the coefficients, and not the l1 part.
        lm.LossRegressor("mse", lm.ElasticNet(alpha=0.3, l1_ratio=2 / 3)),
        ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-12, max_iter=10_000),
        Y,
    ),
    "poisson": (lm.LossRegressor("poisson", "l2", 0.05), PoissonRegressor(alpha=0.1, tol=1e-9, max_iter=1000), COUNTS),
    "quantile": (lm.LossRegressor("quantile(q=0.3)", "l1", 0.02), QuantileRegressor(quantile=0.3, alpha=0.02), Y),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", REGRESSIONS)
def test_regressions(name: str, weighted: bool) -> None:
    ours, theirs, y = REGRESSIONS[name]
    weight = WEIGHT if weighted else None
    if name == "ridge":
        ours.set_params(alpha=3.0 / (WEIGHT.sum() if weighted else N))
    ours.fit(X, y, weight)
    theirs.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-5)


def test_another_strength_is_told_apart() -> None:
    """Control: twice the penalty is far outside of the tolerance."""
    ours = lm.LossRegressor("mse", "l1", 0.4).fit(X, Y)
    assert np.abs(ours.coef_ - Lasso(alpha=0.1).fit(X, Y).coef_).max() > 0.05


def test_huber_at_the_scale_that_scikit_learn_finds() -> None:
    theirs = HuberRegressor(epsilon=1.35, alpha=0.5, tol=1e-9, max_iter=10_000).fit(X, Y)
    ours = lm.LossRegressor(lm.Huber(delta=1.35 * theirs.scale_), "l2", 0.5 * theirs.scale_ / (2 * N)).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-4)


def _centred(scores: Array) -> Array:
    """Rows of scores say nothing by their level."""
    return scores if scores.ndim == 1 else scores - scores.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy"])
@pytest.mark.parametrize("y", [SIDES, CLASSES], ids=["two", "three"])
def test_logistic_regression(y: Array, loss: str) -> None:
    k = len(np.unique(y))
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(X, y, sample_weight=WEIGHT)
    # Two rows of scores share what one of them would carry alone: half the coefficients, half the sum of squares.
    factor = 2.0 if k == 2 and loss == "cross_entropy" else 1.0
    ours = lm.LossClassifier(loss, "l2", factor / (2 * 0.5 * WEIGHT.sum())).fit(X, y, WEIGHT)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(_centred(ours.decision_function(X)), _centred(theirs.decision_function(X)), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    if factor == 1.0:
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-6)
    balanced = lm.LossClassifier(loss, "l2", factor / N, class_weight="balanced").fit(X, y)
    again = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000, class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(balanced.predict_proba(X), again.predict_proba(X), rtol=1e-5, atol=1e-7)


def test_sparse_logistic_regression() -> None:
    theirs = LogisticRegression(C=0.1, l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=100_000).fit(X, SIDES)
    ours = lm.LossClassifier(penalty="l1", alpha=1 / (0.1 * N)).fit(X, SIDES)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_support_vector_machines(loss: str) -> None:
    """LinearSVC penalises its intercept, so there is none here."""
    theirs = LinearSVC(C=0.3, loss=loss, fit_intercept=False, tol=1e-10, max_iter=1_000_000, random_state=0)
    theirs.fit(X, SIDES)
    ours = lm.LossClassifier(loss, "l2", 1 / (2 * 0.3 * N), fit_intercept=False).fit(X, SIDES)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-5)


def test_sparse_features_change_nothing() -> None:
    few = np.where(RNG.random(X.shape) < 0.3, X, 0.0)
    for model, y in [
        (lm.LossRegressor("huber", None), Y),
        (lm.LossRegressor("mae"), Y),
        (lm.LossRegressor("poisson", "l1", 0.01), COUNTS),
        (lm.LossClassifier("log_loss"), CLASSES),
        (lm.LossClassifier("hinge"), SIDES),
    ]:
        dense, sparse = model.fit(few, y).coef_, model.fit(csr_array(few), y)
        np.testing.assert_allclose(sparse.coef_, dense, rtol=1e-5, atol=1e-6)
        same = np.testing.assert_array_equal if y.dtype.kind == "U" else np.testing.assert_allclose
        same(sparse.predict(csr_array(few)), sparse.predict(few))
