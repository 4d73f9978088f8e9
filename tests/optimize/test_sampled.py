"""Newton's method with a matrix from part of the samples: the same minimum, fewer passes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

import lossmith as lm
from lossmith.optimize import L2, sampled, solve
from lossmith.optimize.descents import Progress
from lossmith.optimize.objective import Objective

N, D = 6000, 6
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, D)) @ np.diag([1.0, 10.0, 0.1, 1.0, 2.0, 1.0]) + [0.0, 5.0, 0.0, -1.0, 0.0, 0.0]
SIGNAL = X @ [0.5, 0.05, 3.0, -0.5, 0.2, 0.0]
TARGETS = {
    "regression": SIGNAL + RNG.standard_t(2, N),
    "binary": (SIGNAL + RNG.logistic(size=N) > 0).astype(float),
    "count": RNG.poisson(np.exp(0.4 * SIGNAL)).astype(float),
}
LOSSES = [
    lm.MeanSquaredError(),
    lm.Huber(delta=1.35),
    lm.PseudoHuber(),
    lm.LogCosh(),
    lm.BinaryCrossEntropy(),
    lm.SquaredHinge(),
    lm.PoissonNLL(),
]


def targets(loss):
    y = TARGETS[loss.traits.task]
    return 2 * y - 1 if isinstance(loss, lm.SquaredHinge) else y


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("penalty", [None, L2(0.01)])
def test_the_minimum_of_scipy(loss, penalty) -> None:
    y, weight = targets(loss), np.random.default_rng(1).integers(0, 3, N).astype(float)
    objective = Objective.build(loss, X, y, weight, penalty)
    assert sampled.pays(objective)
    found = solve(loss, X, y, penalty=penalty, sample_weight=weight, tolerance=1e-10)
    assert found.status == "converged"
    theta = np.append(found.coefficients, found.intercept)
    other = minimize(objective.value_and_gradient, theta + 0.1, jac=True, method="BFGS", options={"gtol": 1e-7}).fun
    assert found.objective <= other * (1 + 1e-9)
    assert np.abs(objective.value_and_gradient(theta)[1]).max() <= 1e-8 * max(1.0, found.history.objective[0])


def test_few_steps_and_a_falling_history() -> None:
    loss = lm.BinaryCrossEntropy()
    found = solve(loss, X, targets(loss))
    assert found.iterations <= 12
    assert all(np.diff(found.history.objective) <= 1e-14)


def test_one_step_ahead_is_what_two_passes_give() -> None:
    loss = lm.Huber()
    dense = Objective.build(loss, X, targets(loss), None, L2(0.1))
    theta, direction = RNG.standard_normal(dense.size), RNG.standard_normal(dense.size)
    for objective in (dense, Objective.build(loss, csr_matrix(X), targets(loss), None, L2(0.1))):
        value, gradient, raw = objective.ahead(theta, objective.raw(theta), direction)
        want_value, want_gradient = dense.value_and_gradient(theta + direction)
        np.testing.assert_allclose(raw, dense.raw(theta + direction), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(gradient, want_gradient, rtol=1e-10)
        assert value == pytest.approx(want_value, rel=1e-12)


def test_a_part_that_misleads_is_overcome() -> None:
    """The matrix of samples that know nothing of a rare feature; the steps correct it, or Newton's takes over."""
    rare = np.zeros((N, 1))
    rare[:8] = 30.0
    y = targets(lm.BinaryCrossEntropy()).copy()
    y[:8] = [0, 1, 0, 1, 1, 0, 1, 1]
    wide = np.hstack([X, rare])
    found = solve(lm.BinaryCrossEntropy(), wide, y, penalty=L2(1e-6))
    assert found.status == "converged"
    objective = Objective.build(lm.BinaryCrossEntropy(), wide, y, None, L2(1e-6))
    assert np.abs(objective.value_and_gradient(np.append(found.coefficients, found.intercept))[1]).max() < 1e-7


def test_a_wrong_metric_costs_steps_not_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.PoissonNLL()
    right = solve(loss, X, targets(loss))
    monkeypatch.setattr(sampled, "factored", lambda matrix: lambda b: b)  # the identity: plain L-BFGS
    wrong = solve(loss, X, targets(loss))
    assert wrong.iterations > right.iterations
    assert wrong.objective == pytest.approx(right.objective, rel=1e-9)


def test_limits() -> None:
    loss = lm.LogCosh()
    objective = Objective.build(loss, X, targets(loss))
    for limit, name in ((Progress(0.0, 2, np.inf), "iteration_limit"), (Progress(0.0, 99, 0.0), "time_limit")):
        limit.record(np.zeros(objective.size), 1.0, np.zeros(1))
        unit = lambda y, raw, slope: loss.hessian(y, raw)  # noqa: E731
        assert sampled.sampled_newton(objective, np.zeros(objective.size), unit, unit, limit).status == name
