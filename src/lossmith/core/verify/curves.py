"""Families of one-dimensional curves, with what can be read off any of them: sizes, growth and jumps."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Powers of ten between which a quantity must stop growing to count as bounded.
LEVELS = (4, 6, 8)
_GROWTH = 1.2


@dataclass(frozen=True)
class Extreme:
    """A supremum (inf when the quantity never stops growing) and where the largest value was."""

    value: float
    place: str


@dataclass(frozen=True)
class Jump:
    """A discontinuity: which curve (its target), where, and the heights on both sides."""

    target: float
    prediction: float
    before: float
    after: float


def grows(quantity: Floats, extremity: Floats) -> bool:
    """Tell whether a quantity keeps growing from one power of ten to the next."""
    first, second, third = (float(quantity[extremity <= level].max(initial=-np.inf)) for level in LEVELS)
    third = max(third, float(quantity.max()))
    return third > 0 and second > _GROWTH * first and third > _GROWTH * second


class Curves(ABC):
    """Curves over one variable: one row of a grid for each curve."""

    # How many cells of a curve are searched for a jump.
    suspects = 200

    @abstractmethod
    def evaluate(self, y: Any, f: Any) -> tuple[Floats, Floats, Floats]:
        """Return value, slope and curvature of curves y at places f of one shape."""

    @property
    @abstractmethod
    def grid(self) -> tuple[Floats, Floats]:
        """Curves and places, both of shape (curves, points), places rising along a row."""

    @property
    @abstractmethod
    def ordinary(self) -> npt.NDArray[np.bool_]:
        """Grid points of everyday size, from which the loss's own scale is taken."""

    @functools.cached_property
    def triple(self) -> tuple[Floats, Floats, Floats]:
        """Value, slope and curvature on the grid."""
        return self.evaluate(*self.grid)

    def scale(self, quantity: Floats) -> float:
        """The usual size of a quantity on the grid, to which 'about zero' refers."""
        values = np.abs(quantity[self.ordinary & np.isfinite(quantity)])
        return float(values.max(initial=0.0)) or 1.0

    @functools.cached_property
    def value_jumps(self) -> list[Jump]:
        """Discontinuities of the value."""
        return self._jumps(0)

    @functools.cached_property
    def slope_jumps(self) -> list[Jump]:
        """Discontinuities of the slope."""
        return self._jumps(1)

    def _jumps(self, order: int) -> list[Jump]:
        """Follow by bisection what the next derivative does not explain."""
        y, f = self.grid
        height, rate = self.triple[order], self.triple[order + 1]
        with np.errstate(all="ignore"):
            surprise = _surprise(f[:, :-1], f[:, 1:], height, rate)
        worst = np.argsort(-surprise, axis=1, kind="stable")[:, : self.suspects]
        rows = np.repeat(np.arange(f.shape[0]), worst.shape[1])
        low, high = f[rows, worst.ravel()], f[rows, worst.ravel() + 1]
        targets = y[rows, 0]
        low, high = self._bisect(order, targets, low, high)
        before, after = self.evaluate(targets, low)[order], self.evaluate(targets, high)[order]
        size = np.maximum(np.abs(before), np.abs(after))
        with np.errstate(invalid="ignore"):
            high_enough = np.abs(after - before) > np.maximum(1e-6 * size, 1e-9 * self.scale(height))
        keep = np.flatnonzero(high_enough & np.isfinite(size) & (high > low))
        return [
            Jump(float(targets[i]), float(_simpler(low[i], high[i])), float(before[i]), float(after[i])) for i in keep
        ]

    def _bisect(self, order: int, y: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        for _ in range(60):
            middle = 0.5 * low + 0.5 * high
            stack = np.stack([low, middle, high], axis=1)
            triple = self.evaluate(y[:, None], stack)
            with np.errstate(all="ignore"):
                left, right = _surprise(stack[:, :-1], stack[:, 1:], triple[order], triple[order + 1]).T
            low, high = np.where(left > right, low, middle), np.where(left > right, middle, high)
        return low, high


def _surprise(low: Floats, high: Floats, height: Floats, rate: Floats) -> Floats:
    """Change across cells that the rate at their ends does not explain."""
    change = height[:, 1:] - height[:, :-1]
    gap = np.abs(change - 0.5 * (rate[:, 1:] + rate[:, :-1]) * (high - low))
    return np.where(np.isnan(gap) | (high <= low), 0.0, gap)


def _simpler(low: float, high: float) -> float:
    """The rounder of two neighbours: a kink at 0 is found as 1e-27."""
    return low if abs(low) < abs(high) else high
