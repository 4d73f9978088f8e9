"""Ways through the predictions of a loss, along which its derivatives can be followed."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..domain import Domain, Interval
from ..elementwise import ElementwiseLoss
from ..loss import Loss
from ..rowwise import RowWiseLoss
from ..structured import StructuredLoss
from .curves import Floats

# Fewer elements than the size from which kernels are compiled.
_BLOCK = 16_384
_MOST = 2_000


class Paths(ABC):
    """One way through the predictions for each sample: the prediction plus t times a direction."""

    has_curvature = True

    @property
    @abstractmethod
    def room(self) -> Floats:
        """How far t may go without leaving the domain, one number a path."""

    @property
    @abstractmethod
    def size(self) -> Floats:
        """The size of the predictions, one number a path: the first step, and what rounding refers to."""

    @abstractmethod
    def value(self, t: Floats) -> Floats:
        """Values at t of shape (paths, points)."""

    @abstractmethod
    def slope(self, t: Floats) -> Floats:
        """Directional derivatives at t."""

    @abstractmethod
    def curvature(self, t: Floats) -> Floats:
        """Second directional derivatives at t."""

    @abstractmethod
    def unrest(self, order: int) -> Floats:
        """How much the value (order 0) or slope (1) changes where every prediction is off by its own size."""

    @abstractmethod
    def place(self, number: int) -> str:
        """Which sample a path belongs to, in words."""


def paths_of(loss: Loss, y: Any, f: Any) -> Paths:
    """Choose how to follow a loss; of more than 2000 samples an even selection is used."""
    f = np.asarray(f, dtype=np.float64)
    y = np.asarray(y) if not isinstance(y, tuple) else y
    if isinstance(loss, ElementwiseLoss):
        keep = _selection(f.size)
        return _Elements(loss, np.asarray(y, float).reshape(-1)[keep], f.reshape(-1)[keep])
    if isinstance(loss, RowWiseLoss):
        rows = f.reshape(-1, f.shape[-1])
        targets = np.asarray(y).reshape(rows.shape if np.ndim(y) == f.ndim else -1)
        keep = _selection(len(rows))
        return _Rows(loss, targets[keep], rows[keep])
    return _Whole(loss, y, f)


def _selection(count: int) -> npt.NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.intp))


def _room(domain: Domain, f: Floats, step: Floats) -> Floats:
    """How far each entry may move in both directions."""
    if not isinstance(domain, Interval):
        return np.full(f.shape, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.minimum(f - domain.low, domain.high - f) / np.abs(step))


def _blocks(function: Callable[..., Floats], *arrays: Any) -> Floats:
    """Apply a function to parts too small for a kernel to be compiled."""
    count = len(arrays[0])
    parts = [slice(i, i + _BLOCK) for i in range(0, count, _BLOCK)]
    return np.concatenate([function(*(array[part] for array in arrays)) for part in parts])


@dataclass(frozen=True)
class _Elements(Paths):
    loss: ElementwiseLoss
    y: Floats
    f: Floats

    @property
    def room(self) -> Floats:
        return _room(self.loss.prediction_domain, self.f, np.ones_like(self.f))

    @property
    def size(self) -> Floats:
        return np.maximum(1.0, np.abs(self.f))

    def value(self, t: Floats) -> Floats:
        return self._at(lambda y, f: np.asarray(self.loss(y, f, reduction="none")), t)

    def slope(self, t: Floats) -> Floats:
        return self._at(self.loss.gradient, t)

    def curvature(self, t: Floats) -> Floats:
        return self._at(self.loss.hessian, t)

    def _at(self, function: Callable[..., Floats], t: Floats) -> Floats:
        y = np.broadcast_to(self.y[:, None], t.shape).ravel()
        return _blocks(function, y, (self.f[:, None] + t).ravel()).reshape(t.shape)

    def unrest(self, order: int) -> Floats:
        change = (self.slope, self.curvature)[order](np.zeros((self.f.size, 1)))[:, 0]
        return np.asarray(np.abs(change) * self.size)

    def place(self, number: int) -> str:
        return f"y={self.y[number]:.6g}, f={self.f[number]:.6g}"


@dataclass(frozen=True)
class _Rows(Paths):
    loss: RowWiseLoss
    y: Any
    f: Floats

    @functools.cached_property
    def direction(self) -> Floats:
        """Random directions; for probabilities their entries sum to 0, and small entries move little."""
        v = np.random.default_rng(0).normal(size=self.f.shape)
        if self.loss.inputs == "probabilities":
            v = self.f * (v - (self.f * v).sum(axis=1, keepdims=True) / self.f.sum(axis=1, keepdims=True))
        return np.asarray(v)

    @property
    def room(self) -> Floats:
        domains = self.loss.prediction_domains[self.loss.inputs]
        step, k = self.direction, self.f.shape[1]
        columns = [_room(domains[min(i, len(domains) - 1)], self.f[:, i], step[:, i]) for i in range(k)]
        return np.asarray(np.nan_to_num(np.min(columns, axis=0), nan=0.0, posinf=np.inf))

    @property
    def size(self) -> Floats:
        return np.asarray(np.maximum(1.0, np.abs(self.f).max(axis=1)))

    def value(self, t: Floats) -> Floats:
        return self._at(lambda y, f, v: np.asarray(self.loss(y, f, reduction="none")), t)

    def slope(self, t: Floats) -> Floats:
        return self._at(lambda y, f, v: (self.loss.gradient(y, f) * v).sum(axis=1), t)

    def curvature(self, t: Floats) -> Floats:
        return self._at(lambda y, f, v: (self.loss.hessian_vector_product(y, f, v) * v).sum(axis=1), t)

    def _at(self, function: Callable[..., Floats], t: Floats) -> Floats:
        points = t.shape[1]
        v = np.repeat(self.direction, points, axis=0)
        f = np.repeat(self.f, points, axis=0) + t.reshape(-1, 1) * v
        return _blocks(function, np.repeat(self.y, points, axis=0), f, v).reshape(t.shape)

    def unrest(self, order: int) -> Floats:
        if order:
            change = self.loss.hessian_vector_product(self.y, self.f, self.direction)
        else:
            change = self.loss.gradient(self.y, self.f)
        return np.asarray(np.linalg.norm(change, axis=1) * self.size)

    def place(self, number: int) -> str:
        with np.printoptions(precision=5, threshold=6, edgeitems=2):
            return f"y={self.y[number]}, f={self.f[number]}".replace("\n", "")


@dataclass(frozen=True)
class _Whole(Paths):
    """A loss whose samples may lean on each other: one number along a few directions of all predictions."""

    loss: Loss
    y: Any
    f: Floats

    has_curvature = False

    @functools.cached_property
    def directions(self) -> Floats:
        return np.random.default_rng(0).normal(size=(3, *self.f.shape))

    @property
    def room(self) -> Floats:
        found = []
        for number in range(len(self.directions)):
            reach = float(self.size[0])
            while reach > 1e-12 and not self._accepts(number, reach):
                reach *= 0.5
            found.append(reach)
        return np.array(found)

    def _accepts(self, number: int, reach: float) -> bool:
        try:
            for t in (reach, -reach):
                self._one(number, t)
        except ValueError:
            return False
        return True

    @property
    def size(self) -> Floats:
        return np.full(3, max(1.0, float(np.abs(self.f).max())), dtype=np.float64)

    def _one(self, number: int, t: float) -> float:
        return float(self.loss(self.y, self.f + t * self.directions[number], reduction=_differentiated(self.loss)))

    def value(self, t: Floats) -> Floats:
        return np.array([[self._one(i, x) for x in row] for i, row in enumerate(t)])

    def slope(self, t: Floats) -> Floats:
        return np.array(
            [
                [float((self.loss.gradient(self.y, self.f + x * v) * v).sum()) for x in row]
                for row, v in zip(t, self.directions, strict=True)
            ]
        )

    def curvature(self, t: Floats) -> Floats:
        raise TypeError("structured losses offer no Hessian")

    def unrest(self, order: int) -> Floats:
        return np.asarray(np.linalg.norm(self.loss.gradient(self.y, self.f)) * self.size)

    def place(self, number: int) -> str:
        return f"direction {number}"


def _differentiated(loss: Loss) -> str:
    """Which number the gradient belongs to: the mean for structured losses, the sum of all values else."""
    held = [getattr(loss, field.name) for field in dataclasses.fields(loss)]
    parts = [part for parts in held if isinstance(parts, tuple) for part in parts if isinstance(part, Loss)]
    structured = any(isinstance(part, StructuredLoss) for part in (loss, *parts))
    return "mean" if structured else "sum"
