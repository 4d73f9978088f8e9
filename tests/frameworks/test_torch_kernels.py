"""Plain CPU tensors are computed by NumPy's kernels: the same bits, whatever the size, stride and weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.torch_cases import EVERY, TorchCase, close

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "case",
    [c for c in EVERY if c.tier != "structured" and c.axes != (0, 2, 1) and c.tier != "composed"],
    ids=lambda c: c.name,
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
