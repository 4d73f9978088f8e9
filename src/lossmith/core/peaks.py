"""Numbers that a claim needs and that have no closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def peak(function: Callable[[Any], Any], low: float, high: float) -> float:
    """Return the largest value of a smooth function of one variable between two ends.

    Parameters
    ----------
    function : callable
        Takes and returns an array of numbers.
    low, high : float
        The ends.

    Returns
    -------
    float
        The largest value found on a grid that is refined around its best point.

    Examples
    --------
    >>> round(peak(lambda x: x * (1 - x), 0.0, 1.0), 12)
    0.25
    """
    x = np.linspace(low, high, 2001)
    with np.errstate(all="ignore"):
        for _ in range(7):
            values = np.asarray(function(x))
            best = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
            found = float(values[best])
            x = np.linspace(x[max(best - 1, 0)], x[min(best + 1, x.size - 1)], 41)
    return found
