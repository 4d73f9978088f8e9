"""What takes the steps: NumPy here, other libraries elsewhere, behind one small interface."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..optimize.penalties import Elastic
from .criterion import Task, criterion
from .events import LayerNumbers
from .optimizers import Optimizer, Steps
from .passes import Network, Passes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Objective:
    """What is minimised, and by which steps.

    mean(loss) / unit + penalty(weights): see :class:`.criterion.Criterion` for the mean of a batch.

    Attributes
    ----------
    task : Task
        Training rows.
    optimizer : Optimizer
        Which steps.
    penalty : Elastic or None
        L1, L2 or elastic net on the weights of all layers, never on biases. At the kink of an L1 part the
        subgradient nearest to 0 is taken.
    clip_norm : float or None
        Gradients of a larger norm are scaled down to it.
    batch : int
        Rows of a full batch.
    unit : float
        What the loss is measured in.
    """

    task: Task
    optimizer: Optimizer
    penalty: Elastic | None = None
    clip_norm: float | None = None
    batch: int = 200
    unit: float = 1.0


class Learner(ABC):
    """A network in training."""

    objective: Objective

    @abstractmethod
    def step(self, rows: Array, rate: float) -> tuple[float, float]:
        """Take a step on some rows.

        Parameters
        ----------
        rows : ndarray of int
            Which rows of the task, ``objective.batch`` or fewer.
        rate : float
            The learning rate.

        Returns
        -------
        tuple of float
            sum(share * loss) of the rows before the step, and the norm of the gradient before clipping. If either is
            not finite, no step has been taken.
        """

    @abstractmethod
    def mean_loss(self, task: Task) -> float:
        """Compute the mean loss of a task, without dropout."""

    @abstractmethod
    def network(self) -> Network:
        """Return the network as it is now, with its own copy of the numbers."""

    @abstractmethod
    def restore(self, network: Network) -> None:
        """Go back to numbers that :meth:`network` returned."""

    @abstractmethod
    def memory(self) -> Any:
        """Return what the optimiser remembers, for a learner that goes on; it can be pickled."""

    @abstractmethod
    def watched(self) -> None:
        """From now on keep what :meth:`layers` and :meth:`sample_losses` tell."""

    @abstractmethod
    def layers(self) -> dict[str, LayerNumbers]:
        """Return statistics of the last step."""

    @abstractmethod
    def sample_losses(self) -> Array:
        """Return the losses of the last step's rows."""


class NumpyLearner(Learner):
    """A network trained by NumPy, in place.

    Parameters
    ----------
    network : Network
        Where to start; its numbers are copied.
    objective : Objective
        What is minimised.
    dropout : numpy.random.Generator
        Draws what dropout leaves out, and nothing else.
    memory : Steps, optional
        Of an earlier learner of such a network.
    """

    def __init__(
        self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Steps | None = None
    ) -> None:
        self._net = replace(network, theta=network.theta.copy())
        made, theta = network.architecture, self._net.theta
        self.objective = objective
        self._passes = Passes(self._net, objective.batch, dropout)
        self._steps = memory or objective.optimizer.start(theta, made.weight_count)
        self._loss = criterion(objective.task, made.outputs, theta.dtype, objective.batch, objective.unit)
        self._before: tuple[Array, Array] | None = None

    def step(self, rows: Array, rate: float) -> tuple[float, float]:
        """Take a step on some rows."""
        total, norm = self.evaluate(rows)
        if not (math.isfinite(total) and math.isfinite(norm)):
            return total, norm
        gradient, theta = self._passes.gradient, self._net.theta
        if self._before is not None:
            np.copyto(self._before[0], theta)
            np.copyto(self._before[1], gradient)
        limit = self.objective.clip_norm
        if limit is not None and norm > limit:
            gradient *= limit / norm
        self._steps.step(theta, gradient, rate)
        return total, norm

    def evaluate(self, rows: Array) -> tuple[float, float]:
        """Compute loss and gradient of some rows, without a step; the gradient is in :attr:`gradient`.

        Parameters
        ----------
        rows : ndarray of int
            Which rows of the task.

        Returns
        -------
        tuple of float
            sum(share * loss), and the norm of the gradient.
        """
        X = self.objective.task.X[rows]
        total, slopes = self._loss.pull(rows, self._passes.forward(X))
        self._passes.backward(X, slopes)
        gradient = self._passes.gradient
        if self.objective.penalty is not None:
            part = len(rows) / self.objective.batch
            add_penalty(self.objective.penalty, part, self._net, gradient)
        return total, math.sqrt(float(np.dot(gradient, gradient)))

    @property
    def gradient(self) -> Array:
        """What :meth:`evaluate` left, (count,)."""
        return self._passes.gradient

    def mean_loss(self, task: Task) -> float:
        """Compute the mean loss of a task, without dropout."""
        return task.mean_loss(self._net.scores(task.X))

    def network(self) -> Network:
        """Return the network as it is now."""
        return replace(self._net, theta=self._net.theta.copy())

    def restore(self, network: Network) -> None:
        """Go back to numbers that :meth:`network` returned."""
        np.copyto(self._net.theta, network.theta)

    def memory(self) -> Steps:
        """Return what the optimiser remembers."""
        return self._steps

    def watched(self) -> None:
        """From now on keep what :meth:`layers` tells."""
        if self._before is None:
            self._before = np.empty_like(self._net.theta), np.empty_like(self._net.theta)

    def layers(self) -> dict[str, LayerNumbers]:
        """Return statistics of the last step."""
        if self._before is None:
            return {}
        made, m = self._net.architecture, self._passes.rows
        now, before = made.layers(self._net.theta), made.layers(self._before[0])
        slopes = made.layers(self._before[1])
        found = {}
        for i, name in enumerate(made.names):
            a = self._passes.activations[i][:m]
            flat = (made.hidden if i < made.depth - 1 else made.last).flat(a)
            zero = a == 0.0
            found[name] = LayerNumbers(
                _norm(slopes[i]),
                _norm(now[i]),
                _norm(tuple(x - y for x, y in zip(now[i], before[i], strict=True))),
                float(zero.mean()),
                float(zero.all(axis=0).mean()),
                float(flat.mean()),
                float(a.mean(dtype=np.float64)),
                float(a.std(dtype=np.float64)),
            )
        return found

    def sample_losses(self) -> Array:
        """Return the losses of the last step's rows."""
        return self._loss.values


def add_penalty(penalty: Elastic, part: float, network: Network, gradient: Array) -> None:
    """Add ``part`` of a penalty's gradient by the weights, in place; biases are not penalised."""
    count = network.architecture.weight_count
    weights, into = network.theta[:count], gradient[:count]
    lasso, ridge = penalty.parts
    if ridge:
        into += (2.0 * ridge * part) * weights
    if lasso:
        into += (lasso * part) * np.sign(weights)


def _norm(parts: tuple[Array, ...]) -> float:
    return math.sqrt(sum(float(np.square(p, dtype=np.float64).sum()) for p in parts))
