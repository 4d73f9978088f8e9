"""A batch of masks given to the kernels: the sums of some samples, then their gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.structured import Floats, Integers
from ..engine import pool
from ..engine.compiled import read_only
from . import segmentation_masks as masks
from . import segmentation_sweep as tiled
from .segmentation_overlap import Overlap

Array = Any
# Tiles that a thread must have to be worth starting.
_PER_THREAD = 32


@dataclass(frozen=True)
class Work(ABC):
    """A batch; arrays come as (samples, before, classes, behind).

    Attributes
    ----------
    y : ndarray
        The masks.
    f : ndarray
        Predictions.
    place : ndarray or None
        For the gradient; it may be the memory of f.
    smooth : float
        Pixels added to both sides of the ratio.
    """

    y: Array
    f: Array
    place: Array | None
    smooth: float

    def sums(self, samples: Integers) -> Overlap | None:
        """Return the overlap of some samples; None if a number is outside its domain."""
        per_sample = self._cut.per_sample
        found, faults = np.empty((len(samples), per_sample, self.f.shape[2], 3)), np.empty((len(samples), per_sample))
        self._share(samples, lambda start, stop: self._sum(samples, found, faults, start, stop))
        if faults.any():
            return None
        both, apart, size = np.moveaxis(found.sum(axis=1), -1, 0)
        return Overlap(apart, 2.0 * both + self.smooth, size + self.smooth)

    def gradient(self, samples: Integers, ratio: Floats, gain: Floats) -> None:
        """Fill the gradient of some samples, whose sums were taken last."""
        ratio = np.ascontiguousarray(ratio)
        self._share(samples, lambda start, stop: self._descend(samples, ratio, gain, start, stop))

    @abstractmethod
    def _sum(self, samples: Integers, found: Floats, faults: Floats, start: int, stop: int) -> None:
        """Take the sums of tiles start ... stop - 1."""

    @abstractmethod
    def _descend(self, samples: Integers, ratio: Floats, gain: Floats, start: int, stop: int) -> None:
        """Fill the gradient of tiles start ... stop - 1."""

    @property
    def _cut(self) -> tiled.Tiles:
        return tiled.tiles(self.f.shape)

    def _share(self, samples: Integers, work: Callable[[int, int], None]) -> None:
        pool.share(len(samples) * self._cut.per_sample, work, _PER_THREAD)

    def _graded(self, single: Any, double: Any) -> Any:
        return single if self.f.dtype == np.float32 else double


@dataclass(frozen=True)
class Tiled(Work):
    """Any masks; what a tile needs is computed for the sums and again for the gradient.

    Attributes
    ----------
    indices : bool
        Whether y holds class indices.
    link : int
        PROBABILITIES, SIGMOID or SOFTMAX.
    squared : bool
        Sizes as sums of squares.
    """

    indices: bool
    link: int
    squared: bool

    @property
    def _settings(self) -> tuple[Any, ...]:
        return read_only(self.f), read_only(self.y), self.indices, self.link, self.squared, self._cut

    def _sum(self, samples: Integers, found: Floats, faults: Floats, start: int, stop: int) -> None:
        run = self._graded(tiled.sum_up_single, tiled.sum_up_double)
        run(*self._settings, samples, found, faults, start, stop)

    def _descend(self, samples: Integers, ratio: Floats, gain: Floats, start: int, stop: int) -> None:
        run = self._graded(tiled.descend_single, tiled.descend_double)
        run(*self._settings, samples, ratio, gain, self.place, start, stop)


@dataclass(frozen=True)
class Masks(Work):
    """Logits without classes, with plain sizes: see :mod:`.segmentation_masks`."""

    def _sum(self, samples: Integers, found: Floats, faults: Floats, start: int, stop: int) -> None:
        run = self._graded(masks.sum_single, masks.sum_double)
        slopes = np.empty((0, *self.f.shape[1:]), self.f.dtype) if self.place is None else self.place
        run(read_only(self.f), read_only(self.y), self._cut, samples, found, faults, slopes, start, stop)

    def _descend(self, samples: Integers, ratio: Floats, gain: Floats, start: int, stop: int) -> None:
        masks.descend(read_only(self.y), self._cut, samples, ratio, gain, self.place, start, stop)
