"""What a solver returns, and what it tells on the way."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Status = Literal["converged", "stalled", "iteration_limit", "time_limit", "diverged", "stopped"]


@dataclass(frozen=True, eq=False)
class History:
    """How a fit went: a number for the start and one for each step in every array.

    Attributes
    ----------
    objective : ndarray, shape (steps + 1,)
        Mean loss plus penalty (the smoothed one where a loss is smoothed).
    gradient_norm : ndarray
        Largest component of the gradient (of the distance from optimality under penalties that are not smooth).
    seconds : ndarray
        Wall time since the descent began.
    passes : ndarray
        How often all features were read so far.
    gap : ndarray or None
        Duality gap, of solvers that have one; NaN at the start.

    Examples
    --------
    >>> import lossmith as lm
    >>> history = lm.solve(lm.Huber(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).history
    >>> len(history) == history.objective.size, bool(history.objective[0] > history.objective[-1])
    (True, True)
    """

    objective: Array
    gradient_norm: Array
    seconds: Array
    passes: Array
    gap: Array | None = None

    def __len__(self) -> int:
        return int(self.objective.size)

    def to_dict(self) -> dict[str, list[float]]:
        """Return lists by name, for JSON; ``gap`` only where there is one."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column.tolist() for name, column in columns.items() if column is not None}


@dataclass(frozen=True)
class Step:
    """One step of a fit, as ``watch`` sees it.

    Attributes
    ----------
    iteration : int
        0 at the start.
    coefficients, intercept
        As of a :class:`Solution`.
    objective : float
        Mean loss plus penalty (the smoothed one where a loss is smoothed).
    gradient_norm : float
        Largest component of the gradient.
    optimality : float
        The same relative to the start; the fit ends when it reaches the tolerance.
    seconds, passes : float
        Wall time and passes over the features so far.
    """

    iteration: int
    coefficients: Any
    intercept: Any
    objective: float
    gradient_norm: float
    optimality: float
    seconds: float
    passes: float


@dataclass(frozen=True)
class Solution:
    """The end of a fit, whether or not it reached its tolerance.

    Attributes
    ----------
    coefficients : ndarray, shape (d,) or (d, k)
        Raw scores are ``X @ coefficients + intercept``. Always finite.
    intercept : float or ndarray of shape (k,)
        0 when none was fitted.
    status : str
        "converged": the optimality measure is below the tolerance. "stalled": no further descent is possible in
        floating point. "iteration_limit", "time_limit", "stopped" (by ``watch``), "diverged" (a step that was too
        long): the best iterate so far.
    objective : float
        Mean loss plus penalty at the solution, without any smoothing.
    optimality : float
        Largest component of the gradient of the problem that was solved last (of its minimal-norm
        subgradient under an L1 penalty), in units of the largest component at the start or 1, whichever is
        greater. Of the interior point method that of the dual's residual or the duality gap relative to the
        objective, whichever is greater: no other coefficients have an objective lower by more than the gap. Of
        subgradient steps on a loss with kinks it is that of a subgradient, which proves nothing.
    smoothing_error : float
        Bound on what smoothing a loss with kinks can have cost in objective; 0 for smooth losses.
    iterations : int
        Steps taken, over all stages.
    seconds : float
        Wall time.
    history : History
        Objective, gradient norm, time and passes at the start and after each step.
    method : str
        What ran, such as "newton", "lbfgs", "smoothing+lbfgs" or "gd(search=armijo)"; see :mod:`lossmith.solvers`.
    message : str
        One line for a person; empty if all is well.
    gap : float or None
        Duality gap, of solvers that have one.
    """

    coefficients: Any
    intercept: Any
    status: Status
    objective: float
    optimality: float
    smoothing_error: float
    iterations: int
    seconds: float
    history: History
    method: str
    message: str = ""
    gap: float | None = None
