"""What the stages of one fit share: limits, history, and whom to tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from .result import History, Status

if TYPE_CHECKING:
    from .objective import Objective

Array = npt.NDArray[np.float64]

# An objective that grew by this factor will not come back.
_FAR = 1e9


class Counted(Protocol):
    """Something that counts its passes over the features."""

    @property
    def passes(self) -> float:
        """How often they were read."""


@dataclass(frozen=True)
class Descent:
    """Where a descent ended.

    Attributes
    ----------
    theta : ndarray
        Parameters.
    status : str
        As of a Solution.
    optimality : float
        Relative to :attr:`Progress.unit`.
    gap : float or None
        Duality gap, where the method has one.
    smoothing_error : float
        What rounding off kinks can have cost.
    """

    theta: Array
    status: Status
    optimality: float
    gap: float | None = None
    smoothing_error: float = 0.0


def must_be_limits(tolerance: float, max_iterations: int, max_seconds: float) -> None:
    """Refuse limits that mean nothing.

    Parameters
    ----------
    tolerance, max_iterations, max_seconds
        As of :func:`lossmith.solve`.

    Raises
    ------
    ValueError
        One line.
    """
    if not tolerance >= 0.0:
        raise ValueError(f"tolerance={tolerance!r} is not accepted; give a number >= 0, such as 1e-8")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int | np.integer) or max_iterations < 0:
        raise ValueError(f"max_iterations={max_iterations!r} is not accepted; give a whole number >= 0")
    if max_seconds != max_seconds:  # below 0 means that no time is left
        raise ValueError("max_seconds is NaN; give a number")


@dataclass(frozen=True)
class Best:
    """The lowest point so far, for ways down that also go up."""

    theta: Array
    value: float
    optimality: float

    def or_this(self, theta: Array, value: float, optimality: float) -> Best:
        """Return the better of this point and another one; one as low is better if it is nearer to optimal."""
        equal = 4.0 * float(np.finfo(np.float64).eps) * abs(self.value)
        better = value < self.value - equal or (value <= self.value + equal and optimality < self.optimality)
        return Best(theta, value, optimality) if better else self

    def descent(self, status: Status) -> Descent:
        """Return the descent that ends here."""
        return Descent(self.theta, status, self.optimality)


@dataclass
class Progress:
    """Limits and records of one fit.

    Attributes
    ----------
    tolerance : float
        Accepted largest component of the gradient, relative to ``unit``.
    limit : int
        Steps over all stages.
    deadline : float
        ``time.perf_counter()`` at which to stop.
    watch : callable or None
        ``watch(theta)`` after the start and each step, when all is recorded; True ends the fit.
    history : list of float
        Objective at the start and after each step.
    unit : float
        Largest component of the gradient at the start, at least 1; :meth:`begin` sets it if it is 0.
    slack : float
        What rounding alone can make of the gradient.
    norms, seconds, passes, gaps : list of float
        Beside the objective: largest component of the gradient, time and passes over the features since the start,
        duality gap (NaN where there is none).
    stopped : bool
        Whether somebody asked for the end.
    """

    tolerance: float
    limit: int
    deadline: float
    watch: Callable[[Array], bool | None] | None = None
    history: list[float] = field(default_factory=list)
    unit: float = 0.0
    slack: float = 0.0
    norms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._objective: Counted | None = None

    @property
    def accepted(self) -> float:
        """The relative gradient at which a descent has converged."""
        return self.tolerance + self.slack / self.unit

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return max(len(self.history) - 1, 0)

    def begin(self, objective: Objective, theta: Array) -> tuple[Array, float, Array]:
        """Evaluate where a stage starts; the start of the first stage is recorded and sets the unit.

        Parameters
        ----------
        objective : Objective
            Of the stage.
        theta : ndarray
            Its start.

        Returns
        -------
        tuple
            Raw scores, objective and gradient.
        """
        self._objective = self._objective or objective
        raw = objective.raw(theta)
        value, gradient = objective.value_and_gradient_at(theta, raw)
        self.unit = self.unit or max(1.0, float(np.abs(gradient).max(initial=0.0)))
        if not self.history:
            self.record(theta, value, gradient)
        elif self.steps:
            self.history[-1] = value  # the same point, under the objective of this stage
        return raw, value, gradient

    def count(self, read: Counted) -> None:
        """Tell whose passes over the features are counted, before anything is recorded."""
        self._objective = read

    def record(self, theta: Array, value: float, gradient: Array, gap: float = float("nan")) -> None:
        """Note the start, or one step.

        Parameters
        ----------
        theta : ndarray
            Parameters.
        value : float
            Objective.
        gradient : ndarray
            Its largest component is noted.
        gap : float
            Duality gap, where there is one.
        """
        self.history.append(value)
        self.norms.append(float(np.abs(gradient).max(initial=0.0)))
        self.seconds.append(time.perf_counter() - self._began)
        self.passes.append(0.0 if self._objective is None else self._objective.passes)
        self.gaps.append(gap)
        if self.watch is not None and self.watch(theta):
            self.stopped = True

    def relative(self, gradient: Array) -> float:
        """Return the largest component of a gradient in units of that at the start."""
        return float(np.abs(gradient).max(initial=0.0)) / self.unit

    def blown(self, value: float, gradient: Array) -> bool:
        """Tell whether steps lead away: numbers without bound, or none at all."""
        high = _FAR * (1.0 + abs(self.history[0]))
        return not (value <= high and np.isfinite(gradient).all())

    def exhausted(self) -> Status | None:
        """Tell which limit is reached, if any."""
        if self.stopped:
            return "stopped"
        if self.steps >= self.limit:
            return "iteration_limit"
        return "time_limit" if time.perf_counter() >= self.deadline else None

    def recorded(self, descent: Descent | None = None) -> History:
        """Return the history; where a descent converged, its last step has the measure that says so."""
        gaps = np.array(self.gaps)
        if descent is not None and descent.status == "converged":
            self.norms[-1] = min(self.norms[-1], descent.optimality * self.unit)
        return History(
            np.array(self.history),
            np.array(self.norms),
            np.array(self.seconds),
            np.array(self.passes),
            None if np.isnan(gaps).all() else gaps,
        )
