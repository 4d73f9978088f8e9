"""Losses of the margin y * f for labels -1 and +1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.domain import SIGNS
from ..core.elementwise import Elementwise
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import full_like, indicator, positive_part, square, where

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
