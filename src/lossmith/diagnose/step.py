"""One step of a training run, one layer at one step, and what is known of the run as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """Statistics of one layer at one step; None where not recorded.

    Attributes
    ----------
    gradient_norm, parameter_norm, update_norm : float or None
        Euclidean norms over all parameters of the layer; the update is new minus old parameters.
    zero_share : float or None
        Share of activations that are exactly 0 over the batch.
    dead_share : float or None
        Share of units that are 0 for every sample of the batch.
    saturated_share : float or None
        Share of activations at the flat ends of their function.
    activation_mean, activation_std : float or None
        Over all units and samples of the batch.

    Examples
    --------
    >>> Layer(gradient_norm=0.5).zero_share is None
    True
    """

    gradient_norm: float | None = None
    parameter_norm: float | None = None
    update_norm: float | None = None
    zero_share: float | None = None
    dead_share: float | None = None
    saturated_share: float | None = None
    activation_mean: float | None = None
    activation_std: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What was recorded at one step. None means "not recorded"; a NaN or infinity was really there.

    Attributes
    ----------
    step : int
        Number of the optimiser's step, from 0.
    loss, eval_loss : float or None
        On the batch learned from, and on held-out rows.
    learning_rate : float or None
        In force at this step.
    grad_norm, parameter_norm, update_norm : float or None
        Euclidean norms over all parameters; the gradient before clipping, the update as new minus old parameters.
    epoch : float or None
        Passes over the data so far.
    seconds : float or None
        Wall time since the start.
    metrics : mapping of str to float
        Whatever else was measured; the prefix ``eval_`` marks held-out rows. PyTorch's monitor adds "output_min",
        "output_max", "output_sum_error" (largest distance of a row's sum from 1), "norm_in_eval" and
        "dropout_in_eval" (shares of such layers in the wrong mode).
    layers : mapping of str to Layer
        In forward order.
    samples : mapping of str to float
        About per-sample losses: "top1_share" (share of the batch's loss on its worst 1 % of samples), "max",
        "median"; with the prefix "reservoir_" over a sample of all losses so far.

    Examples
    --------
    >>> Step(3, loss=0.5, metrics={"accuracy": 0.8}).value("accuracy")
    0.8
    """

    step: int
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    parameter_norm: float | None = None
    update_norm: float | None = None
    epoch: float | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Layer] = field(default_factory=dict)
    samples: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """Look up one recorded number.

        Parameters
        ----------
        name : str
            A field such as "loss", a metric such as "eval_accuracy", or "samples.max".

        Returns
        -------
        float or None
            None when it was not recorded at this step.

        Examples
        --------
        >>> Step(0, samples={"max": 4.0}).value("samples.max")
        4.0
        """
        if name in SCALARS:
            found: float | None = getattr(self, name)
            return found
        if name.startswith("samples."):
            return self.samples.get(name.removeprefix("samples."))
        return self.metrics.get(name)

    @property
    def finite(self) -> bool:
        """Whether every number recorded at this step, layers aside, is finite."""
        for value in (self.loss, self.eval_loss, self.grad_norm, self.parameter_norm, self.update_norm):
            if value is not None and not math.isfinite(value):
                return False
        return not self.metrics or all(map(math.isfinite, self.metrics.values()))

    @property
    def rich(self) -> bool:
        """Whether it holds what most steps do not: layers, or figures of held-out rows."""
        if self.layers or self.eval_loss is not None:
            return True
        return bool(self.metrics) and any(name.startswith("eval_") for name in self.metrics)


LARGEST_STEP = 2**62
"""Number of a step that 64 bits hold for sure."""

SCALARS = (
    "loss",
    "eval_loss",
    "learning_rate",
    "grad_norm",
    "parameter_norm",
    "update_norm",
    "epoch",
    "seconds",
)
"""The scalar fields of a step that `Record.column` knows by name."""

LAYER_FIELDS = tuple(f.name for f in fields(Layer))
"""What `Record.layer_column` can be asked for."""

Row = tuple[Any, ...]
"""A plain step in short: its number, then the fields named in `SCALARS`, then perhaps its metrics: ``Step(*row)``."""


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run as a whole; None or empty where it is not.

    Attributes
    ----------
    task : str or None
        "regression", "binary", "multiclass" ...
    loss, optimizer : str or None
        Their names.
    classes : int or None
        Number of classes.
    class_counts : tuple of int
        Training rows of each class.
    rows, batch_size : int or None
        Training rows, and rows of one step.
    planned_steps, steps_per_epoch : int or None
        Steps the run was meant to take, and steps of one pass.
    target_mean, target_std : float or None
        Of the training targets.
    input_mean_max, input_std_max, input_std_min : float or None
        Largest absolute mean, largest and smallest spread among the input columns.
    precision : str or None
        "float32", "float16", "bfloat16" ...
    framework : str or None
        "torch", "keras", "lightgbm" ...
    source : str or None
        The file or the monitor that this came from.

    Examples
    --------
    >>> Facts(task="binary", class_counts=(90, 10)).rows is None
    True
    """

    task: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    classes: int | None = None
    class_counts: tuple[int, ...] = ()
    rows: int | None = None
    batch_size: int | None = None
    planned_steps: int | None = None
    steps_per_epoch: int | None = None
    target_mean: float | None = None
    target_std: float | None = None
    input_mean_max: float | None = None
    input_std_max: float | None = None
    input_std_min: float | None = None
    precision: str | None = None
    framework: str | None = None
    source: str | None = None
