"""Working sets of dense columns without a matrix: the same optimum as with one, whatever the columns look like."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import jit
from lossmith.optimize import L1, MCP, SCAD, Box, ElasticNet, solve, working_sets
from lossmith.optimize.objective import Objective
from lossmith.optimize.scaled import Scaled, minimise_scaled, pulled
from lossmith.optimize.worked import Step

RNG = np.random.default_rng(21)
N, D = 120, 300
X = RNG.standard_normal((N, D)) + 0.7 * RNG.standard_normal((N, 1))
SIGNAL = X[:, :5] @ [2.0, -1.0, 1.0, 0.5, -2.0] + 1.0
TARGETS = {
    "regression": SIGNAL + RNG.standard_t(3, N),
    "binary": (SIGNAL + RNG.logistic(size=N) > 0).astype(float),
    "count": RNG.poisson(np.exp(0.2 * SIGNAL)).astype(float),
}
LOSSES = [lm.MeanSquaredError(), lm.Huber(), lm.BinaryCrossEntropy(), lm.PoissonNLL()]
PENALTIES = [L1(0.1), ElasticNet(0.15, 0.5), Box(-0.1, 0.2)]


@pytest.fixture
def by_columns(monkeypatch):
    monkeypatch.setattr(working_sets, "_MATRIX", 0.0)
    monkeypatch.setattr(working_sets, "_CHANGING", 0)


def wrong(loss, features, y, penalty, found) -> float:
    """Distance from optimal, from the plain gradient."""
    gradient = Objective.build(loss, features, y).value_and_gradient(np.append(found.coefficients, found.intercept))[1]
    return float(max(penalty.distance(found.coefficients, gradient[:-1]).max(), abs(gradient[-1])))


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_same_optimum_in_rows_and_in_columns(loss, penalty, by_columns) -> None:
    y = TARGETS[loss.traits.task if loss.traits.task in TARGETS else "regression"]
    rows = solve(loss, X, y, penalty=penalty, tolerance=1e-10, max_iterations=3000)
    columns = solve(loss, np.asfortranarray(X), y, penalty=penalty, tolerance=1e-10, max_iterations=3000)
    for found in (rows, columns):
        assert found.status == "converged"
        assert wrong(loss, X, y, penalty, found) < 1e-8
    assert rows.objective == pytest.approx(columns.objective, rel=1e-10)


@pytest.mark.parametrize("penalty", [MCP(0.2, 3.0), SCAD(0.2)], ids=repr)
def test_penalties_that_are_not_convex_reach_a_stationary_point(penalty, by_columns) -> None:
    found = solve(lm.BinaryCrossEntropy(), X, TARGETS["binary"], penalty=penalty, max_iterations=3000)
    assert found.status == "converged"
    assert wrong(lm.BinaryCrossEntropy(), X, TARGETS["binary"], penalty, found) < 1e-7


def test_columns_of_any_scale_none_and_twice(by_columns) -> None:
    """float32 would overflow, underflow or vanish on the columns as they are."""
    scales = 10.0 ** np.linspace(-30, 30, D)
    scales[7] = 0.0
    twice = np.asfortranarray(np.hstack([X, X[:, :3]]))
    weight = np.where(np.arange(N) % 5, 1.0, 0.0)
    y = TARGETS["binary"]
    plain = solve(lm.BinaryCrossEntropy(), twice, y, penalty=L1(0.02), sample_weight=weight)
    used = np.flatnonzero(weight)
    fewer = solve(lm.BinaryCrossEntropy(), twice[used], y[used], penalty=L1(0.02))
    assert plain.status == fewer.status == "converged"
    assert plain.objective == pytest.approx(fewer.objective, rel=1e-9)
    wide = solve(lm.MeanSquaredError(), np.asfortranarray(X[:, :60] * scales[:60]), y, penalty=Box(-1.0, 1.0))
    assert np.isfinite(wide.coefficients).all()
    assert wide.coefficients[7] == 0.0


@pytest.mark.parametrize("compiled", [True, False])
def test_one_model_is_minimised_as_far_as_float32_allows(compiled, monkeypatch) -> None:
    monkeypatch.setattr(jit, "available", lambda: compiled)
    features, chosen = RNG.standard_normal((N, D)), np.arange(0, D, 10)
    objective = Objective.build(lm.MeanSquaredError(), np.asfortranarray(features), TARGETS["regression"])
    held = Scaled.of(objective, chosen)
    weight = objective.share * RNG.uniform(0.1, 1.0, N)
    slopes = objective.share * RNG.standard_normal(N)
    np.testing.assert_allclose(held.pull(slopes)[:-1], features[:, chosen].T @ slopes, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        pulled(objective.X, chosen, slopes), features[:, chosen].T @ slopes, rtol=1e-12, atol=1e-14
    )
    step = RNG.standard_normal(chosen.size + 1) * (RNG.random(chosen.size + 1) < 0.5)
    np.testing.assert_allclose(held.raw(step), features[:, chosen] @ step[:-1] + step[-1], atol=1e-12)
    here, gradient = np.zeros(chosen.size + 1), held.pull(slopes)
    there = held.least(weight, gradient, here, Step(L1(0.01), 0.0, 1e-6), True)
    design = np.column_stack([features[:, chosen], np.ones(N)])
    after = gradient + design.T @ (weight * (design @ there))
    left = max(L1(0.01).distance(there[:-1], after[:-1]).max(), abs(after[-1]))
    assert left < 1e-4 * np.abs(gradient).max()
    assert np.abs(gradient).max() > 0.01  # it was not solved at the start


def test_a_column_of_length_0_stays() -> None:
    columns = np.zeros((2, 4), np.float32)
    columns[0] = 0.5
    found = minimise_scaled(
        columns, np.array([1.0, 0.0]), np.array([-1.0, -1.0]), np.zeros(2), Step(L1(0.1), 0, 1e-9), 2
    )
    np.testing.assert_allclose(found, [0.9, 0.0], rtol=1e-5)
