"""Losses as they are in the training loops of Optax, Flax and Equinox: each loop lowers the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm

jax = pytest.importorskip("jax")
jnp = jax.numpy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
LABELS = (X @ np.array([[1.0, -1.0, 0.0], [0.5, 0.0, 1.0], [0.0, 2.0, -1.0]])).argmax(1)
CRITERION = lm.to_jax("cce")
STEPS = 40


def lowered(first: Any, last: Any) -> bool:
    """Whether training got somewhere: half of what a coin costs at the start."""
    return bool(np.isfinite(last)) and float(last) < 0.6 * float(first)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_optax(dtype: str) -> None:
    optax = pytest.importorskip("optax")
    optimiser, x = optax.adam(0.1), jnp.asarray(X, dtype)
    params = {"w": jnp.zeros((3, 3), dtype), "b": jnp.zeros(3, dtype)}

    def loss(params: Any) -> Any:
        return CRITERION(x @ params["w"] + params["b"], LABELS).mean()

    @jax.jit
    def step(carried: Any, _: Any) -> Any:
        params, state = carried
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradients, state)
        return (optax.apply_updates(params, updates), state), value

    (params, _), values = jax.lax.scan(step, (params, optimiser.init(params)), length=STEPS)
    assert params["w"].dtype == dtype
    assert lowered(values[0], values[-1])


def test_optax_with_a_line_search() -> None:
    optax = pytest.importorskip("optax")
    huber, targets = lm.to_jax(lm.Huber(delta=0.5)), X @ np.array([1.0, -2.0, 0.5], np.float32)

    def loss(w: Any) -> Any:
        return huber(jnp.asarray(X) @ w, targets).mean()

    optimiser, w = optax.lbfgs(), jnp.zeros(3)
    state, first = optimiser.init(w), loss(w)
    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(w: Any, state: Any) -> Any:
        value, gradient = both(w, state=state)
        updates, state = optimiser.update(gradient, state, w, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(w, updates), state

    for _ in range(6):
        w, state = step(w, state)
    assert lowered(first, loss(w))


def test_optax_with_a_structured_loss_and_a_mask() -> None:
    optax = pytest.importorskip("optax")
    criterion, present = lm.to_jax("ctc", "mean"), np.arange(4) < 3
    labels = np.array([[1, 2], [2, 2], [1, 0], [0, 0]])
    paddings = np.array([[0, 0], [0, 0], [0, 1], [0, 0]])  # the last row is not there, whatever it holds

    def loss(w: Any) -> Any:
        return criterion(w, None, labels, paddings, where=present)

    optimiser, w = optax.sgd(2.0), jnp.zeros((4, 6, 3))
    state, step = optimiser.init(w), jax.jit(jax.value_and_grad(loss))
    values = []
    for _ in range(STEPS):
        value, gradient = step(w)
        updates, state = optimiser.update(gradient, state)
        w = optax.apply_updates(w, updates)
        values.append(value)
    assert lowered(values[0], values[-1])


def test_flax_nnx() -> None:
    nnx, optax = pytest.importorskip("flax.nnx"), pytest.importorskip("optax")
    model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    optimiser = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimiser: Any) -> Any:
        value, gradients = nnx.value_and_grad(lambda model: CRITERION(model(X), LABELS).mean())(model)
        optimiser.update(model, gradients)
        return value

    values = [step(model, optimiser) for _ in range(STEPS)]
    assert lowered(values[0], values[-1])


def test_flax_linen() -> None:
    linen, optax = pytest.importorskip("flax.linen"), pytest.importorskip("optax")
    train_state = pytest.importorskip("flax.training.train_state")
    model = linen.Dense(3)
    params = model.init(jax.random.key(0), X)["params"]
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(0.1))

    @jax.jit
    def step(state: Any) -> Any:
        value, gradients = jax.value_and_grad(lambda p: CRITERION(state.apply_fn({"params": p}, X), LABELS).mean())(
            state.params
        )
        return state.apply_gradients(grads=gradients), value

    values = []
    for _ in range(STEPS):
        state, value = step(state)
        values.append(value)
    assert lowered(values[0], values[-1])


def test_equinox() -> None:
    eqx, optax = pytest.importorskip("equinox"), pytest.importorskip("optax")
    model = eqx.nn.Linear(3, 3, key=jax.random.key(0))
    optimiser = optax.adam(0.1)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    def one(model: Any, x: Any, label: Any) -> Any:
        return CRITERION(model(x), label)

    @eqx.filter_jit
    def step(model: Any, state: Any) -> Any:
        value, gradients = eqx.filter_value_and_grad(
            lambda model: jax.vmap(one, (None, 0, 0))(model, jnp.asarray(X), jnp.asarray(LABELS)).mean()
        )(model)
        updates, state = optimiser.update(gradients, state)
        return eqx.apply_updates(model, updates), state, value

    values = []
    for _ in range(STEPS):
        model, state, value = step(model, state)
        values.append(value)
    assert lowered(values[0], values[-1])
