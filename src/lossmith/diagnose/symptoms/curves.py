"""Robust statistics of a curve: levels, noise, slopes. Batch losses are noisy; that alone is no symptom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

_SIGMA = 1.4826  # a normal standard deviation over its median absolute deviation


@final
@dataclass(frozen=True)
class Curve:
    """One recorded quantity over the run.

    Attributes
    ----------
    steps : ndarray of int, shape (m,)
        Where it was recorded.
    values : ndarray of float, shape (m,)
        What was recorded; may hold NaN and infinities.
    """

    steps: Array
    values: Array

    def __len__(self) -> int:
        return int(self.steps.size)

    def until(self, step: int) -> Curve:
        """Return the part up to and including a step."""
        kept = self.steps <= step
        return self if kept.all() else Curve(self.steps[kept], self.values[kept])

    def after(self, step: float) -> Curve:
        """Return the part from a step on."""
        kept = self.steps >= step
        return self if kept.all() else Curve(self.steps[kept], self.values[kept])

    @cached_property
    def finite(self) -> Curve:
        """The part that holds numbers."""
        kept = np.isfinite(self.values)
        return self if kept.all() else Curve(self.steps[kept], self.values[kept])

    @property
    def last(self) -> float:
        """The last value."""
        return float(self.values[-1])

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise, from second differences: a trend does not count as noise."""
        v = self.finite.values
        if v.size < 5:
            return 0.0
        bends = v[1:-1] - 0.5 * (v[:-2] + v[2:])
        return _SIGMA * float(np.median(np.abs(bends))) / math.sqrt(1.5)

    def level(self, begin: float, end: float) -> float:
        """Median of the values between two shares of the run, of at least three values where there are three."""
        v = self.finite.values
        low, high = int(begin * v.size), math.ceil(end * v.size)
        while high - low < min(3, v.size):
            low, high = max(0, low - 1), min(v.size, high + 1)
        return float(np.median(v[low:high])) if v.size else math.nan

    def blocks(self, most: int = 25, least: int = 4) -> Blocks:
        """Cut the finite part into runs of equal length; each has a median and its standard error."""
        v = self.finite.values
        count = max(1, min(most, v.size // least))
        edges = np.linspace(0, v.size, count + 1).astype(int)
        parts = [v[a:b] for a, b in pairwise(edges)]
        medians = np.array([np.median(part) for part in parts]) if v.size else np.zeros(0)
        errors = np.array([_error(part) for part in parts]) if v.size else np.zeros(0)
        return Blocks(self.finite.steps[edges[:-1]] if v.size else np.zeros(0, int), medians, errors)


def _error(part: Array) -> float:
    """Standard error of a median, from the scatter around a straight line."""
    if part.size < 3:
        return 0.0
    line = np.polyfit(np.arange(part.size), part, 1)
    rest = part - np.polyval(line, np.arange(part.size))
    return 1.2533 * _SIGMA * float(np.median(np.abs(rest))) / math.sqrt(part.size)


@final
@dataclass(frozen=True)
class Blocks:
    """A curve in equal parts.

    Attributes
    ----------
    steps : ndarray of int, shape (k,)
        First step of each part.
    medians, errors : ndarray of float, shape (k,)
        Median of each part, and its standard error.
    """

    steps: Array
    medians: Array
    errors: Array

    def __len__(self) -> int:
        return int(self.medians.size)


def smooth(values: Array, width: int) -> Array:
    """Return a running median; the ends are those of the nearest full window."""
    if width <= 1 or values.size <= width:
        return values
    half = width // 2
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1)
    middle = np.median(windows, axis=1)
    return np.concatenate([np.full(half, middle[0]), middle, np.full(half, middle[-1])])


def correlation(x: Array, y: Array) -> float:
    """Return Pearson's correlation; 0 where one of them does not vary."""
    if x.size < 3:
        return 0.0
    a, b = x - x.mean(), y - y.mean()
    size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / size if size > 0.0 else 0.0
