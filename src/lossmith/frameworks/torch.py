"""Losses as modules of PyTorch."""

from __future__ import annotations

import importlib.util
from typing import Any

from ..core.loss import Loss
from ..core.reduce import check_reduction
from ..core.registry import get
from ..losses.compose import WeightedSum

Module = Any


def to_torch(loss: Loss | str, reduction: str = "mean", *, gather: bool = False) -> Module:
    """Make a ``torch.nn.Module`` of a loss, called as ``module(input, target, weight=None)``.

    Parameters
    ----------
    loss : Loss or str
        A loss of the catalogue, or its name. Predictions come first in the call, as torch has them.
    reduction : {"mean", "sum", "none"}
        "mean" is sum(w * l) / sum(w), 0 when nothing has weight.
    gather : bool
        Of embedding losses in distributed training: compute on the batches of all processes together. With
        ``DistributedDataParallel``, which averages gradients, every process then has the gradient of the joint
        batch. Nothing changes where no process group has been initialised.

    Returns
    -------
    torch.nn.Module
        Without parameters, buffers or state. Its gradient and Hessian are the loss's own: ``backward`` twice,
        ``torch.func`` and ``torch.compile(fullgraph=True)`` all find them. The Hessian of structured losses is
        that of their formula in torch's operations, with all pairs and triplets in memory. Third derivatives are
        refused for structured losses and plain CPU tensors; under ``torch.func``, in compiled programs and on other
        devices those of other losses vanish and must not be used.
        Plain CPU tensors in float32 and float64 are computed by fused kernels on the same memory; float16 and bfloat16
        are computed and returned in float32.

        * Elementwise losses take input and target of one shape.
        * Row-wise losses take input (N, C), (N, C, d1, ...) or (C,), with class indices (N,), (N, d1, ...) or (), or
          with target rows of the input's shape. GaussianNLL reads its two columns along axis 1, too. A label outside
          0 ... C-1 is an error for plain CPU tensors and makes the loss NaN elsewhere; torch's -100 must be asked for
          by ``ignore_index=-100``.
        * CTC is called as ``module(logits, targets, input_lengths=None, target_lengths=None, weight=None)``: logits
          (T, N, C) or (T, C), not normalised (no log_softmax before); targets (N, S), or one after the other as
          (sum(target_lengths),). "mean" is the mean over the batch; torch's own first divides each value by its
          target's length, which ``(module_none(...) / target_lengths).mean()`` gives.
        * Triplet, contrastive and NT-Xent losses take embeddings (n, d) and labels (n,), or rows of indices. With
          ``gather=True`` give labels that mean the same in all processes.
        * Dice takes what its ``class_axis`` says: with ``class_axis=1``, input (N, C, H, W) with class indices
          (N, H, W) or one-hot masks.

    Raises
    ------
    ImportError
        When PyTorch is not installed.
    TypeError
        When ``loss`` is no loss.
    ValueError
        For an unknown reduction, and for ``gather=True`` with a loss that is not of embeddings.

    Examples
    --------
    >>> import lossmith as lm
    >>> import torch
    >>> criterion = lm.to_torch(lm.Huber(delta=1.35))
    >>> criterion
    LossModule(Huber(delta=1.35), reduction='mean')
    >>> x = torch.tensor([0.5, 3.0], requires_grad=True)
    >>> criterion(x, torch.zeros(2)).backward()
    >>> x.grad
    tensor([0.2500, 0.6750])

    Class indices and sample weights:

    >>> logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    >>> lm.to_torch("cce")(logits, torch.tensor([0, 2]), torch.tensor([1.0, 0.0]))
    tensor(0.1698)

    CTC on logits of 4 frames, 1 sequence and 3 classes:

    >>> lm.to_torch("ctc")(torch.zeros(4, 1, 3), torch.tensor([[1, 2]]), (4,), (2,))
    tensor(1.6864)
    """
    made = get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise TypeError(f"to_torch takes a loss or its name; got {type(loss).__name__}")
    check_reduction(reduction)
    if gather and not _compares(made):
        raise ValueError(f"gather=True is for embedding losses; {type(made).__name__} compares no samples")
    if importlib.util.find_spec("torch") is None:
        raise ImportError("to_torch needs PyTorch; pip install 'lossmith[torch]'")
    from . import torch_modules

    return torch_modules.module(made, reduction, gather)


def _compares(loss: Loss) -> bool:
    """Tell whether a loss, or a part of it, compares samples with each other."""
    parts = loss.losses if isinstance(loss, WeightedSum) else (loss,)
    return any(part.traits.task == "embedding" for part in parts)
