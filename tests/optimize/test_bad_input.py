"""Bad input: a status and one line, the best iterate, never NaN, never a hang; the right answer where there is one."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

import lossmith as lm
from lossmith.optimize import solve

RNG = np.random.default_rng(0)
N, D = 150, 5
X = RNG.standard_normal((N, D))
SIGNAL = X @ RNG.standard_normal(D)
REAL = SIGNAL + RNG.standard_t(2, N)
BIT = (SIGNAL + RNG.logistic(size=N) > 0).astype(float)
COUNT = RNG.poisson(np.exp(0.3 * SIGNAL)).astype(float)
CLASS = np.digitize(SIGNAL, [-1.0, 1.0])
REGRESSION = [lm.Huber(), lm.LogCosh(), lm.Tukey(), lm.Quantile(q=0.9)]
LABELS = [lm.BinaryCrossEntropy(), lm.Hinge(), lm.SquaredHinge(), lm.BinaryFocal(), lm.CategoricalCrossEntropy()]
LOSSES = [lm.MeanSquaredError(), *REGRESSION, *LABELS, lm.PoissonNLL(), lm.GammaNLL(), lm.MultiMargin(p=1)]
FEATURES = {
    "repeated columns": np.c_[X, X],
    "constant columns": np.c_[X, np.full((N, 2), 5.0), np.zeros(N)],
    "more columns than rows": RNG.standard_normal((20, 60)),
    "huge": X * 1e8,
    "tiny": X * 1e-8,
    "of all sizes": X * np.geomspace(1e-6, 1e6, D),
    "one row": X[:1],
}


def targets(loss, bit=BIT, classes=CLASS):
    if loss.tier == "row-wise":
        return classes
    if isinstance(loss, lm.Hinge | lm.SquaredHinge):
        return 2 * bit - 1
    if isinstance(loss, lm.GammaNLL):
        return COUNT + 0.5
    return {"binary": bit, "count": COUNT}.get(loss.traits.task, REAL)


def finished(loss, features, y, **settings):
    """Fit without a single warning from below; everything is finite, and a line says what kept it from the end."""
    outputs = 3 if loss.tier == "row-wise" else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(loss, features, y, outputs=outputs, **settings)
    for part in (found.coefficients, found.intercept, found.objective, found.optimality):
        assert np.isfinite(part).all()
    assert found.objective <= found.history.objective[0] * (1 + 1e-8) + 1e-300
    assert (found.message == "") == (found.status == "converged")
    assert "\n" not in found.message
    return found


@pytest.mark.parametrize("penalty", [None, lm.L1(0.01)], ids=repr)
@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_features(loss, kind, penalty) -> None:
    features = FEATURES[kind]
    found = finished(loss, features, targets(loss)[: len(features)], penalty=penalty, max_iterations=300)
    if loss.traits.convex and not isinstance(loss, lm.MultiMargin) and kind != "of all sizes":
        assert found.status == "converged"


@pytest.mark.parametrize("loss", LABELS, ids=repr)
def test_separable_classes(loss) -> None:
    """Without a penalty there is no best: larger coefficients are always better. With one there is."""
    y = targets(loss, (X[:, 0] > 0).astype(float), np.digitize(X[:, 0], [-0.5, 0.5]))
    finished(loss, X, y)
    assert finished(loss, X, y, penalty=lm.L2(1e-3)).optimality < 1e-6


@pytest.mark.parametrize("factor", [1e8, 1e-8])
@pytest.mark.parametrize("loss", [lm.MeanSquaredError(), *REGRESSION, lm.PseudoHuber()], ids=repr)
def test_targets_in_another_unit(loss, factor) -> None:
    found = finished(loss, X, REAL * factor)
    if not loss.traits.convex:
        return
    assert found.status == "converged"
    if factor > 1 and loss.traits.lipschitz < np.inf and not loss.traits.kinks:
        # Where the unit is nothing, these losses are the absolute error.
        least = solve(lm.MeanAbsoluteError(), X, REAL * factor)
        assert found.objective == pytest.approx(loss.traits.lipschitz * least.objective, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_limits(loss) -> None:
    assert finished(loss, X, targets(loss), tolerance=1e-30).status in ("converged", "stalled", "iteration_limit")
    short = finished(loss, X, targets(loss), max_iterations=1)
    assert short.status in ("iteration_limit", "stalled") or short.iterations <= 1
    assert finished(loss, X, targets(loss), max_seconds=0.0).iterations <= 2


def test_uneven_weights() -> None:
    weight = np.where(np.arange(N) < 20, 1e12, 1e-6)
    for loss in (lm.Huber(), lm.Quantile(q=0.9), lm.BinaryCrossEntropy()):
        found = finished(loss, X, targets(loss), sample_weight=weight)
        few = finished(loss, X[:20], targets(loss)[:20])
        assert found.objective == pytest.approx(few.objective, rel=1e-6, abs=1e-6)


def test_what_is_no_data_is_refused_in_one_line() -> None:
    bad = X.copy()
    bad[3, 1] = np.nan
    for arguments, options, message in (
        ((bad, REAL), {}, "NaN or infinite"),
        ((X, np.where(np.arange(N) == 3, np.nan, REAL)), {}, "y_true"),
        ((X, REAL), {"sample_weight": np.zeros(N)}, "0 for every sample"),
        ((X, REAL), {"sample_weight": np.full(N, np.nan)}, "finite numbers >= 0"),
        ((X[:0], REAL[:0]), {}, "at least one row"),
        ((X, REAL[1:]), {}, "y has shape"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            solve(lm.Huber(), *arguments, **options)
        assert "\n" not in str(raised.value)


def test_text_and_missing_targets_are_one_line() -> None:
    """As a user meets them first: a column of names, a forgotten target, a class weight that is misspelt."""
    table, y = np.array([["1.0", "red"], ["2.0", "blue"]], object), np.array([0.0, 1.0])
    for problem, message in (
        (lambda: lm.solve(lm.Huber(), table, y), r"X holds what is no number \(could not convert .*'red'\); encode it"),
        (lambda: lm.LossRegressor().fit(table, y), r"X or y holds text \(could not convert .*'red'\); encode it"),
        (lambda: lm.LossMLPRegressor().fit(table, y), "X or y holds text"),
        (lambda: lm.solve(lm.Huber(), [[1.0], [2.0]]), "y is missing; give a target for each row"),
        (lambda: lm.LossClassifier(class_weight="balance").fit([[1.0], [2.0]], y), "class_weight='balance' is not"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            problem()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": "hubr"}, ValueError, "did you mean 'huber'"),
        ({"loss": None}, TypeError, "a loss is a name, such as 'huber', or a Loss, not None"),
        ({"loss": lm.Huber}, TypeError, r"not the class Huber; write Huber\(\)"),
        ({"penalty": "l1"}, TypeError, "penalty='l1' is not accepted; give None or a Penalty"),
        ({"tolerance": -1.0}, ValueError, "tolerance=-1.0 is not accepted"),
        ({"tolerance": np.nan}, ValueError, "tolerance=nan is not accepted"),
        ({"max_iterations": 1.5}, ValueError, "max_iterations=1.5 is not accepted; give a whole number"),
        ({"max_seconds": np.nan}, ValueError, "max_seconds is NaN"),
        ({"X": np.ma.masked_array(X, mask=X > 2)}, ValueError, "X is a masked array"),
        ({"y": np.ma.masked_array(REAL, mask=REAL > 2)}, ValueError, "y is a masked array"),
        ({"X": X * 1e200}, ValueError, "products of the columns of X overflow; scale X"),
    ],
)
def test_arguments_that_mean_nothing_are_one_line(changes, error, message) -> None:
    given = {"loss": lm.Huber(), "X": X, "y": REAL, **changes}
    with pytest.raises(error, match=message) as caught:
        solve(given.pop("loss"), given.pop("X"), given.pop("y"), **given)
    assert "\n" not in str(caught.value)


def test_a_loss_goes_by_its_name() -> None:
    by_name = solve("huber(delta=2)", X, REAL)
    np.testing.assert_array_equal(by_name.coefficients, solve(lm.Huber(delta=2.0), X, REAL).coefficients)
    path = lm.regularisation_path("mse", X, REAL, penalty=lm.L1(), alphas=2)
    assert len(path.solutions) == 2
    for given in (None, "l1"):
        with pytest.raises((TypeError, ValueError), match=r"penalty='l1' is not accepted|no strength"):
            lm.regularisation_path("mse", X, REAL, penalty=given)


def test_the_package_runs_as_a_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "lossmith", "--version"], capture_output=True, text=True, check=True)
    assert lm.__version__ in ran.stdout
