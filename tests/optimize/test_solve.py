"""The solver against independent ones, against optimality conditions, and on degenerate problems."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import (
    ElasticNet as SklearnElasticNet,
)
from sklearn.linear_model import (
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.svm import LinearSVC

import lossmith as lm
from lossmith.optimize import L1, L2, ElasticNet, Objective, solve
from lossmith.optimize.smoothing import Smoothed, kinks

RNG = np.random.default_rng(3)
N, D = 400, 5
X = RNG.standard_normal((N, D)) * [1.0, 2.0, 0.5, 1.0, 3.0] + 0.3
SIGNAL = X @ [1.0, -0.5, 2.0, 0.0, 0.2] + 0.7
REAL = SIGNAL + RNG.standard_t(2, N)
BIT = (SIGNAL + RNG.logistic(size=N) > 0).astype(float)
COUNT = RNG.poisson(np.exp(0.4 * SIGNAL)).astype(float)
CLASS = np.digitize(SIGNAL + RNG.logistic(size=N), [-1.0, 2.0])
WEIGHT = RNG.integers(0, 4, N).astype(float)


def targets(loss):
    if loss.tier == "row-wise":
        return CLASS
    if isinstance(loss, (lm.Hinge, lm.SquaredHinge)):
        return 2 * BIT - 1
    return {"binary": BIT, "count": COUNT}.get(loss.traits.task, REAL)


SMOOTH = [
    lm.MeanSquaredError(),
    lm.Huber(delta=1.2),
    lm.LogCosh(),
    lm.BinaryCrossEntropy(),
    lm.SquaredHinge(),
    lm.PoissonNLL(),
    lm.CategoricalCrossEntropy(),
]
KINKED = [lm.MeanAbsoluteError(), lm.Quantile(q=0.8), lm.Hinge()]
NON_CONVEX = [lm.Tukey(), lm.BinaryFocal(), lm.CategoricalFocal()]


def fit(loss, **options):
    outputs = 3 if loss.tier == "row-wise" else None
    return solve(loss, options.pop("X", X), options.pop("y", targets(loss)), outputs=outputs, **options)


def objective(loss, penalty=None, weight=None):
    outputs = 3 if loss.tier == "row-wise" else None
    return Objective.build(loss, X, targets(loss), weight, penalty, True, outputs)


# --- the objective ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SMOOTH + NON_CONVEX, ids=repr)
@pytest.mark.parametrize("penalty", [None, L2(0.3), ElasticNet(0.2, 0.5)])
def test_gradient_by_differences(loss, penalty) -> None:
    problem = objective(loss, penalty, WEIGHT)
    theta = np.random.default_rng(0).normal(size=problem.size) * 0.2
    gradient = problem.value_and_gradient(theta)[1]
    for i in range(theta.size):
        e = np.zeros_like(theta)
        e[i] = 1e-6
        slope = (problem.value(theta + e) - problem.value(theta - e)) / 2e-6
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_hessian_by_differences() -> None:
    problem = objective(lm.PoissonNLL(), L2(0.3), WEIGHT)
    theta = np.full(problem.size, 0.05)
    matrix = problem.hessian(lm.PoissonNLL().hessian(COUNT, problem.raw(theta)))
    for i in range(theta.size):
        e = np.zeros_like(theta)
        e[i] = 1e-6
        column = (problem.value_and_gradient(theta + e)[1] - problem.value_and_gradient(theta - e)[1]) / 2e-6
        np.testing.assert_allclose(matrix[:, i], column, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_smoothed_loss_is_above_by_at_most_its_error_and_smooth(loss) -> None:
    y = targets(loss)[:50]
    smoothed = Smoothed(loss, kinks(loss, y), 0.3)
    for f in np.linspace(-3, 3, 101):
        raw = np.full(50, f)
        value, slope = smoothed.value_and_gradient(y, raw)
        plain = loss(y, raw, reduction="none")
        assert (value >= plain - 1e-12).all()
        assert (value <= plain + smoothed.error + 1e-12).all()
        up, down = (smoothed.value_and_gradient(y, raw + h)[0] for h in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, atol=1e-5)
    # Exactly on a kink the slope is the middle one, not the subgradient 0.
    place = kinks(loss, y)[0].place
    middle = smoothed.value_and_gradient(y, place)[1]
    up, down = (smoothed.value_and_gradient(y, place + h)[0] for h in (1e-6, -1e-6))
    np.testing.assert_allclose(middle, (up - down) / 2e-6, atol=1e-6)


# --- independent solvers --------------------------------------------------------------------------------


def test_ridge() -> None:
    found = fit(lm.MeanSquaredError(), penalty=L2(0.05), sample_weight=WEIGHT)
    oracle = Ridge(alpha=0.05 * WEIGHT.sum(), tol=1e-12).fit(X, REAL, WEIGHT)
    np.testing.assert_allclose(found.coefficients, oracle.coef_, atol=1e-8)
    assert found.intercept == pytest.approx(oracle.intercept_, abs=1e-8)


def test_elastic_net_in_both_conventions() -> None:
    ours = ElasticNet(alpha=0.6, l1_ratio=0.5)
    a, b = ours.parts
    # scikit-learn halves the mean square and the penalty's square.
    theirs = SklearnElasticNet(alpha=a / 2 + b, l1_ratio=(a / 2) / (a / 2 + b), tol=1e-12, max_iter=100_000)
    oracle = theirs.fit(X, REAL)
    found = fit(lm.MeanSquaredError(), penalty=ours)
    np.testing.assert_allclose(found.coefficients, oracle.coef_, atol=1e-6)
    assert (found.coefficients == 0).any() == (oracle.coef_ == 0).any()


def test_logistic() -> None:
    found = fit(lm.BinaryCrossEntropy(), penalty=L2(0.01))
    oracle = LogisticRegression(C=1 / (2 * 0.01 * N), tol=1e-10, max_iter=10_000).fit(X, BIT)
    np.testing.assert_allclose(found.coefficients, oracle.coef_[0], atol=1e-5)


def test_softmax() -> None:
    found = fit(lm.CategoricalCrossEntropy(), penalty=L2(0.01))
    oracle = LogisticRegression(C=1 / (2 * 0.01 * N), tol=1e-10, max_iter=10_000).fit(X, CLASS)
    np.testing.assert_allclose(found.coefficients.T, oracle.coef_, atol=1e-5)


def test_poisson() -> None:
    found = fit(lm.PoissonNLL(), penalty=L2(0.01), sample_weight=WEIGHT + 1)
    oracle = PoissonRegressor(alpha=0.02, tol=1e-10, max_iter=10_000).fit(X, COUNT, WEIGHT + 1)
    np.testing.assert_allclose(found.coefficients, oracle.coef_, atol=1e-5)


def test_hinge() -> None:
    found = fit(lm.Hinge(), penalty=L2(0.01), intercept=False)
    svm = LinearSVC(loss="hinge", C=1 / (2 * 0.01 * N), fit_intercept=False, tol=1e-10, max_iter=1_000_000)
    oracle = svm.fit(X, BIT)
    np.testing.assert_allclose(found.coefficients, oracle.coef_[0], atol=1e-4)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_against_the_linear_programme(q) -> None:
    found = fit(lm.Quantile(q=q))
    oracle = QuantileRegressor(quantile=q, alpha=0.0, solver="highs").fit(X, REAL)
    best = float(lm.Quantile(q=q)(REAL, oracle.predict(X)))
    assert best - 1e-12 <= found.objective <= best + found.smoothing_error + 1e-9 * best
    assert found.smoothing_error < 1e-6


def test_absolute_error_with_l1_against_the_linear_programme() -> None:
    # min sum(u + v) / n + a sum(p + m): y = X (p - m) + b + u - v
    a = 0.1
    columns = np.hstack([X, -X, np.ones((N, 1)), -np.ones((N, 1)), np.eye(N), -np.eye(N)])
    cost = np.concatenate([np.full(2 * D, a), [0, 0], np.full(2 * N, 1 / N)])
    best = linprog(cost, A_eq=columns, b_eq=REAL, method="highs").fun
    found = fit(lm.MeanAbsoluteError(), penalty=L1(a), max_iterations=5000)
    assert best - 1e-9 <= found.objective <= best * (1 + 1e-5)


@pytest.mark.parametrize("loss", SMOOTH, ids=repr)
@pytest.mark.parametrize("penalty", [L2(0.02), L1(0.02)], ids=repr)
def test_scipy_finds_nothing_better(loss, penalty) -> None:
    problem = objective(loss, penalty)
    found = fit(loss, penalty=penalty)
    assert found.status == "converged"
    theta = np.concatenate([found.coefficients.ravel(), np.atleast_1d(found.intercept)])
    start = np.random.default_rng(1).normal(size=problem.size)
    for method in ("BFGS", "Powell"):
        other = minimize(problem.value, start, method=method, options={"maxiter": 20_000}).fun
        assert found.objective <= other + 1e-9
    assert problem.value(theta) == pytest.approx(found.objective, rel=1e-14)


# --- optimality conditions --------------------------------------------------------------------------------


def subgradient_distance(loss, found, width=1e-5):
    """Distance from 0 of the best subgradient of the mean loss, free where residuals vanish."""
    raw = X @ found.coefficients + found.intercept
    (kink,) = kinks(loss, targets(loss))
    on = np.abs(raw - kink.place) < width
    slopes = loss.gradient(targets(loss), raw)
    A = np.column_stack([X, np.ones(N)]).T / N
    bounds = [
        (float(kink.left[i]), float(kink.left[i] + kink.jump[i])) if on[i] else (float(slopes[i]),) * 2
        for i in range(N)
    ]
    size = A.shape[0]
    rows = np.vstack([np.hstack([A, -np.ones((size, 1))]), np.hstack([-A, -np.ones((size, 1))])])
    cost = np.append(np.zeros(N), 1.0)
    return linprog(cost, A_ub=rows, b_ub=np.zeros(2 * size), bounds=[*bounds, (0, None)]).fun


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_zero_is_a_subgradient(loss) -> None:
    found = fit(loss)
    assert subgradient_distance(loss, found) < 1e-8
    moved = dataclasses.replace(found, coefficients=found.coefficients + 0.05)
    assert subgradient_distance(loss, moved) > 1e-3


@pytest.mark.parametrize("loss", NON_CONVEX, ids=repr)
def test_non_convex_losses_reach_a_stationary_point_below_their_start(loss) -> None:
    found = fit(loss, penalty=L2(1e-4))
    assert found.status == "converged"
    assert found.optimality <= 1e-8
    assert found.objective <= found.history.objective[0]


def test_redescending_loss_ignores_a_gross_cluster() -> None:
    y = SIGNAL + RNG.normal(0, 0.1, N)
    y[:100] += 500.0
    found = fit(lm.Tukey(c=4.685 * 0.1), y=y)
    np.testing.assert_allclose(found.coefficients, [1.0, -0.5, 2.0, 0.0, 0.2], atol=0.05)
    least_squares = fit(lm.MeanSquaredError(), y=y)
    assert np.abs(least_squares.intercept - 0.7) > 50


# --- laws -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*SMOOTH, *KINKED], ids=repr)
def test_weights_are_repetitions(loss) -> None:
    times = WEIGHT.astype(int)
    weighted = fit(loss, penalty=L2(0.05), sample_weight=WEIGHT)
    repeated = fit(loss, penalty=L2(0.05), X=np.repeat(X, times, axis=0), y=np.repeat(targets(loss), times))
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, atol=2e-5)


@pytest.mark.parametrize("loss", [lm.Huber(), lm.Quantile(q=0.3), lm.CategoricalCrossEntropy()], ids=repr)
@pytest.mark.parametrize("penalty", [L2(0.02), L1(0.02)], ids=repr)
def test_sparse_equals_dense(loss, penalty) -> None:
    dense, sparse = fit(loss, penalty=penalty), fit(loss, penalty=penalty, X=csr_matrix(X))
    assert dense.objective == pytest.approx(sparse.objective, rel=1e-6)


def test_history_never_rises_for_a_smooth_loss_and_watch_sees_it() -> None:
    seen = []
    found = fit(lm.LogCosh(), watch=lambda step: seen.append((step.objective, step.gradient_norm)))
    assert [value for value, _ in seen] == found.history.objective.tolist()
    assert (np.diff(found.history.objective) <= 0).all()
    assert seen[-1][1] < 1e-7 < seen[0][1]
    assert len(found.history) == found.iterations + 1


def test_a_start_at_the_solution_needs_no_step() -> None:
    first = fit(lm.Huber())
    again = fit(lm.Huber(), start=(first.coefficients, first.intercept))
    assert again.iterations == 0


# --- degenerate problems ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SMOOTH + KINKED + NON_CONVEX, ids=repr)
def test_singular_features_give_finite_coefficients(loss) -> None:
    twice = np.hstack([X, X, np.zeros((N, 2)), np.ones((N, 1))])
    found = fit(loss, X=twice, penalty=L2(1e-6), max_iterations=3000)
    assert np.isfinite(found.coefficients).all()
    plain = fit(loss, penalty=L2(1e-6), max_iterations=3000)
    assert found.objective <= plain.objective + 1e-5


@pytest.mark.parametrize("loss", [lm.BinaryCrossEntropy(), lm.SquaredHinge(), lm.Hinge()], ids=repr)
def test_separable_labels_without_penalty_end_finite(loss) -> None:
    y = (X[:, 0] > 0).astype(float)
    y = y if loss.domain.contains(np.zeros(1))[0] else 2 * y - 1
    found = fit(loss, y=y, max_iterations=200)
    assert np.isfinite(found.coefficients).all()
    assert found.objective < 1e-2


def test_four_points_and_an_outlier() -> None:
    """Newton's matrix is 0 here as soon as no residual is within the smoothing width."""
    x, y = np.arange(4.0)[:, None], np.array([1.0, 3.0, 5.0, 70.0])
    for scale in (1e-3, 1.0, 1e3):
        assert solve(lm.MeanAbsoluteError(), x, scale * y).objective == pytest.approx(scale * 15.75, rel=1e-6)


def test_more_features_than_rows() -> None:
    found = solve(lm.MeanAbsoluteError(), X[:4], REAL[:4], penalty=L2(1e-3))
    assert np.isfinite(found.coefficients).all()
    assert found.objective < np.abs(REAL[:4] - np.median(REAL[:4])).mean()


def test_limits_are_reported() -> None:
    assert fit(lm.Huber(), max_iterations=1).status == "iteration_limit"
    late = fit(lm.CategoricalCrossEntropy(), max_seconds=0.0)
    assert late.status == "time_limit"
    assert "clock" in late.message


def test_constant_target_and_no_features() -> None:
    assert solve(lm.MeanAbsoluteError(), X, np.full(N, 3.0)).intercept == pytest.approx(3.0)
    found = solve(lm.LogCosh(), np.empty((N, 0)), REAL)
    assert found.coefficients.shape == (0,)
    assert found.status == "converged"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"X": X[:-1]}, "y has shape"),
        ({"X": np.where(X > 8, np.nan, X)}, "NaN"),
        ({"sample_weight": np.zeros(N)}, "at least one"),
        ({"sample_weight": -np.ones(N)}, "sample_weight"),
        ({"start": (np.zeros(2), 0.0)}, "start holds"),
    ],
)
def test_bad_input_is_named(arguments, words) -> None:
    bad = {**arguments}
    if "X" in bad and "NaN" in words:
        bad["X"] = X.copy()
        bad["X"][3, 2] = np.nan
    with pytest.raises(ValueError, match=words):
        fit(lm.Huber(), **bad)


def test_tiers_and_outputs_must_fit() -> None:
    with pytest.raises(ValueError, match="outputs"):
        solve(lm.CategoricalCrossEntropy(), X, CLASS)
    with pytest.raises(ValueError, match="outputs"):
        solve(lm.Huber(), X, REAL, outputs=2)


def test_a_wrong_gradient_is_not_called_converged() -> None:
    class Wrong(lm.MeanSquaredError):
        def value_and_gradient(self, y, f, **rest):
            return (f - y) ** 2, 2.0 * (y - f) + 5.0

        def gradient(self, y, f, **rest):
            return self.value_and_gradient(y, f)[1]

    found = solve(Wrong(), X, REAL, max_iterations=50)
    assert found.status != "converged"
