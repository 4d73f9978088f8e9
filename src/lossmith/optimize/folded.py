"""Penalties that leave large coefficients alone (folded concave), and limits on coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.parameters import Check, above, custom, non_negative
from ..ops import absolute, clip, positive_part, sign, sqrt, where
from .penalties import Separable

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Folded(Separable):
    """A penalty that rises with slope alpha at 0 and is flat beyond gamma * alpha."""

    @property
    def smooth(self) -> bool:
        """False: kinked at 0."""
        return False

    def distance(self, w: Any, gradient: Any) -> Array:
        w, g = np.asarray(w, np.float64), np.asarray(gradient, np.float64)
        return np.asarray(
            np.where(w == 0.0, np.maximum(np.abs(g) - self.parameters[0], 0.0), np.abs(g + self.gradient(w)))
        )

    def alpha_max(self, gradient: Any) -> float:
        return float(np.abs(np.asarray(gradient, np.float64)).max(initial=0.0))


@dataclass(frozen=True)
class MCP(_Folded):
    """Minimax concave penalty: alpha |w| - w^2 / (2 gamma) up to |w| = gamma alpha, a constant beyond.

    Parameters
    ----------
    alpha : float
        Slope at 0, >= 0.
    gamma : float
        > 1; where it ends, in units of alpha. A large one is close to the lasso.

    References
    ----------
    Zhang (2010), Nearly unbiased variable selection under minimax concave penalty, Ann. Statist. 38.

    Examples
    --------
    >>> from lossmith.optimize import MCP
    >>> MCP(alpha=1.0, gamma=2.0).value([1.0, 100.0])
    1.75
    """

    alpha: float = non_negative(1.0)
    gamma: float = above(1.0, default=3.0)

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.alpha, self.gamma

    def value(self, w: Any) -> float:
        a = np.minimum(np.abs(np.asarray(w, np.float64)), self.gamma * self.alpha)
        return float((self.alpha * a - a * a / (2.0 * self.gamma)).sum())

    def gradient(self, w: Any) -> Array:
        w = np.asarray(w, np.float64)
        return np.asarray(np.sign(w) * np.maximum(self.alpha - np.abs(w) / self.gamma, 0.0))

    @staticmethod
    def shrink(v: Any, step: Any, alpha: Any, gamma: Any) -> Any:
        # Where the parabola of the step is flatter than the fold, the minimum is at 0 or at v: a hard threshold.
        a = absolute(v)
        bend = 1.0 - step / gamma
        firm = where(a > gamma * alpha, v, sign(v) * positive_part(a - step * alpha) / where(bend > 0.0, bend, 1.0))
        return where(bend > 0.0, firm, where(a > sqrt(step * gamma + 0.0 * a) * alpha, v, 0.0 * v))


@dataclass(frozen=True)
class SCAD(_Folded):
    """Smoothly clipped absolute deviation: alpha |w| up to alpha, bending to a constant beyond gamma alpha.

    Parameters
    ----------
    alpha : float
        Slope at 0, >= 0.
    gamma : float
        > 2; 3.7 is Fan and Li's choice.

    References
    ----------
    Fan and Li (2001), Variable Selection via Nonconcave Penalized Likelihood, JASA 96.

    Examples
    --------
    >>> from lossmith.optimize import SCAD
    >>> SCAD(alpha=1.0).value([0.5, 1.0, 100.0])
    3.85
    """

    alpha: float = non_negative(1.0)
    gamma: float = above(2.0, default=3.7)

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.alpha, self.gamma

    def value(self, w: Any) -> float:
        alpha, gamma = self.alpha, self.gamma
        a = np.minimum(np.abs(np.asarray(w, np.float64)), gamma * alpha)
        bent = (2.0 * gamma * alpha * a - a * a - alpha * alpha) / (2.0 * (gamma - 1.0))
        return float(np.where(a <= alpha, alpha * a, bent).sum())

    def gradient(self, w: Any) -> Array:
        w = np.asarray(w, np.float64)
        fall = np.maximum(self.gamma * self.alpha - np.abs(w), 0.0) / (self.gamma - 1.0)
        return np.asarray(np.sign(w) * np.minimum(self.alpha, fall))

    @staticmethod
    def shrink(v: Any, step: Any, alpha: Any, gamma: Any) -> Any:
        a = absolute(v)
        soft = sign(v) * positive_part(a - step * alpha)
        bend = 1.0 - step / (gamma - 1.0)
        middle = (v - sign(v) * step * gamma * alpha / (gamma - 1.0)) / where(bend > 0.0, bend, 1.0)
        firm = where(a <= (1.0 + step) * alpha, soft, where(a <= gamma * alpha, middle, v))
        # A long step leaves two candidates, the soft threshold (or 0) and v; they cost the same at this size.
        equal = where(step < gamma + 1.0, 0.5 * (gamma + 1.0 + step) + 0.0 * a, sqrt(step * (gamma + 1.0) + 0.0 * a))
        return where(bend > 0.0, firm, where(a <= equal * alpha, soft, v))


@dataclass(frozen=True)
class Box(Separable):
    """Limits on coefficients: 0 inside, infinite outside.

    Parameters
    ----------
    low, high : float
        Limits, low < high; infinite for none. The defaults ask for coefficients >= 0.

    Examples
    --------
    >>> from lossmith.optimize import Box
    >>> Box(0.0, 1.0).prox([-1.0, 0.5, 3.0], step=1.0).tolist()
    [0.0, 0.5, 1.0]
    """

    low: float = custom(0.0, Check("a number", float, lambda v: (v,)))
    high: float = custom(float("inf"), Check("a number", float, lambda v: (v,)))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise ValueError(f"low={self.low:g} and high={self.high:g} leave no room; give low < high")

    @property
    def smooth(self) -> bool:
        """False: it has walls."""
        return False

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.low, self.high

    def value(self, w: Any) -> float:
        w = np.asarray(w, np.float64)
        return 0.0 if ((w >= self.low) & (w <= self.high)).all() else float("inf")

    def gradient(self, w: Any) -> Array:
        return np.zeros_like(np.asarray(w, np.float64))

    def distance(self, w: Any, gradient: Any) -> Array:
        w, g = np.asarray(w, np.float64), np.asarray(gradient, np.float64)
        # At a wall the gradient may point through it.
        wanted = np.where(w <= self.low, np.minimum(g, 0.0), g)
        return np.asarray(np.abs(np.where(w >= self.high, np.maximum(wanted, 0.0), wanted)))

    def alpha_max(self, gradient: Any) -> float:
        return float("inf")

    @staticmethod
    def shrink(v: Any, step: Any, low: Any, high: Any) -> Any:
        return clip(v, low, high)
