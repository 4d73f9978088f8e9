"""to_xgboost: the built-in objectives are the oracle, and each hook has a control without it."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

import lossmith as lm
from frameworks.booster_data import CLASS, REAL, REFUSED, SIGNAL, TRAIN, TRAINABLE, WEIGHT, N, X, score, target

xgboost = pytest.importorskip("xgboost")
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*are not used")

PARAMS = {"nthread": 1, "tree_method": "hist", "seed": 0, "max_depth": 4, "learning_rate": 0.1}
BUILTIN = [
    (lm.BinaryCrossEntropy(), {"objective": "binary:logistic"}),
    (lm.PoissonNLL(), {"objective": "count:poisson"}),
    (lm.MeanSquaredError(), {"objective": "reg:squarederror"}),
    (lm.CategoricalCrossEntropy(), {"objective": "multi:softprob", "num_class": 3}),
    (lm.Quantile(q=0.9), {"objective": "reg:quantileerror", "quantile_alpha": 0.9}),
    (lm.Quantile(q=0.3), {"objective": "reg:quantileerror", "quantile_alpha": 0.3}),
    (lm.MeanAbsoluteError(), {"objective": "reg:absoluteerror"}),
]


def data(y=None, weight=None, rows=slice(0, TRAIN), **more):
    label = None if y is None else y[rows]
    return xgboost.DMatrix(X[rows], label, weight=None if weight is None else weight[rows], **more)


ALL, HELD_OUT = data(rows=slice(None)), data(rows=slice(TRAIN, None))


def shapes(model):
    return model.trees_to_dataframe()[["Tree", "Node", "Feature"]].values.tolist()


def refits() -> bool:
    return tuple(int(part) for part in xgboost.__version__.split(".")[:2]) < (3, 4)


@pytest.mark.parametrize(("loss", "own"), BUILTIN, ids=lambda item: repr(item)[:16])
@pytest.mark.parametrize(
    ("weight", "more"),
    [(None, {}), (WEIGHT, {"reg_lambda": 3.0}), (None, {"subsample": 0.6})],
    ids=["plain", "weighted", "bagged"],
)
def test_trees_and_predictions_are_those_of_the_builtin(loss, own, weight, more) -> None:
    y, booster = target(loss), lm.to_xgboost(loss)
    if booster.hooks.refits_leaves:
        if not refits():
            pytest.skip("this version refits leaves for its own objectives only")
        # XGBoost's quantile of the labels interpolates; a start between two labels, and both break no tie.
        more = {**more, "base_score": float(np.quantile(y[:TRAIN], 0.4) + 1e-3)}
    theirs = xgboost.train({**PARAMS, **own, **more}, data(y, weight), 25)
    ours = booster.train({**PARAMS, **more}, data(y, weight), 25)
    assert shapes(ours) == shapes(theirs)
    np.testing.assert_allclose(ours.predict(ALL), theirs.predict(ALL), rtol=1e-5)  # through the same link
    raw = [model.predict(ALL, output_margin=True) for model in (ours, theirs)]
    if loss.tier == "row-wise":  # a row of logits is known up to a constant, and starts differ by one
        raw = [rows - rows.mean(axis=1, keepdims=True) for rows in raw]
    np.testing.assert_allclose(raw[0], raw[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("loss", "own"), BUILTIN[4:], ids=lambda item: repr(item)[:16])
def test_from_its_own_start_a_quantile_scores_like_the_builtin(loss, own) -> None:
    theirs = xgboost.train({**PARAMS, **own}, data(REAL), 60)
    booster = lm.to_xgboost(loss)
    ours = booster.train(PARAMS, data(REAL), 60)
    wanted = score(loss, theirs.predict(HELD_OUT))
    assert score(loss, ours.predict(HELD_OUT)) == pytest.approx(wanted, rel=0.03)
    if own.get("quantile_alpha") == 0.9:  # control: without XGBoost's refit, which the callable alone does not get
        start = booster.init_score(REAL[:TRAIN])
        alone = xgboost.train({**PARAMS, "base_score": start}, data(REAL), 60, obj=booster.objective)
        assert score(loss, alone.predict(HELD_OUT)) > 1.06 * wanted


def test_pseudo_huber_from_one_start_grows_the_builtins_trees() -> None:
    booster = lm.to_xgboost(lm.PseudoHuber(delta=0.9))
    start = booster.init_score(REAL[:TRAIN].astype(np.float32))
    own = {"objective": "reg:pseudohubererror", "huber_slope": 0.9, "base_score": start}
    theirs, ours = xgboost.train({**PARAMS, **own}, data(REAL), 60), booster.train(PARAMS, data(REAL), 60)
    assert shapes(ours) == shapes(theirs)
    np.testing.assert_allclose(ours.predict(ALL), theirs.predict(ALL), rtol=1e-4, atol=1e-5)
    other = lm.to_xgboost(lm.Huber(delta=0.9)).train({**PARAMS, "base_score": start}, data(REAL), 60)
    assert shapes(other) != shapes(theirs), "the control"


def test_huber_scores_no_worse_than_pseudo_huber() -> None:
    loss, start = lm.Huber(delta=0.9), float(np.median(REAL))
    own = {"objective": "reg:pseudohubererror", "huber_slope": 0.9, "base_score": start}
    theirs = xgboost.train({**PARAMS, **own}, data(REAL), 200)
    booster = lm.to_xgboost(loss)
    ours = booster.train(PARAMS, data(REAL), 200)
    assert booster.hooks.curvature.kind == "reweighted"
    wanted = score(loss, theirs.predict(HELD_OUT))
    assert score(loss, ours.predict(HELD_OUT)) < 1.02 * wanted
    plain = lm.to_lightgbm(loss).objective  # control: the constant curvature that LightGBM's Huber loss has
    constant = xgboost.train({**PARAMS, "base_score": start}, data(REAL), 200, obj=plain_objective(plain))
    assert score(loss, constant.predict(HELD_OUT)) > 1.03 * wanted


def plain_objective(objective):
    return lambda raw, rows: objective(rows.get_label(), raw)


@pytest.mark.parametrize("loss", [lm.Huber(delta=0.9), lm.LogCosh(), lm.Tukey()], ids=repr)
def test_reweighted_curvature_as_formula_and_as_function(loss) -> None:
    curvature = lm.to_xgboost(loss).hooks.curvature
    y = np.zeros(9)
    f = np.array([-30.0, -2.0, -0.9, -1e-9, 0.0, 1e-3, 0.5, 3.0, 4.0])
    slope = loss.gradient(y, f)
    found = curvature.compute(y, f, slope)
    np.testing.assert_allclose(curvature.formula(y, f, *loss.parameters), found, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found, np.where(np.abs(f) < 1e-8, 1.0, slope / np.where(f == 0, 1, f)) ** 2, rtol=1e-12)


@pytest.mark.parametrize("loss", TRAINABLE, ids=repr)
def test_every_loss_trains_from_its_best_constant(loss) -> None:
    y, booster, seen = target(loss), lm.to_xgboost(loss), {}
    held_out = data(y, rows=slice(TRAIN, None))
    options = {"evals": [(held_out, "v")], "evals_result": seen, "verbose_eval": False}
    model = booster.train(PARAMS, data(y), 40, **options)
    raw = model.predict(HELD_OUT, output_margin=True)
    constant = np.broadcast_to(booster.init_score(y[:TRAIN]), raw.shape)
    assert score(loss, raw) < 0.95 * score(loss, constant)
    assert list(seen["v"]) == [loss.name]
    assert seen["v"][loss.name][-1] == pytest.approx(score(loss, raw), rel=1e-4)
    prediction = booster.predict(model, HELD_OUT)
    assert prediction.shape == raw.shape
    if booster.hooks.link.kind:
        np.testing.assert_allclose(model.predict(HELD_OUT), prediction, rtol=1e-4, atol=1e-6)


def test_with_a_wrong_start_the_builtin_is_not_matched() -> None:
    theirs = xgboost.train({**PARAMS, "objective": "count:poisson"}, data(target(lm.PoissonNLL())), 25)
    wrong = lm.to_xgboost(lm.PoissonNLL()).train({**PARAMS, "base_score": 1.0}, data(target(lm.PoissonNLL())), 25)
    assert np.abs(wrong.predict(ALL) - theirs.predict(ALL)).max() > 0.1


def test_margins_and_models_that_go_on_keep_their_start() -> None:
    loss = lm.PoissonNLL()
    booster, y = lm.to_xgboost(loss), target(loss)
    part = booster.train(PARAMS, data(y), 10)
    more, whole = booster.train(PARAMS, data(y), 10, xgb_model=part), booster.train(PARAMS, data(y), 20)
    np.testing.assert_allclose(more.predict(ALL), whole.predict(ALL), rtol=1e-4)
    offset = np.full(TRAIN, 1.5)
    theirs = xgboost.train({**PARAMS, "objective": "count:poisson"}, data(y, base_margin=offset), 10)
    ours = booster.train(PARAMS, data(y, base_margin=offset), 10)
    margins = data(base_margin=offset)
    np.testing.assert_allclose(ours.predict(margins), theirs.predict(margins), rtol=1e-4)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_callables_in_xgboosts_own_functions(weight) -> None:
    loss, y = lm.BinaryCrossEntropy(), target(lm.BinaryCrossEntropy())
    booster, own, seen = lm.to_xgboost(loss), {**PARAMS, "objective": "binary:logistic", "base_score": 0.7}, {}
    theirs = xgboost.train(own, data(y, weight), 15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = xgboost.train(
            own,
            data(y, weight),
            15,
            obj=booster.objective,
            custom_metric=booster.metric,
            evals=[(data(y, weight, slice(TRAIN, None)), "v")],
            evals_result=seen,
            verbose_eval=False,
        )
    np.testing.assert_allclose(ours.predict(ALL), theirs.predict(ALL), rtol=1e-5)
    raw = ours.predict(HELD_OUT, output_margin=True)
    expected = float(loss(y[TRAIN:], raw, None if weight is None else weight[TRAIN:]))
    assert seen["v"]["bce"][-1] == pytest.approx(expected, rel=1e-4)
    assert seen["v"]["logloss"][-1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weight", [None, WEIGHT[:TRAIN]], ids=["unweighted", "weighted"])
def test_estimators(weight) -> None:
    booster, y = lm.to_xgboost(lm.MeanSquaredError()), REAL[:TRAIN]
    common = {"n_estimators": 15, "max_depth": 4, "n_jobs": 1, "base_score": booster.init_score(y)}
    ours = xgboost.XGBRegressor(objective=booster.objective, eval_metric=booster.metric, **common)
    ours.fit(X[:TRAIN], y, sample_weight=weight, eval_set=[(X, REAL)], verbose=False)
    theirs = xgboost.XGBRegressor(**common).fit(X[:TRAIN], y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4)
    error = ours.evals_result()["validation_0"]["mse"][-1]
    assert error == pytest.approx(np.mean((ours.predict(X) - REAL) ** 2), rel=1e-4)


def test_a_start_far_off_is_said() -> None:
    with pytest.warns(UserWarning, match="best constant is 20"):
        xgboost.train(PARAMS, data(REAL), 2, obj=lm.to_xgboost(lm.Huber()).objective)


def test_a_version_without_refit_is_said(monkeypatch) -> None:
    monkeypatch.setattr(xgboost, "__version__", "3.4.0")
    with pytest.warns(UserWarning, match="does not refit"):
        lm.to_xgboost(lm.Quantile()).train(PARAMS, data(REAL), 1)


@pytest.mark.parametrize("loss", REFUSED, ids=repr)
def test_losses_without_raw_scores_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="cannot train"):
        lm.to_xgboost(loss)


@pytest.mark.parametrize(
    ("loss", "params", "y", "words"),
    [
        (lm.Huber(), {"objective": "reg:absoluteerror"}, REAL, "leave it out"),
        (lm.BinaryCrossEntropy(), {}, SIGNAL, "label holds"),
        (lm.CategoricalCrossEntropy(), {}, CLASS + 0.5, "class codes"),
        (lm.Huber(), {}, np.full(N, -np.inf), "label holds|contains"),
    ],
)
def test_bad_input_is_named_in_one_line(loss, params, y, words) -> None:
    with pytest.raises(ValueError, match=words):
        lm.to_xgboost(loss).train({**PARAMS, **params}, data(y), 2)


def test_a_missing_package_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[xgboost\]'"):
        lm.to_xgboost(lm.Huber()).train({}, None)
