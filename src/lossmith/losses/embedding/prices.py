"""What a violated triplet or a pair costs, with derivatives; on arrays and, compiled, on numbers."""

from __future__ import annotations

from typing import Any

from ...ops import full_like, indicator, logistic_slope, positive_part, sigmoid, softplus, where

Array = Any


def violated(violation: Array, soft: bool) -> Array:
    """max(v, 0), or log(1 + exp(v)); NaN stays NaN."""
    return softplus(violation) if soft else positive_part(violation)


def violated_slope(violation: Array, soft: bool) -> Array:
    """Derivative of :func:`violated`; 0 at the hinge's kink."""
    if soft:
        return sigmoid(violation)
    return where(violation == violation, indicator(violation > 0.0, violation), violation)


def violated_bend(violation: Array, soft: bool) -> Array:
    """Second derivative of :func:`violated`."""
    return logistic_slope(violation) if soft else full_like(violation, 0.0)


def contrast(distance: Array, similar: Any, margin: float) -> Array:
    """d^2 for similar pairs, max(m - d, 0)^2 for others."""
    gap = positive_part(margin - distance)
    return where(similar, distance * distance, gap * gap)


def contrast_slope(distance: Array, similar: Any, margin: float) -> Array:
    """Derivative of :func:`contrast` by the distance."""
    return where(similar, 2.0 * distance, -2.0 * positive_part(margin - distance))


def contrast_bend(distance: Array, similar: Any, margin: float) -> Array:
    """Second derivative of :func:`contrast` by the distance."""
    return 2.0 * where(similar, full_like(distance, 1.0), indicator(distance < margin, distance))
