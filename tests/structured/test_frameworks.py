"""Tensors of the frameworks get NumPy's numbers with our gradient attached, eager and traced."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from structured.cases import CASES, Case

CHOSEN = CASES[::5]
chosen = pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
separate = pytest.mark.parametrize("case", [c for c in CASES if c.loss.separate][::4], ids=lambda c: c.name)


def close(found, true, rtol=1e-14):
    np.testing.assert_allclose(np.asarray(found), true, rtol=rtol, atol=rtol * np.abs(np.asarray(true)).max())


def as_tensors(make, y):
    return type(y)(*map(make, y)) if isinstance(y, tuple) else make(y)


# --- torch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@chosen
def test_torch(case: Case, reduction):
    torch = pytest.importorskip("torch")
    weight = np.random.default_rng(0).uniform(0, 2, case.count)
    f = torch.tensor(case.f, requires_grad=True)
    value = case.loss(as_tensors(torch.tensor, case.y), f, torch.tensor(weight), reduction)
    value.backward()
    close(value.detach(), case.loss(case.y, case.f, weight, reduction))
    close(f.grad, case.loss.gradient(case.y, case.f, weight, reduction))
    close(case.loss.gradient(case.y, f.detach(), torch.tensor(weight), reduction), f.grad)
    assert (case.loss(case.y, f, torch.tensor(weight), reduction) == value).all(), "NumPy targets are fine too"


@separate
def test_torch_per_sample_values_have_their_own_gradients(case: Case):
    torch = pytest.importorskip("torch")
    f = torch.tensor(case.f, requires_grad=True)
    values = case.loss(as_tensors(torch.tensor, case.y), f, reduction="none")
    factors = np.arange(1.0, 1.0 + case.count)
    (values * torch.tensor(factors)).sum().backward()
    close(values.detach(), case.loss(case.y, case.f, reduction="none"))
    close(f.grad, case.loss.gradient(case.y, case.f, factors, "sum"))


def test_values_that_share_predictions_have_no_attached_gradient():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="share predictions"):
        lm.Triplet()([0, 0, 1], torch.zeros(3, 2, requires_grad=True), reduction="none")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@chosen
def test_torch_keeps_the_dtype(case: Case, dtype):
    torch = pytest.importorskip("torch")
    f = torch.tensor(case.f).to(getattr(torch, dtype)).requires_grad_()
    value = case.loss(as_tensors(torch.tensor, case.y), f)
    value.backward()
    assert value.dtype == f.grad.dtype == f.dtype
    exact = case.loss(case.y, f.detach().double().numpy())
    assert value.double().item() == torch.tensor(exact).to(f.dtype).double().item()


def test_torch_function_transforms():
    torch = pytest.importorskip("torch")
    case = CASES[0]
    gradient = torch.func.grad(lambda f: case.loss(case.y, f))(torch.tensor(case.f))
    close(gradient, case.loss.gradient(case.y, case.f))


def test_the_gradient_passes_through_a_model():
    torch = pytest.importorskip("torch")
    x, w = torch.randn(6, 4, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda w: lm.Triplet(soft=True)(labels, torch.tanh(x @ w)), (w,))


# --- JAX ----------------------------------------------------------------------------------------------------


@chosen
def test_jax(case: Case):
    jax = pytest.importorskip("jax")
    y, f = as_tensors(jax.numpy.asarray, case.y), jax.numpy.asarray(case.f)
    value, gradient = jax.value_and_grad(lambda f: case.loss(y, f))(f)
    rtol = 1e-14 if f.dtype == "float64" else 1e-6
    close(value, case.loss(case.y, case.f), rtol)
    close(gradient, case.loss.gradient(case.y, case.f), rtol)


@chosen
def test_jax_jit(case: Case):
    jax = pytest.importorskip("jax")
    y, f = as_tensors(jax.numpy.asarray, case.y), jax.numpy.asarray(case.f)
    value, gradient = jax.jit(jax.value_and_grad(lambda f: case.loss(y, f)))(f)
    rtol = 1e-14 if f.dtype == "float64" else 1e-6
    close(value, case.loss(case.y, case.f), rtol)
    close(gradient, case.loss.gradient(case.y, case.f), rtol)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_jax_keeps_the_dtype(dtype):
    jax = pytest.importorskip("jax")
    case = CASES[0]
    f = jax.numpy.asarray(case.f).astype(dtype)
    value, gradient = jax.jit(jax.value_and_grad(lambda f: case.loss(case.y, f)))(f)
    assert value.dtype == gradient.dtype == f.dtype
    close(np.float64(value), case.loss(case.y, np.asarray(f, np.float64)), 1e-2)


def test_jax_vmap_and_second_use():
    jax = pytest.importorskip("jax")
    f = np.random.default_rng(0).normal(size=(3, 2, 6, 4))
    y = np.array([[1, 2], [3, -1]])
    values = jax.vmap(lambda f: lm.CTC()(y, f))(jax.numpy.asarray(f))
    close(values, [lm.CTC()(y, one) for one in f], 1e-6)


# --- TensorFlow ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traced", [False, True])
@chosen
def test_tensorflow(case: Case, traced):
    tf = pytest.importorskip("tensorflow")
    y = as_tensors(tf.constant, case.y)

    def run(f):
        with tf.GradientTape() as tape:
            tape.watch(f)
            value = case.loss(y, f)
        return value, tape.gradient(value, f)

    value, gradient = (tf.function(run) if traced else run)(tf.constant(case.f))
    close(value, case.loss(case.y, case.f))
    close(gradient, case.loss.gradient(case.y, case.f))


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("spec", ["huber", "dice", "ctc"])
def test_tensorflow_programs_for_any_number_of_samples(spec: str, reduction: str):
    tf = pytest.importorskip("tensorflow")
    loss, rng = lm.get(spec), np.random.default_rng(0)
    shape = (5, 4, 3) if spec == "ctc" else (5, 4)
    y = rng.integers(1, 3, (5, 2)) if spec == "ctc" else (rng.random(shape) < 0.5) * 1.0
    f = rng.random(shape)
    program = tf.function(
        lambda y, f: loss(y, f, reduction=reduction),
        input_signature=[tf.TensorSpec((None, *a.shape[1:]), tf.as_dtype(a.dtype)) for a in (y, f)],
    )
    for n in (5, 2):
        close(program(tf.constant(y[:n]), tf.constant(f[:n])), loss(y[:n], f[:n], reduction=reduction))


# --- mixtures ---------------------------------------------------------------------------------------------


def test_targets_of_another_framework_are_refused():
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match="give both from one library"):
        lm.Dice()(torch.ones(2, 3), jax.numpy.ones((2, 3)))


def test_errors_are_the_same_as_for_numpy():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="y_true holds 2"):
        lm.Dice()(torch.full((2, 3), 2.0), torch.ones(2, 3))
    with pytest.raises(TypeError, match="floating-point"):
        lm.Dice()(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="negative, infinite or NaN"):
        lm.Dice()(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([1.0, -1.0]))


def test_given_arrays_may_be_tensors():
    torch = pytest.importorskip("torch")
    arrays = np.random.default_rng(0).normal(size=(3, 4, 2))
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    lm.Triplet()(*lm.Triplet.given(*tensors)).backward()
    gradient = lm.Triplet().gradient(*lm.Triplet.given(*arrays)).reshape(arrays.shape)
    close(np.array([t.grad.numpy() for t in tensors]), gradient)


def test_given_tensorflow_arrays():
    tf = pytest.importorskip("tensorflow")
    arrays = np.random.default_rng(0).normal(size=(3, 4, 2))
    y, f = lm.Triplet.given(*map(tf.constant, arrays))
    close(lm.Triplet()(y, f), lm.Triplet()(*lm.Triplet.given(*arrays)))
