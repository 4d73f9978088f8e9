"""Penalties: the article's convention, subgradients, and proximal steps against numeric minimisation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lossmith.optimize import L1, L2, ElasticNet

PENALTIES = [L1(0.3), L2(0.7), ElasticNet(0.9, 0.25), ElasticNet(0.9, 0.0), ElasticNet(0.9, 1.0), L1(0.0)]
W = np.array([-2.0, -0.1, 0.0, 0.4, 3.0])


def test_values_are_the_articles() -> None:
    assert L1(0.1).value(W) == pytest.approx(0.1 * np.sum(np.abs(W)))
    assert L2(0.01).value(W) == pytest.approx(0.01 * np.sum(W**2))
    expected = 0.1 * 0.5 * np.sum(np.abs(W)) + 0.1 * (1 - 0.5) * np.sum(W**2)
    assert ElasticNet(alpha=0.1, l1_ratio=0.5).value(W) == pytest.approx(expected)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_gradient_is_the_slope_of_the_value(penalty) -> None:
    w, h = W[W != 0], 1e-6
    for i in range(w.size):
        e = np.eye(w.size)[i] * h
        slope = (penalty.value(w + e) - penalty.value(w - e)) / (2 * h)
        assert penalty.gradient(w)[i] == pytest.approx(slope, abs=1e-8)
    assert penalty.gradient(np.zeros(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("step", [0.0, 0.3, 2.0])
def test_prox_minimises(penalty, step) -> None:
    for v, found in zip(W, penalty.prox(W, step), strict=True):

        def objective(u: float, v: float = v) -> float:
            return 0.5 * (u - v) ** 2 + step * penalty.value([u])

        numeric = minimize_scalar(objective, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x
        assert found == pytest.approx(numeric, abs=1e-5)
        assert objective(found) <= objective(numeric) + 1e-12


def test_a_prox_without_the_factor_two_would_be_caught() -> None:
    v, step, alpha = 3.0, 1.0, 0.7
    halved = v / (1 + step * alpha)
    right = float(L2(alpha).prox([v], step)[0])

    def objective(u: float) -> float:
        return 0.5 * (u - v) ** 2 + step * L2(alpha).value([u])

    assert objective(right) < objective(halved) - 1e-3


@pytest.mark.parametrize("make", [lambda: L1(-1.0), lambda: L2(np.nan), lambda: ElasticNet(1.0, 1.5)])
def test_bad_strengths_are_refused(make) -> None:
    with pytest.raises(ValueError, match="is not accepted"):
        make()
    with pytest.raises(ValueError, match="step"):
        L1(1.0).prox([1.0], -1.0)


def test_shape_is_kept() -> None:
    w = np.arange(6.0).reshape(2, 3) - 2
    assert ElasticNet(0.1).gradient(w).shape == ElasticNet(0.1).prox(w, 1.0).shape == (2, 3)
