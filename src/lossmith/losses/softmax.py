"""What losses on a row of logits share: sums over k of c_k phi(log p_k) and their derivatives.

With a_k = c_k phi'(log p_k), b_k = c_k phi''(log p_k) and p = softmax(z):
the gradient is sum_k a_k (e_k - p), and the Hessian
sum_k b_k (e_k - p)(e_k - p)^T - a_k (diag p - p p^T).
"""

from __future__ import annotations

from typing import Any

from ..ops.arrays import Softmax, column, diagonal, outer, row_sum

Array = Any


def slope(parts: Softmax, a: Array) -> Array:
    """Gradient by the logits; a_j (1 - p_j) - p_j (sum of the other a) does not cancel."""
    return a * parts.complement - parts.probability * (column(row_sum(a)) - a)


def curvature(parts: Softmax, a: Array, b: Array) -> Array:
    """Hessian by the logits, (..., k, k)."""
    p, q = parts.probability, parts.complement
    # diag(p) - p p^T: its diagonal p (1 - p) is written with the complement, which does not cancel.
    spread = diagonal(p * q + p * p) - outer(p, p)
    pulled = outer(b, p) + outer(p, b)
    bent = diagonal(b) - pulled + row_sum(b)[..., None, None] * outer(p, p)
    return bent - row_sum(a)[..., None, None] * spread


def product(parts: Softmax, a: Array, b: Array, v: Array) -> Array:
    """Hessian times v, without the matrix."""
    p = parts.probability
    centred = v - column(row_sum(p * v))
    bent = b * centred - p * column(row_sum(b * centred))
    return bent - column(row_sum(a)) * p * centred
