"""Penalties on coefficients: value, gradient and proximal step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.parameters import Check, check_fields, non_negative

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Penalty(ABC):
    """A function of the coefficients that is added to the mean loss; the intercept is never penalised."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    @abstractmethod
    def parts(self) -> tuple[float, float]:
        """The pair (a, b) for which the penalty is a * sum |w| + b * sum w^2."""

    def value(self, w: Any) -> float:
        """Compute the penalty.

        Parameters
        ----------
        w : array_like, any shape
            Coefficients, without the intercept.

        Returns
        -------
        float
            a * sum |w| + b * sum w^2; 0 for no coefficients.
        """
        w = np.asarray(w, np.float64)
        a, b = self.parts
        return float((a * np.abs(w).sum() if a else 0.0) + (b * np.square(w).sum() if b else 0.0))

    def gradient(self, w: Any) -> Array:
        """Compute the gradient; where w is 0 and there is a kink, the subgradient 0.

        Parameters
        ----------
        w : array_like, any shape
            Coefficients.

        Returns
        -------
        ndarray of w's shape
            a * sign(w) + 2 b w.
        """
        w = np.asarray(w, np.float64)
        a, b = self.parts
        return np.asarray(a * np.sign(w) + 2.0 * b * w)

    def prox(self, v: Any, step: float) -> Array:
        """Compute the proximal step, argmin over u of (u - v)^2 / 2 + step * penalty(u).

        Parameters
        ----------
        v : array_like, any shape
            Point to start from.
        step : float
            Step size, >= 0.

        Returns
        -------
        ndarray of v's shape
            The soft threshold sign(v) max(|v| - step a, 0), divided by 1 + 2 step b.

        Raises
        ------
        ValueError
            For a negative or NaN step.
        """
        if not step >= 0:
            raise ValueError(f"step={step!r} is not accepted; give a number >= 0")
        v = np.asarray(v, np.float64)
        a, b = self.parts
        shrunk = np.sign(v) * np.maximum(np.abs(v) - step * a, 0.0)
        return np.asarray(shrunk / (1.0 + 2.0 * step * b))


def _fraction_or_end(default: float) -> Any:
    """Declare a number in [0, 1], both ends included."""

    def convert(value: Any) -> float:
        if isinstance(value, (bool, str)) or not 0 <= (number := float(value)) <= 1:
            raise ValueError
        return number

    return field(default=default, metadata={"check": Check("a number in [0, 1]", convert, lambda v: (v,))})


@dataclass(frozen=True)
class L1(Penalty):
    """L1 penalty (lasso), alpha * sum |w|.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.

    References
    ----------
    Tibshirani (1996), Regression Shrinkage and Selection via the Lasso, J. R. Stat. Soc. B 58.

    Examples
    --------
    >>> from lossmith.optimize import L1
    >>> L1(0.1).value([1.0, -2.0])
    0.30000000000000004
    >>> L1(0.1).prox([1.0, -0.05], step=1.0).tolist()
    [0.9, -0.0]
    """

    alpha: float = non_negative(1.0)

    @property
    def parts(self) -> tuple[float, float]:
        """(alpha, 0)."""
        return self.alpha, 0.0


@dataclass(frozen=True)
class L2(Penalty):
    """L2 penalty (ridge), alpha * sum w^2, without a factor 1/2.

    Its gradient is 2 alpha w. To the mean of n squared errors, scikit-learn's ``Ridge(alpha=a)`` adds
    ``L2(a / n)``; its ``LogisticRegression(C=c)`` adds ``L2(1 / (2 c n))`` to the mean cross-entropy and
    ``PoissonRegressor(alpha=a)`` adds ``L2(a / 2)``.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.

    References
    ----------
    Hoerl and Kennard (1970), Ridge Regression, Technometrics 12.

    Examples
    --------
    >>> from lossmith.optimize import L2
    >>> L2(0.01).value([1.0, -2.0]), L2(0.01).gradient([1.0, -2.0]).tolist()
    (0.05, [0.02, -0.04])
    """

    alpha: float = non_negative(1.0)

    @property
    def parts(self) -> tuple[float, float]:
        """(0, alpha)."""
        return 0.0, self.alpha


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """Elastic net, alpha * (l1_ratio * sum |w| + (1 - l1_ratio) * sum w^2), without a factor 1/2.

    scikit-learn halves the square: its ``ElasticNet(alpha=a, l1_ratio=r)`` minimises
    ``mean squared error / 2 + a r sum |w| + a (1 - r) / 2 sum w^2``.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    l1_ratio : float
        Share of the L1 part, in [0, 1].

    References
    ----------
    Zou and Hastie (2005), Regularization and Variable Selection via the Elastic Net, J. R. Stat. Soc. B 67.

    Examples
    --------
    >>> from lossmith.optimize import ElasticNet
    >>> ElasticNet(alpha=0.1, l1_ratio=0.5).value([1.0, -2.0])
    0.4
    """

    alpha: float = non_negative(1.0)
    l1_ratio: float = _fraction_or_end(0.5)

    @property
    def parts(self) -> tuple[float, float]:
        """(alpha * l1_ratio, alpha * (1 - l1_ratio))."""
        return self.alpha * self.l1_ratio, self.alpha * (1.0 - self.l1_ratio)
