"""The sweep over chunks of rows: logits of a chunk, their gradient in place, and its products, then the next chunk.

What differs between array libraries is behind :class:`Backend`; the sweep is one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..engine import pool, rows
from . import linear_blas
from .linear_rows import Targets, cap, cross_entropy, uncap
from .softmax import CROSS_ENTROPY

Array = Any

# Chunks hold 4 % of the logits, but not less than what a product needs to run at full speed.
_SHARE = 0.04
_LEAST = 2**24
# Elements of a block of rows that stays in the L2 cache while NumPy goes over it several times.
_BLOCK = 2**17


class Backend(Protocol):
    """What the sweep asks of an array library."""

    def room(self, like: Array) -> Room:
        """Return how much memory chunks take and may take."""

    def empty(self, rows: int, columns: int, like: Array) -> Array:
        """Return memory for intermediate results for inputs like ``like``."""

    def zeros(self, like: Array) -> Array:
        """Return zeros to accumulate the gradient by ``like``, or what has its shape."""

    def contiguous(self, x: Array) -> Array:
        """Return x with contiguous rows."""

    def multiply(self, a: Array, b: Array, out: Array, *, add: bool = False, factor: float = 1.0) -> None:
        """Compute out = factor * a @ b, or add to it."""

    def cross_entropy(self, z: Array, targets: Targets, gradient: bool) -> Array:
        """Compute values of rows and turn the logits into their gradient."""

    def cap(self, z: Array, softcap: float) -> None:
        """Bend logits into -softcap ... softcap, in place."""

    def uncap(self, z: Array, capped: Array, softcap: float) -> None:
        """Turn the gradient by capped logits into the one by logits, in place."""

    def narrowed(self, z: Array, like: Array) -> Array:
        """Return z in the dtype in which ``like`` is multiplied."""


@dataclass(frozen=True)
class Layer:
    """The linear layer: logits = x @ w.T + bias, capped if wanted.

    Attributes
    ----------
    x : array, shape (n, d)
        Inputs.
    w : array, shape (k, d)
        One row for each class.
    bias : array, shape (k,), or None
        One number for each class.
    softcap : float or None
        Logits are softcap * tanh(logits / softcap).
    """

    x: Array
    w: Array
    bias: Array | None
    softcap: float | None


@dataclass(frozen=True)
class Chosen:
    """The rows that count.

    Attributes
    ----------
    targets : Targets
        What each is measured against.
    index : integer array or None
        Their places among all rows; None if all count.
    weight : floating array or None
        Multiplies their gradients, in the dtype of the inputs; ones if None.
    """

    targets: Targets
    index: Array | None
    weight: Array | None


class Wanted(NamedTuple):
    """Which gradients are wanted."""

    x: bool
    w: bool
    bias: bool


class Room(NamedTuple):
    """Memory of chunks in bytes: of a logit, of all that is alive for it at the peak, and how much pays at most."""

    logit: int
    alive: int
    most: int


class Swept(NamedTuple):
    """Values of all rows, 0 of those that do not count, and gradients, None where not wanted."""

    values: Array
    x: Array | None
    w: Array | None
    bias: Array | None


def chunk_rows(n: int, k: int, room: Room, twice: bool) -> int:
    """Return how many rows of k logits to hold at a time.

    Parameters
    ----------
    n, k : int
        Rows and columns of all logits.
    room : Room
        What a chunk takes, and may take.
    twice : bool
        Whether the logits are kept beside their gradient.
    """
    bytes_ = min(max(int(_SHARE * n * k * room.logit), _LEAST), room.most)
    rows = bytes_ // (k * (room.alive + twice * room.logit))
    return max(1, min(n, rows - rows % 32 if rows > 32 else rows))


def sweep(backend: Backend, layer: Layer, chosen: Chosen, step: int, wanted: Wanted, factor: float) -> Swept:
    """Compute values and gradients, holding ``step`` rows of logits at a time.

    Parameters
    ----------
    backend : Backend
        Works on the layer's arrays.
    layer : Layer
        Inputs and coefficients.
    chosen : Chosen
        The rows that count.
    step : int
        Rows of a chunk.
    wanted : Wanted
        Which gradients to compute; their products are left out otherwise.
    factor : float
        Multiplies all gradients (1 / n in the mean).

    Returns
    -------
    Swept
        Values, unweighted, and gradients.
    """
    count, k = len(chosen.targets.label), layer.w.shape[0]
    values = backend.zeros(layer.x[:, 0])
    by_x, by_w, by_bias = (backend.zeros(a) if want else None for a, want in zip(_by(layer), wanted, strict=True))
    rooms = [backend.empty(min(step, count), k, layer.x) for _ in range(1 + bool(layer.softcap and any(wanted)))]
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        place = part if chosen.index is None else chosen.index[part]
        weight = None if chosen.weight is None else chosen.weight[part][:, None]
        x, z, *spare = backend.contiguous(layer.x[place]), *(room[: part.stop - start] for room in rooms)
        values[place] = _chunk(backend, layer, x, z, spare, chosen.targets.of(part), any(wanted))
        # The weights of rows go into the narrow factors, so that the wide one is written once.
        g = backend.narrowed(z, layer.x)
        if by_x is not None:
            by_x[place] = _by_inputs(backend, g, layer.w, weight, factor)
        if by_w is not None:
            backend.multiply(g.T, x if weight is None else weight * x, by_w, add=True, factor=factor)
        if by_bias is not None:
            by_bias += factor * (z.sum(0) if weight is None else weight[:, 0] @ z)
    return Swept(values, by_x, by_w, by_bias)


def _by(layer: Layer) -> tuple[Array, Array, Array | None]:
    return layer.x, layer.w, layer.bias


def _chunk(
    backend: Backend, layer: Layer, x: Array, z: Array, spare: list[Array], targets: Targets, gradient: bool
) -> Array:
    """Return the values of a chunk and leave the gradient by its logits in z."""
    if layer.bias is not None:
        z[...] = layer.bias
    backend.multiply(x, layer.w.T, z, add=layer.bias is not None)
    if layer.softcap is None:
        return backend.cross_entropy(z, targets, gradient)
    backend.cap(z, layer.softcap)
    for capped in spare:
        capped[...] = z
    values = backend.cross_entropy(z, targets, gradient)
    for capped in spare:
        backend.uncap(z, capped, layer.softcap)
    return values


def _by_inputs(backend: Backend, g: Array, w: Array, weight: Array | None, factor: float) -> Array:
    out = backend.empty(len(g), w.shape[1], w)
    backend.multiply(g, w, out, factor=factor)
    return out if weight is None else weight * out


class NumpyBackend:
    """NumPy arrays of float32 or float64: products by BLAS, rows by the engine's kernels."""

    def room(self, like: Array) -> Room:
        return Room(like.itemsize, like.itemsize, 2**25)

    def empty(self, rows: int, columns: int, like: Array) -> Array:
        return np.empty((rows, columns), like.dtype)

    def zeros(self, like: Array) -> Array:
        return np.zeros(like.shape, like.dtype)

    def contiguous(self, x: Array) -> Array:
        return np.ascontiguousarray(x)

    def multiply(self, a: Array, b: Array, out: Array, *, add: bool = False, factor: float = 1.0) -> None:
        linear_blas.multiply(a, b, out, add=add, factor=factor)

    def cross_entropy(self, z: Array, targets: Targets, gradient: bool) -> Array:
        values = np.empty(len(z), z.dtype)
        if rows.worth_compiling(z):
            rows.softmax(
                CROSS_ENTROPY.texts,
                z,
                targets.label,
                values,
                z if gradient else None,
                class_weights=targets.class_weights,
                smoothing=targets.smoothing,
                ridge=targets.z_loss,
            )
            return values
        block = max(1, _BLOCK // z.shape[1])
        with np.errstate(all="ignore"):
            for start in range(0, len(z), block):
                part = slice(start, start + block)
                values[part] = cross_entropy(np, z[part], np.arange(len(z[part])), targets.of(part), gradient)
        return values

    def cap(self, z: Array, softcap: float) -> None:
        pool.share(len(z), lambda start, stop: cap(np, z[start:stop], softcap))

    def uncap(self, z: Array, capped: Array, softcap: float) -> None:
        pool.share(len(z), lambda start, stop: uncap(z[start:stop], capped[start:stop], softcap))

    def narrowed(self, z: Array, like: Array) -> Array:
        return z
