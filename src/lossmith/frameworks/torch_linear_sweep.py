"""The sweep of :mod:`lossmith.losses.linear_sweep` in operations of torch: half precision, other devices, programs."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..losses.linear_problem import NAME, Problem, Settings, check_class_weights
from ..losses.linear_rows import Targets, cap, cross_entropy, uncap
from ..losses.linear_sweep import Chosen, Layer, Room

Tensor = Any

_HALVES = (torch.float16, torch.bfloat16)
# Rows of a result that are multiplied at a time in half precision, before they are added in float32.
_ROWS = 4096


class TorchBackend:
    """Tensors of any device; half precision is multiplied as it is, and everything else is float32."""

    def room(self, like: Tensor) -> Room:
        """Return how much memory chunks take: in half precision a copy in float32 and one to multiply."""
        logit = 4 if like.dtype in _HALVES else like.itemsize
        return Room(logit, logit + (2 if like.dtype in _HALVES else 0), 2**25 if like.is_cpu else 2**29)

    def empty(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return memory for intermediate results."""
        return like.new_empty((rows, columns), dtype=accumulated(like.dtype))

    def zeros(self, like: Tensor) -> Tensor:
        """Return zeros to accumulate in."""
        return torch.zeros(like.shape, dtype=accumulated(like.dtype), device=like.device)

    def contiguous(self, x: Tensor) -> Tensor:
        """Return x with contiguous rows."""
        return x.contiguous()

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, *, add: bool = False, factor: float = 1.0) -> None:
        """Compute out = factor * a @ b, or add to it; factors in half precision are added in float32."""
        low = a.dtype if a.dtype in _HALVES else b.dtype
        if low not in _HALVES:
            out.addmm_(a, b, beta=1.0 if add else 0.0, alpha=factor)
            return
        a, b = a.to(low), b.to(low)
        for start in range(0, out.shape[0], _ROWS):
            part = slice(start, start + _ROWS)
            product = a[part] @ b
            if add:
                out[part].add_(product, alpha=factor)
            else:
                out[part].copy_(product).mul_(factor)

    def cross_entropy(self, z: Tensor, targets: Targets, gradient: bool) -> Tensor:
        """Compute values of rows and turn the logits into their gradient."""
        return cross_entropy(torch, z, torch.arange(z.shape[0], device=z.device), targets, gradient)

    def cap(self, z: Tensor, softcap: float) -> None:
        """Bend logits into -softcap ... softcap."""
        cap(torch, z, softcap)

    def uncap(self, z: Tensor, capped: Tensor, softcap: float) -> None:
        """Turn the gradient by capped logits into the one by logits."""
        uncap(z, capped, softcap)

    def narrowed(self, z: Tensor, like: Tensor) -> Tensor:
        """Return z in the dtype in which it is multiplied."""
        return z.to(like.dtype)


def accumulated(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of values and sums."""
    return torch.float32 if dtype in _HALVES else dtype


def layer_of(loss: Settings, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Layer:
    """Return the linear layer, rows flat."""
    x = hidden.detach().reshape(-1, hidden.shape[-1])
    return Layer(x, weight.detach(), None if bias is None else bias.detach(), loss.softcap)


def read_tensors(
    loss: Settings, labels: Tensor, layer: Layer, sample_weight: Tensor | None, *, traced: bool = False
) -> Problem:
    """Put together the rows that count.

    Parameters
    ----------
    loss : Settings
        The hyper-parameters.
    labels : integer Tensor, shape (...)
        Labels; their range is checked on the CPU.
    layer : Layer
        The linear layer.
    sample_weight : Tensor of the labels' shape, or None
        One number for each.
    traced : bool
        Whether no decision may depend on numbers: all rows are computed, and what does not count is 0.

    Returns
    -------
    Problem
        What :func:`lossmith.losses.linear_problem.solve` takes.
    """
    check_class_weights(loss, layer.w.shape[0])
    dtype, k = accumulated(layer.x.dtype), layer.w.shape[0]
    label, shape = labels.reshape(-1).long(), tuple(labels.shape)
    weight = None if sample_weight is None else sample_weight.reshape(-1).to(dtype)
    counts = torch.ones_like(label, dtype=torch.bool) if loss.ignore_index is None else label != loss.ignore_index
    counts = counts if weight is None else counts & (weight != 0)
    index = None if traced or bool(counts.all()) else counts.nonzero()[:, 0]
    if traced:
        kept, layer = (
            torch.where(counts, label, 0),
            dataclasses.replace(layer, x=torch.where(counts[:, None], layer.x, 0)),
        )
    else:
        kept = _in_range(label if index is None else label[index], k)
    targets = Targets(kept, loss.label_smoothing, _row(loss.class_weights, layer.x), loss.z_loss)
    masses = torch.as_tensor(targets.masses(k), dtype=dtype, device=layer.x.device).expand(kept.shape)
    measure = (
        torch.where(counts, masses, 0) if index is None else masses.new_zeros(label.shape).index_put((index,), masses)
    )
    chosen = Chosen(targets, index, weight if weight is None or index is None else weight[index])
    return Problem(layer, chosen, weight, measure, shape)


def _row(numbers: tuple[float, ...] | None, x: Tensor) -> Tensor | None:
    return None if numbers is None else torch.tensor(numbers, dtype=accumulated(x.dtype), device=x.device)


def _in_range(label: Tensor, k: int) -> Tensor:
    outside = label[(label < 0) | (label >= k)] if label.is_cpu else label[:0]
    if outside.numel():
        raise ValueError(
            f"{NAME}: labels holds {int(outside[0])}; accepted are whole numbers 0 ... {k - 1} (weight has {k} rows)"
        )
    return label
