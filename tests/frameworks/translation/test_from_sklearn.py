"""Metrics and losses of scikit-learn in Lossmith's words: the same numbers as scikit-learn's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import named, sample

metrics = pytest.importorskip("sklearn.metrics")
from sklearn import ensemble, linear_model, svm  # noqa: E402

WEIGHT = np.random.default_rng(5).uniform(0.1, 2, 60)
METRICS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mean_squared_error": (metrics.mean_squared_error, {}),
    "mean_absolute_error": (metrics.mean_absolute_error, {}),
    "mean_pinball_loss": (metrics.mean_pinball_loss, {}),
    "mean_pinball_loss(alpha=.9)": (metrics.mean_pinball_loss, {"alpha": 0.9}),
    "log_loss": (metrics.log_loss, {}),
    "hinge_loss": (metrics.hinge_loss, {}),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str) -> None:
    """With sample weights too: the mean divides by their sum here and there."""
    theirs, given = METRICS[name]
    ours = lm.from_sklearn(theirs, **given)
    y, f = sample(ours)
    for weight in (None, WEIGHT[: len(y)]):
        want = theirs(y, f, sample_weight=weight, **given)
        np.testing.assert_allclose(ours(y, f, weight), want, rtol=1e-12)


def test_a_wrong_quantile_is_noticed() -> None:
    """Negative control."""
    y, f = sample(lm.Quantile())
    wrong = lm.Quantile(q=0.1)(y, f)
    assert abs(metrics.mean_pinball_loss(y, f, alpha=0.9) - wrong) > 0.1


def test_brier() -> None:
    y, p = sample(lm.BinaryCrossEntropy(inputs="probabilities"))
    np.testing.assert_allclose(lm.from_sklearn(metrics.brier_score_loss)(y, p), metrics.brier_score_loss(y, p))


def test_scorers() -> None:
    """By name and by object; a score is minus the loss."""
    assert lm.from_sklearn("neg_mean_absolute_error") == lm.MeanAbsoluteError()
    made = metrics.make_scorer(metrics.mean_pinball_loss, alpha=0.9, greater_is_better=False)
    assert lm.from_sklearn(made) == lm.Quantile(q=0.9)
    assert lm.from_sklearn(metrics.get_scorer("neg_log_loss")).inputs == "probabilities"


PRIVATE = [
    "HalfGammaLoss",
    "HalfTweedieLoss",
    "HalfSquaredError",
    "AbsoluteError",
    "PinballLoss",
    "HuberLoss",
    "HalfPoissonLoss",
    "HalfBinomialLoss",
]


@pytest.mark.parametrize("name", [*PRIVATE, "HalfMultinomialLoss"])
def test_what_estimators_minimise(name: str) -> None:
    """Value and gradient of the losses behind the boosted trees and linear models."""
    private = pytest.importorskip("sklearn._loss.loss")
    given = {"PinballLoss": {"quantile": 0.8}, "HuberLoss": {"delta": 1.5}, "HalfMultinomialLoss": {"n_classes": 4}}
    theirs = getattr(private, name)(**given.get(name, {}))
    ours = lm.from_sklearn(theirs)
    y, f = sample(ours)
    want, slope = theirs.loss_gradient(y.astype(float), f.copy())
    got, gradient = ours.value_and_gradient(y, f)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    bent = slice(1, None) if f.ndim == 1 else slice(None)  # at residual 0 scikit-learn has another subgradient
    np.testing.assert_allclose(gradient[bent], slope[bent], rtol=1e-9, atol=1e-12)


def _half(name: str) -> lm.WeightedSum:
    return lm.WeightedSum((name,), (0.5,))


@pytest.mark.parametrize(
    ("estimator", "loss"),
    [
        (linear_model.LinearRegression(), lm.MeanSquaredError()),
        (linear_model.Lasso(), _half("mse")),
        (linear_model.SGDRegressor(), _half("mse")),
        (linear_model.SGDRegressor(loss="huber", epsilon=0.3), lm.Huber(delta=0.3)),
        (linear_model.SGDRegressor(loss="epsilon_insensitive", epsilon=0), lm.MeanAbsoluteError()),
        (linear_model.SGDClassifier(), lm.Hinge()),
        (linear_model.SGDClassifier(loss="log_loss"), lm.BinaryCrossEntropy()),
        (linear_model.QuantileRegressor(quantile=0.2), lm.Quantile(q=0.2)),
        (linear_model.PoissonRegressor(), lm.PoissonNLL()),
        (linear_model.GammaRegressor(), lm.GammaNLL()),
        (linear_model.TweedieRegressor(), _half("mse")),
        (linear_model.TweedieRegressor(power=1), lm.PoissonNLL()),
        (linear_model.TweedieRegressor(power=1.3), lm.Tweedie(power=1.3)),
        (linear_model.TweedieRegressor(power=2), lm.GammaNLL()),
        (linear_model.LogisticRegression(), lm.BinaryCrossEntropy()),
        (ensemble.HistGradientBoostingRegressor(loss="quantile", quantile=0.3), lm.Quantile(q=0.3)),
        (ensemble.HistGradientBoostingRegressor(), _half("mse")),
        (ensemble.HistGradientBoostingRegressor(loss="poisson"), lm.PoissonNLL()),
        (ensemble.HistGradientBoostingClassifier(), lm.BinaryCrossEntropy()),
        (ensemble.GradientBoostingRegressor(loss="quantile", alpha=0.1), lm.Quantile(q=0.1)),
        (ensemble.GradientBoostingRegressor(loss="absolute_error"), lm.MeanAbsoluteError()),
        (svm.LinearSVC(), lm.SquaredHinge()),
        (svm.SVC(), lm.Hinge()),
        ("SGDRegressor(loss='huber', alpha=0.1)", lm.Huber(delta=0.1)),
        ("squared_error", _half("mse")),
    ],
    ids=str,
)
def test_estimators(estimator: Any, loss: Any) -> None:
    assert lm.from_sklearn(estimator) == loss


def test_a_fitted_classifier_says_how_many_classes_there_are() -> None:
    rng = np.random.default_rng(0)
    fitted = linear_model.LogisticRegression().fit(rng.normal(size=(30, 2)), np.arange(30) % 3)
    assert lm.from_sklearn(fitted) == lm.CategoricalCrossEntropy()


def test_a_fitted_huber_regressor() -> None:
    """Its loss of a residual r is sigma H(r / sigma), where sigma comes with the fit."""
    private = pytest.importorskip("sklearn.linear_model._huber")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, -2.0] + rng.standard_t(2, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = linear_model.HuberRegressor(alpha=0.0).fit(X, y)
    at = np.r_[fitted.coef_, fitted.intercept_, fitted.scale_]
    want, slope = private._huber_loss_and_gradient(at, X, y, fitted.epsilon, 0.0, np.ones(60))
    ours = lm.from_sklearn(fitted)
    np.testing.assert_allclose(ours(y, fitted.predict(X), reduction="sum") + 60 * fitted.scale_, want, rtol=1e-12)
    np.testing.assert_allclose(X.T @ ours.gradient(y, fitted.predict(X)), slope[:2], rtol=1e-9, atol=1e-9)


def test_all_scorers_and_losses_of_scikit_learn_are_known() -> None:
    from lossmith.frameworks.translation.sklearn import LIBRARY

    names = [*metrics.get_scorer_names(), *(n for n in metrics.__all__ if n.endswith(("_loss", "_error", "_deviance")))]
    assert [name for name in names if not LIBRARY.knows(name)] == []


@pytest.mark.parametrize(
    ("theirs", "given", "reason"),
    [
        ("r2", {}, "no mean of losses"),
        ("neg_root_mean_squared_error", {}, "no mean of losses"),
        (metrics.median_absolute_error, {}, "no mean of losses"),
        (metrics.mean_poisson_deviance, {}, "term of the targets"),
        (metrics.mean_absolute_percentage_error, {}, "no such loss"),
        (metrics.mean_squared_error, {"multioutput": "raw_values"}, "evenly"),
        (metrics.log_loss, {"normalize": False}, "reduction='sum'"),
        ("huber", {}, "depends on the estimator"),
        (linear_model.HuberRegressor(), {}, "give the fitted estimator"),
        (ensemble.GradientBoostingRegressor(loss="huber"), {}, "another one in each iteration"),
        (linear_model.TweedieRegressor(power=3), {}, "between 1 and 2"),
        (linear_model.TweedieRegressor(power=1, link="identity"), {}, "logarithm of the mean"),
        (svm.SVR(), {}, "insensitive tube"),
        (linear_model.SGDClassifier(loss="modified_huber"), {}, "no such loss"),
        ("mean_squared_eror", {}, "did you mean mean_squared_error"),
        (np.mean, {}, "no loss of sklearn"),
    ],
    ids=named,
)
def test_what_has_no_equal_is_refused_in_one_line(theirs: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        lm.from_sklearn(theirs, **given)
    assert reason in str(caught.value), caught.value
