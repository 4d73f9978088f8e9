"""Penalties that hold coefficients at 0 or within limits: proximal steps, and fits against independent solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize
from scipy.sparse import csr_matrix, random_array
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import LogisticRegression

import lossmith as lm
from lossmith.optimize import L1, MCP, SCAD, Box, ElasticNet, GroupLasso, coordinate, solve, working_sets
from lossmith.optimize.objective import Objective

RNG = np.random.default_rng(8)
N, D = 150, 40
X = RNG.standard_normal((N, D)) + 0.5 * RNG.standard_normal((N, 1))
SIGNAL = X[:, :4] @ [2.0, -1.0, 1.0, 0.5] + 1.0
REAL = SIGNAL + 0.5 * RNG.standard_t(3, N)
BIT = (SIGNAL + RNG.logistic(size=N) > 0).astype(float)
COUNT = RNG.poisson(np.exp(0.3 * SIGNAL)).astype(float)
GROUPS = np.repeat(np.arange(10), 4)
CONVEX = [L1(0.1), ElasticNet(0.2, 0.5), Box(0.0, 0.7), Box(-0.2, 0.1), GroupLasso(GROUPS, 0.1)]
FOLDED = [MCP(0.2, 3.0), MCP(0.1, 1.5), SCAD(0.2), SCAD(0.1, 2.1)]
LOSSES = [lm.MeanSquaredError(), lm.Huber(), lm.BinaryCrossEntropy(), lm.SquaredHinge(), lm.PoissonNLL()]


def targets(loss):
    if isinstance(loss, lm.SquaredHinge):
        return 2 * BIT - 1
    return {"binary": BIT, "count": COUNT}.get(loss.traits.task, REAL)


@pytest.mark.parametrize("penalty", [*CONVEX[:4], *FOLDED], ids=repr)
@pytest.mark.parametrize("step", [0.0, 0.3, 1.0, 2.5, 6.0])
def test_prox_minimises_over_a_grid(penalty, step) -> None:
    grid = np.linspace(-5, 5, 4001)
    costs = np.array([penalty.value([u]) for u in grid])
    for v in np.linspace(-4, 4, 33):
        u = float(penalty.prox([v], step)[0])
        allowed = np.isfinite(costs)
        best = (0.5 * (grid[allowed] - v) ** 2 + step * costs[allowed]).min()
        assert 0.5 * (u - v) ** 2 + step * penalty.value([u]) <= best + 1e-9


def test_prox_of_groups_minimises() -> None:
    penalty, v = GroupLasso([0, 0, 1, 1, 1], 0.7), np.array([1.0, -2.0, 0.3, 0.1, -0.2])
    found = penalty.prox(v, 0.8)
    assert (found[2:] == 0.0).all()
    assert (found[:2] != 0.0).all()

    def cost(u):
        return 0.5 * np.square(u - v).sum() + 0.8 * penalty.value(u)

    assert all(cost(found) <= cost(found + 0.1 * RNG.standard_normal(5)) for _ in range(300))


@pytest.mark.parametrize("penalty", [*CONVEX[:2], *FOLDED, GroupLasso(GROUPS, 0.3)], ids=repr)
def test_gradient_and_distance(penalty) -> None:
    """The gradient is the value's slope; the distance is 0 exactly where a small move in no direction pays."""
    w = np.concatenate([RNG.uniform(0.05, 3.0, 20) * RNG.choice([-1, 1], 20), np.zeros(20)])
    h = 1e-6
    for i in range(20):
        e = np.eye(D)[i] * h
        slope = (penalty.value(w + e) - penalty.value(w - e)) / (2 * h)
        assert penalty.gradient(w)[i] == pytest.approx(slope, abs=1e-6)
    g = -penalty.gradient(w)
    assert np.abs(penalty.distance(w, g)).max() < 1e-12
    assert penalty.distance(w, g + 5.0).min() > 1.0


@pytest.mark.parametrize("penalty", CONVEX + FOLDED, ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_stationary(loss, penalty) -> None:
    found = solve(loss, X, targets(loss), penalty=penalty, tolerance=1e-9, max_iterations=5000)
    assert found.status == "converged"
    objective = Objective.build(loss, X, targets(loss))
    theta = np.append(found.coefficients, found.intercept)
    gradient = objective.value_and_gradient(theta)[1]
    assert penalty.distance(found.coefficients, gradient[:-1]).max() < 1e-7
    assert abs(gradient[-1]) < 1e-7
    assert found.objective == pytest.approx(objective.value(theta) + penalty.value(found.coefficients), rel=1e-12)


@pytest.mark.parametrize("penalty", CONVEX, ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_no_other_point_is_lower(loss, penalty) -> None:
    found = solve(loss, X, targets(loss), penalty=penalty, max_iterations=5000)
    objective = Objective.build(loss, X, targets(loss), penalty=penalty)
    theta = np.append(found.coefficients, found.intercept)
    for size in (1e-1, 1e-3):
        for _ in range(60):
            there = theta + size * RNG.standard_normal(theta.size) * (RNG.random(theta.size) < 0.3)
            assert objective.value(there) >= found.objective - 1e-10


@pytest.mark.parametrize("features", ["dense", "sparse", "columns"])
def test_elastic_net_and_logistic_of_scikit_learn(features, monkeypatch) -> None:
    if features == "columns":
        monkeypatch.setattr(working_sets, "_MATRIX", 0.0)
        monkeypatch.setattr(working_sets, "_CHANGING", 0)
    given = csr_matrix(X) if features == "sparse" else X
    found = solve(lm.MeanSquaredError(), given, REAL, penalty=ElasticNet(0.3, 0.6), tolerance=1e-11)
    # Ours is twice theirs: half the square in loss and penalty.
    other = SklearnElasticNet(alpha=0.09 + 0.12, l1_ratio=0.09 / 0.21, tol=1e-14, max_iter=100_000).fit(X, REAL)
    np.testing.assert_allclose(found.coefficients, other.coef_, atol=1e-7)
    found = solve(lm.BinaryCrossEntropy(), given, BIT, penalty=L1(0.02), tolerance=1e-11)
    sk = LogisticRegression(l1_ratio=1.0, C=1 / (0.02 * N), solver="saga", tol=1e-12, max_iter=20_000).fit(X, BIT)
    np.testing.assert_allclose(found.coefficients, sk.coef_[0], atol=1e-6)


def test_limits_on_coefficients() -> None:
    found = solve(lm.MeanSquaredError(), X, REAL, penalty=Box(0.0, 0.7), intercept=False, tolerance=1e-11)
    np.testing.assert_allclose(found.coefficients, lsq_linear(X, REAL, (0.0, 0.7)).x, atol=1e-6)
    above = solve(lm.PoissonNLL(), X, COUNT, penalty=Box(0.5, 2.0))  # 0 is not allowed
    assert above.status == "converged"
    assert above.coefficients.min() >= 0.5
    objective = Objective.build(lm.PoissonNLL(), X, COUNT)
    bounds = [(0.5, 2.0)] * D + [(None, None)]
    other = minimize(
        objective.value_and_gradient, np.append(np.full(D, 0.5), 0.0), jac=True, bounds=bounds, method="L-BFGS-B"
    )
    assert above.objective <= other.fun + 1e-9


@pytest.mark.parametrize(
    "penalty", [L1(1.0), ElasticNet(1.0, 0.4), MCP(1.0), SCAD(1.0), GroupLasso(GROUPS, 1.0)], ids=repr
)
def test_the_largest_useful_strength(penalty) -> None:
    loss = lm.BinaryCrossEntropy()
    null = solve(loss, np.zeros((N, 1)), BIT)
    gradient = Objective.build(loss, X, BIT).value_and_gradient(np.append(np.zeros(D), null.intercept))[1][:-1]
    most = penalty.alpha_max(gradient)
    settings = {name: getattr(penalty, name) for name in type(penalty).__dataclass_fields__}
    above = solve(loss, X, BIT, penalty=type(penalty)(**settings | {"alpha": 1.001 * most}), tolerance=1e-10)
    below = solve(loss, X, BIT, penalty=type(penalty)(**settings | {"alpha": 0.99 * most}), tolerance=1e-10)
    assert not above.coefficients.any()
    assert below.coefficients.any()


def test_many_more_features_than_rows_and_few_passes(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    wide = random_array((200, 3000), density=0.05, rng=rng).tocsr()
    y = np.asarray(wide[:, :5] @ np.array([3.0, -3.0, 2.0, 2.0, -1.0])) + 0.1 * rng.standard_normal(200)
    passes = []
    plain = Objective.pull
    monkeypatch.setattr(Objective, "pull", lambda *given: passes.append(1) or plain(*given))
    found = solve(lm.Huber(), wide, y, penalty=L1(0.002))
    assert found.status == "converged"
    assert 0 < np.count_nonzero(found.coefficients) < 200
    assert len(passes) <= 15
    dense = solve(lm.Huber(), wide.toarray(), y, penalty=L1(0.002))
    assert dense.objective == pytest.approx(found.objective, rel=1e-9)


def hard(kind):
    """Dense features that are large, small, nearly dependent or twice there, and a target."""
    rng = np.random.default_rng(5)
    table = rng.standard_normal((600, 90))
    if kind == "scales":
        table *= np.geomspace(1e-25, 1e25, 90)[rng.permutation(90)]
    if kind == "dependent":
        table[:, 45:] = table[:, :45] + 1e-3 * rng.standard_normal((600, 45))
    if kind == "twice":
        table[:, 45:] = table[:, :45]
        table[:, 7] = 0.0
    unit = table / np.maximum(np.abs(table).max(axis=0), 1e-300)
    return table, unit[:, :40] @ rng.standard_normal(40) + rng.standard_normal(600)


@pytest.mark.parametrize("kind", ["dependent", "twice", "scales"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("loss", [lm.MeanSquaredError(), lm.BinaryCrossEntropy()], ids=repr)
def test_columns_that_the_matrix_in_float32_hardly_holds(loss, order, kind) -> None:
    """The optimum is exact where the quadratic model is not."""
    table, signal = hard(kind)
    y = signal if loss.traits.task == "regression" else (signal > 0).astype(float)
    objective = Objective.build(loss, np.asarray(table, order=order), y)
    null = solve(loss, np.zeros((600, 1)), y).intercept
    start = objective.value_and_gradient(np.append(np.zeros(90), null))[1]
    penalty = L1(1e-3 * float(np.abs(start).max()))
    found = solve(loss, objective.X, y, penalty=penalty, tolerance=1e-9)
    gradient = objective.value_and_gradient(np.append(found.coefficients, found.intercept))[1]
    assert found.status == "converged"
    assert penalty.distance(found.coefficients, gradient[:-1]).max() <= 2e-9 * max(1.0, np.abs(start).max())


def test_features_in_columns_are_read_less_often() -> None:
    """Same fit; after a look at all features, those that are far from wrong are left alone until the end."""
    rng = np.random.default_rng(6)
    table = rng.standard_normal((400, 2000))
    y = table[:, :60] @ rng.standard_normal(60) + rng.standard_normal(400)
    rows, columns = (
        solve(lm.MeanSquaredError(), np.asarray(table, order=order), y, penalty=L1(0.6), tolerance=1e-10)
        for order in "CF"
    )
    np.testing.assert_allclose(rows.coefficients, columns.coefficients, atol=1e-9)
    assert rows.status == columns.status == "converged"
    assert columns.history.passes[-1] < rows.history.passes[-1]


@pytest.mark.parametrize("features", [X, np.asfortranarray(X), csr_matrix(X)], ids=["C", "F", "sparse"])
def test_the_intercept_alone_is_wrong(features) -> None:
    found = solve(lm.BinaryCrossEntropy(), features, BIT, penalty=L1(10.0), start=(np.zeros(D), [3.0]))
    assert found.status == "converged"
    assert not found.coefficients.any()
    assert found.intercept == pytest.approx(np.log(BIT.mean() / (1 - BIT.mean())), abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("loss", [lm.MeanSquaredError(), lm.SquaredHinge(), lm.Tukey()], ids=repr)
def test_features_that_are_not_finite_are_refused_by_the_first_gradient(loss, order, bad) -> None:
    """Also where slopes are 0, which BLAS may skip, and where the start comes from another loss."""
    table = np.array(X, order=order)
    table[3, 7] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        solve(loss, table, targets(loss), penalty=L1(0.1))


def test_without_a_compiler(monkeypatch) -> None:
    want = [solve(lm.LogCosh(), given, REAL, penalty=SCAD(0.2)).coefficients for given in (X, csr_matrix(X))]
    monkeypatch.setattr(coordinate.jit, "available", lambda: False)
    for given, expected in zip((X, csr_matrix(X)), want, strict=True):
        got = solve(lm.LogCosh(), given, REAL, penalty=SCAD(0.2)).coefficients
        np.testing.assert_allclose(got, expected, atol=1e-7)


def test_a_wrong_threshold_is_seen(monkeypatch) -> None:
    monkeypatch.setattr(L1, "shrink", staticmethod(lambda v, step, a, b: v - step * a))
    found = solve(lm.MeanSquaredError(), X, REAL, penalty=L1(0.1), max_iterations=50)
    assert found.status != "converged"


def test_pairs_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"interior cannot minimise quantile under MCP.*solver='smoothing' fits"):
        solve(lm.Quantile(q=0.5), X, REAL, penalty=MCP(1.0), solver="interior")
    with pytest.raises(ValueError, match=r"no solver minimises cce under GroupLasso.*on single coefficients"):
        solve(lm.CategoricalCrossEntropy(), X, BIT.astype(int), penalty=GroupLasso([0] * D), outputs=2)
    with pytest.raises(ValueError, match="groups names 2 coefficients"):
        solve(lm.Huber(), X, REAL, penalty=GroupLasso([0, 0]))
    with pytest.raises(ValueError, match="low=1 and high=0 leave no room"):
        Box(1.0, 0.0)


def test_features_by_columns_and_by_rows() -> None:
    from scipy.sparse import csc_array, csr_array, random_array

    rng = np.random.default_rng(0)
    X = random_array((80, 120), density=0.1, random_state=rng).toarray()
    y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(80)
    for loss in (lm.MeanSquaredError(), lm.Huber()):
        kinds = (np.asarray, csc_array, csr_array)
        dense, *others = (solve(loss, kind(X), y, penalty=lm.L1(0.002), tolerance=1e-10) for kind in kinds)
        for other in others:
            np.testing.assert_allclose(other.coefficients, dense.coefficients, atol=1e-6)
