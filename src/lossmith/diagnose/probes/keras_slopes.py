"""Gradients of what Keras computes, on whichever library it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
import numpy as np

Array = np.ndarray[Any, Any]
Compute = Callable[[Any, Any], Any]
"""(inputs, targets) -> one number."""


def numbers(value: Any) -> Array:
    """Return a variable's or a tensor's numbers; Keras's own way warns under some of its libraries.

    Parameters
    ----------
    value : keras.Variable or tensor
        Of any of Keras's libraries.

    Returns
    -------
    ndarray of float64
        A copy.
    """
    held = value.value if isinstance(value, keras.Variable) else value
    if keras.backend.backend() == "torch":
        held = held.detach().cpu()
    plain = held.numpy() if keras.backend.backend() in ("torch", "tensorflow") else held
    return np.array(plain, dtype=np.float64)


class Slopes(ABC):
    """How one library takes gradients."""

    @abstractmethod
    def by_variables(self, compute: Compute, model: Any, x: Any, y: Any) -> list[Any]:
        """Return the gradient of a number by a model's trainable variables, as tensors; None where none arrives."""

    @abstractmethod
    def by_tensor(self, function: Callable[[Any], Any], at: Array) -> Any:
        """Return the gradient of a number by its argument, as a tensor."""


@final
class TensorFlowSlopes(Slopes):
    """By a tape."""

    def by_variables(self, compute: Compute, model: Any, x: Any, y: Any) -> list[Any]:
        """Return the gradient of a number by variables."""
        import tensorflow as tf

        held = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            total = compute(x, y)
        found: list[Any] = tape.gradient(total, held)
        return found

    def by_tensor(self, function: Callable[[Any], Any], at: Array) -> Any:
        """Return the gradient of a number by its argument."""
        import tensorflow as tf

        tensor = keras.ops.convert_to_tensor(at)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            total = function(tensor)
        return tape.gradient(total, tensor)


@final
class TorchSlopes(Slopes):
    """By autograd."""

    def by_variables(self, compute: Compute, model: Any, x: Any, y: Any) -> list[Any]:
        """Return the gradient of a number by variables."""
        import torch

        held = [v.value for v in model.trainable_variables]
        found: list[Any] = list(torch.autograd.grad(compute(x, y), held, allow_unused=True))
        return found

    def by_tensor(self, function: Callable[[Any], Any], at: Array) -> Any:
        """Return the gradient of a number by its argument."""
        import torch

        tensor = keras.ops.convert_to_tensor(at).requires_grad_(True)
        return torch.autograd.grad(function(tensor), tensor)[0]


@final
class JaxSlopes(Slopes):
    """By compiled calls of Keras in a scope where variables have the values given; what the calls change is lost."""

    def __init__(self) -> None:
        self._compiled: dict[Compute, Any] = {}

    def by_variables(self, compute: Compute, model: Any, x: Any, y: Any) -> list[Any]:
        """Return the gradient of a number by variables."""
        own, others = model.trainable_variables, model.non_trainable_variables
        if compute not in self._compiled:
            self._compiled[compute] = _compiled(compute, own, others)
        found: list[Any] = self._compiled[compute]([v.value for v in own], [v.value for v in others], x, y)
        return found

    def by_tensor(self, function: Callable[[Any], Any], at: Array) -> Any:
        """Return the gradient of a number by its argument."""
        import jax

        return jax.grad(function)(keras.ops.convert_to_tensor(at))


def _compiled(compute: Compute, own: Sequence[Any], others: Sequence[Any]) -> Any:
    import jax

    def total(values: list[Any], rest: list[Any], x: Any, y: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip([*own, *others], [*values, *rest], strict=True))):
            return compute(x, y)

    return jax.jit(jax.grad(total))


def slopes() -> Slopes:
    """Return the way of the library that Keras runs on.

    Returns
    -------
    Slopes
        Of TensorFlow, PyTorch or JAX.
    """
    known: dict[str, type[Slopes]] = {"tensorflow": TensorFlowSlopes, "torch": TorchSlopes, "jax": JaxSlopes}
    return known[keras.backend.backend()]()
