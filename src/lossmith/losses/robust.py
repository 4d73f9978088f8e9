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
    full_like,
    in_float32,
    indicator,
    larger,
    log_cosh_of_difference,
    lost_part,
    positive_part,
    product_rounding,
    quotient_rounding,
    room,
    rounding,
    sech_squared,
    sign,
    smaller,
    sqrt,
    square,
    tanh_of_difference,
    where,
    word,
)

Array = Any
# What overflows with this factor overflows when it is cut in halves, too.
HALVING = 2.0**28


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
    @in_float32
    def value(y: Array, f: Array) -> Array:
        return log_cosh_of_difference(f, y)

    @staticmethod
    @in_float32
    def slope(y: Array, f: Array) -> Array:
        return tanh_of_difference(f, y)

    @staticmethod
    @in_float32
    def curvature(y: Array, f: Array) -> Array:
        # In the tail the relative error is twice the absolute error of the residual, so its rounding counts.
        r = f - y
        bent = sech_squared(r)
        return bent - bent * (2.0 * sign(r) * rounding(f, y))


@word
def _left(y: Array, f: Array, c: Any) -> tuple[Array, Array]:
    """1 - (r/c)^2 as g (2 - g) with g = 1 - |r|/c, which does not cancel at the edge, and what it lacks; 0 beyond."""
    edge = positive_part(room(f, y, c))
    g = edge / c
    h = 2.0 - g
    return g * h, product_rounding(g, h) + (h - g) * lost_part(quotient_rounding(g, edge, c), full_like(g, c)) + g * (
        (2.0 - h) - g
    )


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
        # 1 - (1 - u)^3 = u (1 + w (1 + w)), w = 1 - u, does not cancel for small residuals. With u c^2 = r^2 less is
        # rounded than with u; what that square and the residual lose is put back with the slope r w^2.
        r = clip(f - y, -c, c)
        z = r * r
        left = 1.0 - z / (c * c)  # 0 beyond c
        lost = rounding(f, y) * r + 0.5 * product_rounding(r, r)
        return z * (1.0 + left * (1.0 + left)) / 6.0 + lost * square(left)

    @staticmethod
    def slope(y: Array, f: Array, c: Any) -> Array:
        left, lost = _left(y, f, c)
        return clip(f - y, -c, c) * (left * (left + 2.0 * lost))

    @staticmethod
    def curvature(y: Array, f: Array, c: Any) -> Array:
        # w (1 - 5 u) = w (5 w - 4)
        left, lost = _left(y, f, c)
        bent = absolute(5.0 * left) - 4.0
        rest = product_rounding(left, 5.0) + 5.0 * lost + rounding(absolute(5.0 * left), full_like(left, 4.0))
        return left * bent + (left * rest + lost * bent)


@word
def _inner(a: Array, delta: Any) -> Array:
    """The smaller of u = a / delta and 1 / u, whose square cannot overflow; 0 at infinity."""
    return smaller(a, delta) / larger(a, delta)


@register("pseudo_huber", aliases=("pseudo_huber_loss", "charbonnier"))
@dataclass(frozen=True)
class PseudoHuber(Elementwise):
    """Pseudo-Huber loss, delta^2 (sqrt(1 + (r / delta)^2) - 1): Huber's loss without the break in curvature.

    Parameters
    ----------
    delta : float, default 1.0
        Residual, in units of the target, around which it turns linear; > 0. In the tails its slope tends to
        delta. XGBoost calls it ``huber_slope``.

    References
    ----------
    Charbonnier, Blanc-Feraud, Aubert and Barlaud (1994), Two deterministic half-quadratic regularization
    algorithms for computed imaging, ICIP.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.PseudoHuber(delta=3.0)([0.0, 0.0], [0.0, 4.0], reduction="none").tolist()
    [0.0, 6.0]
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
        formula=r"\ell(y, f) = \delta^2 \Bigl(\sqrt{1 + (r/\delta)^2} - 1\Bigr),\quad r = f - y",
        gradient=r"\frac{r}{\sqrt{1 + (r/\delta)^2}}",
        pros="as Huber's loss, with continuous derivatives of any order and curvature everywhere",
        cons="one more hyperparameter, which has the target's unit; its curvature vanishes as 1/|r|^3",
        best_for="robust regression with second-order learners",
        reference="Charbonnier et al. (1994), ICIP",
        note="the square root less 1 cancels for small residuals: XGBoost's metric loses its digits there",
    )

    @staticmethod
    def value(y: Array, f: Array, delta: Any) -> Array:
        # |r| times |r| / (1 + sqrt(1 + u^2)), u = r / delta, or times delta / (1/u + sqrt(1 + 1/u^2)): nothing cancels.
        r = f - y
        a = absolute(r)
        limited = smaller(a, delta)
        t = _inner(a, delta)
        root = sqrt(1.0 + t * t)
        lost = rounding(f, y) * clip(r, -delta, delta) / root
        return a * (limited / (where(a <= delta, full_like(a, 1.0), t) + root)) + lost

    @staticmethod
    def slope(y: Array, f: Array, delta: Any) -> Array:
        r = f - y
        a = absolute(r)
        t = _inner(a, delta)
        return sign(r) * smaller(a, delta) / sqrt(1.0 + t * t)

    @staticmethod
    def curvature(y: Array, f: Array, delta: Any) -> Array:
        # The power 3/2 multiplies errors: what rounding takes from the residual, t, its square and the sum is put back.
        r = f - y
        a = absolute(r)
        near = a <= delta
        t = _inner(a, delta)
        bent = t * t
        total = 1.0 + bent
        bent_low = product_rounding(t, t)
        lost = lost_part(((1.0 - total) + bent) + bent_low, total)
        lost_r = lost_part(rounding(f, y), r)
        over, under = where(near, a, full_like(a, delta)), where(near, full_like(a, delta), a)
        lost_t = lost_part(quotient_rounding(t, over, under), where(HALVING * under < float("inf"), over, 0.0))
        share = where(near, bent, full_like(r, -1.0)) / total
        power = where(near, full_like(r, 1.0), bent * t) / (total * sqrt(total))
        lost_bent = where(near, 0.0 * t, lost_part(bent_low, bent))
        return power - power * (1.5 * lost + 3.0 * share * (where(near, lost_r, -lost_r) + lost_t) - lost_bent)
