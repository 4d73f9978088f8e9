"""NT-Xent on a large batch with a third of the products saved: cosines are symmetric, so a pair is met once.

How a pair pulls depends on both its anchors' sums over negatives, which are known after all pairs were met. So
there are three sweeps: the sums, by tiles on and above the diagonal; the positives, next to the diagonal; and
the pulls, by the tiles of the sums. Exponentials are of (s - 1) / t, which no cosine lets overflow, nor underflow
at the temperatures that :func:`serves` admits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...engine.pool import share
from .classes import Classes
from .geometry import Floats, Points
from .mirrored_loops import positives_loop, pulls_loop, sums_loop
from .product_loop import product_loop
from .tiles import Swept, tile_height

_COLDEST = 0.01


def serves(temperature: float) -> bool:
    """Tell whether exp(-2 / temperature) is far from underflow."""
    return temperature >= _COLDEST


def nt_xent(points: Points, classes: Classes, wanted: bool, temperature: float) -> Swept:
    """Return what the sweep with :func:`~.pair_judges.against_negatives` returns.

    Parameters
    ----------
    points : Points
        Unit vectors in the order of their classes.
    classes : Classes
        The batch.
    wanted : bool
        Whether the gradient is wanted.
    temperature : float
        What cosines are divided by.
    """
    n = len(points.u)
    anchors = Anchors(*(np.zeros(n) for _ in Anchors._fields))
    gradient = np.zeros_like(points.u)
    for band in _above_diagonal(points):
        _sum(band, classes, temperature, anchors.sums)
    anchors.base[:] = np.log(anchors.sums)
    for band in _beside_diagonal(points, classes):
        _judge(band, classes, temperature, anchors)
    for band in _above_diagonal(points) if wanted else ():
        _pull(band, classes, temperature, anchors, points.u, gradient)
    return Swept(anchors.values, anchors.counts, gradient, np.zeros_like(gradient))


class Anchors(NamedTuple):
    """What is known of each anchor, shape (n,) each.

    Attributes
    ----------
    sums, base : ndarray
        The weighted sum of its negatives' exponentials, and the logarithm of that.
    values, counts : ndarray
        As in :class:`~.tiles.Swept`.
    rate : ndarray
        What multiplies a negative's exponential in its pull.
    """

    sums: Floats
    base: Floats
    values: Floats
    counts: Floats
    rate: Floats


class Band(NamedTuple):
    """Cosines of the places from ``row`` on, one a row, to the places from ``column`` on, one a column."""

    row: int
    column: int
    cosines: Floats


def _above_diagonal(points: Points) -> Iterator[Band]:
    """Yield bands of each place to itself and to all that come after."""
    n = len(points.u)
    height = tile_height(n, n)
    room = np.empty(height * n)
    for row in range(0, n, height):
        yield _band(points, row, min(row + height, n), row, n, room)


def _beside_diagonal(points: Points, classes: Classes) -> Iterator[Band]:
    """Yield bands of each place to its class."""
    n = len(points.u)
    height = tile_height(n, n)
    ends = [(row, min(row + height, n)) for row in range(0, n, height)]
    reach = [(int(classes.first[row]), int(classes.last[end - 1])) for row, end in ends]
    room = np.empty(height * max(end - begin for begin, end in reach))
    for (row, end), (column, last) in zip(ends, reach, strict=True):
        yield _band(points, row, end, column, last, room)


def _band(points: Points, row: int, end: int, column: int, last: int, room: Floats) -> Band:
    cosines = room[: (end - row) * (last - column)].reshape(end - row, last - column)

    def work(start: int, stop: int) -> None:
        cosines[start:stop] = 0.0
        product_loop(points.u[row + start : row + stop], points.columns, cosines[start:stop], column)

    share(end - row, work)
    return Band(row, column, cosines)


def _sum(band: Band, classes: Classes, temperature: float, sums: Floats) -> None:
    """Add the exponentials of negatives to the sums of both ends."""
    row, column, cosines = band
    size, end = len(cosines), row + len(cosines)
    own = classes.weight[None, row:end]

    def rows(start: int, stop: int) -> None:
        arrays = (sums, classes.first, classes.last, classes.weight)
        sums_loop(row + start, column, cosines[start:stop], *arrays, temperature)

    def columns(start: int, stop: int) -> None:
        product_loop(own, cosines, sums[None, end + start : end + stop], size + start)

    share(size, rows)
    share(len(sums) - end, columns)


def _judge(band: Band, classes: Classes, temperature: float, anchors: Anchors) -> None:
    """Price the positives, and tell at what rate an anchor's negatives pull."""
    row, column, cosines = band

    def rows(start: int, stop: int) -> None:
        arrays = (*anchors, classes.first, classes.last, classes.weight)
        positives_loop(row + start, column, cosines[start:stop], *arrays, temperature)

    share(len(cosines), rows)


def _pull(band: Band, classes: Classes, temperature: float, anchors: Anchors, u: Floats, gradient: Floats) -> None:
    """Turn cosines into the pulls of pairs, and add them to the gradient of both ends."""
    row, column, cosines = band
    size, end = len(cosines), row + len(cosines)

    def rows(start: int, stop: int) -> None:
        arrays = (anchors.base, anchors.rate, classes.first, classes.last, classes.weight)
        pulls_loop(row + start, column, cosines[start:stop], *arrays, temperature)
        product_loop(cosines[start:stop], u[row:], gradient[row + start : row + stop], 0)

    def columns(start: int, stop: int) -> None:
        pulls = cosines[:, size + start : size + stop].T
        product_loop(pulls, u[row:end], gradient[end + start : end + stop], 0)

    share(size, rows)
    share(len(u) - end, columns)
