"""Losses of Keras in Lossmith's words: the same values and gradients, on Keras' default backend in float64."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import KINKS, N, named, sample
from frameworks.translation.sources import distinct, executed

pytestmark = pytest.mark.filterwarnings("ignore")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("gradients are taken with TensorFlow's tape", allow_module_level=True)
tf = pytest.importorskip("tensorflow")
losses = keras.losses
DOUBLE = {"dtype": "float64"}
CLIPPED = 1e-6  # Keras clips probabilities and rates at 1e-7, also where that changes their last digits


# Keras' loss, tolerance, whether targets are one-hot.
CASES: dict[str, tuple[Any, float, bool]] = {
    "MeanSquaredError": (losses.MeanSquaredError(**DOUBLE), 1e-12, False),
    "MeanAbsoluteError": (losses.MeanAbsoluteError(**DOUBLE), 1e-12, False),
    "Huber": (losses.Huber(**DOUBLE), 1e-12, False),
    "Huber(delta=2)": (losses.Huber(delta=2.0, **DOUBLE), 1e-12, False),
    "LogCosh": (losses.LogCosh(**DOUBLE), 1e-8, False),
    "Poisson": (losses.Poisson(**DOUBLE), CLIPPED, False),
    "Hinge": (losses.Hinge(**DOUBLE), 1e-12, False),
    "SquaredHinge": (losses.SquaredHinge(**DOUBLE), 1e-12, False),
    "BinaryCrossentropy": (losses.BinaryCrossentropy(**DOUBLE), CLIPPED, False),
    "BinaryCrossentropy(logits)": (losses.BinaryCrossentropy(from_logits=True, **DOUBLE), 1e-9, False),
    "BinaryFocal": (losses.BinaryFocalCrossentropy(**DOUBLE), CLIPPED, False),
    "BinaryFocal(balanced)": (losses.BinaryFocalCrossentropy(True, 0.3, 1.5, **DOUBLE), CLIPPED, False),
    "BinaryFocal(logits)": (losses.BinaryFocalCrossentropy(gamma=1.0, from_logits=True, **DOUBLE), 1e-6, False),
    "Sparse": (losses.SparseCategoricalCrossentropy(**DOUBLE), CLIPPED, False),
    "Sparse(logits)": (losses.SparseCategoricalCrossentropy(from_logits=True, **DOUBLE), 1e-9, False),
    "Sparse(ignore_class)": (losses.SparseCategoricalCrossentropy(True, ignore_class=2, **DOUBLE), 1e-9, False),
    "Categorical": (losses.CategoricalCrossentropy(**DOUBLE), CLIPPED, True),
    "Categorical(smoothed)": (losses.CategoricalCrossentropy(True, label_smoothing=0.1, **DOUBLE), 1e-9, True),
    "CategoricalFocal": (losses.CategoricalFocalCrossentropy(**DOUBLE), 1e-5, True),
    "CategoricalFocal(logits)": (losses.CategoricalFocalCrossentropy(0.5, 1.5, True, **DOUBLE), 1e-5, True),
    "KLDivergence": (losses.KLDivergence(**DOUBLE), 1e-5, False),
    "CTC": (losses.CTC(), 1e-4, False),
    "Dice": (losses.Dice(axis=(1, 2, 3), **DOUBLE), 1e-6, False),
    "huber": (losses.huber, 1e-12, False),
    "binary_crossentropy": (losses.binary_crossentropy, CLIPPED, False),
    "mean_squared_error": (losses.mean_squared_error, 1e-12, False),
}


def same(ours: Any, theirs: Any, rtol: float, one_hot: bool) -> None:
    """Demand equal mean values and gradients; a column of predictions is what Keras takes."""
    y, f = sample(ours)
    if f.ndim == 1 and f.size > N:
        value = float(np.mean(theirs(y[:, None], f[:, None])))
        np.testing.assert_allclose(float(ours(y, f)), value, rtol=rtol)  # kinks included
        y, f = y[len(KINKS) :, None], f[len(KINKS) :, None]
    target = np.eye(f.shape[-1])[y] if one_hot else y
    dtype = tf.float32 if isinstance(theirs, losses.CTC) else tf.float64
    # Keras divides rows of probabilities by their sum; through a softmax that changes no gradient.
    rows = isinstance(ours, lm.CategoricalCrossEntropy | lm.WeightedSum) and np.allclose(f.sum(-1), 1)
    f, enter = (np.log(f), tf.nn.softmax) if rows else (f, tf.identity)
    mine, other = tf.Variable(f, dtype=tf.float64), tf.Variable(f, dtype=dtype)
    with tf.GradientTape(persistent=True) as tape:
        got = ours(tf.constant(y), enter(mine))
        want = tf.reduce_mean(theirs(tf.constant(target), enter(other)))
    np.testing.assert_allclose(got, want, rtol=rtol)
    gradients = tape.gradient(got, mine), tf.convert_to_tensor(tape.gradient(want, other))
    np.testing.assert_allclose(*gradients, rtol=10 * rtol, atol=max(1e-12, 0.1 * rtol))


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_keras(name: str) -> None:
    theirs, rtol, one_hot = CASES[name]
    same(lm.from_keras(theirs), theirs, rtol, one_hot)


def test_a_wrong_factor_is_noticed() -> None:
    """Negative control: the categorical focal loss without Keras' alpha for every class."""
    theirs, rtol, one_hot = CASES["CategoricalFocal(logits)"]
    with pytest.raises(AssertionError):
        same(lm.CategoricalFocal(gamma=1.5), theirs, rtol, one_hot)
    with pytest.raises(AssertionError):
        same(lm.Huber(delta=1.0), losses.Huber(delta=2.0, **DOUBLE), 1e-6, False)


def test_sum_and_none_for_one_output() -> None:
    y, f = sample(lm.Huber())
    for word, reduction in (("sum", "sum"), ("none", "none"), (None, "none")):
        theirs = losses.Huber(reduction=word, **DOUBLE)
        assert lm.from_keras(theirs) == lm.Huber()
        assert lm.translate(theirs).reduction == reduction
        np.testing.assert_allclose(lm.Huber()(y, f, reduction=reduction), theirs(y[:, None], f[:, None]), rtol=1e-12)


def test_with_weights_the_mean_that_divides_by_their_sum_is_ours() -> None:
    y, f = sample(lm.Huber())
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    theirs = losses.Huber(reduction="mean_with_sample_weight", **DOUBLE)
    want = theirs(y[:, None], f[:, None], weight[:, None])
    np.testing.assert_allclose(lm.from_keras(theirs)(y, f, weight), want, rtol=1e-6)


def test_every_name_of_compile_is_known() -> None:
    from keras.src.losses import ALL_OBJECTS_DICT

    from lossmith.frameworks.translation.keras import LIBRARY

    names = [name for name in ALL_OBJECTS_DICT if name not in ("Loss", "LossFunctionWrapper", "loss")]
    names += [name for name in dir(losses) if callable(getattr(losses, name)) and name not in _NO_LOSSES]
    assert [name for name in names if not LIBRARY.knows(name)] == []
    assert lm.from_keras("mse") == lm.MeanSquaredError()


_NO_LOSSES = ("Loss", "get", "serialize", "deserialize")


@pytest.mark.parametrize(
    ("theirs", "given", "reason"),
    [
        (losses.CosineSimilarity(), {}, "no such loss"),
        (losses.Tversky(), {}, "count alike"),
        (losses.CategoricalHinge(), {}, "best other class"),
        (losses.MeanAbsolutePercentageError(), {}, "no such loss"),
        (losses.Dice(), {}, "whole batch for one mask"),
        (losses.BinaryCrossentropy(label_smoothing=0.1), {}, "smooth them so"),
        (losses.CategoricalCrossentropy(axis=1), {}, "last axis"),
        (losses.CategoricalFocalCrossentropy(label_smoothing=0.1), {}, "as they are"),
        ("mape", {}, "no such loss"),
        ("hubert", {}, "did you mean huber"),
        (functools.partial(losses.huber, delta=0.0), {}, "delta"),
        (losses.Huber(), {"delta": 2.0}, "holds its parameters itself"),
    ],
    ids=named,
)
def test_what_has_no_equal_is_refused_in_one_line(theirs: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        lm.from_keras(theirs, **given)
    assert reason in str(caught.value), caught.value


# --- printed for Keras ----------------------------------------------------------------------------------

# What Keras guards with 1e-7, and what it computes in float32.
GUARDED = (lm.PoissonNLL, lm.KLDivergence, lm.CTC, lm.Dice)


@pytest.mark.parametrize("source", distinct("keras"))
def test_printed_code_gives_the_numbers_of_its_source(source: str) -> None:
    found = lm.translate(source, to="keras")
    made = executed(found.code)["loss"]
    loss = found.loss.losses[0] if len(getattr(found.loss, "losses", ())) == 1 else found.loss
    y, f = sample(found.loss)
    if isinstance(loss, lm.CTC):
        y = np.where(y == 0, loss.blank + 1 if loss.blank == 0 else 1, y)  # Keras takes 0 for padding
    if f.ndim == 1:
        y, f = y[len(KINKS) :, None], f[len(KINKS) :, None]
    rows = "CategoricalCross" in found.code or "CategoricalFocal" in found.code
    one_hot = found.native and rows and "Sparse" not in found.code and y.ndim == 1
    if one_hot:
        f, y = f[y >= 0], y[y >= 0]  # -100 has no row; the code says so
    variable = tf.Variable(f, dtype=tf.float32 if found.native else tf.float64)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(made(tf.constant(np.eye(f.shape[-1])[y] if one_hot else y), variable))
    slope = tf.convert_to_tensor(tape.gradient(value, variable)).numpy()
    scale = float(found.loss(y, f))
    rtol = 1e-9 if not found.native else 2e-4 if isinstance(loss, GUARDED) else 2e-5
    np.testing.assert_allclose(value, scale, rtol=rtol)
    mine = tf.Variable(f)
    with tf.GradientTape() as tape:
        value = found.loss(tf.constant(y), mine)
    wanted = tf.convert_to_tensor(tape.gradient(value, mine)).numpy()
    if found.native and rows and np.allclose(f.sum(-1), 1):  # up to a constant in each row
        slope, wanted = slope - slope.mean(-1, keepdims=True), wanted - wanted.mean(-1, keepdims=True)
    np.testing.assert_allclose(slope, wanted, rtol=10 * rtol, atol=max(1e-12, 0.1 * rtol if found.native else 0.0))


def test_our_keras_losses_give_themselves_back() -> None:
    assert lm.from_keras(lm.to_keras("huber(delta=2)")) == lm.Huber(delta=2.0)
