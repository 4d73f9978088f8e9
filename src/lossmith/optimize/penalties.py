"""Penalties on coefficients: value, gradient and proximal step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.parameters import Check, check_fields, non_negative
from ..ops import absolute, positive_part, sign

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Penalty(ABC):
    """A function of the coefficients that is added to the mean loss; the intercept is never penalised."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    @abstractmethod
    def smooth(self) -> bool:
        """Whether it has a gradient everywhere."""

    @abstractmethod
    def value(self, w: Any) -> float:
        """Compute the penalty.

        Parameters
        ----------
        w : array_like, any shape
            Coefficients, without the intercept.

        Returns
        -------
        float
            0 for no coefficients; infinite where coefficients are not allowed.
        """

    @abstractmethod
    def gradient(self, w: Any) -> Array:
        """Compute the gradient, of w's shape; where there is a kink, the subgradient nearest to 0."""

    @abstractmethod
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

        Raises
        ------
        ValueError
            For a negative or NaN step.
        """

    @abstractmethod
    def distance(self, w: Any, gradient: Any) -> Array:
        """Compute how far each coefficient is from optimal.

        Parameters
        ----------
        w : array_like, any shape
            Coefficients.
        gradient : array_like of that shape
            Of the mean loss at w.

        Returns
        -------
        ndarray of w's shape
            Distance of -gradient from the penalty's subdifferential at w; all 0 at a stationary point.
        """

    @abstractmethod
    def alpha_max(self, gradient: Any) -> float:
        """Compute the smallest strength at which all coefficients stay 0.

        Parameters
        ----------
        gradient : array_like
            Of the mean loss where all coefficients are 0.

        Returns
        -------
        float
            Infinite for penalties that never hold coefficients at 0.
        """


@dataclass(frozen=True)
class Separable(Penalty):
    """A sum of one function of each coefficient, whose proximal step is a formula in the words of ``ops``."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[float, ...]:
        """The numbers the formula receives."""

    @staticmethod
    @abstractmethod
    def shrink(v: Any, step: Any, *parameters: Any) -> Any:
        """Return the proximal step of one coefficient."""

    def prox(self, v: Any, step: float) -> Array:
        if not step >= 0:
            raise ValueError(f"step={step!r} is not accepted; give a number >= 0")
        return np.asarray(self.shrink(np.asarray(v, np.float64), step, *self.parameters))


@dataclass(frozen=True)
class Elastic(Separable):
    """The pair (a, b) of :attr:`parts`: a * sum |w| + b * sum w^2."""

    @property
    @abstractmethod
    def parts(self) -> tuple[float, float]:
        """The pair (a, b) for which the penalty is a * sum |w| + b * sum w^2."""

    @property
    def smooth(self) -> bool:
        """Whether there is no L1 part."""
        return self.parts[0] == 0.0

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.parts

    @staticmethod
    def shrink(v: Any, step: Any, a: Any, b: Any) -> Any:
        # The soft threshold, divided by what the square adds.
        return sign(v) * positive_part(absolute(v) - step * a) / (1.0 + 2.0 * step * b)

    def value(self, w: Any) -> float:
        w = np.asarray(w, np.float64)
        a, b = self.parts
        return float((a * np.abs(w).sum() if a else 0.0) + (b * np.square(w).sum() if b else 0.0))

    def gradient(self, w: Any) -> Array:
        w = np.asarray(w, np.float64)
        a, b = self.parts
        return np.asarray(a * np.sign(w) + 2.0 * b * w)

    def distance(self, w: Any, gradient: Any) -> Array:
        w, g = np.asarray(w, np.float64), np.asarray(gradient, np.float64)
        away = np.abs(g + self.gradient(w))
        return np.asarray(np.where(w == 0.0, np.maximum(np.abs(g) - self.parts[0], 0.0), away))

    def alpha_max(self, gradient: Any) -> float:
        share = self._l1_ratio
        largest = float(np.abs(np.asarray(gradient, np.float64)).max(initial=0.0))
        return largest / share if share else np.inf

    @property
    def _l1_ratio(self) -> float:
        """The L1 part at strength 1."""
        return 1.0


def _fraction_or_end(default: float) -> Any:
    """Declare a number in [0, 1], both ends included."""

    def convert(value: Any) -> float:
        if isinstance(value, (bool, str)) or not 0 <= (number := float(value)) <= 1:
            raise ValueError
        return number

    return field(default=default, metadata={"check": Check("a number in [0, 1]", convert, lambda v: (v,))})


@dataclass(frozen=True)
class L1(Elastic):
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
class L2(Elastic):
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

    @property
    def _l1_ratio(self) -> float:
        return 0.0


@dataclass(frozen=True)
class ElasticNet(Elastic):
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

    @property
    def _l1_ratio(self) -> float:
        return self.l1_ratio
