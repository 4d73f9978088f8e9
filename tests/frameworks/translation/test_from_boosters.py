"""Objectives of the boosters in Lossmith's words: the numbers of their metrics, and the gradients in their leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import sample

# --- what they are called -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "loss"),
    [
        (lm.from_xgboost("reg:squarederror"), lm.MeanSquaredError()),
        (lm.from_xgboost("reg:pseudohubererror"), lm.PseudoHuber(delta=1.0)),
        (lm.from_xgboost("reg:pseudohubererror", huber_slope=2.0), lm.PseudoHuber(delta=2.0)),
        (lm.from_xgboost("reg:quantileerror", quantile_alpha=0.9), lm.Quantile(q=0.9)),
        (lm.from_xgboost({"objective": "reg:quantileerror", "quantile_alpha": [0.2], "eta": 1}), lm.Quantile(q=0.2)),
        (lm.from_xgboost({"objective": "multi:softprob", "num_class": 3}), lm.CategoricalCrossEntropy()),
        (lm.from_lightgbm("huber"), lm.Huber(delta=0.9)),
        (lm.from_lightgbm("quantile"), lm.Quantile(q=0.9)),
        (lm.from_lightgbm("mae"), lm.MeanAbsoluteError()),
        (lm.from_lightgbm({"objective": "huber", "alpha": 2, "num_leaves": 7}), lm.Huber(delta=2.0)),
        (lm.from_lightgbm("xentropy"), lm.BinaryCrossEntropy()),
        (lm.from_catboost("Quantile"), lm.Quantile(q=0.5)),
        (lm.from_catboost("Huber:delta=2"), lm.Huber(delta=2.0)),
        (lm.from_catboost("Huber", delta=2), lm.Huber(delta=2.0)),
        (
            lm.from_catboost({"loss_function": "Focal:focal_alpha=0.3;focal_gamma=1"}),
            lm.BinaryFocal(alpha=0.3, gamma=1),
        ),
    ],
    ids=repr,
)
def test_names_defaults_and_parameters(found: Any, loss: Any) -> None:
    assert found == loss


@pytest.mark.parametrize(
    ("read", "given", "reason"),
    [
        (lm.from_xgboost, ("reg:squaredlogerror",), "no such loss"),
        (lm.from_xgboost, ("reg:tweedie(tweedie_variance_power=2.5)",), "between 1 and 2"),
        (lm.from_xgboost, ("rank:ndcg",), "ranking"),
        (lm.from_xgboost, ("survival:cox",), "survival"),
        (lm.from_xgboost, ("reg:quantileerror",), "q=None"),
        (lm.from_xgboost, ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},), "2 quantiles"),
        (lm.from_xgboost, ({"objective": "binary:logistic", "scale_pos_weight": 5},), "sample_weight"),
        (lm.from_xgboost, ("reg:squarederor",), "did you mean reg:squarederror"),
        (lm.from_xgboost, ({"max_depth": 3},), "'objective' is None"),
        (lm.from_xgboost, (3.0,), "an objective's name"),
        (lm.from_lightgbm, ("fair",), "no such loss"),
        (lm.from_lightgbm, ("mape",), "no such loss"),
        (lm.from_lightgbm, ("multiclassova",), "binary loss for each class"),
        (lm.from_lightgbm, ({"objective": "binary", "is_unbalance": True},), "sample_weight"),
        (lm.from_lightgbm, ({"objective": "binary", "sigmoid": 2.0},), "exp(-score)"),
        (lm.from_lightgbm, ({"objective": "l2", "reg_sqrt": True},), "roots"),
        (lm.from_lightgbm, ({"objective": print},), "give an objective's name"),
        (lm.from_catboost, ("Expectile:alpha=0.3",), "no such loss"),
        (lm.from_catboost, ("Huber",), "delta=None"),
        (lm.from_catboost, ("Quantile:alpha=0.3;delta=0.5",), "moves the kink"),
        (lm.from_catboost, ("YetiRank",), "ranking"),
    ],
)
def test_what_has_no_equal_is_refused_in_one_line(read: Any, given: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        read(*given)
    assert reason in str(caught.value), caught.value


def rows(loss: Any) -> tuple[Any, Any, Any]:
    """Labels, raw scores and their float32 forms, without the first row (residual 0)."""
    y, f = sample(loss)
    y, f = y[1:], np.asarray(f[1:], np.float32).astype(float)
    return np.asarray(y, np.float32).astype(y.dtype), f, np.asarray(y, float)


# --- XGBoost --------------------------------------------------------------------------------------------

XGBOOST = [
    ({"objective": "reg:absoluteerror"}, "mae"),
    ({"objective": "reg:pseudohubererror", "huber_slope": 2.0}, "mphe"),
    ({"objective": "reg:pseudohubererror"}, "mphe"),
    ({"objective": "reg:squarederror"}, "rmse"),
    ({"objective": "reg:quantileerror", "quantile_alpha": 0.9}, "quantile"),
    ({"objective": "binary:logistic"}, "logloss"),
    ({"objective": "reg:logistic"}, "logloss"),
    ({"objective": "count:poisson"}, "poisson-nloglik"),
    ({"objective": "reg:gamma"}, "gamma-nloglik"),
    ({"objective": "reg:tweedie", "tweedie_variance_power": 1.2}, "tweedie-nloglik@1.2"),
    ({"objective": "multi:softprob", "num_class": 4}, "mlogloss"),
]
LOW = {"nthread": 1, "max_depth": 1, "learning_rate": 1.0, "base_score": 0.5, "tree_method": "exact"}


@pytest.mark.parametrize(("own", "metric"), XGBOOST, ids=lambda item: str(item)[:60])
def test_values_are_those_of_xgboosts_metric(own: Any, metric: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    loss = lm.from_xgboost(own)
    y, f, label = rows(loss)
    data = xgboost.DMatrix(np.zeros((len(y), 1)), label, base_margin=f)
    seen: dict[str, Any] = {}
    options = {**LOW, **own, "learning_rate": 0.0, "eval_metric": metric}
    xgboost.train(options, data, 1, evals=[(data, "d")], evals_result=seen, verbose_eval=False)
    want = seen["d"][metric][0]
    if metric == "rmse":
        want = want**2
    if metric == "poisson-nloglik":  # log(y!) is a constant that the loss leaves out
        want -= np.mean([math.lgamma(count + 1) for count in y])
    assert float(loss(y, f)) == pytest.approx(want, rel=2e-5)
    assert float(loss(y, f)) != pytest.approx(0.9 * want, rel=2e-5)


@pytest.mark.parametrize("own", [own for own, _ in XGBOOST[1:4] + XGBOOST[5:10]], ids=str)
def test_gradients_are_those_in_xgboosts_leaves(own: Any) -> None:
    """A leaf of one row holds -g / (h + lambda); two lambdas tell g, which is half the square's."""
    xgboost = pytest.importorskip("xgboost")
    loss = lm.from_xgboost(own)
    y, f, label = rows(loss)
    some = slice(0, None, 4)
    want = []
    for one, raw in zip(label[some], f[some], strict=True):
        data = xgboost.DMatrix(np.zeros((1, 1)), [one], base_margin=[raw])
        leaf = []
        for ridge in (1.0, 3.0):
            options = {**LOW, **own, "reg_lambda": ridge, "min_child_weight": 0, "max_delta_step": 0}
            model = xgboost.train(options, data, 1)
            leaf.append(float(model.predict(data, output_margin=True)[0]) - raw)
        want.append(-2.0 / (1.0 / leaf[1] - 1.0 / leaf[0]))
    factor = 0.5 if own["objective"] == "reg:squarederror" else 1.0
    np.testing.assert_allclose(factor * loss.gradient(y[some], f[some]), want, rtol=2e-3, atol=1e-4)


def test_estimators_of_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost")
    assert lm.from_xgboost(xgboost.XGBRegressor()) == lm.MeanSquaredError()
    estimator = xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=0.3)
    assert lm.from_xgboost(estimator) == lm.Quantile(q=0.3)


# --- LightGBM -------------------------------------------------------------------------------------------

LIGHTGBM = [
    ({"objective": "regression"}, "l2"),
    ({"objective": "regression_l1"}, "l1"),
    ({"objective": "huber", "alpha": 0.9}, "huber"),
    ({"objective": "huber", "alpha": 2.0}, "huber"),
    ({"objective": "quantile", "alpha": 0.9}, "quantile"),
    ({"objective": "quantile", "alpha": 0.2}, "quantile"),
    ({"objective": "poisson"}, "poisson"),
    ({"objective": "gamma"}, "gamma"),
    ({"objective": "tweedie", "tweedie_variance_power": 1.7}, "tweedie"),
    ({"objective": "binary"}, "binary_logloss"),
    ({"objective": "cross_entropy"}, "cross_entropy"),
    ({"objective": "multiclass", "num_class": 4}, "multi_logloss"),
]
QUIET = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1, "boost_from_average": False}


def _lightgbm(own: Any, y: Any, f: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
    lightgbm = pytest.importorskip("lightgbm")
    seen: dict[str, Any] = {}
    X = (np.arange(len(y)) >= len(y) // 2)[:, None].astype(float)
    start = f.ravel(order="F")
    options = {**QUIET, **own, "min_sum_hessian_in_leaf": 1e-12, "num_leaves": 4 * len(y), **more}
    data = lightgbm.Dataset(X, np.asarray(y, float), init_score=start, params=options, free_raw_data=False)
    callbacks = [lightgbm.record_evaluation(seen)]
    model = lightgbm.train(options, data, 1, valid_sets=[data], valid_names=["d"], callbacks=callbacks)
    return model.predict(X, raw_score=True), seen


@pytest.mark.parametrize(("own", "metric"), LIGHTGBM, ids=lambda item: str(item)[:60])
def test_values_are_those_of_lightgbms_metric(own: Any, metric: str) -> None:
    loss = lm.from_lightgbm(own)
    y, f, label = rows(loss)
    _, seen = _lightgbm(own, label, f, metric=metric, learning_rate=1e-12)
    assert float(loss(y, f)) == pytest.approx(seen["d"][metric][0], rel=2e-6)


@pytest.mark.parametrize("own", [own for own, _ in (*LIGHTGBM[:1], *LIGHTGBM[2:4], *LIGHTGBM[6:11])], ids=str)
def test_gradients_are_those_in_lightgbms_leaves(own: Any) -> None:
    """As above, with a leaf for each of two rows."""
    loss = lm.from_lightgbm(own)
    y, f, label = rows(loss)
    factor = 0.5 if own["objective"] == "regression" else 1.0
    slope = factor * loss.gradient(y, f)
    highest, lowest = int(np.argmax(slope)), int(np.argmin(slope))
    for i in range(0, len(y), 3):
        pair = [i, highest if slope[i] < 0 else lowest]  # gradients of one sign may not be worth a split
        many = np.repeat(pair, 50)  # LightGBM guesses from Hessians how many rows a leaf has
        leaf = [_lightgbm(own, label[many], f[many], lambda_l2=50 * r, learning_rate=1.0)[0][0] for r in (1.0, 3.0)]
        assert slope[i] == pytest.approx(-2.0 / (1.0 / leaf[1] - 1.0 / leaf[0]), rel=1e-4)


def test_estimators_of_lightgbm() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    assert lm.from_lightgbm(lightgbm.LGBMRegressor()) == lm.MeanSquaredError()
    assert lm.from_lightgbm(lightgbm.LGBMClassifier()) == lm.BinaryCrossEntropy()
    assert lm.from_lightgbm(lightgbm.LGBMRegressor(objective="huber", alpha=2.0)) == lm.Huber(delta=2.0)


# --- CatBoost -------------------------------------------------------------------------------------------

CATBOOST = [
    "MAE",
    "RMSE",
    "Quantile:alpha=0.9",
    "Huber:delta=2",
    "LogCosh",
    "Poisson",
    "Tweedie:variance_power=1.5",
    "Logloss",
    "CrossEntropy",
    "Focal:focal_alpha=0.3;focal_gamma=1.5",
    "MultiClass",
]


@pytest.mark.parametrize("name", CATBOOST)
def test_values_and_gradients_are_those_of_catboosts_metric(name: str) -> None:
    """The gradient is the metric's, by central differences in the first scores."""
    utils = pytest.importorskip("catboost.utils")
    loss = lm.from_catboost(name)
    y, f, label = rows(loss)

    def metric(raw: Any) -> float:
        found = utils.eval_metric(label, raw, name, thread_count=1)[0]
        return float(found**2 if name == "RMSE" else found)

    # CatBoost's log cosh is off by up to 1e-4.
    value, gradient = (1e-4, 0.02) if name == "LogCosh" else (1e-6, 1e-4)
    assert float(loss(y, f)) == pytest.approx(metric(f), rel=value)
    slope = loss.gradient(y, f) / len(y)
    for i in (3, 11, 20):
        step = np.zeros_like(f)
        step[i] += np.eye(1, f.shape[-1], 1)[0] * 1e-4 if f.ndim == 2 else 1e-4
        found = (metric(f + step) - metric(f - step)) / 2e-4
        assert found == pytest.approx(slope[i][1] if f.ndim == 2 else slope[i], rel=gradient, abs=1e-7)


def test_estimators_of_catboost() -> None:
    catboost = pytest.importorskip("catboost")
    assert lm.from_catboost(catboost.CatBoostRegressor(loss_function="Huber:delta=2")) == lm.Huber(delta=2.0)
    assert lm.from_catboost(catboost.CatBoostRegressor()) == lm.MeanSquaredError()


# --- trees ----------------------------------------------------------------------------------------------

FAMILY = [
    (lm.GammaNLL(), {"objective": "gamma"}),
    (lm.Tweedie(power=1.3), {"objective": "tweedie", "tweedie_variance_power": 1.3}),
]


@pytest.mark.parametrize(("loss", "own"), FAMILY, ids=lambda item: str(item)[:24])
def test_gamma_and_tweedie_grow_the_trees_of_the_builtin_objectives(loss: Any, own: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = rng.gamma(2.0, np.exp(X[:, 0]) / 2.0) + 1e-6
    if isinstance(loss, lm.Tweedie):
        y[::3] = 0.0
    lightgbm = pytest.importorskip("lightgbm")
    params = {"verbosity": -1, "num_threads": 1, "seed": 0, "num_leaves": 8}
    theirs = lightgbm.train({**params, **own}, lightgbm.Dataset(X, y), 10).predict(X)
    ours = lm.to_lightgbm(loss).train(params, lightgbm.Dataset(X, y), 10).predict(X)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    xgboost = pytest.importorskip("xgboost")
    params, data = {"nthread": 1, "max_depth": 3}, xgboost.DMatrix(X, y)
    theirs = xgboost.train({**params, **own, "objective": f"reg:{own['objective']}"}, data, 10).predict(data)
    np.testing.assert_allclose(lm.to_xgboost(loss).train(params, data, 10).predict(data), theirs, rtol=1e-5)
