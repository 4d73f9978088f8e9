"""Compare a loss's gradient and Hessian with differences of its value, on given data."""

from __future__ import annotations

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
from .curves import Floats
from .verdict import Verdict, unchecked

_BLOCK = 16_384
_MOST = 2_000
_EPS = float(np.finfo(np.float64).eps)
# Steps shrink from about the size of the prediction to where rounding leaves nothing.
_STEPS = 0.25 * 4.0 ** -np.arange(18.0)
_STENCIL = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
_SIXTH = np.array([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0]) / 60.0
_FOURTH = np.array([0.0, 1.0, -8.0, 8.0, -1.0, 0.0]) / 12.0
# Vanishes on parabolas; scaled to three times the standard deviation of noise.
_ROUGHNESS = np.array([3.0, -8.0, 5.0, 5.0, -8.0, 3.0]) / 5.0
# Differences that are less sure than this say nothing; a trusted one may be off by ten error estimates, and
# derivatives that are differences themselves (SciPy distributions) by what those are good for.
_SURE = 1e-4
_TRUST = 10.0
_AGREES = {"gradient": 1e-6, "hessian": 1e-4}


def check_derivatives(loss: Loss, y: Any, f: Any) -> tuple[Verdict, ...]:
    """Compare gradient and Hessian with sixth-order differences, on given targets and predictions.

    The gradient is compared with differences of the value, the Hessian with differences of that gradient.
    Each sample uses the step at which rounding and curvature together disturb least, and is counted as
    undecided when that is still too much. On a kink the gradient must lie between its neighbours. Rows and
    structured losses are followed along random directions.

    Parameters
    ----------
    loss : Loss
        The loss.
    y, f : array_like
        Targets and predictions as in the call; of more than 2000 samples an even selection is used.

    Returns
    -------
    tuple of Verdict
        One named "gradient" and one named "hessian"; the evidence names the worst discrepancy and its place.

    Examples
    --------
    >>> import lossmith as lm
    >>> from lossmith.core.verify import check_derivatives
    >>> [v.held for v in check_derivatives(lm.Huber(), [0.0, 1.0, 2.0], [0.3, 5.0, 2.0])]
    [True, True]
    """
    paths = _paths(loss, y, f)
    gradient = _compare(paths, "gradient", paths.value, paths.slope)
    if not paths.has_curvature:
        why = f"a {loss.tier} loss offers no Hessian"
        return gradient, unchecked("hessian", loss.tier, why)
    return gradient, _compare(paths, "hessian", paths.slope, paths.curvature)


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
    def place(self, number: int) -> str:
        """Which sample a path belongs to, in words."""


def _paths(loss: Loss, y: Any, f: Any) -> Paths:
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

    def place(self, number: int) -> str:
        return f"y={self.y[number]:.6g}, f={self.f[number]:.6g}"


@dataclass(frozen=True)
class _Rows(Paths):
    loss: RowWiseLoss
    y: Any
    f: Floats

    @property
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

    def place(self, number: int) -> str:
        with np.printoptions(precision=5, threshold=6, edgeitems=2):
            return f"y={self.y[number]}, f={self.f[number]}".replace("\n", "")


@dataclass(frozen=True)
class _Whole(Paths):
    """A loss whose samples lean on each other: the mean along a few directions of all predictions."""

    loss: Loss
    y: Any
    f: Floats

    has_curvature = False

    @property
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
        return float(self.loss(self.y, self.f + t * self.directions[number]))

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
        raise NotImplementedError("structured losses offer no Hessian")

    def place(self, number: int) -> str:
        return f"direction {number}"


# --- the comparison -------------------------------------------------------------------------------------


def _compare(paths: Paths, name: str, lower: Callable[[Floats], Floats], given: Callable[[Floats], Floats]) -> Verdict:
    with np.errstate(all="ignore"):
        stated = given(np.zeros((len(paths.size), 1)))[:, 0]
        estimate, error, usual = _differences(paths, lower, np.abs(stated))
        gap = np.abs(stated - estimate)
        size = np.fmax(np.abs(stated), np.abs(estimate))
        undecided = ~(error <= _SURE * np.fmax(size, usual)) | np.isinf(stated) | ~np.isfinite(error)
        wrong = (gap > _TRUST * error + _AGREES[name] * size) & ~undecided
        wrong |= np.isnan(stated) & np.isfinite(estimate)
        kinked = _on_kink(paths, given, lower, stated)
        relative = np.where(gap == 0.0, 0.0, gap / np.fmax(size, usual))
    wrong &= ~kinked
    return _verdict(paths, name, relative, wrong, kinked, undecided & ~kinked & ~wrong)


def _differences(paths: Paths, lower: Callable[[Floats], Floats], stated: Floats) -> tuple[Floats, Floats, Floats]:
    """Differences at the best step, their error, and the size a derivative usually has there."""
    reach = np.minimum(paths.size, np.nextafter(paths.room, 0.0))
    step = reach[:, None] * _STEPS
    t = (step[:, :, None] * _STENCIL).reshape(len(step), -1)
    values = lower(t).reshape(*step.shape, _STENCIL.size)
    sixth, fourth = values @ _SIXTH / step, values @ _FOURTH / step
    # Rounding of the value itself, and of the place at which it is taken.
    largest = np.abs(values).max(axis=2)
    noise = 4.0 * _EPS * (largest + (stated * paths.size)[:, None])
    # The finest steps show what else is uncertain: to a smooth function they are all but a straight line.
    rough = np.abs(values[:, -3:] @ _ROUGHNESS).max(axis=1, keepdims=True)
    rounding = (noise + np.nan_to_num(rough, posinf=0.0)) / step
    error = np.abs(sixth - fourth) + rounding
    error = np.where(np.isnan(error) | _contradicted(sixth, error), np.inf, error)
    best = np.argmin(error, axis=1)[:, None]
    found = (np.take_along_axis(array, best, 1)[:, 0] for array in (sixth, error, largest))
    estimate, uncertainty, usual = found
    return estimate, uncertainty, usual / paths.size


def _contradicted(estimate: Floats, error: Floats) -> npt.NDArray[np.bool_]:
    """Coarse steps that jump over something small: a finer step disagrees beyond both errors."""
    bad = np.zeros(estimate.shape, bool)
    for finer in range(1, estimate.shape[1]):
        gap = np.abs(estimate[:, :finer] - estimate[:, finer : finer + 1])
        bad[:, :finer] |= gap > 3.0 * (error[:, :finer] + error[:, finer : finer + 1])
    return bad


def _on_kink(
    paths: Paths, given: Callable[[Floats], Floats], lower: Callable[[Floats], Floats], stated: Floats
) -> npt.NDArray[np.bool_]:
    """Samples where a derivative jumps and the stated one lies between its neighbours, or the lower one jumps."""
    reach = np.minimum(1e-9 * paths.size, 0.5 * paths.room)[:, None]
    near = reach * np.array([-1.0, -1.0 / 16, 1.0 / 16, 1.0])
    sides = given(near)
    low, high = sides.min(axis=1), sides.max(axis=1)
    slack = 1e-9 * (np.abs(low) + np.abs(high))
    between = (stated >= low - slack) & (stated <= high + slack)
    return np.asarray((_jumps(sides) & between) | _jumps(lower(near)))


def _jumps(sides: Floats) -> npt.NDArray[np.bool_]:
    """A smooth change shrinks with the distance; a jump stays."""
    far, near = np.abs(sides[:, 3] - sides[:, 0]), np.abs(sides[:, 2] - sides[:, 1])
    return np.asarray((near > 0.5 * far) & (near > 1e-6 * np.abs(sides).max(axis=1)))


def _verdict(paths: Paths, name: str, relative: Floats, wrong: Any, kinked: Any, undecided: Any) -> Verdict:
    decided = ~kinked & ~undecided
    shown = wrong if wrong.any() else decided
    if not shown.any():
        return unchecked(name, "derivative", f"all {relative.size} samples lie on kinks or beyond differences")
    worst = int(np.argmax(np.where(shown, np.nan_to_num(relative, nan=np.inf), -1.0)))
    text = f"worst relative discrepancy {relative[worst]:.2g} at {paths.place(worst)}"
    text += f"; {int(decided.sum())} samples decided"
    for count, what in ((kinked.sum(), "on a kink"), (undecided.sum(), "undecided"), (wrong.sum(), "wrong")):
        text += f", {int(count)} {what}" if count else ""
    return Verdict(name, "derivative", not wrong.any(), text)
