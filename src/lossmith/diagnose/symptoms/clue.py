"""A clue: limits of probes' numbers that together show a symptom, told in one sentence with the thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from .found import Seen

Numbers = Mapping[str, float]
Tell = Callable[[float], str]


def plain(value: float) -> str:
    """Tell a number as it is."""
    return f"{value:.2g}"


def percent(value: float) -> str:
    """Tell a share."""
    return f"{100.0 * value:.3g} %"


def power(value: float) -> str:
    """Tell a size of which the decimal logarithm is known."""
    return f"{10.0 ** min(value, 30.0):.2g}"


def power_percent(value: float) -> str:
    """Tell a share of which the decimal logarithm is known."""
    return f"{100.0 * 10.0 ** min(value, 30.0):.2g} %"


def doubling(value: float) -> str:
    """Tell a count of which the logarithm to base 2 is known."""
    return f"{2.0**value:.3g}"


def exponential(value: float) -> str:
    """Tell a size of which the natural logarithm is known."""
    return f"{math.exp(min(value, 60.0)):.2g}"


@final
@dataclass(frozen=True)
class Limit:
    """A number and the side of it that counts.

    Attributes
    ----------
    name : str
        Of the number.
    above, below : float or None
        Where it shows; one of the two is given.
    tell : callable
        Number -> text, for the number and for its limit.
    """

    name: str
    above: float | None = None
    below: float | None = None
    tell: Tell = plain

    def passed(self, numbers: Numbers) -> bool:
        """Whether the number is there and beyond the limit."""
        value = numbers.get(self.name)
        if value is None:
            return False
        return (self.above is None or value > self.above) and (self.below is None or value < self.below)

    @property
    def edge(self) -> float:
        """The limit."""
        return self.above if self.above is not None else self.below if self.below is not None else math.nan


@final
@dataclass(frozen=True)
class Clue:
    """Limits that together show a symptom.

    Attributes
    ----------
    symptom : str
        Its id.
    text : str
        What it means: the first number as ``{0}`` and its limit as ``{t0}``, and so on.
    limits : tuple of Limit
        All must be passed.
    """

    symptom: str
    text: str
    limits: tuple[Limit, ...]

    def seen(self, numbers: Numbers) -> Seen | None:
        """Return what it shows, or None."""
        if not all(limit.passed(numbers) for limit in self.limits):
            return None
        values = [limit.tell(numbers[limit.name]) for limit in self.limits]
        edges = {f"t{k}": limit.tell(limit.edge) for k, limit in enumerate(self.limits)}
        shown = {limit.name: numbers[limit.name] for limit in self.limits}
        shown |= {f"{limit.name}_limit": limit.edge for limit in self.limits}
        return Seen(self.text.format(*values, **edges), shown)
