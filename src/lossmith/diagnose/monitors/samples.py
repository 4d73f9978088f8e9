"""What per-sample losses say: how much of the loss its worst samples carry, now and over the run so far."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

WORST = 0.01


def spread(losses: Array, prefix: str = "") -> dict[str, float]:
    """Summarise per-sample losses.

    Parameters
    ----------
    losses : ndarray, shape (n,)
        One loss for each sample, n at least 1.
    prefix : str
        Put before each name.

    Returns
    -------
    dict of str to float
        "top1_share": share of the sum of absolute losses on the worst 1 % (at least one sample); "max"; "median".

    Examples
    --------
    >>> spread(np.array([1.0, 1.0, 2.0]))
    {'top1_share': 0.5, 'max': 2.0, 'median': 1.0}
    """
    size = np.abs(losses)
    worst = max(1, math.ceil(WORST * len(size)))
    total = float(size.sum())
    top = float(np.partition(size, len(size) - worst)[len(size) - worst :].sum())
    share = top / total if total > 0 else worst / len(size)
    return {
        f"{prefix}top1_share": share,
        f"{prefix}max": float(losses.max()),
        f"{prefix}median": float(np.median(losses)),
    }


@final
class Reservoir:
    """An even sample of all per-sample losses seen so far (Vitter's algorithm R), in fixed memory.

    Parameters
    ----------
    size : int, default 1000
        Losses held.
    seed : int, default 0
        Of the sampling.

    Examples
    --------
    >>> reservoir = Reservoir(size=2)
    >>> reservoir.add(np.array([1.0, 3.0]))
    >>> reservoir.held.tolist()
    [1.0, 3.0]
    """

    def __init__(self, size: int = 1000, seed: int = 0) -> None:
        self._held = np.empty(size)
        self._seen = 0
        self._random = np.random.default_rng(seed)

    def add(self, losses: Array) -> None:
        """Take in the losses of one batch.

        Parameters
        ----------
        losses : ndarray, shape (n,)
            One loss for each sample; those that are not finite are left out.
        """
        fresh = losses[np.isfinite(losses)]
        room = max(0, min(len(self._held) - self._seen, len(fresh)))
        self._held[self._seen : self._seen + room] = fresh[:room]
        rest = fresh[room:]
        self._seen += room
        if len(rest):
            place = self._random.integers(0, np.arange(self._seen, self._seen + len(rest)) + 1)
            taken = place < len(self._held)
            self._held[place[taken]] = rest[taken]
            self._seen += len(rest)

    def watch(self, losses: Array) -> dict[str, float]:
        """Take in the losses of one batch, and summarise them and the sample.

        Parameters
        ----------
        losses : ndarray, shape (n,)
            One loss for each sample.

        Returns
        -------
        dict of str to float
            What `spread` says of the batch, and with the prefix "reservoir_" of the run so far.
        """
        self.add(losses)
        batch = spread(losses) if len(losses) else {}
        return batch | (spread(self.held, "reservoir_") if self._seen else {})

    @property
    def held(self) -> Array:
        """The sample, shape (m,)."""
        return self._held[: min(self._seen, len(self._held))]
