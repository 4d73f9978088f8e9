"""The monitor of Lossmith's own networks."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, final

import numpy as np
from scipy.sparse import issparse

from ...network.criterion import Task
from ...network.events import EpochEvent, Event, StartEvent, StepEvent
from ..record import LIMIT, Facts, Layer, Record, Step
from .run import Run
from .samples import Reservoir


@final
class NetworkMonitor:
    """Puts the training of a network of ``lossmith.network`` on record: give it as ``watch``.

    Each step: loss, learning rate, gradient norm, wall time, and what the per-sample losses say; every so many steps
    the norms of gradients, parameters and updates of each layer and the shares of zero, dead and saturated activations
    (the norms only where torch trains, the parameters' only where Keras does); after each epoch the loss of held-out
    rows.

    Parameters
    ----------
    path : str or Path, optional
        JSON lines to write while the run goes on; `lossmith watch` follows them.
    every : int, default 10
        Look at the layers every so many steps.
    live : bool, optional
        Draw while the run goes on; by default on a terminal and in a notebook.
    facts : Facts, optional
        What is known of the run; rows, batches, loss, optimiser, precision and the scales of targets and features are
        found out.
    limit : int
        Steps kept in memory.

    Attributes
    ----------
    record : Record
        The run so far.

    Raises
    ------
    ValueError
        If ``every`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> monitor = lm.NetworkMonitor(live=False)
    >>> net = lm.LossMLPRegressor("huber", (8,), max_epochs=3, n_iter_no_change=None, random_state=0)
    >>> _ = net.fit(X, X[:, 0], watch=monitor)
    >>> monitor.record.total, monitor.record.layer_names, monitor.record.facts.loss
    (12, ('hidden_1', 'output'), 'Huber(delta=1.0)')
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        every: int = 10,
        live: bool | None = None,
        facts: Facts | None = None,
        limit: int = LIMIT,
    ) -> None:
        if every < 1:
            raise ValueError(f"every={every}: give the number of steps between two looks at the layers, at least 1")
        self._run = Run(facts, path=path, live=live, nan="ignore", limit=limit)
        self._every, self._reservoir = every, Reservoir()
        self._waiting: Step | None = None

    @property
    def record(self) -> Record:
        """The run so far."""
        self._flush()
        return self._run.record

    def __call__(self, event: Event) -> None:
        """Take in what a training tells.

        Parameters
        ----------
        event : StartEvent, StepEvent or EpochEvent
            Of ``lossmith.network``.
        """
        if isinstance(event, StartEvent):
            self._introduce(event)
        elif isinstance(event, StepEvent):
            self._flush()
            self._waiting = self._step(event)
        elif isinstance(event, EpochEvent) and self._waiting is not None:
            # Held-out rows belong to the step that the epoch ended with.
            self._waiting = dataclasses.replace(self._waiting, eval_loss=event.valid_loss)
            self._flush()

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._flush()
        self._run.close()

    def _flush(self) -> None:
        if self._waiting is not None:
            self._run.add(self._waiting)
            self._waiting = None

    def _step(self, event: StepEvent) -> Step:
        looks = event.step % self._every == 0
        layers = (
            {name: Layer(**dataclasses.asdict(numbers)) for name, numbers in event.layers().items()} if looks else {}
        )
        losses = np.asarray(event.sample_losses(), np.float64).reshape(-1)
        return Step(
            event.step,
            loss=event.loss,
            learning_rate=event.learning_rate,
            grad_norm=event.gradient_norm,
            epoch=event.epoch,
            seconds=event.seconds,
            layers=layers,
            samples=self._reservoir.watch(losses) if losses.size else {},
        )

    def _introduce(self, event: StartEvent) -> None:
        task, steps = event.task, -(-event.task.rows // event.batch)
        self._run.learn(
            loss=repr(task.loss),
            optimizer=type(event.optimizer).__name__,
            rows=task.rows,
            batch_size=event.batch,
            steps_per_epoch=steps,
            planned_steps=steps * event.epochs,
            precision=str(task.X.dtype),
            framework="numpy",
            source="NetworkMonitor",
            **_scales(task),
        )


def _scales(task: Task) -> dict[str, Any]:
    """Return what targets and features look like."""
    kind, y = task.loss.traits.task, np.asarray(task.y)
    if kind in ("binary", "multiclass") and y.ndim == 1:
        counts = np.unique(y, return_counts=True)[1]
        found: dict[str, Any] = {"task": kind, "classes": len(counts), "class_counts": tuple(counts.tolist())}
    else:
        found = {"task": "regression", "target_mean": float(y.mean()), "target_std": float(y.std())}
    if issparse(task.X):
        return found
    mean, spread = task.X.mean(axis=0, dtype=np.float64), task.X.std(axis=0, dtype=np.float64)
    sizes = {"input_mean_max": np.abs(mean).max(), "input_std_max": spread.max(), "input_std_min": spread.min()}
    return found | {name: float(value) for name, value in sizes.items()}
