"""Sums of losses are sums: values, derivatives, weights and errors come from the parts."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from catalogue import draw_labels, draw_real

RNG = np.random.default_rng(3)
Y, F = draw_real(RNG, 20)
PARTS = (lm.MeanSquaredError(), lm.Huber(delta=2.0), lm.Quantile(q=0.9))
WEIGHTS = (0.5, 2.0, 0.0)
TOTAL = lm.WeightedSum(PARTS, WEIGHTS)


def test_a_weighted_sum_is_the_sum() -> None:
    sample_weight = RNG.uniform(0, 1, 20)
    for reduction in ("mean", "sum", "none"):
        want = sum(w * part(Y, F, sample_weight, reduction) for w, part in zip(WEIGHTS, PARTS, strict=True))
        np.testing.assert_allclose(TOTAL(Y, F, sample_weight, reduction), want, rtol=1e-14)
    for method in ("gradient", "hessian"):
        want = sum(w * getattr(part, method)(Y, F) for w, part in zip(WEIGHTS, PARTS, strict=True))
        np.testing.assert_allclose(getattr(TOTAL, method)(Y, F), want, rtol=1e-14)
    value, gradient = TOTAL.value_and_gradient(Y, F)
    np.testing.assert_allclose(value, TOTAL(Y, F, reduction="none"), rtol=1e-14)
    np.testing.assert_array_equal(gradient, TOTAL.gradient(Y, F))


def test_the_gradient_is_that_of_the_value() -> None:
    step = 1e-6
    rise = TOTAL(Y, F + step, reduction="none") - TOTAL(Y, F - step, reduction="none")
    np.testing.assert_allclose(TOTAL.gradient(Y, F), rise / (2 * step), rtol=1e-5, atol=1e-6)


def test_rows_can_be_summed() -> None:
    y, z = draw_labels(RNG, 6)
    loss = lm.WeightedSum(("cce", lm.CategoricalFocal(gamma=1.0)), (1.0, 3.0))
    want = lm.CategoricalCrossEntropy()(y, z) + 3 * lm.CategoricalFocal(gamma=1.0)(y, z)
    assert float(loss(y, z)) == pytest.approx(float(want), rel=1e-14)
    assert loss.hessian(y, z).shape == (6, 3, 3)


@pytest.mark.parametrize(
    ("parts", "weights", "message"),
    [
        ((), None, "losses="),
        (("mse", "no such loss"), None, "losses="),
        (("mse", "mae"), (1.0,), "1 weights for 2 losses"),
        (("mse", "mae"), (1.0, -1.0), "weights="),
    ],
)
def test_sums_that_make_no_sense(parts: tuple[str, ...], weights: tuple[float, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.WeightedSum(parts, weights)


def test_parts_of_different_tiers_share_their_means_only() -> None:
    y, p = RNG.integers(0, 2, (4, 6)), RNG.uniform(0.05, 0.95, (4, 6))
    dice, bce = lm.Dice(), lm.BinaryCrossEntropy("probabilities")
    loss = lm.WeightedSum((dice, bce), (1.0, 0.5))
    assert float(loss(y, p)) == pytest.approx(float(dice(y, p)) + 0.5 * float(bce(y, p)), rel=1e-14)
    with pytest.raises(ValueError, match="no samples in common"):
        loss(y, p, reduction="none")
    step = np.zeros((4, 6))
    step[1, 2] = 1e-6
    rise = (loss(y, p + step) - loss(y, p - step)) / 2e-6
    assert loss.gradient(y, p)[1, 2] == pytest.approx(float(rise), rel=1e-6)


def test_tasks_have_their_own_targets_and_weights() -> None:
    loss = lm.MultiTask({"price": "mse", "sold": "bce"}, {"sold": 0.5})
    y = {"price": [1.0, 2.0], "sold": [1, 0]}
    f = {"price": [3.0, 2.0], "sold": [0.0, 1.0]}
    bce = lm.BinaryCrossEntropy()
    assert float(loss(y, f)) == pytest.approx(2.0 + 0.5 * float(bce(y["sold"], f["sold"])))
    unlabelled = {"price": [1.0, 2.0], "sold": [1, np.nan]}
    weighted = loss(unlabelled, f, {"sold": [1.0, 0.0]})
    assert float(weighted) == pytest.approx(2.0 + 0.5 * np.log(2))
    np.testing.assert_allclose(loss.gradient(y, f)["sold"], 0.5 * bce.gradient(y["sold"], f["sold"]))
    assert set(loss.each(y, f)) == {"price", "sold"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lm.MultiTask({}), "no tasks were given"),
        (lambda: lm.MultiTask({"a": "mse"}, {"b": 1.0}), "no task is called 'b'; tasks: a"),
        (lambda: lm.MultiTask({"a": "mse"}, {"a": -1.0}), "the weight of 'a' is -1"),
        (lambda: lm.MultiTask({"a": "mse"})({"b": [1]}, {"a": [1.0]}), "y_true has .*one entry for each of"),
        (lambda: lm.MultiTask({"a": "mse"})({"a": [1]}, {"a": [1.0]}, reduction="none"), "no meaning across tasks"),
    ],
)
def test_tasks_that_make_no_sense(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
