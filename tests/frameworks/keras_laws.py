"""Numbers, weights, masks, shapes and refusals of the losses of ``to_keras``.

Keras chooses its backend once a process: ``test_keras.py`` runs this file once for each.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lossmith as lm
from frameworks.keras_cases import BACKEND, EVERY, Array, KerasCase, back, close, differentiated, every, tensor

# --- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
@every
def test_values_and_gradients_are_numpys(case: KerasCase, dtype: str, rtol: float) -> None:
    case = case.rounded(dtype)
    wide = case.rounded("float64")
    weight = np.random.default_rng(1).uniform(0.5, 2.0, case.count()).astype(dtype)
    loss, y, f = lm.to_keras(case.loss), tensor(case.y), case.to_keras(case.f)
    value, slope = differentiated(lambda x: loss(y, x, tensor(weight)), f)
    assert str(value.dtype) == str(slope.dtype) == dtype
    close(value, wide.loss(wide.y, wide.f, weight.astype(float)), rtol)
    close(slope, case.to_keras(wide.gradient(weight.astype(float))), rtol)


@pytest.mark.parametrize("spec", ["huber", "bce", "cce"])
def test_second_derivatives_are_ours(spec: str) -> None:
    """The derivative of the gradient along a direction is the Hessian's product with it."""
    case = next(case for case in EVERY if case.loss.name == spec)
    loss, y, v = lm.to_keras(case.loss, "sum"), tensor(case.y), np.random.default_rng(2).normal(size=case.f.shape)
    direction = tensor(case.to_keras(v))

    def along(x: Any) -> Any:
        if BACKEND == "torch":
            import torch

            return (torch.autograd.grad(loss(y, x), x, create_graph=True)[0] * direction).sum()
        if BACKEND == "jax":
            import jax

            return (jax.grad(lambda z: loss(y, z))(x) * direction).sum()
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(y, x)
        return tf.reduce_sum(tape.gradient(value, x) * direction)

    exact = case.loss.hessian(case.y, case.f)
    want = exact * v if case.column else np.einsum("nij,nj->ni", exact, v)
    close(differentiated(along, case.to_keras(case.f))[1], case.to_keras(want), 1e-12)


# --- weights, masks and reductions ----------------------------------------------------------------------------


def masked(f: Array, mask: Array) -> Any:
    """Predictions as a layer that masks hands them on."""
    x = tensor(f)
    keras.src.backend.set_keras_mask(x, tensor(mask))
    return x


def test_the_mean_is_of_what_counts() -> None:
    y, f, weight = np.zeros((3, 1)), np.array([[1.0], [2.0], [np.nan]]), np.array([1.0, 3.0, 0.0])
    for shape in ((3,), (3, 1)):
        assert back(lm.to_keras("mse")(y, f, weight.reshape(shape))) == 13 / 4
    assert back(lm.to_keras("mse")(y, masked(f, weight > 0))) == 5 / 2
    assert back(lm.to_keras("mse")(y, masked(f, np.array([0, 1, 0], bool)), weight)) == 4.0
    assert back(lm.to_keras("mse")(y, f * 0 + np.nan, weight * 0)) == 0.0
    _, slope = differentiated(lambda x: lm.to_keras("mse")(y, x, weight), f)
    np.testing.assert_array_equal(slope, [[0.5], [3.0], [0.0]])
    rows = np.array([[0.0, 1.0], [1.0, 2.0], [np.nan, -1.0]])
    want, target = lm.get("nll")([0.5, 1.0], rows[:2], weight[:2]), np.array([0.5, 1.0, np.nan])
    value, slope = differentiated(lambda x: lm.to_keras("nll")(target, x, weight), rows)
    close(value, want, 1e-12)
    assert np.isfinite(slope).all()
    assert (slope[2] == 0).all()


def test_a_mask_of_steps_goes_with_weights_of_samples() -> None:
    rng = np.random.default_rng(3)
    y, f, mask, weight = rng.integers(0, 3, (2, 4)), rng.normal(size=(2, 4, 3)), rng.random((2, 4)) < 0.6, [1.0, 2.0]
    want = lm.CategoricalCrossEntropy()(y, f, mask * np.array(weight)[:, None])
    close(back(lm.to_keras("cce")(y, masked(f, mask), np.array(weight))), want, 1e-12)
    close(back(lm.to_keras("cce")(y, masked(f, mask), np.array(weight)[:, None])), want, 1e-12)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none", None])
@pytest.mark.parametrize("shape", [(6, 1), (2, 3, 2)])
def test_kerass_own_reductions_are_kerass(reduction: str | None, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    y, f = rng.normal(size=(2, *shape)).astype(np.float32)
    weight, mask = rng.uniform(0, 2, shape[:-1]).astype(np.float32), rng.random(shape[:-1]) < 0.7
    ours, theirs = lm.to_keras("huber", reduction), keras.losses.Huber(reduction=reduction)
    for given in ((y, f), (y, f, weight), (y, masked(f, mask)), (y, masked(f, mask), weight)):
        close(back(ours(*given)), back(theirs(*given)), 1e-5)


def test_kerass_mean_with_sample_weight_is_ours() -> None:
    rng = np.random.default_rng(5)
    y, f = rng.normal(size=(2, 6, 1)).astype(np.float32)
    weight = rng.uniform(0, 2, 6).astype(np.float32)
    theirs = keras.losses.Huber(reduction="mean_with_sample_weight")(y, f, weight)
    for reduction in ("mean", "mean_with_sample_weight"):
        close(back(lm.to_keras("huber", reduction)(y, f, weight)), back(theirs), 1e-5)
    control = keras.losses.Huber(reduction="mean")(y, f, weight)
    assert abs(float(back(control)) - float(back(theirs))) > 1e-3, "Keras's mean is another number"


def test_class_weights_count_in_the_mean() -> None:
    loss = lm.CategoricalCrossEntropy(class_weights=(1.0, 3.0, 0.5))
    y, f = np.array([0, 1, 2, 1]), np.random.default_rng(6).normal(size=(4, 3))
    close(back(lm.to_keras(loss)(y, f)), loss(y, f), 1e-9)
    close(back(lm.to_keras(loss, "sum_over_batch_size")(y, f)), loss(y, f, reduction="sum") / 4, 1e-12)


# --- shapes and dtypes ------------------------------------------------------------------------------------------


def test_labels_may_be_columns_floats_and_one_hot() -> None:
    y, f = np.array([0, 2, 1, 2]), np.random.default_rng(7).normal(size=(4, 3))
    for spec in ("cce", "categorical_focal", "multi_margin"):
        want = lm.get(spec)(y, f)
        for given in (y, y[:, None], y.astype(np.float32), y[:, None].astype(np.int32), np.eye(3)[y], np.eye(3)[y] > 0):
            close(back(lm.to_keras(spec)(given, f)), want, 1e-12)
    want = lm.Triplet()(y, f)
    for given in (y, y[:, None], y.astype(np.float32)):
        close(back(lm.to_keras("triplet")(given, f)), want, 1e-12)


def test_a_last_axis_of_one_may_be_missing() -> None:
    y, f = np.array([0.0, 1.0, 1.0]), np.array([0.5, -2.0, 3.0])
    for a, b in ((y, f[:, None]), (y[:, None], f), (y > 0, f[:, None]), (y.astype(int), f)):
        close(back(lm.to_keras("bce")(a, b)), lm.BinaryCrossEntropy()(y, f), 1e-12)
    close(back(lm.to_keras("hinge")(y, f[:, None])), lm.Hinge()(2 * y - 1, f), 1e-12)
    close(back(lm.to_keras("hinge")(2 * y - 1, f[:, None])), lm.Hinge()(2 * y - 1, f), 1e-12)
    target, rows = np.array([1.0, 2.0]), np.array([[0.5, 0.1], [2.0, -0.3]])
    close(back(lm.to_keras("gaussian_nll")(target[:, None], rows)), lm.GaussianNLL()(target, rows), 1e-12)
    masks = np.array([[[1.0, 0.0]], [[1.0, 1.0]]])
    shares = np.array([[[0.7, 0.2]], [[0.9, 0.4]]])
    close(back(lm.to_keras("dice")(masks, shares[..., None])), lm.Dice()(masks, shares), 1e-12)
    by_class = lm.Dice(class_axis=-1)
    rows = np.stack([shares, 1 - shares], -1)
    close(back(lm.to_keras(by_class)(masks[..., None], rows)), by_class(masks.astype(int), rows), 1e-12)


def test_sequences_are_padded_with_blanks_and_masked() -> None:
    f = np.random.default_rng(8).normal(size=(2, 6, 4))
    want = lm.CTC()(np.array([[1, 2, 2], [3, -1, -1]]), f)
    for padding in (-1, 0):
        y = np.array([[1, 2, 2], [3, padding, padding]])
        close(back(lm.to_keras("ctc")(y, f)), want, 1e-12)
        close(back(lm.to_keras("ctc")(y.astype(np.float32), f)), want, 1e-12)
    mask = np.arange(6) < np.array([[5], [3]])
    want = lm.CTC()(lm.CTC.targets([[1, 2, 2], [3, -1, -1]], None, [5, 3]), f)
    close(back(lm.to_keras("ctc")(y, masked(f, mask))), want, 1e-12)
    with pytest.raises(Exception, match="input_lengths holds -1"):
        lm.to_keras("ctc")(y, masked(f, mask[:, ::-1]))


def test_mixed_parts_take_what_they_take_alone() -> None:
    both = lm.WeightedSum((lm.Dice(class_axis=-1, inputs="logits"), "cce"), (1.0, 0.5))
    y, f = np.array([[[0, 2], [1, 1]]]), np.random.default_rng(9).normal(size=(1, 2, 2, 3))
    close(back(lm.to_keras(both)(y[..., None], f)), both(y, f), 1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(dtype: str) -> None:
    f = keras.ops.cast(tensor(np.array([[300.0], [-2.0]])), dtype)
    value = lm.to_keras("mse")(np.zeros(2), f)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert back(value) == 45002.0
    asked = lm.to_keras("mae", dtype=dtype)(np.zeros(2), f)
    assert keras.backend.standardize_dtype(asked.dtype) == dtype


@pytest.mark.parametrize("spec", ["bce", "multi_margin", "triplet"])
def test_a_variable_is_its_value(spec: str) -> None:
    case = next(case for case in EVERY if case.loss.name == spec)
    y, f = (keras.Variable(x, trainable=False, dtype=str(x.dtype)) for x in (case.y, case.f))
    for loss in (case.loss, lm.to_keras(case.loss)):
        close(back(loss(y, f)), case.loss(case.y, case.f), 1e-12)
    assert "keras" not in type(case.loss.gradient(y, f)).__module__


def test_symbolic_tensors_have_the_right_shapes() -> None:
    y, f = keras.KerasTensor((None, 3)), keras.KerasTensor((None, 3))
    assert lm.to_keras("huber")(y, f).shape == ()
    assert lm.to_keras("huber", "none")(y, f).shape == (None,)
    with pytest.raises(TypeError, match="needs numbers, not a symbolic"):
        lm.to_keras("triplet")(keras.KerasTensor((4,)), f)


# --- refusals ---------------------------------------------------------------------------------------------------


def test_refusals_are_one_line() -> None:
    def each(x: Any) -> Any:
        return keras.ops.sum(lm.to_keras("triplet", "none")(np.zeros(4), x))

    for call, error, said in (
        (lambda: lm.to_keras("hubber"), ValueError, "did you mean 'huber'"),
        (lambda: lm.to_keras(3), TypeError, "takes a loss or its name; got int"),
        (lambda: lm.to_keras("mse", "average"), ValueError, "'sum_over_batch_size'"),
        (lambda: lm.to_keras("mse")(np.zeros((4, 2)), np.ones((4, 3))), ValueError, r"\(4, 2\).*\(4, 3\)"),
        (lambda: lm.to_keras("mse")(np.zeros(4), np.ones((4, 1)), np.ones(3)), ValueError, "sample_weight has shape"),
        (lambda: differentiated(each, np.ones((4, 2))), ValueError, "share predictions"),
    ):
        with pytest.raises(error, match=said) as found:
            call()
        assert "\n" not in str(found.value)
