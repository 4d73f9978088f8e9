"""Differentiating a loss in a framework gives our gradient and Hessian, at 0 and at kinks too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from backends.libraries import DIFFERENTIATING, Jax, Library, TensorFlow, Torch
from catalogue import ELEMENTWISE, ROWS, ElementwiseCase, RowCase, neighbours
from lossmith.ops import log1p_exp_neg, positive_part

EXACT_ROWS = [case for case in ROWS if not case.differences]
every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
rows = pytest.mark.parametrize("case", EXACT_ROWS, ids=[f"{c.id}-{c.draw.__name__}" for c in EXACT_ROWS])


@pytest.fixture(params=DIFFERENTIATING, ids=lambda kind: kind.name)
def library(request: pytest.FixtureRequest) -> Library:
    made: Library = request.param()
    return made


def _points(case: ElementwiseCase) -> tuple[Any, Any]:
    """Random samples, and for each hard target 0, the target, kinks, and infinity where it is allowed."""
    y, f = case.sample(8, seed=8)
    kinks = [0.0, 1.0, -1.0, np.inf, -np.inf, 800.0, -800.0, *(s * p for p in case.loss.parameters for s in (1, -1))]
    for target in case.targets[:2]:
        places = np.r_[neighbours(np.array([target]), np.float64), target + np.array(kinks), kinks]
        places[np.abs(places) < 1e-300] = 0.0  # the frameworks flush subnormal numbers
        places = np.unique(places[case.loss.prediction_domain.contains(places)])
        y, f = np.r_[y, np.full(len(places), target)], np.r_[f, places]
    return y, f


def check_attached(library: Library, loss: Any, function: Callable[..., Any], y: Any, f: Any) -> None:
    """Demand our derivatives from the library's differentiation of ``function(y, f)``."""
    target = library.array(y)
    wanted = {"gradient": loss.gradient(y, f), "hessian": loss.hessian(y, f)}
    for name, want in wanted.items():
        got = getattr(library, name)(lambda x: function(target, x), f)
        seen = np.isfinite(f) & np.isfinite(want)  # an infinite derivative is passed on as the largest number
        np.testing.assert_allclose(got[seen], want[seen], rtol=1e-13, atol=1e-300, err_msg=name)
        assert not np.isnan(got).any(), f"{name} is NaN at {f[np.isnan(got)]}"


@every
def test_elementwise_derivatives(library: Library, case: ElementwiseCase) -> None:
    y, f = _points(case)
    check_attached(library, case.loss, lambda t, x: case.loss(t, x, reduction="none"), y, f)


@rows
def test_row_wise_derivatives(library: Library, case: RowCase) -> None:
    y, f = case.sample(5, seed=9)
    target = library.array(y)
    got = library.gradient(lambda x: case.loss(target, x, reduction="none"), f)
    np.testing.assert_allclose(got, case.loss.gradient(y, f), rtol=1e-12, atol=1e-15)


@rows
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_row_wise_hessian(case: RowCase) -> None:
    library = Torch()
    y, f = case.sample(3, seed=10)
    for target, row, want in zip(y, f, case.loss.hessian(y, f), strict=True):
        one = library.array(target[None])
        got = library.xp.func.hessian(lambda x, t=one: case.loss(t, x[None], reduction="sum"))(library.array(row))
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-14)


@every
def test_weighted_mean_is_differentiated_with_its_weights(library: Library, case: ElementwiseCase) -> None:
    y, f = case.sample(5, seed=11)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.5])
    target, weighing = library.array(y), library.array(weight)
    f[1] = 0.5
    got = library.gradient(lambda x: case.loss(target, x, weighing), f)
    np.testing.assert_allclose(got, weight / 5 * case.loss.gradient(y, f), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize(
    "loss", [lm.BinaryCrossEntropy(), lm.PoissonNLL(inputs="rate"), lm.CategoricalFocal(), lm.GaussianNLL()], ids=repr
)
def test_a_sample_of_weight_0_may_hold_nan(library: Library, loss: Any) -> None:
    case = next(
        case for case in (*ELEMENTWISE, *ROWS) if type(case.loss) is type(loss) and case.loss.inputs == loss.inputs
    )
    y, f = case.sample(4, seed=13)
    weight = np.array([1.0, 0.0, 2.0, 0.5])
    broken = np.where(np.arange(4).reshape(4, *[1] * (f.ndim - 1)) == 1, np.nan, f)
    target, weighing = library.array(y), library.array(weight)
    for order in ("gradient", "hessian"):
        got, want = (getattr(library, order)(lambda x: loss(target, x, weighing) ** 2, at) for at in (broken, f))
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
        assert not got[1].any()


# --- compilers ----------------------------------------------------------------------------------------

SOME = [lm.BinaryCrossEntropy(), lm.Huber(), lm.Tukey(), lm.BinaryFocal(gamma=0.5), lm.PoissonNLL(), lm.LogCosh()]


@pytest.mark.parametrize("loss", SOME[:4], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_torch_compile_without_graph_breaks(loss: Any) -> None:
    torch = Torch().xp
    y, f = (torch.tensor(v) for v in ([0.0, 1.0, 1.0], [0.0, 2.0, -30.0]))
    compiled = torch.compile(lambda a, b: loss(a, b), fullgraph=True, backend="aot_eager")
    x = f.clone().requires_grad_(True)
    value = compiled(y, x)
    value.backward()
    assert float(value) == pytest.approx(float(loss(y, f)), rel=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), loss.gradient(y, f).numpy() / 3, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("loss", SOME, ids=repr)
def test_tensorflow_compiles(loss: Any) -> None:
    tf = TensorFlow().tf
    y, f = tf.constant([0.0, 1.0, 1.0], tf.float64), tf.constant([0.0, 2.0, -30.0], tf.float64)
    compiled = tf.function(lambda a, b: loss(a, b, reduction="none"), jit_compile=True)
    np.testing.assert_allclose(compiled(y, f).numpy(), loss(y.numpy(), f.numpy(), reduction="none"), rtol=1e-12)


@pytest.mark.parametrize("loss", SOME, ids=repr)
def test_jax_hessian_and_vmap(loss: Any) -> None:
    library = Jax()
    jax, y, f = library.jax, library.array([0.0, 1.0, 1.0]), library.array([0.0, 2.0, -3.0])
    full = np.asarray(jax.jit(jax.hessian(lambda x: loss(y, x, reduction="sum")))(f))
    np.testing.assert_allclose(full, np.diag(loss.hessian(np.asarray(y), np.asarray(f))), rtol=1e-13, atol=1e-300)
    mapped = jax.vmap(lambda a, b: loss(a[None], b[None]))(y, f)
    np.testing.assert_allclose(mapped, loss(np.asarray(y), np.asarray(f), reduction="none"), rtol=1e-13)


def test_keras_symbolic_tensors_keep_their_shape() -> None:
    keras = pytest.importorskip("keras")
    y, f = keras.KerasTensor((None, 3)), keras.KerasTensor((None, 3))
    for loss in (lm.Huber(), lm.BinaryCrossEntropy(), lm.LogCosh()):
        assert tuple(loss.gradient(y, f).shape) == (None, 3)


# --- negative control ---------------------------------------------------------------------------------


def test_checker_refuses_the_derivative_of_a_branch(library: Library) -> None:
    """max(-f, 0) + log1p(exp(-|f|)) has slope -1/2 at 0; differentiating its text gives -1 or -3/2."""

    def naive(y: Any, f: Any) -> Any:
        return positive_part(-f) + log1p_exp_neg(f) + (1.0 - y) * f

    y, f = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    with pytest.raises(AssertionError):
        check_attached(library, lm.BinaryCrossEntropy(), naive, y, f)
