"""Losses whose minimiser is a quantile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.elementwise import Elementwise
from ..core.parameters import fraction
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import full_like, where

Array = Any


@register("quantile", aliases=("pinball", "quantile_loss", "check_loss"))
@dataclass(frozen=True)
class Quantile(Elementwise):
    """Quantile (pinball) loss: q (y - f) where the target is above, (1 - q) (f - y) where it is below.

    Parameters
    ----------
    q : float, default 0.5
        The wanted quantile, strictly between 0 and 1. At f = y the subgradient 0 is given.

    References
    ----------
    Koenker and Bassett (1978), Regression Quantiles, Econometrica 46.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.Quantile(q=0.9)([1, 0], [0.0, 1.0], reduction="none").tolist()
    [0.9, 0.09999999999999998]
    """

    q: float = fraction(0.5)
    claims = Traits(
        "regression",
        convex=True,
        lipschitz=lambda loss: max(loss.q, 1 - loss.q),
        kinks=(0.0,),
        symmetric=lambda loss: loss.q == 0.5,
        robust="bounded",
        elicits="quantile",
        constant_hessian=True,
    )
    about = About(
        formula=r"\ell(y, f) = \max\bigl(q (y - f), (q - 1)(y - f)\bigr)",
        gradient=r"-q \text{ if } f < y,\ 1 - q \text{ if } f > y,\ 0 \text{ at } f = y",
        pros="asks for exactly the quantile that is wanted; robust",
        cons="less intuitive; no curvature for second-order learners",
        best_for="quantile regression, prediction intervals, asymmetric costs",
        reference="Koenker and Bassett (1978), Econometrica 46",
        note="the name of q differs: tau, alpha, quantile",
    )

    @staticmethod
    def value(y: Array, f: Array, q: Any) -> Array:
        e = y - f
        return where(e >= 0.0, q * e, (q - 1.0) * e)

    @staticmethod
    def slope(y: Array, f: Array, q: Any) -> Array:
        r = f - y
        return where(r > 0.0, full_like(r, 1.0 - q), where(r < 0.0, full_like(r, -q), r))

    @staticmethod
    def curvature(y: Array, f: Array, q: Any) -> Array:
        return full_like(f, 0.0)
