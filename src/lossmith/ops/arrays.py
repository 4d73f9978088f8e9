"""Words for arrays only: reductions along the last axis, one-hot rows, shared softmax pieces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .elementwise import absolute, exp, full_like, indicator, log1p, where
from .namespaces import is_numpy, namespace

Array = Any


def row_sum(x: Array) -> Array:
    """Sum over the last axis."""
    return namespace(x).sum(x, axis=-1)


def row_max(x: Array) -> Array:
    """Maximum over the last axis, which stays as an axis of length 1."""
    return namespace(x).max(x, axis=-1, keepdims=True)


def column(x: Array) -> Array:
    """Turn (...,) into (..., 1)."""
    return x[..., None]


def positions(like: Array) -> Array:
    """Return 0 ... k-1 for rows (..., k), on the same device."""
    xp = namespace(like)
    on_device = {"device": like.device} if xp.__name__.endswith("torch") else {}
    return xp.arange(lengths(like)[-1], **on_device)


def _at(index: Array, like: Array) -> Array:
    """Return True at ``index`` of each row; TensorFlow compares integers of one dtype only."""
    places = positions(like)
    if not is_numpy(like) and places.dtype != index.dtype:
        places = namespace(like).astype(places, index.dtype)
    return column(index) == places


def one_hot(index: Array, like: Array) -> Array:
    """Rows of zeros with a 1 at ``index``: (...,) against ``like`` (..., k), in the dtype of ``like``."""
    return indicator(_at(index, like), like)


def constants(values: Sequence[float], like: Array) -> Array:
    """Plain numbers (k,) in the library, dtype and device of ``like``."""
    xp = namespace(like)
    if xp.__name__.endswith("torch"):
        return sys.modules["torch"].tensor(values, dtype=like.dtype, device=like.device)
    if isinstance(xp, type):  # an adapter of ours
        adapter: Any = xp
        return adapter.constants(values, like.dtype)
    return xp.asarray(values, dtype=like.dtype)


def marks(index: Array, like: Array) -> Array:
    """Return True at ``index`` (...,) of each row of ``like`` (..., k), False elsewhere."""
    return _at(index, like)


def at(x: Array, index: Array) -> Array:
    """Return the entries of x (k,) that an index of any shape names."""
    xp = namespace(x)
    if isinstance(xp, type):  # an adapter of ours
        adapter: Any = xp
        return adapter.take(x, index, axis=0)
    return x[index]


def at_label(x: Array, index: Array) -> Array:
    """Return the entry at ``index`` (...,), which lies in 0 ... k-1, of each row of x (..., k)."""
    xp = namespace(x)
    if isinstance(xp, type):  # an adapter of ours
        adapter: Any = xp
        return adapter.at_label(x, index)
    index = whole(index)
    return xp.take_along_axis(x, column(index), axis=-1)[..., 0]


def first_maximum(x: Array) -> Array:
    """Return True at the first maximum of each row, False elsewhere."""
    xp = namespace(x)
    return _at(xp.argmax(x, axis=-1), x)


class Softmax(NamedTuple):
    """What the losses on a row of logits share; every part keeps its relative accuracy.

    Attributes
    ----------
    probability : array, shape (..., k)
        p = softmax(z).
    complement : array, shape (..., k)
        1 - p without cancellation.
    surprise : array, shape (..., k)
        -log p >= 0; +inf where the logit is -inf.
    """

    probability: Array
    complement: Array
    surprise: Array


class Exponentials(NamedTuple):
    """What a softmax is made of.

    Attributes
    ----------
    leads : array of bool, shape (..., k)
        Where the largest logits are.
    gap : array, shape (..., k)
        How far below the largest each logit is.
    size : array, shape (..., k)
        exp(-gap).
    rest : array, shape (..., 1)
        The sum of the sizes less 1, to its last digits also where one class is nearly sure.
    """

    leads: Array
    gap: Array
    size: Array
    rest: Array


def exponentials(z: Array) -> Exponentials:
    """Exponentials of rows of logits.

    The largest stand as -1 in the table that is summed. Half the sum of x + |x| is that of the others and half the sum
    of |x| - x counts the largest: sums that compilers take together, from one table, with no constant spread over it.
    """
    top = row_max(z)
    leads = z == top
    gap = where(leads, full_like(z, 0.0), top - z)
    marked = where(leads, full_like(z, -1.0), exp(-gap))
    size = absolute(marked)
    rest = 0.5 * row_sum(marked + size) + (0.5 * row_sum(size - marked) - 1.0)
    return Exponentials(leads, gap, size, column(rest))


def softmax(z: Array) -> Softmax:
    """Probabilities, their complements and their surprises for rows of logits.

    Each largest logit is an exact 1 that is left out of the sum of the others, so that neither log p nor 1 - p of a
    confident prediction cancels (torch, Keras and optax lose it beyond a margin of about 17 in float32).
    A row that holds +inf has its whole mass there (its limit); several share it.
    """
    leads, gap, size, rest = exponentials(z)
    total = 1.0 + rest
    p = size / total
    return Softmax(p, where(leads, rest / total, 1.0 - p), gap + log1p(rest))


def outer(x: Array, y: Array) -> Array:
    """Row-wise outer product: (..., k) and (..., k) give (..., k, k)."""
    return x[..., :, None] * y[..., None, :]


def diagonal(x: Array) -> Array:
    """Put rows (..., k) on the diagonals of (..., k, k)."""
    columns = positions(x)
    return where(columns[:, None] == columns[None, :], column(x), full_like(column(x), 0.0))


def off_diagonal(x: Array) -> Array:
    """Matrices (..., k, k) with zeros on their diagonals."""
    columns = positions(x)
    return where(columns[:, None] == columns[None, :], full_like(x, 0.0), x)


def lengths(x: Array) -> tuple[Any, ...]:
    """Return the shape, in which a length that TensorFlow's graph does not know is a tensor."""
    known = tuple(x.shape)
    return namespace(x).lengths(x) if None in known else known


def rows_at(x: Array, index: Array) -> Array:
    """Return the rows of x (n, ...) that an index (t,) names."""
    return namespace(x).take(x, index, axis=0)


def picked(x: Array, index: Array) -> Array:
    """Return of each table of x (n, c, t) the rows that an index (n, s) names: (n, s, t)."""
    xp = namespace(x)
    if isinstance(xp, type):  # an adapter of ours
        adapter: Any = xp
        return adapter.picked(x, index)
    return xp.take_along_axis(x, column(index), axis=1)


def whole(x: Array) -> Array:
    """Return whole numbers as the integers that index arrays."""
    xp = namespace(x)
    return xp.astype(x, xp.int64 if xp.__name__.endswith("torch") else xp.int32)


def total(x: Array, axis: Any) -> Array:
    """Sum over axes."""
    return namespace(x).sum(x, axis=axis)


def moved(x: Array, source: int, destination: int) -> Array:
    """Move an axis to another place."""
    return namespace(x).moveaxis(x, source, destination)


def products(x: Array, y: Array) -> Array:
    """Return the scalar products of the rows of x (n, d) with those of y (m, d)."""
    return namespace(x).matmul(x, moved(y, 0, 1))


def scan(step: Callable[[Any, Any], Any], first: Any, items: Any) -> Any:
    """Carry a state along the first axis of some arrays.

    Parameters
    ----------
    step : callable
        ``step(state, item)`` gives the next state; both are tuples of arrays.
    first : tuple of arrays
        The state before the first item.
    items : tuple of arrays, shapes (t, ...)
        Their i-th entries make item i.

    Returns
    -------
    tuple of arrays
        The state after the last item.
    """
    xp = namespace(items[0])
    if xp.__name__ == "jax.numpy":
        carried = sys.modules["jax"].lax.scan(lambda state, item: (step(state, item), None), first, items)
        return carried[0]
    if isinstance(xp, type):  # an adapter of ours
        adapter: Any = xp
        return adapter.scan(step, first, items)
    state = first
    for i in range(items[0].shape[0]):
        state = step(state, tuple(item[i] for item in items))
    return state


def stack(*columns: Array) -> Array:
    """Put arrays (...,) side by side as (..., k)."""
    return namespace(columns[0]).stack(columns, axis=-1)
