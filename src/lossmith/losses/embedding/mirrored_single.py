"""NT-Xent on a large batch of float32 embeddings: products and exponentials in float32, sums over pairs in float64.

The sweeps are those of :mod:`.mirrored`. What is rounded to float32 are not the unit vectors u but v = u - m, m their
mean: (s - 1) / t is (v_i v_j - |v_i|^2 / 2 - |v_j|^2 / 2) / t, so a batch that has all but collapsed to one
direction keeps its digits. A block of pairs belongs to one thread, and what blocks give to one row is added up in
their order, so that the number of threads changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...engine.pool import share
from ..linear_blas import one_thread, product
from .classes import Classes
from .geometry import Floats, Points
from .mirrored import Anchors
from .mirrored_single_loops import positives_loop, pulls_loop, sums_loop
from .tiles import Swept

Singles = npt.NDArray[np.float32]

# A block of 256 x 512 pairs stays in the cache of a core, and BLAS is at its full speed on it.
_ROWS, _COLUMNS = 256, 512
# At lower temperatures the rounding of a cosine, 1e-7 / t, is more than a relative error of 2e-6.
_COLDEST = 0.05
# Weights are rounded to float32, and so are their products with sums of exponentials.
_WEIGHTS = 2.0**20


def serves(temperature: float, weight: Floats) -> bool:
    """Tell whether float32 gives results that are good to about 2e-6."""
    used = weight[weight > 0.0]
    return temperature >= _COLDEST and bool(((used >= 1.0 / _WEIGHTS) & (used <= _WEIGHTS)).all())


def nt_xent(points: Points, classes: Classes, wanted: bool, temperature: float) -> Swept:
    """Return what :func:`.mirrored.nt_xent` returns, for points that come from float32."""
    batch = _batch(points, classes, temperature)
    anchors = Anchors(*(np.zeros(len(batch.v)) for _ in Anchors._fields))
    with one_thread():
        for band in _bands(batch):
            _sum(band, batch, anchors.sums)
        anchors.base[:] = np.log(anchors.sums)
        for band in _beside_diagonal(batch):
            _judge(band, batch, anchors)
        gradient = _gradient(batch, anchors) if wanted else np.zeros_like(points.u)
    return Swept(anchors.values, anchors.counts, gradient, np.zeros_like(gradient))


@dataclass(frozen=True)
class Batch:
    """Embeddings in the order of their classes.

    Attributes
    ----------
    v : ndarray of float32, shape (n, d)
        Unit vectors less their mean.
    offset : ndarray of float32, shape (n,)
        What a point adds to all its (s - 1) / t.
    weight : ndarray of float32, shape (n,)
        Weights.
    classes : Classes
        Who belongs to whom.
    temperature : float
        t.
    """

    v: Singles
    offset: Singles
    weight: Singles
    classes: Classes
    temperature: float


class Band(NamedTuple):
    """Places from ``row`` to ``end``, against blocks of places, each from the first to the second number."""

    row: int
    end: int
    blocks: list[tuple[int, int]]


def _batch(points: Points, classes: Classes, temperature: float) -> Batch:
    v = (points.u - points.u.mean(axis=0)).astype(np.float32)
    half = 0.5 * np.einsum("nd,nd->n", v, v, dtype=np.float64)
    half[points.lost] += 0.5  # a vector that is 0 is no unit vector: its cosines are 0
    return Batch(v, (-half / temperature).astype(np.float32), classes.weight.astype(np.float32), classes, temperature)


def _bands(batch: Batch) -> Iterator[Band]:
    """Yield each place against itself and all that come after; the first block of a band is on the diagonal."""
    n = len(batch.v)
    for row in range(0, n, _ROWS):
        end = min(row + _ROWS, n)
        yield Band(row, end, [(row, end), *((c, min(c + _COLUMNS, n)) for c in range(end, n, _COLUMNS))])


def _beside_diagonal(batch: Batch) -> Iterator[Band]:
    """Yield each place against its class, in one block."""
    n, classes = len(batch.v), batch.classes
    for row in range(0, n, _ROWS):
        end = min(row + _ROWS, n)
        yield Band(row, end, [(int(classes.first[row]), int(classes.last[end - 1]))])


def _each(band: Band, batch: Batch, work: Callable[[int, int, int, Singles], None]) -> None:
    """Call ``work(number, first column, last column, products / t)`` for the blocks of a band."""
    size = (band.end - band.row) * max(end - begin for begin, end in band.blocks)
    room = np.empty((len(band.blocks), size), np.float32)

    def some(start: int, stop: int) -> None:
        for k in range(start, stop):
            begin, end = band.blocks[k]
            found = room[start, : (band.end - band.row) * (end - begin)].reshape(-1, end - begin)
            product(batch.v[band.row : band.end], batch.v[begin:end].T, found, False, 1.0 / batch.temperature)
            work(k, begin, end, found)

    share(len(band.blocks), some)


def _sum(band: Band, batch: Batch, sums: Floats) -> None:
    """Add the exponentials of negatives to the sums of both ends."""
    parts = np.zeros((len(band.blocks), band.end - band.row))
    known = (batch.offset, batch.weight, batch.classes.first, batch.classes.last)

    def work(k: int, begin: int, end: int, x: Singles) -> None:
        sums_loop(band.row, begin, x, *known, parts[k], sums[begin : end if k else begin])

    _each(band, batch, work)
    sums[band.row : band.end] += parts.sum(axis=0)


def _judge(band: Band, batch: Batch, anchors: Anchors) -> None:
    """Price the positives, and tell at what rate an anchor's negatives pull."""
    classes = batch.classes

    def work(k: int, begin: int, end: int, x: Singles) -> None:
        positives_loop(band.row, begin, x, batch.offset, *anchors, classes.first, classes.last, classes.weight)

    _each(band, batch, work)


def _gradient(batch: Batch, anchors: Anchors) -> Floats:
    """Return the gradient by the points; what is along a point is without effect, so m is left out."""
    gradient, pulled = np.zeros_like(batch.v), np.zeros(len(batch.v))
    for band in _bands(batch):
        _pull(band, batch, anchors, gradient, pulled)
    return np.asarray(gradient - pulled[:, None] * batch.v)


def _pull(band: Band, batch: Batch, anchors: Anchors, gradient: Singles, pulled: Floats) -> None:
    """Turn products into the pulls of pairs; add these, and the gradient they make, to both ends."""
    height, classes = band.end - band.row, batch.classes
    parts = np.zeros((len(band.blocks), height))
    slopes = np.empty((len(band.blocks), height, batch.v.shape[1]), np.float32)
    rate = (anchors.rate / batch.temperature).astype(np.float32)
    known = (batch.offset, batch.weight, rate, anchors.base, classes.first, classes.last, batch.temperature)

    def work(k: int, begin: int, end: int, x: Singles) -> None:
        pulls_loop(band.row, begin, x, *known, parts[k], pulled[begin : end if k else begin])
        product(x, batch.v[begin:end], slopes[k], False, 1.0)
        if k:
            product(x.T, batch.v[band.row : band.end], gradient[begin:end], True, 1.0)

    _each(band, batch, work)
    pulled[band.row : band.end] += parts.sum(axis=0)
    gradient[band.row : band.end] += slopes.sum(axis=0)
