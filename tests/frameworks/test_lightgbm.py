"""to_lightgbm: the built-in objectives are the oracle, and each hook has a control without it."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

import lossmith as lm
from frameworks.booster_data import (
    BIT,
    CLASS,
    COUNT,
    REAL,
    REFUSED,
    SIGNAL,
    TRAIN,
    TRAINABLE,
    WEIGHT,
    N,
    X,
    score,
    target,
)
from lossmith.frameworks import lightgbm_refit
from lossmith.frameworks.boosting import Derivatives
from lossmith.frameworks.leaves import LeafRefit, add_leaves, leaves_of

lightgbm = pytest.importorskip("lightgbm")

PARAMS = {"verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 0, "num_leaves": 12, "force_row_wise": True}
BUILTIN = [
    (lm.BinaryCrossEntropy(), {"objective": "binary"}),
    (lm.PoissonNLL(), {"objective": "poisson"}),
    (lm.MeanSquaredError(), {"objective": "regression"}),
    (lm.CategoricalCrossEntropy(), {"objective": "multiclass", "num_class": 3}),
]


def data(y, weight=None, rows=slice(0, TRAIN), **more):
    return lightgbm.Dataset(
        X[rows], y[rows].astype(np.float32), weight=None if weight is None else weight[rows], **more
    )


def shapes(model):
    """Splits of all trees."""
    table = model.trees_to_dataframe()
    return table[["tree_index", "node_index", "split_feature"]].fillna("").values.tolist(), table.threshold.to_numpy()


@pytest.mark.parametrize(("loss", "own"), BUILTIN, ids=lambda item: getattr(item, "name", ""))
@pytest.mark.parametrize(
    ("weight", "more"),
    [(None, {}), (WEIGHT, {"lambda_l2": 2.0}), (None, {"bagging_fraction": 0.6, "bagging_freq": 1})],
    ids=["plain", "weighted", "bagged"],
)
def test_trees_and_predictions_are_those_of_the_builtin(loss, own, weight, more) -> None:
    y = target(loss)
    theirs = lightgbm.train({**PARAMS, **own, **more}, data(y, weight), 25)
    ours = lm.to_lightgbm(loss).train({**PARAMS, **more}, data(y, weight), 25)
    splits, thresholds = shapes(theirs)
    assert shapes(ours)[0] == splits
    np.testing.assert_array_equal(shapes(ours)[1], thresholds)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=2e-6)  # through the same link
    raw = theirs.predict(X, raw_score=True)
    np.testing.assert_allclose(ours.predict(X, raw_score=True), raw, rtol=2e-6, atol=2e-6)


def test_huber_from_the_builtins_start_is_the_builtin() -> None:
    """LightGBM starts Huber's loss at the mean; ours starts at Huber's own centre, and scores no worse."""
    loss, own = lm.Huber(delta=0.9), {"objective": "huber", "alpha": 0.9}
    theirs = lightgbm.train({**PARAMS, **own}, data(REAL), 60)
    mean = REAL[:TRAIN].astype(np.float32).mean(dtype=float)
    ours = lm.to_lightgbm(loss).train(PARAMS, data(REAL, init_score=np.full(TRAIN, mean)), 60)
    np.testing.assert_allclose(ours.predict(X) + mean, theirs.predict(X), rtol=1e-6)
    own_start = lm.to_lightgbm(loss).train(PARAMS, data(REAL), 60)
    assert score(loss, own_start.predict(X[TRAIN:])) == pytest.approx(score(loss, theirs.predict(X[TRAIN:])), rel=0.03)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(
    ("loss", "own"),
    [
        (lm.Quantile(q=0.9), {"objective": "quantile", "alpha": 0.9}),
        (lm.Quantile(q=0.3), {"objective": "quantile", "alpha": 0.3}),
        (lm.MeanAbsoluteError(), {"objective": "regression_l1"}),
    ],
    ids=["0.9", "0.3", "mae"],
)
def test_refitted_leaves_score_like_the_builtin(loss, own, weight) -> None:
    theirs = lightgbm.train({**PARAMS, **own}, data(REAL, weight), 60)
    ours = lm.to_lightgbm(loss).train(PARAMS, data(REAL, weight), 60)
    plain = lightgbm.train({**PARAMS, "objective": lm.to_lightgbm(loss).objective}, started(loss, weight), 60)
    found, wanted = score(loss, ours.predict(X[TRAIN:])), score(loss, theirs.predict(X[TRAIN:]))
    assert found == pytest.approx(wanted, rel=0.04)
    if loss.name == "quantile" and loss.q == 0.9:  # control: the callable alone cannot refit
        alone = plain.predict(X[TRAIN:]) + lm.to_lightgbm(loss).init_score(REAL[:TRAIN], None)
        assert score(loss, alone) > 1.06 * wanted


def started(loss, weight=None):
    start = lm.to_lightgbm(loss).init_score(target(loss)[:TRAIN])
    return data(target(loss), weight, init_score=np.full(TRAIN, start))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_each_refitted_leaf_is_a_quantile_of_its_rows(weight) -> None:
    """One tree at learning rate 1: between two rows as LightGBM has it; with weights the minimiser of the loss."""
    model = lm.to_lightgbm(lm.Quantile(q=0.7)).train({**PARAMS, "eta": 1.0}, data(REAL, weight), 1)
    leaf = model.predict(X[:TRAIN], pred_leaf=True).ravel()
    assert len(np.unique(leaf)) > 8
    for number in np.unique(leaf):
        rows = np.flatnonzero(leaf == number)
        own, found = REAL[:TRAIN][rows].astype(np.float32), model.predict(X[rows[:1]])[0]
        if weight is None:
            assert found == pytest.approx(np.quantile(own, 0.7), abs=1e-5)
        else:
            mean = [lm.Quantile(q=0.7)(own, np.full_like(own, f), weight[:TRAIN][rows]) for f in (found, *own)]
            assert mean[0] <= min(mean) * (1 + 1e-6)


def test_under_the_builtins_rule_the_trees_are_the_builtins() -> None:
    """From the same start every split is the same; with minimisers in the leaves the first trees differ."""
    start = {"init_score": np.full(TRAIN, np.median(REAL[:TRAIN]))}
    own = {**PARAMS, "objective": "quantile", "alpha": 0.9, "boost_from_average": False}
    theirs = lightgbm.train(own, data(REAL, None, **start), 20)
    ours = lm.to_lightgbm(lm.Quantile(q=0.9)).train(PARAMS, data(REAL, None, **start), 20)
    np.testing.assert_allclose(ours.predict(X, raw_score=True), theirs.predict(X, raw_score=True), rtol=1e-6, atol=1e-6)


def test_refitted_scores_reach_metrics_callbacks_and_early_stopping() -> None:
    loss, seen = lm.Quantile(q=0.9), {}
    booster = lm.to_lightgbm(loss)
    train, valid = data(REAL), data(REAL, rows=slice(TRAIN, None))
    callbacks = [lightgbm.record_evaluation(seen), lightgbm.early_stopping(5, verbose=False)]
    model = booster.train(PARAMS, train, 80, valid_sets=[valid, train], valid_names=["v", "t"], callbacks=callbacks)
    curve = seen["v"]["quantile"]
    assert model.best_iteration in (int(np.argmin(curve)) + 1, 80)
    for rounds in (1, 7, len(curve)):
        raw = model.predict(X, num_iteration=rounds)
        assert curve[rounds - 1] == pytest.approx(score(loss, raw[TRAIN:]), rel=1e-5)
        assert seen["t"]["quantile"][rounds - 1] == pytest.approx(score(loss, raw[:TRAIN], slice(0, TRAIN)), rel=1e-5)


def test_learning_rates_that_change_and_models_that_go_on() -> None:
    loss, rates = lm.MeanAbsoluteError(), [0.3] * 4 + [0.01] * 4
    booster = lm.to_lightgbm(loss)
    changing = [lightgbm.reset_parameter(learning_rate=rates)]
    slow = booster.train(PARAMS, data(REAL), 8, callbacks=changing).predict(X)
    fast = booster.train({**PARAMS, "learning_rate": 0.3}, data(REAL), 4).predict(X)
    assert np.abs(slow - fast).max() < 0.2
    assert np.abs(booster.train({**PARAMS, "learning_rate": 0.3}, data(REAL), 8).predict(X) - fast).max() > 0.3
    for loss in (lm.Quantile(q=0.9), lm.PoissonNLL()):
        booster, y = lm.to_lightgbm(loss), target(loss)
        part = booster.train(PARAMS, data(y, free_raw_data=False), 10)
        more = booster.train(PARAMS, data(y, free_raw_data=False), 10, init_model=part)
        whole = booster.train(PARAMS, data(y), 20)
        assert score(loss, more.predict(X[TRAIN:], raw_score=True)) == pytest.approx(
            score(loss, whole.predict(X[TRAIN:], raw_score=True)), rel=0.03
        )


# --- the start ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", TRAINABLE, ids=repr)
def test_every_loss_trains_from_its_best_constant(loss) -> None:
    y, booster = target(loss), lm.to_lightgbm(loss)
    set_, valid, seen = data(y), data(y, rows=slice(TRAIN, None)), {}
    model = booster.train(PARAMS, set_, 30, valid_sets=[valid], callbacks=[lightgbm.record_evaluation(seen)])
    raw = model.predict(X[TRAIN:], raw_score=True)
    constant = np.broadcast_to(booster.init_score(y[:TRAIN]), raw.shape)
    assert score(loss, raw) < 0.93 * score(loss, constant)
    assert seen["valid_0"][loss.name][-1] == pytest.approx(score(loss, raw), rel=1e-5)
    assert set_.get_init_score() is None  # the dataset is as it was
    assert valid.get_init_score() is None
    again = lightgbm.Booster(model_str=model.model_to_string())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    prediction = booster.predict(model, X[TRAIN:])
    assert prediction.shape == raw.shape
    if booster.hooks.link.kind:
        np.testing.assert_allclose(model.predict(X[TRAIN:]), prediction, rtol=1e-12)


def test_with_a_wrong_start_the_builtin_is_not_matched() -> None:
    theirs = lightgbm.train({**PARAMS, "objective": "poisson"}, data(COUNT), 25)
    wrong = lm.to_lightgbm(lm.PoissonNLL()).train(PARAMS, data(COUNT, init_score=np.zeros(TRAIN)), 25)
    away = np.abs(wrong.predict(X, raw_score=True) - theirs.predict(X, raw_score=True))
    assert away.max() > 0.1


def test_a_tree_without_splits_still_holds_the_start() -> None:
    flat = lightgbm.Dataset(np.ones((50, 1)), REAL[:50], params={"min_data_in_bin": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lm.to_lightgbm(lm.MeanAbsoluteError()).train({**PARAMS, "feature_pre_filter": False}, flat, 3)
    np.testing.assert_allclose(model.predict(np.ones((2, 1))), np.median(REAL[:50]), rtol=1e-6)


# --- plain callables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [lm.BinaryCrossEntropy(), lm.CategoricalCrossEntropy()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_callables_in_lightgbms_own_functions(loss, weight) -> None:
    y, booster, outputs = target(loss), lm.to_lightgbm(loss), 3 if loss.tier == "row-wise" else 1
    own = "multiclass" if outputs == 3 else "binary"
    given = {**PARAMS, "num_class": outputs, "boost_from_average": False}
    theirs = lightgbm.train({**given, "objective": own}, data(y, weight, init_score=np.zeros(TRAIN * outputs)), 15)
    seen = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours = lightgbm.train(
            {**given, "objective": booster.objective, "metric": "None"},
            data(y, weight),
            15,
            valid_sets=[data(y, weight, rows=slice(TRAIN, None))],
            feval=booster.metric,
            callbacks=[lightgbm.record_evaluation(seen)],
        )
    raw = ours.predict(X, raw_score=True)
    np.testing.assert_allclose(raw, theirs.predict(X, raw_score=True), rtol=2e-6, atol=2e-6)
    held_out = None if weight is None else weight[TRAIN:]
    expected = float(loss(y[TRAIN:].astype(int), raw[TRAIN:], held_out))
    assert seen["valid_0"][loss.name][-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
@pytest.mark.parametrize("weight", [None, WEIGHT[:TRAIN]], ids=["unweighted", "weighted"])
def test_estimators(weight) -> None:
    booster, y = lm.to_lightgbm(lm.MeanSquaredError()), REAL[:TRAIN] - 20
    common = {"n_estimators": 15, "num_leaves": 12, "verbosity": -1, "n_jobs": 1, "random_state": 0}
    zeros = np.zeros(TRAIN)
    ours = lightgbm.LGBMRegressor(objective=booster.objective, **common)
    ours.fit(
        X[:TRAIN], y, sample_weight=weight, init_score=zeros, eval_set=[(X, REAL - 20)], eval_metric=booster.metric
    )
    theirs = lightgbm.LGBMRegressor(**common).fit(X[:TRAIN], y, sample_weight=weight, init_score=zeros)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-6)
    assert ours.evals_result_["valid_0"]["mse"][-1] == pytest.approx(
        np.mean((ours.predict(X) - REAL + 20) ** 2), rel=1e-5
    )


def test_a_start_far_off_is_said() -> None:
    objective = lm.to_lightgbm(lm.Huber()).objective
    with pytest.warns(UserWarning, match="best constant is 20"):
        lightgbm.train({**PARAMS, "objective": objective}, data(REAL), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lightgbm.train({**PARAMS, "objective": objective}, started(lm.Huber()), 2)


def test_callables_notice_other_labels_and_copy_without_them() -> None:
    objective = lm.to_lightgbm(lm.MeanSquaredError()).objective
    raw = np.array([0.5, 0.25, -3.0])
    for y in ([0.0, 1.0, 2.0], [5.0, 5.0, 5.0]):
        for other in (objective, copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
            gradient, curvature = other(np.array(y), raw)
            np.testing.assert_allclose(gradient, raw - y, rtol=1e-6)
            np.testing.assert_array_equal(curvature, 1.0)


@pytest.mark.parametrize("loss", TRAINABLE, ids=repr)
def test_weights_count_once_and_weight_zero_removes(loss) -> None:
    hooks = lm.to_lightgbm(loss).hooks
    y = target(loss)[:40].copy()
    shape = (40, 3) if loss.tier == "row-wise" else (40,)
    raw = np.random.default_rng(0).normal(np.median(y) if loss.traits.task == "regression" else 0, 1, shape)
    weight = np.arange(40.0) % 4
    alone = [a.copy() for a in Derivatives(hooks, hooks.sample(y, None, 3))(raw)]
    y[weight == 0] = np.nan
    weighted = Derivatives(hooks, hooks.sample(y, weight, 3), "F")(raw)
    column = weight[:, None] if len(shape) == 2 else weight
    for plain, found in zip(alone, weighted, strict=True):
        np.testing.assert_allclose(found, column * plain, rtol=1e-5, atol=1e-7)
        assert found.dtype == np.float32
    ratio = hooks.loss.gradient(hooks.sample(target(loss)[:40], None, 3).target, raw)
    unit = hooks.curvature.constant or 1.0
    np.testing.assert_allclose(alone[0], ratio / unit, rtol=1e-5, atol=1e-6)


# --- leaves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [100, 40_000])
@pytest.mark.parametrize("count", [1, 2, 31])
def test_leaves_are_told_from_steps(rows, count) -> None:
    rng = np.random.default_rng(1)
    values, leaf = rng.normal(size=count) * 1e-3, rng.integers(0, count, rows)
    before = rng.normal(size=rows) * 10
    after, seen = before + values[leaf], before.copy()
    np.testing.assert_array_equal(leaves_of(after, seen, values), leaf)
    np.testing.assert_array_equal(seen, after)
    score_ = before.copy()
    add_leaves(score_, leaf, values)
    np.testing.assert_array_equal(score_, after)
    if count == 31:  # control: without differences between leaves nobody could tell
        assert (leaves_of(before, before.copy(), np.zeros(count)) != leaf).mean() > 0.9


@pytest.mark.parametrize("close", [1e-3, 1e-9])
def test_leaves_next_to_each_other_are_told_apart(close) -> None:
    """Many ends of leaves close together, beside wide gaps."""
    rng = np.random.default_rng(2)
    values = np.concatenate([1.0 + close * np.arange(200), [-50.0, 50.0]])
    leaf = rng.integers(0, values.size, 40_000)
    np.testing.assert_array_equal(leaves_of(values[leaf], np.zeros(leaf.size), values), leaf)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [2, 31, 64])
def test_no_leaf_is_missed_whatever_its_value(count: int, seed: int) -> None:
    """The leaf of the largest value went to its neighbour where a table's last end was rounded down."""
    rng = np.random.default_rng(seed)
    values, leaf = 0.1 * rng.normal(size=count), rng.integers(0, count, 40_000)
    before = rng.normal(size=leaf.size)
    np.testing.assert_array_equal(leaves_of(before + values[leaf], before, values), leaf)


def test_leaves_of_equal_value_are_told_apart_in_training(monkeypatch) -> None:
    """Pinball slopes take two values, so that small leaves often get equal values before they are refitted."""
    loss, train = lm.to_lightgbm(lm.Quantile(q=0.9)), {**PARAMS, "num_leaves": 60, "min_data_in_leaf": 3}
    counts, finished = [], []
    values = LeafRefit.values
    monkeypatch.setattr(LeafRefit, "values", lambda *given: counts.append(given[-1]) or values(*given))

    def told_apart() -> float:
        counts.clear()
        finished.append(loss.train(train, data(REAL), 8))
        return sum(counts) / sum(tree["num_leaves"] for tree in finished[-1].dump_model()["tree_info"])

    assert told_apart() > 0.99
    monkeypatch.setattr(lightgbm_refit, "_TELLTALE", 0.0)
    monkeypatch.setattr(lightgbm_refit, "_TIE_BREAK", 0.0)
    assert told_apart() < 0.99


@pytest.mark.parametrize("telltale", [lightgbm_refit._TELLTALE, 0.0])
def test_what_is_trained_is_what_predicts(monkeypatch, telltale) -> None:
    """Also where leaves could not be told apart: scores during training are those of the finished model."""
    monkeypatch.setattr(lightgbm_refit, "_TELLTALE", telltale)
    seen: dict = {}
    train, valid = {**PARAMS, "num_leaves": 60, "min_data_in_leaf": 3}, data(REAL)
    model = lm.to_lightgbm(lm.Quantile(q=0.9)).train(
        train, valid, 8, valid_sets=[valid], callbacks=[lightgbm.record_evaluation(seen)]
    )
    found = score(lm.Quantile(q=0.9), model.predict(X[:TRAIN]), slice(0, TRAIN))
    assert seen["training"]["quantile"][-1] == pytest.approx(found, rel=1e-6)


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", REFUSED, ids=repr)
def test_losses_without_raw_scores_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="cannot train"):
        lm.to_lightgbm(loss)


@pytest.mark.parametrize(
    ("loss", "params", "y", "words"),
    [
        (lm.Huber(), {"objective": "huber"}, REAL, "leave it out"),
        (lm.Quantile(), {"metric": "l1"}, REAL, "feval"),
        (lm.BinaryCrossEntropy(), {"metric": "binary_logloss"}, BIT, "feval"),
        (lm.Quantile(), {"boosting": "dart"}, REAL, "gbdt"),
        (lm.Huber(), {"boosting_type": "rf"}, REAL, "gbdt"),
        (lm.BinaryCrossEntropy(), {}, SIGNAL, "label holds"),
        (lm.PoissonNLL(), {}, -COUNT, "label holds"),
        (lm.CategoricalCrossEntropy(), {}, CLASS + 0.5, "class codes"),
        (lm.CategoricalCrossEntropy(), {"num_class": 2}, CLASS, "class codes"),
    ],
)
def test_bad_input_is_named_in_one_line(loss, params, y, words) -> None:
    with pytest.raises(ValueError, match=words) as fault:
        lm.to_lightgbm(loss).train({**PARAMS, **params}, data(y), 2)
    assert "\n" not in str(fault.value)


def test_bad_weights_are_named() -> None:
    with pytest.raises(ValueError, match="weights hold"):
        lm.to_lightgbm(lm.Huber()).train(PARAMS, data(REAL, -np.ones(N)), 2)


def test_a_missing_package_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match="LightGBM is not installed; pip install lightgbm"):
        lm.to_lightgbm(lm.Huber()).train({}, None)
