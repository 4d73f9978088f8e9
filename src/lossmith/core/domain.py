"""Which targets and predictions a loss accepts."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.sums import squares

Array = npt.NDArray[Any]


class Domain(ABC):
    """A set of numbers with a description for error messages."""

    @abstractmethod
    def contains(self, values: Array) -> npt.NDArray[np.bool_]:
        """Tell for each value whether it belongs; NaN never does."""

    @abstractmethod
    def holds(self, values: Array) -> bool:
        """Tell quickly whether all values belong; may say no where a closer look says yes, never the other way."""

    @property
    @abstractmethod
    def limits(self) -> tuple[float, float, float, float]:
        """Return low, high, and the ends of a gap in between: what belongs lies within the first two.

        An interval has no gap: it is said to begin at infinity. Else the gap leaves low and high alone.
        """

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    def remedy(self) -> str:
        """What to do about a value outside."""
        return ""


@dataclass(frozen=True)
class Interval(Domain):
    """The numbers between two ends.

    Attributes
    ----------
    low, high : float
        The ends.
    closed : str
        Which ends belong: "both", "low", "high" or "neither".
    """

    low: float = -math.inf
    high: float = math.inf
    closed: str = "neither"

    def contains(self, values: Array) -> npt.NDArray[np.bool_]:
        if self._all_finite:
            return np.asarray(np.isfinite(values))
        above = values >= self.low if self.closed in ("both", "low") else values > self.low
        below = values <= self.high if self.closed in ("both", "high") else values < self.high
        return np.asarray(above & below)

    def holds(self, values: Array) -> bool:
        if self._all_finite:
            if values.dtype.char not in "fd":
                return False
            flat = values if values.ndim == 1 else values.reshape(-1)
            return math.isfinite(squares(flat))  # one pass; a large finite number can overflow here
        low, high, *_ = self.limits
        # argmin takes a quarter of min's time on a hundred numbers, and finds NaN, too
        return bool(low <= values.item(values.argmin()) and values.item(values.argmax()) <= high)

    @functools.cached_property
    def _all_finite(self) -> bool:
        return self.low == -math.inf and self.high == math.inf and self.closed == "neither"

    @functools.cached_property
    def limits(self) -> tuple[float, float, float, float]:
        """The ends that belong."""
        low = self.low if self.closed in ("both", "low") else math.nextafter(self.low, math.inf)
        high = self.high if self.closed in ("both", "high") else math.nextafter(self.high, -math.inf)
        return low, high, math.inf, math.inf

    def __str__(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "finite numbers" if self.closed == "neither" else "numbers"
        if self.high == math.inf:
            return f"{'finite ' if self.closed != 'both' else ''}numbers {self._low_sign} {self.low:g}"
        left = "[" if self.closed in ("both", "low") else "("
        right = "]" if self.closed in ("both", "high") else ")"
        return f"numbers in {left}{self.low:g}, {self.high:g}{right}"

    @property
    def _low_sign(self) -> str:
        return ">=" if self.closed in ("both", "low") else ">"


@dataclass(frozen=True)
class Labels(Domain):
    """Two codes.

    Attributes
    ----------
    codes : tuple of float
        The accepted values, the smaller one first.
    hint : str
        How to recode the usual other coding.
    """

    codes: tuple[float, float]
    hint: str = ""

    def contains(self, values: Array) -> npt.NDArray[np.bool_]:
        return np.asarray((values == self.codes[0]) | (values == self.codes[1]))

    def holds(self, values: Array) -> bool:
        return bool(np.count_nonzero(self.contains(values)) == values.size)  # a third of the time of all()

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Both codes, and the gap between them, which leaves nothing else."""
        return (*self.codes, *self.codes)

    def __str__(self) -> str:
        return "labels " + " or ".join(f"{code:g}" for code in self.codes)

    @property
    def remedy(self) -> str:
        return self.hint


REAL = Interval()
EXTENDED_REAL = Interval(closed="both")
UNIT = Interval(0.0, 1.0, "both")
NON_NEGATIVE = Interval(0.0, math.inf, "low")
POSITIVE = Interval(0.0, math.inf, "neither")
BINARY = Labels((0.0, 1.0))
SIGNS = Labels((-1.0, 1.0), "labels 0/1 become -1/+1 by 2 * y - 1")


def check(values: Array, domain: Domain, argument: str, loss: str, *, nan_allowed: bool) -> None:
    """Raise a ValueError that names the first value outside a domain.

    Parameters
    ----------
    values : ndarray
        What was given.
    domain : Domain
        What is accepted.
    argument, loss : str
        Names for the message.
    nan_allowed : bool
        Whether NaN passes (predictions) or not (targets).
    """
    if nan_allowed and domain is EXTENDED_REAL:
        return
    if not values.size or domain.holds(values):
        return
    inside = domain.contains(values)
    if nan_allowed:
        inside |= np.isnan(values)
    if inside.all():
        return
    place = tuple(int(i) for i in np.argwhere(~inside)[0])
    where = place[0] if len(place) == 1 else place
    remedy = f"; {domain.remedy}" if domain.remedy else ""
    raise ValueError(
        f"{loss}: {argument} holds {_told(values[place])} at index {where} "
        f"({int((~inside).sum())} of {values.size} values outside); accepted are {domain}{remedy}"
    )


def _told(value: Any) -> str:
    """Write a number in few digits, or in as many as tell it from its neighbours: 1.0000001 is not 1."""
    short = f"{value:g}"
    return short if value != value or float(short) == value else str(value)
