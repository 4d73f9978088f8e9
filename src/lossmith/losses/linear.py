"""A linear layer and the cross-entropy behind it in one, for vocabularies whose logits do not fit in memory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..core.parameters import check_fields, non_negative, optional, positive, share, weights, whole
from ..core.reduce import check_reduction
from .linear_problem import NAME, Gradients, read, solve
from .linear_sweep import NumpyBackend, Wanted


@dataclass(frozen=True)
class LinearCrossEntropy:
    """Softmax cross-entropy of the logits X W' + bias against labels, without the matrix of logits.

    The logits of a few rows at a time are computed, turned into their gradient where they lie, multiplied into
    the gradients by X and W, and forgotten: the memory beyond inputs and gradients is below 5 % of what all logits
    would take (but up to 20 MB for small problems), the time that of the three matrix products. Rows that do
    not count (ignored labels, weight 0) are left out of the products. A value alone takes one product.

    Inputs are NumPy arrays of float32 or float64; for torch see :mod:`lossmith.frameworks.torch_linear`. Values,
    reductions and weights are those of :class:`~lossmith.CategoricalCrossEntropy` on the logits.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Share of the target spread evenly over all classes, in [0, 1).
    class_weights : sequence of float, optional
        One weight for each class; "mean" divides by the sum of the targets' weights.
    ignore_index : int, optional
        Label of samples that do not count (any integer, -100 in torch). A batch of nothing else costs 0.
    z_loss : float, default 0.0
        Adds z_loss * (log sum_k exp z_k)^2, times the weight of the target, which keeps logits near 0; >= 0.
    softcap : float, optional
        Logits become softcap * tanh(logits / softcap) before the softmax; > 0.

    References
    ----------
    Wijmans et al. (2025), Cut Your Losses in Large-Vocabulary Language Models, ICLR; Hsu et al. (2024), Liger Kernel,
    arXiv:2410.10989 (gradients in the forward sweep); Chowdhery et al. (2023), PaLM, JMLR 24 (z-loss); Gemma
    Team (2024), Gemma 2, arXiv:2408.00118 (soft cap).

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> X, W = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> loss = lm.LinearCrossEntropy()
    >>> value, (dX, dW, dbias) = loss.value_and_gradient([0, 1], X, W)
    >>> round(float(value), 6) == round(float(lm.CategoricalCrossEntropy()([0, 1], X @ W.T)), 6)
    True
    >>> dX.shape, dW.shape, dbias
    ((2, 2), (3, 2), None)
    """

    label_smoothing: float = share(0.0)
    class_weights: tuple[float, ...] | None = weights()
    ignore_index: int | None = optional(whole(0, at_least=-(2**62)))
    z_loss: float = non_negative(0.0)
    softcap: float | None = optional(positive(1.0))

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(
        self,
        y_true: Any,
        X: Any,
        W: Any,
        bias: Any = None,
        sample_weight: Any = None,
        reduction: str = "mean",
        *,
        chunk_size: int | None = None,
    ) -> Any:
        """Compute the loss.

        Parameters
        ----------
        y_true : array_like of whole numbers, shape (...)
            Labels 0 ... k-1, or ``ignore_index``.
        X : array_like, shape (..., d)
            Inputs of the layer (hidden states), float32 or float64.
        W : array_like, shape (k, d)
            Coefficients of the layer, one row for each class, of X's dtype. Transposed and sliced arrays are read as
            they lie if rows or columns are contiguous, and copied otherwise.
        bias : array_like, shape (k,), optional
            One number for each class, of X's dtype.
        sample_weight : array_like, shape (...), optional
            One number >= 0 for each label. Weight 0 removes a sample, whatever it holds.
        reduction : {"mean", "sum", "none"}
            "mean" is sum(w * l) / sum(w), 0 when nothing counts.
        chunk_size : int, optional
            Rows of logits to hold at a time; chosen by itself.

        Returns
        -------
        number or ndarray
            Per-sample values of y_true's shape for "none"; X's dtype.

        Raises
        ------
        ValueError
            Shapes that do not fit, labels outside 0 ... k-1, bad weights, empty arrays.
        TypeError
            Different dtypes; things that are no numbers; arrays of other libraries.
        """
        check_reduction(reduction)
        problem = read(self, y_true, X, W, bias, sample_weight)
        return solve(NumpyBackend(), problem, Wanted(False, False, False), reduction, chunk_size)[0]

    def value_and_gradient(
        self,
        y_true: Any,
        X: Any,
        W: Any,
        bias: Any = None,
        sample_weight: Any = None,
        reduction: str = "mean",
        *,
        chunk_size: int | None = None,
    ) -> tuple[Any, Gradients]:
        """Compute the reduced loss and its gradients by X, W and the bias.

        Parameters
        ----------
        y_true, X, W, bias, sample_weight, chunk_size
            As in the call.
        reduction : {"mean", "sum"}
            Of the value and the gradients.

        Returns
        -------
        value : number
            The loss.
        gradients : tuple of ndarray
            By X, W and the bias (None without one), in their shapes and dtype.

        Raises
        ------
        ValueError
            As in the call, and for reduction="none", which has no gradient of W's shape.
        TypeError
            As in the call.
        """
        check_reduction(reduction)
        if reduction == "none":
            raise ValueError(f"{NAME}: all samples share W, so gradients need reduction='mean' or 'sum', not 'none'")
        problem = read(self, y_true, X, W, bias, sample_weight)
        return solve(NumpyBackend(), problem, Wanted(True, True, bias is not None), reduction, chunk_size)

    def to_config(self) -> dict[str, Any]:
        """Return the hyper-parameters, JSON-able: ``LinearCrossEntropy(**config)`` makes an equal loss.

        Examples
        --------
        >>> import lossmith as lm
        >>> lm.LinearCrossEntropy(**lm.LinearCrossEntropy(z_loss=1e-4).to_config())
        LinearCrossEntropy(label_smoothing=0.0, class_weights=None, ignore_index=None, z_loss=0.0001, softcap=None)
        """
        return dataclasses.asdict(self)
