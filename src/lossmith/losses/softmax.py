"""What losses on a row of logits share: sums over k of c_k phi(log p_k) and their derivatives.

With a_k = c_k phi'(log p_k), b_k = c_k phi''(log p_k) and p = softmax(z):
the gradient is sum_k a_k (e_k - p), and the Hessian
sum_k b_k (e_k - p)(e_k - p)^T - a_k (diag p - p p^T).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..engine.rows import Texts
from ..ops import full_like, in_float32, log1p, times, where, word
from ..ops.arrays import (
    Exponentials,
    Softmax,
    column,
    diagonal,
    exponentials,
    off_diagonal,
    outer,
    row_max,
    row_sum,
    softmax,
)
from .softmax_labels import LabelForm

Array = Any


@dataclass(frozen=True)
class SoftmaxForm:
    """The formulas on logits of a loss sum_k c_k phi(log p_k), from its texts; the row kernels compile the same texts.

    Attributes
    ----------
    texts : Texts
        c phi and c phi', from c, the parts of the softmax and the parameters.
    bend : callable
        c phi'', likewise.
    """

    texts: Texts
    bend: Callable[..., Array]

    @property
    def of_labels(self) -> LabelForm:
        """The formulas of one label a row."""
        return LabelForm(self)

    def value(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Per-sample values (n,)."""
        return row_sum(self.texts.term(c, softmax(z), *parameters))

    def slope(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Gradient (n, k)."""
        parts = softmax(z)
        return slope(parts, self.texts.pull(c, parts, *parameters))

    def value_and_slope(self, c: Array, z: Array, *parameters: Any) -> tuple[Array, Array]:
        """Both from one softmax."""
        parts = softmax(z)
        values = row_sum(self.texts.term(c, parts, *parameters))
        return values, slope(parts, self.texts.pull(c, parts, *parameters))

    def curvature(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Hessian (n, k, k)."""
        parts = softmax(z)
        return curvature(parts, self.texts.pull(c, parts, *parameters), self.bend(c, parts, *parameters))

    def product(self, c: Array, z: Array, v: Array, *parameters: Any) -> Array:
        """Hessian times v (n, k)."""
        parts = softmax(z)
        return product(parts, self.texts.pull(c, parts, *parameters), self.bend(c, parts, *parameters), v)


@dataclass(frozen=True)
class PlainForm:
    """The formulas on probabilities of a loss whose classes add up, from its texts of c, p and the parameters.

    Attributes
    ----------
    texts : Texts
        The term of a class and its derivative by p; the row kernels compile the same texts.
    bend : callable
        The second derivative.
    """

    texts: Texts
    bend: Callable[..., Array]

    def value(self, c: Array, p: Array, *parameters: Any) -> Array:
        """Per-sample values (n,)."""
        return row_sum(self.texts.term(c, p, *parameters))

    def slope(self, c: Array, p: Array, *parameters: Any) -> Array:
        """Gradient (n, k)."""
        return self.texts.pull(c, p, *parameters)

    def value_and_slope(self, c: Array, p: Array, *parameters: Any) -> tuple[Array, Array]:
        """Both."""
        return self.value(c, p, *parameters), self.slope(c, p, *parameters)

    def curvature(self, c: Array, p: Array, *parameters: Any) -> Array:
        """Hessian (n, k, k), a diagonal."""
        return diagonal(self.bend(c, p, *parameters))

    def product(self, c: Array, p: Array, v: Array, *parameters: Any) -> Array:
        """Hessian times v (n, k)."""
        return self.bend(c, p, *parameters) * v


@word
@in_float32
def surprise_term(c: Array, parts: Softmax) -> Array:
    """Return c (-log p): what a class adds to the cross-entropy."""
    return times(c, parts.surprise)


@word
@in_float32
def surprise_pull(c: Array, parts: Softmax) -> Array:
    """Its derivative by log p."""
    return -c


def straight(c: Array, parts: Softmax) -> Array:
    """Nothing: -log p is straight in log p."""
    return full_like(parts.surprise, 0.0)


@dataclass(frozen=True)
class CrossEntropyForm(SoftmaxForm):
    """The cross-entropy on logits: of all such losses the one whose classes share a single logarithm."""

    def value(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Per-sample values (n,)."""
        return self._value(c, exponentials(z))

    def slope(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Gradient (n, k)."""
        return self._slope(c, exponentials(z))

    def value_and_slope(self, c: Array, z: Array, *parameters: Any) -> tuple[Array, Array]:
        """Both from one table of exponentials."""
        found = exponentials(z)
        return self._value(c, found), self._slope(c, found)

    def _value(self, c: Array, found: Exponentials) -> Array:
        return row_sum(times(c, found.gap)) + row_sum(c) * log1p(found.rest)[..., 0]

    def _slope(self, c: Array, found: Exponentials) -> Array:
        mass, total = column(row_sum(c)), 1.0 + found.rest
        return where(found.leads, (mass - c) - c * found.rest, mass * found.size - c * total) / total


CROSS_ENTROPY = CrossEntropyForm(Texts(surprise_term, surprise_pull), straight)


@dataclass(frozen=True)
class Ridged:
    """Another form plus ridge times (logsumexp z)^2, which counts as much as the row's coefficients together.

    Attributes
    ----------
    form : SoftmaxForm
        The other; its parameters stand before the ridge.
    """

    form: SoftmaxForm

    @property
    def texts(self) -> Texts:
        """Those of the other form: the kernels know the ridge themselves."""
        return self.form.texts

    @property
    def of_labels(self) -> LabelForm:
        """The formulas of one label a row."""
        return LabelForm(self, ridged=True)

    def value(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Per-sample values (n,)."""
        return self.value_and_slope(c, z, *parameters)[0] if parameters[-1] else self.form.value(c, z, *parameters[:-1])

    def slope(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Gradient (n, k)."""
        return self.value_and_slope(c, z, *parameters)[1] if parameters[-1] else self.form.slope(c, z, *parameters[:-1])

    def value_and_slope(self, c: Array, z: Array, *parameters: Any) -> tuple[Array, Array]:
        """Both from one softmax."""
        *own, ridge = parameters
        values, gradient = self.form.value_and_slope(c, z, *own)
        if not ridge:
            return values, gradient
        parts, level = _level(z)
        weight = ridge * column(row_sum(c))
        pressed = values + row_sum(times(weight, level * level))
        return pressed, gradient + times(parts.probability, times(2.0 * weight, level))

    def curvature(self, c: Array, z: Array, *parameters: Any) -> Array:
        """Hessian (n, k, k): of the ridge 2 (p p^T + level (diag p - p p^T))."""
        *own, ridge = parameters
        matrix = self.form.curvature(c, z, *own)
        if not ridge:
            return matrix
        parts, level = _level(z)
        p, weight = parts.probability, 2.0 * ridge * column(row_sum(c))
        spread = times(p * parts.complement, level)
        within = off_diagonal(outer(p, times(p, 1.0 - level))) + diagonal(p * p + spread)
        return matrix + times(column(weight), within)

    def product(self, c: Array, z: Array, v: Array, *parameters: Any) -> Array:
        """Hessian times v (n, k)."""
        *own, ridge = parameters
        result = self.form.product(c, z, v, *own)
        if not ridge:
            return result
        parts, level = _level(z)
        p, weight = parts.probability, 2.0 * ridge * column(row_sum(c))
        mean = column(row_sum(p * v))
        return result + times(weight, p * mean + times(p, level * (v - mean)))


def _level(z: Array) -> tuple[Softmax, Array]:
    """Return the softmax and logsumexp z: the largest logit and the surprise at it, which is the smallest."""
    parts = softmax(z)
    return parts, row_max(z) - row_max(-parts.surprise)


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
