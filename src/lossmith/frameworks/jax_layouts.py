"""Functions of losses with a value for each number or row, and what all functions of ``to_jax`` share.

Functions compare and hash by their loss, so that equal ones share what JAX has compiled, also as static arguments.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ..core import host, jax_chain
from ..core.loss import Loss
from ..core.reduce import reduce

Array = Any
_HALVES = (jnp.float16, jnp.bfloat16)


@dataclass(frozen=True)
class LossFunction(ABC):
    """A loss with a reduction.

    Attributes
    ----------
    loss : Loss
        Which one.
    reduction : str or None
        How per-sample values are combined; None: as Optax does.
    """

    loss: Loss
    reduction: str | None


def floating(array: Array, name: str = "predictions") -> Array:
    """Return predictions in which a loss can be computed: half precision overflows at 65504.

    Raises
    ------
    TypeError
        For whole numbers, which the second argument is for.
    """
    found = jnp.asarray(array)
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise TypeError(
            f"{name} has dtype {found.dtype}; give floating-point numbers (predictions first, then targets)"
        )
    return found.astype(jnp.float32) if found.dtype in _HALVES else found


def weights(where: Array | None, sample_weight: Array | None, like: Array) -> Array | None:
    """Return one weight for each value, 0 where ``where`` is False; None if neither is given."""
    if where is None:
        return None if sample_weight is None else jnp.asarray(sample_weight).astype(like.dtype)
    kept = jnp.asarray(where).astype(bool)
    if sample_weight is None:
        return kept.astype(like.dtype)
    given = jnp.asarray(sample_weight).astype(like.dtype)
    rank = max(kept.ndim, given.ndim)
    kept, given = (x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in (kept, given))
    return jnp.where(kept, given, jnp.zeros_like(given))


class SampleFunction(LossFunction, ABC):
    """Of losses with a value for each sample."""

    rank: ClassVar[int]

    def __call__(
        self, predictions: Array, targets: Array, *, where: Array | None = None, sample_weight: Array | None = None
    ) -> Array:
        """Compute the loss of predictions against targets."""
        f, y = floating(predictions), jnp.asarray(targets)
        weight = weights(where, sample_weight, f)
        if f.ndim != self.rank:
            return self.compute(f, y, weight)
        # A sample alone, as jax.vmap hands it over, is a batch of one for the time being.
        found = self.compute(f[None], y[None], None if weight is None else weight[None])
        return found[0] if found.ndim else found

    @abstractmethod
    def compute(self, f: Array, y: Array, weight: Array | None) -> Array:
        """Compute the loss of a batch."""


@functools.partial(jax.jit, static_argnums=0)
def _compiled(made: LossFunction, f: Array, y: Array, weight: Array | None) -> Array:
    return made.loss(y, f, weight, made.reduction or "none")


@dataclass(frozen=True)
class ElementwiseFunction(SampleFunction):
    """Of losses that take a number for a number."""

    rank: ClassVar[int] = 0

    def compute(self, f: Array, y: Array, weight: Array | None) -> Array:
        """Compute the loss of predictions against targets of the same shape."""
        return _compiled(self, f, y, weight)


@dataclass(frozen=True)
class RowFunction(SampleFunction):
    """Of losses on rows, (..., k) against indices (...) or rows (..., k)."""

    rank: ClassVar[int] = 1

    def compute(self, f: Array, y: Array, weight: Array | None) -> Array:
        """Compute the loss of rows of predictions against class indices or target rows."""
        return _compiled(self, f, y, weight)


@dataclass(frozen=True)
class DistributionFunction(SampleFunction):
    """Of a SciPy distribution's likelihood, which is computed on the host."""

    rank: ClassVar[int] = 1

    def compute(self, f: Array, y: Array, weight: Array | None) -> Array:
        """Compute the loss of rows of parameters against numbers."""
        if weight is not None:
            weight = jnp.broadcast_to(weight.reshape(weight.shape + (1,) * (y.ndim - weight.ndim)), y.shape)
            y, f = _as_a_present_one(y, f, weight)
        values = jax_chain.rows(_OnHost(self.loss), y.astype(f.dtype), f, ())
        return reduce(values, weight, self.reduction or "none")


def _as_a_present_one(y: Array, f: Array, weight: Array) -> tuple[Array, Array]:
    """Give samples of weight 0 the numbers of one that counts: they may hold anything."""
    absent, one = (weight == 0).ravel(), jnp.argmax(weight.ravel() > 0)
    numbers, rows = y.ravel(), f.reshape(-1, f.shape[-1])
    numbers = jnp.where(absent, numbers[one], numbers)
    return numbers.reshape(y.shape), jnp.where(absent[:, None], rows[one], rows).reshape(f.shape)


@dataclass(frozen=True)
class _OnHost:
    """The formulas of a row-wise loss that computes on NumPy arrays only."""

    loss: Any

    def value(self, y: Array, f: Array) -> Array:
        """Per-sample values."""
        return self._run(lambda f, y: self.loss(y, f, reduction="none"), y, f, f.shape[:-1])

    def slope(self, y: Array, f: Array) -> Array:
        """Gradient."""
        return self._run(lambda f, y: self.loss.gradient(y, f), y, f, f.shape)

    def product(self, y: Array, f: Array, v: Array) -> Array:
        """Hessian times v; the matrix, since only a product of JAX's own can be transposed."""
        matrix = self._run(lambda f, y: self.loss.hessian(y, f), y, f, (*f.shape, f.shape[-1]))
        return jnp.einsum("...ij,...j->...i", matrix, v)

    def _run(self, function: Any, y: Array, f: Array, shape: tuple[int, ...]) -> Array:
        return host.run(lambda *arrays: (function(*arrays),), f, (y,), (shape,))[0]
