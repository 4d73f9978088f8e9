"""Loops over rows of scores whose labelled one is compared with each other one, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import where

Array = Any
Number = Any

# What the loops are completed with.
price: Any = None  # what a rival costs, from margin - z_y + z_j
rate: Any = None  # its derivative
compete: Any = None  # compete_row, compiled to add in several lanes


def compete_row(row: Array, own: Number, margin: Number, share: Number, out: Array) -> tuple[Number, Number]:
    """Sum prices and rates over rivals; fill ``out``, unless it is empty, with share times the rates."""
    value, pulled = 0.0, 0.0
    for j in range(row.size):
        x = np.float64(row[j])
        h = margin + where(x == own, 0.0, x - own)  # equal ones may be infinite
        value += price(h)
        pulled += rate(h)
    for j in range(out.size):
        x = np.float64(row[j])
        out[j] = share * rate(margin + where(x == own, 0.0, x - own))
    return value, pulled


def rival_rows(z: Array, labels: Array, weights: Array, margin: Number, values: Array, slopes: Array) -> None:
    """Fill values (n,) and, unless it is empty, slopes (n, k), which may be the memory of z."""
    n, k = z.shape
    spare = np.empty(k, z.dtype)
    for r in range(n):
        label = labels[r]
        share = (weights[label] if weights.size > 0 else 1.0) / k
        own = np.float64(z[r, label])
        room = k if slopes.size > 0 else 0
        left, right = spare[: min(label, room)], spare[min(label + 1, room) : room]
        before, pushed = compete(z[r, :label], own, margin, share, left)
        after, pressed = compete(z[r, label + 1 :], own, margin, share, right)
        values[r] = share * (before + after) if share > 0.0 else 0.0
        if slopes.size > 0:
            out = slopes[r]
            for j in range(k):
                out[j] = spare[j] if share > 0.0 else 0.0
            out[label] = -share * (pushed + pressed) if share > 0.0 else 0.0
