"""Judges of triplets in NumPy, for small batches: which triplets of an anchor count, and what they cost.

The hinge's sum over all positives and negatives of an anchor needs no P x N table: with the negatives
sorted, the ones that violate a positive are a prefix, and prefix sums give value and gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .classes import Classes
from .geometry import Floats, Integers
from .prices import violated, violated_slope
from .tiles import Tile


class Side(NamedTuple):
    """An anchor's positives or its negatives: their places, distances and weights."""

    place: Integers
    distance: Floats
    weight: Floats


def sides(tile: Tile, classes: Classes, row: int) -> tuple[Side, Side]:
    """Return the positives and the negatives of a row of a tile; both empty if either is."""
    anchor, distance = tile.rows.start + row, tile.near[row]
    same = classes.first == classes.first[anchor]
    negative = np.flatnonzero(~same)
    same[anchor] = False
    positive = np.flatnonzero(same)
    if not len(positive) or not len(negative):
        positive = negative = positive[:0]
    return Side(positive, distance[positive], classes.weight[positive]), Side(
        negative, distance[negative], classes.weight[negative]
    )


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
    tile.pull[...] = 0.0
    for row in range(len(tile.near)):
        near, far = sides(tile, classes, row)
        if not len(near.place):
            tile.values[row] = tile.counts[row] = 0.0
            continue
        work = _soft_table if soft else _sorted_hinge
        tile.values[row], violating, positive, negative = work(near, far, margin)
        tile.counts[row] = violating if active else near.weight.sum() * far.weight.sum()
        weight = classes.weight[tile.rows.start + row]
        tile.pull[row, near.place], tile.pull[row, far.place] = weight * positive, weight * negative


def _sorted_hinge(near: Side, far: Side, margin: float) -> tuple[float, float, Floats, Floats]:
    """Return the sum, the weight of its terms above 0, and its derivatives by the distances of both sides."""
    # Distances count from the nearest negative, so that prefix sums do not cancel.
    origin = far.distance.min()
    limit = near.distance - origin + margin
    order = np.argsort(far.distance, kind="stable")
    away, mass = far.distance[order] - origin, far.weight[order]
    count = np.searchsorted(away, limit, side="left")
    heads = np.concatenate([[0.0], np.cumsum(mass)])[count]
    sums = np.concatenate([[0.0], np.cumsum(mass * away)])[count]
    value = float(near.weight @ (limit * heads - sums))
    rank = np.argsort(limit, kind="stable")
    tails = np.concatenate([np.cumsum(near.weight[rank][::-1])[::-1], [0.0]])
    pushed = np.empty_like(away)
    pushed[order] = -mass * tails[np.searchsorted(limit[rank], away, side="right")]
    return value, float(near.weight @ heads), near.weight * heads, pushed


def _soft_table(near: Side, far: Side, margin: float) -> tuple[float, float, Floats, Floats]:
    """Return the same for log(1 + exp(violation)), of which every term is above 0."""
    violation = near.distance[:, None] - far.distance + margin
    value = near.weight @ violated(violation, True) @ far.weight
    slope = near.weight[:, None] * violated_slope(violation, True) * far.weight
    mass = near.weight.sum() * far.weight.sum()
    return float(value), float(mass), slope.sum(axis=1), -slope.sum(axis=0)


Miner = Callable[[Side, Side], tuple[Integers, Integers]]


def hard(near: Side, far: Side) -> tuple[Integers, Integers]:
    """Choose the farthest positive and the nearest negative (Hermans et al., 2017); ties go to the first."""
    return near.distance.argmax(axis=0, keepdims=True), far.distance.argmin(axis=0, keepdims=True)


def semi_hard(near: Side, far: Side) -> tuple[Integers, Integers]:
    """Choose for each positive the nearest negative that is farther than the positive.

    Where no negative is farther, the farthest negative (Schroff et al., 2015, as TensorFlow Addons has it).
    """
    order = np.argsort(far.distance, kind="stable")
    farther = np.searchsorted(far.distance[order], near.distance, side="right")
    beyond = order[np.minimum(farther, len(order) - 1)]
    return np.arange(len(near.place)), np.where(farther < len(order), beyond, far.distance.argmax())


def mined_triplets(tile: Tile, classes: Classes, miner: Miner, margin: float, soft: bool, active: bool) -> None:
    """Fill a tile with the triplets that a miner chooses; see :func:`all_triplets`."""
    tile.pull[...] = 0.0
    for row in range(len(tile.near)):
        near, far = sides(tile, classes, row)
        if not len(near.place):
            tile.values[row] = tile.counts[row] = 0.0
            continue
        p, n = miner(near, far)
        violation = near.distance[p] - far.distance[n] + margin
        cost, mass = violated(violation, soft), near.weight[p] * far.weight[n]
        tile.values[row] = mass @ cost
        tile.counts[row] = mass @ (cost > 0.0) if active else mass.sum()
        strength = classes.weight[tile.rows.start + row] * mass * violated_slope(violation, soft)
        np.add.at(tile.pull[row], near.place[p], strength)
        np.subtract.at(tile.pull[row], far.place[n], strength)


MINERS: dict[str, Miner] = {"hard": hard, "semi_hard": semi_hard}
