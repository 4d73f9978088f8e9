"""Losses for counts and other non-negative targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.domain import EXTENDED_REAL, NON_NEGATIVE, Domain, Interval
from ..core.elementwise import LinkedElementwise, inputs_among
from ..core.registry import register
from ..core.traits import About, Traits
from ..ops import exp, times, where, xlogy
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
