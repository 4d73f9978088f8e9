"""Networks trained by Keras, on whichever library it runs: the same network, loss and steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.sparse import issparse

from ...network.criterion import Task, shares, tier_of
from ...network.events import LayerNumbers
from ...network.learner import Learner, Objective
from ...network.optimizers import SGD, Adam
from ...network.passes import Network
from ..keras import to_keras

Array = np.ndarray[Any, Any]


def sequential(network: Network, seed: int = 0) -> Any:
    """Return a ``keras.Sequential`` with a network's layers and numbers."""
    made, dtype = network.architecture, str(network.theta.dtype)
    layers: list[Any] = [keras.Input((made.inputs,), dtype=dtype)]
    for i, size in enumerate(made.sizes[1:]):
        last = i == made.depth - 1
        activation = "linear" if last or made.hidden.name == "identity" else made.hidden.name
        layers.append(keras.layers.Dense(size, activation=activation, dtype=dtype))
        if not last and made.dropout:
            layers.append(keras.layers.Dropout(made.dropout, seed=seed + i, dtype=dtype))
    if network.affine is not None:
        scale, centre = network.affine.scale.tolist(), network.affine.centre.tolist()
        layers.append(keras.layers.Rescaling(scale, centre, dtype=dtype))
    model = keras.Sequential(layers)
    _write(model, network)
    return model


def _dense(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def _numbers(variable: Any) -> Array:
    """Return a variable's numbers; Keras's own way warns under some of its libraries."""
    held, library = variable.value, keras.backend.backend()
    if library == "torch":
        return np.asarray(held.detach().cpu().numpy())
    return np.asarray(held.numpy() if library == "tensorflow" else held)


def _write(model: Any, network: Network) -> None:
    for layer, pair in zip(_dense(model), network.architecture.layers(network.theta), strict=True):
        layer.set_weights(pair)


class KerasSteps(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The steps of :class:`lossmith.network.SGD` or Adam, with the penalty's gradient and the clip before them.

    Parameters
    ----------
    objective : Objective
        Says which.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(learning_rate=1.0)
        spec = objective.optimizer
        if not isinstance(spec, (SGD, Adam)):
            raise ValueError(f"solver={spec!r} is for backend='numpy'; Keras takes SGD and Adam of lossmith.network")
        self._spec, self._penalty, self._limit = spec, objective.penalty, objective.clip_norm

    def build(self, variables: list[Any]) -> None:
        """Make the state."""
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype
        self.part = self.add_variable((), initializer="ones", dtype=dtype, name="part")
        self.norm = self.add_variable((), initializer="zeros", dtype=dtype, name="norm")
        pair = self.add_optimizer_variables(variables, ["first", "second"])
        self._first, self._second = pair

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> Any:
        """Add the penalty's gradient, note the norm, clip, and step."""
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        full = [self._penalised(g, v) for g, v in zip(grads, variables, strict=True)]
        norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in full))
        self.norm.assign(norm)
        if self._limit is not None:
            factor = ops.minimum(self._limit / norm, 1.0)
            full = [g * factor for g in full]
        return super().apply(full, trainable_variables)

    def _penalised(self, gradient: Any, variable: Any) -> Any:
        if self._penalty is None or len(variable.shape) != 2:
            return gradient
        lasso, ridge = self._penalty.parts
        w = ops.convert_to_tensor(variable)
        return gradient + ops.convert_to_tensor(self.part) * (lasso * ops.sign(w) + 2.0 * ridge * w)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step along one variable's gradient."""
        place = self._get_variable_index(variable)
        first, second = self._first[place], self._second[place]
        rate = ops.cast(learning_rate, variable.dtype)
        if isinstance(self._spec, SGD):
            velocity = self._spec.momentum * first + gradient
            first.assign(velocity)
            ahead = gradient + self._spec.momentum * velocity if self._spec.nesterov else velocity
            variable.assign(variable - rate * ahead)
            return
        s, count = self._spec, ops.cast(self.iterations + 1, variable.dtype)
        if s.decay and len(variable.shape) == 2:
            variable.assign(variable * (1.0 - rate * s.decay))
        mean = s.beta1 * first + (1.0 - s.beta1) * gradient
        square = s.beta2 * second + (1.0 - s.beta2) * ops.square(gradient)
        first.assign(mean)
        second.assign(square)
        spread = ops.sqrt(square) / ops.sqrt(1.0 - s.beta2**count) + s.epsilon
        variable.assign(variable - rate / (1.0 - s.beta1**count) * mean / spread)


class KerasLearner(Learner):
    """A network trained by Keras; arguments as for :class:`lossmith.network.NumpyLearner`.

    Dropout's masks are Keras's own, seeded from the generator.
    """

    def __init__(
        self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any = None
    ) -> None:
        self.objective, self._network = objective, network
        self.model = sequential(network, int(dropout.integers(2**31)))
        self._steps = KerasSteps(objective)
        self._steps.build(self.model.trainable_variables)
        if memory is not None:
            for variable, value in zip(self._steps.variables, memory, strict=True):
                variable.assign(value)
        task, dtype = objective.task, network.theta.dtype
        loss = to_keras(task.loss, "sum", dtype=str(dtype))
        self.model.compile(optimizer=self._steps, loss=loss, jit_compile=keras.backend.backend() == "jax")
        numbers = tier_of(task.loss) == "elementwise" or task.y.dtype.kind == "f"
        self._y = task.y.astype(dtype) if numbers else task.y
        self._share = shares(task, network.architecture.outputs).astype(dtype)

    def step(self, rows: Array, rate: float) -> tuple[float, float]:
        """Take a step on some rows; also where loss or gradient are not finite."""
        objective = self.objective
        X = objective.task.X[rows]
        factor = objective.batch * objective.unit
        self._steps.learning_rate.assign(rate)
        self._steps.part.assign(len(rows) / objective.batch)
        self.model.reset_metrics()
        weight = self._share[rows] / factor
        features = X.toarray() if issparse(X) else X
        value = self.model.train_on_batch(features, self._y[rows], sample_weight=weight, return_dict=True)["loss"]
        return float(value) * factor, float(_numbers(self._steps.norm))

    def mean_loss(self, task: Task) -> float:
        """Compute the mean loss of a task, without dropout."""
        return task.mean_loss(self.network().scores(task.X))

    def network(self) -> Network:
        """Return the network as it is now."""
        theta = np.empty_like(self._network.theta)
        layers = self._network.architecture.layers(theta)
        for (weights, biases), layer in zip(layers, _dense(self.model), strict=True):
            weights[...], biases[...] = (_numbers(v) for v in layer.weights)
        return replace(self._network, theta=theta)

    def restore(self, network: Network) -> None:
        """Go back to numbers that :meth:`network` returned."""
        _write(self.model, network)

    def memory(self) -> Any:
        """Return what the optimiser remembers."""
        return [_numbers(v).copy() for v in self._steps.variables]

    def watched(self) -> None:
        """Keep nothing: Keras's programs return no gradients."""

    def layers(self) -> dict[str, LayerNumbers]:
        """Return the parameters' norms."""
        found = {}
        for name, layer in zip(self._network.architecture.names, _dense(self.model), strict=True):
            total = sum(float(np.square(_numbers(v)).sum()) for v in layer.weights)
            found[name] = LayerNumbers(parameter_norm=total**0.5)
        return found

    def sample_losses(self) -> Array:
        """Return nothing: Keras's programs return the sum only."""
        return np.empty(0)
