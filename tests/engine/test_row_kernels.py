"""Row kernels against NumPy and against 60 digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
import oracle_rows
from catalogue import ROWS, RowCase
from lossmith.engine import rows
from row_tables import LOSSES, by_numpy, sample

pytest.importorskip("numba")

COMPILED = [case for case in ROWS if case.loss.kernel is not None]
every = pytest.mark.parametrize("case", COMPILED, ids=[f"{case.id}-{case.draw.__name__}" for case in COMPILED])
DTYPES = (np.float64, np.float32)
# Relative to the largest entry of a row.
RTOL = {np.float64: 1e-12, np.float32: 1e-5}


def check_close(got: tuple[Any, Any], want: tuple[Any, Any], rtol: float, label: str = "") -> None:
    """Values relative to themselves, gradients to the largest entry of their row; infinities and NaN alike."""
    for g, wide in zip(got, want, strict=True):
        with np.errstate(over="ignore"):
            w = wide.astype(g.dtype).astype(np.float64)
        scale = np.abs(w) if w.ndim == 1 else np.abs(w).max(-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            same = (np.abs(g - w) <= rtol * scale + 1e-37) | (g == w) | (np.isnan(g) & np.isnan(w))
        off = ~same.reshape(len(g), -1).all(-1)
        assert not off.any(), f"{label}: rows {np.flatnonzero(off)}, got {g[off]}, want {w[off]}"


# --- against NumPy and the textbook -------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
def test_the_kernel_is_the_formulas(case: RowCase, dtype: Any, kernels: str) -> None:
    """Rows that fill several tiles and leave one open; every order alone is the order in company, bit for bit."""
    y, f = case.sample(333, seed=3, dtype=dtype)
    got = case.loss.value_and_gradient(y, f)
    assert got[0].dtype == got[1].dtype == dtype
    check_close(got, by_numpy(case.loss, y, f), RTOL[dtype], f"{case.id} {kernels}")
    np.testing.assert_array_equal(case.loss(y, f, reduction="none"), got[0])
    np.testing.assert_array_equal(case.loss.gradient(y, f), got[1])


@every
def test_the_kernel_against_60_digits(case: RowCase, kernels: str) -> None:
    y, f = case.sample(5, seed=8)
    values, slopes = case.loss.value_and_gradient(y, f)
    want = [
        (float(oracle_rows.exact_row(case.truth, a, b)), [float(v) for v in oracle_rows.gradient(case.truth, a, b)])
        for a, b in zip(y.tolist(), f.tolist(), strict=True)
    ]
    truth = np.array([w[0] for w in want]), np.array([w[1] for w in want])
    np.testing.assert_allclose(values, truth[0], rtol=4e-15, atol=1e-15)
    check_close((values, slopes), (values, truth[1]), 2e-14, case.id)


@every
def test_a_wrong_formula_is_noticed(case: RowCase, always: None) -> None:
    """Negative control: a kernel whose values or gradient are off by a little fails the comparison."""
    y, f = case.sample(50, seed=3)
    values, slopes = case.loss.value_and_gradient(y, f)
    want = by_numpy(case.loss, y, f)
    for wrong in ((values * (1 + 1e-11), slopes), (values, slopes * (1 + 1e-11)), (values, np.roll(slopes, 1, -1))):
        with pytest.raises(AssertionError):
            check_close(wrong, want, RTOL[np.float64])


WIDTHS = (1, 2, 15, 16, 17, 48, 49, 127, 1000, 2049, 5003)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("k", WIDTHS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_every_width(loss: Any, k: int, dtype: Any, always: None) -> None:
    """Vectors, their remainders, blocks of sums: no width is special."""
    rng = np.random.default_rng(k)
    f = (rng.normal(size=(7, k)) * 4).astype(dtype)
    for y in (rng.integers(0, k, 7), rng.dirichlet(np.ones(k), 7).astype(dtype)):
        check_close(loss.value_and_gradient(y, f), by_numpy(loss, y, f), RTOL[dtype], f"{k}")


HARD = np.array(
    [
        [1e4, 0.0, -1e4, 3.0],
        [1e30, -1e30, 1e30, 0.0],
        [3e38, 1e38, -3e38, 0.0],
        [20.0, 0.0, 0.0, 0.0],
        [0.0, 20.0, 0.0, -1e-30],
        [-87.0, 0.0, -103.0, -104.5],
        [5.0, 5.0, 5.0, 5.0],
        [0.0, -0.0, 1e-30, -1e-38],
        [np.inf, 0.0, 1.0, 2.0],
        [0.0, np.inf, 1.0, np.inf],
        [-np.inf, 0.0, 1.0, -np.inf],
        [-np.inf, -np.inf, -np.inf, 2.0],
        [np.nan, 0.0, 1.0, 2.0],
        [-np.nan, 0.0, np.inf, 2.0],
        [np.nan, np.nan, np.nan, np.nan],
    ]
)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "rows"])
@pytest.mark.parametrize("loss", [*LOSSES, lm.CategoricalCrossEntropy(z_loss=0.3)], ids=repr)
def test_hard_rows(loss: Any, soft: bool, dtype: Any, kernels: str) -> None:
    """Huge, equal, infinite and missing logits; in float32 too every entry keeps its digits beside the largest."""
    f = np.repeat(HARD.astype(dtype), 4, 0)
    y: Any = np.tile(np.arange(4), len(HARD))
    if soft:
        y = np.eye(4, dtype=dtype)[y]
    check_close(loss.value_and_gradient(y, f), by_numpy(loss, y, f), RTOL[dtype])


@pytest.mark.parametrize("margin", [0.0, 1.0, 17.0, 40.0, 80.0])
def test_confident_rows_keep_relative_accuracy_in_float32(margin: float, kernels: str) -> None:
    """Each entry of the gradient for itself, where torch, Keras and optax answer 0."""
    f = np.zeros((2, 30), np.float32)
    f[:, 3] = margin
    values, slopes = lm.CategoricalCrossEntropy().value_and_gradient([3, 4], f)
    rest = 29 * np.exp(-margin)
    want = np.exp(f.astype(float) - margin) / (1 + rest)
    want[0, 3], want[1, 4] = -rest / (1 + rest), want[1, 4] - 1
    np.testing.assert_allclose(values, [np.log1p(rest), margin + np.log1p(rest)], rtol=1e-6, atol=3e-45)
    np.testing.assert_allclose(slopes, want, rtol=1e-6, atol=3e-45)


def test_thirty_thousand_classes_stay_accurate(always: None) -> None:
    """The worst sum: equal numbers, in float32."""
    f = np.full((2, 32_000), 0.1, np.float32)
    values, slopes = lm.CategoricalCrossEntropy().value_and_gradient([0, 31_999], f)
    np.testing.assert_allclose(values, np.log(32_000), rtol=2e-7)
    np.testing.assert_allclose(slopes[0, 1:], 1 / 32_000, rtol=2e-7)


# --- which path ---------------------------------------------------------------------------------------


def test_small_tables_wait_for_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> int:
        raise AssertionError("a kernel was asked for")

    monkeypatch.setattr(rows, "softmax", refuse)
    small = np.zeros((rows.KERNEL_FROM // 10 - 1, 10))
    loss = lm.CategoricalCrossEntropy()
    assert loss(np.zeros(len(small), int), small) == pytest.approx(np.log(10))
    large = np.zeros((rows.KERNEL_FROM // 10 + 1, 10))
    with pytest.raises(AssertionError, match="asked for"):
        loss(np.zeros(len(large), int), large)
    loss(np.zeros(len(large), int), large.astype(np.float16))  # no kernel for this dtype


def test_numpy_without_numba_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large tables in blocks, with leading axes."""
    monkeypatch.setattr(rows.jit, "available", lambda: False)
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(9, 500, 11)), rng.integers(0, 11, (9, 500))
    loss = lm.CategoricalCrossEntropy(label_smoothing=0.1)
    values, slopes = loss.value_and_gradient(y, f)
    assert values.shape == (9, 500)
    one_by_one = [loss.value_and_gradient(a, b) for a, b in zip(y, f, strict=True)]
    np.testing.assert_array_equal(values, [v for v, _ in one_by_one])
    np.testing.assert_array_equal(slopes, [s for _, s in one_by_one])


def test_labels_are_never_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table of n x k ones and zeros, with or without kernels; small blocks of rows only."""
    import lossmith.losses.softmax_loss as module

    largest = 0
    one_hot = module.one_hot

    def watched(index: Any, like: Any) -> Any:
        nonlocal largest
        largest = max(largest, like.size)
        return one_hot(index, like)

    monkeypatch.setattr(module, "one_hot", watched)
    f, y = np.zeros((20_000, 10)), np.zeros(20_000, int)
    loss = lm.CategoricalCrossEntropy(class_weights=[1.0] * 10, ignore_index=3)
    loss(y, f), loss.value_and_gradient(y, f)
    assert largest == 0
    monkeypatch.setattr(rows.jit, "available", lambda: False)
    loss(y, f), loss.value_and_gradient(y, f)
    assert 0 < largest <= 16_384


# --- the engine itself --------------------------------------------------------------------------------


def test_scale_is_a_factor_of_each_row(kernels: str) -> None:
    """What fused layers use: value and gradient times a number for each row, over the logits."""
    y, f = sample(dtype=np.float64)
    scale = np.random.default_rng(2).random(300)
    values, slopes = lm.CategoricalCrossEntropy().value_and_gradient(y, f)
    filled = np.empty(300)
    assert rows.softmax(lm.CategoricalCrossEntropy().texts, f, y, filled, f, scale=scale) == -1
    np.testing.assert_allclose(filled, scale * values, rtol=1e-15)
    np.testing.assert_allclose(f, scale[:, None] * slopes, rtol=1e-14, atol=1e-300)


def test_threads_do_not_change_a_bit() -> None:
    import numba

    y, f = sample(20_000, 10)
    loss = lm.CategoricalCrossEntropy()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = loss.value_and_gradient(y, f)
        numba.set_num_threads(before)
        together = loss.value_and_gradient(y, f)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(alone[0], together[0])
    np.testing.assert_array_equal(alone[1], together[1])


def test_the_exponential_in_float32() -> None:
    """1.5 ulp from 0 to the last subnormal, and the limits."""
    import numba

    from lossmith.engine import jit
    from lossmith.engine.rows_exp import falling_single

    run = jit.built(falling_single, "single")

    @numba.njit
    def fill(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = run(x[i])

    x = -np.r_[np.linspace(0, 104, 200_001), np.logspace(-12, 2, 5000)].astype(np.float32)
    got = np.empty_like(x)
    fill(x, got)
    want = np.exp(x.astype(np.float64))
    ulp = np.maximum(np.spacing(want.astype(np.float32)).astype(np.float64), 2.0**-149)
    assert (np.abs(got - want) / ulp).max() <= 1.5
    ends, got = np.array([-np.inf, -110.0, np.nan, 0.0, -0.0], np.float32), np.empty(5, np.float32)
    fill(ends, got)
    np.testing.assert_array_equal(got, np.array([0, 0, np.nan, 1, 1], np.float32))


@pytest.mark.parametrize("k", [7, 48])
def test_target_rows_in_float32_err_by_few_roundings_of_p(k: int, kernels: str) -> None:
    """Next to the optimum, with all logits equal and with a confident row, each entry of p - y for itself.

    The logit's distance from the largest is rounded, too.
    """
    rng = np.random.default_rng(k)
    f = (rng.normal(size=(4, k)) * 3).astype(np.float32)
    f[1], f[2, 3] = 0.5, 40.0
    wide = np.exp(f.astype(float) - f.max(1, keepdims=True))
    p = wide / wide.sum(1, keepdims=True)
    y = p * (1 + 1e-3 * rng.normal(size=p.shape))
    y = (y / y.sum(1, keepdims=True)).astype(np.float32)
    y[2] = np.eye(k)[3]
    slopes = lm.CategoricalCrossEntropy().gradient(y, f)
    want = p * y.astype(float).sum(1, keepdims=True) - y
    want[2, 3] = -np.delete(p[2], 3).sum()
    p[2, 3] = -want[2, 3]
    gap = f.max(1, keepdims=True) - f
    gap[2, 3] = 40.0
    room = (3e-7 + 6e-8 * gap) * p
    assert (np.abs(slopes - want) <= room).all()
    assert not (np.abs(slopes * 1.01 - want) <= room).all()
