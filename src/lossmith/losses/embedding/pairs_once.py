"""The contrastive loss of all pairs of a batch by compiled loops: a pair counts for both its ends where it is met.

Values come from the places after an anchor, for both ends; so a value alone needs half of the distances. The gradient
needs whole rows, but gives values the same bits.
"""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from ...engine.pool import share
from .classes import Classes
from .geometry import Floats, Geometry, Integers, Points
from .lanes import total
from .prices import contrast, contrast_slope
from .tiles import Swept

# Bands of rows, of which each has sums of its own: they do not depend on the number of threads.
_BANDS = 8
# Numbers of a tile (256 kB), and the fewest rows of it.
_TILE, _ROWS = 2**15, 16


def evaluate(geometry: Geometry, points: Points, classes: Classes, wanted: bool, margin: float) -> Swept:
    """Return what the sweep with :func:`~.pair_judges.contrastive` returns.

    Parameters
    ----------
    geometry : Geometry
        What lies between two points.
    points : Points
        In the order of their classes.
    classes : Classes
        The batch.
    wanted : bool
        Whether the gradient is wanted.
    margin : float
        Distance beyond which dissimilar pairs cost nothing.
    """
    n = len(points.u)
    gradient = np.zeros_like(points.u)
    height = max(_ROWS, min(_TILE // n, -(-n // _BANDS)))
    sums, tiles = np.zeros((min(_BANDS, -(-n // height)), n)), -(-n // height)

    def band(k: int) -> None:
        near, pull = np.empty(height * n), np.empty(height * n if wanted else 0)
        for tile in range(tiles * k // len(sums), tiles * (k + 1) // len(sums)):
            rows = slice(tile * height, min((tile + 1) * height, n))
            size, column = rows.stop - rows.start, 0 if wanted else rows.start
            d, part = near[: size * (n - column)].reshape(size, -1), points.part(rows)
            g = pull[: size * n if wanted else 0].reshape(size, -1)
            geometry.rows(part, points, d, True, column)
            _judge(rows.start, column, d, g, sums[k], classes.first, classes.last, classes.weight, margin)
            if wanted:
                geometry.spread_rows(part, points, d, g, gradient[rows], True)

    # Early bands have more pairs: each thread gets early and late ones.
    order = [k for pair in zip(range(len(sums)), reversed(range(len(sums))), strict=True) for k in pair][: len(sums)]

    def bands(start: int, stop: int) -> None:
        for k in order[start:stop]:
            band(k)

    share(len(order), bands)
    return Swept(0.5 * sums.sum(axis=0), 0.5 * _others(classes.weight), gradient, np.zeros_like(gradient))


def _others(weight: Floats) -> Floats:
    """Return for each place the weight of all others, without taking one number from another."""
    found = np.zeros_like(weight)
    found[1:] += np.cumsum(weight[:-1])
    found[:-1] += np.cumsum(weight[:0:-1])[::-1]
    return found


@compiled()
def _judge(
    row: int, column: int, near: Floats, pull: Floats, sums: Floats,
    first: Integers, last: Integers, weight: Floats, margin: float,
) -> None:  # fmt: skip
    """Add the costs of pairs to both ends; fill the pulls of whole rows, if there is room for them."""
    n = sums.size
    cost = np.empty(n)
    for i in range(near.shape[0]):
        a = row + i
        lo, hi, own = first[a], last[a], weight[a]
        d = near[i, a + 1 - column :]
        ours, price, theirs = cost[a + 1 :], weight[a + 1 :], sums[a + 1 :]
        for j in range(d.size):
            found = contrast(d[j], a + 1 + j < hi, margin)
            ours[j] = price[j] * found
            theirs[j] += own * found
        sums[a] += total(ours)
        if pull.size > 0:
            g, whole = pull[i], near[i]
            for j in range(n):
                g[j] = own * weight[j] * contrast_slope(whole[j], lo <= j < hi, margin)
            g[a] = 0.0
