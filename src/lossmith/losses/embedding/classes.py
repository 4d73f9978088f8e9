"""A batch in the order of its labels, so that the class of an embedding is a range of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Floats, Integers, Mask


@dataclass(frozen=True)
class Classes:
    """Rows of a batch sorted by class; classes in the order in which they first occur, rows as they were.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        Which row of the batch stands at each place.
    first, last : ndarray of int, shape (n,)
        The class of place i is at the places first[i] ... last[i] - 1.
    weight : ndarray, shape (n,)
        Weights in that order.
    """

    order: Integers
    first: Integers
    last: Integers
    weight: Floats

    def same(self, rows: slice) -> Mask:
        """Return whether some places and all have one class, shape (b, n)."""
        return np.asarray(self.first[rows, None] == self.first)

    def partner(self, rows: slice) -> Mask:
        """Return the same without the place itself."""
        found = self.same(rows)
        np.fill_diagonal(found[:, rows], False)
        return found


def by_class(labels: Integers, weight: Floats) -> Classes:
    """Sort a batch by its labels, whose names do not matter.

    Examples
    --------
    >>> by_class(np.array([7, 3, 7]), np.ones(3)).order.tolist()
    [0, 2, 1]
    """
    _, seen, label = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(seen))[label]
    order = np.argsort(rank, kind="stable")
    counts = np.bincount(rank)
    last = np.cumsum(counts)
    return Classes(order, np.repeat(last - counts, counts), np.repeat(last, counts), weight[order])
