"""What happened in a training run, step by step, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

LIMIT = 20_000
"""Steps kept before a record begins to thin them."""


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


class _Shelf:
    """At most ``limit`` steps, evenly spread over those offered: the first is always among them."""

    __slots__ = ("held", "limit", "offered", "stride")

    def __init__(self, limit: int) -> None:
        self.limit, self.stride, self.offered = limit, 1, 0
        self.held: list[tuple[int, Step]] = []

    def offer(self, index: int, step: Step) -> None:
        if self.offered % self.stride == 0:
            self.held.append((index, step))
        self.offered += 1
        if len(self.held) > self.limit:
            self.held = self.held[::2]
            self.stride *= 2


@final
class Record:
    """The facts and the steps of one run.

    Every step is kept up to a limit; then plain steps, steps with held-out figures or layers, and steps that are not
    finite are each thinned evenly on their own, so that rare ones do not vanish among many. The first step, the
    last, the first that is not finite and the one before it always stay.

    Parameters
    ----------
    facts : Facts, optional
        What is known of the run.
    limit : int, default 20000
        Steps kept in memory, at least 16.

    Attributes
    ----------
    facts : Facts
        May be replaced while the run goes on.
    total : int
        Steps seen, kept or not.

    Raises
    ------
    ValueError
        If ``limit`` is smaller than 16.

    Examples
    --------
    >>> record = Record.of(Facts(task="binary"), [Step(0, loss=0.9), Step(1), Step(2, loss=float("nan"))])
    >>> steps, values = record.column("loss")
    >>> steps.tolist(), values.tolist()
    ([0, 2], [0.9, nan])
    """

    __slots__ = ("_before", "_last", "_merged", "_notes", "_odd", "_plain", "_rich", "facts", "total")

    def __init__(self, facts: Facts | None = None, *, limit: int = LIMIT) -> None:
        if limit < 16:
            raise ValueError(f"limit is {limit}: a record keeps at least 16 steps")
        self.facts = Facts() if facts is None else facts
        self.total = 0
        self._plain, self._rich, self._odd = _Shelf(limit // 2), _Shelf(limit // 4), _Shelf(limit // 4)
        self._last: tuple[int, Step] | None = None
        self._before: tuple[int, Step] | None = None
        self._merged: tuple[Step, ...] | None = None
        self._notes: list[str] = []

    @classmethod
    def of(cls, facts: Facts, steps: Iterable[Step], *, limit: int = LIMIT) -> Record:
        """Make a record of steps that are already there.

        Parameters
        ----------
        facts : Facts
            Of the run.
        steps : iterable of Step
            In the order in which they happened; consumed as a stream.
        limit : int, default 20000
            Steps kept in memory.

        Returns
        -------
        Record
            Holding them.
        """
        record = cls(facts, limit=limit)
        for step in steps:
            record.add(step)
        return record

    def add(self, step: Step) -> None:
        """Take in the next step.

        Parameters
        ----------
        step : Step
            What was recorded.
        """
        here = (self.total, step)
        if not step.finite:
            if self._odd.offered == 0:
                self._before = self._last
            self._odd.offer(*here)
        elif step.rich:
            self._rich.offer(*here)
        else:
            self._plain.offer(*here)
        self._last, self._merged = here, None
        self.total += 1

    def with_steps(self, steps: Iterable[Step]) -> Record:
        """Return a record of the same run with other steps.

        Parameters
        ----------
        steps : iterable of Step
            Instead of those here.

        Returns
        -------
        Record
            With the facts and notes of this one.
        """
        other = Record.of(self.facts, steps, limit=max(16, 4 * len(self.steps)))
        other._notes = list(self.notes)
        return other

    def pass_over(self, count: int) -> None:
        """Count steps that a reader left out, evenly spread, to be quick.

        Parameters
        ----------
        count : int
            How many.
        """
        self.total += count

    def note(self, text: str) -> None:
        """Remember a remark on how this record came to be; the same remark is kept once.

        Parameters
        ----------
        text : str
            One line.
        """
        if text not in self._notes:
            self._notes.append(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks: how columns were guessed, what was dropped."""
        thinned = self.total - len(self.steps)
        last = (f"{thinned} of {self.total} steps were thinned out evenly to bound memory",) if thinned else ()
        return (*self._notes, *last)

    @property
    def steps(self) -> Sequence[Step]:
        """The steps kept, in the order in which they came."""
        if self._merged is None:
            held = dict(self._plain.held) | dict(self._rich.held) | dict(self._odd.held)
            held |= dict(kept for kept in (self._before, self._last) if kept is not None)
            self._merged = tuple(held[index] for index in sorted(held))
        return self._merged

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __repr__(self) -> str:
        return f"Record({self.total} steps, columns {', '.join(self.names) or 'none'})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names that `column` knows in this record: scalar fields, metrics, then "samples." ones."""
        scalars = [name for name in SCALARS if any(s.value(name) is not None for s in self.steps)]
        metrics = dict.fromkeys(name for s in self.steps for name in s.metrics)
        samples = dict.fromkeys(f"samples.{name}" for s in self.steps for name in s.samples)
        return (*scalars, *metrics, *samples)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Layers seen, in forward order."""
        return tuple(dict.fromkeys(name for s in self.steps for name in s.layers))

    def column(self, name: str) -> tuple[Array, Array]:
        """Collect one quantity over the run.

        Parameters
        ----------
        name : str
            A scalar field of `Step`, a metric, or "samples." and a name from `Step.samples`.

        Returns
        -------
        steps : ndarray of int64, shape (m,)
            Steps at which it was recorded, in the order in which they came.
        values : ndarray of float64, shape (m,)
            What was recorded, NaN and infinities included; both are empty when it never was.

        Examples
        --------
        >>> record = Record.of(Facts(), [Step(0, loss=1.0), Step(5, loss=0.5, eval_loss=0.7)])
        >>> record.column("eval_loss")
        (array([5]), array([0.7]))
        """
        return _pairs((s.step, s.value(name)) for s in self.steps)

    def layer_column(self, layer: str, name: str) -> tuple[Array, Array]:
        """Collect one quantity of one layer over the run.

        Parameters
        ----------
        layer : str
            One of `layer_names`.
        name : str
            A field of `Layer`.

        Returns
        -------
        steps : ndarray of int64, shape (m,)
            Steps at which it was recorded.
        values : ndarray of float64, shape (m,)
            What was recorded.

        Raises
        ------
        ValueError
            If ``name`` is not a field of `Layer`.

        Examples
        --------
        >>> record = Record.of(Facts(), [Step(0, layers={"fc": Layer(zero_share=0.25)})])
        >>> record.layer_column("fc", "zero_share")
        (array([0]), array([0.25]))
        """
        if name not in LAYER_FIELDS:
            raise ValueError(f"{name!r} is not recorded of a layer: give one of {', '.join(LAYER_FIELDS)}")
        return _pairs((s.step, getattr(s.layers[layer], name)) for s in self.steps if layer in s.layers)


LAYER_FIELDS = tuple(f.name for f in fields(Layer))
"""What `Record.layer_column` can be asked for."""


def _pairs(found: Iterable[tuple[int, float | None]]) -> tuple[Array, Array]:
    kept = [(step, value) for step, value in found if value is not None]
    return np.array([s for s, _ in kept], dtype=np.int64), np.array([v for _, v in kept], dtype=np.float64)
