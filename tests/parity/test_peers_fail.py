"""Inputs at which well-known libraries are measurably wrong: here the answer is right.

The names in brackets are the cases of the project's survey of peers; the exact values come from mpmath.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm

LIMITS = {"float16": (11.0, 12.0, 60.0), "float32": (88.0, 89.0, 500.0), "float64": (710.0, 711.0, 1e4)}


def _exact(formula: Any) -> float:
    with mp.workdps(60):
        return float(formula())


def _bits(got: Any, exact: float) -> None:
    """Correct to a few units in the last place of the result's dtype."""
    got = np.asarray(got)
    spacing = float(np.spacing(np.abs(got.dtype.type(exact))))
    assert abs(float(got) - exact) <= (4 if got.dtype == np.float64 else 1) * spacing, (float(got), exact)


@pytest.mark.parametrize("dtype", LIMITS)
def test_the_most_wrong_sample_keeps_its_gradient(dtype: str) -> None:
    """[T01-T04] log(1 + e^-margin) overflows to inf with a NaN gradient in torch's soft_margin_loss."""
    for margin in LIMITS[dtype]:
        f = np.array([-margin], dtype)
        value, gradient, hessian = lm.BinaryCrossEntropy().value_gradient_hessian(np.ones(1, dtype), f)
        assert value[0] == f.dtype.type(_exact(lambda m=margin: mp.log(1 + mp.exp(mpf(m)))))
        assert gradient[0] == f.dtype.type(-1.0 / (1.0 + np.exp(-margin)))
        assert np.isfinite(hessian[0])


@pytest.mark.parametrize(("dtype", "f"), [("float32", 20.0), ("float32", 17.0), ("float64", 40.0), ("float64", 37.0)])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_confident_and_right_has_a_loss(dtype: str, f: float, label: float) -> None:
    """[T05-T09, S01, S02] torch (label 0) and scikit-learn (label 1) cancel to 0; so do gradient and Hessian."""
    sign = 1.0 if label else -1.0
    y, score = np.array([label], dtype), np.array([sign * f], dtype)
    value, gradient, hessian = lm.BinaryCrossEntropy().value_gradient_hessian(y, score)
    _bits(value[0], _exact(lambda: mp.log(1 + mp.exp(-mpf(f)))))
    _bits(gradient[0], -sign * _exact(lambda: 1 / (1 + mp.exp(mpf(f)))))
    _bits(hessian[0], _exact(lambda: mp.exp(-mpf(f)) / (1 + mp.exp(-mpf(f))) ** 2))


def test_the_gradient_of_cross_entropy_sums_to_zero() -> None:
    """[T11-T14] Beyond a margin of 17 torch gives the target 0 and the other classes 4e-8."""
    for margin in (5.0, 17.0, 18.0, 25.0, 60.0):
        z = np.array([[margin, 0.0, 0.0]], np.float32)
        value, gradient = lm.CategoricalCrossEntropy().value_and_gradient([0], z)
        _bits(value[0], _exact(lambda m=margin: mp.log(1 + 2 * mp.exp(-mpf(m)))))
        assert gradient[0, 0] < 0
        assert gradient[0, 0] == pytest.approx(-2 * gradient[0, 1], rel=1e-6)


@pytest.mark.parametrize("z", [[10.0, 0.0], [1e4 + 8, 1e4]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integer_labels_lose_nothing(z: list[float], dtype: str) -> None:
    """[O05, O06] optax is 0.8 % off at [10, 0], and gives 0 under an offset of 1e4."""
    value = lm.CategoricalCrossEntropy()(np.array([0]), np.array([z], dtype), reduction="none")
    _bits(value[0], _exact(lambda: mp.log(1 + mp.exp(-(mpf(z[0]) - mpf(z[1]))))))


def test_a_masked_class_with_no_target_costs_nothing() -> None:
    """[T15, O04] A logit of -inf against a target of 0 gives NaN in torch and optax."""
    z = np.array([[1.0, 0.5, -np.inf]])
    want = float(np.log1p(np.exp(-0.5)))
    for target in ([0], [[1.0, 0.0, 0.0]]):
        value, gradient, hessian = lm.CategoricalCrossEntropy().value_gradient_hessian(target, z)
        assert value[0] == pytest.approx(want, rel=1e-15)
        assert gradient[0, 2] == 0
        assert not np.isnan(hessian).any()
    smoothed = lm.CategoricalCrossEntropy()([[0.7, 0.3, 0.0]], z)
    assert np.isfinite(smoothed)


def test_divergence_with_empty_classes() -> None:
    """[T20, T21, O07] P = 0 costs nothing even where Q = 0; P > 0 where Q = 0 costs infinity, not NaN."""
    for loss, empty in ((lm.KLDivergence("log_probabilities"), -np.inf), (lm.KLDivergence("probabilities"), 0.0)):
        half = np.log(0.5) if empty else 0.5
        q = np.array([[half, half, empty]])
        value, gradient = loss.value_and_gradient([[0.5, 0.5, 0.0]], q)
        assert value[0] == pytest.approx(0, abs=1e-16)
        assert not np.isnan(gradient).any()
        assert loss([[0.5, 0.25, 0.25]], q) == np.inf


def test_a_wrong_probability_keeps_its_logit() -> None:
    """[T17, T18, X01] At logit 17 torch's BCE of the sigmoid is 100 with gradient 0, XGBoost's 36.8."""
    value, gradient, _ = lm.BinaryCrossEntropy().value_gradient_hessian(np.zeros(1, "f4"), np.array([17.0], "f4"))
    _bits(value[0], _exact(lambda: mp.log(1 + mp.exp(mpf(17)))))
    _bits(gradient[0], _exact(lambda: 1 / (1 + mp.exp(mpf(-17)))))
    assert lm.BinaryCrossEntropy("probabilities")([0.0], [1.0]) == np.inf
    assert lm.BinaryCrossEntropy("probabilities")([1.0], [1.0]) == 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_half_precision_probabilities_are_not_clipped_into_nan(dtype: str) -> None:
    """[K06, K13] 1 - 1e-7 is 1 in half precision, and Keras' clip then gives NaN or -inf."""
    y, p = np.array([0, 1, 0, 1], dtype), np.array([0, 1, 1, 0], dtype)
    value = lm.BinaryCrossEntropy("probabilities")(y, p, reduction="none")
    np.testing.assert_array_equal(value, [0, 0, np.inf, np.inf])


def test_focal_from_logits() -> None:
    """[K01-K03] Keras' answer depends on its backend, and CategoricalFocal's gradient is 0 where it is wrong."""
    value, gradient, _ = lm.BinaryFocal(gamma=2.0).value_gradient_hessian([0.0], [20.0])
    _bits(value[0], _exact(lambda: (1 / (1 + mp.exp(mpf(-20)))) ** 2 * mp.log(1 + mp.exp(mpf(20)))))
    assert gradient[0] == pytest.approx(1.0, rel=1e-6)
    loss = lm.CategoricalFocal(gamma=2.0)
    assert 0.25 * loss.gradient([1], [[20.0, 0.0]])[0, 1] == pytest.approx(-0.25, rel=1e-6)
    assert 0.25 * loss([1], [[20.0, 0.0]]) == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.99])
def test_focal_below_one_has_a_gradient_at_certainty(gamma: float) -> None:
    """[V01, V07, V10, V11, V16, V17, M20] (1 - p)^(gamma - 1) is infinite at p = 1: NaN in six libraries."""
    for f in (40.0, 800.0, np.inf):
        value, gradient, hessian = lm.BinaryFocal(gamma=gamma).value_gradient_hessian([1.0], [f])
        assert value[0] == pytest.approx(np.exp(-f * (1 + gamma)), rel=1e-10)
        assert gradient[0] == pytest.approx(-(1 + gamma) * np.exp(-f * (1 + gamma)), rel=1e-10)
        assert not np.isnan(hessian[0])
    gradient = lm.BinaryFocal("probabilities", gamma=gamma).gradient([1.0, 0.0], [1.0, 0.0])
    np.testing.assert_array_equal(gradient, [0, 0])
    rows = lm.CategoricalFocal(gamma=gamma).gradient([0], [[1000.0, 0.0]])
    np.testing.assert_array_equal(rows, [[0, 0]])


LOG_COSH = (1e-30, 1e-10, 1e-4, 3e-4, 0.01, 0.3466, 1.0, 20.0, 45.0, 89.0, 400.0, 711.0, 1e4, 1e30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("r", LOG_COSH)
def test_log_cosh_at_both_ends(r: float, dtype: str) -> None:
    """[O01-O03, K09-K11, M02-M05, C01] No library surveyed is right at both ends: 0, negative, 7 % off or inf."""
    f = np.array([r], dtype)
    value, gradient, _ = lm.LogCosh().value_gradient_hessian(np.zeros(1, dtype), f)

    def exact() -> Any:
        x = mpf(float(f[0]))
        with mp.workdps(150):
            return x - mp.log(2) + mp.log(1 + mp.exp(-2 * x))

    _bits(value[0], _exact(exact))
    _bits(gradient[0], _exact(lambda: mp.tanh(mpf(float(f[0])))))


def test_float64_stays_float64() -> None:
    """[K17] Keras' loss classes cast to float32 in silence."""
    assert lm.MeanSquaredError()(np.zeros(1), np.array([1e-30])) == pytest.approx(1e-60, rel=1e-15)
    assert np.asarray(lm.MeanSquaredError()(np.zeros(1), np.array([1e-30]))).dtype == np.float64


def test_keras_hinge_codes_are_not_guessed() -> None:
    """Keras recodes 0/1 only if the whole batch is 0/1: labels [0] cost 0.0 at f = -2 and [0, -1] cost 0.5."""
    with pytest.raises(ValueError, match="labels -1 or 1"):
        lm.Hinge()([0.0], [-2.0])
    assert lm.Hinge()([-1.0], [-2.0]) == 0


def test_newton_leaf_of_a_far_sample() -> None:
    """[X13] gradient / Hessian at a margin of 20 and label 0 is 4.9e8; XGBoost's floor makes it 1e16."""
    loss = lm.BinaryCrossEntropy()
    step = loss.gradient([0.0], [20.0]) / loss.hessian([0.0], [20.0])
    assert step[0] == pytest.approx(float(1 + np.exp(20.0)), rel=1e-12)
