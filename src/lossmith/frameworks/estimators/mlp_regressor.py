"""The network on numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from ...core.loss import Loss
from ...losses.compose import WeightedSum
from ...losses.likelihood import GaussianNLL
from ...network.criterion import Task
from ...network.events import Watch
from ..links import Affine, Link
from .base import Regression, checked, counting
from .mlp import FLOATS, NetworkModel, documented
from .mlp_recipe import network_link, outputs_of
from .regressor import number_link
from .settings import made_loss

Array = np.ndarray[Any, Any]


def _has_spread(estimator: Any) -> bool:
    return isinstance(made_loss(estimator.loss), GaussianNLL)


@documented
class LossMLPRegressor(Regression, NetworkModel):
    """A feed-forward network for regression under any loss on numbers.

    It minimises ``mean(loss(y, network(x))) / unit + penalty(weights)``, weighted if weights are given. It starts at
    the loss's best constant and works on (y - centre) / spread inside, while the loss sees targets and predictions in
    the target's own unit: Huber's delta is in units of y, and y in other units (with delta in them) gives the same
    network. ``unit`` is the size of the loss's gradient by these inner scores at the start (twice the variance for the
    squared error of normal targets), so that learning rate and alpha mean the same for any target and any loss.

    Losses on log-rates (``"poisson"``) are trained on the logarithm of the rate, and ``predict`` gives rates. Under
    ``"gaussian_nll"`` the network predicts mean and variance: ``predict`` gives the mean, ``predict_std`` the standard
    deviation. Targets (n, k) make k outputs, for losses of the residual and on log-rates.

    Features are not scaled: put ``StandardScaler`` before it in a pipeline.

    Parameters
    ----------
    loss : Loss or str
        A loss, its name, or a call in text such as ``"huber(delta=1.35)"``.
    {parameters}

    Attributes
    ----------
    {attributes}

    Warns
    -----
    {warns}

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323; Srivastava
    et al. (2014), Dropout, JMLR 15; Nix and Weigend (1994), Estimating the mean and variance of the target probability
    distribution, ICNN.

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> x = np.linspace(-3.0, 3.0, 200)[:, None]
    >>> y = 1000.0 * np.sin(x[:, 0])
    >>> y[::20] += 1e5  # typing errors
    >>> net = lm.LossMLPRegressor("huber(delta=50)", (32,), "tanh", learning_rate=0.01, random_state=0)
    >>> float(np.median(np.abs(net.fit(x, y).predict(x) - 1000.0 * np.sin(x[:, 0])))) < 50.0
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, watch: Watch | None = None) -> LossMLPRegressor:
        """Fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Finite features; float32 ones make a float32 network.
        y : array_like, shape (n,) or (n, k)
            Targets that the loss accepts.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0: 0 leaves a row out.
        watch : callable, optional
            ``watch(event)`` is called with a StartEvent of ``lossmith.network``, with a StepEvent after each step and
            with an EpochEvent after each epoch; training stops when it returns True. :class:`lossmith.FitMonitor`
            is one that puts the run on record.

        Returns
        -------
        LossMLPRegressor
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit.
        ImportError
            For a backend that is not installed.
        """
        task = self._task(X, y, sample_weight)
        self._train(task, self._outputs(task), None, watch)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> LossMLPRegressor:
        """Go over some rows once, in batches, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`; the first rows seen settle the centre and spread of the targets.

        Returns
        -------
        LossMLPRegressor
            Itself.
        """
        task = self._task(X, y, sample_weight, reset="network_" not in vars(self))
        self._train_on(task, self._outputs(task), None)
        return self

    @available_if(_has_spread)  # type: ignore[untyped-decorator]
    def predict_std(self, X: Any) -> Array:
        """Predict the standard deviation of the target, under ``"gaussian_nll"`` only.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n,)
        """
        return np.asarray(np.exp(0.5 * self._raw(X)[:, 1]))

    def _task(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> Task:
        loss = made_loss(self.loss)
        self._link = _number_link(loss)
        found = checked(self, X, y, sample_weight, numeric=True, dtype=FLOATS, multi_output=True, reset=reset)
        X, y, weight = counting(*found)
        if y.ndim > 1 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim > 1 and isinstance(loss, GaussianNLL):
            raise ValueError(f"{loss!r} takes one target a row; y has shape {y.shape}")
        return Task(loss, X, self._link.encode(y), weight)

    def _outputs(self, task: Task) -> int:
        self.n_outputs_ = 1 if task.y.ndim == 1 else int(task.y.shape[1])
        return outputs_of(task.loss, task.y, 2)

    @property
    def _flat(self) -> bool:
        return self.network_.architecture.outputs == 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclass(frozen=True)
class MeanAndVariance(Link):
    """Rows of a mean and a log-variance; the mean is the prediction."""

    def encode(self, y: Array) -> Array:
        """Turn targets into what the loss takes."""
        return np.asarray(y, np.float64)

    def decode(self, raw: Array) -> Array:
        """Return the mean."""
        return np.asarray(raw[:, 0])

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "mean_and_variance"}


def _number_link(loss: Loss) -> Link:
    """Return the link of a loss on numbers, the Gaussian likelihood's included.

    Raises
    ------
    ValueError
        For losses on classes and others.
    """
    if isinstance(loss, GaussianNLL) and loss.inputs == "log_variance":
        return MeanAndVariance()
    if isinstance(loss, WeightedSum) and isinstance(found := network_link(loss), Affine):
        return found
    return number_link(loss)
