"""Where a network starts: at the loss's best constant, in units in which its scores are a few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.loss import Loss
from ..losses.likelihood import GaussianNLL
from ..losses.squared import MeanAbsoluteError
from ..optimize.constant import best_constant
from .criterion import tier_of
from .passes import Affine

Array = np.ndarray[Any, Any]

# The median of |y - centre| times this is the standard deviation of normal targets.
_NORMAL = 1.4826
# Spread of the targets that a score of 1 stands for. Were it all of it, random features would do with small weights on
# them, and few would be learnt (Chizat, Oyallon and Bach 2019, On Lazy Training, NeurIPS); far less takes long.
# Chosen on nine real sets, and the figures are of the same: with early stopping the absolute error was by 1.4 % lower
# at 0.1 than at 0.3, without it the same; at 0.05 it was lower again where steps were many, twice as high where few.
_REACH = 0.1
# The same for means whose variance is learnt along with them, chosen there too: at 0.1 it shrank to noise before the
# mean had come.
_REACH_OF_MEANS = 0.3


@dataclass(frozen=True)
class Start:
    """What suits a loss and its targets.

    Attributes
    ----------
    bias : ndarray, shape (k,)
        Of the last layer.
    affine : Affine or None
        Centre and spread of the targets, for losses of the residual.
    unit : float
        Size of the loss's gradient by the scores at the start, for losses on numbers: what the loss is divided by so
        that learning rates and penalties mean the same whatever the target's unit. 1 for losses on classes.
    """

    bias: Array
    affine: Affine | None = None
    unit: float = 1.0

    @property
    def constant(self) -> Array:
        """The best constant output, (k,)."""
        return self.bias if self.affine is None else self.affine.centre + self.affine.scale * self.bias


def starting_point(loss: Loss, y: Array, weight: Array | None, outputs: int) -> Start:
    """Find the start for a loss on raw scores.

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise; for others all is 0.
    y : ndarray, shape (n,) or (n, outputs)
        Targets in the loss's coding.
    weight : ndarray, shape (n,), or None
        Numbers > 0.
    outputs : int
        Columns of scores.

    Returns
    -------
    Start

    Examples
    --------
    >>> import lossmith as lm
    >>> start = starting_point(lm.MeanSquaredError(), np.array([10.0, 20.0, 30.0]), None, 1)
    >>> start.affine.centre.tolist()
    [20.0]
    """
    task, tier = loss.traits.task, tier_of(loss)
    if isinstance(loss, GaussianNLL) and loss.inputs == "log_variance":
        return _of_normal(y, weight)
    if tier == "elementwise" and task == "regression":
        return _of_residuals(loss, y, weight, outputs)
    if tier == "elementwise":
        bias = np.array([float(best_constant(loss, column, weight)) for column in _columns(y)])
        return Start(bias, None, 1.0 if task == "binary" else _unit(loss, y, bias, np.ones(outputs), weight))
    if tier == "row-wise" and y.ndim == 1 and y.dtype.kind in "iu":
        return Start(np.asarray(best_constant(loss, y, weight, outputs)))
    return Start(np.zeros(outputs))


def _columns(y: Array) -> list[Array]:
    wide = np.asarray(y, np.float64)
    return [wide] if y.ndim == 1 else list(wide.T)


def _of_residuals(loss: Loss, y: Array, weight: Array | None, outputs: int) -> Start:
    columns = _columns(y)
    centre = np.array([float(best_constant(loss, column, weight)) for column in columns])
    scale = np.array([_spread(column, c, weight) for column, c in zip(columns, centre, strict=True)])
    return Start(np.zeros(outputs), Affine(centre, scale), _unit(loss, y, centre, scale, weight))


def _of_normal(y: Array, weight: Array | None) -> Start:
    """Return mean and log-variance of the targets."""
    wide = np.asarray(y, np.float64)
    mean = float(np.average(wide, weights=weight))
    variance = float(np.average(np.square(wide - mean), weights=weight)) or 1.0
    scale = np.array([_REACH_OF_MEANS * np.sqrt(variance), 1.0])
    return Start(np.zeros(2), Affine(np.array([mean, np.log(variance)]), scale))


def _spread(y: Array, centre: float, weight: Array | None) -> float:
    """Return part of a standard deviation that a few wild targets cannot change; 1 for constant targets."""
    distance = np.abs(y - centre)
    typical = _NORMAL * float(best_constant(MeanAbsoluteError(), distance, weight))
    return _REACH * (typical or float(np.sqrt(np.average(np.square(distance), weights=weight)))) or 1.0


def _unit(loss: Loss, y: Array, centre: Array, scale: Array, weight: Array | None) -> float:
    """Return the root mean square of the gradient by the scores where all are at the centre."""
    y = np.asarray(y, np.float64)
    slopes = loss.gradient(y, np.zeros_like(y) + (centre if y.ndim > 1 else centre[0])) * scale
    found = float(np.sqrt(np.average(np.square(slopes), weights=weight, axis=0).mean()))
    return found if np.isfinite(found) and found > 0.0 else 1.0
