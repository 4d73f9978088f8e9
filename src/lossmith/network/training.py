"""The loop: epochs and batches, when to stop, and which of the networks on the way to keep."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .criterion import Task
from .events import EpochEvent, Event, History, StartEvent, StepEvent, Watch
from .learner import Learner
from .passes import Network
from .schedules import Constant, Schedule

Array = np.ndarray[Any, Any]
Status = Literal[
    "converged", "early_stopped", "epoch_limit", "time_limit", "diverged", "interrupted", "stopped_by_watch"
]
# Rows on which the starting loss is judged.
_SOME = 2048
# A loss that ends above its start by this share has risen; less is noise.
_WORSE = 0.25
# If the last epochs brought this share of the whole fall, more epochs would pay.
_MUCH = 0.03


@dataclass(frozen=True)
class Plan:
    """How long to train, and how fast.

    Attributes
    ----------
    rate : float
        Learning rate, > 0.
    schedule : Schedule
        A factor on it.
    max_epochs : int
        Most passes over the rows.
    patience : int or None
        Epochs without an improvement by ``tolerance`` after which training ends; None: never.
    tolerance : float
        Least improvement of the loss, relative to its start.
    max_seconds : float
        Wall time after which training ends, in the middle of an epoch too.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    """

    rate: float
    schedule: Schedule = Constant()  # noqa: RUF009 - frozen, without state
    max_epochs: int = 200
    patience: int | None = 10
    tolerance: float = 1e-4
    max_seconds: float = math.inf
    shuffle: bool = True


@dataclass(frozen=True)
class Training:
    """The end of a training.

    Attributes
    ----------
    network : Network
        With early stopping that of the best epoch on the held-out rows; else the last one, or the best one where
        training went wrong.
    history : History
        What happened in each epoch.
    status : str
        "converged": the training loss no longer fell. "early_stopped": that of the held-out rows no longer did.
        "epoch_limit", "time_limit": time was up. "diverged": loss or gradient were no longer finite, or the loss ended
        above its start. "interrupted": by the keyboard. "stopped_by_watch".
    message : str
        One line for a person; empty if all is well.
    best_epoch : int
        After which epoch the network is that was kept; 0 for the start.
    best_loss : float
        Mean loss there, of the held-out rows if there are any.
    steps : int
        Steps taken.
    """

    network: Network
    history: History
    status: Status
    message: str
    best_epoch: int
    best_loss: float
    steps: int


def train(
    learner: Learner,
    plan: Plan,
    order: np.random.Generator,
    valid: Task | None = None,
    watch: Watch | None = None,
    steps_before: int = 0,
) -> Training:
    """Train a network.

    Parameters
    ----------
    learner : Learner
        Takes the steps.
    plan : Plan
        How long and how fast.
    order : numpy.random.Generator
        Draws the order of the rows, and nothing else.
    valid : Task, optional
        Rows held out: the best network by their loss is kept.
    watch : callable, optional
        ``watch(event)`` is called with a StartEvent, with a StepEvent after each step and with an EpochEvent after each
        epoch; training stops when it returns True.
    steps_before : int
        Steps of earlier calls, from which events count on.

    Returns
    -------
    Training

    Examples
    --------
    >>> import lossmith as lm
    >>> from lossmith.network import Architecture, Network, NumpyLearner, Objective, Plan, SGD, Task
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> task = Task(lm.Huber(), X, X @ [1.0, -1.0])
    >>> made = Architecture((2, 8, 1), "tanh")
    >>> net = Network(made, made.initial(rng))
    >>> learner = NumpyLearner(net, Objective(task, SGD(momentum=0.9), batch=20), rng)
    >>> found = train(learner, Plan(rate=0.05, max_epochs=100), rng)
    >>> found.best_loss < 0.01
    True
    """
    return _Run(learner, plan, order, valid, watch, steps_before).finish()


@dataclass
class _Columns:
    """History in the making."""

    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def made(self) -> History:
        return History(*(tuple(c) for c in (self.train, self.valid, self.norm, self.rate, self.seconds)))


class _Run:
    def __init__(
        self,
        learner: Learner,
        plan: Plan,
        order: np.random.Generator,
        valid: Task | None,
        watch: Watch | None,
        steps_before: int,
    ) -> None:
        self.learner, self.plan, self.order, self.valid, self.watch = learner, plan, order, valid, watch
        self.task, self.batch = learner.objective.task, learner.objective.batch
        self.columns, self.status, self.message = _Columns(), "epoch_limit", ""
        self.step = self.before = steps_before
        self.began = time.perf_counter()
        self.rate = plan.rate
        self.start = learner.mean_loss(self.task.some(_SOME) if valid is None else valid)
        self.best, self.best_epoch, self.kept = self.start, 0, learner.network()
        self.mark, self.stale = self.start, 0
        if watch is not None:
            learner.watched()

    def finish(self) -> Training:
        try:
            with np.errstate(all="ignore"):  # a diverging network overflows; that is noticed
                epoch = 0
                while epoch < self.plan.max_epochs and self._begins(epoch) and self._epoch(epoch):
                    epoch += 1
        except KeyboardInterrupt:
            self._end("interrupted", f"interrupted in epoch {len(self.columns.train) + 1}")
        return self._result()

    def _begins(self, epoch: int) -> bool:
        """Tell who watches about the start; tell whether to go on."""
        if epoch or self.watch is None:
            return True
        return self._goes_on(StartEvent(self.task, self.learner.objective.optimizer, self.batch, self.plan.max_epochs))

    # --- one epoch --------------------------------------------------------------------------------------

    def _epoch(self, epoch: int) -> bool:
        """Run one epoch; tell whether to go on."""
        started, total, norms, count = time.perf_counter(), 0.0, 0.0, 0
        for rows in self._batches():
            done = epoch + count * self.batch / self.task.rows
            self.rate = self.plan.rate * self.plan.schedule.factor(done, self.plan.max_epochs)
            value, norm = self.learner.step(rows, self.rate)
            if not (math.isfinite(value) and math.isfinite(norm)):
                return self._broken(epoch, done, value / len(rows), norm)
            total, norms, count = total + value, norms + norm, count + 1
            self.step += 1
            if not self._told(done, value / len(rows), norm) or self._late():
                return False
        self._note(total / self.task.rows, norms / count, time.perf_counter() - started)
        return self._judge(epoch + 1)

    def _batches(self) -> Iterator[Array]:
        n = self.task.rows
        order = self.order.permutation(n) if self.plan.shuffle else np.arange(n)
        return (order[i : i + self.batch] for i in range(0, n, self.batch))

    def _told(self, done: float, loss: float, norm: float) -> bool:
        if self.watch is None:
            return True
        seconds = time.perf_counter() - self.began
        learner = self.learner
        event = StepEvent(self.step - 1, done, loss, self.rate, norm, seconds, learner.layers, learner.sample_losses)
        return self._goes_on(event)

    def _goes_on(self, event: Event) -> bool:
        if self.watch is not None and self.watch(event):
            self._end("stopped_by_watch", "")
            return False
        return True

    def _late(self) -> bool:
        if time.perf_counter() - self.began < self.plan.max_seconds:
            return False
        self._end("time_limit", "")
        return True

    def _broken(self, epoch: int, done: float, value: float, norm: float) -> bool:
        if self.watch is not None:
            seconds, learner = time.perf_counter() - self.began, self.learner
            told = learner.layers, learner.sample_losses
            self.watch(StepEvent(self.step, done, value, self.rate, norm, seconds, *told))
        what = "the loss" if not math.isfinite(value) else "the gradient"
        self._end(
            "diverged",
            f"{what} was no longer finite in epoch {epoch + 1}, step {self.step - self.before + 1}; lower the learning "
            "rate, scale the features, or clip the gradient",
        )
        return False

    # --- after an epoch ---------------------------------------------------------------------------------

    def _note(self, loss: float, norm: float, seconds: float) -> None:
        columns = self.columns
        columns.train.append(loss)
        columns.norm.append(norm)
        columns.rate.append(self.rate)
        columns.seconds.append(seconds)
        if self.valid is not None:
            columns.valid.append(self.learner.mean_loss(self.valid))

    def _judge(self, epoch: int) -> bool:
        """Keep the best network, and tell whether to go on."""
        columns = self.columns
        loss = columns.train[-1] if self.valid is None else columns.valid[-1]
        if loss < self.best:
            self.best, self.best_epoch, self.kept = loss, epoch, self.learner.network()
        better = loss < self.mark - self.plan.tolerance * abs(self.start)
        self.mark, self.stale = (loss, 0) if better else (self.mark, self.stale + 1)
        valid = math.nan if self.valid is None else loss
        seconds = time.perf_counter() - self.began
        event = EpochEvent(epoch, self.step, columns.train[-1], valid, self.rate, columns.norm[-1], seconds)
        if not self._goes_on(event):
            return False
        if self.plan.patience is not None and self.stale >= self.plan.patience:
            self._end("converged" if self.valid is None else "early_stopped", "")
            return False
        return True

    def _end(self, status: Status, message: str) -> None:
        self.status, self.message = status, message

    def _rose(self) -> bool:
        """Tell whether training made the loss worse; where dropout alone may have raised it, by a look without."""
        train, margin = self.columns.train, _WORSE * abs(self.start)
        if self.valid is not None or not train or train[-1] <= self.start + margin:
            return False
        return not self.learner.mean_loss(self.task.some(_SOME)) <= self.start + margin

    def _unfinished(self) -> bool:
        """Tell whether the last epochs still brought a good part of what all epochs did."""
        losses = self.columns.train if self.valid is None else self.columns.valid
        back = self.plan.patience
        if self.status != "epoch_limit" or back is None or len(losses) <= back:
            return False
        return losses[-1 - back] - losses[-1] > _MUCH * max(self.start - losses[-1], 0.0) > 0.0

    def _result(self) -> Training:
        train, epochs = self.columns.train, len(self.columns.train)
        if self.status in ("epoch_limit", "converged", "time_limit") and self._rose():
            line = f"the training loss rose from {self.start:.4g} to {train[-1]:.4g}; lower the learning rate"
            self._end("diverged", line)
        if self._unfinished():
            self.message = (
                f"the loss was still falling after {epochs} epochs; allow more epochs or a higher learning rate"
            )
        keeps_best = self.valid is not None or self.status in ("diverged", "interrupted")
        if keeps_best:
            self.learner.restore(self.kept)
            if self.status in ("diverged", "interrupted"):
                self.message += f" (the network of epoch {self.best_epoch} is kept)"
        else:
            self.best_epoch, self.best = epochs, train[-1] if train else self.start
        network = self.kept if keeps_best else self.learner.network()
        status: Any = self.status
        return Training(
            network, self.columns.made(), status, self.message, self.best_epoch, self.best, self.step - self.before
        )
