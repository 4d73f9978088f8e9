"""A plain training loop in torch lowers every loss, also under autocast; and what a derivative means on a simplex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.bench.parity.instances import Instance, instances

torch = pytest.importorskip("torch")

EVERY = instances(quick=True)
every = pytest.mark.parametrize("instance", EVERY, ids=lambda instance: instance.name)


class Model(torch.nn.Module):
    """A linear layer whose results are brought into the range of a loss's predictions."""

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.loss, self.shape = instance.loss, instance.f.shape
        self.layer = torch.nn.Linear(4, int(np.prod(self.shape[1:])))

    def forward(self, x: Any) -> Any:
        return self.ranged(self.layer(x).reshape(self.shape))

    def ranged(self, z: Any) -> Any:
        inputs = getattr(self.loss, "inputs", "")
        if inputs == "probabilities":
            return z.float().softmax(-1) if self.loss.tier == "row-wise" else z.float().sigmoid()
        if inputs == "log_probabilities":
            return z.log_softmax(-1)
        if inputs == "rate":
            return z.float().exp()
        if inputs == "variance" or self.loss.name == "nll":
            return torch.stack([z[..., 0], z[..., 1].exp()], -1)
        return z


def criterion_of(instance: Instance) -> Any:
    """The module, called with predictions that have the samples first."""
    module = lm.to_torch(instance.loss)
    y = torch.as_tensor(instance.arrays("float32")[0])
    if instance.loss.name == "ctc":
        return lambda f: module(f.transpose(0, 1), y)
    return lambda f: module(f, y)


@every
def test_a_training_loop_lowers_the_loss(instance: Instance) -> None:
    model, criterion = Model(instance), criterion_of(instance)
    x = torch.randn(len(instance.f), 4, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = criterion(model(x))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 0.01 * abs(losses[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every
def test_autocast_is_finite(instance: Instance, dtype: str) -> None:
    """A layer in half precision, and the loss inside autocast, too; it is computed in float32 from what it gets."""
    model, criterion = Model(instance), criterion_of(instance)
    x = torch.randn(len(instance.f), 4, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        z = model(x)
        value = criterion(z)
    value.backward()
    assert value.dtype == torch.float32
    close = criterion(z.detach().float())
    torch.testing.assert_close(value.detach(), close, rtol=1e-6, atol=1e-7)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert any(parameter.grad.abs().max() > 0 for parameter in model.parameters())


# --- probabilities --------------------------------------------------------------------------------------


def test_the_divergence_of_probabilities_is_differentiated_along_the_simplex() -> None:
    """-P/Q and 1 - P/Q are the same to changes that keep the sum; a free difference finds the latter."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 4)
    loss, h = lm.KLDivergence(inputs="probabilities"), 1e-6
    ways = np.eye(3) - 1.0 / 3.0
    for way in ways:
        found = (loss(p, q + h * way, reduction="none") - loss(p, q - h * way, reduction="none")) / (2.0 * h)
        np.testing.assert_allclose(found, loss.gradient(p, q) @ way, rtol=1e-5, atol=1e-8)
    z = torch.tensor(np.log(q), requires_grad=True)
    target = torch.tensor(p)
    assert torch.autograd.gradcheck(lambda z: lm.to_torch(loss)(z.softmax(-1), target), z)
    np.testing.assert_array_equal(loss.gradient(p, q), -p / q)
