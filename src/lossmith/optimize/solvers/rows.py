"""Newton's method for losses on rows of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..newton_passes import newton_passes
from ..objective import Objective
from ..passes import Model, Passes
from ..penalties import Penalty
from ..progress import Descent, Progress
from ..shards.blocks import Block, Whole
from ..sweeps import NewtonSweep, Sweep
from .base import SOLVERS, Solver
from .needs import Needs

Array = npt.NDArray[np.float64]

# Coefficients of all rows together up to which the matrix, n (d k)^2 a step, is quicker than L-BFGS.
_UP_TO = 200


@SOLVERS.register("newton_rows")
@dataclass(frozen=True)
class RowNewton(Solver):
    """Newton's method with the whole matrix of several outputs; proximal steps under penalties such as L1.

    References
    ----------
    Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM J. Optim. 24.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], [0, 1, 0, 1, 2, 2]
    >>> found = lm.solve(lm.CategoricalCrossEntropy(), X, y, outputs=3, penalty=lm.L2(0.01))
    >>> found.method, found.status, found.iterations < 12
    ('newton_rows', 'converged', True)
    """

    @property
    def needs(self) -> Needs:
        """A smooth, convex loss on rows of scores."""
        return Needs(hessian=True, convex=True, penalty="elastic")

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what a loss and a penalty lack, in words; empty if they fit."""
        if loss.tier == "elementwise":
            return (f"a loss on rows of scores ({getattr(loss, 'name', type(loss).__name__)} takes one a sample)",)
        return self.needs.missing(loss, penalty)

    def suits(self, objective: Objective) -> bool:
        """Tell whether the matrix is small."""
        return objective.size <= _UP_TO

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return NewtonSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        progress.begin(objective, theta)
        whole = Whole(Block(objective.X, objective.y, objective.share))
        model = Model(objective.loss, objective.intercept, objective.outputs, 1.0)
        passes = Passes(whole, model, objective.penalty, 1)
        progress.count(passes)
        return newton_passes(passes, theta, objective, progress)
