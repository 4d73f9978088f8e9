"""The primitive words for Keras tensors, symbolic ones included, through ``keras.ops``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from ml_dtypes import finfo

Tensor = Any


class KerasNamespace:
    """The words of the vocabulary on ``KerasTensor``, and on a ``keras.Variable`` before a loss asks for its value."""

    int32 = "int32"
    __name__ = "keras"
    exp = staticmethod(ops.exp)
    log = staticmethod(ops.log)
    log1p = staticmethod(ops.log1p)
    expm1 = staticmethod(ops.expm1)
    tanh = staticmethod(ops.tanh)
    erf = staticmethod(ops.erf)
    sqrt = staticmethod(ops.sqrt)
    abs = staticmethod(ops.abs)
    pow = staticmethod(ops.power)
    where = staticmethod(ops.where)
    isfinite = staticmethod(ops.isfinite)
    isnan = staticmethod(ops.isnan)
    reshape = staticmethod(ops.reshape)
    expand_dims = staticmethod(ops.expand_dims)
    argmax = staticmethod(ops.argmax)
    concat = staticmethod(ops.concatenate)
    sum = staticmethod(ops.sum)
    max = staticmethod(ops.max)
    arange = staticmethod(ops.arange)
    stack = staticmethod(ops.stack)
    matmul = staticmethod(ops.matmul)
    astype = staticmethod(ops.cast)

    @staticmethod
    def finfo(dtype: Any) -> Any:
        """Return the limits of a floating dtype."""
        return finfo(keras.backend.standardize_dtype(dtype))  # type: ignore[no-untyped-call]

    @staticmethod
    def settled(x: Tensor) -> Tensor:
        """Return the tensor of Keras's backend that a variable holds; symbolic tensors stay as they are."""
        return ops.convert_to_tensor(x) if isinstance(x, keras.Variable) else x

    @staticmethod
    def take(x: Tensor, index: Tensor, axis: int) -> Tensor:
        """Return the entries of an axis that an index names."""
        return ops.take(x, index, axis=axis)

    @staticmethod
    def at_label(x: Tensor, index: Tensor) -> Tensor:
        """Return the entry at an index (...,) of each row of x (..., k)."""
        return ops.squeeze(ops.take_along_axis(x, ops.expand_dims(index, -1), axis=-1), -1)

    @staticmethod
    def constants(values: Any, dtype: Any) -> Tensor:
        """Return plain numbers as a tensor."""
        return ops.convert_to_tensor(values, dtype=keras.backend.standardize_dtype(dtype))

    @staticmethod
    def size(x: Tensor) -> Tensor:
        """Return the number of elements, in the dtype of x."""
        return ops.cast(ops.size(x), x.dtype)

    @staticmethod
    def full_like(x: Tensor, value: float) -> Tensor:
        """Return a constant of the shape and dtype of x."""
        return ops.full_like(x, value, dtype=keras.backend.standardize_dtype(x.dtype))

    @staticmethod
    def lgamma(x: Tensor) -> Tensor:
        """Refuse: Keras has no logarithm of the gamma function."""
        raise TypeError("keras.ops has no lgamma; compute on the tensors of Keras's backend or on NumPy arrays")
