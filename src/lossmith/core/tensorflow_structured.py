"""Structured losses in TensorFlow: computed on the host by NumPy, by their formulas where the host cannot be called.

XLA (``jit_compile=True``) calls no host, so its programs hold the formula. Elsewhere value and gradient are the
kernels', and what differentiates the gradient is the formula, too. Imported only where TensorFlow has been imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

Array = Any
Tensor = Any


def in_xla() -> bool:
    """Tell whether this is traced for XLA, by ``tf.function(jit_compile=True)``."""
    if tf.executing_eagerly():
        return False
    return bool(control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


def reduced(loss: Any, parts: tuple[Array, ...], f: Tensor, weight: Array | None, reduction: str) -> Tensor:
    """Compute a structured loss with its derivatives.

    Parameters
    ----------
    loss : StructuredLoss
        The loss.
    parts : tuple of tensors or NumPy arrays
        Its targets, taken apart.
    f : tensor
        Predictions.
    weight : tensor or NumPy array, optional
        One number for each sample.
    reduction : str
        "mean", "sum" or "none".

    Returns
    -------
    tensor
        In f's dtype.
    """
    x = tf.convert_to_tensor(f)

    def formula(x: Tensor) -> Tensor:
        found: Tensor = loss._by_formula(parts, _dense(x), weight, reduction)
        return found

    if in_xla():
        return formula(x)
    value, gradient = loss._run(parts, tf.stop_gradient(x), weight, reduction)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def sloped(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return gradient, lambda vector: product(formula, x, vector)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def valued(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def back(upstream: Tensor) -> Tensor:
            loss._total(gradient, reduction)  # says where there is no gradient of single values
            for _ in range(len(x.shape) - len(upstream.shape)):
                upstream = upstream[..., None]
            return upstream * sloped(x)

        return value, back

    return valued(x)


def both(loss: Any, parts: tuple[Array, ...], f: Tensor, weight: Array | None, reduction: str) -> tuple[Tensor, Tensor]:
    """Return the value and the gradient of its sum by the formula, for XLA; parameters as in :func:`reduced`."""
    with tf.GradientTape() as tape:
        tape.watch(f)
        value = loss._by_formula(parts, _dense(f), weight, reduction)
    return value, tape.gradient(value, f)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _dense(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return x; its gradient is a tensor where TensorFlow would give the rows that were looked at."""
    return tf.identity(x), tf.convert_to_tensor


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _last(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    def refused(upstream: Tensor) -> Tensor:
        raise NotImplementedError("structured losses have no third derivative; differentiate twice at most")

    return tf.identity(x), refused


def product(formula: Callable[[Tensor], Tensor], x: Tensor, vector: Tensor) -> Tensor:
    """Return the Hessian of a formula's sum times a vector."""
    x = _last(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = formula(x)
        along = tf.reduce_sum(inner.gradient(value, x, unconnected_gradients="zero") * vector)
    return outer.gradient(along, x, unconnected_gradients="zero")
