"""The interior point method against linear programmes, and its gap against the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, random_array

import lossmith as lm
from lossmith.optimize import L1, L2, ElasticNet, solve
from lossmith.optimize.descents import Progress
from lossmith.optimize.interior import interior
from lossmith.optimize.objective import Objective
from lossmith.optimize.smoothing import kinks

LOSSES = [lm.MeanAbsoluteError(), lm.Quantile(q=0.95), lm.Hinge()]


def problem(loss, n=120, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * [1.0, 5.0, 0.2, 1.0][:d]
    y = X.sum(axis=1) + rng.standard_t(1.5, n)
    return X, np.where(y > 0, 1.0, -1.0) if isinstance(loss, lm.Hinge) else y


def least(loss, X, y, l1=0.0):
    """The optimum by SciPy's linear programming: f = place + u - v."""
    n, d = X.shape
    kink = kinks(loss, y)[0]
    low, high = kink.left / n, (kink.left + kink.jump) / n
    A = np.hstack([X, -X, np.ones((n, 1)), -np.ones((n, 1)), -np.eye(n), np.eye(n)])
    cost = np.concatenate([np.full(2 * d, l1), [0.0, 0.0], high, -low])
    found = linprog(cost, A_eq=A, b_eq=kink.place, method="highs")
    assert found.status == 0
    return found.fun + float(np.mean(loss.value_and_gradient(y, kink.place)[0]))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("l1", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_the_linear_programme(loss, l1, seed) -> None:
    X, y = problem(loss, seed=seed)
    found = solve(loss, X, y, penalty=L1(l1) if l1 else None)
    assert (found.status, found.method, found.smoothing_error) == ("converged", "interior", 0.0)
    assert found.objective == pytest.approx(least(loss, X, y, l1), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3])
def test_the_gap_is_a_bound(loss, tolerance) -> None:
    """Stopped early, the objective is above the optimum, by no more than the gap says."""
    X, y = problem(loss)
    found, truth = solve(loss, X, y, tolerance=tolerance), least(loss, X, y)
    assert truth * (1 - 1e-12) <= found.objective <= truth + 1.01 * found.optimality * max(found.objective, 1.0)
    assert found.objective > truth * (1 + 1e-9)  # otherwise this says nothing


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("penalty", [L2(0.1), ElasticNet(0.1, 0.5)])
def test_no_neighbour_is_lower(loss, penalty) -> None:
    X, y = problem(loss)
    found = solve(loss, X, y, penalty=penalty)
    objective = Objective.build(loss, X, y, penalty=penalty)
    theta = np.append(found.coefficients, found.intercept)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-5):
        there = [objective.value(theta + size * rng.standard_normal(theta.size)) for _ in range(200)]
        assert min(there) >= found.objective - 1e-9


def test_sparse_features_and_samples_without_weight() -> None:
    loss, rng = lm.Quantile(q=0.3), np.random.default_rng(2)
    X = csr_matrix(random_array((300, 12), density=0.2, rng=rng))
    y = rng.standard_normal(300)
    weight = rng.integers(0, 3, 300).astype(float)
    sparse = solve(loss, X, y, penalty=L1(0.01), sample_weight=weight)
    dense = solve(loss, X.toarray(), y, penalty=L1(0.01), sample_weight=weight)
    repeated = np.repeat(np.arange(300), weight.astype(int))
    again = solve(loss, X.toarray()[repeated], y[repeated], penalty=L1(0.01))
    assert sparse.objective == pytest.approx(dense.objective, rel=1e-8)
    assert sparse.objective == pytest.approx(again.objective, rel=1e-8)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_degenerate_features(loss) -> None:
    """Columns twice, a column of zeros, one of ones beside the intercept; classes that can be separated."""
    X, y = problem(loss)
    wide = np.hstack([X, X, np.zeros((120, 1)), np.ones((120, 1))])
    found = solve(loss, wide, y)
    assert np.isfinite(found.coefficients).all()
    assert found.objective == pytest.approx(least(loss, X, y), rel=1e-7, abs=1e-9)
    clear = solve(lm.Hinge(), X, np.where(X[:, 0] > 0, 1.0, -1.0))
    assert np.isfinite(clear.coefficients).all()
    assert clear.objective < 1e-6


@pytest.mark.parametrize("y", [np.zeros(120), np.full(120, 7.0)])
def test_a_perfect_fit(y) -> None:
    found = solve(lm.MeanAbsoluteError(), problem(lm.MeanAbsoluteError())[0], y)
    assert found.status == "converged"
    assert found.objective == pytest.approx(0.0, abs=1e-8)


def test_limits_and_a_wrong_kink() -> None:
    loss = lm.MeanAbsoluteError()
    X, y = problem(loss)
    assert solve(loss, X, y, max_iterations=3).status == "iteration_limit"
    assert solve(loss, X, y, max_seconds=0.0).status == "time_limit"
    # Places that are not the loss's: the method ends elsewhere, and the linear programme tells.
    objective = Objective.build(loss, X, y)
    kink = dataclasses.replace(kinks(loss, y)[0], place=y + 0.3 * np.sign(X[:, 0]))
    wrong = interior(objective, kink, np.zeros(objective.size), Progress(1e-8, 100, np.inf)).theta
    assert objective.value(wrong) > least(loss, X, y) * (1 + 1e-6)
