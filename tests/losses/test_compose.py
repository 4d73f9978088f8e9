"""Weighted sums add what their parts say, across tiers too; multi-task losses add the tasks' means."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 40).astype(float)
LOGITS = RNG.normal(size=40)
MASKS, MAPS = RNG.integers(0, 2, (5, 16)).astype(float), RNG.uniform(0.05, 0.95, (5, 16))
ROWS, CLASSES = RNG.normal(size=(6, 3)), RNG.integers(0, 3, 6)

SAME_TIER = [
    (lm.WeightedSum(("bce", "focal"), (2.0, 0.5)), LABELS, LOGITS),
    (lm.WeightedSum((lm.CategoricalCrossEntropy(), lm.CategoricalFocal())), CLASSES, ROWS),
]
MIXED = [
    (lm.WeightedSum((lm.Dice(), lm.BinaryCrossEntropy("probabilities")), (1.0, 0.5)), MASKS, MAPS),
    (lm.WeightedSum((lm.Dice(), lm.MeanSquaredError())), MASKS, MAPS),
]


def differences(loss: lm.WeightedSum, y: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Central differences of the mean."""
    result = np.empty_like(f)
    for place in np.ndindex(f.shape):
        step = np.zeros_like(f)
        step[place] = 1e-6
        result[place] = (loss(y, f + step) - loss(y, f - step)) / 2e-6
    return result


@pytest.mark.parametrize(("loss", "y", "f"), SAME_TIER + MIXED)
def test_the_sum_is_the_weighted_sum_of_its_parts(loss: lm.WeightedSum, y: np.ndarray, f: np.ndarray) -> None:
    weights = loss.weights or (1.0,) * len(loss.losses)
    for reduction in ("mean", "sum"):
        expected = sum(w * part(y, f, reduction=reduction) for w, part in zip(weights, loss.losses, strict=True))
        assert loss(y, f, reduction=reduction) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("loss", "y", "f"), MIXED)
def test_the_gradient_across_tiers_is_that_of_the_mean(loss: lm.WeightedSum, y: np.ndarray, f: np.ndarray) -> None:
    np.testing.assert_allclose(loss.gradient(y, f), differences(loss, y, f), atol=1e-7)
    value, gradient = loss.value_and_gradient(y, f)
    assert value == loss(y, f)
    np.testing.assert_array_equal(gradient, loss.gradient(y, f))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(1.01 * loss.gradient(y, f), differences(loss, y, f), atol=1e-7)


@pytest.mark.parametrize(("loss", "y", "f"), SAME_TIER)
def test_the_gradient_within_a_tier_is_per_sample(loss: lm.WeightedSum, y: np.ndarray, f: np.ndarray) -> None:
    np.testing.assert_allclose(loss.gradient(y, f) / len(f), differences(loss, y, f), atol=1e-8)
    assert loss(y, f, reduction="none").shape == (len(f),)


def test_no_common_samples_is_said() -> None:
    loss, y, f = MIXED[0]
    with pytest.raises(ValueError, match="no samples in common"):
        loss(y, f, reduction="none")


@pytest.mark.parametrize("parts", [("dice", "dice"), ("dice", "mse"), ("mse", "cce")])
def test_where_no_hessian_exists_it_is_said(parts: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="there is no Hessian"):
        lm.WeightedSum(parts).hessian(MASKS, MAPS)


def test_the_hessian_within_a_tier_is_the_weighted_sum() -> None:
    loss = lm.WeightedSum(("bce", "focal"), (2.0, 0.5))
    expected = 2.0 * lm.get("bce").hessian(LABELS, LOGITS) + 0.5 * lm.get("focal").hessian(LABELS, LOGITS)
    np.testing.assert_allclose(loss.hessian(LABELS, LOGITS), expected, rtol=1e-15)


@pytest.mark.parametrize("losses", [(), ("mse", 3), "mse2"])
def test_bad_parts_are_refused(losses: object) -> None:
    with pytest.raises(ValueError, match=r"WeightedSum|no loss"):
        lm.WeightedSum(losses)


def test_a_weight_for_each_part() -> None:
    with pytest.raises(ValueError, match="3 weights for 2 losses"):
        lm.WeightedSum(("mse", "mae"), (1.0, 2.0, 3.0))


def test_broadcast_and_sample_weights_reach_the_parts() -> None:
    loss = lm.WeightedSum(("mse", "mae"), (1.0, 0.5))
    y, f, w = np.zeros((2, 1)), np.ones((1, 3)), np.array([1.0, 0.0])
    assert loss(y, f, broadcast=True) == pytest.approx(1.5)
    assert loss(np.array([0.0, np.nan]), np.array([2.0, 1.0]), sample_weight=w) == pytest.approx(5.0)


def test_multi_task_adds_the_tasks() -> None:
    loss = lm.MultiTask({"a": "mse", "b": lm.BinaryCrossEntropy()}, {"b": 0.25})
    y, f = {"a": LOGITS, "b": LABELS}, {"a": LOGITS + 1.0, "b": LOGITS}
    assert loss(y, f) == pytest.approx(1.0 + 0.25 * lm.BinaryCrossEntropy()(LABELS, LOGITS))
    np.testing.assert_allclose(loss.gradient(y, f)["b"], 0.25 * lm.BinaryCrossEntropy().gradient(LABELS, LOGITS))
    missing = {"a": np.ones(40), "b": np.r_[np.ones(39), 0.0]}
    unlabelled = {"a": LOGITS, "b": np.r_[LABELS[:39], np.nan]}
    fewer = lm.BinaryCrossEntropy()(LABELS[:39], LOGITS[:39])
    assert loss.each(unlabelled, f, missing)["b"] == pytest.approx(fewer)


@pytest.mark.parametrize(("tasks", "weights"), [({}, {}), ({"a": "mse"}, {"b": 1.0}), ({"a": "mse"}, {"a": -1.0})])
def test_bad_tasks_are_refused(tasks: dict, weights: dict) -> None:
    with pytest.raises(ValueError, match="MultiTask"):
        lm.MultiTask(tasks, weights)
