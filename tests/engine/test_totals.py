"""What a kernel adds up and checks on the way: sums, weights, domains, and formulas for labels only."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import ELEMENTWISE, ElementwiseCase
from lossmith.engine import fused

pytest.importorskip("numba")
every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
LABELLED = [case for case in ELEMENTWISE if case.loss._label_form is not None]


def _both_ways(monkeypatch: pytest.MonkeyPatch, call: Any) -> tuple[Any, Any]:
    """Return what NumPy says and what kernels say."""
    monkeypatch.setattr(fused, "KERNEL_FROM", 2**62)
    plain = call()
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    return plain, call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_sums_in_the_kernel_are_those_of_numpy(
    case: ElementwiseCase, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, f = case.sample(500, dtype=dtype)
    weight = np.random.default_rng(1).integers(0, 3, 500).astype(dtype)
    f[weight == 0] = np.nan
    for kept, w in ((weight != 0, None), (slice(None), weight)):
        for reduction in ("mean", "sum"):
            want, got = _both_ways(monkeypatch, lambda k=kept, w=w, r=reduction: case.loss(y[k], f[k], w, r))
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps)


def test_the_comparison_sees_a_lost_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    y, f = np.zeros(500), np.ones(500)
    want, got = _both_ways(monkeypatch, lambda: lm.MeanSquaredError()(y, f, reduction="sum"))
    assert got == want
    assert abs((got - 1.0) - want) > 8 * np.finfo(float).eps * want


def test_sums_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y, f, w = rng.random(400_003), rng.normal(0, 5, 400_003), rng.random(400_003)
    loss = lm.BinaryCrossEntropy()
    threaded = loss(y, f, w)
    monkeypatch.setattr("lossmith.engine.pool.threads", lambda: 1)
    assert loss(y, f, w) == threaded


@every
def test_the_gradient_comes_with_the_sum(case: ElementwiseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    y, f = case.sample(300)
    w = np.random.default_rng(2).integers(0, 3, 300).astype(float)
    slope = np.empty_like(f)
    total, mass = case.loss._sum(y, f, w, (slope, 0.5))
    np.testing.assert_allclose(total, case.loss(y, f, w, "sum"), rtol=1e-14)
    assert mass == w.sum()
    np.testing.assert_allclose(slope, 0.5 * w * case.loss.gradient(y, f), rtol=1e-14, atol=1e-300)


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.5, -0.5])
def test_a_target_outside_is_named_as_numpy_names_it(
    bad: float, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, f = np.zeros(1000), np.zeros(1000)
    y[777] = bad
    w = np.ones(1000) if weighted else None

    def message() -> str:
        with pytest.raises(ValueError, match="y_true holds") as caught:
            lm.BinaryCrossEntropy()(y, f, w)
        return str(caught.value)

    plain, compiled = _both_ways(monkeypatch, message)
    assert plain == compiled
    assert "777" in plain
    for method in ("gradient", "hessian", "value_and_gradient", "value_gradient_hessian"):
        with pytest.raises(ValueError, match="777"):
            getattr(lm.BinaryCrossEntropy(), method)(y, f)


@pytest.mark.parametrize("bad", [0.0, 0.5, 2.0, np.nan])
def test_codes_between_the_two_are_refused(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    y = np.array([-1.0, 1.0, bad, 1.0])
    with pytest.raises(ValueError, match=r"labels -1 or 1"):
        lm.Hinge()(y, np.zeros(4))


@pytest.mark.parametrize("bad", [1.5, -1e-9, np.inf])
def test_a_prediction_outside_is_refused_and_nan_is_not(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    loss = lm.BinaryCrossEntropy(inputs="probabilities")
    with pytest.raises(ValueError, match="y_pred holds"):
        loss([0.0, 1.0], [0.5, bad])
    assert np.isnan(loss([0.0, 1.0], [0.5, np.nan]))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    for reduction in ("mean", "sum", "none"):
        with pytest.raises(ValueError, match="sample_weight holds negative, infinite or NaN"):
            lm.Huber()([0.0, 1.0], [0.5, 1.0], [1.0, bad], reduction)


# --- labels only ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LABELLED, ids=lambda case: case.id)
def test_formulas_for_labels_are_the_general_ones(case: ElementwiseCase) -> None:
    y, f = case.points(np.float64)
    labels = (y == 0) | (y == 1)
    assert labels.any()
    for order in ("value", "slope", "curvature"):
        quick, general = (
            fused.evaluate((getattr(form, order),), y[labels], f[labels], case.loss.parameters)[0]
            for form in (case.loss._label_form, case.loss.form)
        )
        np.testing.assert_array_equal(quick, general)


def test_soft_labels_get_the_general_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """One soft label among hard ones must not be read as a hard one, on either path."""
    y, f = np.r_[np.zeros(200), 0.3], np.linspace(-3, 3, 201)
    loss = lm.BinaryFocal(gamma=2.0, alpha=0.3)
    want = float(0.3 * loss([1.0], f[-1:], reduction="sum") + 0.7 * loss([0.0], f[-1:], reduction="sum"))
    for got in _both_ways(monkeypatch, lambda: loss(y, f, reduction="none")):
        np.testing.assert_allclose(got[-1], want, rtol=1e-14)
    assert abs(want - float(loss([0.0], f[-1:]))) > 0.01


# --- kernels for small arrays --------------------------------------------------------------------------


@every
def test_compiled_losses_run_kernels_on_small_arrays(case: ElementwiseCase) -> None:
    y, f = case.sample(20)
    loss, weight = case.loss.compiled(), np.arange(20.0) % 3
    assert loss == case.loss
    assert hash(loss) == hash(case.loss)
    scale = float(np.abs(case.loss(y, f, reduction="none")).max())
    np.testing.assert_allclose(loss(y, f, weight), case.loss(y, f, weight), rtol=2e-15, atol=2e-15 * scale)
    for got, want in zip(loss.value_gradient_hessian(y, f), case.loss.value_gradient_hessian(y, f), strict=True):
        np.testing.assert_allclose(got, want, rtol=4e-15, atol=1e-15 * np.abs(want).max())


def test_compiled_losses_call_no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.Huber(delta=1.5).compiled()
    monkeypatch.setattr(fused, "plain", None)
    assert loss([0.0], [1.0]) == 0.5
    with pytest.raises(TypeError):
        lm.Huber(delta=1.5)([0.0], [1.0])
    assert pickle.loads(pickle.dumps(loss))([0.0], [1.0]) == 0.5


def test_soft_labels_may_be_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient takes the place of the predictions, although the formulas for labels were to be tried first."""
    monkeypatch.setattr(fused, "KERNEL_FROM", 1)
    y, f, loss = np.r_[np.zeros(200), 0.3], np.linspace(-3, 3, 201), lm.BinaryFocal(gamma=2.0)
    want = loss.value_and_gradient(y, f)
    got = loss.value_and_gradient(y, f, out=(np.empty_like(f), f))
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)
