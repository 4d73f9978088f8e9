"""Sums that the library makes of NumPy arrays, by one thread."""

from __future__ import annotations

from typing import Any

# Numbers up to which BLAS works in one thread; its threads wait for each other far longer than the sum takes.
_ALONE = 8192


def squares(flat: Any) -> float:
    """Return the sum of squares of a flat NumPy array."""
    if flat.size <= _ALONE:
        return float(flat.dot(flat))
    return float(sum(part.dot(part) for part in (flat[i : i + _ALONE] for i in range(0, flat.size, _ALONE))))
