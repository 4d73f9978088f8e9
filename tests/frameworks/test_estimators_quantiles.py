"""Several quantiles that do not cross."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import QuantileRegressor
from sklearn.model_selection import cross_val_score

import lossmith as lm

Array = np.ndarray[Any, Any]
LEVELS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)


def _fans(seed: int, n: int) -> tuple[Array, Array]:
    """Targets whose spread grows with the first feature."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, size=(n, 3))
    return X, X @ [1.0, -1.0, 0.5] + (0.2 + 0.8 * (X[:, 0] + 1.0)) * rng.standard_t(3, size=n)


X, Y = _fans(0, 60)
NEW = np.random.default_rng(9).uniform(-1.5, 1.5, size=(2000, 3))


def test_plain_fits_cross_and_predictions_do_not() -> None:
    model = lm.QuantileLossRegressor(LEVELS, penalty=None).fit(X, Y)
    lines = np.column_stack([lm.LossRegressor(lm.Quantile(q=q), None).fit(X, Y).predict(NEW) for q in LEVELS])
    crossed = (np.diff(lines, axis=1) < 0).any(axis=1)
    assert crossed.mean() > 0.1  # control: there is something to mend
    np.testing.assert_array_equal(model.crossings(NEW), crossed)
    predicted = model.predict(NEW)
    assert (np.diff(predicted, axis=1) >= 0).all()
    np.testing.assert_allclose(predicted[~crossed], lines[~crossed], atol=1e-6)
    np.testing.assert_allclose(predicted, np.sort(lines, axis=1), atol=1e-6)


def test_sorted_quantiles_are_never_farther_from_the_true_ones() -> None:
    """The theorem of Chernozhukov, Fernandez-Val and Galichon, for three norms and 20 samples."""
    from scipy.stats import t

    spread = 0.2 + 0.8 * (NEW[:, 0] + 1.0)
    true = (NEW @ [1.0, -1.0, 0.5])[:, None] + np.maximum(spread, 0.0)[:, None] * t(3).ppf(LEVELS)
    nearer = 0
    for seed in range(20):
        model = lm.QuantileLossRegressor(LEVELS, penalty=None).fit(*_fans(seed, 60))
        lines, predicted = NEW @ model.coef_.T + model.intercept_, model.predict(NEW)
        for p in (1.0, 2.0, 4.0):
            before, after = (np.mean(np.abs(f - true) ** p, axis=1) for f in (lines, predicted))
            assert (after <= before * (1 + 1e-12)).all()
            nearer += after.sum() < before.sum()
    assert nearer > 50


def test_each_line_is_scikit_learns_quantile_regression() -> None:
    model = lm.QuantileLossRegressor((0.2, 0.5, 0.8), "l1", 0.03).fit(X, Y)
    for row, level in enumerate(model.quantiles):
        theirs = QuantileRegressor(quantile=level, alpha=0.03).fit(X, Y)
        np.testing.assert_allclose(model.coef_[row], theirs.coef_, atol=1e-5)
        np.testing.assert_allclose(model.intercept_[row], theirs.intercept_, atol=1e-5)
    assert [solution.status for solution in model.solutions_] == ["converged"] * 3


def test_coverage_is_that_of_the_levels() -> None:
    many = _fans(1, 2000)
    below = (many[1][:, None] <= lm.QuantileLossRegressor(LEVELS).fit(*many).predict(many[0])).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.01)


def test_sparse_frames_jobs_and_scores() -> None:
    model = lm.QuantileLossRegressor(alpha=0.01).fit(X, Y)
    for other in (csr_array(X), pd.DataFrame(X, columns=list("abc"))):
        np.testing.assert_allclose(clone(model).fit(other, Y).predict(other), model.predict(X), atol=1e-5)
    np.testing.assert_array_equal(clone(model).set_params(n_jobs=2).fit(X, Y).coef_, model.coef_)
    pinball = [lm.Quantile(q=q)(Y, f) for q, f in zip(model.quantiles, model.predict(X).T, strict=True)]
    assert model.score(X, Y) == pytest.approx(-np.mean(pinball))
    assert cross_val_score(model, X, Y, cv=3).shape == (3,)


def test_trouble_is_said_in_one_line() -> None:
    for levels in [(0.5, 0.1), (0.0, 0.5), (), 0.5]:
        with pytest.raises(ValueError, match="give ascending levels in"):
            lm.QuantileLossRegressor(levels).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match=r"quantile 0.1: stopped after 1 steps.* \(and 2 more\)") as caught:
        lm.QuantileLossRegressor(max_iter=1).fit(X, Y)
    assert len(caught) == 1
