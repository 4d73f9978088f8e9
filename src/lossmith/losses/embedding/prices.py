"""What a violated triplet or a pair costs, with derivatives; on arrays and, compiled, on numbers."""

from __future__ import annotations

from typing import Any

from ...ops import indicator, positive_part, sigmoid, softplus, where

Array = Any


def violated(violation: Array, soft: bool) -> Array:
    """max(v, 0), or log(1 + exp(v)); NaN stays NaN."""
    return softplus(violation) if soft else positive_part(violation)


def violated_slope(violation: Array, soft: bool) -> Array:
    """Derivative of :func:`violated`; 0 at the hinge's kink."""
    if soft:
        return sigmoid(violation)
    return where(violation == violation, indicator(violation > 0.0, violation), violation)


def contrast(distance: Array, similar: Any, margin: float) -> Array:
    """d^2 for similar pairs, max(m - d, 0)^2 for others."""
    gap = positive_part(margin - distance)
    return where(similar, distance * distance, gap * gap)


def contrast_slope(distance: Array, similar: Any, margin: float) -> Array:
    """Derivative of :func:`contrast` by the distance."""
    return where(similar, 2.0 * distance, -2.0 * positive_part(margin - distance))
