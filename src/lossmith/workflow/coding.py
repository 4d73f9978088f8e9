"""Targets in the coding a loss wants."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.core.domain import SIGNS
from lossmith.core.elementwise import ElementwiseLoss
from lossmith.core.loss import Loss

Array = np.ndarray[Any, Any]


def coded(loss: Loss, y: Array) -> Array:
    """Recode class codes 0/1 as -1/+1 for margin losses; everything else stays as it is.

    Parameters
    ----------
    loss : Loss
        Decides the coding.
    y : ndarray, shape (n,)
        Numbers or class codes.

    Returns
    -------
    ndarray, shape (n,)
        float64 for elementwise losses, whole codes for row-wise ones.

    Examples
    --------
    >>> import numpy as np, lossmith as lm
    >>> coded(lm.get("hinge"), np.array([0, 1])).tolist()
    [-1.0, 1.0]
    """
    if not isinstance(loss, ElementwiseLoss):
        return y
    values = y.astype(np.float64)
    return 2.0 * values - 1.0 if loss.domain == SIGNS else values
