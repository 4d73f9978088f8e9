"""A loss with kinks, rounded off: each kink is replaced by a parabola over a short interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.elementwise import ElementwiseLoss

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kink:
    """Where each sample's loss bends, as a function of its prediction.

    Attributes
    ----------
    place : ndarray, shape (n,)
        The prediction at which the slope jumps.
    left : ndarray, shape (n,)
        Slope just below.
    jump : ndarray, shape (n,)
        Slope just above minus slope just below.
    """

    place: Array
    left: Array
    jump: Array


def kinks(loss: ElementwiseLoss, y: Array) -> tuple[Kink, ...]:
    """Find the kinks of a loss for given targets from its claim where they are.

    Parameters
    ----------
    loss : ElementwiseLoss
        Its trait ``kinks`` lists values of f - y (regression) or of y * f (labels -1/+1).
    y : ndarray, shape (n,)
        Targets.

    Returns
    -------
    tuple of Kink
        One for each listed value; empty for a smooth loss.
    """
    traits = loss.traits
    found = []
    for value in traits.kinks:  # type: ignore[union-attr]
        place = y + value if traits.task == "regression" else value * y
        step = 1e-6 * (1.0 + np.abs(place))
        left, right = loss.gradient(y, place - step), loss.gradient(y, place + step)
        found.append(Kink(place, left, right - left))
    return tuple(found)


def is_piecewise_linear(loss: Any) -> bool:
    """Tell whether a loss is made of straight lines: kinks, and no curvature between them."""
    traits = loss.traits
    if not traits.kinks or not traits.constant_hessian:
        return False
    return bool(loss.hessian(np.ones(1), np.full(1, 0.5))[0] == 0.0)


@dataclass(frozen=True)
class Smoothed:
    """The average of a loss over predictions within ``width``, as far as its kinks are concerned.

    With t the distance to a kink, jump * (width - |t|)^2 / (4 width) is added where |t| < width. So it is
    between the loss and the loss + jump * width / 4, and convex if the loss is.
    """

    loss: Any
    kinks: tuple[Kink, ...]
    width: float

    @cached_property
    def traits(self) -> Any:
        """The loss's claims, less the kinks."""
        return replace(self.loss.traits, kinks=(), constant_hessian=False)

    @property
    def error(self) -> float:
        """The most by which a sample's value exceeds that of the loss."""
        return sum((float(kink.jump.max()) for kink in self.kinks), 0.0) * self.width / 4.0

    def rounding(self, f: Array) -> float:
        """Return what rounding of predictions of this size can do to a slope."""
        steepest = max((float(kink.jump.max()) for kink in self.kinks), default=0.0) / (2.0 * self.width)
        return 4.0 * float(np.finfo(np.float64).eps) * float(np.abs(f).max()) * steepest

    def value_and_gradient(self, y: Array, f: Array) -> tuple[Array, Array]:
        """Per-sample values and slopes."""
        value, slope = self.loss.value_and_gradient(y, f)
        for kink in self.kinks:
            t = f - kink.place
            near = np.flatnonzero(np.abs(t) < self.width)
            t, jump = t[near], kink.jump[near]
            inside = self.width - np.abs(t)
            value[near] += jump * inside * inside / (4.0 * self.width)
            # On the kink itself the loss gives one subgradient; the parabola's slope there is the middle.
            middle = np.where(t == 0.0, kink.left[near] + 0.5 * jump, slope[near])
            slope[near] = middle - jump * np.sign(t) * inside / (2.0 * self.width)
        return value, slope

    def hessian(self, y: Array, f: Array) -> Array:
        """Per-sample curvatures."""
        curvature: Array = self.loss.hessian(y, f)
        for kink in self.kinks:
            inside = np.abs(f - kink.place) < self.width
            curvature = curvature + np.where(inside, kink.jump / (2.0 * self.width), 0.0)
        return curvature

    def brake(self, f: Array) -> Array:
        """Per-sample curvatures > 0: that of the parabola above the kink's corner that touches at f."""
        return np.asarray(
            sum(kink.jump / (2.0 * np.maximum(np.abs(f - kink.place), self.width)) for kink in self.kinks)
        )


@dataclass(frozen=True)
class SmoothedRows:
    """The same for a loss on rows of scores, whose kinks are where f_y - f_j has a certain value for some class j.

    Attributes
    ----------
    loss : RowWiseLoss
        With one kink.
    place : float
        That value.
    jump : ndarray, shape (k,)
        By how much the slope by f_y - f_j jumps there, for each label y.
    width : float
        How far the parabola reaches.
    """

    loss: Any
    place: float
    jump: Array
    width: float

    @classmethod
    def of(cls, loss: Any, classes: int, width: float) -> SmoothedRows:
        """Measure the jumps, next to rows in which all other classes are far behind."""
        (place,) = loss.traits.kinks
        labels = np.arange(classes)
        rival = (labels + 1) % classes
        f = np.full((classes, classes), -1e6 * (1.0 + abs(place)))
        f[labels, labels] = place
        slopes = []
        for side in (-1e-3, 1e-3):
            f[labels, rival] = side
            slopes.append(loss.gradient(labels, f)[labels, rival])
        return cls(loss, float(place), slopes[1] - slopes[0], width)

    @cached_property
    def traits(self) -> Any:
        """The loss's claims, less the kinks."""
        return replace(self.loss.traits, kinks=(), constant_hessian=False)

    @property
    def error(self) -> float:
        """The most by which a sample's value exceeds that of the loss."""
        return float(self.jump.max()) * (self.jump.size - 1) * self.width / 4.0

    def rounding(self, f: Array) -> float:
        """Return what rounding of predictions of this size can do to a slope."""
        steepest = float(self.jump.max()) / (2.0 * self.width)
        return 4.0 * float(np.finfo(np.float64).eps) * float(np.abs(f).max()) * steepest

    def distances(self, y: Array, f: Array) -> Array:
        """Return f_y - f_j less the kink's place, infinite for j = y."""
        own = (np.arange(f.shape[0]), np.asarray(y).astype(np.intp))
        t = f[own][:, None] - f - self.place
        t[own] = np.inf
        return np.asarray(t)

    def value_and_gradient(self, y: Array, f: Array) -> tuple[Array, Array]:
        """Per-sample values and slopes."""
        value, slope = self.loss.value_and_gradient(y, f)
        labels = np.asarray(y).astype(np.intp)
        t = self.distances(y, f)
        rows, columns = np.nonzero(np.abs(t) < self.width)
        t, jump = t[rows, columns], self.jump[labels[rows]]
        inside = self.width - np.abs(t)
        np.add.at(value, rows, jump * inside * inside / (4.0 * self.width))
        # On the kink itself the loss says 0, the slope nearest to it; the parabola's slope there is the middle.
        by_distance = jump * np.where(t == 0.0, -0.5, -np.sign(t) * inside / (2.0 * self.width))
        np.add.at(slope, (rows, columns), -by_distance)
        np.add.at(slope, (rows, labels[rows]), by_distance)
        return value, slope
