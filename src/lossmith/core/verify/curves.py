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
        """Halve the cells whose change the next derivative does not explain, while it stays unexplained."""
        y, f = self.grid
        surprise = _surprise(*(part[:, i : part.shape[1] - 1 + i] for i in (0, 1) for part in (f, *self._pair(order))))
        worst = np.argsort(-surprise, axis=1, kind="stable")[:, : self.suspects].ravel()
        rows = np.repeat(np.arange(f.shape[0]), worst.size // f.shape[0])
        low, high = (np.stack([part[rows, worst + i] for part in (f, *self._pair(order))]) for i in (0, 1))
        targets, floor = y[rows, 0], 1e-9 * self.scale(self.triple[order])
        for _ in range(60):
            middle = self._middle(order, targets, low[0], high[0])
            left, right = _surprise(*low, *middle), _surprise(*middle, *high)
            turn = left > right
            low, high = np.where(turn, low, middle), np.where(turn, middle, high)
            size = np.fmax(np.abs(low[1]), np.abs(high[1]))
            keep = np.fmax(left, right) > 0.5 * np.fmax(1e-6 * size, floor)
            targets, low, high = targets[keep], low[:, keep], high[:, keep]
        return [
            Jump(float(target), float(_simpler(a[0], b[0])), float(a[1]), float(b[1]))
            for target, a, b in zip(targets, low.T, high.T, strict=True)
            if a[0] < b[0] and 1e-6 * max(abs(a[1]), abs(b[1])) + floor < abs(b[1] - a[1]) < np.inf
        ]

    def _pair(self, order: int) -> tuple[Floats, Floats]:
        return self.triple[order], self.triple[order + 1]

    def _middle(self, order: int, y: Floats, low: Floats, high: Floats) -> Floats:
        place = 0.5 * low + 0.5 * high
        if not place.size:
            return np.zeros((3, 0))
        triple = self.evaluate(y, place)
        return np.stack([place, triple[order], triple[order + 1]])


def _surprise(low: Floats, height: Floats, rate: Floats, end: Floats, top: Floats, pace: Floats) -> Floats:
    """Change between two places that the rate at both does not explain."""
    with np.errstate(all="ignore"):
        gap = np.abs(top - height - 0.5 * (rate + pace) * (end - low))
    return np.where(np.isnan(gap) | (end <= low), 0.0, gap)


def _simpler(low: float, high: float) -> float:
    """The rounder of two neighbours: a kink at 0 is found as 1e-27."""
    return low if abs(low) < abs(high) else high
