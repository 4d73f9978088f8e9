"""Scorers where scikit-learn uses them: cross-validation, searches, metadata routing, processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import check_scoring, get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

import lossmith as lm

PAIRS = {
    "neg_mean_squared_error": lm.MeanSquaredError(),
    "neg_mean_absolute_error": lm.MeanAbsoluteError(),
}
SCORERS = (
    lm.to_sklearn(lm.Huber(delta=1.35)),
    lm.to_sklearn("bce", response_method="decision_function", pos_label="malign"),
    lm.to_sklearn(lm.WeightedSum(("mse", "mae"), (1.0, 0.5))),
)


@pytest.fixture(scope="module")
def diabetes() -> Any:
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def cancer() -> Any:
    X, y = load_breast_cancer(return_X_y=True)
    return ((X - X.mean(0)) / X.std(0))[:, :5], np.array(["malign", "benign"])[y]


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_cross_validation_agrees_with_the_scorers_of_scikit_learn(diabetes: Any, cancer: Any) -> None:
    ours = {name: lm.to_sklearn(loss) for name, loss in PAIRS.items()}
    found = cross_validate(Ridge(), *diabetes, scoring=ours, cv=3)
    theirs = cross_validate(Ridge(), *diabetes, scoring=list(PAIRS), cv=3)
    for name in PAIRS:
        np.testing.assert_allclose(found[f"test_{name}"], theirs[f"test_{name}"], rtol=1e-13)
    classifier = LogisticRegression()
    np.testing.assert_allclose(
        cross_val_score(classifier, *cancer, scoring=lm.to_sklearn("bce"), cv=3),
        cross_val_score(classifier, *cancer, scoring="neg_log_loss", cv=3),
        rtol=1e-12,
    )


def test_searches_choose_as_with_the_scorers_of_scikit_learn(diabetes: Any, cancer: Any) -> None:
    grid = {"alpha": [1e-3, 1e-1, 1e1]}
    found = [
        GridSearchCV(Ridge(), grid, scoring=scoring, cv=3).fit(*diabetes)
        for scoring in (lm.to_sklearn("mae"), "neg_mean_absolute_error")
    ]
    assert found[0].best_params_ == found[1].best_params_
    assert found[0].score(*diabetes) == pytest.approx(found[1].score(*diabetes), rel=1e-13)
    assert RidgeCV(grid["alpha"], scoring=lm.to_sklearn("mse"), cv=3).fit(*diabetes).alpha_ in grid["alpha"]
    many = {"bce": lm.to_sklearn("bce"), "hinge": lm.to_sklearn("hinge")}
    search = GridSearchCV(LogisticRegression(), {"C": [1e-3, 1.0]}, scoring=many, refit="bce", cv=3)
    search.fit(*cancer, sample_weight=np.ones(len(cancer[1])))
    assert search.best_params_ == {"C": 1.0}


def test_other_users_of_scorers(diabetes: Any) -> None:
    scorer = lm.to_sklearn("mae")
    model = Ridge(alpha=0.01).fit(*diabetes)
    assert get_scorer(scorer) is scorer
    assert check_scoring(model, scorer) is scorer
    options: dict[str, Any] = {"n_repeats": 2, "random_state": 0}
    ours = permutation_importance(model, *diabetes, scoring=scorer, **options).importances
    theirs = permutation_importance(model, *diabetes, scoring="neg_mean_absolute_error", **options).importances
    np.testing.assert_allclose(ours, theirs, atol=1e-11)
    wrapped = make_scorer(lm.to_sklearn("mae").metric, greater_is_better=False)
    assert wrapped(model, *diabetes) == scorer(model, *diabetes)
    assert "mae" in repr(wrapped)


def test_frames_and_columns(diabetes: Any) -> None:
    X, y = diabetes
    frame, column = pd.DataFrame(X), pd.Series(y, index=np.arange(len(y))[::-1])
    scorer, model = lm.to_sklearn("huber"), Ridge().fit(X, y)
    expected = scorer(model, X, y, sample_weight=y)
    assert scorer(model, frame.to_numpy(), column, sample_weight=column) == expected
    labels = pd.Series(np.where(y > 100, "high", "low")).astype("category")
    classifier = LogisticRegression().fit(X, labels)
    bce = lm.to_sklearn("bce")
    assert bce(classifier, X, labels) == bce(classifier, X, labels.to_numpy()) < 0


def test_a_failing_fold_is_reported_by_scikit_learn(cancer: Any) -> None:
    X, y = cancer
    with pytest.warns(UserWarning, match="Scoring failed"):
        found = cross_val_score(LogisticRegression(), X, y, scoring=lm.to_sklearn("bce", pos_label="other"), cv=2)
    assert np.isnan(found).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
def test_scorers_are_values(scorer: Any) -> None:
    for again in (pickle.loads(pickle.dumps(scorer)), copy.copy(scorer), copy.deepcopy(scorer)):
        assert again == scorer
        assert hash(again) == hash(scorer)
    scope = {name: getattr(lm, name) for name in lm.__all__}
    assert eval(repr(scorer), scope) == scorer
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=scorer)
    assert clone(search).scoring == scorer
    assert repr(scorer) in repr(search).replace("\n", "").replace(" " * 13, "")
    metric = pickle.loads(pickle.dumps(scorer.metric))
    assert metric == scorer.metric
    assert metric.__name__ == scorer.loss.name
    assert lm.to_sklearn("huber") != lm.to_sklearn("huber(delta=2)")


def test_processes(diabetes: Any) -> None:
    scorer = lm.to_sklearn(lm.Huber(delta=30.0))
    alone = cross_val_score(Ridge(), *diabetes, scoring=scorer, cv=2)
    with joblib.parallel_backend("loky", n_jobs=2):
        together = cross_val_score(Ridge(), *diabetes, scoring=scorer, cv=2)
    np.testing.assert_array_equal(alone, together)


# --- metadata routing ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("requested", [True, "importance"])
def test_weights_are_routed(diabetes: Any, requested: Any) -> None:
    X, y = diabetes
    w = np.random.default_rng(0).uniform(0, 5, len(y))
    params = {"sample_weight" if requested is True else requested: w}
    ours = lm.to_sklearn("mse").set_score_request(sample_weight=requested)
    theirs = get_scorer("neg_mean_squared_error").set_score_request(sample_weight=requested)
    model = Ridge().set_fit_request(sample_weight=False)
    found, known, unweighted = (
        cross_val_score(model, X, y, scoring=scoring, cv=3, params=given)
        for scoring, given in ((ours, params), (theirs, params), ("neg_mean_squared_error", None))
    )
    np.testing.assert_allclose(found, known, rtol=1e-13)
    assert (abs(found - unweighted) > 1e-3).all()
    search = GridSearchCV(model, {"alpha": [0.1]}, scoring={"mse": ours}, refit=False, cv=3).fit(X, y, **params)
    assert search.cv_results_["mean_test_mse"][0] == pytest.approx(
        cross_val_score(model.set_params(alpha=0.1), X, y, scoring=theirs, cv=3, params=params).mean(), rel=1e-12
    )
    for again in (pickle.loads(pickle.dumps(ours)), clone(search).scoring["mse"]):
        assert again.get_metadata_routing().score.requests == {"sample_weight": requested}


@pytest.mark.usefixtures("routing")
def test_weights_that_are_refused_or_not_spoken_of(diabetes: Any) -> None:
    X, y = diabetes
    params = {"sample_weight": np.arange(len(y), dtype=float)}
    model = Ridge().set_fit_request(sample_weight=True)
    with pytest.raises(UnsetMetadataPassedError, match=r"set_score_request"):
        cross_val_score(model, X, y, scoring=lm.to_sklearn("mse"), params=params)
    scorer = lm.to_sklearn("mse")
    assert scorer.set_score_request(sample_weight=False) is scorer
    np.testing.assert_allclose(
        cross_val_score(model, X, y, scoring=scorer, params=params),
        cross_val_score(
            model,
            X,
            y,
            scoring=get_scorer("neg_mean_squared_error").set_score_request(sample_weight=False),
            params=params,
        ),
        rtol=1e-13,
    )


def test_a_request_needs_routing() -> None:
    with pytest.raises(RuntimeError, match=r"enable_metadata_routing=True"):
        lm.to_sklearn("mse").set_score_request(sample_weight=True)
