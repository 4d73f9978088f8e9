"""Rows as a table of columns."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.patient import Array


def flat(x: Array) -> Array:
    """One line of numbers for each row."""
    return np.asarray(x.reshape(len(x), -1), dtype=np.float64)


def span(x: Array) -> Array:
    """Interquartile range of each column; the standard deviation where that is zero."""
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    wide = high - low
    return np.asarray(np.where(wide > 1e-9, wide, x.std(0)))
