"""The learners: laws of scale, curves, saving, and LightGBM's and scikit-learn's own as oracles."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.errors import InputError
from lossmith.frameworks import boosting
from lossmith.optimize.curvature import working_curvature
from lossmith.workflow import boosted
from lossmith.workflow.learners import BoostedLearner, LinearLearner, boosting_available, revive
from lossmith.workflow.links import has_unit, link_for, robust_units

lightgbm = pytest.importorskip("lightgbm")

RNG = np.random.default_rng(11)
N, D = 900, 6
X = RNG.standard_normal((N, D))
SIGNAL = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 1.5 * X[:, 3]
REAL = 50 + 8 * (SIGNAL + 0.7 * RNG.standard_t(3, N))
BIT = (SIGNAL + RNG.logistic(size=N) > 0).astype(int)
COUNT = RNG.poisson(np.exp(0.5 * SIGNAL))
CLASS = np.digitize(SIGNAL + RNG.logistic(size=N), [-1.0, 1.0])
TRAIN, VALID, TEST = slice(0, 500), slice(500, 700), slice(700, None)
LOSSES = [
    lm.MeanSquaredError(),
    lm.MeanAbsoluteError(),
    lm.Quantile(q=0.8),
    lm.Huber(delta=1.345),
    lm.LogCosh(),
    lm.Tukey(),
    lm.BinaryCrossEntropy(),
    lm.BinaryFocal(gamma=2.0, alpha=0.25),
    lm.Hinge(),
    lm.SquaredHinge(),
    lm.PoissonNLL(),
    lm.CategoricalCrossEntropy(),
    lm.CategoricalFocal(gamma=2.0),
]
RESIDUAL = [loss for loss in LOSSES if loss.traits.task == "regression"]
LEARNERS = [LinearLearner, BoostedLearner]


def target(loss):
    return {"regression": REAL, "binary": BIT, "count": COUNT, "multiclass": CLASS}[loss.traits.task]


def fit(learner, loss, y=None, X=X, rows=TRAIN, valid=VALID, **options):
    y = target(loss) if y is None else y
    validation = None if valid is None else (X[valid], y[valid])
    options = {"iterations": 60, "seed": 0, **options}
    return learner(loss).fit(X[rows], y[rows], validation=validation, **options)


# --- what every pair of learner and loss must do ----------------------------------------------------------


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_beats_the_best_constant_on_its_own_loss(learner, loss) -> None:
    fitted, y = fit(learner, loss), target(loss)
    held_out = float(loss(fitted.encode(y[TEST]), fitted.raw(X[TEST])))
    alone = learner(loss).fit(np.zeros((500, 1)), y[TRAIN], iterations=5)
    constant = float(loss(fitted.encode(y[TEST]), np.repeat(alone.raw(np.zeros((1, 1))), 200, axis=0)))
    if isinstance(fitted.link, type(alone.link)) and hasattr(fitted.link, "scale"):
        raw = fitted.encode(alone.predict(np.zeros((200, 1))))
        constant = float(loss(fitted.encode(y[TEST]), raw))
    assert held_out < constant


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_saved_and_revived_predictions_are_identical(learner, loss) -> None:
    fitted = fit(learner, loss, iterations=8)
    text = json.dumps(fitted.to_config(), allow_nan=False)
    again = revive(json.loads(text))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(again.raw(X), fitted.raw(X))
    assert again.loss == loss
    assert again.to_config() == fitted.to_config()
    assert again.has_probabilities == fitted.has_probabilities


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_same_seed_gives_the_same_numbers(learner, loss) -> None:
    first, second = fit(learner, loss, iterations=12), fit(learner, loss, iterations=12)
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    assert first.curve == second.curve


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_curve_is_what_the_model_does(learner, loss) -> None:
    fitted, y = fit(learner, loss, iterations=30), target(loss)
    curve = fitted.curve
    assert len(curve.iterations) == len(curve.train) == len(curve.valid) == len(curve.gradient_norm)
    at_best = float(loss(fitted.encode(y[VALID]), fitted.raw(X[VALID])))
    assert curve.valid[curve.best] == pytest.approx(at_best, rel=1e-6, abs=1e-9)
    at_best = float(loss(fitted.encode(y[TRAIN]), fitted.raw(X[TRAIN])))
    assert curve.train[curve.best] == pytest.approx(at_best, rel=1e-6, abs=1e-9)
    assert min(curve.train) < curve.train[0]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_weight_zero_is_deletion(learner, loss) -> None:
    y = target(loss).astype(float)
    spoiled = y.copy()
    spoiled[400:500] = np.nan
    weight = np.where(np.arange(500) < 400, 2.0, 0.0)
    a = learner(loss).fit(X[TRAIN], spoiled[TRAIN], weight, iterations=10)
    b = learner(loss).fit(X[:400], y[:400], iterations=10)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.traits.task in ("binary", "multiclass")], ids=repr)
def test_class_predictions_are_rows_that_sum_to_one(learner, loss) -> None:
    fitted = fit(learner, loss)
    rows = fitted.predict(X[TEST])
    assert rows.shape == (200, int(target(loss).max()) + 1)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    assert (rows.argmax(axis=1) == target(loss)[TEST]).mean() > 0.45
    assert fitted.has_probabilities == (not isinstance(loss, (lm.Hinge, lm.SquaredHinge)))


@pytest.mark.parametrize("learner", LEARNERS)
def test_classes_absent_from_the_rows_are_kept(learner) -> None:
    rows = np.flatnonzero(CLASS[:500] != 1)
    fitted = learner(lm.CategoricalCrossEntropy()).fit(X[rows], CLASS[rows], classes=4, iterations=10)
    p = fitted.predict(X[TEST])
    assert p.shape == (200, 4)
    assert p[:, [1, 3]].max() < 0.05


# --- units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", RESIDUAL, ids=repr)
def test_units_of_the_target_do_not_matter(learner, loss) -> None:
    plain = fit(learner, loss, iterations=15).predict(X)
    scaled = fit(learner, loss, y=1024.0 * REAL - 4096.0, iterations=15).predict(X)
    np.testing.assert_allclose((scaled + 4096.0) / 1024.0, plain, rtol=1e-4)


@pytest.mark.parametrize("loss", RESIDUAL, ids=repr)
def test_units_of_the_features_do_not_matter_to_the_linear_learner(loss) -> None:
    plain = fit(LinearLearner, loss, iterations=500).predict(X)
    other = fit(LinearLearner, loss, X=X * [1e3, 1e-3, 1, 7, 1, 1] + [0, 5, 0, 1, 0, 0], iterations=500)
    shifted = other.predict(X * [1e3, 1e-3, 1, 7, 1, 1] + [0, 5, 0, 1, 0, 0])
    np.testing.assert_allclose(shifted, plain, rtol=1e-4)


def test_default_penalty_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = X * [1e2, 1, 1, 1e-2, 1, 1] + 3.0
    ours = LinearLearner(lm.BinaryCrossEntropy()).fit(table, BIT).predict(table)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)).fit(table, BIT)
    np.testing.assert_allclose(ours, theirs.predict_proba(table), atol=1e-6)


def test_which_losses_have_a_unit() -> None:
    assert [loss.name for loss in RESIDUAL if has_unit(loss)] == ["huber", "log_cosh", "tukey"]


@pytest.mark.parametrize("learner", LEARNERS)
def test_scale_is_that_of_the_residuals(learner) -> None:
    y = 100.0 * X[:, 0] + RNG.normal(0, 1.0, N)
    fitted = fit(learner, lm.Huber(), y=y)
    assert fitted.link.scale < 0.35 * robust_units(y)[1]
    assert learner(lm.Huber(), scale=3.0).fit(X, y, iterations=5).link.scale == 3.0


def test_robust_units_of_degenerate_targets() -> None:
    assert robust_units(np.array([2.0, 2.0, 2.0])) == (2.0, 1.0)
    centre, scale = robust_units(np.array([0.0] * 9 + [10.0]))
    assert centre == 0.0
    assert scale == pytest.approx(1.2533)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("loss", RESIDUAL, ids=repr)
def test_zero_inflated_and_constant_targets(learner, loss) -> None:
    zeros = np.where(np.arange(N) % 3 > 0, 0.0, np.abs(REAL))
    assert np.isfinite(fit(learner, loss, y=zeros, iterations=10).predict(X)).all()
    constant = fit(learner, loss, y=np.full(N, 7.0), iterations=10).predict(X)
    np.testing.assert_allclose(constant, 7.0, atol=1e-6)


# --- boosting against LightGBM's own objectives ---------------------------------------------------------------


def builtin(objective, y, rounds=40, **more):
    params = {**boosted.DEFAULTS, **objective, "verbosity": -1, "deterministic": True, "num_threads": 1, "seed": 0}
    params |= {"force_row_wise": True, **more}
    return lightgbm.train(params, lightgbm.Dataset(X[TRAIN], y[TRAIN]), rounds).predict(X[TEST])


@pytest.mark.parametrize(
    ("loss", "objective"),
    [
        (lm.MeanSquaredError(), {"objective": "regression"}),
        (lm.BinaryCrossEntropy(), {"objective": "binary"}),
        (lm.PoissonNLL(), {"objective": "poisson"}),
        (lm.CategoricalCrossEntropy(), {"objective": "multiclass", "num_class": 3}),
    ],
    ids=lambda case: case.get("objective") if isinstance(case, dict) else None,
)
def test_same_model_as_the_built_in_objective(loss, objective) -> None:
    ours = fit(BoostedLearner, loss, valid=None, iterations=40).predict(X[TEST])
    theirs = builtin(objective, target(loss))
    ours = ours[:, 1] if objective["objective"] == "binary" else ours
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


@pytest.mark.parametrize(
    ("loss", "objective"),
    [
        (lm.MeanAbsoluteError(), {"objective": "l1"}),
        (lm.Quantile(q=0.9), {"objective": "quantile", "alpha": 0.9}),
        (lm.Quantile(q=0.2), {"objective": "quantile", "alpha": 0.2}),
    ],
    ids=repr,
)
def test_leaf_renewal_scores_like_the_built_in_objective(loss, objective) -> None:
    ours = float(loss(REAL[TEST], fit(BoostedLearner, loss, valid=None, iterations=80).predict(X[TEST])))
    theirs = float(loss(REAL[TEST], builtin(objective, REAL, 80)))
    assert ours < 1.06 * theirs


def test_without_leaf_renewal_the_score_would_be_worse(monkeypatch) -> None:
    loss = lm.Quantile(q=0.9)
    with_renewal = fit(BoostedLearner, loss, valid=None, iterations=40)
    monkeypatch.setattr(boosted.LeafRefit, "values", lambda self, score, leaf, count: np.zeros(count))
    without = fit(BoostedLearner, loss, valid=None, iterations=40)
    scores = [float(loss(REAL[TEST], fitted.predict(X[TEST]))) for fitted in (with_renewal, without)]
    assert scores[0] < 0.9 * scores[1]


def test_without_the_right_start_the_score_would_be_worse(monkeypatch) -> None:
    right = fit(BoostedLearner, lm.PoissonNLL(), y=COUNT + 200, valid=None, iterations=20).predict(X[TEST])
    monkeypatch.setattr(boosting, "best_constant", lambda *arguments: 0.0)
    wrong = fit(BoostedLearner, lm.PoissonNLL(), y=COUNT + 200, valid=None, iterations=20).predict(X[TEST])
    truth = COUNT[TEST] + 200
    assert np.abs(right - truth).mean() < 0.2 * np.abs(wrong - truth).mean()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_working_curvature_is_never_negative_and_exact_where_it_says_so(loss) -> None:
    link = link_for(loss, target(loss))
    y = link.encode(target(loss))[:200]
    shape = (200, 3) if loss.tier == "row-wise" else (200,)
    f = np.random.default_rng(0).normal(0, 3, shape)
    curvature = working_curvature(loss)
    found = curvature.compute(y, f, loss.gradient(y, f))
    assert (found >= 0).all()
    hessian = loss.hessian(y, f)
    hessian = np.diagonal(hessian, axis1=1, axis2=2) if loss.tier == "row-wise" else hessian
    if curvature.kind == "exact":
        np.testing.assert_allclose(found, hessian, rtol=1e-9, atol=1e-12)
    if curvature.kind == "majoriser":
        assert (found >= hessian - 1e-12).all()
    assert (curvature.kind == "surrogate") == isinstance(loss, (lm.MeanAbsoluteError, lm.Quantile, lm.Hinge))


# --- stopping -----------------------------------------------------------------------------------------------


def test_early_stopping_follows_the_callers_metric() -> None:
    calls = []

    def metric(y, prediction):
        calls.append(prediction.shape)
        return -float(np.mean((prediction[:, 1] > 0.5) == y))

    fitted = fit(BoostedLearner, lm.BinaryCrossEntropy(), metric=metric, iterations=300, patience=10)
    curve = fitted.curve
    assert curve.stopped == "early stopping"
    assert curve.best == int(np.argmin(curve.metric))
    assert len(curve.metric) == curve.best + 11
    assert set(calls) == {(200, 2)}
    assert metric(BIT[VALID], fitted.predict(X[VALID])) == curve.metric[curve.best]


def test_a_metric_that_never_improves_keeps_the_constant() -> None:
    fitted = fit(BoostedLearner, lm.MeanSquaredError(), metric=lambda y, p: 0.0, patience=3)
    assert fitted.curve.best == 0
    np.testing.assert_allclose(fitted.predict(X), REAL[TRAIN].mean())
    np.testing.assert_array_equal(revive(fitted.to_config()).predict(X), fitted.predict(X))


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_clock_stops_a_training(learner) -> None:
    fitted = fit(learner, lm.CategoricalCrossEntropy(), seconds=0.0)
    assert fitted.curve.stopped == "time limit"
    assert np.isfinite(fitted.predict(X)).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_handful_of_rows(loss) -> None:
    rows = slice(0, 12)
    for learner in LEARNERS:
        fitted = fit(learner, loss, rows=rows, valid=None, iterations=5, classes=3 if loss.tier == "row-wise" else None)
        assert np.isfinite(fitted.predict(X)).all()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("columns", [0, 1], ids=["no column", "constant column"])
def test_nothing_to_learn_from_gives_the_best_constant(learner, columns) -> None:
    nothing = np.ones((N, columns))
    fitted = learner(lm.Quantile(q=0.7)).fit(nothing, REAL, validation=(nothing, REAL), iterations=100)
    np.testing.assert_allclose(fitted.predict(nothing), np.quantile(REAL, 0.7), rtol=1e-3)
    np.testing.assert_array_equal(revive(fitted.to_config()).predict(nothing), fitted.predict(nothing))


def test_missing_values_and_categories_go_to_the_trees() -> None:
    code = RNG.integers(0, 5, N).astype(float)
    effect = np.array([0.0, 4.0, -3.0, 2.0, -5.0])[code.astype(int)]
    table = np.column_stack([X, code])
    table[::7, 0] = np.nan
    learner = BoostedLearner(lm.MeanSquaredError(), categorical=(D,))
    fitted = learner.fit(table[TRAIN], effect[TRAIN], iterations=150)
    assert np.corrcoef(fitted.predict(table[TEST]), effect[TEST])[0, 1] > 0.99


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((X, REAL[:-1]), "X has shape"),
        ((X[:, 0], REAL), "X has shape"),
        ((X, REAL, np.zeros(N)), "weight"),
        ((X, REAL, -np.ones(N)), "weight"),
    ],
)
def test_bad_input_is_named(learner, arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        learner(lm.Huber()).fit(*arguments)


@pytest.mark.parametrize("config", [{}, {"format": "other"}, [], {"format": "lossmith-model/1"}])
def test_foreign_descriptions_are_refused(config) -> None:
    with pytest.raises(InputError):
        revive(config)


def test_unknown_kinds_are_refused() -> None:
    config = fit(LinearLearner, lm.Huber()).to_config()
    with pytest.raises(InputError, match="another version"):
        revive({**config, "model": {"kind": "pickle"}})
    with pytest.raises(InputError, match="no link is called"):
        revive({**config, "link": {"kind": "exec"}})


def test_missing_openmp_is_one_line_and_linear_goes_on(tmp_path) -> None:
    """A stand-in package whose import fails as LightGBM's does without libgomp."""
    (tmp_path / "lightgbm.py").write_text(
        "raise OSError('libgomp.so.1: cannot open shared object file: No such file or directory')"
    )
    program = (
        "import numpy as np, lossmith as lm\n"
        "from lossmith.workflow.learners import *\n"
        "print(boosting_available())\n"
        "print(LinearLearner(lm.Huber()).fit(np.eye(4), np.arange(4.0)).predict(np.eye(4)).shape)\n"
        "try:\n    BoostedLearner(lm.Huber()).fit(np.eye(4), np.arange(4.0))\n"
        "except ValueError as fault:\n    print(fault)\n"
    )
    root = str(__import__("pathlib").Path(lm.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**__import__("os").environ, "PYTHONPATH": f"{tmp_path}:{root}"},
    )
    lines = done.stdout.splitlines()
    assert "apt-get install libgomp1" in lines[0]
    assert lines[1] == "(4,)"
    assert lines[2] == lines[0]
    assert boosting_available() is None
