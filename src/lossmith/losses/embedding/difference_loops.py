"""Sums over differences of points, for NumPy (small inputs) and compiled."""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from .geometry import Floats, Integers
from .lanes import LANES


def squares(one: Floats, other: Floats, out: Floats) -> None:
    """Fill out (b, m) with squared lengths of differences."""
    from scipy.spatial.distance import cdist

    cdist(one, other, "sqeuclidean", out=out)


@compiled(fastmath=LANES)
def squares_loop(one: Floats, other: Floats, out: Floats) -> None:
    """Fill out as ``squares`` does, four rows at a time, so that a row of the others is loaded once for four."""
    b, (m, d) = one.shape[0], other.shape
    for i in range(0, b - b % 4, 4):
        p, q, r, s = one[i], one[i + 1], one[i + 2], one[i + 3]
        for j in range(m):
            x = other[j]
            pp, qq, rr, ss = 0.0, 0.0, 0.0, 0.0
            for k in range(d):
                pp += (p[k] - x[k]) * (p[k] - x[k])
                qq += (q[k] - x[k]) * (q[k] - x[k])
                rr += (r[k] - x[k]) * (r[k] - x[k])
                ss += (s[k] - x[k]) * (s[k] - x[k])
            out[i, j], out[i + 1, j], out[i + 2, j], out[i + 3, j] = pp, qq, rr, ss
    for i in range(b - b % 4, b):
        for j in range(m):
            pp = 0.0
            for k in range(d):
                pp += (one[i, k] - other[j, k]) * (one[i, k] - other[j, k])
            out[i, j] = pp


def draw(moved: Floats, fixed: Floats, factor: Floats, out: Floats) -> None:
    """Add sum_j factor[i, j] (moved_i - fixed_j) to each row i of out."""
    for i in np.flatnonzero(factor.any(axis=1)):
        partners = np.flatnonzero(factor[i])
        out[i] += factor[i, partners] @ (moved[i] - fixed[partners])


@compiled()
def draw_loop(moved: Floats, fixed: Floats, factor: Floats, out: Floats) -> None:
    """Add as ``draw`` does, in blocks of fixed points that stay in the cache and four of them at a time."""
    b, (m, d) = moved.shape[0], fixed.shape
    for begin in range(0, m, 256):
        end = min(begin + 256, m)
        for i in range(b):
            x, g = moved[i], out[i]
            for j in range(begin, end - 3, 4):
                f0, f1, f2, f3 = factor[i, j], factor[i, j + 1], factor[i, j + 2], factor[i, j + 3]
                if f0 == 0.0 and f1 == 0.0 and f2 == 0.0 and f3 == 0.0:
                    continue
                p, q, r, s = fixed[j], fixed[j + 1], fixed[j + 2], fixed[j + 3]
                for k in range(d):
                    g[k] += f0 * (x[k] - p[k]) + f1 * (x[k] - q[k]) + f2 * (x[k] - r[k]) + f3 * (x[k] - s[k])
            for j in range(end - (end - begin) % 4, end):
                if factor[i, j] != 0.0:
                    for k in range(d):
                        g[k] += factor[i, j] * (x[k] - fixed[j, k])


def pair_squares(u: Floats, first: Integers, second: Integers, out: Floats) -> None:
    """Fill out (t,) with the squared lengths of u[first] - u[second]."""
    difference = u[first] - u[second]
    np.einsum("td,td->t", difference, difference, out=out)


@compiled(fastmath=LANES)
def pair_squares_loop(u: Floats, first: Integers, second: Integers, out: Floats) -> None:
    """Fill out as ``pair_squares`` does."""
    for t in range(first.size):
        p, q, found = u[first[t]], u[second[t]], 0.0
        for k in range(p.size):
            found += (p[k] - q[k]) * (p[k] - q[k])
        out[t] = found


def pair_draw(u: Floats, first: Integers, second: Integers, factor: Floats, out: Floats) -> None:
    """Add factor (u[first] - u[second]) to the rows first of out, and take it from the rows second."""
    change = factor[:, None] * (u[first] - u[second])
    np.add.at(out, first, change)
    np.subtract.at(out, second, change)


@compiled()
def pair_draw_loop(
    u: Floats, first: Integers, second: Integers, factor: Floats, out: Floats, begin: int, end: int
) -> None:
    """Do as ``pair_draw`` does for some of the columns, so that threads never meet in a row."""
    for t in range(first.size):
        if factor[t] == 0.0 or first[t] == second[t]:
            continue
        p, q = u[first[t], begin:end], u[second[t], begin:end]
        g, h = out[first[t], begin:end], out[second[t], begin:end]
        for k in range(end - begin):
            change = factor[t] * (p[k] - q[k])
            g[k] += change
            h[k] -= change
