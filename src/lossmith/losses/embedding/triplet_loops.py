"""The judges of triplets, compiled.

With an anchor's positives sorted by a limit, a negative violates a suffix of them: one binary search a
negative puts it into a bucket, and running sums over the buckets give value and gradient. That takes
N log P steps an anchor instead of P N, for the hinge and for semi-hard mining.

All loops take a tile (its first row's place, distances, pulls, values, counts) and the classes of the batch.
"""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from ...ops import absolute, exp, log1p, positive_part, where
from .geometry import Floats, Integers
from .lanes import total
from .prices import violated, violated_slope


@compiled()
def all_hinge(
    start: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    first: Integers, last: Integers, weight: Floats, margin: float, active: bool,
) -> None:  # fmt: skip
    """Sum max(d(a, p) - d(a, n) + margin, 0) over all positives and negatives."""
    n = near.shape[1]
    heads, sums, tails = np.empty(n + 1), np.empty(n + 1), np.empty(n + 1)
    limit, away, bucket = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for row in range(near.shape[0]):
        a = start + row
        lo, hi = first[a], last[a]
        d, g = near[row], pull[row]
        g[:] = 0.0
        values[row] = counts[row] = 0.0
        if hi - lo < 2 or hi - lo == n:
            continue
        # Distances count from the nearest negative, so that running sums do not cancel.
        origin = _nearest(d, lo, hi)
        place = _sorted_positives(d, a, lo, hi)
        size = place.size
        tails[size] = heads[size] = sums[size] = 0.0
        for q in range(size - 1, -1, -1):
            limit[q] = d[place[q]] - origin + margin
            tails[q] = tails[q + 1] + weight[place[q]]
            heads[q] = sums[q] = 0.0
        for j in range(n):
            away[j] = d[j] - origin
        _count_limits(limit[:size], away, True, bucket)
        for begin, end in ((0, lo), (hi, n)):
            for j in range(begin, end):
                heads[bucket[j]] += weight[j]
                sums[bucket[j]] += weight[j] * away[j]
                g[j] = -weight[a] * weight[j] * tails[bucket[j]]
        mass = total(weight[:lo]) + total(weight[hi:])
        head, body = 0.0, 0.0
        for q in range(size):
            head, body = head + heads[q], body + sums[q]
            p = place[q]
            values[row] += weight[p] * (limit[q] * head - body)
            counts[row] += weight[p] * (head if active else mass)
            g[p] = weight[a] * weight[p] * head


def _nearest(d: Floats, lo: int, hi: int) -> float:
    found = np.inf
    for j in range(d.size):
        if d[j] < found and not lo <= j < hi:
            found = d[j]
    return found


def _sorted_positives(d: Floats, a: int, lo: int, hi: int) -> Integers:
    """Return the places of the positives by distance: a merge sort, which compiles ten times faster than NumPy's."""
    place = np.empty(hi - lo - 1, np.int64)
    for q in range(place.size):
        place[q] = lo + q if lo + q < a else lo + q + 1
    spare = np.empty_like(place)
    width = 1
    while width < place.size:
        for begin in range(0, place.size, 2 * width):
            middle = min(begin + width, place.size)
            _merge(d, place, begin, middle, min(middle + width, place.size), spare)
        place, spare = spare, place
        width *= 2
    return place


def _merge(d: Floats, place: Integers, begin: int, middle: int, end: int, out: Integers) -> None:
    left, right = begin, middle
    for k in range(begin, end):
        if left < middle and (right == end or d[place[left]] <= d[place[right]]):
            out[k] = place[left]
            left += 1
        else:
            out[k] = place[right]
            right += 1


def _count_limits(limit: Floats, x: Floats, closed: bool, bucket: Integers) -> None:
    """Count for each x the limits (sorted) that are < x, or <= x if closed; all x take each halving together."""
    bucket[:] = 0
    size = limit.size
    while size > 1:
        half = size // 2
        for j in range(x.size):
            middle = limit[bucket[j] + half - 1]
            bucket[j] += half if middle < x[j] or (closed and middle == x[j]) else 0
        size -= half
    for j in range(x.size):
        bucket[j] += 1 if limit[bucket[j]] < x[j] or (closed and limit[bucket[j]] == x[j]) else 0


@compiled()
def all_soft(
    start: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    first: Integers, last: Integers, weight: Floats, margin: float, active: bool,
) -> None:  # fmt: skip
    """Sum log(1 + exp(d(a, p) - d(a, n) + margin)) over all positives and negatives; all are active."""
    n = near.shape[1]
    cost, bent = np.empty(n), np.empty(n)
    for row in range(near.shape[0]):
        a = start + row
        lo, hi = first[a], last[a]
        d, g = near[row], pull[row]
        g[:] = 0.0
        values[row] = counts[row] = 0.0
        if hi - lo < 2 or hi - lo == n:
            continue
        cost[:] = 0.0
        mass = total(weight[:lo]) + total(weight[hi:])
        for p in range(lo, hi):
            if p == a:
                continue
            for begin, end in ((0, lo), (hi, n)):
                _soft_row(d[p] + margin, weight[p], d[begin:end], weight[begin:end], cost[begin:end], bent[begin:end])
                g[p] += weight[a] * weight[p] * total(bent[begin:end])
                for j in range(begin, end):
                    g[j] -= weight[a] * weight[p] * bent[j]
            counts[row] += weight[p] * mass
        values[row] = total(cost[:lo]) + total(cost[hi:])


def _soft_row(level: float, own: float, d: Floats, weight: Floats, cost: Floats, bent: Floats) -> None:
    for j in range(d.size):
        v = level - d[j]
        q = exp(-absolute(v))
        cost[j] += own * weight[j] * (positive_part(v) + log1p(q))
        bent[j] = weight[j] * where(v >= 0.0, 1.0, q) / (1.0 + q)


@compiled()
def hard_loop(
    start: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    first: Integers, last: Integers, weight: Floats, margin: float, soft: bool, active: bool,
) -> None:  # fmt: skip
    """Price the farthest positive with the nearest negative."""
    n = near.shape[1]
    for row in range(near.shape[0]):
        a = start + row
        lo, hi = first[a], last[a]
        d, g = near[row], pull[row]
        g[:] = 0.0
        values[row] = counts[row] = 0.0
        if hi - lo < 2 or hi - lo == n:
            continue
        p, q = -1, -1
        for j in range(lo, hi):
            if j != a and (p < 0 or d[j] > d[p]):
                p = j
        for j in range(n):
            if not lo <= j < hi and (q < 0 or d[j] < d[q]):
                q = j
        _price(row, weight[a], p, q, near, pull, values, counts, weight, margin, soft, active)


@compiled()
def semi_hard_loop(
    start: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    first: Integers, last: Integers, weight: Floats, margin: float, soft: bool, active: bool,
) -> None:  # fmt: skip
    """Price each positive with the nearest negative beyond it, or the farthest where none is."""
    n = near.shape[1]
    limit, best, bucket = np.empty(n), np.empty(n + 1, np.int64), np.empty(n, np.int64)
    for row in range(near.shape[0]):
        a = start + row
        lo, hi = first[a], last[a]
        d, g = near[row], pull[row]
        g[:] = 0.0
        values[row] = counts[row] = 0.0
        if hi - lo < 2 or hi - lo == n:
            continue
        place = _sorted_positives(d, a, lo, hi)
        for k in range(place.size):
            limit[k], best[k] = d[place[k]], -1
        best[place.size] = -1
        _count_limits(limit[: place.size], d, False, bucket)
        farthest = -1
        for begin, end in ((0, lo), (hi, n)):
            for j in range(begin, end):
                if farthest < 0 or d[j] > d[farthest]:
                    farthest = j
                if best[bucket[j]] < 0 or d[j] < d[best[bucket[j]]]:
                    best[bucket[j]] = j
        q = -1
        for k in range(place.size - 1, -1, -1):
            # A negative in bucket k + 1 is beyond the positives 0 ... k; the lowest such bucket is the nearest.
            q = best[k + 1] if best[k + 1] >= 0 else q
            chosen = q if q >= 0 else farthest
            _price(row, weight[a], place[k], chosen, near, pull, values, counts, weight, margin, soft, active)


def _price(
    row: int, own: float, p: int, q: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    weight: Floats, margin: float, soft: bool, active: bool,
) -> None:  # fmt: skip
    """Add one triplet to a row."""
    violation = near[row, p] - near[row, q] + margin
    mass, cost = weight[p] * weight[q], violated(violation, soft)
    values[row] += mass * cost
    counts[row] += mass if cost > 0.0 or not active else 0.0
    strength = own * mass * violated_slope(violation, soft)
    pull[row, p] += strength
    pull[row, q] -= strength


MINED = {"hard": hard_loop, "semi_hard": semi_hard_loop}
