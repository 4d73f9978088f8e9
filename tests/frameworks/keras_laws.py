"""What must hold for the losses of ``to_keras`` on whichever backend Keras has started with.

Keras chooses its backend once a process: ``test_keras.py`` runs this file once for each.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Keras would import it if it were there

import keras  # noqa: E402

import lossmith as lm  # noqa: E402
from catalogue import CASES, Case, ElementwiseCase  # noqa: E402
from lossmith.core.registry import loss_class  # noqa: E402

Array = Any
lm.register_keras()


@dataclasses.dataclass(frozen=True, eq=False)
class KerasCase:
    """A loss, what NumPy's call takes, and the shapes in which Keras's users have it."""

    name: str
    loss: Any
    y: Array
    f: Array
    column: bool

    def to_keras(self, array: Array) -> Array:
        """Predictions as a model gives them."""
        return array[:, None] if self.column else array

    def count(self) -> int:
        return len(np.atleast_1d(self.loss(self.y, self.f, reduction="none")))

    def rounded(self, dtype: str) -> KerasCase:
        """The same with floats of a dtype."""
        y = self.y.astype(dtype) if self.y.dtype.kind == "f" else self.y
        return dataclasses.replace(self, y=y, f=self.f.astype(dtype))

    def gradient(self, weight: Array) -> Array:
        """NumPy's gradient of the weighted mean."""
        if self.loss.tier == "structured":
            return self.loss.gradient(self.y, self.f, weight)
        slope = self.loss.gradient(self.y, self.f)
        total, mean = (float(self.loss(self.y, self.f, weight, r)) for r in ("sum", "mean"))
        shape = weight.shape + (1,) * (slope.ndim - 1)
        return weight.reshape(shape) * slope * (mean / total)


def _cases() -> list[KerasCase]:
    """One for each class, kind of predictions and kind of targets."""
    found: dict[str, KerasCase] = {}
    for case in CASES:
        name = f"{case.loss.name}-{getattr(case.loss, 'inputs', 'raw')}-{np.asarray(case.sample(2)[0]).ndim}"
        if name not in found:
            y, f = case.sample(6, seed=31)
            found[name] = KerasCase(name, case.loss, y, f, isinstance(case, ElementwiseCase) or f.ndim == 1)
    return list(found.values())


EVERY = _cases()
every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)


def tensor(array: Array) -> Any:
    return keras.ops.convert_to_tensor(array)


def back(value: Any) -> Array:
    return keras.ops.convert_to_numpy(value)


def differentiated(function: Any, f: Array) -> tuple[Array, Array]:
    """A number and the backend's own derivative of it."""
    if BACKEND == "torch":
        x = tensor(f).requires_grad_(True)
        value = function(x)
        value.backward()
        return back(value), back(x.grad)
    if BACKEND == "jax":
        import jax

        value, slope = jax.jit(jax.value_and_grad(function))(tensor(f))  # one program compiles sooner than its parts
        return back(value), back(slope)
    import tensorflow as tf

    x = tensor(f)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return back(value), back(tape.gradient(value, x))


def close(got: Any, want: Any, rtol: float) -> None:
    want = np.asarray(want, np.float64)
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol, rtol * np.abs(want).max(initial=0.0))


def model(outputs: int = 1, activation: str | None = None) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, activation=activation)])


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
@pytest.mark.parametrize("shape", [(6, 1), (3, 2), (2, 3, 2)])
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


# --- saving and names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_configurations_make_equal_losses(case: Case) -> None:
    loss = lm.to_keras(case.loss, "sum", name="mine", dtype="float32")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (twin.loss, twin.get_config()) == (case.loss, loss.get_config())


@every
def test_saved_models_have_the_same_loss(case: KerasCase, tmp_path: Any) -> None:
    path, loss = tmp_path / "model.keras", lm.to_keras(case.loss, "mean_with_sample_weight")
    whole = model()
    whole.compile("sgd", loss=loss)
    whole.save(path)
    again = keras.saving.load_model(path).loss
    assert again.get_config() == loss.get_config()
    y, f = tensor(case.y), tensor(case.to_keras(case.f))
    assert back(again(y, f)) == back(loss(y, f))


def test_every_name_stands_for_its_loss() -> None:
    names = lm.register_keras()
    known = {case.loss.name for case in CASES} - {"weighted_sum"}
    assert {f"lossmith>{name}" for name in known} <= set(names)
    for name in names:
        word = name.partition(">")[2]
        found = keras.losses.get(name)
        assert found.loss == lm.get(word)
        assert found.name == loss_class(word).name
        assert found.reduction == "mean"
    with pytest.raises(ValueError, match="Could not interpret loss identifier"):
        keras.losses.get("lossmith>no_such_loss")


def test_what_was_cleared_is_registered_again() -> None:
    loss = lm.to_keras("tukey")
    description = keras.losses.serialize(loss)
    keras.saving.get_custom_objects().clear()
    with pytest.raises(TypeError, match="Could not locate class"):
        keras.saving.deserialize_keras_object(description)
    lm.register_keras()
    assert keras.saving.deserialize_keras_object(description).loss == loss.loss


def test_a_name_is_saved_with_the_model_and_saved_again(tmp_path: Any) -> None:
    x, y = np.random.default_rng(10).normal(size=(2, 8, 4)).astype(np.float32)
    whole, path = model(), tmp_path / "model.keras"
    whole.compile("sgd", loss="lossmith>log_cosh")
    for _ in range(2):
        whole.save(path)
        again = keras.saving.load_model(path)
        assert again.evaluate(x, y[:, 0], verbose=0) == whole.evaluate(x, y[:, 0], verbose=0)
        whole = again
    assert whole.loss.loss == lm.LogCosh()


FRESH = """
import sys
{hidden}
import keras, lossmith as lm
try:
    keras.saving.load_model({path!r})
except TypeError as error:
    print("Could not locate class 'KerasLoss'" in str(error))
lm.register_keras()
print(keras.saving.load_model({path!r}).loss)
"""


CHEAPEST = next(name for name in ("jax", "torch", "tensorflow") if importlib.util.find_spec(name))


@pytest.mark.skipif(BACKEND != CHEAPEST, reason="once is enough")
def test_a_new_process_needs_one_call(tmp_path: Any) -> None:
    path = str(tmp_path / "model.keras")
    whole = model()
    whole.compile("sgd", loss=lm.to_keras("huber(delta=1.35)"))
    whole.save(path)
    text = FRESH.format(path=path, hidden="" if BACKEND == "tensorflow" else 'sys.modules["tensorflow"] = None')
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["True", "<KerasLoss(Huber(delta=1.35), reduction='mean')>"], ran.stderr


# --- training ---------------------------------------------------------------------------------------------------


def trained(loss: Any, outputs: int, activation: str | None, y: Array, **settings: Any) -> list[float]:
    whole = model(outputs, activation)
    whole.compile(keras.optimizers.Adam(0.1), loss=loss, **settings)
    assert whole.jit_compile or BACKEND != "jax" or settings
    return list(whole.fit(X, y, batch_size=16, epochs=4, verbose=0).history["loss"])


X = np.random.default_rng(11).normal(size=(40, 4)).astype(np.float32)  # 40 = 16 + 16 + 8: lengths differ
SIGNAL = X @ np.array([1.0, -2.0, 0.5, 0.0], np.float32)
CLASSES = (SIGNAL > -1).astype(int) + (SIGNAL > 1)
TASKS = {
    "lossmith>huber": (1, None, SIGNAL),
    "lossmith>cce": (3, None, CLASSES),
    "lossmith>triplet": (3, None, CLASSES),
    "lossmith>dice": (3, "sigmoid", np.eye(3)[CLASSES]),
}


@pytest.mark.parametrize("name", TASKS)
def test_fit_lowers_the_loss(name: str) -> None:
    history = trained(name, *TASKS[name])
    assert history[-1] < 0.9 * history[0]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX's fit compiles anyway; torch has a test of its own")
@pytest.mark.parametrize("name", ["lossmith>huber", "lossmith>cce"])
def test_programs_compiled_by_xla_agree(name: str) -> None:
    plain, compiled = (trained(name, *TASKS[name], jit_compile=jit) for jit in (False, True))
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)


@pytest.mark.skipif(BACKEND != "torch", reason="of torch.compile")
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("spec", ["huber", "cce", "triplet"])
def test_torch_compiles_the_loss(spec: str) -> None:
    """What compile(jit_compile=True) does with the loss; it traces Keras's layers and optimizer, too, for a minute."""
    import torch

    case = next(case for case in EVERY if case.loss.name == spec)
    loss, y = lm.to_keras(case.loss), tensor(case.y)
    compiled = torch.compile(lambda x: loss(y, x), backend="eager")
    for got, want in zip(
        differentiated(compiled, case.to_keras(case.f)),
        differentiated(lambda x: loss(y, x), case.to_keras(case.f)),
        strict=True,
    ):
        close(got, want, 1e-12)


def test_losses_computed_on_the_host_say_where_they_cannot_run() -> None:
    if BACKEND == "tensorflow":
        with pytest.raises(TypeError, match=r"on the host.*jit_compile=False"):
            trained("lossmith>triplet", *TASKS["lossmith>triplet"], jit_compile=True)
    elif BACKEND == "jax":
        history = trained("lossmith>triplet", *TASKS["lossmith>triplet"], jit_compile=True)
        assert history[-1] < history[0]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_policies(policy: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        history = trained("lossmith>huber", 1, None, SIGNAL, run_eagerly=BACKEND == "tensorflow")
    finally:
        keras.config.set_dtype_policy(before)
    assert history[-1] < 0.9 * history[0]


def test_masks_of_layers_arrive() -> None:
    rng = np.random.default_rng(12)
    keras.utils.set_random_seed(0)
    x = np.array([[1, 2, 3, 0], [2, 1, 0, 0]])
    layers = [keras.Input((4,)), keras.layers.Embedding(5, 3, mask_zero=True), keras.layers.Dense(3)]
    whole = keras.Sequential(layers)
    y, f = rng.integers(0, 3, (2, 4)), whole.predict(x, verbose=0)
    whole.compile("sgd", loss="lossmith>cce")
    close(whole.evaluate(x, y, verbose=0), lm.CategoricalCrossEntropy()(y, f, (x > 0) * 1.0), 1e-5)


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
