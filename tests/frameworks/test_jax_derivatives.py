"""Second derivatives in JAX are ours, third ones JAX's of ours; what has none says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
import oracle
from catalogue import ELEMENTWISE, ElementwiseCase
from frameworks.jax_cases import SOME_SMOOTH, SOME_STRUCTURED, JaxCase, close
from lossmith.core.attach import attach

mpmath = pytest.importorskip("mpmath")
jax = pytest.importorskip("jax")
jnp = jax.numpy
if not jax.config.jax_enable_x64:
    pytest.skip("JAX was started without 64-bit numbers (JAX_ENABLE_X64)", allow_module_level=True)

BCE = lm.BinaryCrossEntropy()


def total(case: JaxCase) -> Any:
    """The sum of what the function returns, as a function of the predictions."""
    _, *others = map(jnp.asarray, case.arguments)
    return lambda f: lm.to_jax(case.loss)(f, *others).sum()


def full(loss: Any, y: Any, f: Any) -> Any:
    """Our Hessian of the sum, by all predictions."""
    own = loss.hessian(y, f)
    shape = (*f.shape, *f.shape)
    if loss.tier != "row-wise":
        return np.diag(own.ravel()).reshape(shape)
    whole = np.zeros(shape)
    for i, block in enumerate(own):
        whole[i, :, i, :] = block
    return whole


@pytest.mark.parametrize("case", SOME_SMOOTH, ids=lambda c: c.name)
def test_the_hessian_is_ours(case: JaxCase) -> None:
    got = jax.jit(jax.hessian(total(case)))(jnp.asarray(case.f))
    close(got, full(case.loss, case.y, case.f), 1e-4 if case.rough else 1e-12)


@pytest.mark.parametrize("case", SOME_SMOOTH[::6], ids=lambda c: c.name)
def test_every_mode_finds_it(case: JaxCase) -> None:
    f, vector = jnp.asarray(case.f), jnp.asarray(np.random.default_rng(0).normal(size=case.f.shape))
    want = np.tensordot(full(case.loss, case.y, case.f), vector, case.f.ndim)
    function = total(case)
    ways = (
        jax.grad(lambda x: jnp.vdot(jax.grad(function)(x), vector)),
        lambda x: jax.jvp(jax.grad(function), (x,), (vector,))[1],
        lambda x: jax.grad(lambda z: jax.jvp(function, (z,), (vector,))[1])(x),
        lambda x: jax.linearize(jax.checkpoint(jax.grad(function)), x)[1](vector),
    )
    for way in ways:
        close(way(f), want, 1e-4 if case.rough else 1e-12)


def third(case: ElementwiseCase, y: Any, f: Any) -> Any:
    """Third derivatives of the textbook formula, from its Hessian in 60 digits."""
    with mpmath.mp.workdps(60):
        each = [
            mpmath.diff(lambda x, y=y: case.truth.hessian(mpmath.mpf(y), x, *case.loss.parameters), mpmath.mpf(f))
            for y, f in zip(y.tolist(), f.tolist(), strict=True)
        ]
    return np.array([float(mpmath.re(value)) for value in each])


@pytest.mark.parametrize("case", ELEMENTWISE[::3], ids=lambda c: c.id)
def test_third_derivatives(case: ElementwiseCase) -> None:
    y, f = case.sample(5, seed=7)
    if case.loss.prediction_domain.contains(np.zeros(1)).all() and case.truth is oracle.bce_logits:
        y, f = np.r_[y, 1.0], np.r_[f, 0.0]
    check_third(lambda x: case.loss(jnp.asarray(y), x, reduction="sum"), case, y, f)


def check_third(function: Any, case: ElementwiseCase, y: Any, f: Any) -> None:
    got = jax.jit(jax.grad(lambda x: jax.grad(lambda x: jax.grad(function)(x).sum())(x).sum()))(jnp.asarray(f))
    close(got, third(case, y, f), 1e-9)


def test_the_checker_sees_vanishing_third_derivatives() -> None:
    case = next(case for case in ELEMENTWISE if case.loss == BCE)
    y, f = map(jnp.asarray, case.sample(5, seed=7))

    def attached(x: Any) -> Any:
        form = BCE.form
        return attach(
            x, lambda a: form.value(y, a), lambda a, d: d * (form.slope(y, a) + d / 2 * form.curvature(y, a))
        ).sum()

    close(jax.grad(lambda x: jax.grad(attached)(x).sum())(jnp.asarray(f)), BCE.hessian(y, f), 1e-12)
    with pytest.raises(AssertionError):
        check_third(attached, case, y, f)


def test_infinite_predictions_have_their_limits() -> None:
    gradient = jax.grad(lambda f: BCE(jnp.zeros(2), f, reduction="sum"))(jnp.array([jnp.inf, -jnp.inf]))
    assert gradient.tolist() == [1.0, 0.0]


def test_derivatives_by_targets_and_weights() -> None:
    mse, f, y = lm.to_jax("mse", "sum"), jnp.array([1.0, 2.0]), jnp.array([0.5, -1.0])
    assert jax.grad(mse, 1)(f, y).tolist() == [-1.0, -6.0]
    assert jax.grad(lambda w: mse(f, y, sample_weight=w))(jnp.ones(2)).tolist() == [0.25, 9.0]
    by_both = jax.jacfwd(jax.grad(mse, 0), 1)(f, y)
    assert by_both.tolist() == [[-2.0, 0.0], [0.0, -2.0]]


@pytest.mark.parametrize("case", SOME_STRUCTURED, ids=lambda c: c.name)
def test_second_derivatives_of_structured_losses(case: JaxCase) -> None:
    """Forward over reverse, reverse over reverse and under vmap: what NumPy's gradient changes by."""
    f, function, v = jnp.asarray(case.f), total(case), np.random.default_rng(4).normal(size=case.f.shape)
    reduction = "sum" if case.per_sample else "mean"
    higher, lower = (case.loss.gradient(case.y, case.f + h * v, None, reduction) for h in (1e-6, -1e-6))

    def forward(x: Any) -> Any:
        return jax.jvp(jax.grad(function), (x,), (jnp.asarray(v),))[1]

    found = jax.jit(forward)(f)
    close(found, (higher - lower) / 2e-6, 1e-5)
    close(jax.jit(jax.grad(lambda x: (jax.grad(function)(x) * v).sum()))(f), found, 1e-11)
    close(jax.vmap(forward)(f[None])[0], found, 1e-11)


def test_structured_losses_refuse_a_third_derivative() -> None:
    loss, masks, f = lm.to_jax("dice", "mean"), jnp.ones((2, 3)), jnp.full((2, 3), 0.5)
    with pytest.raises(NotImplementedError, match="twice at most"):
        jax.jacfwd(jax.hessian(lambda x: loss(x, masks)))(f)


def test_second_derivatives_of_items_in_arrays_of_their_own() -> None:
    rng = np.random.default_rng(5)
    members, labels = [jnp.asarray(rng.normal(size=(4, 3))) for _ in range(3)], jnp.array([0, 1, 0, 1])
    for loss, arguments in (
        (lm.to_jax("triplet(margin=3.0, distance='euclidean')"), tuple(members)),
        (lm.to_jax("contrastive(margin=4.0)"), (*members[:2], labels)),
    ):
        rest = arguments[1:]

        def value(x: Any, loss: Any = loss, rest: Any = rest) -> Any:
            return loss(x, *rest, sample_weight=jnp.array([1.0, 0.0, 2.0, 1.0])).sum()

        slope, step = jax.grad(value), 1e-6
        v = rng.normal(size=(4, 3))
        want = (slope(arguments[0] + step * v) - slope(arguments[0] - step * v)) / (2 * step)
        close(jax.jvp(slope, (arguments[0],), (jnp.asarray(v),))[1], want, 1e-5)


def test_structured_losses_refuse_derivatives_by_targets_and_weights() -> None:
    masks, f = jnp.ones((2, 3)), jnp.full((2, 3), 0.5)
    for by in (
        lambda y: lm.to_jax("dice")(f, y).sum(),
        lambda y: lm.to_jax("dice")(f, masks, sample_weight=y[:, 0]).sum(),
    ):
        with pytest.raises(NotImplementedError, match="stop_gradient"):
            jax.grad(by)(masks)
        assert not jax.grad(lambda y, by=by: by(jax.lax.stop_gradient(y)))(masks).any()
