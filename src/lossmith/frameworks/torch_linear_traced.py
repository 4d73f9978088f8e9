"""Linear cross-entropy in compiled programs: operations of torch only, and no decision depends on numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..core.reduce import reduce
from ..losses.linear_problem import Settings, chunk_length
from ..losses.linear_sweep import Wanted, sweep
from .torch_linear_sweep import TorchBackend, layer_of, read_tensors

Tensor = Any


class Traced(torch.autograd.Function):  # type: ignore[misc]
    """The operation, for ``torch.compile``."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        sample_weight: Tensor | None,
        loss: Settings,
        reduction: str,
        chunk_size: int | None,
    ) -> Tensor:
        """Compute the value and, unless it is needed for each sample, the gradients."""
        wanted = Wanted(*ctx.needs_input_grad[:3])
        now = Wanted(False, False, False) if reduction == "none" else wanted
        value, found = _solve(loss, hidden, weight, bias, labels, sample_weight, reduction, chunk_size, now, None)
        ctx.settings = loss, reduction, chunk_size, wanted
        ctx.save_for_backward(hidden, weight, bias, labels, sample_weight, *found)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients."""
        hidden, weight, bias, labels, sample_weight, *gradients = ctx.saved_tensors
        loss, reduction, chunk_size, wanted = ctx.settings
        if reduction == "none":
            given = (hidden, weight, bias, labels, sample_weight, "sum", chunk_size, wanted, upstream.reshape(-1))
            gradients = _solve(loss, *given)[1]
        else:
            gradients = [None if g is None else g * upstream for g in gradients]
        by_x, by_w, by_bias = gradients
        by_x = None if by_x is None else by_x.reshape(hidden.shape).to(hidden.dtype)
        by_w, by_bias = (None if g is None else g.to(hidden.dtype) for g in (by_w, by_bias))
        return by_x, by_w, by_bias, None, None, None, None, None


def _solve(
    loss: Settings,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    sample_weight: Tensor | None,
    reduction: str,
    chunk_size: int | None,
    wanted: Wanted,
    pull: Tensor | None,
) -> tuple[Tensor, list[Tensor | None]]:
    """Compute the value and the gradients of the reduced loss, or of sum(pull * value)."""
    backend, layer = TorchBackend(), layer_of(loss, hidden, weight, bias)
    problem = read_tensors(loss, labels, layer, sample_weight, traced=True)
    step = chunk_length(chunk_size, backend, problem.layer, any(wanted))
    counts, measure = problem.measure != 0, problem.measure
    # Rows that do not count are computed with the weight 0.
    scale = counts.to(measure.dtype) if problem.weight is None else counts * problem.weight
    chosen = dataclasses.replace(problem.chosen, weight=scale if pull is None else scale * pull)
    found = sweep(backend, problem.layer, chosen, step, wanted, 1.0)
    value = reduce(torch.where(counts, found.values, 0.0), problem.weight, reduction, measure)
    factor = torch.ones_like(measure[0])
    if reduction == "mean":
        mass = (measure if problem.weight is None else problem.weight * measure).sum()
        factor = 1.0 / torch.where(mass == 0, 1.0, mass)
    # Also by 1: what was filled in place must not leave a traced function.
    gradients = [None if g is None else g * factor for g in (found.x, found.w, found.bias)]
    return value.reshape(labels.shape) if reduction == "none" else value, gradients
