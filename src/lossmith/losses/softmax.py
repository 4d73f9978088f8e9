"""What losses on a row of logits share: sums over k of c_k phi(log p_k) and their derivatives.

With a_k = c_k phi'(log p_k), b_k = c_k phi''(log p_k) and p = softmax(z):
the gradient is sum_k a_k (e_k - p), and the Hessian
sum_k b_k (e_k - p)(e_k - p)^T - a_k (diag p - p p^T).
"""

from __future__ import annotations

from typing import Any

from ..ops import full_like, where
from ..ops.arrays import Softmax, column, diagonal, off_diagonal, outer, row_sum

Array = Any


def slope(parts: Softmax, a: Array) -> Array:
    """Gradient by the logits; a_j (1 - p_j) - p_j (sum of the other a) does not cancel."""
    return a * parts.complement - parts.probability * (column(row_sum(a)) - a)


def sum_of_others(x: Array, heavy: Array) -> Array:
    """For each entry of a row the sum of the other entries; the heavy one is never added and taken away."""
    nothing = full_like(x, 0.0)
    light = column(row_sum(where(heavy, nothing, x)))
    return where(heavy, light + nothing, light - x + column(row_sum(where(heavy, x, nothing))))


def curvature(parts: Softmax, a: Array, b: Array) -> Array:
    """Hessian by the logits, (..., k, k).

    Diagonal and the rest are written apart, in p and 1 - p, so that a confident row keeps its digits.
    """
    p, q = parts.probability, parts.complement
    heavy = p > 0.5
    pull = column(row_sum(a))
    others = sum_of_others(b, heavy)
    on = b * q * q + p * p * others - pull * p * q
    # the sum of b over all but i and j, i != j
    light = where(heavy, full_like(b, 0.0), b)
    without = column(others) - b[..., None, :]
    without = where(heavy[..., None, :], column(column(row_sum(light)) - light) + 0.0 * without, without)
    off = outer(p, p) * (without + column(pull)) - (outer(b * q, p) + outer(p, b * q))
    return diagonal(on) + off_diagonal(off)


def product(parts: Softmax, a: Array, b: Array, v: Array) -> Array:
    """Hessian times v, without the matrix."""
    p, q = parts.probability, parts.complement
    heavy = p > 0.5
    # v - sum(p v), in which a p of nearly 1 meets its own v as (1 - p) v
    centred = q * v - sum_of_others(p * v, heavy)
    bent = b * centred
    return bent * q - p * sum_of_others(bent, heavy) - column(row_sum(a)) * p * centred
