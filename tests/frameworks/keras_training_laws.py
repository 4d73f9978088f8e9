"""Saving, names and training with the losses of ``to_keras``.

Keras chooses its backend once a process: ``test_keras.py`` runs this file once for each.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

import lossmith as lm
from catalogue import CASES, Case
from frameworks.keras_cases import BACKEND, EVERY, Array, KerasCase, back, close, differentiated, every, tensor
from lossmith.core.registry import loss_class


def model(outputs: int = 1, activation: str | None = None) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, activation=activation)])


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
    assert again.loss == case.loss
    if case.loss.name in ("huber", "cce", "ctc"):
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
@pytest.mark.parametrize("name", TASKS)
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


def test_what_is_only_python_says_where_it_cannot_run() -> None:
    if BACKEND == "tensorflow":
        with pytest.raises(TypeError, match=r"XLA cannot compile.*jit_compile=False"):
            trained("lossmith>nll", 2, "softplus", SIGNAL, jit_compile=True)


@pytest.mark.skipif(BACKEND == "torch", reason="torch's programs are tested above")
def test_sequences_in_compiled_programs() -> None:
    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(12, 6, 4)).astype(np.float32), np.array([[1, 2], [2, -1], [1, 1]] * 4)
    found = []
    for jit in (True, False):
        keras.utils.set_random_seed(0)
        whole = keras.Sequential([keras.Input((6, 4)), keras.layers.Dense(3)])
        whole.compile(keras.optimizers.Adam(0.1), loss="lossmith>ctc", jit_compile=jit)
        found.append(whole.fit(x, y, batch_size=5, epochs=3, verbose=0).history["loss"])
    assert found[0][-1] < found[0][0]
    np.testing.assert_allclose(*found, rtol=1e-4)


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
