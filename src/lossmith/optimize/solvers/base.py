"""What a solver is: settings, what it needs, and a way down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..objective import Objective
from ..parts import Part, Registry
from ..penalties import Penalty
from ..progress import Descent, Progress
from ..sweeps import Sweep
from .needs import Needs

Array = npt.NDArray[np.float64]
SOLVERS = Registry("solver")


@dataclass(frozen=True)
class Solver(Part, ABC):
    """A method to minimise a penalised linear model, with its settings.

    It declares what it needs of loss and penalty in :attr:`needs`; :func:`lossmith.solve` refuses other pairs in one
    line that names what is missing and what fits.
    """

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What it needs of the loss and the penalty."""

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what a loss and a penalty lack, in words; empty if they fit."""
        return self.needs.missing(loss, penalty)

    @property
    def looks(self) -> bool:
        """Whether it refuses features that are not finite itself, so that nobody need look for them before."""
        return False

    def suits(self, objective: Objective) -> bool:
        """Tell whether it is a good choice for a problem of this size that it fits; "auto" asks."""
        return True

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards, for a number of parameters; None if it has none."""
        return None

    @abstractmethod
    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise.

        Parameters
        ----------
        objective : Objective
            With a loss and a penalty that fit.
        theta : ndarray
            Start.
        progress : Progress
            Limits and records.
        """
