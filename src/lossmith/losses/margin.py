"""Losses of the margin: y * f for labels -1 and +1, and the lead of the right class over each other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import contract
from ..core.domain import SIGNS, Domain
from ..core.elementwise import Elementwise
from ..core.parameters import Check, custom, non_negative, weights
from ..core.registry import register
from ..core.row_targets import class_weights_fit, labels, one_hot_labels, read_labels
from ..core.rowwise import LOGITS, Kernel, RowForm, RowWiseLoss
from ..core.traits import NOT_STATED, About, Traits
from ..engine import rows
from ..ops import full_like, indicator, positive_part, square, times, where, word
from ..ops.arrays import column, constants, diagonal, one_hot, outer, row_sum

Array = Any


@register("hinge", aliases=("hinge_loss", "l1_hinge"))
@dataclass(frozen=True)
class Hinge(Elementwise):
    """Hinge loss, max(0, 1 - y f), for labels y in {-1, +1} and a raw score f.

    At the kink y f = 1 the subgradient 0 is given.

    References
    ----------
    Cortes and Vapnik (1995), Support-Vector Networks, Machine Learning 20.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.Hinge()([1, -1], [0.25, 0.25], reduction="none").tolist()
    [0.75, 1.25]
    """

    domain = SIGNS
    claims = Traits(
        "binary",
        convex=True,
        lipschitz=1.0,
        kinks=(1.0,),
        symmetric=True,
        robust="bounded",
        calibrated=True,
        elicits="sign",
        constant_hessian=True,
    )
    about = About(
        formula=r"\ell(y, f) = \max(0, 1 - y f)",
        gradient=r"-y \text{ if } y f < 1,\ 0 \text{ else}",
        pros="margin-based; ignores what is already right by a margin",
        cons="the score is no probability; no curvature for second-order learners",
        best_for="SVM-style classification where only the decision counts",
        reference="Cortes and Vapnik (1995), Machine Learning 20",
        note="f is a score on the whole line, not a probability: a plot over p in (0, 1) shows half of it",
    )

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return positive_part(1.0 - y * f)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        margin = y * f
        return where(margin < 1.0, -y, where(margin >= 1.0, 0.0 * y, margin))

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return full_like(f, 0.0)


@register("squared_hinge", aliases=("l2_hinge",))
@dataclass(frozen=True)
class SquaredHinge(Elementwise):
    """Squared hinge loss, max(0, 1 - y f)^2, for labels y in {-1, +1} and a raw score f.

    References
    ----------
    Lee and Mangasarian (2001), SSVM, Computational Optimization and Applications 20.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.SquaredHinge()([1, -1], [0.5, 0.5], reduction="none").tolist()
    [0.25, 2.25]
    """

    domain = SIGNS
    claims = Traits("binary", convex=True, smooth=2.0, symmetric=True, calibrated=True, elicits="mean")
    about = About(
        formula=r"\ell(y, f) = \max(0, 1 - y f)^2",
        gradient=r"-2 y \max(0, 1 - y f)",
        pros="margin-based and differentiable",
        cons="punishes gross mislabels quadratically",
        best_for="linear SVMs trained by second-order solvers",
        reference="Lee and Mangasarian (2001), Comput. Optim. Appl. 20",
    )

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return square(positive_part(1.0 - y * f))

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return -2.0 * y * positive_part(1.0 - y * f)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return 2.0 * indicator(y * f < 1.0, f)


@word
def _step(h: Array) -> Array:
    """Slope of the positive part; 0 at the kink."""
    return where(h > 0.0, full_like(h, 1.0), where(h <= 0.0, full_like(h, 0.0), h))


@word
def _squared_part(h: Array) -> Array:
    return square(positive_part(h))


@word
def _doubled_part(h: Array) -> Array:
    return 2.0 * positive_part(h)


def _flat(h: Array) -> Array:
    return full_like(h, 0.0)


def _twice(h: Array) -> Array:
    return 2.0 * indicator(h > 0.0, h)


@dataclass(frozen=True)
class Rivals:
    """Formulas of c / k sum over j != y of price(margin - z_y + z_j), where rows c hold the weight at y and else 0.

    Attributes
    ----------
    price, rate, bend : callable
        A function of one number, its derivative and second derivative; the row kernel compiles the first two.
    """

    price: Callable[..., Array]
    rate: Callable[..., Array]
    bend: Callable[..., Array]

    def value(self, c: Array, z: Array, margin: float) -> Array:
        """Per-sample values (n,)."""
        return row_sum(self._over_rivals(self.price, c, z, margin))

    def slope(self, c: Array, z: Array, margin: float) -> Array:
        """Gradient (n, k)."""
        rates = self._over_rivals(self.rate, c, z, margin)
        return rates - where(c > 0.0, column(row_sum(rates)), 0.0 * rates)

    def curvature(self, c: Array, z: Array, margin: float) -> Array:
        """Hessian (n, k, k), sum over j of a_j (e_j - e_y)(e_j - e_y)^T."""
        a, mine = self._over_rivals(self.bend, c, z, margin), indicator(c > 0.0, c)
        return diagonal(a + mine * column(row_sum(a))) - (outer(a, mine) + outer(mine, a))

    def product(self, c: Array, z: Array, v: Array, margin: float) -> Array:
        """Hessian times v (n, k)."""
        a, mine = self._over_rivals(self.bend, c, z, margin), indicator(c > 0.0, c)
        pushed = a * (v - column(row_sum(mine * v)))
        return pushed - mine * column(row_sum(pushed))

    @staticmethod
    def _over_rivals(formula: Callable[..., Array], c: Array, z: Array, margin: float) -> Array:
        mine = c > 0.0
        own = column(row_sum(where(mine, z, full_like(z, 0.0))))
        gap = where(z == own, full_like(z, 0.0), z - own)  # equal ones may be infinite
        share = column(row_sum(c)) / z.shape[-1]
        return where(mine, full_like(z, 0.0), times(share, formula(margin + gap)))


_FORMS = {1: Rivals(positive_part, _step, _flat), 2: Rivals(_squared_part, _doubled_part, _twice)}


def _one_or_two(value: Any) -> int:
    if isinstance(value, bool) or value not in (1, 2):
        raise ValueError
    return int(value)


@register("multi_margin", aliases=("multiclass_hinge", "weston_watkins"))
@dataclass(frozen=True)
class MultiMargin(RowWiseLoss):
    """Multi-class margin loss, w_y / k sum over j != y of max(0, margin - f_y + f_j)^p, for labels 0 ... k-1.

    Parameters
    ----------
    p : {1, 2}
        Power of the shortfall.
    margin : float, default 1.0
        By how much the right class's score should lead; >= 0.
    class_weights : sequence of float, optional
        One weight w for each class. "mean" divides by n, as torch does.

    References
    ----------
    Weston and Watkins (1999), Support Vector Machines for Multi-Class Pattern Recognition, ESANN.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.MultiMargin()([3], [[0.1, 0.2, 0.4, 0.8]])), 4)
    0.325
    """

    p: int = custom(1, Check("1 or 2", _one_or_two, lambda value: (), (2,)))
    margin: float = non_negative(1.0)
    class_weights: tuple[float, ...] | None = weights()
    inputs: ClassVar[str] = "scores"  # type: ignore[misc]
    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {"scores": LOGITS}
    claims = Traits(
        "multiclass",
        convex=True,
        lipschitz=lambda loss: _steepest(loss),
        smooth=lambda loss: float("inf") if loss.p == 1 else 2.0 * max(loss.class_weights or (1.0,)),
        kinks=lambda loss: (loss.margin,) if loss.p == 1 else (),
        symmetric=lambda loss: loss.class_weights is None or len(set(loss.class_weights)) == 1,
        robust=lambda loss: "bounded" if loss.p == 1 else "no",
        calibrated=lambda loss: loss.p == 2 and (loss.class_weights is None or len(set(loss.class_weights)) == 1),
        constant_hessian=lambda loss: loss.p == 1,
    )
    about = About(
        formula=r"\ell(y, f) = \frac{w_y}{k} \sum_{j \ne y} \max(0,\ m - f_y + f_j)^p",
        gradient=r"\frac{p\,w_y}{k} \max(0,\ m - f_y + f_j)^{p-1} \text{ for } j \ne y,\ "
        r"\text{less their sum for } j = y",
        pros="margin-based; ignores classes that are beaten by a margin",
        cons="scores are no probabilities; with p = 1 they may name no class where none has half the mass",
        best_for="SVM-style classification into many classes",
        reference="Weston and Watkins (1999), ESANN",
        note="torch divides by the number of classes and not by the sum of the class weights",
    )

    @property
    def form(self) -> RowForm:
        """The formulas for p."""
        return _FORMS[self.p]

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check labels (n,) or one-hot rows (n, k)."""
        name = type(self).__name__
        class_weights_fit(self.class_weights, f, name)
        y = contract.as_array(y_true, "y_true")
        if len(y.shape) == len(f.shape):
            y = one_hot_labels(y, f, name)
        return read_labels(y, f, name, later=self.by_kernel(f))

    def coefficients(self, y: Array, f: Array) -> Array:
        """Rows with the weight of the label's class."""
        table = one_hot(y, f)
        return table if self.class_weights is None else table * constants(self.class_weights, f)

    @property
    def kernel(self) -> Kernel:
        """Compiled loops."""
        return self._by_rows

    def _by_rows(self, y: Array, f: Array, values: Array, slopes: Array | None) -> None:
        form = _FORMS[self.p]
        given = None if self.class_weights is None else np.array(self.class_weights)
        found = rows.rivals(form.price, form.rate, f, y, values, slopes, margin=self.margin, class_weights=given)
        if found >= 0:
            labels(y, f, type(self).__name__)

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return the margin."""
        return (self.margin,)


def _steepest(loss: Any) -> float:
    """Norm of the gradient where every rival is within the margin; it grows with k, which the weights fix."""
    if loss.p == 2:
        return float("inf")
    if loss.class_weights is None:
        return NOT_STATED
    return float(max(loss.class_weights) * (1.0 - 1.0 / len(loss.class_weights)) ** 0.5)
