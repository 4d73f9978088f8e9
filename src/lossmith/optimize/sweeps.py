"""Ways down over shards, each with what it takes; a solver names the one that is its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .objective import Objective
from .passes import Passes
from .penalties import Penalty
from .progress import Descent, Progress
from .survey import Survey

Array = npt.NDArray[np.float64]

# Parameters up to which a matrix of second derivatives is made.
MATRIX_UP_TO = 1000


@dataclass(frozen=True)
class Swept:
    """A problem over shards, at its start.

    Attributes
    ----------
    passes : Passes
        The objective.
    theta : ndarray
        Start.
    seen : Survey
        What the first pass told.
    sample : Objective
        Of some of the rows.
    progress : Progress
        Limits and history.
    """

    passes: Passes
    theta: Array
    seen: Survey
    sample: Objective
    progress: Progress


class Sweep(ABC):
    """A way down that reads the rows pass by pass."""

    @abstractmethod
    def title(self, loss: Any, penalty: Penalty | None) -> str:
        """Return what a solution calls it."""

    def lacking(self, penalty: Penalty | None, size: int) -> str:
        """Return what it cannot do, beyond what its solver needs of loss and penalty, in words; empty if nothing."""
        return ""

    @abstractmethod
    def descend(self, problem: Swept) -> Descent:
        """Minimise."""


@dataclass(frozen=True)
class NewtonSweep(Sweep):
    """Newton's method, its proximal sister, and reweighting for losses that are not convex."""

    def title(self, loss: Any, penalty: Penalty | None) -> str:
        """Return which of the three it is."""
        if not _smooth(penalty):
            return "proximal newton"
        return "newton" if loss.traits.convex else "irls"

    def lacking(self, penalty: Penalty | None, size: int) -> str:
        """Return that its matrix would be too large."""
        if size <= MATRIX_UP_TO or not _smooth(penalty):
            return ""
        return f"makes a matrix of up to {MATRIX_UP_TO} coefficients, not {size}; give 'lbfgs' or 'auto'"

    def descend(self, problem: Swept) -> Descent:
        """Minimise."""
        from .newton_passes import newton_passes

        return newton_passes(problem.passes, problem.theta, problem.sample, problem.progress)


@dataclass(frozen=True)
class QuasiNewtonSweep(Sweep):
    """Limited-memory BFGS."""

    def title(self, loss: Any, penalty: Penalty | None) -> str:
        """Return its name."""
        return "lbfgs"

    def lacking(self, penalty: Penalty | None, size: int) -> str:
        """Return that it takes no penalties with kinks."""
        return "" if _smooth(penalty) else "takes no penalty or L2; give 'proximal_gradient' or 'auto'"

    def descend(self, problem: Swept) -> Descent:
        """Minimise."""
        from .newton_passes import lbfgs_passes

        return lbfgs_passes(problem.passes, problem.theta, problem.sample, problem.progress)


@dataclass(frozen=True)
class ProximalSweep(Sweep):
    """Proximal gradient, accelerated or plain.

    Attributes
    ----------
    accelerate : bool
        Whether to add momentum.
    """

    accelerate: bool = True

    def title(self, loss: Any, penalty: Penalty | None) -> str:
        """Return its name."""
        return "proximal gradient"

    def descend(self, problem: Swept) -> Descent:
        """Minimise."""
        from .proximal_passes import proximal_passes

        return proximal_passes(problem.passes, problem.theta, problem.sample, problem.progress, self.accelerate)


@dataclass(frozen=True)
class SiftedSweep(Sweep):
    """The interior point method on the rows near their kinks."""

    def title(self, loss: Any, penalty: Penalty | None) -> str:
        """Return its name."""
        return "interior"

    def descend(self, problem: Swept) -> Descent:
        """Minimise."""
        from .sifting import sifted

        return sifted(problem.passes, problem.theta, problem.seen, problem.sample, problem.progress)


def suited(loss: Any, penalty: Penalty | None, size: int) -> Sweep:
    """Return the way down that suits a loss, a penalty and a number of parameters."""
    if loss.traits.kinks:
        return SiftedSweep()
    return QuasiNewtonSweep() if size > MATRIX_UP_TO and _smooth(penalty) else NewtonSweep()


def _smooth(penalty: Penalty | None) -> bool:
    return penalty is None or penalty.smooth
