"""The array libraries that are compared: numbers in, and value, gradient and Hessian by their own differentiation."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...core.loss import Loss
from .instances import Instance

Array = Any
Host = npt.NDArray[Any]
Function = Callable[[Array], Array]

VALUE, GRADIENT, HESSIAN = "value", "gradient", "hessian"
ORDERS = (VALUE, GRADIENT, HESSIAN)


class Library(ABC):
    """A library of arrays; it is imported when it is made.

    Attributes
    ----------
    name : str
        For commands and tables.
    title : str
        As its makers write it.
    module, extra : str
        What is imported, and what installs it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    module: ClassVar[str]
    extra: ClassVar[str]

    @classmethod
    def missing(cls) -> str:
        """Say why this library cannot take part; empty if it can."""
        if importlib.util.find_spec(cls.module) is None:
            return f"{cls.title} is not installed; pip install 'lossmith[{cls.extra}]'"
        return ""

    @property
    def version(self) -> str:
        """The installed version."""
        return importlib.metadata.version(self.module)

    @property
    def note(self) -> str:
        """What the numbers were computed on, if that is not plain."""
        return ""

    @abstractmethod
    def array(self, values: Host) -> Array:
        """Bring numbers into the library."""

    @abstractmethod
    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        """Evaluate a function, differentiate its sum, and differentiate that derivative times a vector."""

    def compute(self, instance: Instance, dtype: str, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        """Compute what is asked for.

        Parameters
        ----------
        instance : Instance
            The loss and its inputs.
        dtype : str
            Of targets and predictions.
        vector : ndarray of f's shape
            What the Hessian is multiplied by.
        orders : tuple of str
            Some of value, gradient, hessian.
        """
        y, f = instance.arrays(dtype)
        target = self.array(y)
        loss: Loss = instance.loss
        return self.derivatives(lambda x: loss(target, x, None, instance.reduction), f, vector, orders)


class Torch(Library):
    """Plain CPU tensors, which the compiled kernels serve."""

    name, title, module, extra = "torch", "PyTorch", "torch", "torch"

    def __init__(self) -> None:
        import torch

        self.torch = torch

    def array(self, values: Host) -> Array:
        return self.torch.asarray(np.array(values))

    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        x = self.array(f).requires_grad_(True)
        value = values(x)
        found = {VALUE: value.detach().numpy()}
        if HESSIAN in orders:
            (slope,) = self.torch.autograd.grad(value.sum(), x, create_graph=True)
            (bent,) = self.torch.autograd.grad((slope * self.array(vector)).sum(), x)
            return {**found, GRADIENT: slope.detach().numpy(), HESSIAN: bent.numpy()}
        (slope,) = self.torch.autograd.grad(value.sum(), x)
        return {**found, GRADIENT: slope.numpy()}


class TorchFunc(Library):
    """Tensors under ``torch.func``: the formulas run in torch's own operations, as on a GPU and when compiled."""

    name, title, module, extra = "torch.func", "PyTorch, generic", "torch", "torch"

    def __init__(self) -> None:
        import torch

        self.torch = torch

    def array(self, values: Host) -> Array:
        return self.torch.asarray(np.array(values))

    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        x, v, grad = self.array(f), self.array(vector), self.torch.func.grad

        def total(x: Array) -> tuple[Array, Array]:
            value = values(x)
            return value.sum(), value

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, when a transformation is first used
            slope, value = grad(total, has_aux=True)(x)
            found = {VALUE: value.numpy(), GRADIENT: slope.numpy()}
            if HESSIAN in orders:
                found[HESSIAN] = grad(lambda x: (grad(lambda z: total(z)[0])(x) * v).sum())(x).numpy()
        return found


class Jax(Library):
    """Arrays under ``jax.jit``; 64-bit numbers are switched on for the process."""

    name, title, module, extra = "jax", "JAX", "jax", "jax"

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax = jax

    @property
    def note(self) -> str:
        """Which device, compiled."""
        return f"jit on {self.jax.default_backend()}"

    def array(self, values: Host) -> Array:
        return self.jax.numpy.asarray(values)

    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        jax = self.jax
        v = self.array(vector)

        def total(x: Array) -> tuple[Array, Array]:
            value = values(x)
            return value.sum(), value

        slopes, x = jax.grad(total, has_aux=True), self.array(f)
        slope, value = map(np.asarray, jax.jit(slopes)(x))
        if HESSIAN not in orders:
            return {VALUE: value, GRADIENT: slope}
        bent = jax.jit(jax.grad(lambda z: (slopes(z)[0] * v).sum()))(x)
        return {VALUE: value, GRADIENT: slope, HESSIAN: np.asarray(bent)}


class TensorFlow(Library):
    """Eager tensors under gradient tapes."""

    name, title, module, extra = "tensorflow", "TensorFlow", "tensorflow", "tensorflow"

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow

        self.tf = tensorflow

    @property
    def version(self) -> str:
        """The installed version, whichever distribution brought it."""
        return str(self.tf.__version__)

    def array(self, values: Host) -> Array:
        return self.tf.constant(values)

    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        tf, x = self.tf, self.array(f)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = values(x)
            slope = inner.gradient(value, x)
            product = slope * self.array(vector)
        found = {VALUE: value.numpy(), GRADIENT: slope.numpy()}
        if HESSIAN in orders:
            bent = outer.gradient(product, x)
            found[HESSIAN] = np.zeros_like(f) if bent is None else bent.numpy()
        return found


_BACKENDS: dict[str, type[Library]] = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}


class Keras(Library):
    """Tensors that ``keras.ops`` makes, differentiated by Keras's backend."""

    name, title, module, extra = "keras", "Keras", "keras", "keras"

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        self.keras = keras
        kind = _BACKENDS.get(keras.backend.backend())
        if kind is None:
            raise ImportError(f"Keras runs on {keras.backend.backend()}, which does not differentiate")
        self.backend = kind()

    @property
    def note(self) -> str:
        """Which backend."""
        return f"on {self.backend.title}"

    def array(self, values: Host) -> Array:
        return self.keras.ops.convert_to_tensor(values)

    def derivatives(self, values: Function, f: Host, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
        return self.backend.derivatives(values, f, vector, orders)


LIBRARIES: dict[str, type[Library]] = {kind.name: kind for kind in (Torch, TorchFunc, Jax, TensorFlow, Keras)}
