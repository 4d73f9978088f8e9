"""Accelerated proximal gradient: for penalties that know no single coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .descents import Descent, Progress
from .objective import Objective

Array = npt.NDArray[np.float64]

# A step that was accepted is tried longer next time; one that was not is halved.
_LONGER = 1.1


def proximal_gradient(objective: Objective, theta: Array, progress: Progress) -> Descent:
    """Minimise an objective with one output, a smooth loss and any penalty that has a proximal step.

    Parameters
    ----------
    objective : Objective
        Its penalty acts on the coefficients.
    theta : ndarray
        Start.
    progress : Progress
        Limits and history; the optimality is the largest distance of -gradient from the subdifferential.

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2. O'Donoghue and
    Candes (2015), Adaptive restart for accelerated gradient schemes, Found. Comput. Math. 15.
    """
    penalty: Any = objective.penalty
    d = objective.X.shape[1]
    smooth = objective.bare()

    def proximal(point: Array, gradient: Array, step: float) -> Array:
        there = point - step * gradient
        there[:d] = penalty.prox(there[:d], step)
        return there

    ahead, momentum, step = theta, 1.0, 1.0
    while True:
        value, gradient = smooth.value_and_gradient(ahead)
        step *= _LONGER
        while True:
            there = proximal(ahead, gradient, step)
            move = there - ahead
            reached = smooth.value(there)
            bound = value + float(gradient @ move) + float(move @ move) / (2.0 * step)
            if reached <= bound + 4.0 * float(np.finfo(np.float64).eps) * abs(value) or step < 1e-18:
                break
            step *= 0.5
        here = smooth.value_and_gradient(there)[1]
        wrong = max(penalty.distance(there[:d], here[:d]).max(initial=0.0), np.abs(here[d:]).max(initial=0.0))
        progress.record(there, reached + penalty.value(there[:d]), np.full(1, wrong))
        optimality = float(wrong) / progress.unit
        if optimality <= progress.tolerance:
            return Descent(there, "converged", optimality)
        if (limit := progress.exhausted()) is not None or step < 1e-18:
            return Descent(there, limit or "stalled", optimality)
        # Momentum that points uphill is dropped.
        restart = float((ahead - there) @ (there - theta)) > 0.0
        following = 1.0 if restart else 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5)
        weight = 0.0 if restart else (momentum - 1.0) / following
        ahead, theta, momentum = there + weight * (there - theta), there, following
