"""Compiled kernels compute what NumPy computes, on any size, in threads, and never from a stale cache."""

from __future__ import annotations

import itertools
import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import ELEMENTWISE, ElementwiseCase
from lossmith.engine import cache, fused, jit, simd, words
from lossmith.engine.compiled import compiled
from lossmith.ops import exp, full_like, square

pytest.importorskip("numba")
every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
ORDERS = ("value", "slope", "curvature")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)


def _compute(case: ElementwiseCase, y: Any, f: Any, orders: tuple[str, ...] = ORDERS) -> tuple[Any, ...]:
    functions = tuple(getattr(case.loss.form, order) for order in orders)
    return fused.evaluate(functions, y, f, case.loss.parameters)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_the_kernel_is_numpy(case: ElementwiseCase, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are within 4 ulp of the truth, hence close to each other, where there is no cancellation."""
    y, f = case.sample(500, dtype=dtype)
    monkeypatch.setattr(fused, "KERNEL_FROM", 2**62)
    want = _compute(case, y, f)
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    for got, expected in zip(_compute(case, y, f), want, strict=True):
        assert got.dtype == dtype
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=16 * np.finfo(dtype).eps, atol=1e-15 * scale)


@pytest.mark.usefixtures("kernels")
@every
def test_every_subset_of_outputs(case: ElementwiseCase) -> None:
    y, f = case.sample(64)
    full = dict(zip(ORDERS, _compute(case, y, f), strict=True))
    for count in (1, 2):
        for orders in itertools.combinations(ORDERS, count):
            for order, got in zip(orders, _compute(case, y, f, orders), strict=True):
                np.testing.assert_allclose(got, full[order], rtol=8e-16, atol=1e-16 * np.abs(full[order]).max())


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 1000, 131_071, 131_072, 200_003])
def test_any_length_and_threads_give_the_same_bits(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a slice starts must not change its numbers."""
    rng = np.random.default_rng(n)
    y, f = (rng.random(n) < 0.5).astype(float), rng.normal(0, 5, n)
    loss = lm.BinaryCrossEntropy()
    threaded = loss.value_gradient_hessian(y, f)
    monkeypatch.setattr(fused, "_PER_THREAD", 2**62)
    for got, want in zip(threaded, loss.value_gradient_hessian(y, f), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("kernels")
def test_many_callers_at_once() -> None:
    y, f = ELEMENTWISE[0].sample(5000)
    losses = [lm.Huber(delta=d) for d in (0.5, 1.0, 2.0)] * 8
    want = [loss.gradient(y, f) for loss in losses]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda loss: loss.gradient(y, f), losses))
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_choice_depends_on_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(fused, "_run_kernel", lambda *a: calls.append("kernel") or 0)
    monkeypatch.setattr(fused, "_run_numpy", lambda *a: calls.append("numpy"))
    monkeypatch.setattr(fused, "_small", lambda functions, y, f, parameters: calls.append("numpy") or (f,))
    for n, dtype in ((fused.KERNEL_FROM - 1, "f8"), (fused.KERNEL_FROM, "f8"), (fused.KERNEL_FROM, "f2")):
        lm.MeanSquaredError().gradient(np.zeros(n, dtype), np.zeros(n, dtype))
    assert calls == ["numpy", "kernel", "numpy"]


@pytest.mark.usefixtures("kernels")
def test_without_numba_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    y, f = ELEMENTWISE[0].sample(50)
    want = lm.Tukey().gradient(y, f)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not jit.available()
    np.testing.assert_allclose(lm.Tukey().gradient(y, f), want, rtol=1e-14)


@pytest.mark.usefixtures("kernels")
def test_the_compiler_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert not jit.available()
    assert lm.MeanSquaredError()([0.0], [3.0]) == 9


# --- the cache on disk --------------------------------------------------------------------------------

SCRIPT = """
import numpy as np, lossmith as lm
from lossmith.engine import fused
fused.KERNEL_FROM = 1
f = np.linspace(-3, 3, 100)
print(repr(float(lm.Huber(delta=1.5)(np.zeros(100), f))))
"""


def _start(folder: pathlib.Path | str, script: str = SCRIPT) -> subprocess.Popen[str]:
    source = pathlib.Path(lm.__file__).parents[1]
    environment = {**os.environ, "LOSSMITH_CACHE_DIR": str(folder), "PYTHONPATH": str(source)}
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def test_two_processes_share_an_empty_cache(tmp_path: pathlib.Path) -> None:
    """Both compile at once into one folder; a third finds what they left."""
    answers = {_finish(p) for p in [_start(tmp_path), _start(tmp_path)]}
    kept = {path.name for path in (tmp_path / "kernels").rglob("*") if path.is_file()}
    assert any(name.endswith(".nbc") for name in kept)
    answers.add(_finish(_start(tmp_path)))
    assert len(answers) == 1
    assert {path.name for path in (tmp_path / "kernels").rglob("*") if path.is_file()} == kept


def test_a_cache_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    """A file where the folder should be: the kernel is compiled for this process only."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert _finish(_start(blocked)) == _finish(_start(tmp_path))
    assert blocked.read_text() == "no folder"


def _old(y: Any, f: Any, c: Any) -> Any:
    return square(f - y) * c


def _renamed(function: Any, like: Any) -> Any:
    function.__name__, function.__qualname__ = like.__name__, like.__qualname__
    return function


SCALE = 2.0


def _scaled(y: Any, f: Any) -> Any:
    return full_like(f, SCALE) * exp(f - y)


@pytest.mark.parametrize("factor", [2.0, 3.0])
@pytest.mark.usefixtures("kernels")
def test_an_edited_helper_in_a_closure_is_compiled_anew(factor: float) -> None:
    scope: dict[str, Any] = {"FACTOR": factor, "__name__": __name__}
    exec("def times_factor(x):\n    return x * FACTOR\n", scope)
    helper = scope["times_factor"]

    def through(y: Any, f: Any) -> Any:
        return helper(f - y)

    np.testing.assert_array_equal(fused.evaluate((through,), np.zeros(3), np.ones(3))[0], np.full(3, factor))


@pytest.mark.usefixtures("kernels")
def test_an_edited_formula_is_compiled_anew() -> None:
    """Same name, same signature, other text or other constant: another kernel."""
    y, f = np.zeros(10), np.arange(10.0)
    before = fused.evaluate((_old,), y, f, (3.0,))[0]
    edited = _renamed(lambda y, f, c: square(f - y) + c, _old)
    after = fused.evaluate((edited,), y, f, (3.0,))[0]
    np.testing.assert_array_equal(before, f**2 * 3)
    np.testing.assert_array_equal(after, f**2 + 3)


@compiled(fastmath=frozenset({"contract", "reassoc", "nsz"}))
def _sum_of_exponentials(x: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        total += exp(x[i])
    return total


def test_the_liberties_of_a_sum_do_not_reach_the_words() -> None:
    x = np.random.default_rng(0).normal(0, 5, 1000)
    np.testing.assert_allclose(_sum_of_exponentials(x), np.exp(x).sum(), rtol=1e-13)


@compiled()
def real(x: Any) -> Any:
    """A loop that reads an attribute of its own name, which is not the loop."""
    return x.real[0]


def test_an_attribute_is_no_global_name() -> None:
    assert real(np.array([2.0])) == 2.0


def test_the_cache_key_sees_text_constants_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(function: Any) -> str:
        path = cache.kernel_file("kernel", "text", (function,), "double")
        assert path is not None
        return path.name

    plain = key(_scaled)
    assert plain == key(_scaled)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert key(_scaled) != plain, "a constant of the module has changed"
    monkeypatch.undo()
    assert key(_scaled) == plain
    assert key(_renamed(lambda y, f: full_like(f, SCALE) * exp(y - f), _scaled)) != plain
    monkeypatch.setitem(words.GRADES["double"], "exp", simd.expm1)
    assert key(_scaled) != plain, "a word has changed"
    monkeypatch.undo()
    monkeypatch.setattr(cache, "__version__", "999")
    assert key(_scaled) != plain, "the package has changed"
