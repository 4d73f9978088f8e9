"""to_catboost: the built-in objectives are the oracle, and each hook has a control without it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import lossmith as lm
from frameworks.booster_data import CLASS, COUNT, REAL, REFUSED, SIGNAL, TRAIN, TRAINABLE, WEIGHT, X, score, target

catboost = pytest.importorskip("catboost")

PARAMS = {
    "iterations": 25,
    "learning_rate": 0.1,
    "depth": 4,
    "verbose": 0,
    "thread_count": 1,
    "allow_writing_files": False,
    "random_seed": 0,
}
BUILTIN = [
    (lm.BinaryCrossEntropy(), "Logloss"),
    (lm.PoissonNLL(), "Poisson"),
    (lm.MeanSquaredError(), "RMSE"),
    (lm.Huber(delta=0.9), "Huber:delta=0.9"),
]


def pool(y, weight=None, rows=slice(0, TRAIN), start=None):
    found = catboost.Pool(X[rows], y[rows], weight=None if weight is None else weight[rows])
    if start is not None:
        found.set_baseline(np.tile(np.atleast_1d(start), (found.num_row(), 1)))
    return found


@pytest.mark.parametrize(("loss", "own"), BUILTIN, ids=lambda item: item if isinstance(item, str) else "")
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_predictions_are_those_of_the_builtin_from_the_same_start(loss, own, weight) -> None:
    y, booster = target(loss), lm.to_catboost(loss)
    start = booster.init_score(y[:TRAIN], None if weight is None else weight[:TRAIN])
    theirs = catboost.CatBoost({**PARAMS, "loss_function": own}).fit(pool(y, weight, start=start))
    rows = pool(y, weight)
    ours = booster.train({**PARAMS, "leaf_estimation_backtracking": "No"}, rows)
    expected = theirs.predict(X, prediction_type="RawFormulaVal") + start
    np.testing.assert_allclose(ours.predict(X, prediction_type="RawFormulaVal"), expected, rtol=1e-6, atol=1e-6)
    assert rows.get_baseline().shape == (TRAIN, 0)  # the pool is as it was


def test_with_a_wrong_start_the_builtin_is_not_matched() -> None:
    loss = lm.PoissonNLL()
    theirs = catboost.CatBoost({**PARAMS, "loss_function": "Poisson"}).fit(pool(COUNT, start=2.0))
    wrong = lm.to_catboost(loss).train(PARAMS, pool(COUNT, start=1.5))
    assert np.abs(wrong.predict(X) + 1.5 - theirs.predict(X, prediction_type="RawFormulaVal") - 2.0).max() > 0.1


def test_softmax_is_multiclass() -> None:
    """CatBoost calls the objective row by row, so that this is small."""
    rows, booster = slice(0, 250), lm.to_catboost(lm.CategoricalCrossEntropy())
    start = booster.init_score(CLASS[rows])
    own = {**PARAMS, "iterations": 4, "loss_function": "MultiClass", "leaf_estimation_backtracking": "No"}
    theirs = catboost.CatBoost(own).fit(pool(CLASS, rows=rows, start=start))
    ours = booster.train({**PARAMS, "iterations": 4}, pool(CLASS, rows=rows))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X) + start, rtol=1e-6, atol=1e-6)
    probabilities = booster.predict(ours, X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    focal = lm.to_catboost(lm.CategoricalFocal(gamma=1.0))
    model = focal.train({**PARAMS, "iterations": 4}, pool(CLASS, rows=rows))
    assert score(focal.loss, model.predict(X[TRAIN:])) < score(
        focal.loss, np.tile(focal.init_score(CLASS[rows]), (X[TRAIN:].shape[0], 1))
    )


@pytest.mark.parametrize(
    ("loss", "own"),
    [
        (lm.Quantile(q=0.9), "Quantile:alpha=0.9"),
        (lm.Quantile(q=0.3), "Quantile:alpha=0.3"),
        (lm.MeanAbsoluteError(), "MAE"),
    ],
    ids=["0.9", "0.3", "mae"],
)
def test_leaves_settled_by_newton_steps_score_like_exact_ones(loss, own) -> None:
    params = {**PARAMS, "iterations": 60}
    theirs = catboost.CatBoost({**params, "loss_function": own}).fit(pool(REAL))
    booster = lm.to_catboost(loss)
    found = score(loss, booster.train(params, pool(REAL)).predict(X[TRAIN:]))
    wanted = score(loss, theirs.predict(X[TRAIN:]))
    assert found < 1.03 * wanted
    one = booster.train({**params, "leaf_estimation_iterations": 1}, pool(REAL))  # control: a single step
    assert score(loss, one.predict(X[TRAIN:])) > found


@pytest.mark.parametrize("loss", [loss for loss in TRAINABLE if loss.tier == "elementwise"], ids=repr)
def test_every_loss_trains_from_its_best_constant(loss) -> None:
    y, booster = target(loss), lm.to_catboost(loss)
    held_out = pool(y, rows=slice(TRAIN, None))
    model = booster.train({**PARAMS, "iterations": 40}, pool(y), held_out, use_best_model=False)
    raw = model.predict(X[TRAIN:], prediction_type="RawFormulaVal")
    constant = np.full(raw.shape, booster.init_score(y[:TRAIN]))
    assert score(loss, raw) < 0.93 * score(loss, constant)
    (curve,) = model.get_evals_result()["validation"].values()
    assert curve[-1] == pytest.approx(score(loss, raw), rel=1e-5)
    assert booster.predict(model, X[TRAIN:]).shape == raw.shape


@pytest.mark.parametrize("weight", [None, WEIGHT[:TRAIN]], ids=["unweighted", "weighted"])
def test_estimators(weight) -> None:
    booster, y = lm.to_catboost(lm.MeanSquaredError()), REAL[:TRAIN] - 20
    ours = catboost.CatBoostRegressor(loss_function=booster.objective, eval_metric=booster.metric, **PARAMS)
    theirs = catboost.CatBoostRegressor(boost_from_average=False, **PARAMS)
    for estimator in (ours, theirs):
        estimator.fit(X[:TRAIN], y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", REFUSED, ids=repr)
def test_losses_without_raw_scores_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="cannot train"):
        lm.to_catboost(loss)


@pytest.mark.parametrize(
    ("loss", "params", "y", "words"),
    [
        (lm.Huber(), {"loss_function": "MAE"}, REAL, "leave it out"),
        (lm.BinaryCrossEntropy(), {}, SIGNAL, "label holds"),
        (lm.CategoricalCrossEntropy(), {}, CLASS + 0.5, "class codes"),
    ],
)
def test_bad_input_is_named_in_one_line(loss, params, y, words) -> None:
    with pytest.raises(ValueError, match=words):
        lm.to_catboost(loss).train({**PARAMS, **params}, pool(y))


def test_a_missing_package_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[catboost\]'"):
        lm.to_catboost(lm.Huber()).train({}, None)
