"""What the network estimators share: their parameters, their fit, and their raw scores."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from ...core.loss import Loss
from ...network.criterion import Task
from ...network.events import History, Watch
from ...network.passes import Network
from ...network.start import Start, starting_point
from ...network.training import Training
from ...optimize.penalties import Penalty
from .base import Scored
from .fitting import warn
from .mlp_fit import Fitting, Memory, constant_line, fit
from .mlp_recipe import Draws, Recipe, recipe

Array = np.ndarray[Any, Any]
Class = TypeVar("Class", bound=type)
FLOATS = (np.float64, np.float32)

_PARAMETERS = """hidden_layer_sizes : int or sequence of int
        Units of each hidden layer; ``()`` for a linear model.
    activation : {"relu", "tanh", "gelu", "sigmoid", "identity"}
        Of the hidden layers; "gelu" is the exact one, by erf.
    solver : {"adam", "adamw", "sgd", "momentum", "nesterov"} or Optimizer
        Which steps; settings of one's own are ``lossmith.network.Adam(beta1=0.8)`` or ``SGD(momentum=0.99)``.
    learning_rate : float, optional
        By default 0.001 for Adam and 0.01 for the others.
    schedule : {"constant", "cosine", "exponential", "inverse"} or Schedule
        A factor on the learning rate that changes with the epochs.
    penalty : None, "l1", "l2", "elasticnet" or Penalty
        On the weights of all layers, never on biases; ``"l2"`` is alpha * sum of squares without a factor 1/2. At 0,
        L1 takes the subgradient 0: weights become small, and rarely exactly 0.
    alpha : float, optional
        Strength of a penalty given by name (by default 1e-4), relative to the mean loss; for a Penalty a factor on the
        strength it has (by default 1).
    l1_ratio : float
        Share of the L1 part of ``"elasticnet"``.
    dropout : float
        Share of the hidden activations left out in training, in [0, 1). What stays is scaled up, so that predictions
        need no change.
    batch_size : int or "auto"
        Rows of a step; "auto" is a tenth of all, at least 50 and at most 200. A row counts the same in whatever batch
        it comes.
    max_epochs : int
        Most passes over the rows.
    early_stopping : bool
        Whether to hold out rows, stop when their loss no longer falls, and keep the network of the best epoch.
    validation_fraction : float
        Share of rows to hold out.
    n_iter_no_change : int, optional
        Epochs without a fall by ``tol`` after which training stops: of the loss of the held-out rows, or of the
        training loss. None: never.
    tol : float
        Least fall that counts, relative to the loss at the start.
    clip_norm : float, optional
        Gradients of a larger norm are scaled down to it.
    max_seconds : float, optional
        Wall time after which training ends.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState or None
        For held-out rows, initial weights, the order of rows and dropout, each from a source of its own.
    warm_start : bool
        Whether ``fit`` goes on from the network of the previous one.
    verbose : bool
        Whether to show a bar on terminals (a line now and then elsewhere) in fits of more than a second.
    backend : {"numpy", "torch", "keras"}
        Who trains. The same network, loss, batches and steps give the same result to rounding (dropout apart in Keras);
        predictions are NumPy's in any case."""

_ATTRIBUTES = """network_ : lossmith.network.Network
        What predicts; ``coefs_`` and ``intercepts_`` are copies of its numbers.
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, units) and biases (units,) of each layer.
    history_ : lossmith.network.History
        Training loss, loss of held-out rows, gradient norm, learning rate and seconds of each epoch.
    status_ : str
        How training ended: "converged", "early_stopped", "epoch_limit", "time_limit", "diverged", "interrupted" or
        "stopped_by_watch".
    n_iter_ : int
        Epochs of the last call.
    best_epoch_ : int
        The epoch of the network that was kept; 0 for the start.
    loss_ : float
        Mean loss there: of the held-out rows with early stopping, else the training loss of that epoch.
    model_ : torch.nn.Sequential or keras.Sequential
        With these backends: the network in the library's own layers.
    n_features_in_, feature_names_in_
        As in scikit-learn."""

_WARNS = """ConvergenceWarning
        One line: when loss or gradient were no longer finite, the loss rose, or the keyboard interrupted (the best
        network on the way is kept); when the loss was still falling at the last epoch; when a constant is better."""


def documented(cls: Class) -> Class:
    """Complete a docstring with what all network estimators have in common."""
    if cls.__doc__ is not None:
        cls.__doc__ = cls.__doc__.format(parameters=_PARAMETERS, attributes=_ATTRIBUTES, warns=_WARNS)
    return cls


@dataclass(repr=False, eq=False)
class Parameters:
    """The arguments of network estimators: a dataclass, whose signature scikit-learn reads, and nothing else.

    Estimators inherit from it without being dataclasses themselves, so that what a fit learns is no argument.
    """

    loss: Loss | str = "mse"
    hidden_layer_sizes: Any = (100,)
    activation: str = "relu"
    _: KW_ONLY
    solver: Any = "adam"
    learning_rate: float | None = None
    schedule: Any = "constant"
    penalty: Penalty | str | None = "l2"
    alpha: float | None = None
    l1_ratio: float = 0.5
    dropout: float = 0.0
    batch_size: int | str = "auto"
    max_epochs: int = 200
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int | None = 10
    tol: float = 1e-4
    clip_norm: float | None = None
    max_seconds: float | None = None
    shuffle: bool = True
    random_state: Any = None
    warm_start: bool = False
    verbose: bool = False
    backend: str = "numpy"


class NetworkModel(Scored, Parameters):
    """A feed-forward network under a loss."""

    network_: Network
    history_: History
    status_: str
    n_iter_: int
    best_epoch_: int
    loss_: float
    model_: Any
    _memory: Memory

    @property
    def coefs_(self) -> list[Array]:
        """Weights (inputs, units) of each layer."""
        return [weights for weights, _ in self._layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """Biases (units,) of each layer."""
        return [biases for _, biases in self._layers()]

    def _layers(self) -> tuple[tuple[Array, Array], ...]:
        check_is_fitted(self)
        plain = self.network_.plain()
        return plain.architecture.layers(plain.theta)

    def _raw(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False)
        scores = self.network_.scores(X.astype(self.network_.theta.dtype, copy=False))
        return np.asarray(scores[:, 0]) if self._flat else scores

    @property
    def _flat(self) -> bool:
        """Whether scores are one number a row."""
        return False

    def _train(self, task: Task, outputs: int, strata: Array | None, watch: Watch | None) -> None:
        """Fit from checked data."""
        settings, before = recipe(self), vars(self).get("network_") if self.warm_start else None
        start = starting_point(task.loss, task.y, task.weight, outputs)
        first = _continued(before, self._begin(settings, task, start))
        found = fit(Fitting(settings, task, strata, watch, bool(self.verbose)), first, self._memory)
        self._finish(settings, found)
        if line := found.message or constant_line(found, task, start):
            warn(type(self).__name__, line)

    def _train_on(self, task: Task, outputs: int, watch: Watch | None) -> None:
        """Go over some more rows once."""
        settings = recipe(self)
        if "network_" not in vars(self):
            start = starting_point(task.loss, task.y, task.weight, outputs)
            self.network_ = self._begin(settings, task, start)
        have, asked = self.network_.architecture, settings.architecture(task.X.shape[1], outputs)
        if have.sizes != asked.sizes:
            raise ValueError(
                f"the network has layers of {have.sizes}, and {asked.sizes} are asked for; call fit instead"
            )
        found = fit(Fitting(settings.once(), task, None, watch, False), self.network_, self._memory)
        self._finish(settings, found)
        if found.message:
            warn(type(self).__name__, found.message)

    def _begin(self, settings: Recipe, task: Task, start: Start) -> Network:
        """Forget earlier fits, and return a new network at the loss's best constant."""
        draws = Draws.of(self.random_state)
        self._memory, self.history_ = Memory(draws, start.unit), History()
        architecture, dtype = settings.architecture(task.X.shape[1], start.bias.size), task.X.dtype
        theta = architecture.initial(draws.weights, dtype)
        # From the best constant itself: random scores on top of it would have to be unlearnt, and networks of better
        # features come out (36 -> 30 bicycles off in examples/network_losses.py).
        weights, biases = architecture.layers(theta)[-1]
        weights[...], biases[...] = 0.0, start.bias
        return Network(architecture, theta, None if start.affine is None else start.affine.astype(dtype))

    def _finish(self, settings: Recipe, found: Training) -> None:
        self.network_, self.status_ = found.network, found.status
        self.history_ = self.history_ + found.history
        self.n_iter_, self.best_epoch_, self.loss_ = len(found.history), found.best_epoch, found.best_loss
        model = settings.backend.model(found.network)
        if model is not None:
            self.model_ = model


def _continued(before: Network | None, fresh: Network) -> Network:
    """Return the network of an earlier fit if it has the layers of a new one."""
    if before is None or before.architecture.sizes != fresh.architecture.sizes:
        return fresh
    affine = None if before.affine is None else before.affine.astype(fresh.theta.dtype)
    return Network(fresh.architecture, before.theta.astype(fresh.theta.dtype), affine)
