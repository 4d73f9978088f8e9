"""The overlap of masks in operations of any array library, which may differentiate them."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.attach import attach, held, known
from ..ops import full_like, sigmoid, square, where
from ..ops.arrays import column, row_sum, softmax, total
from ..ops.logistic import logistic_slope

Array = Any


class Overlap(NamedTuple):
    """Sums over the pixels of each sample and class, (N, C).

    ``difference`` is |A| + |B| - 2 |A and B|, summed from terms >= 0; ``agreement`` is 2 |A and B| + smooth.
    """

    difference: Array
    agreement: Array
    size: Array

    @property
    def values(self) -> Array:
        """The loss of each sample, the mean over its classes."""
        none = full_like(self.size, 0.0)
        share = where(self.size == 0.0, none, self.difference / self._divisor)
        return row_sum(share) / share.shape[-1]

    @property
    def slopes(self) -> tuple[Array, Array]:
        """The overlap of each sample and class, and what a pixel's slope is multiplied with; 0 for empty masks."""
        none = full_like(self.size, 0.0)
        gain = where(self.size == 0.0, none, 1.0 / self._divisor) / self.size.shape[-1]
        return self.agreement / self._divisor, gain

    @property
    def _divisor(self) -> Array:
        return where(self.size == 0.0, full_like(self.size, 1.0), self.size)


def overlap(y: Array, p: Array, q: Array, axes: Any, *, squared: bool, smooth: float) -> Overlap:
    """Sum up masks (N, ..., C) over their pixels.

    Parameters
    ----------
    y, p, q : arrays
        The true masks, the predicted ones and 1 - p without cancellation.
    axes : int or tuple of int
        Which axes count pixels.
    squared : bool
        Sizes as sums of squares.
    smooth : float
        Pixels added to both sides of the ratio.
    """
    both = total(y * p, axes)
    if squared:
        apart, size = total(square(y * q - p * (1.0 - y)), axes), total(y * y + p * p, axes)
    else:
        apart, size = total(y * q + p * (1.0 - y), axes), total(y + p, axes)
    return Overlap(apart, 2.0 * both + smooth, size + smooth)


def logistic(f: Array) -> tuple[Array, Array]:
    """Return the sigmoid of f and of -f."""

    def bent(x: Array) -> Array:
        return logistic_slope(x) * (sigmoid(-x) - sigmoid(x))

    p = known(f, sigmoid, logistic_slope, bent)
    return p, known(f, lambda x: sigmoid(-x), lambda x: -logistic_slope(x), lambda x: -bent(x))


def shares(f: Array) -> tuple[Array, Array]:
    """Return the softmax over the last axis, and 1 - p without cancellation."""
    found = softmax(held(f))

    def rise(a: Array, d: Array) -> Array:
        p = found.probability
        d = d - column(row_sum(p * d))
        return p * (d + 0.5 * (square(d) - column(row_sum(p * square(d)))))

    return (
        attach(f, lambda a: found.probability, rise),
        attach(f, lambda a: found.complement, lambda a, d: -rise(a, d)),
    )
