"""Which triplets of a batch a loss looks at, from labels or as given; never an n x n x n array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...core.structured import Integers, whole_numbers

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Index(NamedTuple):
    """Triplets as rows of a batch, each of shape (t,)."""

    anchor: Integers
    positive: Integers
    negative: Integers


def hard(distance: Floats, same: Mask) -> Index:
    """For each anchor its farthest positive and its nearest negative (Hermans et al., 2017).

    Parameters
    ----------
    distance : ndarray, shape (n, n)
        All distances.
    same : ndarray of bool, shape (n, n)
        Whether two rows have one label.

    Returns
    -------
    Index
        At most one triplet an anchor; ties go to the first row.
    """
    partner = same & ~np.eye(len(same), dtype=bool)
    anchor = np.flatnonzero(partner.any(axis=1) & ~same.all(axis=1))
    farthest = np.where(partner, distance, -np.inf)[anchor].argmax(axis=1)
    nearest = np.where(same, np.inf, distance)[anchor].argmin(axis=1)
    return Index(anchor, farthest, nearest)


def semi_hard(distance: Floats, same: Mask) -> Index:
    """For each anchor and positive the nearest negative that is farther than the positive.

    Where no negative is farther, the farthest negative (Schroff et al., 2015, as TensorFlow Addons has it).

    Parameters
    ----------
    distance : ndarray, shape (n, n)
        All distances.
    same : ndarray of bool, shape (n, n)
        Whether two rows have one label.

    Returns
    -------
    Index
        One triplet for each anchor and positive.
    """
    found = [_semi_hard(anchor, distance[anchor], *sides) for anchor, *sides in anchors(same)]
    if not found:
        none = np.zeros(0, np.int64)
        return Index(none, none, none)
    return Index(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _semi_hard(anchor: int, distance: Floats, positive: Integers, negative: Integers) -> Index:
    ordered = negative[np.argsort(distance[negative], kind="stable")]
    farther = np.searchsorted(distance[ordered], distance[positive], side="right")
    chosen = ordered[np.minimum(farther, len(ordered) - 1)]
    return Index(np.full(len(positive), anchor), positive, chosen)


def anchors(same: Mask) -> Iterator[tuple[int, Integers, Integers]]:
    """Yield each anchor that has both positives and negatives, with the rows of these."""
    for anchor, row in enumerate(same):
        negative = np.flatnonzero(~row)
        positive = np.flatnonzero(row)
        if len(negative) and len(positive) > 1:
            yield anchor, positive[positive != anchor], negative


MINERS: dict[str, Callable[[Floats, Mask], Index]] = {"hard": hard, "semi_hard": semi_hard}


def labels_or_rows(y: Array, f: Array, loss: str, columns: str) -> Integers:
    """Check targets that are a label for each embedding, or three integers for each given item.

    Parameters
    ----------
    y : ndarray, shape (n,) or (t, 3)
        Labels, or rows of ``columns``.
    f : ndarray, shape (n, d)
        Embeddings.
    loss, columns : str
        For the message.

    Raises
    ------
    ValueError
        For other shapes and for numbers that are not whole.
    """
    if f.ndim != 2:
        raise ValueError(f"{loss}: y_pred has shape {f.shape}; give one embedding a row, (n, d)")
    given = y.ndim == 2 and y.shape[1] == 3
    if not given and y.shape != f.shape[:1]:
        raise ValueError(
            f"{loss}: y_true has shape {y.shape} and y_pred {f.shape}; give one label for each of the "
            f"{len(f)} embeddings, ({len(f)},), or an array (t, 3) with the columns {columns}"
        )
    return whole_numbers(y, "y_true", loss)


def check_rows(rows: Integers, n: int, loss: str) -> None:
    """Raise a ValueError for a row number outside 0 ... n-1."""
    outside = (rows < 0) | (rows >= n)
    if outside.any():
        raise ValueError(f"{loss}: y_true holds row {rows[outside][0]}; the rows of y_pred are 0 to {n - 1}")
