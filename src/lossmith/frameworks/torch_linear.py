"""Linear layer and cross-entropy in one for PyTorch, without the matrix of logits.

The gradients are computed together with the loss, chunk by chunk; ``backward`` scales them. Plain CPU tensors of
float32 and float64 are computed by the NumPy sweep on the same memory; others (half precision, other devices, traced
programs) by the same sweep in operations of torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..core.reduce import check_reduction
from ..losses.linear import LinearCrossEntropy as Loss
from .torch_linear_fused import Call, compute

Tensor = Any


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    bias: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, ...] | None = None,
    ignore_index: int | None = -100,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    chunk_size: int | None = None,
) -> Tensor:
    """Compute the cross-entropy of ``hidden @ weight.T + bias`` without holding these logits.

    Parameters
    ----------
    hidden : Tensor, shape (..., d)
        Inputs of the layer. Under autocast, it and the coefficients are cast as ``torch.nn.functional.linear`` does.
    weight : Tensor, shape (k, d)
        Coefficients as in ``torch.nn.Linear``, one row for each class.
    labels : integer Tensor, shape (...)
        0 ... k-1, or ``ignore_index``. Off the CPU, and in compiled programs, the range is not checked.
    bias : Tensor, shape (k,), optional
        One number for each class.
    sample_weight : Tensor, shape (...), optional
        One number >= 0 for each label, a constant; weight 0 removes a sample.
    label_smoothing, class_weights, ignore_index, z_loss, softcap
        See :class:`lossmith.LinearCrossEntropy`.
    reduction : {"mean", "sum", "none"}
        "mean" is sum(w * l) / sum(w), 0 when nothing counts. "none" computes the logits once more in ``backward``.
    chunk_size : int, optional
        Rows of logits to hold at a time; chosen by itself.

    Returns
    -------
    Tensor
        The loss; per-sample values of the labels' shape for "none". In float32 for half precision, whose gradients
        are accumulated in float32, too.

    Raises
    ------
    ValueError
        Shapes that do not fit, labels outside 0 ... k-1, bad weights.
    TypeError
        Different dtypes; labels that are no integers.

    Examples
    --------
    >>> import torch
    >>> from lossmith.frameworks.torch_linear import linear_cross_entropy
    >>> hidden, head = torch.ones(2, 3), torch.nn.Linear(3, 5)
    >>> loss = linear_cross_entropy(hidden, head.weight, torch.tensor([1, -100]), head.bias)
    >>> loss.backward()
    >>> head.weight.grad.shape
    torch.Size([5, 3])
    """
    make = _Unchecked if torch.compiler.is_compiling() else Loss
    loss = make(label_smoothing, class_weights, ignore_index, z_loss, softcap)
    return compute(Call(loss, labels, sample_weight, reduction, chunk_size), hidden, weight, bias)


class _Unchecked(NamedTuple):
    """The hyper-parameters as a compiled program can carry them."""

    label_smoothing: float
    class_weights: tuple[float, ...] | None
    ignore_index: int | None
    z_loss: float
    softcap: float | None


class LinearCrossEntropy(torch.nn.Module):  # type: ignore[misc]
    """Linear layer and cross-entropy in one, called as ``module(hidden, weight, labels, bias=None)``.

    Parameters
    ----------
    label_smoothing, class_weights, ignore_index, z_loss, softcap, reduction, chunk_size
        See :func:`linear_cross_entropy`. The module has no state; the coefficients stay in the layer that owns them.

    Examples
    --------
    >>> import torch
    >>> from lossmith.frameworks.torch_linear import LinearCrossEntropy
    >>> head = torch.nn.Linear(3, 5, bias=False)
    >>> criterion = LinearCrossEntropy(z_loss=1e-4)
    >>> criterion(torch.ones(2, 4, 3), head.weight, torch.zeros(2, 4, dtype=torch.int64)).shape
    torch.Size([])
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: tuple[float, ...] | None = None,
        ignore_index: int | None = -100,
        z_loss: float = 0.0,
        softcap: float | None = None,
        reduction: str = "mean",
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.loss = Loss(label_smoothing, class_weights, ignore_index, z_loss, softcap)
        self.reduction = reduction
        self.chunk_size = chunk_size

    def forward(
        self,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        bias: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; arguments as in :func:`linear_cross_entropy`."""
        return compute(Call(self.loss, labels, sample_weight, self.reduction, self.chunk_size), hidden, weight, bias)

    def extra_repr(self) -> str:
        """Return the loss and the reduction."""
        return f"{self.loss!r}, reduction={self.reduction!r}"
