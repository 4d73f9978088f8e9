"""The first pass over shards: how much there is, whether it fits the loss, and a sample to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .objective import Objective
from .shards.blocks import Block, Shards

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """What one pass tells.

    Attributes
    ----------
    rows : int
        How many there are.
    weight : float
        Sum of their weights.
    mean, spread : ndarray, shape (d,)
        Of the columns; a constant one has the spread 0.
    sample : Block
        Some of the rows of weight above 0, weighted so that they stand for all.
    """

    rows: int
    weight: float
    mean: Array
    spread: Array
    sample: Block


@dataclass(frozen=True)
class _Look:
    loss: Any
    outputs: int | None
    rows: int

    def __call__(self, block: Block) -> tuple[Any, ...]:
        used = np.flatnonzero(block.weights > 0.0)
        X, y, weight = block.X[used], block.y[used], block.weights[used]
        if not used.size:
            return block.y.size, 0.0, 0.0, None
        Objective.build(self.loss, X, y, weight, outputs=self.outputs)  # refuses targets that the loss does not take
        chosen = np.arange(used.size)
        if used.size > self.rows:
            chosen = np.sort(np.random.default_rng(used.size).choice(used.size, self.rows, replace=False))
        share = weight[chosen] * (used.size / chosen.size)
        return block.y.size, float(weight.sum()), _moments(X, weight), (X[chosen], y[chosen], share)


def _moments(X: Any, weight: Array) -> tuple[Array, Array]:
    from scipy.sparse import issparse

    total = weight.sum()
    mean = np.asarray(X.T @ weight).reshape(-1) / total
    if issparse(X):
        return mean, np.asarray(X.multiply(X).T @ weight).reshape(-1) - total * np.square(mean)
    return mean, np.asarray(weight @ np.square(X - mean))


def survey(shards: Shards, loss: Any, outputs: int | None, numbers: int) -> Survey:
    """Look at all rows once.

    Parameters
    ----------
    shards : Shards
        The rows.
    loss : Loss
        Says which targets are right.
    outputs : int or None
        Columns of raw scores.
    numbers : int
        The most numbers that the sample may hold.

    Raises
    ------
    ValueError
        For targets that the loss does not take, and where no row has weight.
    """
    each = max(numbers // (max(shards.features, 1) * max(shards.pieces, 1)), 1)
    rows, weight, mean, square = 0, 0.0, np.zeros(shards.features), np.zeros(shards.features)
    parts: list[Any] = []
    for count, own, moments, chosen in shards.each(_Look(loss, outputs, each)):
        rows += count
        if chosen is None:
            continue
        # Chan, Golub and LeVeque (1983): sums of squares about means, merged without cancellation.
        away, both = moments[0] - mean, weight + own
        square = square + moments[1] + np.square(away) * (weight * own / both)
        mean, weight = mean + away * (own / both), both
        parts.append(chosen)
    if not rows:
        raise ValueError("there are no rows: give shards with at least one")
    if not parts:
        raise ValueError("sample_weight is 0 for every sample; at least one must count")
    return Survey(rows, weight, mean, np.sqrt(np.maximum(square, 0.0) / weight), _joined(parts))


def _joined(parts: list[Any]) -> Block:
    from scipy.sparse import issparse, vstack

    tables = [part[0] for part in parts]
    X = vstack(tables, format="csr") if issparse(tables[0]) else np.concatenate(tables)
    return Block(X, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts]))
