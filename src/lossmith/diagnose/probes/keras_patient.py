"""A Keras model under examination, on TensorFlow, JAX or PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import keras
import numpy as np

from lossmith.diagnose.probes.keras_slopes import numbers, slopes
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

_INITIAL = ("kernel", "recurrent_kernel", "bias", "gamma", "beta", "embeddings")


@final
class KerasPatient(Patient):
    """A Keras model with its loss and data.

    Parameters
    ----------
    model : keras.Model
        Built. Of a Sequential or functional model activations are seen too.
    loss : callable
        (y_true, y_pred) -> losses of the samples, shape (n,) or (n, 1), such as ``keras.losses.mean_squared_error``.
    task : str
        "regression", "binary" (targets 0/1, one score a row) or "multiclass" (class codes).
    train, valid : tuple of array
        Inputs and targets as the model sees them.
    optimizer : keras.optimizers.Optimizer, optional
        Of the training; its steps are taken as ``fit`` takes them.
    batches : sequence of tuple of array, optional
        Some batches in the order in which training gets them.
    learning_rate : float, optional
        Largest rate of the training; by default the optimiser's present one.

    Examples
    --------
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    >>> x, y = np.zeros((8, 3), np.float32), np.zeros((8, 1), np.float32)
    >>> patient = KerasPatient(model, keras.losses.mean_squared_error, "regression", (x, y), (x, y))
    >>> [w.matrix.shape for w in patient.weights()]
    [(1, 3)]
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Any],
        task: str,
        train: tuple[Any, Any],
        valid: tuple[Any, Any],
        *,
        optimizer: Any = None,
        batches: Sequence[tuple[Any, Any]] = (),
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(task, _flat(train), _flat(valid), [_flat(batch) for batch in batches])
        self.model, self.loss, self.optimizer, self.learning_rate = model, loss, optimizer, learning_rate
        self._slopes = slopes()
        self._totals = {mode: _mean_loss(model, loss, mode) for mode in (False, True)}
        if optimizer is not None and not optimizer.built:
            optimizer.build(model.trainable_variables)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Give everything back afterwards, seeds of dropout included.

        Yields
        ------
        None
            Within, the model may be changed at will.
        """
        own = [] if self.optimizer is None else self.optimizer.variables
        held = [*self.model.variables, *own]
        before = [keras.ops.copy(v.value) for v in held]
        try:
            yield
        finally:
            for variable, value in zip(held, before, strict=True):
                variable.assign(value)

    def vector(self) -> Array:
        """All trainable parameters in one vector."""
        return _joined([numbers(v) for v in self._own])

    def put(self, vector: Array) -> None:
        """Set all trainable parameters from one vector."""
        for variable, (_, place) in zip(self._own, self.pieces(), strict=True):
            variable.assign(vector[place].reshape(variable.shape))

    def pieces(self) -> Sequence[tuple[str, slice]]:
        """Names and places of the parameters."""
        places, start = [], 0
        for variable in self._own:
            layer, _, name = variable.path.rpartition("/")
            end = start + int(np.prod(variable.shape))
            places.append((f"{layer}.{'weight' if name == 'kernel' else name}", slice(start, end)))
            start = end
        return places

    def weights(self) -> Sequence[Weight]:
        """Kernels, one row a unit, in the order of the layers."""
        biases = {v.path.rpartition("/")[0]: numbers(v) for v in self.model.weights if v.path.endswith("/bias")}
        kernels = [(v.path.rpartition("/")[0], numbers(v)) for v in self.model.weights if v.path.endswith("/kernel")]
        return [Weight(n, k.reshape(-1, k.shape[-1]).T, biases.get(n)) for n, k in kernels if k.ndim > 1]

    def activations(self, x: Array) -> Sequence[Activation]:
        """Outputs of layers with an activation, of Sequential and functional models."""
        found = [(kind, layer) for layer in self._layers() if (kind := _function(layer)) in RANGES]
        values = self._inside([layer.output for _, layer in found], x)
        return [
            Activation(kind, value.reshape(len(value), -1), *RANGES[kind])
            for (kind, _), value in zip(found, values, strict=True)
        ]

    def normalisers(self, x: Array) -> Sequence[Normaliser]:
        """Batch normalisations with their memory, of Sequential and functional models."""
        found = [layer for layer in self._layers() if isinstance(layer, keras.layers.BatchNormalization)]
        values = self._inside([layer.input for layer in found], x)
        columns = [value.reshape(-1, value.shape[-1]) for value in values]
        return [
            Normaliser(
                numbers(layer.moving_mean),
                numbers(layer.moving_variance),
                column.mean(0),
                column.var(0),
                1.0 - float(layer.momentum),
            )
            for layer, column in zip(found, columns, strict=True)
        ]

    def outputs(self, x: Array, mode: str = "eval") -> Array:
        """Model's outputs in a mode; one score a row comes as shape (n,)."""
        found = numbers(self.model(self._inputs(x), training=mode == "train"))
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def losses(self, outputs: Array, y: Array) -> Array:
        """User's losses of given outputs."""
        return numbers(self._each(self._inputs(_columns(outputs)), y)).reshape(-1)

    def output_gradient(self, outputs: Array, y: Array) -> Array:
        """Derivative by the outputs."""
        at = _columns(outputs).astype(self.model.compute_dtype)
        found = self._slopes.by_tensor(lambda out: keras.ops.sum(self._each(out, y)), at)
        return np.zeros_like(outputs) if found is None else numbers(found).reshape(outputs.shape)

    def gradient(self, x: Array, y: Array, mode: str = "eval") -> Array:
        """Gradient over all trainable parameters."""
        pairs = zip(self._pull(x, y, mode), self._own, strict=True)
        return _joined([np.zeros(v.shape) if g is None else numbers(g) for g, v in pairs])

    def stride(self, x: Array, y: Array) -> Stride | None:
        """One step of the optimiser; Keras keeps no gradient, so the step's own is that of its batch."""
        if self.optimizer is None:
            return None
        before = self.vector()
        found = self._pull(x, y, "train")
        pairs = [(g, v) for g, v in zip(found, self._own, strict=True) if g is not None]
        self.optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
        used = _joined([np.zeros(v.shape) if g is None else numbers(g) for g, v in zip(found, self._own, strict=True)])
        return Stride(before, self.vector(), used, used, True)

    def settle(self) -> None:
        """Clear the optimiser's memory."""
        for variable in [] if self.optimizer is None else self.optimizer.variables:
            if not variable.path.endswith("learning_rate"):
                variable.assign(keras.ops.zeros_like(variable.value))

    def reinitialise(self, seed: int) -> None:
        """Draw anew by each layer's own initialisers."""
        for place, layer in enumerate(self.model._flatten_layers()):
            for name in _INITIAL:
                variable, initial = getattr(layer, name, None), getattr(layer, f"{name}_initializer", None)
                if isinstance(variable, keras.Variable) and isinstance(initial, keras.initializers.Initializer):
                    settings = initial.get_config()
                    if "seed" in settings:
                        settings["seed"] = 1000 * seed + place
                    variable.assign(type(initial).from_config(settings)(variable.shape, dtype=variable.dtype))

    def rehearse(self, x: Array, y: Array, steps: int, learning_rate: float, batch: int | None = None) -> None:
        """Train by the book with Adam."""
        if not self._own:
            return
        optimizer, rng = keras.optimizers.Adam(learning_rate, epsilon=1e-8), np.random.default_rng(0)
        optimizer.build(self._own)
        for number in range(steps):
            optimizer.learning_rate.assign(learning_rate * (1.0 - 0.9 * number / steps))
            rows = slice(None) if batch is None else rng.choice(len(y), min(batch, len(y)), False)
            found = self._pull(x[rows], y[rows], "train")
            pairs = [(g, v) for g, v in zip(found, self._own, strict=True) if g is not None]
            optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])

    def settings(self) -> Settings:
        """Of optimiser and model."""
        layers = list(self.model._flatten_layers())
        dropout = max((float(m.rate) for m in layers if isinstance(m, keras.layers.Dropout)), default=0.0)
        still = [not v.trainable for v in self.model.weights if v.path.rpartition("/")[2] in _INITIAL]
        frozen = float(np.mean(still)) if still else 0.0
        if self.optimizer is None:
            return Settings(np.nan, np.nan, np.nan, frozen, dropout, np.nan)
        rate = float(keras.ops.convert_to_tensor(self.optimizer.learning_rate))
        peak = rate if self.learning_rate is None else self.learning_rate
        decay, momentum = float(self.optimizer.weight_decay or 0.0), np.nan
        if isinstance(self.optimizer, keras.optimizers.SGD | keras.optimizers.RMSprop):
            momentum = float(self.optimizer.momentum)
        elif isinstance(self.optimizer, keras.optimizers.Adam):
            momentum = float(self.optimizer.beta_1)
        return Settings(rate, decay, 1.0 - frozen, frozen, dropout, peak, momentum)

    def evaluates_in_training(self) -> bool:
        """Never: ``evaluate`` and ``predict`` leave training mode."""
        return False

    @property
    def _own(self) -> list[Any]:
        own: list[Any] = self.model.trainable_variables
        return own

    def _pull(self, x: Array, y: Array, mode: str) -> list[Any]:
        if not self._own:
            return []
        return self._slopes.by_variables(self._totals[mode == "train"], self.model, self._inputs(x), self._target(y))

    def _target(self, y: Array) -> Any:
        held = y if self.task == "multiclass" else _columns(y).astype(self.model.compute_dtype)
        return keras.ops.convert_to_tensor(held)

    def _each(self, outputs: Any, y: Array) -> Any:
        return self.loss(self._target(y), outputs)

    def _inputs(self, x: Array) -> Any:
        return keras.ops.convert_to_tensor(x.astype(self.model.compute_dtype))

    def _layers(self) -> list[Any]:
        """Layers whose values can be asked for: those of a graph."""
        return list(self.model.layers) if getattr(self.model, "inputs", None) else []

    def _inside(self, wanted: list[Any], x: Array) -> list[Array]:
        if not wanted:
            return []
        found = keras.Model(self.model.inputs, wanted)(self._inputs(x), training=False)
        return [numbers(value) for value in (found if isinstance(found, list) else [found])]


def _mean_loss(model: Any, loss: Callable[[Any, Any], Any], training: bool) -> Callable[[Any, Any], Any]:
    return lambda x, y: keras.ops.mean(loss(y, model(x, training=training)))


def _function(layer: Any) -> str:
    own = getattr(layer, "activation", None)
    return str(getattr(own, "__name__", "")).replace("_", "") if own is not None else type(layer).__name__.lower()


def _flat(part: tuple[Any, Any]) -> tuple[Array, Array]:
    """Targets of one column come as shape (n,), like outputs."""
    x, y = arrays(part)
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _columns(values: Array) -> Array:
    return values[:, None] if values.ndim == 1 else values


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0)
