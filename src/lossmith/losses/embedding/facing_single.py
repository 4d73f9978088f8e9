"""InfoNCE on a large batch of float32 embeddings: queries face keys in float32, sums are in float64.

As in :mod:`.mirrored_single`, points are rounded to float32 less their mean, which keeps the digits of a collapsed
batch. A band of queries meets all keys twice while its exponentials lie in the cache: for the sums, and for the
gradient. A block of pairs belongs to one thread, and what blocks give to a query is added up in their order. For
values alone a thread takes whole bands, one block at a time, so that threads do not wait for each other in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...engine.pool import share
from ...ops import sigmoid, softplus
from ..linear_blas import one_thread, product
from .classes import Classes
from .facing_single_loops import exponentials_loop, pulls_loop
from .geometry import Floats, Points, work_on
from .tiles import Swept

Singles = npt.NDArray[np.float32]
_ROWS, _COLUMNS = 256, 512
# Rows of a band for values alone: BLAS gains 5 % by taller blocks, which need not stay for a second meeting.
_TALL = 512


@dataclass(frozen=True)
class Facing:
    """Queries and their keys, in the order of the keys' classes, and what is found of them.

    Attributes
    ----------
    queries, keys : ndarray of float32, shape (n, d)
        Unit vectors less the mean of all.
    query_offset, key_offset : ndarray of float32, shape (n,)
        What a point adds to all its (s - 1) / t.
    weight : ndarray of float32, shape (n,)
        Weights.
    classes : Classes
        Rows of one class share their key.
    temperature : float
        t.
    sums, own : ndarray, shape (n,)
        To fill: the weighted sum of exponentials of a query's negatives, and (s - 1) / t of its key.
    """

    queries: Singles
    keys: Singles
    query_offset: Singles
    key_offset: Singles
    weight: Singles
    classes: Classes
    temperature: float
    sums: Floats
    own: Floats


def info_nce(one: Points, other: Points, classes: Classes, wanted: bool, temperature: float) -> Swept:
    """Return what the sweep with :func:`~.pair_judges.against_negatives` returns, for points that come from float32.

    Parameters
    ----------
    one, other : Points
        Queries and keys, in the order of the keys' classes.
    classes : Classes
        The batch.
    wanted : bool
        Whether the gradient is wanted.
    temperature : float
        What cosines are divided by; see :func:`~.mirrored_single.serves`.
    """
    batch = _batch(one, other, classes, temperature)
    n = len(batch.queries)
    if not wanted:
        return Swept(_values(batch), np.ones(n), np.zeros_like(one.u), np.zeros_like(one.u))
    rows, columns = (np.zeros(batch.queries.shape, np.float32) for _ in range(2))
    values, pulled = np.zeros(n), np.zeros(n)
    room = np.empty((-(-n // _COLUMNS), min(_ROWS, n) * _COLUMNS), np.float32)
    with one_thread():
        for row in range(0, n, _ROWS):
            band = slice(row, min(row + _ROWS, n))
            gap = _gap(band, batch, room)
            values[band] = softplus(gap)
            _pull(band, batch, room, sigmoid(gap), (rows, columns, pulled))
    # The mean, left out of the points, is a key less what its own point is: along a key nothing has effect.
    return Swept(values, np.ones(n), rows.astype(np.float64), columns - pulled[:, None] * batch.keys)


def _values(batch: Facing) -> Floats:
    """Return the values alone."""
    n = len(batch.queries)
    height, values = (_TALL if n >= 4 * _TALL else _ROWS), np.zeros(n)

    def some(start: int, stop: int) -> None:
        room = np.empty((1, min(height, n) * _COLUMNS), np.float32)
        for row in range(start * height, min(stop * height, n), height):
            band = slice(row, min(row + height, n))
            values[band] = softplus(_gap(band, batch, room))

    with one_thread():
        share(-(-n // height), some)
    return values


def _gap(band: slice, batch: Facing, room: Singles) -> Floats:
    """Return by how much the logarithm of a query's sum exceeds what its own key has."""
    _sum(band, batch, room)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(batch.sums[band]) - batch.own[band])


def _batch(one: Points, other: Points, classes: Classes, temperature: float) -> Facing:
    mean = 0.5 * (one.u.mean(axis=0) + other.u.mean(axis=0))
    singles: dict[int, Singles] = {}
    offsets: dict[int, Singles] = {}

    def some(start: int, stop: int) -> None:
        for i in range(start, stop):
            points = (one, other)[i]
            singles[i] = (points.u - mean).astype(np.float32)
            offsets[i] = _offset(singles[i], points, temperature)

    share(2, some)
    weight, n = classes.weight.astype(np.float32), len(singles[0])
    known = singles[0], singles[1], offsets[0], offsets[1], weight
    return Facing(*known, classes, temperature, np.zeros(n), np.zeros(n))


def _offset(v: Singles, points: Points, temperature: float) -> Singles:
    half = 0.5 * np.einsum("nd,nd->n", v, v, dtype=np.float64)
    half[points.lost] += 0.5  # a vector that is 0 is no unit vector: its cosines are 0
    return np.asarray(-half / temperature, np.float32)


def _each(band: slice, n: int, room: Singles, work: Callable[[int, slice, Singles], None]) -> None:
    """Call ``work(number, columns, block)`` for the blocks of a band: on this thread if there is room for one."""
    height = band.stop - band.start

    def some(start: int, stop: int) -> None:
        for k in range(start, stop):
            columns = slice(k * _COLUMNS, min((k + 1) * _COLUMNS, n))
            width = columns.stop - columns.start
            work(k, columns, room[k % len(room), : height * width].reshape(height, width))

    work_on(-(-n // _COLUMNS), some, len(room) > 1)


def _sum(band: slice, batch: Facing, room: Singles) -> None:
    """Fill the room with the weighted exponentials of negatives, and sum them up."""
    parts = np.zeros((-(-len(batch.keys) // _COLUMNS), band.stop - band.start))
    classes = batch.classes

    def work(k: int, columns: slice, x: Singles) -> None:
        product(batch.queries[band], batch.keys[columns].T, x, False, 1.0 / batch.temperature)
        known = (batch.query_offset, batch.key_offset, batch.weight, classes.first, classes.last)
        exponentials_loop(band.start, columns.start, x, *known, batch.own, parts[k])

    _each(band, len(batch.keys), room, work)
    batch.sums[band] = parts.sum(axis=0)


def _pull(band: slice, batch: Facing, room: Singles, drawn: Floats, found: tuple[Singles, Singles, Floats]) -> None:
    """Turn exponentials into the pulls of pairs, and add the gradient that they make to both ends."""
    rows, columns_gradient, pulled = found
    sums, own = batch.sums[band], batch.classes.weight[band] * drawn / batch.temperature
    rate = np.where(sums > 0.0, own / np.where(sums > 0.0, sums, 1.0), 0.0).astype(np.float32)
    slopes = np.empty((len(room), band.stop - band.start, batch.keys.shape[1]), np.float32)
    whole = own.astype(np.float32)

    def work(k: int, columns: slice, x: Singles) -> None:
        pulls_loop(band.start, columns.start, x, rate, whole, pulled[columns])
        product(x, batch.keys[columns], slopes[k], False, 1.0)
        product(x.T, batch.queries[band], columns_gradient[columns], True, 1.0)

    _each(band, len(batch.keys), room, work)
    rows[band] = slopes.sum(axis=0)
