"""Cross-validation along a path of strengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

import lossmith as lm
from lossmith.optimize import L1, ElasticNet

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(2)
X = RNG.normal(size=(120, 6))
Y = X @ [1.0, -1.0, 0.5, 0.0, 0.0, 0.0] + 3.0 + RNG.normal(size=120)
LABELS = np.array(["low", "middle", "high"])[np.digitize(Y, [2.5, 3.5])]
WEIGHT = RNG.uniform(0.5, 2.0, 120)
FOLDS = KFold(3, shuffle=True, random_state=0)


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_a_path_is_a_search_over_separate_fits(loss: str) -> None:
    ours = lm.LossRegressorCV(loss, "elasticnet", 5, cv=FOLDS).fit(X, Y)
    model = lm.LossRegressor(loss, "elasticnet")
    search = GridSearchCV(model, {"alpha": ours.alphas_}, scoring=lm.to_sklearn(loss), cv=FOLDS).fit(X, Y)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"], rtol=1e-6)
    np.testing.assert_allclose(ours.cv_results_["std_test_score"], search.cv_results_["std_test_score"], rtol=1e-4)
    np.testing.assert_array_equal(ours.cv_results_["rank_test_score"], search.cv_results_["rank_test_score"])
    np.testing.assert_allclose(ours.scores_.mean(axis=1), ours.cv_results_["mean_test_score"])
    assert ours.alpha_ == search.best_params_["alpha"] == ours.alphas_[ours.best_index_]
    assert ours.best_score_ == pytest.approx(search.best_score_)
    np.testing.assert_allclose(ours.coef_, search.best_estimator_.coef_, rtol=1e-5, atol=1e-6)


def test_classes_are_searched_alike() -> None:
    folds = StratifiedKFold(3)
    ours = lm.LossClassifierCV(penalty="l1", alphas=4, cv=3).fit(X, LABELS)
    search = GridSearchCV(
        lm.LossClassifier(penalty="l1"),
        {"alpha": ours.alphas_},
        scoring=lm.to_sklearn("cross_entropy"),
        cv=folds,
    ).fit(X, LABELS)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"], rtol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), search.predict(X))
    np.testing.assert_array_equal(ours.classes_, np.unique(LABELS))
    np.testing.assert_allclose(ours.predict_proba(X), search.predict_proba(X), atol=1e-5)


def test_the_lasso_path_of_scikit_learn() -> None:
    ours = lm.LossRegressorCV("mse", "l1", 20, cv=FOLDS).fit(X, Y)
    theirs = LassoCV(alphas=20, cv=FOLDS, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(ours.alphas_, 2.0 * theirs.alphas_, rtol=1e-6)
    np.testing.assert_allclose(-ours.scores_, theirs.mse_path_, rtol=1e-5)
    assert ours.alpha_ == pytest.approx(2.0 * theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@pytest.mark.parametrize("penalty", ["l1", "elasticnet", L1(0.2), ElasticNet(0.1, 0.3)], ids=str)
@pytest.mark.parametrize("loss", ["huber", "quantile(q=0.7)", "poisson"])
def test_the_path_begins_where_all_coefficients_are_zero(loss: str, penalty: Any) -> None:
    y = np.abs(Y)
    path = lm.LossRegressorCV(loss, penalty, 2, cv=2).fit(X, y, WEIGHT)
    at, below = (lm.LossRegressor(loss, penalty, factor * path.alphas_[0]).fit(X, y, WEIGHT) for factor in (1.02, 0.9))
    np.testing.assert_allclose(at.coef_, 0.0, atol=1e-6)
    assert np.abs(below.coef_).max() > 1e-4
    assert path.alphas_[1] == pytest.approx(1e-3 * path.alphas_[0])


def test_a_scorer_weights_and_jobs() -> None:
    scored = lm.LossRegressorCV("mae", alphas=3, cv=3, scoring="r2").fit(X, Y)
    assert 0.0 < scored.best_score_ < 1.0
    weighted = [lm.LossRegressorCV(alphas=3, cv=3, n_jobs=jobs).fit(X, Y, WEIGHT) for jobs in (None, 2)]
    np.testing.assert_array_equal(weighted[0].scores_, weighted[1].scores_)
    assert (weighted[0].scores_ != lm.LossRegressorCV(alphas=3, cv=3).fit(X, Y).scores_).all()


def test_one_standard_error_takes_a_stronger_penalty() -> None:
    best, simple = (
        lm.LossRegressorCV("mse", "l1", 20, one_standard_error=flag, cv=FOLDS).fit(X, Y) for flag in (False, True)
    )
    means, top = best.scores_.mean(axis=1), best.best_index_
    error = best.scores_[top].std(ddof=1) / np.sqrt(3)
    assert simple.alpha_ > best.alpha_
    assert means[simple.best_index_] >= means[top] - error
    assert (means[: simple.best_index_] < means[top] - error).all()
    assert (simple.coef_ != 0).sum() <= (best.coef_ != 0).sum()


def test_fits_that_do_not_converge_are_one_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"\d+ of 6 fits of the path did not converge|stopped") as caught:
        lm.LossRegressorCV("log_cosh", alphas=2, cv=3, max_iter=1).fit(X, np.exp(Y))
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lm.LossRegressorCV(penalty=None), "has no strength to search along"),
        (lm.LossRegressorCV(alphas=0), "alphas=0 is not accepted"),
        (lm.LossRegressorCV(alphas=[1.0, -1.0]), "alphas must be finite numbers >= 0"),
        (lm.LossRegressorCV("hinge"), "is for classes"),
    ],
)
def test_refusals(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


def test_weights_that_leave_a_fold_empty() -> None:
    weight = np.r_[np.zeros(40), np.ones(80)]
    with pytest.raises(ValueError, match="sample_weight is 0 for all rows of a fold"):
        lm.LossRegressorCV(alphas=2, cv=3).fit(X, Y, weight)
