"""Distances between embeddings, with derivatives that are never NaN.

Each is a function of the squared length of a difference, s = |u_i - u_j|^2, of points u made from the
embeddings; differences are taken before squaring, so close points keep their digits.

Conventions where a derivative does not exist: the Euclidean distance of coinciding points has gradient 0
(the subgradient nearest to 0). The zero vector has no direction: its cosine to everything is 0, hence its
cosine distance 1, with gradient 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Points:
    """Embeddings made ready for one distance.

    Attributes
    ----------
    u : ndarray, shape (n, d)
        The points between which squared lengths are taken.
    unit : ndarray, shape (n, 1)
        Length of one unit of u in units of the embeddings.
    lost : ndarray of bool, shape (n,)
        Points without a direction; all their distances are 1.
    """

    u: Floats
    unit: Floats
    lost: Mask


class Distance(ABC):
    """A distance as a function of the squared length s between prepared points."""

    @abstractmethod
    def points(self, x: Floats) -> Points:
        """Prepare embeddings (n, d)."""

    @abstractmethod
    def of_square(self, s: Floats, points: Points) -> Floats:
        """Compute the distance from the squared length s."""

    @abstractmethod
    def slope(self, distance: Floats, points: Points) -> Floats:
        """Compute d(distance) / d(s) from the distance."""

    @abstractmethod
    def back(self, points: Points, gradient: Floats) -> Floats:
        """Turn a gradient by u into one by the embeddings."""

    def rows(self, points: Points, part: slice) -> Floats:
        """Return the distances of some points to all, shape (b, n)."""
        from scipy.spatial.distance import cdist

        found = self.of_square(cdist(points.u[part], points.u, "sqeuclidean"), points)
        found[points.lost[part], :] = 1.0
        found[:, points.lost] = 1.0
        return found

    def rows_gradient(self, points: Points, part: slice, distance: Floats, pull: Floats) -> Floats:
        """Return the gradient of sum(pull * distance) by u[part], as if the other points stood still."""
        factor = pull * (2.0 * self.slope(distance, points))
        factor[points.lost[part], :] = 0.0
        factor[:, points.lost] = 0.0
        mine = points.u[part]
        gradient = np.zeros_like(mine)
        for i in np.flatnonzero(factor.any(axis=1)):
            partners = np.flatnonzero(factor[i])
            gradient[i] = factor[i, partners] @ (mine[i] - points.u[partners])
        return gradient

    def pairs(self, points: Points, first: Integers, second: Integers) -> Floats:
        """Return the distances of given pairs of rows, shape (t,)."""
        difference = points.u[first] - points.u[second]
        found = self.of_square(np.einsum("td,td->t", difference, difference), points)
        found[points.lost[first] | points.lost[second]] = 1.0
        return found

    def pairs_gradient(
        self, points: Points, first: Integers, second: Integers, distance: Floats, pull: Floats
    ) -> Floats:
        """Return the gradient of sum(pull * distance) by u, for given pairs of rows."""
        factor = pull * (2.0 * self.slope(distance, points))
        factor[points.lost[first] | points.lost[second]] = 0.0
        change = factor[:, None] * (points.u[first] - points.u[second])
        gradient = np.zeros_like(points.u)
        np.add.at(gradient, first, change)
        np.subtract.at(gradient, second, change)
        return gradient


class SquaredEuclidean(Distance):
    """|x - y|^2."""

    def points(self, x: Floats) -> Points:
        return Points(x, np.ones((len(x), 1)), np.zeros(len(x), bool))

    def of_square(self, s: Floats, points: Points) -> Floats:
        return s

    def slope(self, distance: Floats, points: Points) -> Floats:
        return np.ones_like(distance)

    def back(self, points: Points, gradient: Floats) -> Floats:
        return gradient


class Euclidean(Distance):
    """|x - y|; squares are taken of x divided by a power of 2, so they neither overflow nor vanish."""

    def points(self, x: Floats) -> Points:
        unit = _power_of_two(np.abs(x).max(initial=0.0, keepdims=True))
        return Points(x / unit, np.full((len(x), 1), unit.item()), np.zeros(len(x), bool))

    def of_square(self, s: Floats, points: Points) -> Floats:
        return np.asarray(np.sqrt(s) * points.unit[0, 0])

    def slope(self, distance: Floats, points: Points) -> Floats:
        unit, met = points.unit[0, 0], distance == 0.0
        return np.where(met, 0.0, unit * (0.5 * unit / np.where(met, 1.0, distance)))

    def back(self, points: Points, gradient: Floats) -> Floats:
        return gradient / points.unit


class Cosine(Distance):
    """1 - cos(x, y), computed as |u - v|^2 / 2 of the unit vectors, which keeps small angles exact."""

    def points(self, x: Floats) -> Points:
        unit = _power_of_two(np.abs(x).max(axis=1, keepdims=True, initial=0.0))
        small = x / unit
        length = np.sqrt(np.einsum("nd,nd->n", small, small))[:, None]
        lost = length[:, 0] == 0.0
        length[lost] = 1.0
        return Points(small / length, unit * length, lost)

    def of_square(self, s: Floats, points: Points) -> Floats:
        return 0.5 * s

    def slope(self, distance: Floats, points: Points) -> Floats:
        return np.full_like(distance, 0.5)

    def back(self, points: Points, gradient: Floats) -> Floats:
        along = np.einsum("nd,nd->n", gradient, points.u)[:, None]
        return np.asarray((gradient - along * points.u) / points.unit)


def _power_of_two(x: Floats) -> Floats:
    """Return a power of 2 next to x, with which division is exact; 1 for 0 and NaN."""
    usable = np.where((x > 0.0) & np.isfinite(x), x, 1.0)
    exponent = np.clip(np.frexp(usable)[1], -1021, 1023)
    return np.asarray(np.ldexp(np.ones_like(usable), exponent))


DISTANCES: dict[str, Distance] = {
    "squared_euclidean": SquaredEuclidean(),
    "euclidean": Euclidean(),
    "cosine": Cosine(),
}
