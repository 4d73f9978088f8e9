"""Array libraries as the tests use them: in, out, and derivatives by the library's own differentiation."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = Any


class Library(ABC):
    """One array library; nothing is imported before it is asked for."""

    name: str

    @abstractmethod
    def array(self, values: Any) -> Array:
        """Bring NumPy values into the library."""

    def back(self, values: Array) -> Any:
        """Bring results back."""
        return np.asarray(values)

    def gradient(self, function: Callable[[Array], Array], f: Any) -> Any:
        """Differentiate the sum of a function."""
        raise NotImplementedError

    def hessian(self, function: Callable[[Array], Array], f: Any) -> Any:
        """Differentiate the sum twice, elementwise."""
        raise NotImplementedError


class Torch(Library):
    name = "torch"

    def __init__(self) -> None:
        self.xp = pytest.importorskip("torch")

    def array(self, values: Any) -> Array:
        return self.xp.asarray(np.ascontiguousarray(values))

    def back(self, values: Array) -> Any:
        return values.detach().numpy()

    def gradient(self, function: Callable[[Array], Array], f: Any) -> Any:
        x = self.array(f).requires_grad_(True)
        return self.xp.autograd.grad(function(x).sum(), x)[0].numpy()

    def hessian(self, function: Callable[[Array], Array], f: Any) -> Any:
        x = self.array(f).requires_grad_(True)
        first = self.xp.autograd.grad(function(x).sum(), x, create_graph=True)[0]
        return self.xp.autograd.grad(first.sum(), x)[0].numpy()


class Jax(Library):
    name = "jax"

    def __init__(self) -> None:
        self.jax = pytest.importorskip("jax")
        if not self.jax.config.jax_enable_x64:
            pytest.skip("JAX was started without 64-bit numbers (JAX_ENABLE_X64)")

    def array(self, values: Any) -> Array:
        return self.jax.numpy.asarray(values)

    def gradient(self, function: Callable[[Array], Array], f: Any) -> Any:
        return np.asarray(self.jax.jit(self.jax.grad(lambda x: function(x).sum()))(self.array(f)))

    def hessian(self, function: Callable[[Array], Array], f: Any) -> Any:
        once = self.jax.grad(lambda x: function(x).sum())
        return np.asarray(self.jax.jit(self.jax.grad(lambda x: once(x).sum()))(self.array(f)))


class TensorFlow(Library):
    name = "tensorflow"

    def __init__(self) -> None:
        self.tf = pytest.importorskip("tensorflow")

    def array(self, values: Any) -> Array:
        return self.tf.constant(values)

    def back(self, values: Array) -> Any:
        return values.numpy()

    def gradient(self, function: Callable[[Array], Array], f: Any) -> Any:
        x = self.tf.constant(f)
        with self.tf.GradientTape() as tape:
            tape.watch(x)
            total = self.tf.reduce_sum(function(x))
        return tape.gradient(total, x).numpy()

    def hessian(self, function: Callable[[Array], Array], f: Any) -> Any:
        x = self.tf.constant(f)
        with self.tf.GradientTape() as outer:
            outer.watch(x)
            with self.tf.GradientTape() as inner:
                inner.watch(x)
                total = self.tf.reduce_sum(function(x))
            first = self.tf.reduce_sum(inner.gradient(total, x))
        second = outer.gradient(first, x)
        return np.zeros_like(f) if second is None else second.numpy()


class Keras(Library):
    name = "keras"

    def __init__(self) -> None:
        self.keras = pytest.importorskip("keras")

    def array(self, values: Any) -> Array:
        return self.keras.Variable(values, dtype=str(np.asarray(values).dtype), trainable=False)

    def back(self, values: Array) -> Any:
        with warnings.catch_warnings():  # Keras's own on torch: NumPy 2 wants a copy argument
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            return self.keras.ops.convert_to_numpy(values)


class MPArray(Library):
    """60 digits."""

    name = "mparray"

    def __init__(self) -> None:
        self.xp = pytest.importorskip("mparray")

    def array(self, values: Any) -> Array:
        return self.xp.asarray(values)

    def back(self, values: Array) -> Any:
        return np.asarray(values._data, dtype=object).astype(float)


class Strict(Library):
    """The array API and nothing else."""

    name = "array_api_strict"

    def __init__(self) -> None:
        self.xp = pytest.importorskip("array_api_strict")

    def array(self, values: Any) -> Array:
        return self.xp.asarray(values)


LIBRARIES = (Torch, Jax, TensorFlow, Keras, MPArray, Strict)
DIFFERENTIATING = (Torch, Jax, TensorFlow)
