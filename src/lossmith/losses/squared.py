"""Losses of the residual that elicit the mean or the median."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.elementwise import Elementwise
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import absolute, full_like, sign, square

Array = Any


@register("mse", aliases=("squared_error", "mean_squared_error", "l2_loss", "quadratic"))
@dataclass(frozen=True)
class MeanSquaredError(Elementwise):
    """Squared error, (f - y)^2, with targets and predictions on the whole real line.

    It elicits the mean. The factor is 1, as in torch, Keras and scikit-learn's metric; optax's ``l2_loss``
    and the boosters use one half.

    References
    ----------
    Gauss (1809), Theoria Motus.

    Examples
    --------
    >>> import lossmith as lm
    >>> float(lm.MeanSquaredError()([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]))
    0.375
    """

    claims = Traits(
        "regression", convex=True, smooth=2.0, strong=2.0, symmetric=True, elicits="mean", constant_hessian=True
    )
    about = About(
        formula=r"\ell(y, f) = (f - y)^2",
        gradient=r"2 (f - y)",
        pros="smooth, differentiable, efficient for Gaussian noise",
        cons="sensitive to outliers",
        best_for="general regression; the mean is wanted",
        reference="Gauss (1809), Theoria Motus",
        note="the gradient by the prediction is 2 (f - y), not 2 (y - f)",
    )

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return square(f - y)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return 2.0 * (f - y)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return full_like(f, 2.0)


@register("mae", aliases=("absolute_error", "mean_absolute_error", "l1_loss"))
@dataclass(frozen=True)
class MeanAbsoluteError(Elementwise):
    """Absolute error, |f - y|, with targets and predictions on the whole real line.

    It elicits the median. At f = y the subgradient 0 is given; the second derivative is 0 elsewhere.

    References
    ----------
    Boscovich (1757); Koenker and Bassett (1978), Econometrica 46.

    Examples
    --------
    >>> import lossmith as lm
    >>> float(lm.MeanAbsoluteError()([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]))
    0.5
    """

    claims = Traits(
        "regression",
        convex=True,
        lipschitz=1.0,
        kinks=(0.0,),
        symmetric=True,
        robust="bounded",
        elicits="median",
        constant_hessian=True,
    )
    about = About(
        formula=r"\ell(y, f) = |f - y|",
        gradient=r"\operatorname{sign}(f - y)",
        pros="robust to outliers in the target",
        cons="not differentiable at zero; no curvature for second-order learners",
        best_for="robust regression; the median is wanted",
        reference="Koenker and Bassett (1978), Econometrica 46",
        note="the subgradient by the prediction is sign(f - y); in a mean it carries 1/n like any gradient",
    )

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return absolute(f - y)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return sign(f - y)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return full_like(f, 0.0)
