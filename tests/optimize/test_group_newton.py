"""Losses with kinks under a group lasso: a lower bound says how near the optimum is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import lossmith as lm
from lossmith.optimize.group_newton import held

RNG = np.random.default_rng(5)
N, D = 400, 12
GROUPS = tuple(i // 3 for i in range(D))
X = RNG.standard_normal((N, D)) @ (np.eye(D) + 0.2 * RNG.standard_normal((D, D)))
REAL = X @ np.where(np.array(GROUPS) % 2, 0.0, 1.0) + RNG.standard_t(2, N)


def test_held_is_the_minimum() -> None:
    for _ in range(20):
        sizes, wanted = RNG.uniform(1e-6, 3.0, 4), RNG.normal(size=4)
        strength = 0.5 * float(np.linalg.norm(wanted))
        z = held(sizes, wanted, strength)
        np.testing.assert_allclose(sizes * z + strength * z / np.linalg.norm(z), wanted, atol=1e-10)
        assert not held(sizes, wanted, 2.1 * strength).any()


@pytest.mark.parametrize("alpha", [0.01, 0.1])
@pytest.mark.parametrize("loss", [lm.MeanAbsoluteError(), lm.Quantile(q=0.8), lm.Hinge()], ids=lambda loss: loss.name)
def test_the_gap_to_a_lower_bound(loss, alpha) -> None:
    y = np.sign(REAL) if isinstance(loss, lm.Hinge) else REAL
    penalty = lm.GroupLasso(GROUPS, alpha)
    found = lm.solve(loss, X, y, penalty=penalty)
    assert found.status == "converged"
    assert found.objective - _dual(loss, y, penalty, found) <= 1e-7 * found.objective
    for _ in range(20):  # nowhere near is it lower
        step = 10.0 ** RNG.uniform(-7, -2) * RNG.standard_normal(D + 1)
        raw = X @ (found.coefficients + step[:D]) + found.intercept + step[D]
        assert loss(y, raw) + penalty.value(found.coefficients + step[:D]) >= found.objective - 1e-8 * found.objective


def _dual(loss, y, penalty, found) -> float:
    """Return a lower bound of the objective from slopes of the rows' losses: no group is pulled more than it is held.

    On its kink a row's slope is free; bounded least squares finds those that balance the others.
    """
    raw = X @ found.coefficients + found.intercept
    low, high = loss.gradient(y, raw - 1e-5) / N, loss.gradient(y, raw + 1e-5) / N
    free = low != high
    used = np.append(found.coefficients != 0.0, True)
    wide, slopes = np.column_stack([X, np.ones(N)])[:, used], np.where(free, 0.0, low)
    target = -np.append(penalty.gradient(found.coefficients), 0.0)[used] - wide.T @ slopes
    slopes[free] = lsq_linear(wide[free].T, target, (low[free], high[free]), tol=1e-14).x
    pull = X.T @ slopes
    slopes /= max(1.0, *(float(np.linalg.norm(pull[places])) / strength for places, strength in penalty.blocks()))
    assert abs(slopes.sum()) < 1e-9
    # These losses are 0 at their kink, f = y, so that their conjugates are slope * y.
    return -float(slopes @ y)
