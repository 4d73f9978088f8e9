"""Losses on embeddings as plain formulas of whole arrays, in operations of any library, which may differentiate them.

Where a library differentiates, directions and roots have their conventions (see ``distances``), and functions of single
numbers their written derivatives. Tables of all pairs (n, n, d) and triplets (n, n, n) are written out; compilers fuse
them into the sums that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...core.attach import held, known, present
from ...ops import absolute, exp, full_like, log, logistic_slope, sigmoid, softplus, sqrt, square, where
from ...ops.arrays import (
    column,
    first_maximum,
    positions,
    products,
    row_max,
    row_sum,
    rows_at,
    total,
    whole,
)
from .prices import contrast, contrast_bend, contrast_slope, violated, violated_bend, violated_slope

Array = Any
Between = Callable[[Array, Array], Array]
_NONE = float("-inf")


def root(s: Array) -> Array:
    """Square root, whose derivative at 0 is 0."""
    zero = s == 0.0
    return where(zero, full_like(s, 0.0), sqrt(where(zero, full_like(s, 1.0), s)))


def unit(x: Array) -> tuple[Array, Array]:
    """Return the directions of points along the last axis, 0 for zero vectors, and which these are (..., )."""
    size = row_max(absolute(held(x)))
    lost = size == 0.0
    scaled = where(lost, full_like(x, 0.0), x) / where(lost, full_like(size, 1.0), size)
    length = column(row_sum(square(scaled)))
    return scaled / sqrt(where(lost, full_like(length, 1.0), length)), lost[..., 0]


class Batch(NamedTuple):
    """All pairs of a batch.

    Attributes
    ----------
    x : array, shape (n, d)
        Embeddings; numbers where the weight is 0.
    same : array of bool, shape (n, n)
        Pairs of one class.
    positive, negative : arrays, shape (n, n)
        Weight of the second of a pair of one class (0 beside itself), and of a pair of two.
    """

    x: Array
    same: Array
    positive: Array
    negative: Array


def labelled(y: Array, f: Array, weight: Array | None) -> Batch:
    """Return the pairs of embeddings (n, d) with labels (n,)."""
    own = full_like(f[:, 0], 1.0) if weight is None else weight
    same = y[:, None] == y[None, :]
    weights = full_like(column(own), 1.0) * own[None, :]
    none, here = full_like(weights, 0.0), positions(own)
    partner = where(here[:, None] == here[None, :], none, weights)
    return Batch(present(f, weight, 0.5), same, where(same, partner, none), where(same, none, weights))


def rows(columns: Array, f: Array, weight: Array | None, count: int) -> list[Array]:
    """Return the embeddings (t, d) that each of the first columns of (t, k) names."""
    return [present(rows_at(f, whole(columns[:, i])), weight, 0.5 + i) for i in range(count)]


# --- contrastive ----------------------------------------------------------------------------------------


def contrasted(distance: Array, similar: Array, margin: float) -> Array:
    """Return what pairs cost."""
    return known(
        distance,
        lambda d: contrast(d, similar, margin),
        lambda d: contrast_slope(d, similar, margin),
        lambda d: contrast_bend(d, similar, margin),
    )


def all_pairs(between: Between, batch: Batch, margin: float) -> tuple[Array, Array]:
    """Return values, half the sums over each embedding's pairs, and what they count."""
    cost = contrasted(between(batch.x[:, None, :], batch.x[None, :, :]), batch.same, margin)
    other = batch.positive + batch.negative
    return 0.5 * row_sum(other * cost), 0.5 * row_sum(other)


# --- triplets -------------------------------------------------------------------------------------------


class Price(NamedTuple):
    """What a triplet costs.

    Attributes
    ----------
    margin, soft, active
        See :class:`.triplet.Triplet`; active means that only triplets with a loss above 0 count.
    """

    margin: float
    soft: bool
    active: bool

    def cost(self, near: Array, far: Array) -> Array:
        """Return what triplets cost."""
        soft = self.soft
        return known(
            near - far + self.margin,
            lambda v: violated(v, soft),
            lambda v: violated_slope(v, soft),
            lambda v: violated_bend(v, soft),
        )

    def counted(self, mass: Array, cost: Array) -> Array:
        """Return what triplets count."""
        return where(cost > 0.0, mass, full_like(cost, 0.0)) if self.active else mass


def all_triplets(near: Array, batch: Batch, price: Price) -> tuple[Array, Array]:
    """Return for each anchor the sum over its triplets, and what they count; near (n, n) holds distances."""
    cost = price.cost(near[:, :, None], near[:, None, :])
    mass = batch.positive[:, :, None] * batch.negative[:, None, :]
    return total(mass * cost, (1, 2)), total(price.counted(mass, cost), (1, 2))


def hard_triplets(near: Array, batch: Batch, price: Price) -> tuple[Array, Array]:
    """Return the same for the farthest positive and the nearest negative of each anchor."""
    farthest, its_mass = _chosen(near, near, batch.positive)
    nearest, mass = _chosen(-near, near, batch.negative)
    cost, mass = price.cost(farthest, nearest), its_mass * mass
    return mass * cost, price.counted(mass, cost)


def semi_hard_triplets(near: Array, batch: Batch, price: Price) -> tuple[Array, Array]:
    """Return the same for each positive and the nearest negative beyond it, or the farthest."""
    far, weights = (full_like(near[:, :, None], 1.0) * table[:, None, :] for table in (near, batch.negative))
    beyond = where(far > near[:, :, None], weights, full_like(weights, 0.0))
    some = row_max(beyond) > 0.0
    nearest, mass = _chosen(where(some, -far, far), far, where(some, beyond, weights))
    mass, cost = batch.positive * mass, price.cost(near, nearest)
    return row_sum(mass * cost), row_sum(price.counted(mass, cost))


def _chosen(score: Array, distance: Array, weight: Array) -> tuple[Array, Array]:
    """Return, along the last axis, the distance with the highest score among those with a weight, and this weight."""
    place = first_maximum(where(weight > 0.0, held(score), full_like(score, _NONE)))
    none = full_like(distance, 0.0)
    return row_sum(where(place, distance, none)), row_sum(where(place, weight, none))


SELECTIONS = {"all": all_triplets, "hard": hard_triplets, "semi_hard": semi_hard_triplets}


# --- against negatives ----------------------------------------------------------------------------------


def against_negatives(s: Array, positive: Array, negative: Array, temperature: float) -> tuple[Array, Array]:
    """Return -log(e^(s_p / t) / (e^(s_p / t) + sum_n w_n e^(s_n / t))), summed over positives, and what they count.

    Parameters
    ----------
    s : array, shape (n, m)
        Similarities.
    positive, negative : arrays, shape (n, m)
        Weights; 0 for what is none.
    temperature : float
        What similarities are divided by.
    """
    highest = row_max(where(negative > 0.0, held(s), full_like(s, _NONE)))
    some = row_max(negative) > 0.0
    level = where(some, highest, full_like(highest, 0.0))
    gap = where(negative > 0.0, s - level, full_like(s, 0.0)) / temperature
    parts = column(row_sum(negative * exp(gap)))
    v = log(where(some, parts, full_like(parts, 1.0))) + (level - s) / temperature
    counts = (positive > 0.0) & some
    none = full_like(s, 0.0)
    cost = known(where(counts, v, none), softplus, sigmoid, logistic_slope)
    return row_sum(where(counts, positive * cost, none)), row_sum(positive)


def views(batch: Batch, temperature: float) -> tuple[Array, Array]:
    """Return NT-Xent."""
    u, _ = unit(batch.x)
    return against_negatives(products(u, u), batch.positive, batch.negative, temperature)


def keys(queries: Array, own: Array, key: Array, weight: Array | None, temperature: float) -> Array:
    """Return InfoNCE of queries against their own keys (t, d), whose rows of the batch are ``key`` (t,)."""
    weights = full_like(queries[:, 0], 1.0) if weight is None else weight
    s = products(unit(queries)[0], unit(own)[0])
    here, none = positions(weights), full_like(s, 0.0)
    positive = where(here[:, None] == here[None, :], full_like(s, 1.0), none)
    negative = where(key[:, None] == key[None, :], none, full_like(s, 1.0) * weights[None, :])
    return against_negatives(s, positive, negative, temperature)[0]
