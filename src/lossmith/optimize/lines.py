"""An objective along a line, and the search for a point on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .objective import Objective

Array = npt.NDArray[np.float64]

# Share of the first slope that may be left, and of the promised decrease that must be there.
CURVATURE = 0.5
DECREASE = 1e-4


@dataclass(frozen=True)
class Line:
    """The objective from a point along a direction.

    Attributes
    ----------
    objective : Objective
        What falls.
    theta, raw : ndarray
        The point, and its raw scores.
    direction : ndarray
        Of the step.
    value : float
        Objective at the point.
    gradient : ndarray
        There.
    """

    objective: Objective
    theta: Array
    raw: Array
    direction: Array
    value: float
    gradient: Array

    @cached_property
    def slope(self) -> float:
        """Slope at the point."""
        return float(self.gradient @ self.direction)

    @cached_property
    def change(self) -> Array:
        """What a whole step adds to the raw scores."""
        return self.objective.raw(self.direction)

    def at(self, t: float) -> tuple[float, float]:
        """Return the objective and its slope after a step of length t, without touching the features."""
        there, raw = self.theta + t * self.direction, self.raw + t * self.change
        with np.errstate(over="ignore", invalid="ignore"):
            return self.objective.value_and_slope_at(there, raw, self.direction, self.change)

    def ahead(self, t: float) -> tuple[Array, Array]:
        """Return parameters and raw scores after a step of length t."""
        return self.theta + t * self.direction, self.raw + t * self.change


def line_search(
    objective: Objective,
    theta: Array,
    raw: Array,
    direction: Array,
    change: Array,
    value: float,
    gradient: Array,
) -> float | None:
    """Find a step that lowers the objective and leaves little slope along the line; None if there is none."""
    line = Line(objective, theta, raw, direction, value, gradient)
    line.__dict__["change"] = change
    return strong_wolfe(line)


def strong_wolfe(
    line: Line, first: float = 1.0, decrease: float = DECREASE, curvature: float = CURVATURE
) -> float | None:
    """Find a step that satisfies the strong Wolfe conditions, or the best of those tried; None if none descends.

    Parameters
    ----------
    line : Line
        Downhill.
    first : float
        Step to try first.
    decrease : float
        Share of the promised decrease that must be there.
    curvature : float
        Share of the slope that may be left.
    """
    start = line.slope
    if not start < 0:
        return None
    low, high, t, best = 0.0, np.inf, first, None
    # Close to the minimum the objective is flat to the last bit, and only the slope still tells.
    slack = 4.0 * float(np.finfo(np.float64).eps) * abs(line.value)
    low_slope, best_value = start, line.value + slack
    for _ in range(40):
        there, slope = line.at(t)
        enough = there <= line.value + decrease * t * start + slack and there <= best_value
        if enough:
            best, best_value = t, there
            if abs(slope) <= curvature * abs(start):
                return t
        if slope < 0 and enough:
            low, low_slope = t, slope
        elif slope < 0:
            high = t if not there <= best_value else high
            low = t if there <= best_value else low
        else:
            high = t
        if not np.isfinite(there):
            high = t
        t = 4.0 * t if high == np.inf else _between(low, high, low_slope, slope, t == high)
        if high - low <= 1e-12 * max(high, 1e-300) or t > 1e8 * max(first, 1.0):
            break
    return best


def _between(low: float, high: float, low_slope: float, high_slope: float, fresh: bool) -> float:
    """Secant point between two ends if their slopes allow, else the middle; never next to an end."""
    if fresh and np.isfinite(high_slope) and high_slope > 0 > low_slope:
        point = low - low_slope * (high - low) / (high_slope - low_slope)
        margin = 0.05 * (high - low)
        return float(min(max(point, low + margin), high - margin))
    return 0.5 * (low + high)
