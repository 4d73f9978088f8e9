"""Formulas that are computed in float32: their words keep their bounds, and their limits are float32 numbers."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import ELEMENTWISE, ElementwiseCase
from lossmith import ops
from lossmith.engine import cache, fused, jit
from lossmith.ops.elementwise import NARROW

pytest.importorskip("numba")

RNG = np.random.default_rng(0)
N = 200_000
ANYTHING = (-np.inf, np.inf, np.inf, np.inf)
POINTS = np.r_[RNG.uniform(-110, 110, N), RNG.normal(0, 3, N), 10.0 ** RNG.uniform(-40, 0, N)].astype(np.float32)
ENDS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-45], np.float32)


def _fallen(x: Any) -> Any:
    return np.exp(-np.abs(x))


def _log_cosh(x: Any) -> Any:
    return np.where(np.abs(x) < 1e-4, 0.5 * x * x, ops.log_cosh(x))


# word, what it is in float64, bound in ulp of a float32 as stated in the module
CASES: dict[str, tuple[Callable, Callable, float]] = {
    "exp": (lambda x: ops.exp(x), np.exp, 1.0),
    "log1p_exp_neg": (lambda x: ops.log1p_exp_neg(x), lambda x: np.log1p(_fallen(x)), 1.75),
    "sigmoid": (lambda x: ops.logistic_less(ops.absolute(x), 0.0), lambda x: 1.0 / (1.0 + _fallen(x)), 1.0),
    "its rest": (lambda x: ops.logistic_less(-ops.absolute(x), 0.0), lambda x: _fallen(x) / (1.0 + _fallen(x)), 1.0),
    "sech_squared": (lambda x: ops.sech_squared(x), lambda x: 4.0 * _fallen(2 * x) / (1.0 + _fallen(2 * x)) ** 2, 1.0),
    "tanh_of_difference": (lambda x: ops.tanh_of_difference(x, 0.0), np.tanh, 1.75),
    "log_cosh_of_difference": (lambda x: ops.log_cosh_of_difference(x, 0.0), _log_cosh, 1.75),
    "logistic_slope": (lambda x: ops.logistic_slope(x), lambda x: _fallen(x) / (1.0 + _fallen(x)) ** 2, 1.0),
}
NAIVE = (lambda x: ops.exp(-ops.absolute(x)) / (1.0 + ops.exp(-ops.absolute(x)))), CASES["its rest"][1]


def _of_one(y: Any, f: Any) -> Any:
    return word(f)  # noqa: F821


def _computed(word: Callable, x: np.ndarray) -> np.ndarray:
    formula = types.FunctionType(_of_one.__code__, {"__name__": __name__, "word": word})
    out = np.empty_like(x)
    jit.kernel((formula,), 0, "native")(x, x, out, ANYTHING, ANYTHING)
    return out


def _worst(word: Callable, exact: Callable) -> float:
    found = _computed(word, POINTS)
    with np.errstate(all="ignore"):
        want = exact(POINTS.astype(float))
        near = want.astype(np.float32)
    fits = np.isfinite(near)
    np.testing.assert_array_equal(found[~fits], near[~fits])
    return float((np.abs(found[fits] - want[fits]) / np.spacing(np.abs(near[fits]))).max())


@pytest.mark.parametrize("name", CASES)
def test_words_keep_their_bounds(name: str) -> None:
    word, exact, bound = CASES[name]
    assert _worst(word, exact) <= bound


def test_the_ruler_sees_what_rounding_costs() -> None:
    """The textbook's quotient in float32 is not that good."""
    assert _worst(*NAIVE) > 2.0


@pytest.mark.parametrize("name", CASES)
def test_ends_and_nan(name: str) -> None:
    word, exact, _ = CASES[name]
    with np.errstate(all="ignore"):
        want = exact(ENDS.astype(float)).astype(np.float32)
    np.testing.assert_allclose(_computed(word, ENDS), want, rtol=1e-6)


NATIVE = [case for case in ELEMENTWISE if {case.loss.form.value, case.loss.form.slope} <= NARROW]


@pytest.mark.parametrize("case", NATIVE, ids=lambda case: case.id)
def test_marked_formulas_stay_narrow(case: ElementwiseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """One float64 constant would bring its width back: vectors of 16 float32 and none of float64."""
    from llvmlite.binding import get_host_cpu_features

    if not get_host_cpu_features().get("avx2", False):
        pytest.skip("looks for AVX")
    monkeypatch.setattr(cache, "kernel_file", lambda *_: None)  # what comes from the cache has no text
    functions, parameters = (case.loss.form.value, case.loss.form.slope), case.loss.parameters
    run: Any = jit.kernel.__wrapped__(functions, len(parameters), "native")
    x = np.ones(16, np.float32)
    run(x, x, x.copy(), x.copy(), *parameters, ANYTHING, ANYTHING)
    text = "\n".join(run.inspect_asm().values())
    assert text.count("mulps") > 5
    assert text.count("mulpd") + text.count("cvtps2pd") == 0


def test_there_are_some() -> None:
    assert NATIVE


@pytest.mark.parametrize("case", NATIVE, ids=lambda case: case.id)
def test_marked_formulas_keep_two_ulp(case: ElementwiseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the kernel in float64, in more places than 60 digits could look at."""
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    y, f = case.sample(100_000, dtype=np.float32)
    wide = case.loss.value_gradient_hessian(y.astype(float), f.astype(float))
    for got, want in zip(case.loss.value_gradient_hessian(y, f), wide, strict=True):
        assert got.dtype == np.float32
        assert (np.abs(got - want) / np.spacing(np.abs(want).astype(np.float32))).max() <= 2.0
    w = RNG.random(f.size).astype(np.float32)
    for reduction in ("mean", "sum"):
        want = case.loss(y.astype(float), f.astype(float), w, reduction)
        np.testing.assert_allclose(case.loss(y, f, w, reduction), want, rtol=2e-7)


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 0.1, -0.1, 5e-324, 1.8e308, -1.8e308, 1.7e308, -1.7e308, math.inf])
def test_limits_are_rounded_inwards(x: float) -> None:
    low, high, start, stop = fused._limits([(x, x, x, x)], "native")[0]
    assert low >= x >= high
    assert stop == low
    assert start == high
    assert all(float(np.float32(number)) == number for number in (low, high))
    if low != high and low < np.inf:
        assert float(np.nextafter(np.float32(high), np.float32(np.inf))) == low
    assert fused._limits([(x, x, x, x)], "single") == [(x, x, x, x)]


def test_what_is_outside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    f = np.zeros(3, np.float32)
    for wrong in (np.nextafter(np.float32(1.0), np.float32(2.0)), np.float32(-1e-45), np.float32(np.nan)):
        with pytest.raises(ValueError, match="y_true holds"):
            lm.BinaryCrossEntropy()(np.array([0.0, 1.0, wrong], np.float32), f)
