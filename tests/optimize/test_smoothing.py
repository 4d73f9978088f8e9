"""Kinks rounded off less and less, under penalties that hold coefficients: the optimum, or a status that says no."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.optimize import L1, Box, ElasticNet, solve

N = 60
KINKED = [lm.Hinge(), lm.MeanAbsoluteError(), lm.Quantile(q=0.8)]


def drawn(seed, loss):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, 5)) * [1.0, 1.5, 0.7, 1.0, 1.8]
    signal = X @ [1.0, -1.0, 0.5, 0.0, 0.0] + 0.3
    if loss.traits.task == "binary":
        return X, np.where(signal + rng.logistic(size=N) > 0, 1.0, -1.0)
    return X, signal + rng.standard_t(2, N)


@pytest.mark.parametrize("alpha", [0.3, 0.1, 0.03, 0.005])
@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_smoothing_reaches_the_certified_optimum(loss, alpha) -> None:
    for seed in range(4):
        X, y = drawn(seed, loss)
        sure = solve(loss, X, y, penalty=L1(alpha), solver="interior")
        assert sure.gap is not None
        assert sure.gap < 1e-7
        found = solve(loss, X, y, penalty=L1(alpha), solver="smoothing")
        assert found.objective == pytest.approx(sure.objective, rel=2e-6)


@pytest.mark.parametrize("penalty", [L1(0.05), ElasticNet(0.1, 0.5), Box(0.0, 0.4)], ids=repr)
@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_converged_means_that_no_point_nearby_is_lower(loss, penalty) -> None:
    X, y = drawn(9, loss)
    found = solve(loss, X, y, penalty=penalty, solver="smoothing")
    assert found.status in ("converged", "stalled")
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(40):
            w = found.coefficients + size * rng.standard_normal(5) * (rng.random(5) < 0.5)
            raw = X @ w + found.intercept + size * rng.standard_normal()
            assert loss(y, raw) + penalty.value(w) >= found.objective * (1.0 - 1e-6)
