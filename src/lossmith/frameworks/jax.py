"""Losses as functions of JAX."""

from __future__ import annotations

import importlib.util
from typing import Any

from ..core.loss import Loss
from ..core.reduce import check_reduction
from ..core.registry import get

Function = Any


def to_jax(loss: Loss | str, reduction: str | None = None) -> Function:
    """Make a pure function of a loss, called as ``function(predictions, targets, *, where=None, sample_weight=None)``.

    Parameters
    ----------
    loss : Loss or str
        A loss of the catalogue, or its name. Predictions come first in the call, as Optax has them.
    reduction : {None, "none", "mean", "sum"}
        None returns what Optax returns: one value for each sample, and one mean where samples are compared with each
        other (embeddings by labels). "mean" is sum(w * l) / sum(w), 0 when nothing has weight, which is not
        ``function(..., sample_weight=w).mean()``, sum(w * l) / n.

    Returns
    -------
    callable
        A function for ``jax.jit``, ``jax.grad``, ``jax.hessian``, ``jax.vmap``, ``jax.pmap`` and ``jax.shard_map``. Its
        gradient and Hessian are the loss's own; third derivatives are JAX's of that Hessian, and derivatives by
        targets and weights JAX's of the value. ``where`` marks the samples that count (the others may hold anything,
        even NaN), ``sample_weight`` gives numbers >= 0; both have the shape of the values, or of its first
        axes. Arrays of NumPy are accepted. float16 and bfloat16 are computed and returned in float32.

        * Elementwise losses take predictions and targets of one shape, which the values have.
        * Row-wise losses take predictions (..., k) with class indices (...) or target rows (..., k), and return (...).
          A label outside 0 ... k-1 makes its value NaN.
        * CTC is called as ``function(logits, logit_paddings, labels, label_paddings)``: logits (B, T, K), not
          normalised, labels (B, N), and paddings of 1 behind zeros, or None; values (B,). A row with frames that are
          padded elsewhere is NaN.
        * Triplet losses take three arrays (t, d), ``function(anchors, positives, negatives)``, contrastive losses
          ``function(first, second, labels)``; values (t,). InfoNCE takes ``function(queries, keys)``; one mean.
          All embedding losses also take embeddings (n, d) with labels (n,), or with rows of indices; one mean.
        * Dice takes predictions and masks as its ``class_axis`` says; values (n,).

        Structured losses (the last three kinds) and NegativeLogLikelihood are computed on the host, in traced programs
        by a callback that ``jax.vmap`` calls once. The Hessian of structured losses is that of their formula in JAX's
        operations, with all pairs and triplets in memory; their third derivatives are refused. Inside ``jax.pmap``
        and ``jax.shard_map`` embeddings are compared with those of their own shard; ``jax.lax.all_gather`` them before.

    Raises
    ------
    ImportError
        When JAX is not installed.
    TypeError
        When ``loss`` is no loss.
    ValueError
        For an unknown reduction, and for "none" where values of different samples share predictions.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import lossmith as lm
    >>> huber = lm.to_jax(lm.Huber(delta=1.0))
    >>> predictions, targets = jnp.array([0.5, 3.0]), jnp.zeros(2)
    >>> huber(predictions, targets).tolist()
    [0.125, 2.5]
    >>> jax.grad(lambda f: huber(f, targets).mean())(predictions).tolist()
    [0.25, 0.5]

    Class indices and a mask:

    >>> logits = jnp.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    >>> where = jnp.array([True, False])
    >>> round(float(lm.to_jax("cce", "mean")(logits, jnp.array([0, 2]), where=where)), 4)
    0.1698

    CTC on logits of 1 sequence, 4 frames and 3 classes:

    >>> labels = jnp.array([[1, 2]])
    >>> round(float(lm.to_jax("ctc")(jnp.zeros((1, 4, 3)), None, labels, None)[0]), 4)
    1.6864
    """
    made = get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise TypeError(f"to_jax takes a loss or its name; got {type(loss).__name__}")
    if reduction is not None:
        check_reduction(reduction)
    if importlib.util.find_spec("jax") is None:
        raise ImportError("to_jax needs JAX; pip install 'lossmith[jax]'")
    from . import jax_functions

    return jax_functions.function(made, reduction)
