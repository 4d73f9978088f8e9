"""Robust losses of the residual: quadratic near zero, slower in the tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.elementwise import Elementwise
from ..core.parameters import positive
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import (
    absolute,
    clip,
    indicator,
    log_cosh,
    positive_part,
    room,
    rounding,
    sech_squared,
    sign,
    square,
    tanh,
    where,
    word,
)

Array = Any


@register("huber", aliases=("huber_loss",))
@dataclass(frozen=True)
class Huber(Elementwise):
    """Huber's loss: half the square up to ``delta``, linear beyond.

    Parameters
    ----------
    delta : float, default 1.0
        Residual, in units of the target, at which it turns linear; > 0. 1.345 sigma has 95 % efficiency
        under Gaussian noise.

    References
    ----------
    Huber (1964), Robust Estimation of a Location Parameter, Ann. Math. Stat. 35.

    Examples
    --------
    >>> import lossmith as lm
    >>> float(lm.Huber(delta=2.0)([0, 0], [0.5, 3.0]))
    2.0625
    """

    delta: float = positive(1.0)
    claims = Traits(
        "regression",
        convex=True,
        lipschitz=lambda loss: loss.delta,
        smooth=1.0,
        symmetric=True,
        robust="bounded",
    )
    about = About(
        formula=r"\ell(y, f) = \tfrac12 r^2 \text{ if } |r| \le \delta,\ \delta(|r| - \tfrac12\delta) "
        r"\text{ else},\quad r = f - y",
        gradient=r"\max(-\delta, \min(\delta, f - y))",
        pros="combines the benefits of squared and absolute error",
        cons="one more hyperparameter, which has the target's unit",
        best_for="robust regression with control over what counts as an outlier",
        reference="Huber (1964), Ann. Math. Stat. 35",
        note="SmoothL1(beta) is this loss divided by beta",
    )

    @staticmethod
    def value(y: Array, f: Array, delta: Any) -> Array:
        a = absolute(f - y)
        return where(a <= delta, 0.5 * a * a, delta * (a - 0.5 * delta))

    @staticmethod
    def slope(y: Array, f: Array, delta: Any) -> Array:
        return clip(f - y, -delta, delta)

    @staticmethod
    def curvature(y: Array, f: Array, delta: Any) -> Array:
        return indicator(room(f, y, delta) >= 0.0, f)


@register("log_cosh", aliases=("logcosh",))
@dataclass(frozen=True)
class LogCosh(Elementwise):
    """log cosh(f - y): about half the square near 0, |f - y| - log 2 in the tails; smooth everywhere.

    References
    ----------
    Green (1990), Bayesian reconstructions from emission tomography data, IEEE Trans. Med. Imaging 9.

    Examples
    --------
    >>> import lossmith as lm
    >>> float(lm.LogCosh()([0.0], [1000.0])) == 1000 - 0.6931471805599453
    True
    """

    claims = Traits("regression", convex=True, lipschitz=1.0, smooth=1.0, symmetric=True, robust="bounded")
    about = About(
        formula=r"\ell(y, f) = \log\cosh(f - y)",
        gradient=r"\tanh(f - y)",
        pros="smooth to any order, less sensitive to outliers than the square",
        cons="two transcendental functions; its unit of residual is fixed at 1, so scale the target",
        best_for="general regression where second derivatives are wanted",
        reference="Green (1990), IEEE Trans. Med. Imaging 9",
    )

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return log_cosh(f - y)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return tanh(f - y)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        # In the tail the relative error is twice the absolute error of the residual, so its rounding counts.
        r = f - y
        return sech_squared(r) * (1.0 - 2.0 * sign(r) * rounding(f, y))


@word
def _below_one(y: Array, f: Array, c: Any) -> Array:
    """1 - (r/c)^2 as g (2 - g) with g = 1 - |r|/c, which does not cancel at the edge; 0 beyond."""
    g = positive_part(room(f, y, c)) / c
    return g * (2.0 - g)


@register("tukey", aliases=("biweight", "bisquare", "tukey_biweight"))
@dataclass(frozen=True)
class Tukey(Elementwise):
    """Tukey's biweight: residuals beyond ``c`` cost a constant and pull no more.

    Parameters
    ----------
    c : float, default 4.685
        Residual, in units of the target, at which the loss is flat; > 0. 4.685 sigma has 95 % efficiency
        under Gaussian noise.

    References
    ----------
    Beaton and Tukey (1974), The Fitting of Power Series, Technometrics 16.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.Tukey(c=3.0)([0, 0], [3.0, 100.0], reduction="none").tolist()
    [1.5, 1.5]
    """

    c: float = positive(4.685)
    claims = Traits(
        "regression",
        lipschitz=lambda loss: 16.0 * 5.0**-2.5 * loss.c,
        smooth=1.0,
        strong=-0.8,
        symmetric=True,
        robust="redescending",
    )
    about = About(
        formula=r"\ell(y, f) = \tfrac{c^2}{6}\bigl(1 - (1 - \min(1, (r/c)^2))^3\bigr),\quad r = f - y",
        gradient=r"r (1 - (r/c)^2)^2 \text{ if } |r| \le c,\ 0 \text{ else}",
        pros="gross outliers have no influence at all",
        cons="not convex: needs a good start and a scale estimate",
        best_for="regression with gross errors in the target",
        reference="Beaton and Tukey (1974), Technometrics 16",
    )

    @staticmethod
    def value(y: Array, f: Array, c: Any) -> Array:
        # 1 - (1 - u)^3 = u (3 - 3u + u^2) does not cancel for small residuals.
        u = square(clip((f - y) / c, -1.0, 1.0))
        return (c * c / 6.0) * (u * (3.0 - u * (3.0 - u)))

    @staticmethod
    def slope(y: Array, f: Array, c: Any) -> Array:
        r = clip(f - y, -c, c)
        return r * square(_below_one(y, f, c))

    @staticmethod
    def curvature(y: Array, f: Array, c: Any) -> Array:
        u = square(clip((f - y) / c, -1.0, 1.0))
        return _below_one(y, f, c) * (1.0 - 5.0 * u)
