"""Dice: empty masks, half precision, near-perfect overlap, saturated logits, the article's form."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

pytestmark = pytest.mark.usefixtures("way")

PARAMETERS = [{}, {"smooth": 1.0}, {"squared": True}, {"squared": True, "smooth": 1e-3}]


def test_two_overlapping_masks():
    assert lm.Dice()([[1, 1, 0]], [[1.0, 0.0, 0.0]]) == pytest.approx(1 - 2 / 3)


def test_the_articles_function():
    """It flattens the whole batch and smooths by 1."""
    rng = np.random.default_rng(0)
    y, p = (rng.random((2, 4, 4)) < 0.3) * 1.0, rng.random((2, 4, 4))
    article = 1 - (2 * (y * p).sum() + 1) / (y.sum() + p.sum() + 1)
    assert lm.Dice(smooth=1.0)(y.reshape(1, -1), p.reshape(1, -1)) == pytest.approx(article, rel=1e-14)


def test_a_sample_does_not_depend_on_its_batch():
    """A good mask beside an empty one: peers give .18, .55 or .07 for the pair."""
    y, p = np.array([[1.0, 1.0, 0.0, 0.0], [0.0] * 4]), np.array([[0.9, 0.8, 0.1, 0.0], [0.0] * 4])
    both = lm.Dice()(y, p, reduction="none")
    assert both[0] == lm.Dice()(y[:1], p[:1])
    assert lm.Dice()(y, p) == both.mean()


# --- empty masks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_both_empty_costs_nothing(parameters):
    value, gradient = lm.Dice(**parameters).value_and_gradient(np.zeros((2, 5)), np.zeros((2, 5)))
    assert value == 0.0
    assert np.isfinite(gradient).all()
    if not parameters.get("smooth"):
        assert (gradient == 0.0).all()


def test_stray_prediction_on_an_empty_mask():
    p = np.array([[0.0, 1e-3, 1e-300]])
    value, gradient = lm.Dice().value_and_gradient(np.zeros((1, 3)), p)
    assert value == 1.0
    assert (gradient == 0.0).all()
    value, gradient = lm.Dice(smooth=1.0).value_and_gradient(np.zeros((1, 3)), p)
    assert value == pytest.approx(1e-3 / 1.001)
    np.testing.assert_allclose(gradient, 1 / 1.001**2, rtol=1e-14)


def test_nothing_predicted_on_a_mask():
    value, gradient = lm.Dice().value_and_gradient([[1, 1, 0]], np.zeros((1, 3)))
    assert value == 1.0
    assert gradient.tolist() == [[-1.0, -1.0, 0.0]]


def test_absent_classes_count_as_perfect():
    y, p = np.zeros((1, 4), int), np.zeros((1, 4, 3))
    p[:, :, 0] = 1.0
    assert lm.Dice(class_axis=-1)(y, p) == 0.0
    assert (lm.Dice(class_axis=-1).gradient(y, p)[:, :, 1:] == 0.0).all()


# --- precision ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_perfect_large_mask_is_0_in_any_precision(parameters, dtype):
    """Half-precision sums of 90,000 pixels overflow in two peers, which give NaN."""
    mask = np.ones((1, 300, 300), dtype)
    value, gradient = lm.Dice(**parameters).value_and_gradient(mask, mask)
    assert value == 0.0
    assert value.dtype == dtype
    assert np.isfinite(gradient).all()


def test_near_perfect_overlap_keeps_its_digits():
    """1 - 2I/U would lose ten digits; U - 2I is summed without cancellation instead."""
    p = np.array([[1.0 - 2.0**-40, 2.0**-45, 0.0]])
    exact = (2.0**-40 + 2.0**-45) / (2.0 - 2.0**-40 + 2.0**-45)
    assert lm.Dice()([[1, 0, 0]], p) == pytest.approx(exact, rel=1e-15)
    logits = np.array([[40.0, -45.0]])
    far, off = np.exp(-40.0) / (1 + np.exp(-40.0)), np.exp(-45.0) / (1 + np.exp(-45.0))
    assert lm.Dice(inputs="logits")([[1, 0]], logits) == pytest.approx((far + off) / (2 - far + off), rel=1e-14)


@pytest.mark.parametrize("class_axis", [None, -1])
def test_saturated_logits_are_finite(class_axis):
    f = np.array([[[1e4, -1e4], [-np.inf, np.inf]]])
    y = np.array([[[1.0, 0.0], [1.0, 0.0]]])
    value, gradient = lm.Dice(inputs="logits", class_axis=class_axis).value_and_gradient(y, f)
    assert 0.0 < value < 1.0
    assert np.isfinite(gradient).all()


def test_logits_are_the_probabilities_behind_a_link():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(2, 6)), (rng.random((2, 6)) < 0.5) * 1.0
    p = 1 / (1 + np.exp(-f))
    for parameters in PARAMETERS:
        on_logits, on_p = lm.Dice(inputs="logits", **parameters), lm.Dice(**parameters)
        assert on_logits(y, f) == pytest.approx(on_p(y, p), rel=1e-14)
        np.testing.assert_allclose(on_logits.gradient(y, f), on_p.gradient(y, p) * p * (1 - p), rtol=1e-13, atol=1e-17)


# --- classes --------------------------------------------------------------------------------------------------


def test_class_axis_may_stand_anywhere():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(2, 4, 5, 3)), rng.integers(0, 3, (2, 4, 5))
    last = lm.Dice(inputs="logits", class_axis=-1)
    first = lm.Dice(inputs="logits", class_axis=1)
    moved = np.moveaxis(f, -1, 1)
    assert first(y, moved) == pytest.approx(last(y, f), rel=1e-15)
    np.testing.assert_allclose(first.gradient(y, moved), np.moveaxis(last.gradient(y, f), -1, 1), atol=1e-17)


def test_indices_and_one_hot_rows_are_the_same_targets():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(3), (2, 4)), rng.integers(0, 3, (2, 4))
    loss = lm.Dice(class_axis=-1)
    assert loss(y, p) == loss(np.eye(3)[y], p)
    assert loss(y.astype(float), p) == loss(y, p)


def test_classes_may_be_renumbered():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(2, 4, 3)), rng.integers(0, 3, (2, 4))
    order = np.array([2, 0, 1])
    loss = lm.Dice(inputs="logits", class_axis=-1)
    assert loss(np.argsort(order)[y], f[:, :, order]) == pytest.approx(loss(y, f), rel=1e-14)


def test_nan_spoils_only_its_own_sample():
    p = np.full((3, 4), 0.5)
    p[1, 0] = np.nan
    value, gradient = lm.Dice().value_and_gradient(np.ones((3, 4)), p, reduction="none")
    assert np.isnan(value).tolist() == [False, True, False]
    assert np.isfinite(gradient[[0, 2]]).all()
