"""Losses on a row of logits with one label: what only the label's class adds is computed for that class alone.

The label's exponential stays out of the sum S of the others, so that with e its own the label has p = e / (e + S) and
1 - p = S / (e + S) without cancellation, and no search for the largest class is needed. Libraries that compile keep
one table between their passes, the exponentials of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..ops import exp, full_like, log, log1p, times, where
from ..ops.arrays import Softmax, at_label, column, marks, one_hot, row_max, row_sum

Array = Any


class Labelled(NamedTuple):
    """Labels, and what each of their rows counts.

    Attributes
    ----------
    index : array, shape (...)
        In 0 ... k-1.
    weight : array, shape (...)
        In the dtype of the logits; 0 for rows that do not count, NaN for labels that are none.
    """

    index: Array
    weight: Array


class _Row(NamedTuple):
    """What value and gradient share.

    Attributes
    ----------
    hot : array of bool, shape (..., k)
        Where the label is.
    others : array, shape (..., k)
        exp(z - max z), 0 at the label.
    rest : array, shape (...)
        Their sum.
    total : array, shape (...)
        The sum with the label's.
    level : array, shape (...)
        logsumexp z.
    parts : Softmax
        Of the label's class, shape (...).
    """

    hot: Array
    others: Array
    rest: Array
    total: Array
    level: Array
    parts: Softmax


def _row(index: Array, z: Array) -> _Row:
    top = row_max(z)
    hot, nothing = marks(index, z), full_like(z, 0.0)
    others = where(hot, nothing, exp(where(z == top, nothing, z - top)))
    rest, top, own = row_sum(others), top[..., 0], at_label(z, index)
    leads = own == top
    gap = where(leads, full_like(own, 0.0), top - own)
    e = exp(-gap)
    total = e + rest
    above = where(leads, log1p(rest), log(total))
    return _Row(hot, others, rest, total, top + above, Softmax(e / total, rest / total, gap + above))


@dataclass(frozen=True)
class LabelForm:
    """The formulas of a loss w phi(log p_y), plus w ridge (logsumexp z)^2, on logits and labels.

    Attributes
    ----------
    form : SoftmaxForm or Ridged
        The same loss on rows of coefficients, whose second derivatives serve here.
    ridged : bool
        Whether the last parameter is the ridge.
    """

    form: Any
    ridged: bool = False

    def value(self, y: Labelled, z: Array, *parameters: Any) -> Array:
        """Per-sample values (n,)."""
        return self._value(_row(y.index, z), y.weight, parameters)

    def slope(self, y: Labelled, z: Array, *parameters: Any) -> Array:
        """Gradient (n, k)."""
        return self._slope(_row(y.index, z), y.weight, parameters)

    def value_and_slope(self, y: Labelled, z: Array, *parameters: Any) -> tuple[Array, Array]:
        """Both from one softmax."""
        row = _row(y.index, z)
        return self._value(row, y.weight, parameters), self._slope(row, y.weight, parameters)

    def curvature(self, y: Labelled, z: Array, *parameters: Any) -> Array:
        """Hessian (n, k, k)."""
        return self.form.curvature(_table(y, z), z, *parameters)

    def product(self, y: Labelled, z: Array, v: Array, *parameters: Any) -> Array:
        """Hessian times v (n, k)."""
        return self.form.product(_table(y, z), z, v, *parameters)

    def _split(self, parameters: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        return (parameters[:-1], parameters[-1]) if self.ridged else (parameters, 0.0)

    def _value(self, row: _Row, weight: Array, parameters: tuple[Any, ...]) -> Array:
        own, ridge = self._split(parameters)
        found = self.form.texts.term(weight, row.parts, *own)
        return found + times(weight, ridge * row.level * row.level) if ridge else found

    def _slope(self, row: _Row, weight: Array, parameters: tuple[Any, ...]) -> Array:
        own, ridge = self._split(parameters)
        rate = self.form.texts.pull(weight, row.parts, *own) / row.total
        pulled = column(rate) * where(row.hot, column(row.rest), -row.others)
        if not ridge:
            return pulled
        press = 2.0 * ridge * weight * row.level
        own_share = column(row.parts.probability)
        spread = where(row.hot, own_share, row.others / column(row.total))
        return pulled + column(press) * spread


def _table(y: Labelled, z: Array) -> Array:
    """Return the coefficients of all classes."""
    hot = one_hot(y.index, z)
    return where(hot == 0.0, hot + 0.0 * column(y.weight), column(y.weight))
