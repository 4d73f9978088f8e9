"""Distances between embeddings, with derivatives that are never NaN.

Each is a function of the squared length of a difference, s = |u_i - u_j|^2, of points u made from the
embeddings; differences are taken before squaring, so close points keep their digits (a product of matrices,
|u_i|^2 + |u_j|^2 - 2 u_i u_j, would lose them).

Conventions where a derivative does not exist: the Euclidean distance of coinciding points has gradient 0
(the subgradient nearest to 0). The zero vector has no direction: its cosine to everything is 0, hence its
cosine distance 1, with gradient 0.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ...engine import jit
from ...engine.pool import share
from ...ops import full_like, square, where
from ...ops.arrays import row_sum
from .difference_loops import (
    draw,
    draw_loop,
    pair_draw,
    pair_draw_loop,
    pair_squares,
    pair_squares_loop,
    root_pulls_loop,
    squares,
    squares_loop,
)
from .formulas import root, unit
from .geometry import Floats, Geometry, Integers, Mask, Points, across, directions, power_of_two

Array = Any

# Coordinates of given pairs from which compiled loops pay, and that a thread must have to be worth starting.
_COMPILED_FROM, _LEAST = 2**15, 2**16


class Distance(Geometry):
    """A distance as a function of the squared length s between prepared points."""

    @abstractmethod
    def of_square(self, s: Floats, unit: Floats) -> None:
        """Turn squared lengths into distances, in place."""

    @abstractmethod
    def slope(self, distance: Floats, unit: Floats) -> Floats | float:
        """Compute d(distance) / d(s) from the distance."""

    @abstractmethod
    def formula(self, x: Array, y: Array) -> Array:
        """Compute the distances of points along the last axes of two arrays that broadcast, in any library."""

    def rows(self, one: Points, other: Points, out: Floats, fast: bool, start: int = 0) -> None:
        if fast:
            squares_loop(one.u, other.columns, out, start)
        else:
            squares(one.u, other.u[start:], out)
        self.of_square(out, one.unit)
        _set(out, one.lost, other.lost[start:], 1.0)

    def spread_rows(self, one: Points, other: Points, found: Floats, pull: Floats, end: Floats, fast: bool) -> None:
        self.pull_by_square(pull, found, one.unit, fast)
        _set(pull, one.lost, other.lost, 0.0)
        (draw_loop if fast else draw)(one.u, other.u, pull, end)

    def spread_columns(self, one: Points, other: Points, pull: Floats, end: Floats, fast: bool) -> None:
        (draw_loop if fast else draw)(other.u, one.u, pull.T, end)

    def pull_by_square(self, pull: Floats, distance: Floats, unit: Floats, fast: bool) -> None:
        """Turn pulls by the distances into twice those by their squares, in place."""
        pull *= 2.0 * self.slope(distance, unit)

    def pairs(self, points: Points, first: Integers, second: Integers) -> Floats:
        """Return the distances of given pairs of rows, shape (t,)."""
        found, u = np.empty(len(first)), points.u
        if _compiles(u, first):
            share(
                len(first), lambda a, z: pair_squares_loop(u, first[a:z], second[a:z], found[a:z]), _LEAST // u.shape[1]
            )
        else:
            pair_squares(u, first, second, found)
        self.of_square(found, points.unit[first, 0])
        found[points.lost[first] | points.lost[second]] = 1.0
        return found

    def pairs_gradient(
        self, points: Points, first: Integers, second: Integers, distance: Floats, pull: Floats
    ) -> Floats:
        """Return the gradient of sum(pull * distance) by u, for given pairs of rows."""
        factor = pull * (2.0 * self.slope(distance, points.unit[first, 0]))
        factor[points.lost[first] | points.lost[second]] = 0.0
        gradient, u = np.zeros_like(points.u), points.u
        if _compiles(u, first):
            share(u.shape[1], lambda a, z: pair_draw_loop(u, first, second, factor, gradient, a, z), 16)
        else:
            pair_draw(u, first, second, factor, gradient)
        return gradient


def _set(numbers: Floats, rows: Mask, columns: Mask, number: float) -> None:
    """Set the numbers of points without a direction."""
    if rows.any():
        numbers[rows, :] = number
    if columns.any():
        numbers[:, columns] = number


def _compiles(u: Floats, first: Integers) -> bool:
    return first.size * u.shape[1] >= _COMPILED_FROM and jit.available()


class SquaredEuclidean(Distance):
    """|x - y|^2."""

    def points(self, x: Floats) -> Points:
        return Points(x, np.ones((len(x), 1)), np.zeros(len(x), bool))

    def of_square(self, s: Floats, unit: Floats) -> None:
        pass

    def slope(self, distance: Floats, unit: Floats) -> float:
        return 1.0

    def back(self, points: Points, gradient: Floats) -> Floats:
        return gradient

    def formula(self, x: Array, y: Array) -> Array:
        return row_sum(square(x - y))


class Euclidean(Distance):
    """|x - y|; squares are taken of x divided by a power of 2, so they neither overflow nor vanish."""

    def points(self, x: Floats) -> Points:
        unit = power_of_two(np.abs(x).max(initial=0.0, keepdims=True))
        return Points(x / unit, np.full((len(x), 1), unit.item()), np.zeros(len(x), bool))

    def of_square(self, s: Floats, unit: Floats) -> None:
        np.sqrt(s, out=s)
        s *= unit

    def slope(self, distance: Floats, unit: Floats) -> Floats:
        return unit * np.divide(0.5 * unit, distance, out=np.zeros_like(distance), where=distance != 0.0)

    def pull_by_square(self, pull: Floats, distance: Floats, unit: Floats, fast: bool) -> None:
        if fast:
            root_pulls_loop(pull, distance, unit)
        else:
            super().pull_by_square(pull, distance, unit, fast)

    def back(self, points: Points, gradient: Floats) -> Floats:
        return gradient / points.unit

    def formula(self, x: Array, y: Array) -> Array:
        return root(row_sum(square(x - y)))


class Cosine(Distance):
    """1 - cos(x, y), computed as |u - v|^2 / 2 of the unit vectors, which keeps small angles exact."""

    def points(self, x: Floats) -> Points:
        return directions(x)

    def of_square(self, s: Floats, unit: Floats) -> None:
        s *= 0.5

    def slope(self, distance: Floats, unit: Floats) -> float:
        return 0.5

    def back(self, points: Points, gradient: Floats) -> Floats:
        return across(points, gradient)

    def formula(self, x: Array, y: Array) -> Array:
        (u, lost), (v, gone) = unit(x), unit(y)
        found = 0.5 * row_sum(square(u - v))
        return where(lost | gone, full_like(found, 1.0), found)


DISTANCES: dict[str, Distance] = {
    "squared_euclidean": SquaredEuclidean(),
    "euclidean": Euclidean(),
    "cosine": Cosine(),
}
