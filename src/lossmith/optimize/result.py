"""What a solver returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["converged", "stalled", "iteration_limit", "time_limit"]


@dataclass(frozen=True)
class Solution:
    """The end of a fit, whether or not it reached its tolerance.

    Attributes
    ----------
    coefficients : ndarray, shape (d,) or (d, k)
        Raw scores are ``X @ coefficients + intercept``.
    intercept : float or ndarray of shape (k,)
        0 when none was fitted.
    status : str
        "converged": the optimality measure is below the tolerance. "stalled": no further descent is possible in
        floating point. "iteration_limit", "time_limit": the best iterate so far.
    objective : float
        Mean loss plus penalty at the solution, without any smoothing.
    optimality : float
        Largest component of the gradient of the problem that was solved last (of its minimal-norm
        subgradient under an L1 penalty), in units of the largest component at the start or 1, whichever is
        greater. Of the interior point method that of the dual's residual or the duality gap relative to the
        objective, whichever is greater: no other coefficients have an objective lower by more than the gap.
    smoothing_error : float
        Bound on what smoothing a loss with kinks can have cost in objective; 0 for smooth losses.
    iterations : int
        Steps taken, over all stages.
    seconds : float
        Wall time.
    history : tuple of float
        Objective (the smoothed one where a loss is smoothed) at the start and after each step.
    method : str
        "newton", "irls", "lbfgs", "smoothing+lbfgs", "interior point", "working sets" or "proximal gradient".
    message : str
        One line for a person; empty if all is well.
    """

    coefficients: Any
    intercept: Any
    status: Status
    objective: float
    optimality: float
    smoothing_error: float
    iterations: int
    seconds: float
    history: tuple[float, ...]
    method: str
    message: str = ""
