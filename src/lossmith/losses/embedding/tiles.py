"""The sweep that the losses on pairs and triplets of a batch share: memory grows as n, not as n^2.

A loss is put together from a *geometry* (what lies between two embeddings), *classes* (who belongs to
whom) and a *judge*, which turns a tile, some anchors' numbers against all embeddings, into the anchors' losses
and into the pull of each pair: d(sum(weight * values)) / d(number). The sweep does the rest. A further loss of
this kind (multi-similarity, supervised contrastive, circle) is a further judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...engine import jit
from ...engine.pool import share
from .classes import Classes
from .geometry import Floats, Geometry, Points, work_on

# Rows of a tile, enough to make use of what is loaded for them, or more while a tile has few elements (2 MB).
_ROWS = 128
_TILE = 2**18
# Numbers of a tile whose columns are of no interest (256 kB), and the fewest rows of it.
_NEAR, _FEWEST = 2**15, 16
# Work on a batch, n^2 max(d, 64), from which it is worth compiled loops: below, NumPy takes a few milliseconds.
_COMPILED_FROM = 2**19


class Tile(NamedTuple):
    """Some anchors against all embeddings, with what a judge fills in.

    Attributes
    ----------
    rows : slice
        The anchors' places.
    near : ndarray, shape (b, n)
        Their distances from, or similarities to, all embeddings.
    pull : ndarray, shape (b, n)
        To fill: d(sum(weight * values)) / d(near).
    values : ndarray, shape (b,)
        To fill: the anchors' losses.
    counts : ndarray, shape (b,)
        To fill: what the anchors count in the mean besides their weights.
    """

    rows: slice
    near: Floats
    pull: Floats
    values: Floats
    counts: Floats


class Swept(NamedTuple):
    """What a sweep found; the gradients are by the points' u, and nothing but 0 if none was wanted."""

    values: Floats
    counts: Floats
    row_gradient: Floats
    column_gradient: Floats


Judge = Callable[[Tile], None]


def compiles(n: int, d: int) -> bool:
    """Tell whether a batch is worth compiled loops; by its size only, so that equal calls give equal bits."""
    return n * n * max(d, 64) >= _COMPILED_FROM and jit.available()


def tile_height(n: int, m: int) -> int:
    """Return how many of n rows a tile of m columns has."""
    return min(n, max(_ROWS, _TILE // m))


def sweep(
    geometry: Geometry, one: Points, other: Points, judge: Judge, *, fast: bool, wanted: bool, mirrored: bool = False
) -> Swept:
    """Judge all rows of one against all of other, tile by tile.

    Parameters
    ----------
    geometry : Geometry
        What lies between the points.
    one, other : Points, n and m of them
        Anchors, and what they are compared with (for one batch the same points).
    judge : callable
        Fills pull, values and counts of a tile.
    fast : bool
        Use compiled loops and threads.
    wanted : bool
        Whether the gradient is wanted.
    mirrored : bool
        The pull of (i, j) is that of (j, i) and stands for both: only rows receive it.
    """
    n, m = len(one.u), len(other.u)
    found = Swept(np.zeros(n), np.zeros(n), np.zeros_like(one.u), np.zeros_like(other.u))

    def judged(start: int, stop: int, near: Floats, pull: Floats) -> None:
        """Do all but the columns of some rows."""
        rows, part = slice(start, stop), one.part(slice(start, stop))
        geometry.rows(part, other, near, fast)
        judge(Tile(rows, near, pull, found.values[rows], found.counts[rows]))
        if wanted:
            geometry.spread_rows(part, other, near, pull, found.row_gradient[rows], fast)

    if fast and (mirrored or not wanted):
        height = max(_FEWEST, _NEAR // m)
        share(n, lambda start, stop: _each(start, stop, m, height, judged))
        return found
    height = tile_height(n, m)
    near, pull = np.empty((height, m)), np.empty((height, m))
    for begin in range(0, n, height):
        size = min(height, n - begin)
        part = one.part(slice(begin, begin + size))
        work_on(size, lambda a, z, i=begin: judged(i + a, i + z, near[a:z], pull[a:z]), fast)  # type: ignore[misc]
        if wanted and not mirrored:

            def columns(a: int, z: int, part: Points = part, pull: Floats = pull[:size]) -> None:
                geometry.spread_columns(part, other.part(slice(a, z)), pull[:, a:z], found.column_gradient[a:z], fast)

            work_on(m, columns, fast)
    return found


def _each(start: int, stop: int, m: int, height: int, judged: Callable[[int, int, Floats, Floats], None]) -> None:
    """Judge rows start ... stop - 1 in tiles that stay in the cache of a thread."""
    near, pull = np.empty((height, m)), np.empty((height, m))
    for row in range(start, stop, height):
        end = min(row + height, stop)
        judged(row, end, near[: end - row], pull[: end - row])


def looped(loop: Callable[..., None], classes: Classes, *parameters: object) -> Judge:
    """Return the judge that a compiled loop is, for a batch and the loss's parameters."""

    def judge(tile: Tile) -> None:
        arrays = (tile.near, tile.pull, tile.values, tile.counts)
        loop(tile.rows.start, *arrays, classes.first, classes.last, classes.weight, *parameters)

    return judge
