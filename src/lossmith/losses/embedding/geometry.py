"""What lies between two sets of embeddings, in tiles of rows: distances or similarities, and the way back."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...engine.pool import share

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Points:
    """Embeddings made ready for one geometry.

    Attributes
    ----------
    u : ndarray, shape (n, d)
        The points that are compared.
    unit : ndarray, shape (n, 1)
        Length of one unit of u in units of the embeddings.
    lost : ndarray of bool, shape (n,)
        Points without a direction, where only directions count.
    """

    u: Floats
    unit: Floats
    lost: Mask

    @functools.cached_property
    def columns(self) -> Floats:
        """The points as columns (d, n), in memory too."""
        return np.ascontiguousarray(self.u.T)

    def part(self, rows: slice) -> Points:
        """Return some of the points, as views."""
        return Points(self.u[rows], self.unit[rows], self.lost[rows])


class Geometry(ABC):
    """A number for each pair of points, computed for some rows at a time, and its derivatives.

    ``fast`` chooses compiled loops; the NumPy path gives the same numbers up to rounding.
    """

    @abstractmethod
    def points(self, x: Floats) -> Points:
        """Prepare embeddings (n, d)."""

    @abstractmethod
    def back(self, points: Points, gradient: Floats) -> Floats:
        """Turn a gradient by u into one by the embeddings."""

    @abstractmethod
    def rows(self, one: Points, other: Points, out: Floats, fast: bool, start: int = 0) -> None:
        """Fill out (b, m) with the numbers of one's b points against m of other's, from ``start`` on."""

    @abstractmethod
    def spread_rows(self, one: Points, other: Points, found: Floats, pull: Floats, end: Floats, fast: bool) -> None:
        """Add the gradient of sum(pull * found) by one's u to end (b, d); make pull (b, m) ready for the columns."""

    @abstractmethod
    def spread_columns(self, one: Points, other: Points, pull: Floats, end: Floats, fast: bool) -> None:
        """Add the gradient by the u of other, or of some of other's points, to end, from what the rows left of pull."""


def work_on(count: int, work: Callable[[int, int], None], fast: bool) -> None:
    """Run work over 0 ... count: by the threads if it is worth compiled loops, else here."""
    if fast:
        share(count, work)
    else:
        work(0, count)


def directions(x: Floats) -> Points:
    """Return unit vectors, exact for any length; a zero vector stays 0 and is marked as lost."""
    unit = power_of_two(np.abs(x).max(axis=1, keepdims=True, initial=0.0))
    small = x / unit
    length = np.sqrt(np.einsum("nd,nd->n", small, small))[:, None]
    lost = length[:, 0] == 0.0
    length[lost] = 1.0
    return Points(small / length, unit * length, lost)


def across(points: Points, gradient: Floats) -> Floats:
    """Turn a gradient by unit vectors into one by the vectors: the part along a vector is without effect."""
    along = np.einsum("nd,nd->n", gradient, points.u)[:, None]
    found = np.asarray((gradient - along * points.u) / points.unit)
    found[points.lost] = 0.0
    return found


def power_of_two(x: Floats) -> Floats:
    """Return a power of 2 next to x, with which division is exact; 1 for 0 and NaN."""
    usable = np.where((x > 0.0) & np.isfinite(x), x, 1.0)
    exponent = np.clip(np.frexp(usable)[1], -1021, 1023)
    return np.asarray(np.ldexp(np.ones_like(usable), exponent))
