"""Sums over differences of points, for NumPy (small inputs) and compiled."""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from ...ops import where, word
from .geometry import Floats, Integers
from .lanes import LANES


def squares(one: Floats, other: Floats, out: Floats) -> None:
    """Fill out (b, m) with squared lengths of differences."""
    from scipy.spatial.distance import cdist

    cdist(one, other, "sqeuclidean", out=out)


@compiled()
def squares_loop(one: Floats, columns: Floats, out: Floats, shift: int) -> None:
    """Fill out as ``squares`` does; the others are columns (d, m) from ``shift`` on: a vector holds many of them.

    Two rows by eight coordinates at a time, in blocks of columns that stay in the cache.
    """
    (b, d), m = one.shape, out.shape[1]
    whole, full = b - b % 2, d - d % 8
    for begin in range(0, m, 256):
        end = min(begin + 256, m)
        out[:, begin:end] = 0.0
        for k in range(0, full, 8):
            block = _rows(columns, k, shift + begin, shift + end)
            for i in range(0, whole, 2):
                numbers = _eight(one, i, k), _eight(one, i + 1, k)
                _add_squares_twice(numbers[0], numbers[1], block, out[i, begin:end], out[i + 1, begin:end])
            for i in range(whole, b):
                _add_squares(_eight(one, i, k), block, out[i, begin:end])
        for k in range(full, d):
            x = columns[k, shift + begin : shift + end]
            for i in range(b):
                _add_square(one[i, k], x, out[i, begin:end])


@word
def _rows(x: Floats, k: int, begin: int, end: int) -> tuple[Floats, ...]:
    low = x[k, begin:end], x[k + 1, begin:end], x[k + 2, begin:end], x[k + 3, begin:end]
    return (*low, x[k + 4, begin:end], x[k + 5, begin:end], x[k + 6, begin:end], x[k + 7, begin:end])


@word
def _eight(x: Floats, i: int, k: int) -> tuple[float, ...]:
    # Named one by one: numbers read from an array inside the loop could change under it.
    low = x[i, k], x[i, k + 1], x[i, k + 2], x[i, k + 3]
    return (*low, x[i, k + 4], x[i, k + 5], x[i, k + 6], x[i, k + 7])


@word
def _eight_squares(a: tuple[float, ...], x: tuple[float, ...]) -> float:
    p, q, r, s = a[0] - x[0], a[1] - x[1], a[2] - x[2], a[3] - x[3]
    t, u, v, w = a[4] - x[4], a[5] - x[5], a[6] - x[6], a[7] - x[7]
    return (p * p + q * q + r * r + s * s) + (t * t + u * u + v * v + w * w)


@word
def _add_squares_twice(
    one: tuple[float, ...], two: tuple[float, ...], block: tuple[Floats, ...], out: Floats, second: Floats
) -> None:
    a, b, c, d, e, f, g, h = block
    for j in range(out.size):
        x = a[j], b[j], c[j], d[j], e[j], f[j], g[j], h[j]
        out[j] += _eight_squares(one, x)
        second[j] += _eight_squares(two, x)


@word
def _add_squares(one: tuple[float, ...], block: tuple[Floats, ...], out: Floats) -> None:
    a, b, c, d, e, f, g, h = block
    for j in range(out.size):
        out[j] += _eight_squares(one, (a[j], b[j], c[j], d[j], e[j], f[j], g[j], h[j]))


def _add_square(a: float, x: Floats, out: Floats) -> None:
    for j in range(out.size):
        out[j] += (a - x[j]) * (a - x[j])


@compiled()
def root_pulls_loop(pull: Floats, distance: Floats, unit: Floats) -> None:
    """Turn pulls by distances into twice those by their squares; the distance 0 has the slope 0."""
    for i in range(pull.shape[0]):
        p, d, u = pull[i], distance[i], unit[i, 0]
        for j in range(p.size):
            p[j] = where(d[j] != 0.0, p[j] * (2.0 * (u * (0.5 * u / d[j]))), 0.0)


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
