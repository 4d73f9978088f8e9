"""The modules that ``to_torch`` makes, one for each way torch lays out its arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from ..core.loss import Loss
from ..losses.compose import WeightedSum
from ..losses.sequence import CTC
from . import torch_gather

Tensor = Any
_HALVES = (torch.float16, torch.bfloat16)


def module(loss: Loss, reduction: str, gather: bool) -> LossModule:
    """Return the module for a loss; arguments as in :func:`lossmith.to_torch`."""
    if isinstance(loss, WeightedSum):
        return SumModule(loss, reduction, gather)
    if isinstance(loss, CTC):
        return SequenceModule(loss, reduction)
    if loss.tier == "row-wise":
        return RowModule(loss, reduction)
    if gather:
        return GatheringModule(loss, reduction)
    return SameShapeModule(loss, reduction)


class LossModule(torch.nn.Module, ABC):  # type: ignore[misc]
    """A loss with a reduction.

    Parameters
    ----------
    loss : Loss
        Which one.
    reduction : {"mean", "sum", "none"}
        How per-sample values are combined.
    """

    def __init__(self, loss: Loss, reduction: str) -> None:
        super().__init__()
        self.loss = loss
        self.reduction = reduction

    @abstractmethod
    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of predictions against targets."""

    def extra_repr(self) -> str:
        """Return the loss and the reduction."""
        return f"{self.loss!r}, reduction={self.reduction!r}"

    def _get_name(self) -> str:
        return "LossModule"


def _precise(input: Tensor) -> Tensor:
    """Return predictions in which a loss can be computed: half precision overflows at 65504."""
    if not isinstance(input, torch.Tensor):
        raise TypeError(f"input is {type(input).__name__}; give a tensor of predictions")
    if not input.is_floating_point():
        raise TypeError(f"input has dtype {input.dtype}; give floating-point predictions (input first, then target)")
    return input.float() if input.dtype in _HALVES else input


class SameShapeModule(LossModule):
    """Of losses that take input and target as torch lays them out."""

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of input and target; weight is one number for each value or sample."""
        return self.loss(target, _precise(input), weight, self.reduction)


class RowModule(LossModule):
    """Of losses on rows, which torch lays along axis 1."""

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of input (N, C, d1, ...) against indices (N, d1, ...) or rows (N, C, d1, ...)."""
        rows = _precise(input)
        if rows.ndim == 1:
            values = self.loss(target[None], rows[None], weight, self.reduction)
            return values[0] if self.reduction == "none" else values
        if rows.ndim > 2:
            target = target.movedim(1, -1) if target.ndim == rows.ndim else target
            rows = rows.movedim(1, -1)
        return self.loss(target, rows, weight, self.reduction)


class SequenceModule(LossModule):
    """Of CTC, with torch's axes and lengths."""

    def forward(  # type: ignore[override]
        self,
        input: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int] | None = None,
        target_lengths: Tensor | Sequence[int] | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of logits (T, N, C), not normalised, against labels (N, S) or (sum(target_lengths),)."""
        logits = _precise(input)
        alone = logits.ndim == 2
        if alone:
            logits, targets = logits[:, None], targets[None]
        frames, lengths = _lengths(input_lengths), _lengths(target_lengths)
        if targets.ndim == 1:
            targets = _padded(targets, lengths)
        y_true = CTC.targets(targets, lengths, frames)
        values = self.loss(y_true, logits.transpose(0, 1), weight, self.reduction)
        return values[0] if alone and self.reduction == "none" else values


def _lengths(given: Tensor | Sequence[int] | None) -> Tensor | None:
    return None if given is None else torch.as_tensor(given).reshape(-1)


def _padded(targets: Tensor, lengths: Tensor | None) -> Tensor:
    """Return labels that stand one after the other as rows."""
    if lengths is None or int(lengths.sum()) != len(targets):
        total = "no target_lengths" if lengths is None else f"target_lengths that sum to {int(lengths.sum())}"
        raise ValueError(
            f"CTC: targets has shape {tuple(targets.shape)} with {total}; give rows of labels (N, S), or labels one "
            "after the other with target_lengths that sum to their number"
        )
    rows = targets.split(lengths.tolist())
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=-1)


class GatheringModule(LossModule):
    """Of embedding losses, on the batches of all processes together."""

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of the joint batch; the embeddings of other processes get their gradients, too."""
        joint = torch_gather.gather(_precise(input), target, weight)
        return self.loss(joint.target, joint.input, joint.weight, self.reduction)

    def extra_repr(self) -> str:
        """Return the loss, the reduction and that processes are gathered."""
        return f"{super().extra_repr()}, gather=True"


class SumModule(LossModule):
    """Of weighted sums: each part takes what it takes alone."""

    def __init__(self, loss: WeightedSum, reduction: str, gather: bool) -> None:
        super().__init__(loss, reduction)
        if loss.mixed and reduction == "none":
            raise ValueError(f"{loss!r} has parts without samples in common; reduce by 'mean' or 'sum'")
        self.factors = tuple(factor for factor, _ in loss.parts)
        self.parts = torch.nn.ModuleList(
            module(part, reduction, gather and part.traits.task == "embedding") for part in loss.losses
        )

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the weighted sum of the parts' losses."""
        values = (part(input, target, weight) for part in self.parts)
        return sum(factor * value for factor, value in zip(self.factors, values, strict=True))

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"
