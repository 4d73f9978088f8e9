"""Cosine similarity of embeddings, by products of matrices.

An exponential follows, which knows absolute differences only, so nothing is lost by not taking differences
of points first. The zero vector has no direction: its cosine to everything is 0, with gradient 0.
"""

from __future__ import annotations

from .geometry import Ends, Floats, Geometry, Points, across, directions, work_on
from .product_loop import product_loop


class CosineSimilarity(Geometry):
    """cos(x, y)."""

    def points(self, x: Floats) -> Points:
        return directions(x)

    def back(self, points: Points, gradient: Floats) -> Floats:
        return across(points, gradient)

    def rows(self, one: Points, other: Points, out: Floats, fast: bool) -> None:
        def work(start: int, stop: int) -> None:
            out[start:stop] = 0.0
            _add_product(one.u[start:stop], other.columns, out[start:stop], fast)

        work_on(len(out), work, fast)

    def spread(self, one: Points, other: Points, found: Floats, pull: Floats, ends: Ends, fast: bool) -> None:
        def rows(start: int, stop: int) -> None:
            _add_product(pull[start:stop], other.u, ends.rows[start:stop], fast)

        def columns(start: int, stop: int) -> None:
            _add_product(pull[:, start:stop].T, one.u, ends.columns[start:stop], fast)

        work_on(len(pull), rows, fast)
        work_on(len(ends.columns), columns, fast)


def _add_product(a: Floats, b: Floats, out: Floats, fast: bool) -> None:
    if fast:
        product_loop(a, b, out, 0)
    else:
        out += a @ b


COSINE = CosineSimilarity()
