"""Networks trained by PyTorch: the same numbers as NumPy's, on any of torch's devices."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

from ...network.architecture import Architecture
from ...network.criterion import Task, shares, tier_of
from ...network.events import LayerNumbers
from ...network.learner import Learner, Objective
from ...network.optimizers import SGD, Adam
from ...network.passes import Network
from ..torch import to_torch

Array = np.ndarray[Any, Any]
Tensor = Any

_ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "gelu": torch.nn.GELU,
    "sigmoid": torch.nn.Sigmoid,
    "identity": torch.nn.Identity,
}


class Moved(torch.nn.Module):  # type: ignore[misc]
    """``centre + scale * score``, not trained."""

    def __init__(self, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)

    def forward(self, score: Tensor) -> Tensor:
        """Move and scale scores (n, k)."""
        return self.centre + self.scale * score


def sequential(network: Network, device: Any = "cpu") -> Any:
    """Return a ``torch.nn.Sequential`` with a network's layers and numbers."""
    made, layers = network.architecture, []
    theta = torch.tensor(network.theta, device=device)
    for i, (a, b) in enumerate(zip(made.sizes, made.sizes[1:], strict=False)):
        layers.append(torch.nn.Linear(a, b, device=device, dtype=theta.dtype))
        if i < made.depth - 1:
            layers.append(_ACTIVATIONS[made.hidden.name]())
            if made.dropout:
                layers.append(torch.nn.Dropout(made.dropout))
    if network.affine is not None:
        parts = (torch.tensor(v, device=device) for v in (network.affine.centre, network.affine.scale))
        layers.append(Moved(*parts))
    model = torch.nn.Sequential(*layers)
    _write(model, made, network.theta)
    return model


def _dense(model: Any) -> list[Any]:
    return [layer for layer in model if isinstance(layer, torch.nn.Linear)]


def _write(model: Any, made: Architecture, theta: Array) -> None:
    with torch.no_grad():
        for layer, (weights, biases) in zip(_dense(model), made.layers(theta), strict=True):
            layer.weight.copy_(torch.tensor(np.ascontiguousarray(weights.T)))
            layer.bias.copy_(torch.tensor(biases))


class TorchLearner(Learner):
    """A network trained by torch; arguments as for :class:`lossmith.network.NumpyLearner`.

    Dropout's masks come from the same NumPy generator, so that both go the same way.
    """

    def __init__(
        self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any = None
    ) -> None:
        self.objective, self._network, self._dropout = objective, network, dropout
        self._device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        self.model = sequential(network, self._device)
        self._optimizer = self._made_optimizer()
        if memory is not None:
            self._optimizer.load_state_dict(memory)
        self._criterion = to_torch(objective.task.loss, "none")
        self._load(objective.task)
        self._losses: Tensor = None
        self._before: Tensor = None

    def _load(self, task: Task) -> None:
        dtype, outputs = self._network.theta.dtype, self._network.architecture.outputs
        self._elementwise = tier_of(task.loss) == "elementwise"
        y = task.y.astype(dtype) if self._elementwise or task.y.dtype.kind == "f" else task.y
        self._y = torch.as_tensor(y, device=self._device)
        share = shares(task, outputs).astype(dtype)
        self._share = torch.as_tensor(share, device=self._device)
        self._columns = outputs if self._elementwise else 1
        self._X = task.X if issparse(task.X) else torch.as_tensor(task.X, device=self._device)

    def _made_optimizer(self) -> Any:
        spec = self.objective.optimizer
        weights, biases = ([getattr(layer, n) for layer in _dense(self.model)] for n in ("weight", "bias"))
        if isinstance(spec, SGD):
            return torch.optim.SGD([*weights, *biases], lr=1.0, momentum=spec.momentum, nesterov=spec.nesterov)
        if isinstance(spec, Adam):
            groups = [{"params": weights, "weight_decay": spec.decay}, {"params": biases, "weight_decay": 0.0}]
            if not spec.decay:
                groups = [{"params": [*weights, *biases], "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=1.0, betas=(spec.beta1, spec.beta2), eps=spec.epsilon, fused=True)
        raise ValueError(f"solver={spec!r} is for backend='numpy'; torch takes SGD and Adam of lossmith.network")

    def step(self, rows: Array, rate: float) -> tuple[float, float]:
        """Take a step on some rows."""
        index = torch.as_tensor(rows, device=self._device)
        self._optimizer.zero_grad()
        total = self._total(rows, index)
        batch = self.objective.batch
        (total / (batch * self.objective.unit)).backward()
        self._add_penalty(len(rows) / batch)
        gradients = [p.grad for p in self.model.parameters()]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        value = float(total.detach())
        if not (math.isfinite(norm) and math.isfinite(value)):
            return value, norm
        self._keep()
        limit = self.objective.clip_norm
        if limit is not None and norm > limit:
            torch._foreach_mul_(gradients, limit / norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        return value, norm

    def _total(self, rows: Array, index: Tensor) -> Tensor:
        """Return sum(share * loss) of some rows."""
        y, f = self._y[index], self._forward(self._features(rows, index))
        values = self._criterion(f.reshape(y.shape) if self._elementwise else f, y)
        self._losses = values.detach()
        share = self._share[index]
        if self._columns > 1:
            values = values.sum(1) / self._columns
        return values @ share

    def _features(self, rows: Array, index: Tensor) -> Tensor:
        if issparse(self._X):
            return torch.as_tensor(self._X[rows].toarray(), device=self._device)
        return self._X[index]

    def _forward(self, h: Tensor) -> Tensor:
        for layer in self.model:
            h = h * self._mask(tuple(h.shape), layer.p, h.dtype) if isinstance(layer, torch.nn.Dropout) else layer(h)
        return h

    def _mask(self, shape: tuple[int, ...], rate: float, dtype: Any) -> Tensor:
        kept = self._dropout.random(shape, np.float32) >= rate
        return torch.as_tensor(kept, device=self._device).to(dtype) * (1.0 / (1.0 - rate))

    def _add_penalty(self, part: float) -> None:
        """Add the penalty's gradient, by hand: cheaper than through autograd."""
        if self.objective.penalty is None:
            return
        lasso, ridge = self.objective.penalty.parts
        with torch.no_grad():
            for layer in _dense(self.model):
                layer.weight.grad.add_(layer.weight, alpha=2.0 * ridge * part)
                if lasso:
                    layer.weight.grad.add_(layer.weight.sign(), alpha=lasso * part)

    def mean_loss(self, task: Task) -> float:
        """Compute the mean loss of a task, without dropout."""
        return task.mean_loss(self.network().scores(task.X))

    def network(self) -> Network:
        """Return the network as it is now."""
        theta = np.empty_like(self._network.theta)
        layers = self._network.architecture.layers(theta)
        for (weights, biases), layer in zip(layers, _dense(self.model), strict=True):
            weights[...] = layer.weight.detach().cpu().numpy().T
            biases[...] = layer.bias.detach().cpu().numpy()
        return replace(self._network, theta=theta)

    def restore(self, network: Network) -> None:
        """Go back to numbers that :meth:`network` returned."""
        _write(self.model, network.architecture, network.theta)

    def memory(self) -> Any:
        """Return what the optimiser remembers."""
        return self._optimizer.state_dict()

    def watched(self) -> None:
        """From now on keep what :meth:`layers` tells."""
        self._before = []

    def _keep(self) -> None:
        if self._before is not None:
            self._before = [[p.detach().clone() for p in layer.parameters()] for layer in _dense(self.model)]

    def layers(self) -> dict[str, LayerNumbers]:
        """Return norms of the last step; activations are not kept here."""
        found, names = {}, self._network.architecture.names
        for name, layer, before in zip(names, _dense(self.model), self._before or [], strict=False):
            now = [p.detach() for p in layer.parameters()]
            moved = [a - b for a, b in zip(now, before, strict=True)]
            found[name] = LayerNumbers(_norm([p.grad for p in layer.parameters()]), _norm(now), _norm(moved))
        return found

    def sample_losses(self) -> Array:
        """Return the losses of the last step's rows."""
        return np.asarray(self._losses.cpu())


def _norm(parts: list[Tensor]) -> float:
    return math.sqrt(sum(float(p.square().sum()) for p in parts))
