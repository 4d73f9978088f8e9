"""What the loss did, in a few numbers that most rules ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from ..record import Facts
from .curves import Curve

_LOGARITHMIC = ("entropy", "bce", "cce", "nll", "log_loss", "logloss", "logistic", "softmax", "deviance")
_SQUARED = ("mse", "squared", "l2")


@final
@dataclass(frozen=True)
class Story:
    """A loss curve in a few numbers.

    Attributes
    ----------
    start, end, best : float
        Median of the first three values, of the last tenth, and of the best of up to 25 equal parts.
    best_step : int
        Where the best part begins.
    noise : float
        Standard deviation of the noise of single values.
    chance : float or None
        What the best guess without features would cost; None where the facts do not tell.
    """

    start: float
    end: float
    best: float
    best_step: int
    noise: float
    chance: float | None

    @property
    def reference(self) -> float:
        """The loss of one who has learned nothing: chance where it is known, else the start."""
        return self.start if self.chance is None else self.chance

    @property
    def gained(self) -> float:
        """Share of the reference that is gone at the end; infinite for losses below zero."""
        return _share(self.reference - self.end, self.reference)

    @property
    def gained_from_start(self) -> float:
        """Share of the first loss that is gone at the end."""
        return _share(self.start - self.end, self.start)

    @property
    def span(self) -> float:
        """How far the loss ever fell."""
        return max(self.start - self.best, 0.0)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else math.inf


def story(curve: Curve, facts: Facts) -> Story:
    """Sum up a loss curve.

    Parameters
    ----------
    curve : Curve
        With at least one finite value.
    facts : Facts
        For what chance would cost.

    Returns
    -------
    Story
    """
    finite, blocks = curve.finite, curve.blocks()
    place = int(np.argmin(blocks.medians))
    start = float(np.median(finite.values[:3]))
    best = min(float(blocks.medians[place]), start)
    return Story(start, curve.level(0.9, 1.0), best, int(blocks.steps[place]), curve.noise, chance(facts))


def chance(facts: Facts) -> float | None:
    """Return the loss of the best constant guess, where the facts tell it.

    Examples
    --------
    >>> chance(Facts(loss="cross_entropy", classes=10))
    2.302585092994046
    >>> chance(Facts(loss="mse", target_std=2.0)), chance(Facts())
    (4.0, None)
    """
    name = (facts.loss or "").lower()
    if any(word in name for word in _LOGARITHMIC):
        if facts.class_counts and sum(facts.class_counts) > 0:
            shares = np.array([c for c in facts.class_counts if c > 0]) / sum(facts.class_counts)
            return float(-(shares * np.log(shares)).sum()) or None
        return math.log(facts.classes) if facts.classes and facts.classes > 1 else None
    if facts.target_std and any(word in name for word in _SQUARED):
        return facts.target_std**2
    return None
