"""Shapes, dtypes, containers and buffers: what goes in, and in what form it comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import CASES, ELEMENTWISE, ROWS, Case

every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
per_sample = pytest.mark.parametrize("case", [*ELEMENTWISE, *ROWS], ids=lambda case: f"{case.id}-{case.draw.__name__}")
everything = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}-{case.draw.__name__}")


@every
def test_shapes_that_differ_are_named(case: Case) -> None:
    """(n,) against (n, 1) is the field's commonest silent bug."""
    y, f = case.sample(5)
    for method in (case.loss, case.loss.gradient, case.loss.hessian, case.loss.value_gradient_hessian):
        with pytest.raises(ValueError, match=r"\(5,\).*\(5, 1\).*broadcast=True"):
            method(y, f[:, None])
    with pytest.raises(ValueError, match=r"\(5,\).*\(4,\)"):
        case.loss(y, f[:4])


@every
def test_broadcast_only_when_asked(case: Case) -> None:
    y, f = case.sample(5)
    got = case.loss(y, f[:, None], reduction="none", broadcast=True)
    want = np.stack([case.loss(y, np.full(5, one), reduction="none") for one in f])
    np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match=r"\(5,\) and y_pred \(4,\) cannot be broadcast"):
        case.loss(y, f[:4], broadcast=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@per_sample
def test_dtype_is_kept(case: Case, dtype: Any) -> None:
    y, f = case.sample(6, dtype=dtype)
    if case.loss.name == "kl_divergence" or case.draw.__name__ == "draw_soft_rows":
        y = y.astype(float)  # half-precision rows do not sum to 1 within the contract's tolerance
    for reduction in ("mean", "sum", "none"):
        assert np.asarray(case.loss(y, f, reduction=reduction)).dtype == dtype, reduction
    assert {part.dtype for part in case.loss.value_gradient_hessian(y, f)} == {np.dtype(dtype)}


@everything
def test_lists_series_views_and_read_only_arrays_are_the_same(case: Case) -> None:
    pandas = pytest.importorskip("pandas")
    y, f = case.sample(6)
    want = case.loss(y, f)
    np.testing.assert_array_equal(case.loss(y.tolist(), f.tolist()), want)
    wide_f = np.repeat(f, 2, 0)[::2]
    locked = f.copy()
    locked.flags.writeable = False
    for variant in (wide_f, np.asfortranarray(f), locked, f.astype(">f8")):
        np.testing.assert_allclose(case.loss(y, variant), want, rtol=1e-15)
        np.testing.assert_allclose(case.loss.gradient(y, variant), case.loss.gradient(y, f), rtol=1e-15)
    if f.ndim == 1:
        series = [pandas.Series(a, index=range(10, 16)) for a in (y, f)]
        np.testing.assert_array_equal(case.loss(*series), want)
        np.testing.assert_array_equal(case.loss.gradient(*series), case.loss.gradient(y, f))
    elif y.ndim == 1:
        np.testing.assert_array_equal(case.loss(pandas.Series(y), f), want)


@everything
def test_inputs_are_not_changed(case: Case) -> None:
    y, f = case.sample(6)
    before = y.copy(), f.copy()
    case.loss(y, f, np.array([1.0, 0, 1, 0, 1, 1]) if case.loss.tier != "structured" else None)
    case.loss.value_and_gradient(y, f)
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(f, before[1])


@every
def test_zero_dimensional(case: Case) -> None:
    y, f = (float(a[0]) for a in case.sample(1))
    whole = case.loss([y], [f])
    assert case.loss(y, f) == whole
    assert case.loss(np.float64(y), np.array(f)) == whole
    assert np.shape(case.loss.gradient(y, f)) == ()
    assert case.loss.gradient(y, f) == case.loss.gradient([y], [f])[0]


@every
def test_many_dimensions_are_many_numbers(case: Case) -> None:
    y, f = case.sample(24)
    flat = case.loss.value_gradient_hessian(y, f)
    for order in ("C", "F"):
        shaped = case.loss.value_gradient_hessian(y.reshape(2, 3, 4, order=order), f.reshape(2, 3, 4, order=order))
        for one, other in zip(shaped, flat, strict=True):
            np.testing.assert_array_equal(one, other.reshape(2, 3, 4, order=order))


@pytest.mark.usefixtures("path")
@every
def test_out_is_filled_and_returned(case: Case) -> None:
    # Arrays of a few numbers may lie so close together that a kernel leaves its vectors alone, and rounds otherwise.
    y, f = case.sample(64)
    for method, count in ((case.loss.value_and_gradient, 2), (case.loss.value_gradient_hessian, 3)):
        want = method(y, f)
        out = tuple(np.full_like(f, np.nan) for _ in range(count))
        got = method(y, f, out=out)
        assert all(a is b for a, b in zip(got, out, strict=True))
        for one, other in zip(out, want, strict=True):
            np.testing.assert_array_equal(one, other)
        strided = tuple(np.full((64, 2), np.nan)[:, 0] for _ in range(count))
        method(y, f, out=strided)
        for one, other in zip(strided, want, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", ROWS, ids=lambda case: f"{case.id}-{case.draw.__name__}")
def test_out_of_rows(case: Case) -> None:
    y, f = case.sample(4)
    want = case.loss.value_gradient_hessian(y, f)
    out = tuple(np.full_like(part, np.nan) for part in want)
    got = case.loss.value_gradient_hessian(y, f, out=out)
    for filled, returned, expected in zip(out, got, want, strict=True):
        assert filled is returned
        np.testing.assert_array_equal(filled, expected)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([np.empty(3), np.empty(3)], TypeError, "tuple of 2 arrays"),
        ((np.empty(3),), TypeError, "tuple of 2 arrays"),
        ((np.empty(3), [0, 0, 0]), TypeError, "NumPy arrays"),
        ((np.empty(3), np.empty(4)), ValueError, r"shape \(4,\).*shape \(3,\)"),
        ((np.empty(3), np.empty(3, np.float32)), ValueError, "dtype float32.*dtype float64"),
    ],
)
def test_bad_out_is_refused(out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lm.Huber().value_and_gradient(np.zeros(3), np.ones(3), out=out)


def test_read_only_out_is_refused() -> None:
    out = (np.empty(3), np.empty(3))
    out[1].flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        lm.Huber().value_and_gradient(np.zeros(3), np.ones(3), out=out)


def test_float64_targets_are_not_rounded_to_float32_predictions() -> None:
    """Near a float32 prediction the residual keeps the target's digits."""
    y, f = np.array([1.0 + 1e-9]), np.array([1.0], np.float32)
    assert lm.MeanAbsoluteError()(y, f) == np.float32(y[0] - 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sums_do_not_overflow_on_the_way(dtype: Any) -> None:
    """70,000 ones in half precision have the mean 1, and sums lose nothing to the order of addition."""
    y, f = np.zeros(70_000, dtype), np.ones(70_000, dtype)
    assert lm.MeanSquaredError()(y, f) == 1
    assert lm.MeanSquaredError()(y, f, f) == 1
    assert lm.MeanSquaredError()(y, f, reduction="sum") == (np.inf if dtype == np.float16 else 70_000)
    tiny = np.r_[dtype(1000.0), np.full(20_000, 2e-5, dtype)]
    want = dtype(tiny.astype(float).mean())
    assert lm.MeanAbsoluteError()(np.zeros_like(tiny), tiny) == want


@everything
def test_masked_numbers_are_refused_wherever_they_stand(case: Case) -> None:
    """NumPy's masked arithmetic would mix the hidden numbers into the value."""
    y, f = case.sample(6)
    hidden = np.ma.masked_array(f, mask=np.arange(np.size(f)).reshape(np.shape(f)) == 1)
    with pytest.raises(ValueError, match="y_pred is a masked array with 1 hidden numbers"):
        case.loss(y, hidden)
    assert case.loss(y, np.ma.masked_array(f)) == case.loss(y, f)


@per_sample
def test_masked_targets_and_weights_are_refused(case: Case) -> None:
    y, f = case.sample(6)
    with pytest.raises(ValueError, match="y_true is a masked array"):
        case.loss(np.ma.masked_array(y, mask=np.arange(np.size(y)).reshape(np.shape(y)) == 1), f)
    with pytest.raises(ValueError, match="sample_weight is a masked array"):
        case.loss(y, f, np.ma.masked_array(np.ones(6), mask=np.arange(6) == 1))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@every
def test_a_square_matrix_is_read_as_an_array(case: Case) -> None:
    """The * of numpy.matrix is the product of matrices."""
    y, f = (part.reshape(3, 3) for part in case.sample(9))
    assert case.loss(np.asmatrix(y), np.asmatrix(f)) == case.loss(y, f)
    np.testing.assert_array_equal(case.loss.gradient(np.asmatrix(y), np.asmatrix(f)), case.loss.gradient(y, f))


def test_a_number_just_outside_is_told_from_the_bound() -> None:
    with pytest.raises(ValueError, match=r"y_pred holds 1\.0000001 at index 0"):
        lm.BinaryCrossEntropy(inputs="probabilities")([1.0], np.array([1.0 + 1e-7], np.float32))
