"""The vectorisable words keep their stated error bounds, in the compiled kernel and as plain Python, in both grades."""

from __future__ import annotations

import importlib.util
import math
import pathlib
import re
import types
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from lossmith import ops
from lossmith.engine import jit, native, simd, single
from lossmith.engine.compiled import compiled as compiled_loop
from lossmith.ops.twofold import log_parts, softplus_parts

pytest.importorskip("numba")

RNG = np.random.default_rng(0)
N = 3000
SMALL = 10.0 ** RNG.uniform(-300, 0, N)
NORMAL = RNG.normal(size=N)
NEAR = np.r_[10.0 ** RNG.uniform(-15.6, -1, N), -(10.0 ** RNG.uniform(-15.6, -1, N))]
INNER = RNG.uniform(0.05, 0.9, 5 * N)  # where results are rounded most often
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -2.0, 750.0, -750.0, 5e-324, 1.7e308])
SPECIAL_SINGLE = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -2.0, 200.0, -200.0, 1e-45, 3e38, -3e38])
ANYTHING = (-np.inf, np.inf, np.inf, np.inf)


def _log1p(x: mp.mpf) -> mp.mpf:
    return mp.log(1 + x) if abs(x) > 1e-30 else x - x * x / 2


def _log1p_exp_neg(x: mp.mpf) -> mp.mpf:
    return _log1p(mp.exp(-abs(x)))


def _lgamma(x: float) -> float:
    if not x > 0.0:
        return math.inf if x == 0.0 else math.nan
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


# word, exact function, bound in ulp as stated in the module, points
CASES: dict[str, tuple[Callable, Callable, float, np.ndarray]] = {
    "exp": (ops.exp, mp.exp, 0.75, np.r_[RNG.uniform(-745, 709.7, N), NORMAL, -SMALL]),
    "log": (ops.log, mp.log, 1.0, np.r_[10 ** RNG.uniform(-307, 308, N), RNG.uniform(0.5, 2, N), 1 + NORMAL * 1e-5]),
    "log1p": (ops.log1p, _log1p, 1.0, np.r_[SMALL, -SMALL[SMALL < 1], RNG.uniform(-0.999, 2, N), 10 ** (30 * SMALL)]),
    "expm1": (ops.expm1, mp.expm1, 1.25, np.r_[RNG.uniform(-60, 709.7, N), NORMAL, SMALL, -SMALL, INNER]),
    "tanh": (ops.tanh, mp.tanh, 2.75, np.r_[RNG.uniform(-25, 25, N), NORMAL, SMALL, 5.0 * INNER]),
    "log1p_exp_neg": (
        ops.log1p_exp_neg,
        _log1p_exp_neg,
        1.75,
        np.r_[RNG.uniform(-740, 740, N), NORMAL, SMALL, 2.0 * INNER],
    ),
    "erf": (ops.erf, mp.erf, 1.75, np.r_[RNG.uniform(0, 6.5, N), NORMAL, INNER, SMALL]),
    "lgamma": (
        ops.lgamma,
        mp.loggamma,
        2.0,
        np.r_[
            RNG.uniform(0, 6, 3 * N), RNG.uniform(0.2, 0.5, N), 10 ** RNG.uniform(0, 305, N), SMALL, 1 + NEAR, 2 + NEAR
        ],
    ),
}
FLOAT32 = 10.0 ** RNG.uniform(-44, 38.4, N)
LITTLE = 10.0 ** RNG.uniform(-44, 0, N)
SINGLE: dict[str, np.ndarray] = {
    "exp": np.r_[RNG.uniform(-103, 88.7, N), NORMAL, LITTLE, -LITTLE],
    "log": np.r_[FLOAT32, RNG.uniform(0.5, 2, N), 1 + NORMAL * 1e-5],
    "log1p": np.r_[FLOAT32, -LITTLE[LITTLE < 1], RNG.uniform(-0.999, 2, N)],
    "expm1": np.r_[RNG.uniform(-103, 88.7, N), NORMAL, LITTLE, -LITTLE],
    "tanh": np.r_[RNG.uniform(-12, 12, N), NORMAL, FLOAT32, -FLOAT32],
    "log1p_exp_neg": np.r_[RNG.uniform(-103, 103, N), NORMAL, LITTLE],
    "erf": np.r_[RNG.uniform(-6, 6, 2 * N), NORMAL, FLOAT32],
    "lgamma": np.r_[RNG.uniform(0, 6, 3 * N), FLOAT32, 1 + NEAR, 2 + NEAR],
}
EXPECTED: dict[str, Callable] = {
    "erf": scipy.special.erf,
    "lgamma": np.vectorize(_lgamma),
    "log1p_exp_neg": lambda x: np.log1p(np.exp(-np.abs(x))),
}


def _word_of_one(y, f):
    return word(f)  # noqa: F821


def _word_of_two(y, f, c):
    return word(f, c)  # noqa: F821


def compiled(word: Callable, x: np.ndarray, *parameters: float, grade: str = "double") -> np.ndarray:
    # As a global name of the formula, the word with its text decides on the name of the kernel in the cache.
    formula = types.FunctionType(
        (_word_of_two if parameters else _word_of_one).__code__, {"__name__": __name__, "word": word}
    )
    out = np.empty_like(x)
    jit.kernel((formula,), len(parameters), grade)(x, x, out, *parameters, ANYTHING, ANYTHING)
    return out


def worst_ulp(found: np.ndarray, exact: list[mp.mpf]) -> float:
    errors = [abs(mp.mpf(a) - b) / mp.mpf(float(np.spacing(abs(float(b))))) for a, b in zip(found, exact, strict=True)]
    return float(max(errors))


def worst_ratio(found: np.ndarray, exact: list[mp.mpf]) -> float:
    """Largest relative error; an exact 0 must be met."""
    pairs = list(zip(found, exact, strict=True))
    assert all(a == 0.0 for a, b in pairs if b == 0)
    return float(max(abs((mp.mpf(a) - b) / b) for a, b in pairs if b != 0))


# --- grade "double" -----------------------------------------------------------------------------------


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


def test_lgamma_by_textbook_misses_its_bound_at_the_roots() -> None:
    """A formula that is good everywhere else fails where the points are next to 1 and 2."""
    points = np.r_[1 + NEAR, 2 + NEAR]
    shifted = np.array([math.lgamma(x + 1.0) - math.log(x) for x in points])
    with mp.workprec(200):
        assert worst_ulp(shifted, [mp.loggamma(mp.mpf(x)) for x in points]) > 1e3


@pytest.mark.parametrize("name", CASES)
def test_ends_and_nan_are_those_of_the_c_library(name: str) -> None:
    with np.errstate(all="ignore"):
        expected = EXPECTED.get(name, getattr(np, name, None))(SPECIAL)
    np.testing.assert_allclose(compiled(CASES[name][0], SPECIAL), expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["expm1", "tanh", "erf"])
def test_odd_words_keep_the_sign_of_zero(name: str) -> None:
    zeros = np.array([0.0, -0.0])
    np.testing.assert_array_equal(np.signbit(compiled(CASES[name][0], zeros)), [False, True])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0, -1.5])
def test_power_at_its_ends(exponent: float) -> None:
    points = np.array([0.0, np.inf, np.nan, 5e-324, 1.7e308, 1.0])
    with np.errstate(all="ignore"):
        expected = points**exponent
    np.testing.assert_allclose(compiled(ops.power, points, exponent), expected, rtol=1e-15)


def test_lgamma_overflows_where_it_must() -> None:
    last = 2.5599833278516383e305
    after = np.nextafter(last, np.inf)
    with mp.workprec(200):
        limit = mp.mpf(2) ** 1024 * (1 - mp.mpf(2) ** -54)  # what is not below rounds to infinity
        assert mp.loggamma(mp.mpf(last)) < limit <= mp.loggamma(mp.mpf(after))
    found = compiled(ops.lgamma, np.array([last, after]))
    np.testing.assert_allclose(found, [np.finfo(float).max, np.inf], rtol=4e-16)


# --- grade "single" -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SINGLE)
def test_words_of_the_single_grade_keep_thirty_bits(name: str) -> None:
    word, exact, _, _ = CASES[name]
    points = SINGLE[name].astype(np.float32).astype(np.float64)
    with mp.workprec(250):
        truth = [
            exact(mp.mpf(x)) if x else mp.mpf(float(EXPECTED.get(name, getattr(np, name, None))(x))) for x in points
        ]
        assert worst_ratio(compiled(word, points, grade="single"), truth) <= 2.0**-30
        thin = slice(None, None, 10)
        with np.errstate(all="ignore"):
            plain = np.array([getattr(single, name)(x) for x in points[thin]])
        assert worst_ratio(plain, truth[thin]) <= 2.0**-30


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 7.5, -1.0])
def test_power_of_the_single_grade_keeps_thirty_bits(exponent: float) -> None:
    points = np.r_[RNG.uniform(0, 1, N), FLOAT32, 1 - LITTLE[LITTLE < 1e-3]].astype(np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        size = points**exponent
    points = points[(size > 1e-45) & (size < 3.4e38)]
    with mp.workprec(200):
        truth = [mp.mpf(x) ** exponent for x in points]
        assert worst_ratio(compiled(ops.power, points, exponent, grade="single"), truth) <= 2.0**-30


def test_the_second_ruler_sees_twenty_nine_bits() -> None:
    with mp.workprec(200):
        exact = [mp.exp(mp.mpf(x)) for x in NORMAL]
        assert worst_ratio(np.exp(NORMAL) * (1 + 2.0**-29), exact) > 2.0**-30


@pytest.mark.parametrize("name", SINGLE)
def test_ends_and_nan_of_the_single_grade(name: str) -> None:
    with np.errstate(all="ignore"):
        expected = EXPECTED.get(name, getattr(np, name, None))(SPECIAL_SINGLE)
    found = compiled(CASES[name][0], SPECIAL_SINGLE, grade="single")
    np.testing.assert_allclose(found, expected, rtol=2.0**-30)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0, -1.5])
def test_power_of_the_single_grade_at_its_ends(exponent: float) -> None:
    points = np.array([0.0, np.inf, np.nan, 1.0, -1.0])
    with np.errstate(all="ignore"):
        expected = np.where(points < 0.0, 1.0 if exponent == 0.0 else np.nan, np.abs(points) ** exponent)
    np.testing.assert_allclose(compiled(ops.power, points, exponent, grade="single"), expected, rtol=2.0**-30)


# --- numbers in two parts -----------------------------------------------------------------------------


@compiled_loop()
def _softplus_parts(x, q, high, low):
    for i in range(x.size):
        q[i], high[i], low[i] = softplus_parts(x[i])


@compiled_loop()
def _log_parts(m, e, high, low):
    for i in range(m.size):
        high[i], low[i] = log_parts(m[i], e[i])


def _in_softplus_parts(x: np.ndarray, way: str) -> tuple[np.ndarray, ...]:
    if way == "NumPy":
        return softplus_parts(x)
    parts = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    _softplus_parts(x, *parts)
    return parts


def _in_log_parts(m: np.ndarray, e: np.ndarray, way: str) -> tuple[np.ndarray, ...]:
    if way == "NumPy":
        return log_parts(m, e)
    parts = np.empty_like(m), np.empty_like(m)
    _log_parts(m, e, *parts)
    return parts


def worst_sum(parts: tuple[np.ndarray, ...], exact: list[mp.mpf]) -> float:
    return float(max(abs(mp.mpf(a) + mp.mpf(b) - c) for a, b, c in zip(*parts, exact, strict=True)))


ways = pytest.mark.parametrize("way", ["NumPy", "compiled"])


@ways
def test_softplus_in_two_parts(way: str) -> None:
    # The logarithm is the least exact next to the thresholds, q = 0.22 and 0.72.
    near = np.log([0.22, 0.72])
    edges = np.r_[near, near[0] + RNG.uniform(-0.05, 0.05, 3 * N), near[1] + RNG.uniform(-0.02, 0.02, N)]
    x = np.r_[RNG.uniform(-708, 708, N), NORMAL, SMALL, RNG.uniform(0.3, 1.6, N), edges, 1e308]
    x[::2] *= -1.0
    q, high, low = _in_softplus_parts(x, way)
    with mp.workprec(250):
        normal = np.abs(x) <= 708.0
        assert worst_ulp(q[normal], [mp.exp(-abs(mp.mpf(v))) for v in x[normal]]) <= 0.51
        truth = [_log1p_exp_neg(mp.mpf(v)) for v in x]
        assert worst_sum((high, low), truth) <= 2.0**-60
        # One part alone is not that good: the ruler can tell.
        assert worst_sum((high, 0.0 * low), truth) > 2.0**-56
    np.testing.assert_array_equal(high + low, high)


@ways
def test_softplus_in_two_parts_where_exp_is_subnormal(way: str) -> None:
    x = np.r_[RNG.uniform(708.4, 745.1, N), 745.13, 745.14, 746.0]
    q, high, low = _in_softplus_parts(x, way)
    with mp.workprec(250):
        assert worst_ulp(q, [mp.exp(-mp.mpf(v)) for v in x]) <= 0.76
    assert q[-1] == 0.0
    np.testing.assert_allclose(high + low, q, rtol=0, atol=5e-324)


@ways
def test_softplus_in_two_parts_at_its_ends(way: str) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, 1.7e308, 5e-324, np.nan])
    with np.errstate(all="ignore"):
        q, high, low = _in_softplus_parts(x, way)
    log2 = math.log(2.0)
    np.testing.assert_array_equal(q, [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(high, [log2, log2, 0.0, 0.0, 0.0, log2, np.nan])
    rest = 2.3190468138462996e-17
    np.testing.assert_allclose(low, [rest, rest, 0.0, 0.0, 0.0, rest, np.nan], atol=2.0**-62)


@ways
def test_log_in_two_parts(way: str) -> None:
    inside = np.r_[1.0, 1.22, 1.72, np.nextafter(2.0, 1.0), 1.0 + SMALL[SMALL > 1e-17], 2.0 - SMALL[SMALL > 1e-15]]
    m = np.r_[RNG.uniform(1, 2, N), RNG.uniform(1.2, 1.24, N), inside[inside < 2.0], inside[inside < 2.0]]
    e = np.r_[RNG.integers(-1074, 1024, N), np.zeros(N), np.zeros(inside[inside < 2.0].size), -np.ones(m.size)]
    e = e[: m.size].astype(float)
    parts = _in_log_parts(m, e, way)
    with mp.workprec(250):
        truth = [mp.log(mp.mpf(a) * mp.mpf(2) ** int(b)) for a, b in zip(m, e, strict=True)]
        assert worst_sum(parts, truth) <= 2.0**-60
        assert worst_ulp(parts[0], truth) <= 0.55  # beside the root at 1, too
        assert worst_sum((parts[0], 0.0 * parts[1]), truth) > 2.0**-56


@ways
def test_log_in_two_parts_of_nan(way: str) -> None:
    assert np.isnan(_in_log_parts(np.array([np.nan]), np.array([0.0]), way)).all()


# --- how they are made --------------------------------------------------------------------------------


MODULES = (simd, single, native)
BOUNDS = {"simd": 2.0**-53, "single": 2.0**-30, "native": 2.0**-24}


def test_the_coefficients_are_those_that_the_tool_fits() -> None:
    path = pathlib.Path(__file__).parents[2] / "tools" / "fit_polynomials.py"
    spec = importlib.util.spec_from_file_location("fit_polynomials", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    functions = [value for module in MODULES for value in vars(module).values() if hasattr(value, "__code__")]
    written = {abs(c) for function in functions for c in function.__code__.co_consts if isinstance(c, float)}
    for name, (coefficients, error) in tool.polynomials().items():
        assert {abs(float(c)) for c in coefficients} <= written, name
        assert error < BOUNDS[name.partition(".")[0]], name


def packed(assembly: str) -> int:
    """Arithmetic on whole vectors of float64 in a loop."""
    return len(re.findall(r"\bv(?:f?n?m(?:add|sub)\d+|mul|add|sub)pd\b.*%[yz]mm", assembly))


@pytest.mark.parametrize("grade", ["double", "single"])
@pytest.mark.parametrize("name", [*CASES, "power", "math.lgamma"])
def test_words_run_on_whole_vectors(name: str, grade: str) -> None:
    """Those of Python's own library, which call C for each number, do not."""
    import numba
    from llvmlite.binding import get_host_cpu_features

    if not get_host_cpu_features().get("avx2", False):
        pytest.skip("looks for AVX")
    scalar = math.lgamma if name == "math.lgamma" else jit.built(getattr(ops, name), grade)
    exponents: tuple[Any, ...] = (2.5,) if name == "power" else ()

    @numba.njit(fastmath={"contract"}, error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = scalar(x[i], *exponents)

    loop(np.ones(8), np.empty(8))
    found = packed("\n".join(loop.inspect_asm().values()))
    assert found == 0 if name == "math.lgamma" else found >= 10
