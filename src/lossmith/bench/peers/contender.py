"""What takes part in a cell: something to call, and a way to read its result in our convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """A result in our convention.

    Attributes
    ----------
    value : float
        The mean over samples (for structured losses, what our "mean" is).
    derivatives : tuple of ndarray
        Gradient, gradient for the weights (linear families), Hessian: as ours has them, each sample's own
        derivative for elementwise and row-wise losses, that of the mean for structured ones.
    """

    value: float
    derivatives: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Contender:
    """Something to be timed.

    Attributes
    ----------
    name, variant : str
        Who, and how.
    call : callable
        Does the work once; the result is complete when it returns.
    read : callable or None
        Turns what ``call`` returned into an outcome, outside the clock; None for limits, which compute no loss.
    note : str
        What a reader should know.
    refusal : str
        Why it must not be called at all, such as the memory it would need; empty if it may.
    """

    name: str
    variant: str
    call: Callable[[], Any]
    read: Callable[[Any], Outcome] | None
    note: str = ""
    refusal: str = ""


def outcome(value: Any, *derivatives: Any, scale: float = 1.0) -> Outcome:
    """Return an outcome from arrays of any library.

    Parameters
    ----------
    value : array_like
        The mean, or values of which to take the mean.
    *derivatives : array_like
        Multiplied by ``scale``.
    scale : float
        The number of samples, where a peer differentiates the mean and we the sum.
    """
    mean = float(np.mean(np.asarray(value, np.float64)))
    return Outcome(mean, tuple(np.asarray(d, np.float64) * scale for d in derivatives))


def distance(ours: Outcome, theirs: Outcome) -> float:
    """Return the largest relative distance of two outcomes.

    Values are compared relative to ours, arrays by their largest entry. Different shapes and NaN are at an
    infinite distance.

    Examples
    --------
    >>> distance(outcome(2.0, [1.0, 4.0]), outcome(2.0, [1.0, 4.4]))
    0.10000000000000009
    """
    gaps = [abs(theirs.value - ours.value) / max(abs(ours.value), 1e-30)]
    if len(ours.derivatives) != len(theirs.derivatives):
        return float("inf")
    for mine, other in zip(ours.derivatives, theirs.derivatives, strict=True):
        if mine.shape != other.shape:
            return float("inf")
        size = float(np.abs(mine).max(initial=0.0))
        gap = float(np.abs(other - mine).max(initial=0.0))
        gaps.append(gap / size if size > 0.0 else gap)
    largest = max(gaps)
    return float("inf") if any(np.isnan(gap) for gap in gaps) else float(largest)
