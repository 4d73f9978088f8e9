"""How the learning rate changes from epoch to epoch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule(ABC):
    """A factor on the learning rate, as a function of time."""

    @abstractmethod
    def factor(self, epoch: float, epochs: int) -> float:
        """Compute the factor.

        Parameters
        ----------
        epoch : float
            Epochs done, 2.5 in the middle of the third.
        epochs : int
            How many are planned.

        Returns
        -------
        float
            Positive, or 0 at the end.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """Always 1."""

    def factor(self, epoch: float, epochs: int) -> float:
        """Compute the factor."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to 0, after a linear rise over the first ``warmup`` of all epochs.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR.

    Examples
    --------
    >>> [round(Cosine(warmup=0.2).factor(e, 10), 2) for e in (0, 1, 2, 6, 10)]
    [0.05, 0.53, 1.0, 0.5, 0.0]
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.warmup < 1.0:
            raise ValueError(f"warmup={self.warmup!r} is not accepted; give a share of the epochs in [0, 1)")

    def factor(self, epoch: float, epochs: int) -> float:
        """Compute the factor."""
        done = min(epoch / epochs, 1.0)
        if done < self.warmup:
            return 0.05 + 0.95 * done / self.warmup  # not from 0: the first step would be lost
        return 0.5 * (1.0 + math.cos(math.pi * (done - self.warmup) / (1.0 - self.warmup)))


@dataclass(frozen=True)
class Exponential(Schedule):
    """``gamma`` to the power of the epochs done.

    Examples
    --------
    >>> Exponential(0.5).factor(2, 10)
    0.25
    """

    gamma: float = 0.97

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma={self.gamma!r} is not accepted; give a number in (0, 1]")

    def factor(self, epoch: float, epochs: int) -> float:
        """Compute the factor."""
        return float(self.gamma**epoch)


@dataclass(frozen=True)
class Inverse(Schedule):
    """1 / sqrt(1 + epochs done), under which stochastic gradient descent converges on convex problems.

    Examples
    --------
    >>> Inverse().factor(3, 10)
    0.5
    """

    def factor(self, epoch: float, epochs: int) -> float:
        """Compute the factor."""
        return 1.0 / math.sqrt(1.0 + epoch)


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "exponential": Exponential(),
    "inverse": Inverse(),
}


def schedule(spec: Any) -> Schedule:
    """Return the schedule behind a name: "constant", "cosine", "exponential" or "inverse".

    Raises
    ------
    ValueError
        Says what is accepted.

    Examples
    --------
    >>> schedule("cosine")
    Cosine(warmup=0.0)
    """
    if isinstance(spec, Schedule):
        return spec
    if not isinstance(spec, str) or spec not in SCHEDULES:
        accepted = ", ".join(map(repr, SCHEDULES))
        raise ValueError(
            f"schedule={spec!r} is not accepted; give one of {accepted}, or a Schedule of lossmith.network"
        )
    return SCHEDULES[spec]
