"""A clue: limits of probes' numbers that together show a symptom, told in one sentence with the thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from ..telling import Tell, plain
from .found import Seen, Severity

Numbers = Mapping[str, float]


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
    severity : str or None
        Other than the rule's own.
    """

    symptom: str
    text: str
    limits: tuple[Limit, ...]
    severity: Severity | None = None

    def seen(self, numbers: Numbers) -> Seen | None:
        """Return what it shows, or None."""
        if not all(limit.passed(numbers) for limit in self.limits):
            return None
        values = [limit.tell(numbers[limit.name]) for limit in self.limits]
        edges = {f"t{k}": limit.tell(limit.edge) for k, limit in enumerate(self.limits)}
        shown = {limit.name: numbers[limit.name] for limit in self.limits}
        shown |= {f"{limit.name}_limit": limit.edge for limit in self.limits}
        return Seen(self.text.format(*values, **edges), shown, severity=self.severity)
