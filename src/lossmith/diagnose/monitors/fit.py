"""The monitor of Lossmith's own solvers and networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack, final

import numpy as np
from scipy.sparse import issparse

from ...network.criterion import Task
from ...network.events import EpochEvent, LayerNumbers, StartEvent, StepEvent
from ...optimize.result import Step as FitStep
from ..record import LAYER_FIELDS, Layer, Record, Step
from .arrays import ArrayGauge
from .budget import Budget
from .run import Run, RunOptions
from .samples import Reservoir
from .trouble import NonFinite

Array = np.ndarray[Any, Any]

_PARTS = {"layers": 0.03, "samples": 0.01}


@final
class FitMonitor:
    """Watches a fit by Lossmith itself: hand it over as ``watch``.

    Parameters
    ----------
    every : int, optional
        Look at the layers of a network every so many steps; by default as often as 3 % of the time allow, and at
        most every tenth step.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Attributes
    ----------
    record : Record
        The run so far.

    Examples
    --------
    >>> import lossmith as lm
    >>> with lm.FitMonitor(live=False) as monitor:
    ...     _ = lm.solve(lm.Huber(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], watch=monitor)
    >>> losses = monitor.record.column("loss")[1]
    >>> bool(losses[-1] < losses[0])
    True
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        self._run = Run(**options)
        self._run.learn(framework="lossmith", source="FitMonitor")
        self._every = every
        self._budget = Budget({kind: math.inf if every else part for kind, part in _PARTS.items()})
        self._next = 0
        self._gauge, self._reservoir = ArrayGauge(), Reservoir()

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._run.record

    def __call__(self, event: FitStep | StartEvent | StepEvent | EpochEvent) -> None:
        """Record what happened; solvers and networks call this."""
        if isinstance(event, StartEvent):
            self._run.learn(**_facts(event))
            return
        if isinstance(event, EpochEvent):
            if not math.isnan(event.valid_loss):  # else no rows were held out
                self._run.add(_of_epoch(event))
            return
        step = self._of_solver(event) if isinstance(event, FitStep) else self._of_network(event)
        self._run.add(step)
        if step.loss is not None and not math.isfinite(step.loss):
            self._trouble(_first(event, step, "loss", step.loss))
        elif step.grad_norm is not None and not math.isfinite(step.grad_norm):
            self._trouble(_first(event, step, "gradient", step.grad_norm))

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _trouble(self, found: NonFinite) -> None:
        if self._run.nan != "ignore":
            self._run.trouble(found)

    def _of_solver(self, event: FitStep) -> Step:
        arrays = {"coefficients": [np.asarray(event.coefficients)], "intercept": [np.asarray(event.intercept)]}
        _, size, moved = self._gauge.look(arrays)
        return Step(
            event.iteration,
            loss=float(event.objective),
            grad_norm=float(event.gradient_norm),
            parameter_norm=size,
            update_norm=moved,
            seconds=float(event.seconds),
            metrics={"optimality": float(event.optimality)},
        )

    def _of_network(self, event: StepEvent) -> Step:
        samples, layers = {}, {}
        if self._budget.allows("samples"):
            begun = self._run.seconds()
            losses = np.asarray(event.sample_losses(), dtype=np.float64)
            samples = self._reservoir.watch(losses) if losses.size else {}
            self._budget.charge("samples", self._run.seconds() - begun)
        due = event.step % self._every == 0 if self._every else event.step >= self._next
        if due and self._budget.allows("layers"):
            begun = self._run.seconds()
            layers = _layers(event.layers())
            self._budget.charge("layers", self._run.seconds() - begun)
            self._next = event.step + max(10, event.step // 200)
        return Step(
            event.step,
            loss=event.loss,
            learning_rate=event.learning_rate,
            grad_norm=_told(event.gradient_norm),
            parameter_norm=_whole(layers, "parameter_norm"),
            update_norm=_whole(layers, "update_norm"),
            epoch=event.epoch,
            seconds=event.seconds,
            layers=layers,
            samples=samples,
        )


def _first(event: FitStep | StepEvent, step: Step, term: str, value: float) -> NonFinite:
    """Say what is known of a number that is not finite: the layer and the row of the batch, of a network."""
    if isinstance(event, FitStep):
        return NonFinite(step.step, term, None, None, f"is {value}; a solver sees all rows as one")
    layers = _layers(event.layers())
    # No step was made: gradients and updates are those of the step before, or of none.
    now = {n: (s.parameter_norm, s.activation_mean, s.activation_std) for n, s in layers.items()}
    layer = next((n for n, held in now.items() if not all(v is None or math.isfinite(v) for v in held)), None)
    losses = np.asarray(event.sample_losses(), dtype=np.float64).ravel()
    rows = np.flatnonzero(~np.isfinite(losses)).tolist()
    sample = rows[0] if rows and (len(rows) < len(losses) or len(losses) == 1) else None
    return NonFinite(step.step, term, layer, sample, f"is {value}")


def _facts(event: StartEvent) -> dict[str, Any]:
    """Return what a network's training rows and settings say."""
    task, steps = event.task, -(-event.task.rows // event.batch)
    found = _targets(task) if issparse(task.X) else _targets(task) | _features(task.X)
    return found | {
        "loss": repr(task.loss),
        "optimizer": type(event.optimizer).__name__,
        "rows": task.rows,
        "batch_size": event.batch,
        "steps_per_epoch": steps,
        "planned_steps": steps * event.epochs,
        "precision": str(task.X.dtype),
    }


def _targets(task: Task) -> dict[str, Any]:
    kind, y = task.loss.traits.task, np.asarray(task.y)
    if kind in ("binary", "multiclass") and y.ndim == 1:
        counts = np.unique(y, return_counts=True)[1].tolist()
        return {"task": kind, "classes": len(counts), "class_counts": tuple(counts)}
    return {"task": "regression", "target_mean": float(y.mean()), "target_std": float(y.std())}


def _features(X: Array) -> dict[str, float]:
    mean, spread = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    sizes = {"input_mean_max": np.abs(mean).max(), "input_std_max": spread.max(), "input_std_min": spread.min()}
    return {name: float(value) for name, value in sizes.items()}


def _of_epoch(event: EpochEvent) -> Step:
    held_out, last = event.valid_loss, max(0, event.step - 1)
    return Step(last, eval_loss=held_out, epoch=float(event.epoch), seconds=event.seconds)


def _layers(numbers: Mapping[str, LayerNumbers]) -> dict[str, Layer]:
    return {
        name: Layer(**{field: _told(getattr(stats, field)) for field in LAYER_FIELDS})
        for name, stats in numbers.items()
    }


def _told(value: float) -> float | None:
    """Return None for a NaN: networks use it for what a backend does not tell."""
    return None if math.isnan(value) else float(value)


def _whole(layers: Mapping[str, Layer], field: str) -> float | None:
    parts = [value for layer in layers.values() if (value := getattr(layer, field)) is not None]
    return math.hypot(*parts) if parts else None
