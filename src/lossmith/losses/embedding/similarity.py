"""Cosine similarity of embeddings, by products of matrices.

An exponential follows, which knows absolute differences only, so nothing is lost by not taking differences
of points first. The zero vector has no direction: its cosine to everything is 0, with gradient 0.
"""

from __future__ import annotations

from .geometry import Floats, Geometry, Points, across, directions
from .product_loop import product_loop


class CosineSimilarity(Geometry):
    """cos(x, y)."""

    def points(self, x: Floats) -> Points:
        return directions(x)

    def back(self, points: Points, gradient: Floats) -> Floats:
        return across(points, gradient)

    def rows(self, one: Points, other: Points, out: Floats, fast: bool, start: int = 0) -> None:
        out[...] = 0.0
        if fast:
            product_loop(one.u, other.columns, out, start)
        else:
            out += one.u @ other.columns[:, start:]

    def spread_rows(self, one: Points, other: Points, found: Floats, pull: Floats, end: Floats, fast: bool) -> None:
        _add_product(pull, other.u, end, fast)

    def spread_columns(self, one: Points, other: Points, pull: Floats, end: Floats, fast: bool) -> None:
        _add_product(pull.T, one.u, end, fast)


def _add_product(a: Floats, b: Floats, out: Floats, fast: bool) -> None:
    if fast:
        product_loop(a, b, out, 0)
    else:
        out += a @ b


COSINE = CosineSimilarity()
