"""What probes may ask of a live model, whatever framework it lives in."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]
SAMPLE = 256
"""Rows that a probe looks at."""
_UNBOUNDED = ("gelu", "silu", "elu", "selu", "leakyrelu", "softplus", "mish", "hardswish", "logsoftmax")
RANGES = {
    **dict.fromkeys(_UNBOUNDED, (-np.inf, np.inf)),
    **dict.fromkeys(("tanh", "hardtanh", "softsign"), (-1.0, 1.0)),
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax"), (0.0, 1.0)),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
}
"""Activation functions by name, in small letters, and their ranges."""


@final
@dataclass(frozen=True)
class Weight:
    """One weight matrix.

    Attributes
    ----------
    name : str
        Of its layer.
    matrix : ndarray, shape (units, inputs of a unit)
        The weights.
    bias : ndarray, shape (units,), or None
        The biases.
    """

    name: str
    matrix: Array
    bias: Array | None


@final
@dataclass(frozen=True)
class Activation:
    """Outputs of one activation function.

    Attributes
    ----------
    kind : str
        Name of the function, in small letters.
    values : ndarray, shape (n, units)
        For each row.
    low, high : float
        Ends of its range; infinite where it has none.
    """

    kind: str
    values: Array
    low: float
    high: float


@final
@dataclass(frozen=True)
class Normaliser:
    """One batch normalisation: what it remembers, and what this data has.

    Attributes
    ----------
    kept_mean, kept_variance : ndarray, shape (units,)
        Running statistics.
    mean, variance : ndarray, shape (units,)
        Of its inputs for these rows.
    forgets : float
        Share of the last batch in the running statistics; 0 for an average over all batches.
    """

    kept_mean: Array
    kept_variance: Array
    mean: Array
    variance: Array
    forgets: float


@final
@dataclass(frozen=True)
class Settings:
    """Of the optimiser and of the model.

    Attributes
    ----------
    learning_rate, weight_decay : float
        In force now; NaN without an optimiser.
    covered : float
        Share of the model's parameters that the optimiser moves; NaN without one.
    frozen : float
        Share of the parameters that ask for no gradient.
    dropout : float
        Largest dropout rate.
    peak_rate : float
        Largest learning rate of the training, as far as known.
    momentum : float
        Share of the last step that the next one keeps, or of the last mean gradient; NaN where it is not known.
    """

    learning_rate: float
    weight_decay: float
    covered: float
    frozen: float
    dropout: float
    peak_rate: float
    momentum: float = float("nan")


@final
@dataclass(frozen=True)
class Stride:
    """What one step of the user's own did.

    Attributes
    ----------
    before, after : ndarray
        All parameters in one vector.
    gradient : ndarray
        What the step left as the gradient.
    reference : ndarray
        The gradient of this batch alone, taken at ``before``.
    training : bool or None
        Whether the model was in training mode; None when it was not called.
    """

    before: Array
    after: Array
    gradient: Array
    reference: Array
    training: bool | None


class Patient(ABC):
    """A live model with its loss, its data and, if known, its optimiser and training step.

    Attributes
    ----------
    task : str
        "regression", "binary" or "multiclass".
    train, valid : tuple of ndarray
        Inputs and targets as the model sees them.
    batches : sequence of tuple of ndarray
        Some batches, in the order in which training gets them.
    """

    task: str
    train: tuple[Array, Array]
    valid: tuple[Array, Array]
    batches: Sequence[tuple[Array, Array]]

    def __init__(
        self,
        task: str,
        train: tuple[Array, Array],
        valid: tuple[Array, Array],
        batches: Sequence[tuple[Array, Array]],
    ) -> None:
        self.task, self.train, self.valid = task, train, valid
        self.batches = batches or [self.sample(train, 32)]

    def sample(self, part: tuple[Array, Array], rows: int = SAMPLE) -> tuple[Array, Array]:
        """Take some rows, always the same.

        Parameters
        ----------
        part : tuple of ndarray
            ``train`` or ``valid``.
        rows : int
            At most so many.

        Returns
        -------
        tuple of ndarray
            Inputs and targets.
        """
        x, y = part
        if len(y) <= rows:
            return x, y
        chosen = np.sort(np.random.default_rng(0).choice(len(y), rows, replace=False))
        return x[chosen], y[chosen]

    def mean_loss(self, x: Array, y: Array) -> float:
        """Return the mean loss of rows as the model stands.

        Parameters
        ----------
        x, y : ndarray
            Inputs and targets.

        Returns
        -------
        float
            May be NaN or infinite.
        """
        return float(self.losses(self.outputs(x), y).mean())

    @property
    def classes(self) -> int:
        """Number of classes; 0 for numeric targets."""
        return 0 if self.task == "regression" else max(2, int(max(self.train[1].max(), self.valid[1].max())) + 1)

    @abstractmethod
    def undisturbed(self) -> contextlib.AbstractContextManager[None]:
        """Give back parameters, buffers, gradients, modes, optimiser and random numbers afterwards."""

    @abstractmethod
    def vector(self) -> Array:
        """All parameters in one vector of float64."""

    @abstractmethod
    def put(self, vector: Array) -> None:
        """Set all parameters from one vector."""

    @abstractmethod
    def pieces(self) -> Sequence[tuple[str, slice]]:
        """Names of the parameters and their places in the vector, in forward order."""

    @abstractmethod
    def weights(self) -> Sequence[Weight]:
        """Weight matrices, in forward order."""

    @abstractmethod
    def activations(self, x: Array) -> Sequence[Activation]:
        """Outputs of the activation functions, in forward order, in evaluation mode."""

    @abstractmethod
    def normalisers(self, x: Array) -> Sequence[Normaliser]:
        """Batch normalisations, in forward order."""

    @abstractmethod
    def outputs(self, x: Array, mode: str = "eval") -> Array:
        """Model's outputs; mode "eval", "train", or "own": as the user evaluates."""

    @abstractmethod
    def losses(self, outputs: Array, y: Array) -> Array:
        """User's loss of each sample, for given outputs."""

    @abstractmethod
    def output_gradient(self, outputs: Array, y: Array) -> Array:
        """Derivative of each sample's loss with respect to its own outputs."""

    @abstractmethod
    def gradient(self, x: Array, y: Array, mode: str = "eval") -> Array:
        """Gradient of the mean loss over all parameters, in one vector; zeros where none arrives."""

    @abstractmethod
    def stride(self, x: Array, y: Array) -> Stride | None:
        """Take one step of the user's own; None where no optimiser and no step is known."""

    @abstractmethod
    def settle(self) -> None:
        """Clear gradients and the optimiser's memory."""

    @abstractmethod
    def reinitialise(self, seed: int) -> None:
        """Draw new parameters by the layers' own default initialisation."""

    @abstractmethod
    def rehearse(self, x: Array, y: Array, steps: int, learning_rate: float, batch: int | None = None) -> None:
        """Train for some steps by the book (Adam, fresh gradients, training mode) with the user's loss."""

    @abstractmethod
    def settings(self) -> Settings:
        """Of the optimiser and of the model."""

    @abstractmethod
    def evaluates_in_training(self) -> bool:
        """Whether the user's way of evaluating leaves the model in training mode."""


def arrays(part: tuple[Any, Any]) -> tuple[Array, Array]:
    """Return inputs and targets as arrays.

    Parameters
    ----------
    part : tuple of array-like
        Inputs and targets.

    Returns
    -------
    tuple of ndarray
        The same.
    """
    x, y = part
    return np.asarray(x), np.asarray(y)
