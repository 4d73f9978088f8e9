"""The loops of :mod:`.mirrored`.

All take the place of their first row and of their first column, and rows of cosines.
"""

from __future__ import annotations

from ...engine.compiled import compiled
from ...ops import exp, sigmoid, softplus
from .geometry import Floats, Integers
from .lanes import weighted


@compiled()
def sums_loop(
    row: int, column: int, cosines: Floats, sums: Floats,
    first: Integers, last: Integers, weight: Floats, temperature: float,
) -> None:  # fmt: skip
    """Turn cosines into exponentials, 0 within a class, and add their weighted sums to the anchors'."""
    for i in range(cosines.shape[0]):
        a, e = row + i, cosines[i]
        lo, hi = max(first[a] - column, 0), last[a] - column
        _exponentials(e[:lo], temperature)
        _exponentials(e[hi:], temperature)
        for j in range(lo, hi):
            e[j] = 0.0
        sums[a] += weighted(e, weight[column:])


def _exponentials(x: Floats, temperature: float) -> None:
    for j in range(x.size):
        x[j] = exp((x[j] - 1.0) / temperature)


@compiled()
def positives_loop(
    row: int, column: int, cosines: Floats, sums: Floats, base: Floats,
    values: Floats, counts: Floats, rate: Floats,
    first: Integers, last: Integers, weight: Floats, temperature: float,
) -> None:  # fmt: skip
    """Add up an anchor's losses, and what its negatives are pulled by: weight times slope over sum."""
    for i in range(cosines.shape[0]):
        a, drawn = row + i, 0.0
        for p in range(first[a], last[a]):
            if p != a:
                v = base[a] + (1.0 - cosines[i, p - column]) / temperature
                values[a] += weight[p] * softplus(v)
                counts[a] += weight[p]
                drawn += weight[p] * sigmoid(v)
        rate[a] = weight[a] * (drawn / sums[a]) if sums[a] > 0.0 else 0.0


@compiled()
def pulls_loop(
    row: int, column: int, cosines: Floats, base: Floats, rate: Floats,
    first: Integers, last: Integers, weight: Floats, temperature: float,
) -> None:  # fmt: skip
    """Turn cosines into the pulls of pairs, from both their ends."""
    for i in range(cosines.shape[0]):
        a, s = row + i, cosines[i]
        lo, hi = max(first[a] - column, 0), last[a] - column
        own = (weight[a], rate[a])
        _negatives(s[:lo], weight[column:], rate[column:], own, temperature)
        _negatives(s[hi:], weight[column + hi :], rate[column + hi :], own, temperature)
        for j in range(lo, hi):
            p, v = column + j, (1.0 - s[j]) / temperature
            slope = sigmoid(base[a] + v) + sigmoid(base[p] + v)
            s[j] = 0.0 if p == a else -weight[a] * weight[p] * slope / temperature


def _negatives(s: Floats, weight: Floats, rate: Floats, own: tuple[float, float], temperature: float) -> None:
    own_weight, own_rate = own
    for j in range(s.size):
        both = own_rate * weight[j] + rate[j] * own_weight
        s[j] = both * exp((s[j] - 1.0) / temperature) / temperature
