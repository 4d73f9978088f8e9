"""Scorers: the right output of the estimator, the right sign, the numbers of scikit-learn's own metrics."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import lossmith as lm
from catalogue import CASES
from lossmith.core.loss import Loss
from lossmith.frameworks.sklearn_responses import METHODS, indices

WEIGHTS = np.random.default_rng(1).uniform(0.0, 3.0, 1000)


@dataclasses.dataclass
class Fixed:
    """An estimator whose outputs are given."""

    outputs: dict[str, Any]
    classes_: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.outputs:
            raise AttributeError(name)
        return lambda X: self.outputs[name]


def share(n: int, offset: int = 0) -> Any:
    return WEIGHTS[offset : offset + n]


@pytest.fixture(scope="module")
def regression() -> Any:
    X, y = load_diabetes(return_X_y=True)
    return LinearRegression().fit(X, y), X, y


@pytest.fixture(scope="module")
def binary() -> Any:
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def multiclass() -> Any:
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), np.array(["setosa", "versicolor", "virginica"])[y]


# --- the numbers of scikit-learn's metrics ------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (lm.MeanSquaredError(), metrics.mean_squared_error),
        (lm.MeanAbsoluteError(), metrics.mean_absolute_error),
        (lm.Quantile(q=0.9), lambda y, f, **w: metrics.mean_pinball_loss(y, f, alpha=0.9, **w)),
    ],
)
def test_regression_metrics_are_scikit_learns(regression: Any, loss: Any, theirs: Any, weighted: bool) -> None:
    model, X, y = regression
    w = share(len(y)) if weighted else None
    expected = theirs(y, model.predict(X), sample_weight=w)
    assert lm.to_sklearn(loss)(model, X, y, sample_weight=w) == pytest.approx(-expected, rel=1e-13)
    assert lm.to_sklearn(loss).metric(y, model.predict(X), sample_weight=w) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_poisson_is_half_the_deviance_up_to_a_constant(regression: Any, weighted: bool) -> None:
    _, X, y = regression
    w = share(len(y)) if weighted else None
    score = lm.to_sklearn(lm.PoissonNLL(inputs="rate"))
    models = [Fixed({"predict": np.exp(X @ slope + 5.0)}) for slope in (np.zeros(10), np.linspace(0.0, 5.0, 10))]
    ours = [score(model, X, y, sample_weight=w) for model in models]
    theirs = [metrics.mean_poisson_deviance(y, model.predict(X), sample_weight=w) for model in models]
    assert ours[0] - ours[1] == pytest.approx((theirs[1] - theirs[0]) / 2, rel=1e-10)
    assert abs(ours[0] - ours[1]) > 0.01


CODINGS = {
    "0/1": np.array([0, 1]),
    "-1/+1": np.array([-1, 1]),
    "1/2": np.array([1.0, 2.0]),
    "bool": np.array([False, True]),
    "text": np.array(["benign", "malign"]),
    "object": np.array(["b", "m"], object),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
def test_log_loss_brier_and_hinge_of_two_classes_in_any_coding(binary: Any, coding: str, weighted: bool) -> None:
    X, y = binary
    labels = CODINGS[coding][y]
    w = share(len(y)) if weighted else None
    model = LogisticRegression().fit(X, labels)
    log_loss = metrics.log_loss(labels, model.predict_proba(X), sample_weight=w)
    for inputs in ("logits", "probabilities"):
        scorer = lm.to_sklearn(lm.BinaryCrossEntropy(inputs=inputs))
        assert scorer(model, X, labels, sample_weight=w) == pytest.approx(-log_loss, rel=1e-12)
    raw = lm.to_sklearn("bce", response_method="decision_function")
    assert raw(model, X, labels, sample_weight=w) == pytest.approx(-log_loss, rel=1e-10)
    brier = metrics.brier_score_loss(y, model.predict_proba(X)[:, 1], sample_weight=w)
    squared = lm.to_sklearn("mse", response_method="predict_proba")
    assert squared(model, X, labels, sample_weight=w) == pytest.approx(-brier, rel=1e-12)
    hinge = metrics.hinge_loss(y, model.decision_function(X), sample_weight=w)
    assert lm.to_sklearn("hinge")(model, X, labels, sample_weight=w) == pytest.approx(-hinge, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_of_more_classes(multiclass: Any, weighted: bool) -> None:
    X, y = multiclass
    w = share(len(y)) if weighted else None
    model = LogisticRegression(max_iter=200).fit(X, y)
    expected = -metrics.log_loss(y, model.predict_proba(X), sample_weight=w)
    for inputs in ("logits", "probabilities"):
        scorer = lm.to_sklearn(lm.CategoricalCrossEntropy(inputs=inputs))
        assert scorer(model, X, y, sample_weight=w) == pytest.approx(expected, rel=1e-12)
    raw = lm.to_sklearn("cce", response_method="decision_function")
    assert raw(model, X, y, sample_weight=w) == pytest.approx(expected, rel=1e-10)


def test_the_better_model_scores_higher(binary: Any) -> None:
    """The sign: a control that a scorer with the metric's sign would fail."""
    X, y = binary
    good, bad = LogisticRegression(C=1.0).fit(X, y), LogisticRegression(C=1e-5).fit(X, y)
    for scorer in (lm.to_sklearn("bce"), lm.to_sklearn("binary_focal"), lm.to_sklearn("squared_hinge")):
        assert bad.score(X, y) < good.score(X, y)
        assert scorer(bad, X, y) < scorer(good, X, y) < 0
    probability = good.predict_proba(X)[:, 1]
    metric = lm.to_sklearn(lm.BinaryCrossEntropy(inputs="probabilities")).metric
    assert metric(y, probability) < metric(y, bad.predict_proba(X)[:, 1])


# --- which output, which class ------------------------------------------------------------------------


def test_the_positive_class_can_be_chosen(binary: Any) -> None:
    """An asymmetric loss tells the two apart; a symmetric one does not."""
    X, y = binary
    labels = CODINGS["text"][y]
    model = LogisticRegression().fit(X, labels)
    loss = lm.BinaryFocal(gamma=2.0, alpha=0.9)
    as_second = lm.to_sklearn(loss)(model, X, labels)
    assert as_second == lm.to_sklearn(loss, pos_label="malign")(model, X, labels)
    flipped = lm.to_sklearn(loss, pos_label="benign")(model, X, labels)
    assert flipped == pytest.approx(-float(loss(1.0 - y, -model.decision_function(X))), rel=1e-10)
    assert abs(flipped - as_second) > 1e-3
    raw = lm.to_sklearn(loss, pos_label="benign", response_method="decision_function")
    assert raw(model, X, labels) == pytest.approx(flipped, rel=1e-10)
    plain = lm.to_sklearn("hinge")(model, X, labels)
    assert lm.to_sklearn("hinge", pos_label="benign")(model, X, labels) == pytest.approx(plain, rel=1e-13)


def test_columns_follow_classes_in_any_order() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    y = np.array(["c", "a"])
    model = Fixed({"predict_proba": rows}, np.array(["c", "a", "b"]))
    assert lm.to_sklearn("cce")(model, None, y) == pytest.approx(-np.mean([-np.log(0.7), -np.log(0.6)]))
    assert indices(np.array(["a", "b", "c", "a"]), model.classes_).tolist() == [1, 2, 0, 1]


def test_a_fold_without_one_of_the_classes(multiclass: Any) -> None:
    X, y = multiclass
    model = LogisticRegression(max_iter=200).fit(X, y)
    some = y != "virginica"
    expected = metrics.log_loss(y[some], model.predict_proba(X[some]), labels=model.classes_)
    assert lm.to_sklearn("cce")(model, X[some], y[some]) == pytest.approx(-expected, rel=1e-12)


def test_a_class_that_was_not_in_training(multiclass: Any) -> None:
    X, y = multiclass
    some = y != "virginica"
    model = LogisticRegression().fit(X[some], y[some])
    with pytest.raises(ValueError, match=r"label 'virginica'; the estimator was fitted with 'setosa', 'versicolor'"):
        lm.to_sklearn("bce")(model, X, y)


def test_probabilities_that_round_to_1_keep_their_digits_in_the_other_column() -> None:
    model = Fixed({"predict_proba": np.array([[1e-30, 1.0], [0.5, 0.5]])}, np.array([0, 1]))
    expected = -(-np.log(1e-30) + np.log(2.0)) / 2
    for inputs in ("logits", "probabilities"):
        assert lm.to_sklearn(lm.BinaryCrossEntropy(inputs=inputs))(model, None, [0, 1]) == pytest.approx(expected)


def test_a_certain_mistake_costs_infinity_unless_scores_are_read() -> None:
    outputs = {"predict_proba": np.array([[0.0, 1.0]]), "decision_function": np.array([800.0])}
    model = Fixed(outputs, np.array([0, 1]))
    assert lm.to_sklearn("bce")(model, None, [0]) == -np.inf
    assert lm.to_sklearn("bce", response_method="decision_function")(model, None, [0]) == -800.0


def test_single_precision_outputs_are_scored_in_double() -> None:
    f = np.array([0.1, 0.7], np.float32)
    score = lm.to_sklearn("mse")(Fixed({"predict": f}), None, np.array([0.3, 0.2]))
    assert score == -float(np.mean((f.astype(float) - [0.3, 0.2]) ** 2))


def test_other_tasks_outputs() -> None:
    """Several targets, rows of a distribution's parameters, probabilities from predict, log-rates that are said."""
    y, f = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.5, 2.0], [3.0, 5.0]])
    assert lm.to_sklearn("mse")(Fixed({"predict": f}), None, y, sample_weight=[1.0, 3.0]) == -3.25 / 8
    assert lm.to_sklearn("gaussian_nll")(Fixed({"predict": f}), None, y[:, 0]) == -float(lm.GaussianNLL()(y[:, 0], f))
    bce = lm.BinaryCrossEntropy(inputs="probabilities")
    p = np.array([0.9, 0.2])
    assert lm.to_sklearn(bce, response_method="predict")(Fixed({"predict": p}), None, [1, 0]) == -float(bce([1, 0], p))
    poisson = lm.to_sklearn("poisson_nll", response_method="predict")
    assert poisson(Fixed({"predict": np.log([2.0, 3.0])}), None, [2, 3]) == pytest.approx(
        lm.to_sklearn(lm.PoissonNLL(inputs="rate"))(Fixed({"predict": np.array([2.0, 3.0])}), None, [2, 3])
    )


def test_sums_ask_for_what_all_parts_take(binary: Any) -> None:
    X, y = binary
    model = LogisticRegression().fit(X, y)
    parts = (lm.BinaryCrossEntropy(), lm.BinaryFocal(inputs="probabilities"))
    each = [lm.to_sklearn(part)(model, X, y) for part in parts]
    assert lm.to_sklearn(lm.WeightedSum(parts, (1.0, 0.5)))(model, X, y) == pytest.approx(each[0] + 0.5 * each[1])
    with_brier = lm.WeightedSum(("bce", "mse"))
    both = lm.to_sklearn("bce")(model, X, y) + lm.to_sklearn("mse", response_method="predict_proba")(model, X, y)
    assert lm.to_sklearn(with_brier, response_method="predict_proba")(model, X, y) == pytest.approx(both)
    with pytest.raises(ValueError, match=r"scored on predict and predict_proba; say response_method"):
        lm.to_sklearn(with_brier)
    with pytest.raises(ValueError, match="code classes in different ways"):
        lm.to_sklearn(lm.WeightedSum(("bce", "hinge")), response_method="decision_function")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_loss_but_structured_ones_is_scored(case: Any) -> None:
    """The score is minus the loss of what the estimator gave, whichever method that came from."""
    loss, (y, f) = case.loss, case.sample()
    taken = []
    for method in METHODS:
        with contextlib.suppress(ValueError):
            scorer = lm.to_sklearn(loss, response_method=method)
            taken.append(method)
        if method in taken and y.ndim == 1:
            estimator, labels, loss_of_it = _estimator(loss, y, f, method)
            assert scorer(estimator, None, labels) == pytest.approx(-float(loss_of_it(y, f)), rel=1e-9, abs=1e-12)
    assert bool(taken) == (loss.tier != "structured")


def _estimator(loss: Loss, y: Any, f: Any, method: str) -> tuple[Fixed, Any, Loss]:
    """Return an estimator that says f by a method, its labels, and the loss on f."""
    if method == "predict":
        return Fixed({"predict": f}), y, loss
    names = np.array(["a", "b", "c"])[: f.shape[1] if f.ndim == 2 else 2]
    labels = names[(y > 0).astype(int) if f.ndim == 1 else y]
    if method == "decision_function":
        return Fixed({method: f}, names), labels, loss
    if loss.traits.task == "regression":
        f, y = 1 / (1 + np.exp(-f)), (y > 0).astype(float)
        return Fixed({method: np.column_stack([1 - f, f])}, names), labels, _At(loss, y, f)
    if loss.to_config()["params"]["inputs"] == "logits":
        z = f if f.ndim == 2 else np.column_stack([np.zeros_like(f), f])
        return Fixed({method: np.exp(z - np.logaddexp.reduce(z, 1, keepdims=True))}, names), labels, loss
    rows = f if f.ndim == 2 else np.column_stack([1 - f, f])
    return Fixed({method: rows}, names), labels, loss


@dataclasses.dataclass
class _At:
    """A loss at points that are given."""

    loss: Any
    y: Any
    f: Any

    def __call__(self, y: Any, f: Any) -> Any:
        return self.loss(self.y, self.f)


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lm.to_sklearn(3), TypeError, "got int"),
        (lambda: lm.to_sklearn("triplet"), ValueError, "takes embedding targets, and scikit-learn scores row by row"),
        (lambda: lm.to_sklearn(lm.WeightedSum(("dice", "bce"))), ValueError, "takes segmentation targets"),
        (lambda: lm.to_sklearn("poisson_nll"), ValueError, "give inputs='rate', or say response_method='predict'"),
        (lambda: lm.to_sklearn("hinge", response_method="predict_proba"), ValueError, "takes scores for binary"),
        (lambda: lm.to_sklearn("mse", response_method="proba"), ValueError, "give 'predict', 'predict_proba'"),
        (lambda: lm.to_sklearn("cce", pos_label=1), ValueError, "pos_label=1 has no meaning"),
        (
            lambda: lm.to_sklearn(lm.CategoricalCrossEntropy(z_loss=1e-4)),
            ValueError,
            "needs logits",
        ),
        (
            lambda: lm.to_sklearn(lm.BinaryCrossEntropy(inputs="probabilities"), response_method="decision_function"),
            ValueError,
            "takes probabilities for binary targets, which decision_function does not give",
        ),
    ],
)
def test_what_cannot_be_a_scorer_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=".*" + words.replace("(", r"\(")) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_estimators_that_do_not_fit_are_refused(binary: Any, multiclass: Any, regression: Any) -> None:
    X, y = binary
    svm = LinearSVC().fit(X, y)
    with pytest.raises(TypeError, match=r"LinearSVC has no predict_proba.*CalibratedClassifierCV"):
        lm.to_sklearn("bce")(svm, X, y)
    assert lm.to_sklearn("hinge")(svm, X, y) < 0
    three = LogisticRegression(max_iter=200).fit(*multiclass)
    with pytest.raises(ValueError, match=r"for two classes; LogisticRegression knows 3"):
        lm.to_sklearn("bce")(three, *multiclass)
    with pytest.raises(ValueError, match=r"gave shape \(569,\) for 2 classes.*BinaryCrossEntropy"):
        lm.to_sklearn("multi_margin")(svm, X, y)
    with pytest.raises(TypeError, match="LinearRegression has no predict_proba"):
        lm.to_sklearn("bce")(*regression)
    with pytest.raises(ValueError, match=r"predicts 2 outputs; score them one by one"):
        lm.to_sklearn("cce")(Fixed({"predict_proba": [[[0.5, 0.5]]] * 2}, [np.arange(2)] * 2), None, [0])
    with pytest.raises(ValueError, match=r"y_true has shape \(2,\) and y_pred has shape \(2, 1\)"):
        lm.to_sklearn("mse")(Fixed({"predict": np.zeros((2, 1))}), None, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"predict_proba holds -0\.5 at index \(0, 0\)"):
        lm.to_sklearn("bce")(Fixed({"predict_proba": np.array([[-0.5, 1.5]])}, np.arange(2)), None, [0])


def test_weights_of_nothing_are_no_perfect_score(regression: Any) -> None:
    model, X, y = regression
    with pytest.raises(ValueError, match="sample_weight is 0 for all 442 samples"):
        lm.to_sklearn("mse")(model, X, y, sample_weight=np.zeros(len(y)))


def test_pipelines_and_boosters_are_classifiers_too(binary: Any) -> None:
    X, y = binary
    for model in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        GradientBoostingClassifier(n_estimators=5),
    ):
        model.fit(X, y)
        expected = -metrics.log_loss(y, model.predict_proba(X))
        assert lm.to_sklearn("bce")(model, X, y) == pytest.approx(expected, rel=1e-10)
