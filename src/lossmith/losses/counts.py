"""Losses for counts and other non-negative targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.domain import EXTENDED_REAL, NON_NEGATIVE, POSITIVE, Domain, Interval
from ..core.elementwise import LinkedElementwise, inputs_among
from ..core.parameters import Check, custom
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import exp, scaled_exp, times, where, xlogy
from .binary import share_of

Array = Any


class _OnLogRate:
    """exp(f) - y f; the exponential outgrows the line, so infinity wins where it overflows."""

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        rate = exp(f)
        return where(rate < float("inf"), rate - times(y, f), rate)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return exp(f) - y

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return exp(f)


class _OnRate:
    """F - y log f."""

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        return where(f < float("inf"), f - xlogy(y, f), f)

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        return 1.0 - share_of(y, f)

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        return share_of(share_of(y, f), f)


@register("poisson_nll", aliases=("poisson", "poisson_loss"))
@dataclass(frozen=True)
class PoissonNLL(LinkedElementwise):
    """Poisson negative log-likelihood, rate - y log(rate), without the constant log(y!).

    Parameters
    ----------
    inputs : {"log_rate", "rate"}
        What y_pred holds. Targets are counts, or any numbers >= 0 whose mean is modelled.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, chapter 6.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.PoissonNLL(inputs="rate")([2], [3.0])), 6)
    0.802775
    """

    inputs: str = inputs_among("log_rate", "rate")
    domain = NON_NEGATIVE
    forms: ClassVar[Mapping[str, Any]] = {"log_rate": _OnLogRate, "rate": _OnRate}
    prediction_domains: ClassVar[Mapping[str, Domain]] = {
        "log_rate": EXTENDED_REAL,
        "rate": Interval(0.0, float("inf"), "both"),
    }
    claims = Traits("count", convex=True, proper=True, elicits="mean")
    about = About(
        formula=r"\ell(y, \lambda) = \lambda - y \log \lambda,\quad \lambda = e^f \text{ on log-rates}",
        gradient=r"e^f - y \text{ by the log-rate; } 1 - y / \lambda \text{ by the rate}",
        pros="models counts; predictions stay positive; consistent for the mean whatever the distribution",
        cons="assumes variance = mean for its efficiency",
        best_for="count regression, rates, positive skewed targets",
        reference="McCullagh and Nelder (1989), Generalized Linear Models",
        note="torch takes the log-rate by default and Keras the rate; the constant log(y!) is left out",
    )


class _Gamma:
    """Y exp(-f) + f, with the exponential in two halves: alone it overflows for small targets."""

    @staticmethod
    def value(y: Array, f: Array) -> Array:
        half = exp(-0.5 * f)
        cost = (y * half) * half
        return where(cost < float("inf"), cost + f, cost)  # infinity wins over f

    @staticmethod
    def slope(y: Array, f: Array) -> Array:
        half = exp(-0.5 * f)
        return 1.0 - (y * half) * half

    @staticmethod
    def curvature(y: Array, f: Array) -> Array:
        half = exp(-0.5 * f)
        return (y * half) * half


@register("gamma_nll", aliases=("gamma", "gamma_loss"))
@dataclass(frozen=True)
class GammaNLL(LinkedElementwise):
    """Gamma negative log-likelihood on the logarithm f of the mean: y exp(-f) + f, for targets > 0.

    It is that of any shape, divided by the shape and without terms of the target alone: half the gamma deviance.

    Parameters
    ----------
    inputs : {"log_rate"}
        What y_pred holds: the logarithm of the mean.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, chapter 8.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.GammaNLL()([2.0], [0.0]).item(), lm.GammaNLL().gradient([2.0], [0.0]).item()
    (2.0, -1.0)
    """

    inputs: str = inputs_among("log_rate")
    domain = POSITIVE
    forms: ClassVar[Mapping[str, Any]] = {"log_rate": _Gamma}
    prediction_domains: ClassVar[Mapping[str, Domain]] = {"log_rate": EXTENDED_REAL}
    claims = Traits("count", convex=True, proper=True, elicits="mean")
    about = About(
        formula=r"\ell(y, f) = y e^{-f} + f,\quad e^f \text{ the mean}",
        gradient=r"1 - y e^{-f}",
        pros="relative errors count, whatever the size; predictions stay positive; consistent for the mean",
        cons="targets must be positive; those near 0 that are predicted too high cost little",
        best_for="positive targets whose spread grows as their mean: claim sizes, durations",
        reference="McCullagh and Nelder (1989), Generalized Linear Models",
        note="y_pred holds the logarithm of the mean, as boosters and scikit-learn have it",
    )


def _between(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool | str) or not 1.0 < number < 2.0:
        raise ValueError
    return number


def _powers(value: float) -> tuple[float, ...]:
    """Return p - 1 and 2 - p, both exact."""
    return value - 1.0, 2.0 - value


class _Tweedie:
    """y exp(-a f) / a + exp(b f) / b with a = p - 1 and b = 2 - p."""

    @staticmethod
    def value(y: Array, f: Array, a: Any, b: Any) -> Array:
        return times(y, scaled_exp(-f, a)) / a + scaled_exp(f, b) / b

    @staticmethod
    def slope(y: Array, f: Array, a: Any, b: Any) -> Array:
        return scaled_exp(f, b) - times(y, scaled_exp(-f, a))

    @staticmethod
    def curvature(y: Array, f: Array, a: Any, b: Any) -> Array:
        return a * times(y, scaled_exp(-f, a)) + b * scaled_exp(f, b)


@register("tweedie", aliases=("tweedie_nll", "tweedie_loss"))
@dataclass(frozen=True)
class Tweedie(LinkedElementwise):
    """Tweedie loss on the logarithm f of the mean, for targets >= 0 with a mass at 0; half the Tweedie deviance.

    Parameters
    ----------
    inputs : {"log_rate"}
        What y_pred holds: the logarithm of the mean.
    power : float, default 1.5
        The variance grows as mean^power; strictly between 1 (Poisson) and 2 (gamma).

    References
    ----------
    Jorgensen (1997), The Theory of Dispersion Models, chapter 4.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.Tweedie(power=1.5)([2.0], [0.0]).item(), lm.Tweedie(power=1.5).gradient([2.0], [0.0]).item()
    (6.0, -1.0)
    """

    inputs: str = inputs_among("log_rate")
    power: float = custom(1.5, Check("a number strictly between 1 and 2", _between, _powers))
    domain = NON_NEGATIVE
    forms: ClassVar[Mapping[str, Any]] = {"log_rate": _Tweedie}
    prediction_domains: ClassVar[Mapping[str, Domain]] = {"log_rate": EXTENDED_REAL}
    claims = Traits("count", convex=True, proper=True, elicits="mean")
    about = About(
        formula=r"\ell(y, f) = \frac{y e^{-(p-1) f}}{p - 1} + \frac{e^{(2-p) f}}{2 - p}",
        gradient=r"e^{(2-p) f} - y e^{-(p-1) f}",
        pros="zeros and skewed positive values in one loss; predictions stay positive; consistent for the mean",
        cons="the power must be chosen",
        best_for="totals that are often 0: claims of a policy, rainfall, spending",
        reference="Jorgensen (1997), The Theory of Dispersion Models",
        note="y_pred holds the logarithm of the mean, as boosters and scikit-learn have it",
    )
