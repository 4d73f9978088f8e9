"""Judges of triplets in NumPy, for small batches: which triplets count, and what they cost.

The anchors of a tile are taken class by class, since those of one class share positives and negatives, and
few enough at a time that a table (anchor, positive, negative) stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .classes import Classes
from .geometry import Floats, Integers
from .prices import violated, violated_slope
from .tiles import Tile

# Elements of a table (0.5 MB).
_TABLE = 2**16


class Block(NamedTuple):
    """Some anchors of one class.

    Attributes
    ----------
    rows : slice
        Which rows of the tile they are.
    positive, negative : ndarray of int, shapes (P,) and (N,)
        Places of the class's members and of all others.
    near, far : ndarray, shapes (b, P) and (b, N)
        Distances from the anchors to these.
    own : ndarray, shape (b, 1)
        Weights of the anchors.
    near_weight : ndarray, shape (b, P)
        Weights of the members; 0 where it is the anchor itself.
    far_weight : ndarray, shape (N,)
        Weights of the others.
    """

    rows: slice
    positive: Integers
    negative: Integers
    near: Floats
    far: Floats
    own: Floats
    near_weight: Floats
    far_weight: Floats


def blocks(tile: Tile, classes: Classes) -> Iterator[Block]:
    """Yield the anchors of a tile that have both a positive and a negative."""
    start, stop, n = tile.rows.start, tile.rows.stop, tile.near.shape[1]
    places, at = np.arange(n), start
    while at < stop:
        lo, hi = classes.first[at], classes.last[at]
        step = max(1, _TABLE // ((hi - lo) * max(n - hi + lo, 1)))
        end = min(hi, at + step, stop)
        if 1 < hi - lo < n:
            inside, outside = places[lo:hi], np.r_[places[:lo], places[hi:]]
            rows, own = slice(at - start, end - start), classes.weight[at:end, None]
            partner = np.where(places[at:end, None] == inside, 0.0, classes.weight[inside])
            distance = tile.near[rows]
            yield Block(
                rows, inside, outside, distance[:, inside], distance[:, outside], own, partner, classes.weight[outside]
            )
        at = end


def all_triplets(tile: Tile, classes: Classes, margin: float, soft: bool, active: bool) -> None:
    """Fill a tile with the sums over all positives and negatives of each anchor.

    Parameters
    ----------
    tile : Tile
        Distances in, losses and pulls out.
    classes : Classes
        The batch.
    margin : float
        How much farther the negative should be.
    soft : bool
        log(1 + exp(violation)) instead of the hinge.
    active : bool
        Count the triplets with a loss above 0 instead of all.
    """
    _clear(tile)
    for block in blocks(tile, classes):
        violation = block.near[:, :, None] - block.far[:, None, :] + margin
        cost, slope = violated(violation, soft), violated_slope(violation, soft)
        tile.values[block.rows] = (block.near_weight * (cost @ block.far_weight)).sum(axis=1)
        counted = (cost > 0.0) @ block.far_weight if active and not soft else block.far_weight.sum()
        tile.counts[block.rows] = (block.near_weight * counted).sum(axis=1)
        tile.pull[block.rows, block.positive] = block.own * block.near_weight * (slope @ block.far_weight)
        pushed = (block.near_weight[:, None, :] @ slope)[:, 0]
        tile.pull[block.rows, block.negative] = -block.own * block.far_weight * pushed


Chosen = tuple[Integers, Integers, Integers]
Miner = Callable[[Block], Chosen]


def hard(block: Block) -> Chosen:
    """Choose the farthest positive and the nearest negative (Hermans et al., 2017); ties go to the first."""
    farthest = np.where(block.near_weight > 0.0, block.near, -np.inf).argmax(axis=1)
    return np.arange(len(block.near)), farthest, block.far.argmin(axis=1)


def semi_hard(block: Block) -> Chosen:
    """Choose for each positive the nearest negative that is farther than the positive.

    Where no negative is farther, the farthest negative (Schroff et al., 2015, as TensorFlow Addons has it).
    """
    row, positive = np.nonzero(block.near_weight)
    far = block.far[row]
    beyond = np.where(far > block.near[row, positive, None], far, np.inf)
    negative = np.where(np.isinf(beyond).all(axis=1), far.argmax(axis=1), beyond.argmin(axis=1))
    return row, positive, negative


def mined_triplets(tile: Tile, classes: Classes, miner: Miner, margin: float, soft: bool, active: bool) -> None:
    """Fill a tile with the triplets that a miner chooses; see :func:`all_triplets`."""
    _clear(tile)
    for block in blocks(tile, classes):
        row, p, q = miner(block)
        violation = block.near[row, p] - block.far[row, q] + margin
        cost, mass = violated(violation, soft), block.near_weight[row, p] * block.far_weight[q]
        strength = block.own[row, 0] * mass * violated_slope(violation, soft)
        np.add.at(tile.values[block.rows], row, mass * cost)
        np.add.at(tile.counts[block.rows], row, np.where(cost > 0.0, mass, 0.0) if active else mass)
        np.add.at(tile.pull[block.rows], (row, block.positive[p]), strength)
        np.subtract.at(tile.pull[block.rows], (row, block.negative[q]), strength)


def _clear(tile: Tile) -> None:
    tile.pull[...] = 0.0
    tile.values[:] = tile.counts[:] = 0.0


MINERS: dict[str, Miner] = {"hard": hard, "semi_hard": semi_hard}
