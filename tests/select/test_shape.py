"""Measures of shape agree with known distributions and with their definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.select.facts import analyse
from lossmith.select.shape import hill_index, mad, medcouple, tail_weights, target_shape, variance_power

N = 1200


def features(rng, n=N):
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x0", "x1", "x2", "x3"])
    X["colour"] = rng.choice(["red", "green", "blue"], n)
    return X


def signal(X):
    return X["x0"] + 0.5 * X["x1"] * X["x2"] + (X["colour"] == "red")


def series(values, name="y"):
    return pd.Series(np.asarray(values), name=name)


def quantiles(ppf, n=4001):
    return ppf((np.arange(n) + 0.5) / n)


def test_shape_of_known_distributions():
    from scipy import stats

    normal, uniform = quantiles(stats.norm.ppf), quantiles(stats.uniform.ppf)
    laplace, cauchy, exponential = map(quantiles, (stats.laplace.ppf, stats.cauchy.ppf, stats.expon.ppf))
    assert mad(normal) == pytest.approx(1, abs=1e-3)
    assert tail_weights(normal) == pytest.approx((1, 1, 1), abs=1e-3)
    assert tail_weights(uniform)[0] == pytest.approx(0.95 / 0.5 / 2.9058, abs=1e-3)
    assert tail_weights(laplace)[0] == pytest.approx(np.log(20) / np.log(2) / 2.9058, abs=1e-2)
    assert tail_weights(cauchy)[0] == pytest.approx(np.tan(0.475 * np.pi) / 2.9058, rel=1e-2)
    shape = target_shape(exponential)
    assert shape.skew == pytest.approx(2, abs=0.1)
    assert shape.right_tail_weight > shape.left_tail_weight
    assert shape.dispersion_ratio == pytest.approx(1, abs=0.02)
    assert hill_index(np.abs(cauchy)) == pytest.approx(1, rel=0.1)
    assert hill_index(np.abs(normal)) > 4
    assert hill_index(np.ones(10_000)) is None
    assert hill_index(np.arange(100.0)) is None


def naive_medcouple(values):
    """The definition, pair by pair."""
    x = np.sort(values - np.median(values))
    tied = np.flatnonzero(x == 0)
    kernel = []
    for i in np.flatnonzero(x >= 0):
        for j in np.flatnonzero(x <= 0):
            if x[i] == x[j]:
                kernel.append(np.sign(len(tied) - 1.0 - (i - tied[0]) - (j - tied[0])))
            else:
                kernel.append((x[i] + x[j]) / (x[i] - x[j]))
    return np.median(kernel)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=3, max_size=25))
def test_the_medcouple_is_its_definition(values):
    values = np.array(values, dtype=float)
    assert medcouple(values) == pytest.approx(naive_medcouple(values), abs=1e-12)
    assert medcouple(-values) == pytest.approx(-medcouple(values), abs=1e-12)
    assert medcouple(3 * values + 7) == pytest.approx(medcouple(values), abs=1e-12)


def test_the_medcouple_of_many_values_is_that_of_their_quantiles():
    rng = np.random.default_rng(0)
    y = rng.exponential(size=3000)
    assert medcouple(y) == pytest.approx(naive_medcouple(np.quantile(y, np.linspace(0, 1, 301))), abs=0.02)
    assert abs(medcouple(rng.normal(size=20_000))) < 0.03


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_the_variance_power_is_found(power):
    rng = np.random.default_rng(power)
    X = features(rng, 4000)
    mean = 5 * np.exp(0.6 * X["x0"])
    y = mean + mean ** (power / 2) * rng.uniform(-1, 1, 4000) * (0.5 if power < 3 else 0.05)
    assert (y >= 0).all()
    found = analyse(X, series(y)).residuals
    assert found.variance_power == pytest.approx(power, abs=0.5)
    slope, error = variance_power(np.asarray(y), np.asarray(mean))
    assert slope == pytest.approx(power, abs=max(4 * error, 0.05))


def test_no_variance_power_without_a_range_of_means_or_with_negative_values():
    rng = np.random.default_rng(0)
    assert variance_power(rng.poisson(5, 1000).astype(float), np.full(1000, 5.0)) is None
    X = features(rng)
    assert analyse(X, series(signal(X) + rng.normal(size=N))).residuals.variance_power is None


def test_over_dispersion_and_excess_zeros_are_seen_and_poisson_is_clean():
    rng = np.random.default_rng(1)
    X = features(rng)
    mean = np.exp(1 + 0.3 * signal(X))
    wild = analyse(X, series(rng.poisson(mean * rng.gamma(0.5, 2, N)))).residuals
    hurdle = analyse(X, series(rng.poisson(mean) * (rng.random(N) > 0.5)))
    poisson = analyse(X, series(rng.poisson(mean)))
    assert wild.conditional_dispersion > 3
    assert poisson.residuals.conditional_dispersion < 1.4
    assert hurdle.shape.zero_share > 1.5 * hurdle.residuals.expected_zero_share
    assert poisson.shape.zero_share < 1.3 * poisson.residuals.expected_zero_share


def test_r2_tells_signal_from_none():
    rng = np.random.default_rng(2)
    nothing = analyse(features(rng), series(rng.normal(size=N)))
    assert nothing.residuals.r2 < 0.02
    assert any("hardly explain" in w for w in nothing.warnings)
    X = features(rng)
    something = analyse(X, series(signal(X) + rng.normal(size=N)))
    assert something.residuals.r2 > 0.4
    assert not any("hardly explain" in w for w in something.warnings)
