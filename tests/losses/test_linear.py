"""Linear layer and cross-entropy in one against the cross-entropy on all logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import rows
from lossmith.losses import linear_blas
from lossmith.losses.linear_sweep import NumpyBackend, chunk_rows

N, D, K = 30, 6, 11
RNG = np.random.default_rng(7)
X, W, BIAS = RNG.standard_normal((N, D)), RNG.standard_normal((K, D)), RNG.standard_normal(K)
LABELS = RNG.integers(0, K, N)
SOME_IGNORED = np.where(np.arange(N) % 4 == 1, -100, LABELS)
WEIGHT = RNG.uniform(0, 2, N) * (np.arange(N) % 5 != 0)
CLASS_WEIGHTS = tuple(RNG.uniform(0.5, 2, K))
SETTINGS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.2},
    {"class_weights": CLASS_WEIGHTS},
    {"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.1},
]
settings = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(s) or "plain")
reductions = pytest.mark.parametrize("reduction", ["mean", "sum"])


@pytest.fixture(params=["numpy", "kernel"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways rows are computed, whatever their number."""
    if request.param == "kernel":
        pytest.importorskip("numba")
    monkeypatch.setattr(rows, "KERNEL_FROM", 1 if request.param == "kernel" else 2**62)


def close(found: Any, true: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found, true, rtol=rtol, atol=rtol * np.abs(true).max())


def unfused(y: Any, settings: dict[str, Any], weight: Any, reduction: str) -> tuple[Any, tuple[Any, Any, Any]]:
    """Value and gradients by way of all logits."""
    loss, logits = lm.CategoricalCrossEntropy(ignore_index=-100, **settings), X @ W.T + BIAS
    pull = loss.gradient(y, logits) * (np.ones(N) if weight is None else weight)[:, None]
    if reduction == "mean":
        coefficients = (1 - loss.label_smoothing) * np.eye(K)[np.where(y < 0, 0, y)] + loss.label_smoothing / K
        coefficients = coefficients * (np.ones(K) if loss.class_weights is None else loss.class_weights)
        counts = (y != -100) * (np.ones(N) if weight is None else weight)
        pull /= (coefficients.sum(1) * counts).sum()
    return loss(y, logits, weight, reduction), (pull @ W, pull.T @ X, pull.sum(0))


@settings
@reductions
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
def test_agrees_with_the_loss_on_all_logits(settings, reduction, weight):
    loss = lm.LinearCrossEntropy(ignore_index=-100, **settings)
    value, gradients = loss.value_and_gradient(SOME_IGNORED, X, W, BIAS, weight, reduction, chunk_size=8)
    true_value, true_gradients = unfused(SOME_IGNORED, settings, weight, reduction)
    close(value, true_value)
    close(loss(SOME_IGNORED, X, W, BIAS, weight, reduction), true_value)
    for found, true in zip(gradients, true_gradients, strict=True):
        close(found, true)


@settings
def test_values_of_single_samples(settings):
    found = lm.LinearCrossEntropy(ignore_index=-100, **settings)(SOME_IGNORED, X, W, BIAS, WEIGHT, "none", chunk_size=7)
    loss = lm.CategoricalCrossEntropy(ignore_index=-100, **settings)
    close(found, loss(SOME_IGNORED, X @ W.T + BIAS, WEIGHT, "none"))


def test_the_comparison_sees_a_small_error():
    """Negative control: a gradient that is off by 1e-9, and one that forgot its weights, are told apart."""
    _, (_, by_w, _) = lm.LinearCrossEntropy(ignore_index=-100).value_and_gradient(SOME_IGNORED, X, W, BIAS, WEIGHT)
    true = unfused(SOME_IGNORED, {}, WEIGHT, "mean")[1][1]
    close(by_w, true)
    with pytest.raises(AssertionError):
        close(by_w * (1 + 1e-9), true)
    with pytest.raises(AssertionError):
        close(by_w, unfused(SOME_IGNORED, {}, None, "mean")[1][1])


@pytest.mark.parametrize(
    "settings", [{"z_loss": 0.1}, {"softcap": 1.5}, {"z_loss": 0.1, "softcap": 2.0, **SETTINGS[3]}]
)
def test_gradients_are_slopes_of_the_value(settings):
    loss, step = lm.LinearCrossEntropy(ignore_index=-100, **settings), 1e-5
    arrays = {"X": X, "W": W, "bias": BIAS}
    _, gradients = loss.value_and_gradient(SOME_IGNORED, **arrays, sample_weight=WEIGHT, chunk_size=8)
    for (name, array), gradient in zip(arrays.items(), gradients, strict=True):
        way = RNG.standard_normal(array.shape)
        ends = [
            loss(SOME_IGNORED, **{**arrays, name: array + side * step * way}, sample_weight=WEIGHT) for side in (1, -1)
        ]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((way * gradient).sum(), rel=1e-7)


def test_z_loss_and_softcap_by_definition():
    logits = 3 * np.tanh((X @ W.T) / 3)
    lse = np.log(np.exp(logits).sum(1))
    found = lm.LinearCrossEntropy(z_loss=0.25, softcap=3.0)(LABELS, X, W, reduction="none")
    close(found, lse - logits[np.arange(N), LABELS] + 0.25 * lse**2)


@pytest.mark.parametrize("chunk_size", [1, 7, N, 1000, None])
@pytest.mark.parametrize("settings", [{}, {"softcap": 2.0, "z_loss": 0.1}], ids=["plain", "capped"])
def test_the_size_of_a_chunk_changes_nothing(chunk_size, settings):
    loss = lm.LinearCrossEntropy(ignore_index=-100, **settings)
    value, gradients = loss.value_and_gradient(SOME_IGNORED, X, W, BIAS, WEIGHT, chunk_size=chunk_size)
    true_value, true_gradients = loss.value_and_gradient(SOME_IGNORED, X, W, BIAS, WEIGHT, chunk_size=5)
    close(value, true_value)
    for found, true in zip(gradients, true_gradients, strict=True):
        close(found, true)


@reductions
def test_all_ignored_costs_nothing(reduction):
    loss = lm.LinearCrossEntropy(ignore_index=0)
    value, gradients = loss.value_and_gradient(np.zeros(N, int), np.full_like(X, np.nan), W, BIAS, None, reduction)
    assert value == 0
    assert all((g == 0).all() and g.shape == a.shape for g, a in zip(gradients, (X, W, BIAS), strict=True))


def test_rows_that_do_not_count_may_hold_anything():
    loss, gone = lm.LinearCrossEntropy(ignore_index=-100), (SOME_IGNORED == -100) | (WEIGHT == 0)
    spoilt, labels = np.where(gone[:, None], np.nan, X), np.where(WEIGHT == 0, 10**6, SOME_IGNORED)
    value, (by_x, by_w, _) = loss.value_and_gradient(labels, spoilt, W, None, WEIGHT)
    true_value, (true_x, true_w, _) = loss.value_and_gradient(SOME_IGNORED[~gone], X[~gone], W, None, WEIGHT[~gone])
    close(value, true_value)
    close(by_x[~gone], true_x)
    close(by_w, true_w)
    assert (by_x[gone] == 0).all()


def test_a_whole_weight_is_repetition():
    loss, times = lm.LinearCrossEntropy(label_smoothing=0.1, z_loss=0.01), RNG.integers(0, 4, N)
    value, (_, by_w, _) = loss.value_and_gradient(LABELS, X, W, None, times)
    again = np.repeat(np.arange(N), times)
    true_value, (_, true_w, _) = loss.value_and_gradient(LABELS[again], X[again], W)
    close(value, true_value)
    close(by_w, true_w)


def test_only_what_is_needed_is_multiplied(monkeypatch: pytest.MonkeyPatch):
    """Three products for value and gradients, one for the value, and none for rows that do not count."""
    done: list[int] = []

    def counted(self: Any, a: Any, b: Any, out: Any, **more: Any) -> None:
        done.append(2 * out.size * a.shape[1])
        linear_blas.multiply(a, b, out, **more)

    monkeypatch.setattr(NumpyBackend, "multiply", counted)
    kept = int((SOME_IGNORED != -100).sum())
    loss = lm.LinearCrossEntropy(ignore_index=-100)
    loss(SOME_IGNORED, X, W, chunk_size=8)
    assert sum(done) == 2 * kept * D * K
    loss.value_and_gradient(SOME_IGNORED, X, W, chunk_size=8)
    assert sum(done) == 2 * kept * D * K * 4


def layouts() -> dict[str, tuple[Any, Any]]:
    rows_x, both_x = np.zeros((2 * N, 3 * D))[::2, :D], np.zeros((2 * N, 3 * D))[::2, ::3]
    rows_w, both_w = np.zeros((2 * K, 3 * D))[::2, :D], np.zeros((2 * K, 3 * D))[::2, ::3]
    for view, array in ((rows_x, X), (both_x, X), (rows_w, W), (both_w, W)):
        view[...] = array
    frozen_x, frozen_w = X.copy(), W.copy()
    frozen_x.flags.writeable = frozen_w.flags.writeable = False
    return {
        "columns contiguous": (np.asfortranarray(X), np.asfortranarray(W)),
        "steps between rows": (rows_x, rows_w),
        "both": (both_x, both_w),
        "backwards": (X[::-1].copy()[::-1], W[::-1].copy()[::-1]),
        "read-only": (frozen_x, frozen_w),
        "big-endian": (X.astype(">f8"), W.astype(">f8")),
        "lists": (X.tolist(), W.tolist()),
    }


@pytest.mark.parametrize("name", layouts())
def test_any_layout(name):
    x, w = layouts()[name]
    loss = lm.LinearCrossEntropy(ignore_index=-100)
    true_value, true_gradients = loss.value_and_gradient(SOME_IGNORED, X, W, BIAS)
    value, gradients = loss.value_and_gradient(SOME_IGNORED, x, w, BIAS)
    close(value, true_value)
    for found, true in zip(gradients, true_gradients, strict=True):
        close(found, true)


def test_more_axes():
    y, x, weight = SOME_IGNORED.reshape(5, 6), X.reshape(5, 6, D), WEIGHT.reshape(5, 6)
    loss = lm.LinearCrossEntropy(ignore_index=-100)
    value, (by_x, by_w, _) = loss.value_and_gradient(y, x, W, None, weight)
    true_value, (true_x, true_w, _) = loss.value_and_gradient(SOME_IGNORED, X, W, None, WEIGHT)
    assert value == true_value
    np.testing.assert_array_equal(by_x.reshape(N, D), true_x)
    np.testing.assert_array_equal(by_w, true_w)
    assert loss(y, x, W, reduction="none").shape == (5, 6)


@settings
def test_float32(settings):
    """Values and gradients keep the dtype and are as good as float32 products are."""
    loss = lm.LinearCrossEntropy(ignore_index=-100, **settings)
    narrow = [a.astype(np.float32) for a in (X, W, BIAS)]
    value, gradients = loss.value_and_gradient(SOME_IGNORED, *narrow, WEIGHT)
    true_value, true_gradients = loss.value_and_gradient(SOME_IGNORED, *(a.astype(float) for a in narrow), WEIGHT)
    assert value.dtype == np.float32
    close(value, true_value, 1e-6)
    for found, true in zip(gradients, true_gradients, strict=True):
        assert found.dtype == np.float32
        close(found, true, 2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_confident_rows_keep_their_digits(dtype):
    """At a margin of 40 the value is 3 e^-40; formed as log(sum) - z it would be 0."""
    w = np.array([[40.0], [0.0], [0.0], [0.0]], dtype)
    value, (by_x, _, _) = lm.LinearCrossEntropy().value_and_gradient([0], np.ones((1, 1), dtype), w)
    assert float(value) == pytest.approx(3 * np.exp(-40.0), rel=1e-6)
    assert float(by_x[0, 0]) == pytest.approx(-120 * np.exp(-40.0), rel=1e-6)


def test_scores_far_apart_do_not_overflow():
    w = np.array([[2000.0], [0.0], [-2000.0]])
    value, gradients = lm.LinearCrossEntropy().value_and_gradient([2], np.ones((1, 1)), w)
    assert value == 4000
    np.testing.assert_array_equal(gradients[1], [[1.0], [0.0], [-1.0]])


BAD: list[tuple[str, type[Exception], dict[str, Any]]] = [
    (r"X has shape \(30, 6\) and W has shape \(11, 5\)", ValueError, {"W": W[:, :5]}),
    (r"W has shape \(11,\)", ValueError, {"W": W[:, 0]}),
    (r"bias has shape \(10,\) and W has shape \(11, 6\)", ValueError, {"bias": BIAS[1:]}),
    (r"y_true has shape \(29,\) and X has shape \(30, 6\)", ValueError, {"y_true": LABELS[1:]}),
    (r"y_true holds the label 11; accepted are whole numbers 0 ... 10", ValueError, {"y_true": np.full(N, K)}),
    (r"y_true holds the label -100;", ValueError, {"y_true": SOME_IGNORED}),
    (r"y_true holds the label 0.5;", ValueError, {"y_true": np.full(N, 0.5)}),
    (r"X has dtype float64 and W has dtype float32; give one dtype", TypeError, {"W": W.astype(np.float32)}),
    (r"X has dtype float16; give float32 or float64", TypeError, {"X": X.astype(np.float16)}),
    (r"X is None", TypeError, {"X": None}),
    (r"y_true has dtype <U1", TypeError, {"y_true": ["a"] * N}),
    (r"sample_weight has shape \(29,\)", ValueError, {"sample_weight": WEIGHT[1:]}),
    (r"sample_weight holds negative", ValueError, {"sample_weight": -np.ones(N)}),
    (r"chunk_size=0 is not accepted; give a whole number >= 1", ValueError, {"chunk_size": 0}),
    (r"reduction='median' is not accepted", ValueError, {"reduction": "median"}),
    (r"X is empty", ValueError, {"X": X[:0], "y_true": LABELS[:0]}),
]


@pytest.mark.parametrize(("message", "error", "change"), BAD, ids=[message[:30] for message, _, _ in BAD])
def test_refusals_are_one_line(message, error, change):
    inputs = {"y_true": LABELS, "X": X, "W": W, **change}
    for call in (lm.LinearCrossEntropy(), lm.LinearCrossEntropy().value_and_gradient):
        with pytest.raises(error, match=message) as caught:
            call(**inputs)
        assert "\n" not in str(caught.value)


def test_refusals_of_settings():
    with pytest.raises(ValueError, match="10 class weights were given and W has 11 rows"):
        lm.LinearCrossEntropy(class_weights=CLASS_WEIGHTS[1:])(LABELS, X, W)
    with pytest.raises(ValueError, match=r"label_smoothing=1\.0 is not accepted"):
        lm.LinearCrossEntropy(label_smoothing=1.0)
    with pytest.raises(ValueError, match=r"softcap=0\.0 is not accepted"):
        lm.LinearCrossEntropy(softcap=0.0)
    with pytest.raises(ValueError, match="share W, so gradients need reduction='mean' or 'sum'"):
        lm.LinearCrossEntropy().value_and_gradient(LABELS, X, W, reduction="none")


def test_inputs_are_left_alone():
    copies = [a.copy() for a in (SOME_IGNORED, X, W, BIAS, WEIGHT)]
    lm.LinearCrossEntropy(ignore_index=-100, softcap=2.0).value_and_gradient(SOME_IGNORED, X, W, BIAS, WEIGHT)
    for array, copy in zip((SOME_IGNORED, X, W, BIAS, WEIGHT), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_it_is_a_value():
    loss = lm.LinearCrossEntropy(label_smoothing=0.1, class_weights=[1, 2])
    assert loss == lm.LinearCrossEntropy(**loss.to_config())
    assert hash(loss) != hash(lm.LinearCrossEntropy())


# --- the products ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("plain", [True, False], ids=["blas", "without blas"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (1, 1, 1), (9000, 2, 4)], ids=str)
def test_products(shape, plain, dtype, monkeypatch):
    if not plain:
        monkeypatch.setattr(linear_blas, "_gemm", lambda char: None)
    m, k, n = shape
    room = RNG.standard_normal((3, 9000, 9)).astype(dtype)
    for a in (room[0, :m, :k], room[0, :k, :m].T if m <= 9 else room[0, :m, :k], np.asfortranarray(room[0, :m, :k])):
        for b in (room[1, :k, :n], room[1, :n, :k].T, room[1, :k, ::2][:, :n]):
            out = room[2, :m, :n].copy()
            true = out + 0.5 * (a.astype(float) @ b.astype(float))
            linear_blas.multiply(a, b, out, add=True, factor=0.5)
            close(out, true, 1e-12 if dtype is np.float64 else 1e-5)
            linear_blas.multiply(a, b, out)
            close(out, a.astype(float) @ b.astype(float), 1e-12 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize("shape", [(300, 200, 2000), (2000, 200, 300)], ids=str)
def test_large_products_are_shared_among_threads(shape, monkeypatch):
    from threadpoolctl import threadpool_info

    shares: list[tuple[int, int]] = []

    def all_parts(count: int, work: Any, least: int) -> None:
        shares.extend((start, min(start + count // 3, count)) for start in range(0, count, count // 3))
        for part in shares:
            work(*part)

    monkeypatch.setattr(linear_blas.pool, "share", all_parts)
    monkeypatch.setattr(linear_blas.pool, "threads", lambda: 3)
    (m, k, n), before = shape, [library["num_threads"] for library in threadpool_info()]
    a, b, out = RNG.standard_normal((m, k)), RNG.standard_normal((n, k)).T, np.empty((m, n))
    linear_blas.multiply(a, b, out)
    close(out, a @ b)
    assert len(shares) >= 3
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_blas_gets_its_threads_back_from_the_last_user():
    from threadpoolctl import threadpool_info

    def counts() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    held, before = linear_blas.one_thread(), counts()
    with held:
        with held:
            assert counts() == {1}
        assert counts() == {1}
    assert counts() == before


def test_blas_is_found():
    assert linear_blas._gemm("f") is not None
    assert linear_blas._gemm("d") is not None


@pytest.mark.parametrize("n", [1, 10, 1000, 4096, 100_000])
@pytest.mark.parametrize("k", [2, 1000, 32_000, 10**6])
@pytest.mark.parametrize("twice", [True, False])
def test_chunks_are_small(n, k, twice):
    room = NumpyBackend().room(np.empty(0, np.float32))
    rows_ = chunk_rows(n, k, room, twice)
    assert 1 <= rows_ <= n
    taken = rows_ * k * 4 * (1 + twice)
    assert taken <= max(0.04 * n * k * 4, 2**24, k * 8)
