"""The primitive words for TensorFlow, which is no array-API library."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def _as(value: Any, dtype: Any) -> Tensor:
    """Return a tensor of a dtype; tf.cast alone would take a Python number through float32."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


class TensorFlowNamespace:
    """The words of the vocabulary on ``tf.Tensor``; everything traces under ``jit_compile=True``."""

    int32, int64, float64 = tf.int32, tf.int64, tf.float64
    __name__ = "tensorflow"
    exp = staticmethod(tf.math.exp)
    log = staticmethod(tf.math.log)
    log1p = staticmethod(tf.math.log1p)
    tanh = staticmethod(tf.math.tanh)
    lgamma = staticmethod(tf.math.lgamma)
    sqrt = staticmethod(tf.math.sqrt)
    abs = staticmethod(tf.math.abs)
    sin = staticmethod(tf.math.sin)
    cos = staticmethod(tf.math.cos)
    atan = staticmethod(tf.math.atan)
    isfinite = staticmethod(tf.math.is_finite)
    isnan = staticmethod(tf.math.is_nan)
    reshape = staticmethod(tf.reshape)
    expand_dims = staticmethod(tf.expand_dims)
    argmax = staticmethod(tf.argmax)
    concat = staticmethod(tf.concat)
    any = staticmethod(tf.reduce_any)

    @staticmethod
    def erf(x: Tensor) -> Tensor:
        """Error function; tf.math.erf is NaN at infinity in float64, and its slope is 0 from 28 on."""
        return tf.math.erf(tf.clip_by_value(x, _as(-30.0, x.dtype), _as(30.0, x.dtype)))

    @staticmethod
    def pow(x: Tensor, exponent: Any) -> Tensor:
        """X to a power."""
        return tf.math.pow(x, _as(exponent, x.dtype))

    @staticmethod
    def where(condition: Tensor, x: Any, y: Any) -> Tensor:
        """Choose by condition; a plain number takes the dtype of the other side."""
        dtype = x.dtype if tf.is_tensor(x) else y.dtype
        return tf.where(condition, _as(x, dtype), _as(y, dtype))

    @staticmethod
    def finfo(dtype: Any) -> Any:
        """Return the limits of a floating dtype (its ``max``)."""
        return tf.as_dtype(dtype)

    @staticmethod
    def expm1(x: Tensor) -> Tensor:
        """exp(x) - 1; TensorFlow's own errs by 2.6 ulp below -1/2, where the difference does not cancel."""
        return tf.where(x < -0.5, tf.math.exp(x) - 1.0, tf.math.expm1(x))

    @staticmethod
    def full_like(x: Tensor, value: float) -> Tensor:
        """Return a constant of the shape and dtype of x."""
        return tf.fill(tf.shape(x), _as(value, x.dtype))

    @staticmethod
    def settled(x: Tensor) -> Tensor:
        """Return what to compute on: x itself."""
        return x

    @staticmethod
    def size(x: Tensor) -> Tensor:
        """Return the number of elements, in the dtype of x."""
        return tf.cast(tf.size(x), x.dtype)

    @staticmethod
    def lengths(x: Tensor) -> tuple[Any, ...]:
        """Return the shape; tensors stand for lengths that the graph does not know."""
        found = tf.shape(x)
        return tuple(found[i] if length is None else length for i, length in enumerate(x.shape))

    @staticmethod
    def sum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return tf.reduce_sum(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def max(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Return the maximum over axes."""
        return tf.reduce_max(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def moveaxis(x: Tensor, source: int, destination: int) -> Tensor:
        """Move an axis to another place."""
        order = list(range(len(x.shape)))
        order.insert(destination % len(order), order.pop(source))
        return tf.transpose(x, order)

    @staticmethod
    def take(x: Tensor, index: Tensor, axis: int) -> Tensor:
        """Return the entries of an axis that an index names."""
        return tf.gather(x, index, axis=axis)

    @staticmethod
    def picked(x: Tensor, index: Tensor) -> Tensor:
        """Return of each table of x (n, c, t) the rows that an index (n, s) names."""
        return tf.gather(x, index, axis=1, batch_dims=1)

    @staticmethod
    def at_label(x: Tensor, index: Tensor) -> Tensor:
        """Return the entry at an index (...,) of each row of x (..., k)."""
        return tf.gather(x, index, axis=-1, batch_dims=len(x.shape) - 1)

    @staticmethod
    def constants(values: Any, dtype: Any) -> Tensor:
        """Return plain numbers as a tensor."""
        return tf.constant(values, dtype)

    @staticmethod
    def scan(step: Any, first: Any, items: Any) -> Any:
        """Carry a state along the first axis of tensors."""
        states = tf.scan(step, items, first)
        return tf.nest.map_structure(lambda state: state[-1], states)

    @staticmethod
    def astype(x: Tensor, dtype: Any) -> Tensor:
        """Convert to a dtype."""
        return tf.cast(x, dtype)

    @staticmethod
    def stack(arrays: Any, axis: int = 0) -> Tensor:
        """Join along a new axis."""
        return tf.stack(list(arrays), axis=axis)

    @staticmethod
    def arange(n: int) -> Tensor:
        """Return 0 ... n-1."""
        return tf.range(n)

    @staticmethod
    def matmul(x: Tensor, y: Tensor) -> Tensor:
        """Matrix product over the last two axes."""
        return tf.linalg.matmul(x, y)
