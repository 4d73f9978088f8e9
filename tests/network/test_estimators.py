"""The network estimators as a user meets them: any loss, labels, weights, warm starts, and input that is no good."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lossmith as lm
from lossmith.frameworks.estimators.mlp_fit import constant_line
from lossmith.network import (
    SGD,
    Architecture,
    Cosine,
    EpochEvent,
    History,
    Network,
    StartEvent,
    StepEvent,
    Task,
    Training,
    starting_point,
)

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(1)
X = RNG.normal(size=(150, 4))
Y = 3.0 * np.sin(X[:, 0]) + X[:, 1] + 0.2 * RNG.normal(size=150) + 4.0
LABELS = np.where(Y > 4.0, "up", "down")
THREE = np.digitize(Y, [3.0, 5.0]) * 10
QUICK = {
    "hidden_layer_sizes": (12,),
    "activation": "tanh",
    "learning_rate": 0.02,
    "batch_size": 32,
    "max_epochs": 40,
    "n_iter_no_change": None,
    "random_state": 0,
}
ON_NUMBERS = [
    *("mse", "mae", "huber", "pseudo_huber", "log_cosh", "quantile(q=0.5)", "tukey", "poisson", "tweedie", "gamma_nll"),
    *("gaussian_nll", "weighted_sum(losses=('mse', 'mae'))"),
]
ON_TWO = ["log_loss", "bce", "binary_focal", "binary_focal(gamma=1.0, alpha=0.7)", "hinge", "squared_hinge"]
ON_ROWS = ["log_loss", "cross_entropy(label_smoothing=0.1)", "categorical_focal", "multi_margin(p=2)"]


def regressor(loss: Any = "mse", **more: Any) -> lm.LossMLPRegressor:
    return lm.LossMLPRegressor(loss, **{**QUICK, **more})


def classifier(loss: Any = "log_loss", **more: Any) -> lm.LossMLPClassifier:
    return lm.LossMLPClassifier(loss, **{**QUICK, **more})


# --- any loss -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ON_NUMBERS)
def test_any_loss_on_numbers_learns(loss: str) -> None:
    y = np.abs(Y) + 0.1
    model = regressor(loss).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.history_.train_loss[-1] < model.history_.train_loss[0]
    assert model.predict(X).shape == (150,)


@pytest.mark.parametrize(("loss", "y"), [*((loss, LABELS) for loss in ON_TWO), *((loss, THREE) for loss in ON_ROWS)])
def test_any_loss_on_classes_learns(loss: str, y: Array) -> None:
    model = classifier(loss).fit(X, y)
    assert model.score(X, y) > 0.88
    scores = model.decision_function(X)
    assert scores.shape == ((150,) if y is LABELS else (150, 3))
    if hasattr(model, "predict_proba"):
        chances = model.predict_proba(X)
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)
        np.testing.assert_array_equal(model.classes_[chances.argmax(axis=1)], model.predict(X))
    assert hasattr(model, "predict_proba") == ("hinge" not in loss and "margin" not in loss)


def test_quantiles_have_their_share_below() -> None:
    for q in (0.2, 0.8):
        model = regressor(f"quantile(q={q})", max_epochs=100).fit(X, Y)
        assert (model.predict(X) > Y).mean() == pytest.approx(q, abs=0.08)


def test_a_normal_likelihood_learns_where_the_noise_is() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (600, 1))
    y = 100.0 * x[:, 0] + 50.0 * np.exp(x[:, 0]) * rng.normal(size=600)
    model = regressor("gaussian_nll", max_epochs=80).fit(x, y)
    ends = model.predict_std([[-1.5], [1.5]])
    assert ends[1] / ends[0] == pytest.approx(np.exp(3.0), rel=0.5)
    assert not hasattr(regressor("mse"), "predict_std")


def test_wild_targets_pull_the_squared_error_and_not_hubers() -> None:
    wild = Y.copy()
    wild[::15] += 1000.0
    errors = [np.abs(regressor(loss).fit(X, wild).predict(X) - Y).mean() for loss in ("huber(delta=0.5)", "mse")]
    assert errors[0] < 0.5 < 20.0 < errors[1]


def test_units_do_not_matter() -> None:
    """A target in other units, with the loss's parameter in them, gives the same network."""
    plain = regressor("huber(delta=0.5)").fit(X, Y)
    for unit, moved in ((1e6, -3e6), (1e-6, 0.0)):
        other = regressor(f"huber(delta={0.5 * unit})").fit(X, unit * Y + moved)
        np.testing.assert_allclose(other.predict(X), unit * plain.predict(X) + moved, rtol=1e-6)
    fixed = regressor("huber(delta=0.5)").fit(X, 1e3 * Y)
    assert np.abs(fixed.predict(X) / 1e3 - plain.predict(X)).max() > 1e-3  # control: another loss


def test_several_outputs() -> None:
    both = np.c_[Y, 5.0 * X[:, 2] - 70.0]
    model = regressor("log_cosh", max_epochs=80).fit(X, both)
    assert model.predict(X).shape == (150, 2)
    assert model.score(X, both) > 0.8
    one = regressor().fit(X, Y[:, None])
    assert one.predict(X).shape == (150,)
    with pytest.raises(ValueError, match="takes one target a row"):
        regressor("gaussian_nll").fit(X, both)


# --- weights, dtypes, sparse rows, names ----------------------------------------------------------------


def test_class_weights_move_the_decision() -> None:
    rare = np.where(Y > 6.5, "rare", "usual")
    plain, even, given = (
        classifier(class_weight=w, max_epochs=10).fit(X, rare) for w in (None, "balanced", {"rare": 50.0, "usual": 1.0})
    )
    found = [(model.predict_proba(X)[:, 0]).mean() for model in (plain, even, given)]
    assert found[0] < found[1] < found[2]


def test_weight_0_leaves_a_row_out() -> None:
    weight = RNG.integers(0, 2, 150).astype(float)
    wrong = np.where(weight > 0, Y, 1e6)
    one = regressor(batch_size=200).fit(X, wrong, weight)
    other = regressor(batch_size=200).fit(X[weight > 0], Y[weight > 0])
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_float32_features_make_a_float32_network() -> None:
    narrow, wide = regressor().fit(X.astype(np.float32), Y), regressor().fit(X, Y)
    assert narrow.network_.theta.dtype == narrow.predict(X[:1].astype(np.float32)).dtype == np.float32
    assert narrow.predict(X[:1]).dtype == np.float32
    assert np.abs(narrow.predict(X) - wide.predict(X)).max() < 0.05


def test_sparse_features_give_the_same() -> None:
    sparse = np.where(np.abs(X) > 0.5, X, 0.0)
    dense, other = regressor().fit(sparse, Y), regressor().fit(csr_array(sparse), Y)
    np.testing.assert_allclose(dense.predict(sparse), other.predict(csr_array(sparse)), rtol=1e-9)


def test_names_pipelines_searches_clones_and_pickles() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = regressor({"loss": "huber", "params": {"delta": 2.0}}).fit(frame, Y)
    np.testing.assert_array_equal(model.predict(frame), regressor(lm.Huber(delta=2.0)).fit(frame, Y).predict(frame))
    assert list(model.feature_names_in_) == list("abcd")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "network_")
    grid = {"lossmlpregressor__loss": ["mse", "mae"], "lossmlpregressor__alpha": [1e-4, 1.0]}
    pipe = make_pipeline(StandardScaler(), regressor(max_epochs=10))
    best = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, Y).best_params_
    assert best["lossmlpregressor__alpha"] == 1e-4


def test_weights_of_the_layers_give_the_predictions() -> None:
    model = regressor(hidden_layer_sizes=(6, 5)).fit(X, Y)
    h = X
    for i, (weights, biases) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        h = h @ weights + biases
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(h[:, 0], model.predict(X), rtol=1e-9)
    assert [w.shape for w in model.coefs_] == [(4, 6), (6, 5), (5, 1)]


# --- going on -------------------------------------------------------------------------------------------


def test_partial_fits_are_epochs_of_a_fit() -> None:
    whole = regressor("huber", max_epochs=5).fit(X, Y)
    parts = regressor("huber")
    for _ in range(5):
        parts.partial_fit(X, Y)
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-9)
    assert parts.history_.train_loss == pytest.approx(whole.history_.train_loss)
    again = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), parts.partial_fit(X, Y).predict(X))


def test_partial_fit_knows_classes_that_have_not_come_yet() -> None:
    model = classifier().partial_fit(X[:9], ["up"] * 9, classes=["up", "down"])
    for _ in range(40):
        model.partial_fit(X, LABELS)
    assert model.score(X, LABELS) > 0.88
    with pytest.raises(ValueError, match="label 'sideways'"):
        model.partial_fit(X[:1], ["sideways"])


def test_a_warm_start_goes_on() -> None:
    model = regressor(warm_start=True, max_epochs=15).fit(X, Y)
    first = model.history_.train_loss
    assert model.fit(X, Y).history_.train_loss[0] < first[1]
    assert clone(model).fit(X, Y).history_.train_loss == first
    model.set_params(hidden_layer_sizes=(3,)).fit(X, Y)  # other layers: from anew
    assert model.coefs_[0].shape == (4, 3)
    labelled = classifier(warm_start=True, max_epochs=5).fit(X, LABELS)
    renamed = np.where(LABELS == "up", "a", "b")  # the first in order is now another
    labelled.fit(X, renamed)
    np.testing.assert_array_equal(labelled.predict(X), classifier(max_epochs=5).fit(X, renamed).predict(X))


def test_a_partial_fit_after_divergence_goes_on_from_the_best() -> None:
    with pytest.warns(ConvergenceWarning, match="lower the learning rate"):
        model = regressor(learning_rate=1e6, solver="momentum").fit(X, Y)
    model.set_params(learning_rate=0.01, solver="adam")
    for _ in range(40):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.8


def test_early_stopping_holds_out_its_share_of_each_class() -> None:
    model = classifier(early_stopping=True, validation_fraction=0.2, n_iter_no_change=5, max_epochs=200).fit(X, LABELS)
    assert model.status_ == "early_stopped"
    assert len(model.history_.valid_loss) == model.n_iter_ < 200
    assert model.loss_ == pytest.approx(min(model.history_.valid_loss))
    assert model.best_epoch_ == int(np.argmin(model.history_.valid_loss)) + 1


def test_who_watches_is_told_and_settings_of_ones_own_are_taken() -> None:
    seen: list[Any] = []
    model = regressor(solver=SGD(0.5), schedule=Cosine(), penalty=lm.ElasticNet(0.01), max_epochs=3)
    model.fit(X, Y, watch=seen.append)
    assert [type(event) for event in seen] == [StartEvent, *[*[StepEvent] * 5, EpochEvent] * 3]
    assert model.history_.learning_rate[-1] < 0.1 * model.history_.learning_rate[0]


def test_a_monitor_puts_a_training_on_record() -> None:
    monitor = lm.FitMonitor(live=False, every=4)
    model = regressor("huber", early_stopping=True, max_epochs=5).fit(X, Y, watch=monitor)
    record = monitor.record
    np.testing.assert_array_equal(record.column("loss")[0], np.arange(25))
    np.testing.assert_allclose(record.column("eval_loss")[1], model.history_.valid_loss)
    np.testing.assert_array_equal(record.layer_column("hidden_1", "gradient_norm")[0], np.arange(0, 25, 4))
    facts = record.facts
    assert (facts.loss, facts.optimizer, facts.rows, facts.planned_steps) == ("Huber(delta=1.0)", "Adam", 135, 25)
    counted = lm.FitMonitor(live=False)
    classifier(max_epochs=1).fit(X, LABELS, watch=counted)
    assert counted.record.facts.class_counts == ((LABELS == "down").sum(), (LABELS == "up").sum())


# --- what goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 1e6, "solver": "sgd"}, "lower the learning rate"),
        ({"max_epochs": 12, "learning_rate": 1e-3, "n_iter_no_change": 5}, "still falling after 12 epochs"),
    ],
)
def test_trouble_is_one_line_and_predictions_stay_finite(change: dict[str, Any], said: str) -> None:
    with pytest.warns(ConvergenceWarning, match=said) as caught:
        model = regressor(**change).fit(X, Y)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert np.isfinite(model.predict(X)).all()


def test_a_network_that_a_constant_beats_says_so() -> None:
    loss, made = lm.MeanSquaredError(), Architecture((4, 8, 1))
    task, start = Task(loss, X, Y), starting_point(loss, Y, None, 1)
    net = Network(made, 5.0 * made.initial(np.random.default_rng(0)), start.affine)
    found = Training(net, History(), "epoch_limit", "", 0, 0.0, 0)
    assert "no better than a constant" in constant_line(found, task, start)
    same = dataclasses.replace(found, network=dataclasses.replace(net, theta=0.0 * net.theta))
    assert not constant_line(same, task, start)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X[:1], Y[:1]),
        (X[:3], Y[:3]),
        (X[:, :1], Y),
        (X, np.full(150, 7.0)),
        (np.ones((20, 2)), Y[:20]),
        (X, Y * 1e-200),
    ],
    ids=["one row", "three rows", "one feature", "constant target", "constant features", "tiny target"],
)
def test_small_and_dull_data(X: Array, y: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = regressor().fit(X, y)
    assert np.abs(model.predict(X) - y).max() <= 2.0 * (np.ptp(y) or 1.0)


WRONG: list[tuple[Any, Any, Any, str]] = [
    (lm.LossMLPRegressor("hinge"), X, Y, "is for classes"),
    (lm.LossMLPClassifier("mse"), X, LABELS, "is for numbers"),
    (lm.LossMLPClassifier("bce"), X, THREE, "separates two classes and y holds 3"),
    (lm.LossMLPRegressor("ctc"), X, Y, "cannot train"),
    (lm.LossMLPClassifier(lm.BinaryCrossEntropy(inputs="probabilities")), X, LABELS, "on a log-rate or logits"),
    (lm.LossMLPRegressor("hubre"), X, Y, "did you mean 'huber'"),
    (lm.LossMLPRegressor("poisson"), X, -Y, "numbers >= 0"),
    (lm.LossMLPRegressor(lm.WeightedSum(("mse", "poisson"))), X, Y, "parts on different scores"),
    (lm.LossMLPRegressor(penalty=lm.MCP(1.0)), X, Y, "is for linear models"),
    (lm.LossMLPRegressor(early_stopping=True), X[:1], Y[:1], "holds out 1 of 1 rows"),
    *(
        (lm.LossMLPRegressor(**{name: value}), X, Y, f"{name}=")
        for name, value in {
            "hidden_layer_sizes": (0,),
            "activation": "swish",
            "solver": "lbfgs",
            "learning_rate": -1,
            "schedule": "soon",
            "penalty": "l3",
            "alpha": -1,
            "dropout": 1.0,
            "batch_size": 0,
            "max_epochs": 1.5,
            "validation_fraction": 1.5,
            "n_iter_no_change": 0,
            "tol": "a",
            "clip_norm": 0,
            "max_seconds": -1,
            "backend": "mxnet",
        }.items()
    ),
]


@pytest.mark.parametrize(("model", "X", "y", "said"), WRONG, ids=lambda v: repr(v) if isinstance(v, str) else "")
def test_what_does_not_fit_is_refused_in_one_line(model: Any, X: Array, y: Array, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        model.fit(X, y)
    assert "\n" not in str(caught.value)


def test_a_partial_fit_of_other_layers_is_refused() -> None:
    model = regressor().partial_fit(X, Y)
    with pytest.raises(ValueError, match="call fit instead"):
        model.set_params(hidden_layer_sizes=(5,)).partial_fit(X, Y)
