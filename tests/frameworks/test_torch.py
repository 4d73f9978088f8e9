"""Modules of ``to_torch``: NumPy's numbers, our derivatives, torch's habits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.torch_cases import EVERY, ONCE, TWICE, TorchCase, as_tensors

torch = pytest.importorskip("torch")

# torch's own, when a transformation is first used
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)
twice = pytest.mark.parametrize("case", TWICE, ids=lambda case: case.name)
once = pytest.mark.parametrize("case", ONCE, ids=lambda case: case.name)


def close(got: Any, want: Any, rtol: float) -> None:
    want = np.asarray(want)
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else got
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max(initial=0.0))


# --- parity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@every
def test_values_and_gradients_are_numpys(case: TorchCase, dtype: str) -> None:
    rtol = 1e-12 if dtype == "float64" else 1e-5
    case = case.rounded(dtype)
    f, *rest = case.tensors(torch)
    for reduction in ("mean", "sum"):
        x = f.clone().requires_grad_(True)
        value = lm.to_torch(case.loss, reduction)(x, *rest)
        value.backward()
        assert value.dtype == x.grad.dtype == f.dtype
        close(value, case.numpy(f.numpy(), reduction), rtol)
        close(x.grad, case.gradient(f.numpy(), reduction), rtol)


@every
def test_no_gradient_no_graph(case: TorchCase) -> None:
    f, *rest = case.tensors(torch)
    with torch.no_grad():
        value = lm.to_torch(case.loss, "none")(f.requires_grad_(True), *rest)
    assert not value.requires_grad
    close(value, case.numpy(f.detach().numpy(), "none"), 1e-12)


@pytest.mark.parametrize("case", [c for c in EVERY if c.tier == "elementwise"], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_elementwise_values_are_numpys_to_the_bit(case: TorchCase, dtype: str) -> None:
    f, y = case.tensors(torch, getattr(torch, dtype))
    x = f.clone().requires_grad_(True)
    values = lm.to_torch(case.loss, "none")(x, y)
    values.sum().backward()
    want = case.loss.value_and_gradient(y.numpy(), f.numpy())
    assert (values.detach().numpy() == want[0]).all()
    assert (x.grad.numpy() == want[1]).all()


@pytest.mark.parametrize("case", [c for c in EVERY if c.name.endswith("grid")], ids=lambda case: case.name)
def test_per_sample_values_have_the_targets_shape(case: TorchCase) -> None:
    f, y = case.tensors(torch)
    values = lm.to_torch(case.loss, "none")(f, y)
    assert values.shape == (f.shape[0], *f.shape[2:])
    close(values, case.numpy(f.numpy(), "none"), 1e-12)


def test_input_comes_first() -> None:
    high, low = torch.tensor([1.0]), torch.tensor([0.0])
    assert float(lm.to_torch(lm.Quantile(q=0.9))(low, high)) == pytest.approx(0.9)
    assert float(lm.to_torch(lm.Quantile(q=0.9))(high, low)) == pytest.approx(0.1)


def test_one_row_without_a_batch() -> None:
    z, target = torch.tensor([1.0, 0.0, -1.0]), torch.tensor(2)
    criterion = lm.to_torch("cce", "none")
    close(criterion(z, target), torch.nn.functional.cross_entropy(z, target), 1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torchs_own_losses_agree(reduction: str) -> None:
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    F, labels = torch.nn.functional, torch.tensor([0, 2, 1, 1, 0])
    pairs = [
        (lm.MeanSquaredError(), F.mse_loss, y),
        (lm.Huber(delta=1.0), F.huber_loss, y),
        (lm.BinaryCrossEntropy(), F.binary_cross_entropy_with_logits, y),
        (lm.CategoricalCrossEntropy(), F.cross_entropy, labels),
        (lm.CategoricalCrossEntropy(label_smoothing=0.1), lambda *a, **k: F.cross_entropy(*a, label_smoothing=0.1, **k),
         labels),
    ]  # fmt: skip
    for ours, theirs, target in pairs:
        close(lm.to_torch(ours, reduction)(x, target), theirs(x, target, reduction=reduction), 1e-12)


@pytest.mark.parametrize("name", ["huber", "cce", "triplet", "ctc", "dice"])
def test_weights_are_a_weighted_mean(name: str) -> None:
    case = next(c for c in EVERY if c.loss.name == name)
    f, *rest = case.tensors(torch)
    values = case.numpy(f.numpy(), "none")
    weight = np.linspace(0.0, 2.0, values.size).reshape(values.shape)
    x = f.clone().requires_grad_(True)
    found = lm.to_torch(case.loss)(x, *rest, weight=torch.tensor(weight))
    found.backward()
    close(found, case.numpy(f.numpy(), "mean", weight), 1e-12)
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


# --- CTC ----------------------------------------------------------------------------------------------


def test_ctc_takes_torchs_arguments() -> None:
    T, N, C = 9, 3, 5
    logits = torch.randn(T, N, C, dtype=torch.float64)
    lengths, frames = torch.tensor([2, 3, 1]), torch.tensor([9, 7, 8])
    padded = torch.tensor([[1, 2, 0], [3, 3, 4], [2, 0, 0]])
    flat = torch.tensor([1, 2, 3, 3, 4, 2])
    theirs = torch.nn.functional.ctc_loss(logits.log_softmax(-1), padded, frames, lengths, reduction="none")
    for targets in (padded, flat):
        close(lm.to_torch("ctc", "none")(logits, targets, frames, lengths), theirs, 1e-10)
        close(
            lm.to_torch("ctc")(logits, targets, tuple(frames.tolist()), tuple(lengths.tolist())), theirs.mean(), 1e-10
        )
    torchs_mean = (lm.to_torch("ctc", "none")(logits, padded, frames, lengths) / lengths).mean()
    close(torchs_mean, torch.nn.functional.ctc_loss(logits.log_softmax(-1), padded, frames, lengths), 1e-10)
    close(lm.to_torch("ctc", "none")(logits[:, 0], padded[0, :2]), theirs[0], 1e-10)


def test_ctc_labels_in_a_row_need_their_lengths() -> None:
    logits = torch.zeros(4, 2, 3)
    with pytest.raises(ValueError, match="no target_lengths"):
        lm.to_torch("ctc")(logits, torch.tensor([1, 2, 1]))
    with pytest.raises(ValueError, match="sum to 2"):
        lm.to_torch("ctc")(logits, torch.tensor([1, 2, 1]), None, torch.tensor([1, 1]))


# --- derivatives --------------------------------------------------------------------------------------


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


@twice
def test_gradgradcheck(case: TorchCase) -> None:
    assert torch.autograd.gradgradcheck(*mild(case), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("name", ["bce", "cce"])
def test_gradcheck_of_other_reductions_with_weights(name: str, reduction: str) -> None:
    case = next(c for c in TWICE if c.loss.name == name)
    f, *rest = case.tensors(torch, torch.float64)
    weight = torch.rand(f.shape[0], dtype=torch.float64)
    criterion = lm.to_torch(case.loss, reduction)
    x = f.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: criterion(x, *rest, weight), x)
    assert torch.autograd.gradgradcheck(lambda x: criterion(x, *rest, weight), x)


@once
def test_second_derivatives_of_structured_losses_are_refused(case: TorchCase) -> None:
    f, *rest = case.tensors(torch, torch.float64)
    x = f.requires_grad_(True)
    value = lm.to_torch(case.loss)(x, *rest)
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("name", ["bce", "cce"])
def test_third_derivatives_are_refused(name: str) -> None:
    case = next(c for c in TWICE if c.loss.name == name)
    f, *rest = case.tensors(torch, torch.float64)
    x = f.requires_grad_(True)
    (first,) = torch.autograd.grad(lm.to_torch(case.loss)(x, *rest), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no third derivative"):
        torch.autograd.grad(second.sum(), x)


@twice
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


@once
def test_function_transforms_of_structured_losses(case: TorchCase) -> None:
    f, *rest = case.tensors(torch, torch.float64)
    criterion = lm.to_torch(case.loss)
    close(torch.func.grad(lambda x: criterion(x, *rest))(f), case.gradient(f.numpy()), 1e-12)
    close(torch.func.vmap(lambda x: criterion(x, *rest))(torch.stack([f, f])), [case.numpy(f.numpy())] * 2, 1e-12)


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


# --- dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every
def test_half_precision_is_computed_in_single(case: TorchCase, dtype: str) -> None:
    if case.on_simplex:
        pytest.skip("probabilities rounded to half precision do not sum to 1")
    f, *rest = as_tensors(torch, case.mild(), torch.float32)
    half = f.to(getattr(torch, dtype)).requires_grad_(True)
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        value = lm.to_torch(case.loss)(half, *rest)
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad.dtype == half.dtype
    assert torch.isfinite(half.grad).all()
    close(value, case.numpy(half.detach().double().numpy()), 1e-5)


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((70_000,), 300.0, dtype=torch.float16)
    assert float(lm.to_torch("mse", "sum")(x, torch.zeros_like(x))) == pytest.approx(70_000 * 300.0**2)


# --- modules ------------------------------------------------------------------------------------------


@every
def test_modules_are_stateless_and_copyable(case: TorchCase) -> None:
    criterion = lm.to_torch(case.loss)
    arguments = case.tensors(torch)
    want = criterion(*arguments)
    assert not criterion.state_dict()
    assert not list(criterion.parameters())
    for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert (twin(*arguments) == want).all()
    assert repr(case.loss) in repr(criterion)


def test_a_weighted_sum_takes_class_indices_on_a_grid() -> None:
    loss = lm.WeightedSum((lm.Dice(class_axis=1, inputs="logits"), "cce"), (1.0, 0.5))
    z, y = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randint(0, 3, (2, 4, 4))
    value = lm.to_torch(loss)(z, y)
    value.backward()
    parts = lm.to_torch(loss.losses[0])(z, y) + 0.5 * torch.nn.functional.cross_entropy(z, y)
    close(value, parts.detach(), 1e-5)
    with pytest.raises(ValueError, match="samples in common"):
        lm.to_torch(loss, "none")


def test_negative_log_likelihood_of_any_distribution_on_cpu_tensors() -> None:
    y, f = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    criterion = lm.to_torch(lm.NegativeLogLikelihood("norm"))
    assert torch.autograd.gradcheck(lambda x: criterion(x, y), f.requires_grad_(True))
    with pytest.raises(TypeError, match="NumPy"):
        torch.func.grad(lambda x: criterion(x, y))(f.detach())


def test_refusals_are_one_line() -> None:
    for call, message in (
        (lambda: lm.to_torch(3), "takes a loss or its name"),
        (lambda: lm.to_torch("mse", "batchmean"), "reduction='batchmean'"),
        (lambda: lm.to_torch("mse", gather=True), "compares no samples"),
        (lambda: lm.to_torch("mse")(torch.zeros(3, dtype=torch.int64), torch.zeros(3)), "input first"),
        (lambda: lm.to_torch("mse")(torch.zeros(3, 1), torch.zeros(3)), r"\(3,\).*\(3, 1\)"),
        (lambda: lm.to_torch("cce")(torch.zeros(2, 3), torch.tensor([0, 3])), "holds the label 3"),
        (lambda: lm.to_torch("bce")(torch.zeros(2), torch.tensor([0.0, 2.0])), "y_true holds 2"),
        (lambda: lm.to_torch("mse")(torch.zeros(3), np.zeros(3)), "one library"),
    ):
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_importing_lossmith_imports_no_torch() -> None:
    code = "import sys, lossmith; lossmith.Huber()([0.0], [1.0]); lossmith.to_torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[torch\]'"):
        lm.to_torch("mse")


def test_a_training_loop_lowers_the_loss() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    labels = (x @ torch.tensor([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])).argmax(1)
    model = torch.nn.Linear(3, 2)
    criterion, optimizer = lm.to_torch("cce"), torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


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


# --- methods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [c for c in TWICE if c.axes != (0, 2, 1) and c.tier != "composed"], ids=lambda c: c.name
)
def test_methods_share_memory_with_numpy(case: TorchCase) -> None:
    """Gradient, Hessian and their joint evaluation of plain tensors have NumPy's bits."""
    f, y = case.tensors(torch)
    wanted = case.loss.value_gradient_hessian(case.y, case.f)
    found = case.loss.value_gradient_hessian(y, f)
    for got, want in zip(
        (*found, case.loss.gradient(y, f), case.loss.hessian(y, f)), (*wanted, *wanted[1:]), strict=True
    ):
        assert isinstance(got, torch.Tensor)
        np.testing.assert_array_equal(got.numpy(), want)
    close(case.loss.gradient(y_true=y, y_pred=f), wanted[1], 1e-12)
    assert not case.loss.gradient(y, f.requires_grad_(True)).isnan().any()


@pytest.mark.parametrize("name", ["huber", "cce"])
def test_methods_refuse_what_calls_refuse(name: str) -> None:
    loss = lm.get(name)
    with pytest.raises(TypeError, match="y_true is None"):
        loss.gradient(None, torch.zeros(2, 3))
    with pytest.raises(TypeError, match="y_true is None"):
        loss.gradient(None, np.zeros((2, 3)))
    with pytest.raises(TypeError):
        loss.gradient()


# --- sizes that kernels compute -----------------------------------------------------------------------


def _large(name: str, dtype: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(4)
    if name == "cce":
        loss = lm.CategoricalCrossEntropy(class_weights=(1.0, 2.0, 0.5, 1.0, 3.0))
        return loss, rng.integers(0, 5, 20_000), rng.normal(0, 2, (20_000, 5)).astype(dtype)
    return lm.get(name), (rng.random((700, 100)) < 0.5).astype(dtype), rng.normal(0, 2, (700, 100)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["bce", "huber", "cce"])
def test_large_tensors_have_numpys_numbers(name: str, reduction: str, weighted: bool, dtype: str) -> None:
    loss, y, f = _large(name, dtype)
    shape = loss(y, f, reduction="none").shape
    weight = np.random.default_rng(5).uniform(0, 2, shape).astype(dtype) if weighted else None
    if weight is not None:
        weight[0] = 0.0
    x = torch.tensor(f, requires_grad=True)
    given = None if weight is None else torch.tensor(weight)
    value = lm.to_torch(loss, reduction)(x, torch.tensor(y), given)
    upstream = np.random.default_rng(6).normal(size=value.shape).astype(dtype)
    value.backward(torch.tensor(upstream))
    close(value, loss(y, f, weight, reduction), 1e-13 if dtype == "float64" else 1e-6)
    factor = np.asarray(upstream, np.float64) * (1.0 if weight is None else weight)
    if reduction == "mean":
        factor = factor * float(loss(y, f, weight)) / float(loss(y, f, weight, "sum"))
    slope = loss.gradient(y, f)
    close(x.grad, factor[..., None] * slope if name == "cce" and factor.ndim else factor * slope,
          1e-12 if dtype == "float64" else 1e-5)  # fmt: skip


@pytest.mark.parametrize("name", ["huber", "cce"])
def test_samples_of_weight_0_may_hold_anything(name: str) -> None:
    loss, y, f = _large(name, "float64")
    f[3] = np.nan
    weight = np.ones(len(f))
    weight[3] = 0.0
    x = torch.tensor(f, requires_grad=True)
    value = lm.to_torch(loss)(x, torch.tensor(y), torch.tensor(weight))
    value.backward()
    close(value, loss(y, f, weight), 1e-13)
    assert torch.isfinite(x.grad).all()
    assert (x.grad[3] == 0.0).all()


def test_strided_and_transposed_tensors() -> None:
    f = torch.randn(300, 400, dtype=torch.float64, requires_grad=True)
    y = torch.randn(400, 300, dtype=torch.float64).T
    value = lm.to_torch("huber")(f[:, ::2], y[:, ::2])
    value.backward()
    close(value, lm.Huber()(y[:, ::2].numpy(), f.detach()[:, ::2].numpy()), 1e-13)
    assert (f.grad[:, 1::2] == 0.0).all()
