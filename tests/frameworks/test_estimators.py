"""Estimators under any loss: predictions, labels, warm starts, and input that is no good."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lossmith as lm
from lossmith.optimize import L1, Solution

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(1)
X = RNG.normal(size=(120, 4))
Y = X @ [1.0, -1.0, 0.5, 0.0] + 2.0 + RNG.normal(size=120)
LABELS = np.where(Y > 2.0, "up", "down")
THREE = np.digitize(Y, [1.5, 2.5]) * 10

ON_NUMBERS = ["mse", "mae", "huber", "pseudo_huber", "log_cosh", "quantile(q=0.8)", "tukey", "poisson"]
ON_TWO = ["bce", "binary_focal", "binary_focal(gamma=1.0, alpha=0.7)", "hinge", "squared_hinge"]
ON_ROWS = ["cross_entropy", "categorical_focal", "multi_margin(p=2)"]


@pytest.mark.parametrize("penalty", [None, "l1", "l2", "elasticnet"])
@pytest.mark.parametrize("loss", ON_NUMBERS)
def test_no_neighbour_is_better(loss: str, penalty: str | None) -> None:
    y = np.abs(Y)
    model = lm.LossRegressor(loss, penalty, None if penalty is None else 0.05).fit(X, y)
    assert model.coef_.shape == (4,)
    assert isinstance(model.solution_, Solution)
    theta = np.append(model.coef_, model.intercept_)
    best = _objective(model, theta, y)
    assert best == pytest.approx(model.solution_.objective, rel=1e-9)
    for step in (1e-3, 1e-2):
        for direction in RNG.normal(size=(20, 5)):
            assert _objective(model, theta + step * direction, y) >= best - 1e-9
    assert _objective(model, theta + 0.1, y) > best + 1e-4  # control: the comparison can tell


def _objective(model: Any, theta: Array, y: Array) -> float:
    w = theta[:-1]
    l1, l2 = np.abs(w).sum(), np.square(w).sum()
    penalty = {None: 0.0, "l1": l1, "l2": l2, "elasticnet": 0.5 * l1 + 0.5 * l2}[model.penalty]
    return float(lm.get(model.loss)(y, X @ w + theta[-1])) + 0.05 * penalty


def test_losses_on_log_rates_predict_rates() -> None:
    counts = RNG.poisson(np.exp(0.5 * X[:, 0] + 1.0))
    model = lm.LossRegressor("poisson", None).fit(X, counts)
    np.testing.assert_allclose(model.predict(X), np.exp(X @ model.coef_ + model.intercept_))
    assert model.predict(X).mean() == pytest.approx(counts.mean())  # of a canonical link with an intercept


def test_a_penalty_is_a_name_or_an_object_and_alpha_scales_it() -> None:
    named = lm.LossRegressor("mse", "l1", 0.3).fit(X, Y)
    for same in (lm.LossRegressor("mse", L1(0.3)), lm.LossRegressor("mse", L1(0.1), 3.0)):
        np.testing.assert_allclose(named.coef_, same.fit(X, Y).coef_)
    assert np.abs(named.coef_ - lm.LossRegressor("mse", L1(0.3), 2.0).fit(X, Y).coef_).max() > 0.1
    free = lm.LossRegressor("mse", None).fit(X, Y)
    np.testing.assert_allclose(free.coef_, lm.LossRegressor("mse", "l2", 0.0).fit(X, Y).coef_)


@pytest.mark.parametrize("loss", ON_TWO + ON_ROWS)
@pytest.mark.parametrize("labels", [LABELS, LABELS == "up", THREE], ids=["text", "flags", "three"])
def test_labels_of_any_kind(loss: str, labels: Array) -> None:
    model = lm.LossClassifier(loss, alpha=0.01)
    k = len(np.unique(labels))
    if k == 3 and loss in ON_TWO:
        with pytest.raises(ValueError, match="separates two classes and y holds 3"):
            model.fit(X, labels)
        return
    model.fit(X, labels)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert model.coef_.shape == ((k if loss in ON_ROWS else 1), 4)
    assert model.decision_function(X).shape == ((120,) if k == 2 else (120, 3))
    assert model.score(X, labels) > (0.7 if k == 2 else 0.5)
    codes = np.searchsorted(model.classes_, labels)
    np.testing.assert_allclose(lm.LossClassifier(loss, alpha=0.01).fit(X, codes).coef_, model.coef_)


@pytest.mark.parametrize("loss", ON_TWO + ON_ROWS)
def test_probabilities_only_where_there_is_a_link(loss: str) -> None:
    model = lm.LossClassifier(loss, alpha=0.01).fit(X, LABELS)
    linked = "margin" not in loss and "hinge" not in loss
    assert hasattr(model, "predict_proba") == hasattr(model, "predict_log_proba") == linked
    if linked:
        p = model.predict_proba(X)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
        # Probabilities are near the frequencies, also where the loss bends its scores.
        assert p[:, 1].mean() == pytest.approx(np.mean(LABELS == "up"), abs=0.03)


def test_pipelines_frames_copies_and_pickles() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = lm.LossRegressor(lm.Huber(delta=0.7), L1(0.02)).fit(frame, pd.Series(Y))
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("bacd")])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    np.testing.assert_allclose(copy.fit(X, Y).coef_, model.coef_, rtol=1e-12)
    scaled = make_pipeline(StandardScaler(), lm.LossClassifier("hinge")).fit(frame, LABELS)
    assert scaled.score(frame, LABELS) > 0.75


def test_a_warm_start_takes_fewer_steps_to_the_same_place() -> None:
    for model, y in [(lm.LossRegressor("huber"), Y), (lm.LossClassifier("cross_entropy", alpha=0.01), THREE)]:
        cold = clone(model).fit(X, y)
        warm = model.set_params(warm_start=True).fit(X, y).fit(X, y)
        assert warm.n_iter_ < cold.n_iter_
        np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-6)
        warm.fit(X[:, :2], y)  # other features: a fresh start
        assert warm.coef_.shape[-1] == 2


def test_without_a_penalty_units_do_not_matter() -> None:
    units = np.array([1e-6, 1.0, 1e5, 3.0])
    for loss, y in [("huber", Y), ("mae", Y), ("cross_entropy", THREE)]:
        kind = lm.LossClassifier if loss == "cross_entropy" else lm.LossRegressor
        plain, scaled = kind(loss, None).fit(X + 5.0, y), kind(loss, None).fit((X + 5.0) * units, y)
        np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-5, atol=1e-6)
        tiny = kind(loss, None).fit(csr_array((X + 5.0) * 1e-100), y)
        np.testing.assert_allclose(tiny.coef_ * 1e-100, plain.coef_, rtol=1e-4, atol=1e-5)


# --- what goes wrong, in one line ------------------------------------------------------------------------


def test_a_loss_that_reaches_no_row_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match=r"1\d\d of 120 rows are beyond the reach of Tukey\(c="):
        lm.LossRegressor("tukey", None).fit(X, 1e6 * Y)
    lm.LossRegressor("tukey(c=4.685e6)", None).fit(X, 1e6 * Y)


def test_an_early_end_is_one_warning_and_keeps_the_best() -> None:
    y = np.exp(Y)
    with pytest.warns(ConvergenceWarning) as caught:
        model = lm.LossRegressor("log_cosh", None, max_iter=2).fit(X, y)
    assert len(caught) == 1
    assert "LossRegressor: stopped after 2 steps" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert model.solution_.status == "iteration_limit"
    assert model.n_iter_ == 2
    assert np.isfinite(model.coef_).all()
    assert lm.LogCosh()(y, model.predict(X)) < lm.LogCosh()(y, np.full_like(y, np.median(y)))


@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy", "binary_focal"])
def test_separated_classes(loss: str) -> None:
    y = np.where(X[:, 0] > 0, "right", "left")
    with pytest.warns(ConvergenceWarning, match="a hyperplane separates the classes") as caught:
        model = lm.LossClassifier(loss, None).fit(X, y)
    assert len(caught) == 1
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) == 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm.LossClassifier(loss, "l2").fit(X, y)
        lm.LossClassifier("hinge", None).fit(X, y)  # a margin of 1 is enough for it


WIDE = RNG.normal(size=(10, 30))
TWIN = np.column_stack([X, X[:, 0], X[:, 1] + X[:, 2]])
STILL = np.column_stack([X, np.zeros(120), np.full(120, 1e6)])


@pytest.mark.parametrize("penalty", [None, "l1", "l2"])
@pytest.mark.parametrize("loss", ON_NUMBERS)
@pytest.mark.parametrize("features", [WIDE, TWIN, STILL], ids=["wide", "singular", "constant columns"])
def test_coefficients_are_always_finite(features: Array, loss: str, penalty: str | None) -> None:
    y = np.abs(Y[: features.shape[0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = lm.LossRegressor(loss, penalty).fit(features, y)
    assert len(caught) <= 1
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_)
    best = lm.LossRegressor(loss, None).fit(np.zeros((y.size, 1)), y).solution_.objective
    assert model.solution_.objective <= best + 1e-9


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("loss", ON_NUMBERS)
def test_equal_targets(loss: str, value: float) -> None:
    model = lm.LossRegressor(loss).fit(X, np.full(120, value))
    np.testing.assert_allclose(model.predict(X), value, atol=1e-6)


REFUSED = [
    (lm.LossRegressor("hinge"), X, Y, "is for classes; take LossClassifier"),
    (lm.LossClassifier("mse"), X, LABELS, "is for numbers; take LossRegressor"),
    (lm.LossRegressor("hubber"), X, Y, "did you mean 'huber'"),
    (lm.LossRegressor(penalty="l3"), X, Y, "penalty='l3' is not accepted"),
    (lm.LossRegressor(alpha=-1.0), X, Y, "alpha=-1.0 is not accepted"),
    (lm.LossRegressor(solver="magic"), X, Y, "no solver is called 'magic'; there are gd"),
    (lm.LossRegressor("poisson"), X, Y - 10.0, "accepted are finite numbers >= 0"),
    (lm.LossRegressor("bce(inputs='probabilities')"), X, LABELS == "up", "cannot train"),
    (lm.LossRegressor(), np.where(X > 1, np.nan, X), Y, "contains NaN"),
    (lm.LossClassifier(), X, np.full(120, "one"), "one class only, 'one'"),
    (lm.LossClassifier(), X, Y, "Unknown label type"),
]


@pytest.mark.parametrize(("model", "features", "y", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_refusals_say_what_and_why(model: Any, features: Array, y: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as caught:
        model.fit(features, y)
    assert not hasattr(model, "coef_")
    if "NaN" not in message and "Unknown" not in message:
        assert "\n" not in str(caught.value)


def test_weights_of_nothing_and_a_loss_that_is_none() -> None:
    with pytest.raises(ValueError, match="non-zero"):
        lm.LossRegressor().fit(X, Y, np.zeros(120))
    with pytest.raises(ValueError, match="one class only"):
        lm.LossClassifier().fit(X, LABELS, LABELS == "up")
    with pytest.raises(TypeError, match="give a Loss or its name"):
        lm.LossRegressor(loss=3).fit(X, Y)


# --- solvers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["gd", "nesterov", "lbfgs", "newton", lm.solvers.GaussNewton()], ids=str)
def test_any_solver_finds_the_same_coefficients(solver: Any) -> None:
    wanted = lm.LossRegressor("huber", alpha=0.01).fit(X, Y)
    found = lm.LossRegressor("huber", alpha=0.01, solver=solver, max_iter=20_000).fit(X, Y)
    assert found.solution_.method == str(lm.solvers.get(solver))
    np.testing.assert_allclose(found.coef_, wanted.coef_, atol=1e-6)
    assert found.get_params()["solver"] is solver


def test_a_step_that_is_too_long_warns_in_one_line() -> None:
    from sklearn.exceptions import ConvergenceWarning

    model = lm.LossRegressor("mse", penalty=None, solver="gd(search=constant(step=100))")
    with pytest.warns(ConvergenceWarning, match="take a shorter step") as caught:
        model.fit(X, Y)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert np.isfinite(model.coef_).all()
    assert model.solution_.status == "diverged"


@pytest.mark.parametrize("penalty", ["mcp", "scad", lm.Box(0.0, 1.0), lm.GroupLasso([0] * X.shape[1], 0.1)], ids=str)
def test_penalties_beyond_the_elastic_net_are_reachable(penalty: Any) -> None:
    model = lm.LossRegressor("huber", penalty=penalty).fit(X, Y)
    assert model.solution_.status == "converged"
    with pytest.raises(ValueError, match="newton cannot minimise huber under"):
        lm.LossRegressor("huber", penalty=penalty, solver="newton").fit(X, Y)
