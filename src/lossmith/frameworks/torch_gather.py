"""The batches of all processes as one, for losses that compare samples with each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import distributed

Tensor = Any


class Joint(NamedTuple):
    """What a loss receives.

    Attributes
    ----------
    input, target, weight : tensor
        Those of all processes one after the other; weight may be None.
    """

    input: Tensor
    target: Tensor
    weight: Tensor | None


def gather(input: Tensor, target: Tensor, weight: Tensor | None) -> Joint:
    """Put the batches of all processes one after the other; unchanged without a process group.

    Parameters
    ----------
    input : tensor, shape (n, d)
        Embeddings; n may differ between processes.
    target : tensor, shape (n,)
        Labels.
    weight : tensor, optional
        One number for each target; all processes must give one, or none.

    Returns
    -------
    Joint
        The gradient of its input flows back to the process that gave it, summed over the processes.

    Raises
    ------
    ValueError
        For rows of indices, which compare given pairs only.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return Joint(input, target, weight)
    if target.ndim != 1:
        raise ValueError("gather=True compares all embeddings by label; give labels (n,), not rows of indices")
    counts = _counts(input)
    return Joint(
        _Gathered.apply(input, counts),
        _collected(target, counts),
        None if weight is None else _collected(weight, counts),
    )


def _counts(x: Tensor) -> list[int]:
    """Return how many rows each process has."""
    own = torch.tensor([len(x)], device=x.device)
    found = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, own)
    return [int(count) for count in found]


def _collected(x: Tensor, counts: list[int]) -> Tensor:
    """Return the rows of all processes; shorter batches travel padded, since collectives want one shape."""
    padded = x.new_zeros((max(counts), *x.shape[1:]))
    padded[: len(x)] = x.detach()
    found = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(found, padded)
    return torch.cat([rows[:count] for rows, count in zip(found, counts, strict=True)])


class _Gathered(torch.autograd.Function):  # type: ignore[misc]
    """Rows of all processes; the backward pass sums what each process's loss says of this one's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _collected(x, counts)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        total = upstream.contiguous().clone()
        distributed.all_reduce(total)
        rank = distributed.get_rank()
        start = sum(ctx.counts[:rank])
        return total[start : start + ctx.counts[rank]], None
