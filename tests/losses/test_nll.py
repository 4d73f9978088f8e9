"""Negative log-likelihoods of SciPy's distributions, by name, as objects, and of one's own in that style."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import lossmith as lm

RNG = np.random.default_rng(0)
Y = RNG.gamma(2.0, size=8)
CASES = {
    "norm": np.c_[RNG.normal(size=8), RNG.gamma(2.0, size=8) + 0.2],
    "gamma": np.c_[RNG.gamma(2.0, size=8) + 0.5, np.zeros(8), RNG.gamma(2.0, size=8) + 0.5],
    "t": np.c_[np.full(8, 3.0), RNG.normal(size=8), np.ones(8)],
    "laplace": np.c_[RNG.normal(size=8), np.ones(8)],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("as_object", [False, True])
def test_the_value_is_scipys(name: str, as_object: bool) -> None:
    distribution = getattr(scipy.stats, name)
    loss = lm.NegativeLogLikelihood(distribution if as_object else name)
    expected = -distribution.logpdf(Y, *CASES[name].T)
    np.testing.assert_array_equal(loss(Y, CASES[name], reduction="none"), expected)
    assert loss == lm.NegativeLogLikelihood(name)
    assert lm.from_config(loss.to_config()) == loss


def test_discrete_distributions_have_a_mass() -> None:
    counts, rates = np.array([0.0, 3.0]), np.array([[1.5, 0.0], [2.5, 0.0]])
    found = lm.NegativeLogLikelihood("poisson")(counts, rates, reduction="none")
    np.testing.assert_allclose(found, -scipy.stats.poisson.logpmf(counts, rates[:, 0]))


class Exponential:
    """A user's own distribution: rate * exp(-rate * y)."""

    def logpdf(self, x: np.ndarray, rate: np.ndarray) -> np.ndarray:
        return np.log(rate) - rate * x


def test_an_object_in_scipys_style_is_differentiated() -> None:
    loss, rate = lm.NegativeLogLikelihood(Exponential()), RNG.gamma(2.0, size=(8, 1)) + 0.3
    np.testing.assert_allclose(loss.gradient(Y, rate)[:, 0], Y - 1 / rate[:, 0], rtol=1e-7)
    np.testing.assert_allclose(loss.hessian(Y, rate)[:, 0, 0], 1 / rate[:, 0] ** 2, rtol=1e-4)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(loss.gradient(Y, rate)[:, 0], 1 / rate[:, 0] - Y, rtol=1e-7)


def test_an_object_without_a_name_has_no_configuration() -> None:
    with pytest.raises(ValueError, match="cannot be written into a configuration"):
        lm.NegativeLogLikelihood(Exponential()).to_config()


@pytest.mark.parametrize("bad", ["nrom", "describe", 3, None, scipy.stats.rv_continuous, object()])
def test_what_is_no_distribution_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"give the name of a scipy\.stats distribution"):
        lm.NegativeLogLikelihood(bad)


def test_the_number_of_parameters_is_checked() -> None:
    with pytest.raises(ValueError, match=r"norm takes 2 columns \(loc, scale\)"):
        lm.NegativeLogLikelihood("norm")([1.0], [[1.0]])
