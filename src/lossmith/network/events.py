"""What a training tells those who watch it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .criterion import Task
from .optimizers import Optimizer

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """Statistics of one layer at one step; NaN where the backend does not tell.

    Attributes
    ----------
    gradient_norm, parameter_norm, update_norm : float
        Of weights and biases together; the gradient before it is clipped.
    zero_share : float
        Share of the batch's activations that are exactly 0.
    dead_share : float
        Share of units that are 0 for all rows of the batch.
    saturated_share : float
        Share of activations at the flat ends of a bounded function.
    activation_mean, activation_std : float
        Over the batch and the units.
    """

    gradient_norm: float = math.nan
    parameter_norm: float = math.nan
    update_norm: float = math.nan
    zero_share: float = math.nan
    dead_share: float = math.nan
    saturated_share: float = math.nan
    activation_mean: float = math.nan
    activation_std: float = math.nan


@dataclass(frozen=True, slots=True)
class StartEvent:
    """A training begins.

    Attributes
    ----------
    task : Task
        The rows to learn from.
    optimizer : Optimizer
        Which steps.
    batch, epochs : int
        Rows of a full batch, and most epochs.
    """

    task: Task
    optimizer: Optimizer
    batch: int
    epochs: int


def _no_layers() -> dict[str, LayerNumbers]:
    return {}


def _no_losses() -> Array:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One step has been taken; or none, where loss or gradient are not finite, and training ends.

    Attributes
    ----------
    step : int
        Steps before this one, over all calls of a warm start.
    epoch : float
        Epochs done, with the fraction of this one.
    loss : float
        Mean loss of the batch, before the step.
    learning_rate, gradient_norm, seconds : float
        Rate of the step; norm of the whole gradient before it is clipped; wall time since the start.
    layers : callable
        Returns the statistics of each layer by name, in forward order. Computed when called; only until ``watch``
        returns.
    sample_losses : callable
        Returns the losses of the batch's rows; only until ``watch`` returns.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    layers: Callable[[], dict[str, LayerNumbers]] = field(default=_no_layers, repr=False)
    sample_losses: Callable[[], Array] = field(default=_no_losses, repr=False)


@dataclass(frozen=True, slots=True)
class EpochEvent:
    """One epoch is over.

    Attributes
    ----------
    epoch, step : int
        Epochs and steps done, this one included.
    loss : float
        Mean training loss over the epoch, while the network moved and with dropout.
    valid_loss : float
        Mean loss of the rows held out; NaN without any.
    learning_rate, gradient_norm, seconds : float
        Rate of the last step; mean norm of the steps' gradients; wall time since the start.
    """

    epoch: int
    step: int
    loss: float
    valid_loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float


Event = StartEvent | StepEvent | EpochEvent
# Called at the start, after every step and after every epoch; training stops when it returns True.
Watch = Callable[[Event], bool | None]


@dataclass(frozen=True)
class History:
    """What happened in each epoch: five columns of one length (``valid_loss`` is empty without held-out rows).

    Attributes
    ----------
    train_loss : tuple of float
        Mean training loss while the network moved, with dropout and without the penalty.
    valid_loss : tuple of float
        Mean loss of the held-out rows after the epoch.
    gradient_norm : tuple of float
        Mean norm of the steps' gradients before clipping.
    learning_rate : tuple of float
        Of the last step.
    seconds : tuple of float
        Wall time of the epoch.

    Examples
    --------
    >>> (History((2.0,), (), (1.0,), (0.1,), (0.5,)) + History((1.0,), (), (0.5,), (0.1,), (0.5,))).train_loss
    (2.0, 1.0)
    """

    train_loss: tuple[float, ...] = ()
    valid_loss: tuple[float, ...] = ()
    gradient_norm: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.train_loss)

    def __add__(self, later: History) -> History:
        """Put a later training behind this one."""
        return History(
            self.train_loss + later.train_loss,
            self.valid_loss + later.valid_loss,
            self.gradient_norm + later.gradient_norm,
            self.learning_rate + later.learning_rate,
            self.seconds + later.seconds,
        )
