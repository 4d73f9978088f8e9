"""Regularisation paths: every fit is the optimum of its own problem, whatever the way along the path."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import lasso_path

import lossmith as lm
from lossmith.optimize import Objective, quadratic
from lossmith.optimize.quadratic import Quadratic

RNG = np.random.default_rng(5)
N, D = 150, 12
X = RNG.standard_normal((N, D)) @ np.diag(np.geomspace(0.3, 3.0, D)) + 1.0
Y = X[:, :4] @ [2.0, -1.0, 0.5, 1.0] + RNG.standard_normal(N)
SIDE = (np.median(Y) < Y).astype(float)


def test_the_lasso_path_of_scikit_learn() -> None:
    path = lm.regularisation_path(lm.MeanSquaredError(), X, Y, penalty=lm.L1(), alphas=20, tolerance=1e-11)
    assert set(path.statuses) == {"converged"}
    assert {found.method for found in path.solutions} == {"coordinate_descent"}
    alphas, coefficients, _ = lasso_path(X - X.mean(axis=0), Y - Y.mean(), alphas=path.alphas / 2, tol=1e-13)
    np.testing.assert_allclose(path.alphas, 2 * alphas)
    np.testing.assert_allclose(path.coefficients, coefficients.T, atol=1e-7)
    assert not path.coefficients[0].any()
    assert path.coefficients[1].any()
    assert path.intercepts.shape == path.objectives.shape == (20,)


@pytest.mark.parametrize("penalty", [lm.L1(), lm.L2(), lm.ElasticNet(), lm.MCP(), lm.SCAD()], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_matrix_gives_what_the_samples_give(penalty, weighted, intercept) -> None:
    weight = RNG.integers(0, 3, N).astype(float) if weighted else None
    options = {"sample_weight": weight, "intercept": intercept, "tolerance": 1e-10}
    path = lm.regularisation_path(lm.MeanSquaredError(), X, Y, penalty=penalty, alphas=[1.0, 0.1, 0.0], **options)
    for alpha, found in zip(path.alphas, path.solutions, strict=True):
        own = type(penalty)(alpha)
        start = (found.coefficients, found.intercept)
        again = lm.solve(lm.MeanSquaredError(), X, Y, penalty=own, start=start, **options)
        assert again.iterations <= 2
        np.testing.assert_allclose(again.coefficients, found.coefficients, atol=1e-7)
        objective = Objective.build(lm.MeanSquaredError(), X, Y, weight, own, intercept)
        theta = np.append(found.coefficients, found.intercept if intercept else [])
        assert found.objective == pytest.approx(objective.value(theta), rel=1e-14)
        slope = objective.bare().value_and_gradient(theta)[1]
        wrong = np.append(own.distance(found.coefficients, slope[:D]), slope[D:])
        assert np.abs(wrong).max() <= 1e-8


def test_the_quadratic_is_the_loss() -> None:
    objective = Objective.build(lm.MeanSquaredError(), X, Y, None, lm.L1(0.1))
    theta, other = RNG.standard_normal((2, D + 1))
    found = Quadratic.of(objective, theta)
    value, slope = objective.bare().value_and_gradient(other)
    assert found.at(other)[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found.at(other)[1], slope, rtol=1e-10, atol=1e-10)
    assert Quadratic.of(Objective.build(lm.Huber(), X, Y, None, lm.L1(0.1)), theta) is None
    assert Quadratic.of(Objective.build(lm.MeanAbsoluteError(), X, Y, None, lm.L1(0.1)), theta) is None


def test_a_wrong_matrix_is_seen(monkeypatch) -> None:
    right = quadratic.Quadratic.at
    monkeypatch.setattr(Quadratic, "at", lambda self, theta: (right(self, theta)[0], right(self, theta)[1] + 0.1))
    path = lm.regularisation_path(lm.MeanSquaredError(), X, Y, penalty=lm.L1(), alphas=[0.1])
    objective = Objective.build(lm.MeanSquaredError(), X, Y, None, lm.L1(0.1))
    slope = objective.bare().value_and_gradient(np.append(path.coefficients[0], path.intercepts[0]))[1]
    assert np.abs(lm.L1(0.1).distance(path.coefficients[0], slope[:D])).max() > 1e-3


@pytest.mark.parametrize(
    ("loss", "y", "penalty", "solver"),
    [
        (lm.Huber(), Y, lm.L1(), "auto"),
        (lm.Quantile(q=0.8), Y, lm.L1(), "auto"),
        (lm.BinaryCrossEntropy(), SIDE, lm.ElasticNet(), "fista"),
        (lm.LogCosh(), Y, lm.L2(), "lbfgs"),
        (lm.Huber(), Y, lm.GroupLasso([0] * 6 + [1] * 6), "auto"),
        (lm.CategoricalCrossEntropy(), SIDE.astype(int), lm.L1(), "auto"),
    ],
    ids=repr,
)
def test_each_fit_is_the_one_that_stands_alone(loss, y, penalty, solver) -> None:
    outputs = 2 if loss.tier == "row-wise" else None
    alphas = [0.3, 0.03] if penalty == lm.L2() else 4
    path = lm.regularisation_path(loss, X, y, penalty=penalty, alphas=alphas, solver=solver, outputs=outputs)
    assert set(path.statuses) <= {"converged", "stalled"}
    assert (np.diff(path.alphas) < 0).all()
    assert path.coefficients.shape == (path.alphas.size, D) + (() if outputs is None else (2,))
    for alpha, found in zip(path.alphas, path.solutions, strict=True):
        import dataclasses

        alone = lm.solve(loss, X, y, penalty=dataclasses.replace(penalty, alpha=alpha), solver=solver, outputs=outputs)
        assert found.objective == pytest.approx(alone.objective, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"penalty": lm.Box()}, "has no strength alpha"),
        ({"penalty": lm.L2()}, "give a list of alphas"),
        ({"penalty": lm.L1(), "alphas": 0}, "alphas=0 is not accepted"),
        ({"penalty": lm.L1(), "alphas": [-1.0]}, "finite numbers >= 0"),
        ({"penalty": lm.L1(), "solver": "newton"}, "newton cannot minimise huber"),
    ],
)
def test_bad_arguments_are_refused(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        lm.regularisation_path(lm.Huber(), X, Y, **arguments)
