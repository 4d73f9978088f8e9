"""Derivatives of tensors are ours: backward twice, function transforms, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.torch_cases import EVERY, TorchCase, as_tensors, close

torch = pytest.importorskip("torch")

# torch's own, when a transformation is first used
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)


def mild(case: TorchCase) -> tuple[Any, Any]:
    """A function and its input, where differences of values approximate derivatives."""
    f, *rest = as_tensors(torch, case.mild())
    criterion = lm.to_torch(case.loss)
    if case.on_simplex:
        return lambda z: criterion(z.softmax(1), *rest), f.log().requires_grad_(True)
    return lambda x: criterion(x, *rest), f.requires_grad_(True)


@every
def test_gradcheck(case: TorchCase) -> None:
    assert torch.autograd.gradcheck(*mild(case), rtol=1e-4, atol=1e-6)


@every
def test_gradgradcheck(case: TorchCase) -> None:
    assert torch.autograd.gradgradcheck(*mild(case), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("name", ["bce", "cce"])
def test_gradcheck_of_other_reductions_with_weights(name: str, reduction: str) -> None:
    case = next(c for c in EVERY if c.loss.name == name)
    f, *rest = case.tensors(torch, torch.float64)
    weight = torch.rand(f.shape[0], dtype=torch.float64)
    criterion = lm.to_torch(case.loss, reduction)
    x = f.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: criterion(x, *rest, weight), x)
    assert torch.autograd.gradgradcheck(lambda x: criterion(x, *rest, weight), x)


@pytest.mark.parametrize("name", ["bce", "cce", "dice", "ctc"])
def test_third_derivatives_are_refused(name: str) -> None:
    case = next(c for c in EVERY if c.loss.name == name)
    f, *rest = case.tensors(torch, torch.float64)
    x = f.requires_grad_(True)
    (first,) = torch.autograd.grad(lm.to_torch(case.loss)(x, *rest), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no third derivative"):
        torch.autograd.grad(second.sum(), x)


@every
def test_function_transforms(case: TorchCase) -> None:
    """grad, jacrev, hessian and vmap agree with backward through the kernels."""
    f, *rest = case.tensors(torch, torch.float64)
    criterion = lm.to_torch(case.loss)

    def value(x: Any) -> Any:
        return criterion(x, *rest)

    x = f.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(x), x, create_graph=True)
    direction = torch.randn_like(f)
    (product,) = torch.autograd.grad((gradient * direction).sum(), x)
    for found in (torch.func.grad(value)(f), torch.func.jacrev(value)(f), torch.func.jacfwd(value)(f)):
        close(found, gradient.detach().numpy(), 1e-12)
    hessian = torch.func.hessian(value)(f).reshape(f.numel(), f.numel())
    close(hessian @ direction.reshape(-1), product.reshape(-1).numpy(), 1e-11)
    stacked = torch.stack([f, f + 0.0])
    close(torch.func.vmap(value)(stacked), value(f).expand(2), 1e-12)


def test_forward_mode_alone() -> None:
    case = next(c for c in EVERY if c.loss.name == "dice")
    f, *rest = case.tensors(torch, torch.float64)
    change = torch.randn_like(f)
    for reduction in ("mean", "none"):
        criterion = lm.to_torch(case.loss, reduction)
        _, risen = torch.func.jvp(lambda x, c=criterion: c(x, *rest), (f,), (change,))
        close(
            risen, torch.func.jacrev(lambda x, c=criterion: c(x, *rest))(f).flatten(-f.ndim) @ change.flatten(), 1e-12
        )


def test_a_second_backward_of_a_kept_graph_gives_the_same() -> None:
    x = torch.randn(6, requires_grad=True)
    value = lm.to_torch("huber")(x, torch.zeros(6))
    found = [torch.autograd.grad(2.0 * value, x, retain_graph=True)[0] for _ in range(3)]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    assert found[0] is not found[1]


def test_predictions_changed_before_backward_are_refused() -> None:
    x = torch.randn(6, requires_grad=True)
    z, y = x * 1.0, torch.zeros(6)
    value = lm.to_torch("huber")(z, y)
    z += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("name", ["bce", "cce"])
def test_targets_and_weights_are_differentiable_too(name: str) -> None:
    """Learned targets (distillation) and weights take the generic way."""
    rng = np.random.default_rng(3)
    y = torch.tensor(rng.dirichlet(np.ones(3), 4), requires_grad=True)
    w = torch.tensor(rng.uniform(0.5, 1.5, (4, 3) if name == "bce" else 4), requires_grad=True)
    x = torch.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    loss = lm.to_torch(name)
    assert torch.autograd.gradcheck(lambda w: loss(x.detach(), y.detach(), w), w)
    x0 = x.detach()
    (got,) = torch.autograd.grad(loss(x, y, w), x)
    want = torch.autograd.grad(loss(x, y.detach(), w.detach()), x)[0]
    close(got, want.numpy(), 1e-12)
    if name == "bce":
        assert torch.autograd.gradcheck(lambda y: loss(x0, y, w.detach()), y)


class Tagged(torch.Tensor):
    """A subclass, which may want to see each operation."""


def test_what_kernels_cannot_see_takes_the_generic_way() -> None:
    """Subclasses, forward mode, tracing and meta tensors give the same numbers, or the shapes."""
    f, y = torch.randn(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    criterion = lm.to_torch("bce")
    want, slope = criterion(f, y), torch.func.grad(lambda x: criterion(x, y))(f)
    x = f.clone().as_subclass(Tagged).requires_grad_(True)
    value = criterion(x, y)
    assert type(value) is Tagged
    close(value.as_subclass(torch.Tensor), want, 1e-13)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(f, torch.ones_like(f))
        tangent = torch.autograd.forward_ad.unpack_dual(criterion(dual, y)).tangent
    close(tangent, slope.sum(), 1e-13)
    traced = torch.fx.experimental.proxy_tensor.make_fx(lambda a: criterion(a, y))(f)
    close(traced(2.0 * f), criterion(2.0 * f, y), 1e-13)
    for name, shape in (("bce", (5,)), ("cce", (5, 3)), ("dice", (2, 4)), ("gaussian_nll", (5, 2))):
        empty = torch.empty(shape, device="meta")
        target = torch.empty(shape if name in ("bce", "dice") else shape[:1], device="meta")
        target = target.long() if name == "cce" else target
        assert lm.to_torch(name)(empty, target).shape == ()
        assert lm.to_torch(name)(empty, target).is_meta


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints(reentrant: bool) -> None:
    x, y, criterion = torch.randn(5, requires_grad=True), torch.rand(5), lm.to_torch("bce")
    (want,) = torch.autograd.grad(criterion(2 * x, y), x)
    torch.utils.checkpoint.checkpoint(lambda a: criterion(2 * a, y), x, use_reentrant=reentrant).backward()
    close(x.grad, want.numpy(), 1e-6)


# --- negative controls --------------------------------------------------------------------------------


def test_gradcheck_finds_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm.LogCosh, "slope", staticmethod(lambda y, f: 1.01 * (f - y)))
    f, y = torch.randn(4, dtype=torch.float64, requires_grad=True), torch.zeros(4, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda x: lm.to_torch("log_cosh")(x, y), f)


def test_gradgradcheck_finds_a_wrong_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm.LogCosh, "curvature", staticmethod(lambda y, f: 0.0 * f))
    f, y = torch.randn(4, dtype=torch.float64, requires_grad=True), torch.zeros(4, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradgradcheck(lambda x: lm.to_torch("log_cosh")(x, y), f)
