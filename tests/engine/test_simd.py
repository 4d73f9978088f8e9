"""The vectorisable words keep their stated error bounds, in the compiled kernel and as plain Python."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from lossmith import ops
from lossmith.engine import jit, simd

RNG = np.random.default_rng(0)
N = 3000
SMALL = 10.0 ** RNG.uniform(-300, 0, N)
NORMAL = RNG.normal(size=N)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -2.0, 750.0, -750.0, 5e-324, 1.7e308])


def _log1p(x: mp.mpf) -> mp.mpf:
    return mp.log(1 + x) if abs(x) > 1e-30 else x - x * x / 2


# word, exact function, bound in ulp as stated in the module, points
CASES: dict[str, tuple[Callable, Callable, float, np.ndarray]] = {
    "exp": (ops.exp, mp.exp, 0.75, np.r_[RNG.uniform(-745, 709.7, N), NORMAL, -SMALL]),
    "log": (ops.log, mp.log, 1.0, np.r_[10 ** RNG.uniform(-307, 308, N), RNG.uniform(0.5, 2, N), 1 + NORMAL * 1e-5]),
    "log1p": (ops.log1p, _log1p, 1.0, np.r_[SMALL, -SMALL[SMALL < 1], RNG.uniform(-0.999, 2, N), 10 ** (30 * SMALL)]),
    "expm1": (ops.expm1, mp.expm1, 1.0, np.r_[RNG.uniform(-60, 709.7, N), NORMAL, SMALL, -SMALL]),
    "tanh": (ops.tanh, mp.tanh, 2.5, np.r_[RNG.uniform(-25, 25, N), NORMAL, SMALL]),
}


def compiled(function: Callable, x: np.ndarray, *parameters: float) -> np.ndarray:
    def formula(y, f):
        return function(f)

    def formula_with(y, f, c):
        return function(f, c)

    out = np.empty_like(x)
    anything = (-np.inf, np.inf, np.inf, np.inf)
    jit.kernel((formula_with if parameters else formula,), len(parameters))(x, x, out, *parameters, anything, anything)
    return out


def worst_ulp(found: np.ndarray, exact: list[mp.mpf]) -> float:
    errors = [abs(mp.mpf(a) - b) / mp.mpf(float(np.spacing(abs(float(b))))) for a, b in zip(found, exact, strict=True)]
    return float(max(errors))


@pytest.mark.parametrize("name", CASES)
def test_words_keep_their_bounds(name: str) -> None:
    word, exact, bound, points = CASES[name]
    with mp.workprec(200):
        truth = [exact(mp.mpf(x)) for x in points]
        assert worst_ulp(compiled(word, points), truth) <= bound
        thin = slice(None, None, 10)
        with np.errstate(all="ignore"):
            plain = np.array([getattr(simd, name)(x) for x in points[thin]])
        assert worst_ulp(plain, truth[thin]) <= bound


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 7.5, -1.0])
def test_power_keeps_its_bound(exponent: float) -> None:
    points = np.r_[RNG.uniform(0, 1, N), 10 ** RNG.uniform(-38, 38, N), 1 - SMALL[SMALL < 1e-3]]
    with mp.workprec(200):
        assert worst_ulp(compiled(ops.power, points, exponent), [mp.mpf(x) ** exponent for x in points]) <= 1.25


def test_the_ruler_sees_three_ulp() -> None:
    with mp.workprec(200):
        exact = [mp.exp(mp.mpf(x)) for x in NORMAL]
        wrong = np.exp(NORMAL) * (1 + 6 * 2.0**-53)
        assert worst_ulp(wrong, exact) > 2.0


@pytest.mark.parametrize("name", CASES)
def test_ends_and_nan_are_those_of_the_c_library(name: str) -> None:
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(SPECIAL)
    np.testing.assert_allclose(compiled(CASES[name][0], SPECIAL), expected, rtol=1e-15)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0, -1.5])
def test_power_at_its_ends(exponent: float) -> None:
    points = np.array([0.0, np.inf, np.nan, 5e-324, 1.7e308, 1.0])
    with np.errstate(all="ignore"):
        expected = points**exponent
    np.testing.assert_allclose(compiled(ops.power, points, exponent), expected, rtol=1e-15)
