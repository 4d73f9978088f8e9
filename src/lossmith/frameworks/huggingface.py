"""Losses for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.loss import Loss
from ..core.registry import get
from ..losses.compose import WeightedSum, parts_of

Tensor = Any
# What data collators pad labels with; the Trainer leaves such labels out of its count of items.
IGNORED = -100
# Of these tasks, -100 is no target: it can only mean that there is none.
_NEVER_NEGATIVE = ("binary", "multiclass", "count")


def to_huggingface(loss: Loss | str, *, shift: bool | None = None, output: str = "logits") -> HuggingFaceLoss:
    """Make a loss a ``compute_loss_func`` of ``transformers.Trainer``.

    It is the sum of the values over the number of items in all batches between two optimiser steps, which the Trainer
    counts: with gradient accumulation, many small batches train as one large batch does, however unequal they are.

    Parameters
    ----------
    loss : Loss or str
        An elementwise or row-wise loss of the catalogue, or its name.
    shift : bool, optional
        Whether position t of a sequence predicts the label at t + 1, as in causal language models. It must be said
        for logits (N, T, C): False is for token classification and masked language models. Not for images.
    output : str, default "logits"
        The model's output to take; models that return tuples have it first.

    Returns
    -------
    HuggingFaceLoss
        Called as ``compute_loss_func(outputs, labels, num_items_in_batch=None)``.

        * Row-wise losses take logits (N, C) or (N, T, C), with labels (N,) or (N, T), or target rows; of segmentation
          models logits (N, C, h, w) with labels (N, H, W), to whose size they are enlarged (bilinear), as these models
          do for their own loss. Pixels of label -100 do not count (where processors write 255, replace it).
        * Elementwise losses take outputs of the labels' shape, or with one column more.
        * A label -100 does not count, in classes and counts; as a number it is a number like others.
        * Class weights multiply values; the mean is over items, not over the sum of their weights, which the Trainer
          does not know.
        * float16 and bfloat16 are computed in float32.

    Raises
    ------
    ImportError
        When PyTorch is not installed.
    TypeError
        When ``loss`` is no loss.
    ValueError
        For losses that compare samples or whole masks, whose mean is no sum over items; for another ``ignore_index``
        than -100, since the Trainer counts by that; for ``shift=True`` with a loss that reads no rows.

    Examples
    --------
    >>> import lossmith as lm
    >>> import torch
    >>> compute_loss = lm.to_huggingface(lm.CategoricalCrossEntropy(label_smoothing=0.1))
    >>> compute_loss({"logits": torch.tensor([[2.0, 0.0], [0.0, 0.0]])}, torch.tensor([0, -100]))
    tensor(0.2269)

    Two small batches out of 3 items, as the Trainer calls it; then ``Trainer(model, args, train_dataset=...,
    compute_loss_func=compute_loss)``:

    >>> first = compute_loss({"logits": torch.zeros(2, 2)}, torch.tensor([0, 1]), num_items_in_batch=3)
    >>> second = compute_loss({"logits": torch.zeros(1, 2)}, torch.tensor([1]), num_items_in_batch=3)
    >>> first + second
    tensor(0.6931)
    """
    made = get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise TypeError(f"to_huggingface takes a loss or its name; got {type(loss).__name__}")
    if importlib.util.find_spec("torch") is None:
        raise ImportError("to_huggingface needs PyTorch; pip install 'lossmith[torch]' transformers")
    return HuggingFaceLoss(made, shift, output)


@dataclass(frozen=True)
class HuggingFaceLoss:
    """A loss as the Trainer calls it; :func:`lossmith.to_huggingface` makes it.

    Attributes
    ----------
    loss : Loss
        Which one.
    shift : bool or None
        Whether labels are those of the next position.
    output : str
        The model's output that it takes.
    """

    loss: Loss
    shift: bool | None = None
    output: str = "logits"

    def __post_init__(self) -> None:
        for part in parts_of(self.loss):
            if part.tier not in ("elementwise", "row-wise"):
                raise ValueError(f"{part!r} is no sum over items; compute it in a Trainer's own compute_loss")
            ignored = getattr(part, "ignore_index", None)
            if ignored not in (None, IGNORED):
                raise ValueError(f"{part!r} ignores {ignored}, and the Trainer counts labels other than -100; use -100")
        if isinstance(self.loss, WeightedSum) and self.loss.mixed:
            raise ValueError(f"{self.loss!r} has parts without items in common; compute it in your own compute_loss")
        if self.shift and not self._of_rows:
            raise ValueError(f"shift=True is for losses on rows of logits; {self.loss!r} has none")

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Compute the loss of a batch, as its part of the mean over all items.

        Parameters
        ----------
        outputs : mapping, tuple or tensor
            What the model returned.
        labels : tensor
            The batch's labels.
        num_items_in_batch : tensor or int, optional
            Items (labels other than -100) in all batches of one optimiser step; this batch's own if not given.

        Returns
        -------
        tensor
            A number.

        Raises
        ------
        TypeError
            When there are no labels.
        ValueError
            For logits (N, T, C) when ``shift`` has not been said, and shapes that do not fit.
        """
        if labels is None:
            raise TypeError("labels is None; give batches a 'labels' column (TrainingArguments: label_names)")
        logits, labels = self._aligned(self._chosen(outputs), labels)
        rows = self._of_rows and labels.ndim == logits.ndim
        kept, counted = None, labels.numel()
        if self._ignores and not rows:
            kept = labels != IGNORED
            labels, counted = labels.masked_fill(~kept, 0 if self._of_rows else 1), kept.sum()
        total = self.loss(labels, logits, None if kept is None else kept.to(logits.dtype), "sum")
        items = counted if num_items_in_batch is None else num_items_in_batch
        if not isinstance(items, int):
            items = items.to(total.device)
        items = items / logits.shape[-1] if rows else items  # a row of targets was counted as C labels
        return total / (items + (items == 0))

    @property
    def _of_rows(self) -> bool:
        return parts_of(self.loss)[0].tier == "row-wise"

    @property
    def _ignores(self) -> bool:
        return all(part.traits.task in _NEVER_NEGATIVE for part in parts_of(self.loss))

    def _chosen(self, outputs: Any) -> Tensor:
        if isinstance(outputs, Mapping):
            if self.output not in outputs:
                raise ValueError(f"the model returned {', '.join(outputs)}; say output=... (it is {self.output!r})")
            outputs = outputs[self.output]
        elif isinstance(outputs, (tuple, list)):
            outputs = outputs[0]
        return outputs.float() if outputs.dtype.itemsize < 4 else outputs

    def _aligned(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Bring predictions and the labels they are for into line."""
        if not self._of_rows:
            return (logits[..., 0] if logits.shape == (*labels.shape, 1) else logits), labels
        if self.shift is None and logits.ndim == 4 and labels.ndim == 3:
            return _enlarged(logits, labels.shape[1:]).movedim(1, -1), labels
        if self.shift is None and logits.ndim > 2:
            raise ValueError(
                f"logits have shape {tuple(logits.shape)}; say shift=True if position t predicts label t + 1 (causal "
                "language models), or shift=False (token classification)"
            )
        if not self.shift:
            return logits, labels
        if logits.ndim < 3:
            raise ValueError(f"shift=True takes logits (N, T, C); these have shape {tuple(logits.shape)}")
        return logits[..., :-1, :], labels[:, 1:]


def _enlarged(logits: Tensor, size: Any) -> Tensor:
    """Return logits (N, C, h, w) as (N, C, H, W)."""
    from torch.nn.functional import interpolate

    return logits if logits.shape[2:] == size else interpolate(logits, size=tuple(size), mode="bilinear")
