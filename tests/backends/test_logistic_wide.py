"""Pieces of the logistic function as sums of two numbers in JAX and PyTorch, and the focal loss made of them."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import lossmith as lm
from backends.libraries import Jax, Library, Torch
from lossmith import ops
from lossmith.losses import focal_logits

RNG = np.random.default_rng(5)
X = np.r_[RNG.uniform(-645, 645, 200), 3.0 * RNG.normal(size=600), 1e-9 * RNG.normal(size=50), 0.0]


@pytest.fixture(params=[Torch, Jax], ids=["torch", "jax"])
def library(request: pytest.FixtureRequest) -> Library:
    made: Library = request.param()
    return made


def applied(library: Library, function: Any, *arrays: Any) -> Any:
    """Results of a function; JAX's are compiled, where sums and products may be fused."""
    run = library.jax.jit(function) if isinstance(library, Jax) else function
    return tuple(library.back(result) for result in run(*map(library.array, arrays)))


def worst_ulp(high: Any, low: Any, exact: list[Any]) -> float:
    pairs = zip(high, low, exact, strict=True)
    return max(float(abs(mp.mpf(a) + mp.mpf(b) - c) / float(np.spacing(float(abs(c))))) for a, b, c in pairs)


def test_logistic_in_two_parts(library: Library) -> None:
    q, q_low, p, p_low, other, other_low, bent, bent_low = applied(library, ops.logistic_parts, X)
    with mp.workprec(250):
        falls = [mp.exp(-abs(mp.mpf(v))) for v in X]
        assert worst_ulp(q, q_low, falls) <= 0.2
        assert worst_ulp(q, 0.0 * q_low, falls) > 0.4  # one part alone is not that good
        assert worst_ulp(p, p_low, [1 / (1 + v) for v in falls]) <= 0.2
        assert worst_ulp(p, 0.0 * p_low, [1 / (1 + v) for v in falls]) > 0.4
        assert worst_ulp(other, other_low, [v / (1 + v) for v in falls]) <= 0.25
        assert worst_ulp(bent, bent_low, [mp.log1p(v) for v in falls]) <= 2.0


def test_its_ends(library: Library) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 740.0, 746.0])
    q, q_low, p, p_low, *_ = applied(library, ops.logistic_parts, x)
    np.testing.assert_allclose(q, [0.0, 0.0, np.nan, np.exp(-740.0), 0.0], rtol=0, atol=1e-307)
    np.testing.assert_array_equal(p, [1.0, 1.0, np.nan, 1.0, 1.0])
    np.testing.assert_allclose(q_low + p_low, [0.0, 0.0, np.nan, 0.0, 0.0], rtol=0, atol=1e-16)


def test_products_and_roots_in_two_parts(library: Library) -> None:
    x, y = RNG.uniform(0.0, 1.0, 500), RNG.uniform(0.0, 1.0, 500)
    x_low, y_low = (v * RNG.uniform(-1, 1, 500) * 2.0**-54 for v in (x, y))
    product = applied(library, ops.product_parts, x, x_low, y, y_low)
    root = applied(library, ops.root_parts, x, x_low)
    grown = applied(library, lambda *given: ops.raised_parts(*given, 2.5), x, y, y_low, x, x_low)
    with mp.workprec(250):
        wide = [(mp.mpf(a) + mp.mpf(b), mp.mpf(c) + mp.mpf(d)) for a, b, c, d in zip(x, x_low, y, y_low, strict=True)]
        assert worst_ulp(*product, [a * b for a, b in wide]) <= 0.01
        assert worst_ulp(*root, [mp.sqrt(a) for a, _ in wide]) <= 0.01
        exact = [mp.mpf(v) + mp.mpf("2.5") * a * b for v, (a, b) in zip(x, wide, strict=True)]
        assert worst_ulp(*grown, exact) <= 0.01


def test_single_precision_carries_nothing(library: Library) -> None:
    q, q_low, _, p_low, *_ = applied(library, ops.logistic_parts, np.float32([0.3, -1.2]))
    assert q.dtype == np.float32
    assert not q_low.any()
    assert not p_low.any()


def focal(gamma: float, t: Any) -> tuple[Any, Any]:
    """Value and slope of one class in many digits."""
    p = 1 / (1 + mp.exp(-t))
    u = 1 / (1 + mp.exp(t))
    return -(u**gamma) * mp.log(p), -(u**gamma) * (u - gamma * p * mp.log(p))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 2.5, 4.0])
def test_focal_at_random_points(library: Library, gamma: float) -> None:
    f = np.r_[RNG.uniform(-30.0, 30.0, 200), 2.0 * RNG.normal(size=200)]
    y, loss = (RNG.uniform(size=f.size) < 0.5) * 1.0, lm.BinaryFocal(gamma=gamma)
    (value,) = applied(library, lambda y, f: (loss(y, f, None, "none"),), y, f)
    (slope,) = applied(library, lambda y, f: (loss.gradient(y, f),), y, f)
    with mp.workprec(250):
        exact = [focal(gamma, (2 * int(a) - 1) * mp.mpf(b)) for a, b in zip(y, f, strict=True)]
        assert worst_ulp(value, 0.0 * value, [v for v, _ in exact]) <= 3.0
        slopes = [(2 * int(a) - 1) * s for a, (_, s) in zip(y, exact, strict=True)]
        assert worst_ulp(slope, 0.0 * slope, slopes) <= 3.0
        (plain,) = applied(library, lambda y, f: (focal_logits.SOFT_IN_GENERAL.slope(y, f, gamma, 1.0, 1.0),), y, f)
        assert worst_ulp(plain, 0.0 * plain, slopes) > worst_ulp(slope, 0.0 * slope, slopes)
