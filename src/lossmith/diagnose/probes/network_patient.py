"""Lossmith's own networks under examination."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from lossmith.core.loss import Loss
from lossmith.diagnose.probes.patient import (
    RANGES,
    Activation,
    Array,
    Normaliser,
    Patient,
    Settings,
    Stride,
    Weight,
    arrays,
)
from lossmith.network.criterion import tier_of
from lossmith.network.learner import add_penalty
from lossmith.network.optimizers import SGD, Adam, Optimizer, Steps
from lossmith.network.passes import Network, Passes
from lossmith.network.start import starting_point
from lossmith.optimize.penalties import Elastic


@final
@dataclass(frozen=True)
class Course:
    """How one of Lossmith's networks is trained.

    Attributes
    ----------
    optimizer : Optimizer
        Which steps.
    learning_rate : float or None
        In force; the optimiser's own by default.
    penalty : Elastic or None
        On the weights.
    clip_norm : float or None
        Largest norm of a gradient.
    unit : float
        What the loss is measured in: steps follow the gradient of loss / unit + penalty.
    move : callable or None
        (theta, gradient): changes both in place, instead of the optimiser's step.
    """

    optimizer: Optimizer
    learning_rate: float | None = None
    penalty: Elastic | None = None
    clip_norm: float | None = None
    unit: float = 1.0
    move: Callable[[Array, Array], None] | None = None

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.optimizer.rate if self.learning_rate is None else self.learning_rate


def _momentum(optimizer: Optimizer) -> float:
    if isinstance(optimizer, SGD):
        return optimizer.momentum
    return optimizer.beta1 if isinstance(optimizer, Adam) else math.nan


@final
class NetworkPatient(Patient):
    """One of Lossmith's own networks with its loss and data.

    Parameters
    ----------
    network : lossmith.network.Network
        Its numbers are changed in place by what tries steps, and given back by `undisturbed`.
    loss : Loss
        Elementwise or row-wise.
    task : str
        "regression", "binary" (targets 0/1, one score a row) or "multiclass" (class codes).
    train, valid : tuple of array
        Inputs and targets as the network sees them.
    training : Course, optional
        How it is trained.
    batches : sequence of tuple of array, optional
        Some batches in the order in which training gets them.
    encode : callable, optional
        Class codes -> targets of the loss, for a loss on margins.

    Raises
    ------
    ValueError
        For a loss of whole batches.

    Examples
    --------
    >>> import lossmith as lm, numpy as np
    >>> from lossmith.diagnose.probes import examine
    >>> x, y = np.random.default_rng(0).normal(size=(64, 3)), np.zeros(64)
    >>> model = lm.LossMLPRegressor("mse", (4,), max_epochs=1, early_stopping=False, random_state=0)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # one epoch is short
    ...     model = model.fit(x, x[:, 0])
    >>> patient = NetworkPatient.of(model, (x, x[:, 0]), (x, x[:, 0]))
    >>> examine(patient, only=("sizes",))["depth"]
    2.0
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        task: str,
        train: tuple[Any, Any],
        valid: tuple[Any, Any],
        *,
        training: Course | None = None,
        batches: Sequence[tuple[Any, Any]] = (),
        encode: Callable[[Array], Array] | None = None,
    ) -> None:
        if tier_of(loss) == "structured":
            raise ValueError(f"{loss!r} has no loss of each sample; probes take elementwise and row-wise losses")
        super().__init__(task, arrays(train), arrays(valid), [arrays(batch) for batch in batches])
        self.network, self.loss, self.training = network, loss, training
        self._encode = (lambda y: y) if encode is None else encode
        self._steps: Steps | None = None
        self._rng = np.random.default_rng(0)

    @classmethod
    def of(cls, model: Any, train: tuple[Any, Any], valid: tuple[Any, Any], batches: int = 12) -> NetworkPatient:
        """Examine a fitted estimator.

        Parameters
        ----------
        model : LossMLPRegressor or LossMLPClassifier
            Its network is copied.
        train, valid : tuple of array
            Features and targets, as of ``fit``.
        batches : int
            Batches to look at.

        Returns
        -------
        NetworkPatient
            Its steps are those that ``fit`` takes, at the first learning rate.
        """
        from lossmith.frameworks.estimators.mlp_classifier import LossMLPClassifier
        from lossmith.frameworks.estimators.mlp_recipe import recipe

        (x, y), (held_x, held_y) = arrays(train), arrays(valid)
        encode, kind = None, "regression"
        if isinstance(model, LossMLPClassifier):
            y, held_y = (np.searchsorted(model.classes_, labels) for labels in (y, held_y))
            made, encode = model._task(x, y, None), model._link.encode
            kind = "binary" if model.network_.architecture.outputs == 1 else "multiclass"
        else:
            made = model._task(x, y, None, reset=False)
        settings = recipe(model)
        start = starting_point(made.loss, made.y, None, model.network_.architecture.outputs)
        training = Course(settings.optimizer, settings.plan.rate, settings.penalty, settings.clip_norm, start.unit)
        network = replace(model.network_, theta=model.network_.theta.copy())
        rows = np.random.default_rng(0).permutation(len(y))
        size = settings.rows(len(y))
        chosen = [rows[i * size : (i + 1) * size] for i in range(min(batches, max(1, len(y) // size)))]
        return cls(
            network, made.loss, kind, (x, y), (held_x, held_y), training=training, encode=encode,
            batches=[(x[some], y[some]) for some in chosen],
        )  # fmt: skip

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Give everything back afterwards.

        Yields
        ------
        None
            Within, the network may be changed at will.
        """
        kept, steps, state = self.network.theta.copy(), copy.deepcopy(self._steps), self._rng.bit_generator.state
        self._rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        try:
            yield
        finally:
            self.network.theta[:] = kept
            self._steps, self._rng.bit_generator.state = steps, state

    def vector(self) -> Array:
        """All parameters in one vector: weights (units, inputs) and biases, layer by layer."""
        return self._ordered(self.network.theta)

    def put(self, vector: Array) -> None:
        """Set all parameters from one vector."""
        start = 0
        for weights, biases in self.network.architecture.layers(self.network.theta):
            middle, end = start + weights.size, start + weights.size + biases.size
            weights[...] = vector[start:middle].reshape(weights.shape[::-1]).T
            biases[...] = vector[middle:end]
            start = end

    def pieces(self) -> Sequence[tuple[str, slice]]:
        """Names and places of the parameters."""
        places, start = [], 0
        for name, (weights, biases) in self._named():
            middle, end = start + weights.size, start + weights.size + biases.size
            places += [(f"{name}.weight", slice(start, middle)), (f"{name}.bias", slice(middle, end))]
            start = end
        return places

    def weights(self) -> Sequence[Weight]:
        """Weight matrices, in forward order."""
        return [Weight(name, np.array(w.T, np.float64), np.array(b, np.float64)) for name, (w, b) in self._named()]

    def activations(self, x: Array) -> Sequence[Activation]:
        """Outputs of the activation functions, without dropout."""
        made = self.network.architecture
        passes, _ = self._forward(x, "eval")
        functions = [*([made.hidden] * (made.depth - 1)), made.last]
        return [
            Activation(function.name, values.astype(np.float64), *RANGES[function.name])
            for function, values in zip(functions, passes.activations, strict=True)
            if function.name in RANGES
        ]

    def normalisers(self, x: Array) -> Sequence[Normaliser]:
        """None: these networks have no batch normalisation."""
        return ()

    def outputs(self, x: Array, mode: str = "eval") -> Array:
        """Network's outputs in a mode; one score a row comes as shape (n,)."""
        found = self._forward(x, mode)[1].astype(np.float64)
        return found[:, 0] if found.shape[1] == 1 else found

    def losses(self, outputs: Array, y: Array) -> Array:
        """User's losses of given outputs."""
        with np.errstate(all="ignore"):
            each = np.asarray(self.loss(self._target(outputs, y), outputs, reduction="none"), np.float64)
        return np.asarray(each.reshape(len(y), -1).mean(axis=1))

    def output_gradient(self, outputs: Array, y: Array) -> Array:
        """Derivative by the outputs."""
        with np.errstate(all="ignore"):
            slopes = np.asarray(self.loss.gradient(self._target(outputs, y), outputs), np.float64)
        columns = outputs.shape[1] if outputs.ndim > 1 and tier_of(self.loss) == "elementwise" else 1
        return slopes.reshape(outputs.shape) / columns

    def gradient(self, x: Array, y: Array, mode: str = "eval") -> Array:
        """Gradient over all parameters."""
        return self._ordered(self._gradient(x, y, mode))

    def stride(self, x: Array, y: Array) -> Stride | None:
        """One step of the user's own."""
        if self.training is None:
            return None
        before, state = self.vector(), self._rng.bit_generator.state
        own = self._step(x, y, self.training)
        after, later = self.vector(), self._rng.bit_generator.state
        self.put(before)
        self._rng.bit_generator.state = state
        reference = self.gradient(x, y, "train")
        self.put(after)
        self._rng.bit_generator.state = later
        return Stride(before, after, self._ordered(own), reference, True)

    def settle(self) -> None:
        """Clear the optimiser's memory."""
        self._steps = None

    def reinitialise(self, seed: int) -> None:
        """Draw new weights; biases are 0."""
        made, theta = self.network.architecture, self.network.theta
        theta[:] = made.initial(np.random.default_rng(seed), theta.dtype)

    def rehearse(self, x: Array, y: Array, steps: int, learning_rate: float, batch: int | None = None) -> None:
        """Train by the book with Adam."""
        theta, rng = self.network.theta, np.random.default_rng(0)
        state = Adam().start(theta, self.network.architecture.weight_count)
        for number in range(steps):
            rate = learning_rate * (1.0 - 0.9 * number / steps)
            rows = slice(None) if batch is None else rng.choice(len(y), min(batch, len(y)), False)
            state.step(theta, self._gradient(x[rows], y[rows], "train"), rate)

    def settings(self) -> Settings:
        """Of the training and of the network."""
        dropout = self.network.architecture.dropout
        if self.training is None:
            return Settings(math.nan, math.nan, math.nan, 0.0, dropout, math.nan)
        penalty, rate = self.training.penalty, self.training.rate
        decay = 0.0 if penalty is None else 2.0 * penalty.parts[1]
        return Settings(rate, decay, 1.0, 0.0, dropout, rate, _momentum(self.training.optimizer))

    def evaluates_in_training(self) -> bool:
        """Never: predictions leave nothing out."""
        return False

    def _forward(self, x: Array, mode: str) -> tuple[Passes, Array]:
        dropout = self.network.architecture.dropout if mode == "train" else 0.0
        made = replace(self.network.architecture, dropout=dropout)
        passes = Passes(replace(self.network, architecture=made), len(x), self._rng)
        return passes, passes.forward(x.astype(self.network.theta.dtype, copy=False))

    def _gradient(self, x: Array, y: Array, mode: str) -> Array:
        """Gradient of the mean loss, in the order of the network's own vector."""
        passes, scores = self._forward(x, mode)
        flat = scores[:, 0] if scores.shape[1] == 1 else scores
        slopes = self.output_gradient(flat, y).reshape(scores.shape) / len(y)
        passes.backward(x.astype(self.network.theta.dtype, copy=False), slopes.astype(scores.dtype))
        return passes.gradient

    def _step(self, x: Array, y: Array, training: Course) -> Array:
        """Take a step; return the gradient that it used."""
        theta = self.network.theta
        gradient = self._gradient(x, y, "train") / training.unit
        if training.penalty is not None:
            add_penalty(training.penalty, 1.0, self.network, gradient)
        norm = float(np.linalg.norm(gradient))
        if training.clip_norm is not None and norm > training.clip_norm:
            gradient *= training.clip_norm / norm
        if training.move is not None:
            training.move(theta, gradient)
            return gradient * training.unit
        used = gradient * training.unit
        if self._steps is None:
            self._steps = training.optimizer.start(theta, self.network.architecture.weight_count)
        self._steps.step(theta, gradient, training.rate)
        return used

    def _target(self, outputs: Array, y: Array) -> Array:
        encoded = self._encode(y)
        if tier_of(self.loss) == "elementwise":
            return np.asarray(encoded, np.float64).reshape(outputs.shape)
        return encoded.astype(np.intp) if self.task == "multiclass" and encoded.ndim == 1 else encoded

    def _named(self) -> list[tuple[str, tuple[Array, Array]]]:
        made = self.network.architecture
        return list(zip(made.names, made.layers(self.network.theta), strict=True))

    def _ordered(self, theta: Array) -> Array:
        pairs = self.network.architecture.layers(theta)
        flat = [part.astype(np.float64).ravel() for weights, biases in pairs for part in (weights.T, biases)]
        return np.concatenate(flat)
