"""The mean loss of some rows, and its gradient by a network's outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.loss import Loss
from ..losses.compose import WeightedSum, parts_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Task:
    """Rows to learn from or to be judged on.

    Attributes
    ----------
    loss : Loss
        Between y and a network's outputs: elementwise, row-wise, or of embeddings and masks.
    X : ndarray or CSR matrix, shape (n, d)
        Features.
    y : ndarray, shape (n,) or (n, k)
        Targets in the loss's coding.
    weight : ndarray, shape (n,), or None
        Numbers >= 0, not all 0.
    """

    loss: Loss
    X: Any
    y: Array
    weight: Array | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    def mean_loss(self, outputs: Array) -> float:
        """Compute the mean loss of outputs (n, k) for all rows."""
        tier = tier_of(self.loss)
        y = self.y.astype(outputs.dtype) if tier == "elementwise" else self.y
        with np.errstate(all="ignore"):
            return float(self.loss(y, outputs.reshape(y.shape) if tier == "elementwise" else outputs, self.weight))

    def some(self, most: int) -> Task:
        """Return at most so many rows, evenly spread."""
        if self.rows <= most:
            return self
        chosen = np.linspace(0, self.rows - 1, most).astype(np.intp)
        weight = None if self.weight is None else self.weight[chosen]
        if weight is not None and not weight.any():
            weight = None
        return Task(self.loss, self.X[chosen], self.y[chosen], weight)


def tier_of(loss: Loss) -> str:
    """Return the tier of a loss, of a weighted sum that of its parts.

    Raises
    ------
    ValueError
        For sums of losses of different tiers.
    """
    tiers = sorted({part.tier for part in parts_of(loss)})
    if len(tiers) > 1 or (isinstance(loss, WeightedSum) and tiers == ["structured"]):
        raise ValueError(f"{loss!r} has parts of {' and '.join(tiers)} losses; a network takes sums of one such tier")
    return tiers[0]


def shares(task: Task, outputs: int) -> Array:
    """Return what each row counts in the mean loss, on average 1.

    The mean loss of all rows is sum(share * loss) / n: weights, class weights and the number of outputs are in it.
    """
    n = task.rows
    weight = np.ones(n) if task.weight is None else np.asarray(task.weight, np.float64)
    if tier_of(task.loss) != "row-wise":
        return np.asarray(weight * (n / weight.sum()))
    measure = task.loss._measure(task.y, np.zeros((n, outputs)))
    return np.asarray(weight * (n / (weight if measure is None else weight * measure).sum()))


class Criterion(ABC):
    """The loss of batches of a task.

    One row counts the same in whatever batch it comes: the objective of a batch is sum(share * loss) / B with B the
    size of a full batch, so that the last, smaller one moves the network less. All batches of an epoch together have
    the gradient of the mean loss.

    Attributes
    ----------
    values : ndarray
        Losses of the last batch's rows.
    """

    def __init__(self, task: Task, dtype: Any, batch: int, unit: float) -> None:
        self.task, self._batch, self._unit = task, batch, unit
        self.values: Array = np.empty(0)
        floating = task.y.dtype.kind == "f" or tier_of(task.loss) == "elementwise"
        self._y = np.ascontiguousarray(task.y, dtype) if floating else task.y

    @abstractmethod
    def pull(self, rows: Array, outputs: Array) -> tuple[float, Array]:
        """Return sum(share * loss) of some rows, and the objective's gradient (m, k) by their outputs."""


class Rows(Criterion):
    """Of elementwise and row-wise losses."""

    def __init__(self, task: Task, outputs: int, dtype: Any, batch: int, unit: float) -> None:
        super().__init__(task, dtype, batch, unit)
        self._elementwise = tier_of(task.loss) == "elementwise"
        if self._elementwise and self._y.size != task.rows * outputs:
            raise ValueError(
                f"y has shape {task.y.shape} and the network {outputs} outputs; {task.loss!r} takes one target for each"
            )
        share = shares(task, outputs)
        self._share = None if (share == 1.0).all() else share.astype(dtype)
        self._factor = 1.0 / (batch * unit * (outputs if self._elementwise else 1))
        self._columns = outputs if self._elementwise else 1

    def pull(self, rows: Array, outputs: Array) -> tuple[float, Array]:
        """Return sum(share * loss) and the objective's gradient."""
        y = self._y[rows]
        f = outputs.reshape(y.shape) if self._elementwise else outputs
        values, slopes = self.task.loss.value_and_gradient(y, f)
        self.values, slopes = values, slopes.reshape(outputs.shape)
        if self._share is None:
            slopes *= self._factor
            return float(values.sum(dtype=np.float64)) / self._columns, slopes
        share = self._share[rows]
        slopes *= (share * self._factor)[:, None]
        each = values.reshape(len(rows), -1).sum(axis=1, dtype=np.float64)
        return float(share @ each) / self._columns, slopes


class Batches(Criterion):
    """Of losses of whole batches: embeddings by their labels, masks. A batch's own mean counts as its rows do."""

    def pull(self, rows: Array, outputs: Array) -> tuple[float, Array]:
        """Return the batch's mean times its rows, and the objective's gradient."""
        weight = None if self.task.weight is None else self.task.weight[rows]
        loss: Any = self.task.loss
        value, slopes = loss.value_and_gradient(self._y[rows], outputs, None, weight, "mean")
        self.values = np.full(len(rows), float(value))
        return float(value) * len(rows), slopes * (len(rows) / (self._batch * self._unit))


def criterion(task: Task, outputs: int, dtype: Any, batch: int, unit: float = 1.0) -> Criterion:
    """Return the criterion for a task's loss; ``unit`` is what the objective is measured in."""
    if tier_of(task.loss) == "structured":
        return Batches(task, dtype, batch, unit)
    return Rows(task, outputs, dtype, batch, unit)
