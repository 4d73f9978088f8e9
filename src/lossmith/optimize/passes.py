"""The objective over shards: each method is one pass over the rows, and keeps nothing of them but sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .objective import Objective, Tally
from .penalties import Elastic, Penalty
from .shards.blocks import Block, Shards

Array = npt.NDArray[np.float64]
Curvature = Callable[[Any, Array, Array], Array]


@dataclass(frozen=True)
class Model:
    """What a block must be told to compute its part of the mean loss.

    Attributes
    ----------
    loss : Loss or smoothed loss
        On raw scores.
    intercept : bool
        Whether there is one.
    outputs : int or None
        Columns of raw scores for a row-wise loss.
    total : float
        Sum of the weights of all rows.
    """

    loss: Any
    intercept: bool
    outputs: int | None
    total: float

    def part(self, block: Block) -> Objective:
        """Return the block's part of the mean loss."""
        return Objective(self.loss, block.X, block.y, block.weights / self.total, None, self.intercept, self.outputs)


class Point(NamedTuple):
    """The objective at some parameters: value, gradient, and matrices of second derivatives (none if not asked for).

    ``matrix`` is the Hessian, ``above`` that of a majoriser; both of the chosen coefficients and the intercepts only.
    """

    theta: Array
    value: float
    gradient: Array
    matrix: Array | None = None
    above: Array | None = None


@dataclass(frozen=True)
class Derivatives:
    """Work on a block: value, gradient and the Hessian, or the matrices of chosen columns.

    Attributes
    ----------
    model : Model
        The loss.
    theta : ndarray
        Parameters.
    columns : ndarray of int, or None
        Coefficients of which the matrices are wanted; None for all.
    curvatures : tuple of callable
        ``curvature(y, raw, slope)`` of each matrix.
    """

    model: Model
    theta: Array
    columns: Any = None
    curvatures: tuple[Curvature, ...] = ()

    def __call__(self, block: Block) -> tuple[Any, ...]:
        """Return the block's sums."""
        part = self.model.part(block)
        raw = part.raw(self.theta)
        value, gradient = part.value_and_gradient_at(self.theta, raw)
        if not self.curvatures:
            return value, gradient
        slopes: Any = None if part.outputs else part.loss.value_and_gradient(part.y, raw)[1]
        chosen = part if self.columns is None else part.columns(self.columns)
        matrices = (_matrix(chosen, curvature(part.y, raw, slopes)) for curvature in self.curvatures)
        return value, gradient, *matrices


def _matrix(part: Objective, curvature: Array) -> Array:
    if part.outputs is None:
        return _signed(part, part.share * curvature)
    k, d = part.outputs, part.X.shape[1]
    single = replace(part, outputs=None)
    size = d + int(part.intercept)
    full = np.empty((size, k, size, k))
    for a in range(k):
        for b in range(a + 1):
            full[:, a, :, b] = full[:, b, :, a] = _signed(single, part.share * curvature[:, a, b])
    # Coefficients row after row, then the intercepts: the very order of the parameters.
    return full.reshape(size * k, size * k)


def _signed(part: Objective, weight: Array) -> Array:
    """X' diag(weight) X for weights of any sign."""
    if not (weight < 0.0).any():
        return part.gram(weight)
    return part.gram(np.maximum(weight, 0.0)) - part.gram(np.maximum(-weight, 0.0))


@dataclass(frozen=True)
class Ladder:
    """Work on a block: the mean loss at several steps along a direction."""

    model: Model
    theta: Array
    direction: Array
    steps: tuple[float, ...]

    def __call__(self, block: Block) -> tuple[Array]:
        """Return the block's sums, one for each step."""
        part = self.model.part(block)
        raw, change = part.raw(self.theta), part.raw(self.direction)
        with np.errstate(over="ignore", invalid="ignore"):
            values = [part.share @ part.loss.value_and_gradient(part.y, raw + t * change)[0] for t in self.steps]
        return (np.array(values),)


@dataclass
class Passes:
    """The penalised mean loss over shards.

    Attributes
    ----------
    shards : Shards
        The rows.
    model : Model
        The loss.
    penalty : Penalty or None
        On the coefficients.
    count : int
        Passes over all rows so far.
    tally : Tally
        Counts what is read of rows that were gathered in memory.
    rows : int
        How many there are, where those in memory count as well; else 0.
    """

    shards: Shards
    model: Model
    penalty: Penalty | None
    count: int = 0
    tally: Tally = field(default_factory=Tally)
    rows: int = 0

    @property
    def passes(self) -> float:
        """How often the rows were read."""
        inside = self.tally.read / (self.rows * max(self.shards.features, 1)) if self.rows else 0.0
        return self.count + inside

    @property
    def coefficients(self) -> int:
        """How many parameters bear the penalty."""
        return self.shards.features * (self.model.outputs or 1)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.coefficients + (self.model.outputs or 1) * int(self.model.intercept)

    def run(self, work: Callable[[Block], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Add up some work over all blocks, in one pass."""
        self.count += 1
        return self.shards.total(work)

    def at(self, theta: Array, curvatures: tuple[Curvature, ...] = (), columns: Any = None) -> Point:
        """Return the objective with what was asked for; the penalty's own curvature is left out of the matrices.

        Where the objective overflows its value is infinite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient, *matrices = self.run(Derivatives(self.model, theta, columns, curvatures))
        w = theta[: self.coefficients]
        if self.penalty is not None:
            value += self.penalty.value(w)
        if not np.isfinite(value):
            value = np.inf
        return Point(theta, float(value), np.asarray(gradient), *matrices)

    def along(self, theta: Array, direction: Array, steps: tuple[float, ...]) -> Array:
        """Return the objective at several steps along a direction, in one pass; infinite where it overflows."""
        (values,) = self.run(Ladder(self.model, theta, direction, steps))
        if self.penalty is not None:
            d = self.coefficients
            values = values + [self.penalty.value(theta[:d] + t * direction[:d]) for t in steps]
        return np.where(np.isfinite(values), values, np.inf)

    def violation(self, point: Point) -> Array:
        """Return how far each parameter is from optimal."""
        d, wrong = self.coefficients, np.abs(point.gradient)
        if self.penalty is not None:
            wrong[:d] = self.penalty.distance(point.theta[:d], point.gradient[:d])
        return np.asarray(wrong)

    def gradient(self, point: Point) -> Array:
        """Return the gradient, a smooth penalty's included."""
        gradient, d = point.gradient.copy(), self.coefficients
        if self.penalty is not None:
            gradient[:d] += self.penalty.gradient(point.theta[:d])
        return np.asarray(gradient)

    @property
    def ridge(self) -> float:
        """The smooth, constant part of the penalty's curvature."""
        return 2.0 * self.penalty.parts[1] if isinstance(self.penalty, Elastic) else 0.0
