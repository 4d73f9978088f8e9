"""The group lasso."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.parameters import Check, custom, non_negative
from .penalties import Penalty

Array = npt.NDArray[np.float64]


def _labels(value: Any) -> tuple[int, ...]:
    found = np.asarray(value)
    if found.ndim != 1 or not found.size or (found != found.astype(np.int64)).any() or found.min() < 0:
        raise ValueError
    return tuple(int(g) for g in found)


@dataclass(frozen=True)
class GroupLasso(Penalty):
    """Group lasso, alpha * sum over groups of sqrt(size) * norm: whole groups of coefficients are 0 together.

    Parameters
    ----------
    groups : sequence of int
        Group of each coefficient, 0, 1, ...
    alpha : float
        Strength, >= 0.

    References
    ----------
    Yuan and Lin (2006), Model selection and estimation in regression with grouped variables, J. R. Stat. Soc. B 68.

    Examples
    --------
    >>> from lossmith.optimize import GroupLasso
    >>> GroupLasso([0, 0, 1], alpha=0.5).prox([3.0, 4.0, 0.1], step=1.0).round(3).tolist()
    [2.576, 3.434, 0.0]
    """

    groups: tuple[int, ...] = custom((0,), Check("whole numbers >= 0, one for each coefficient", _labels, lambda v: ()))
    alpha: float = non_negative(1.0)

    @property
    def smooth(self) -> bool:
        """False: kinked where a group is 0."""
        return False

    def value(self, w: Any) -> float:
        return float(self.alpha * (self._roots * self._norms(self._checked(w))).sum())

    def gradient(self, w: Any) -> Array:
        w = self._checked(w)
        return np.asarray(self.alpha * self._direction(w) * self._roots[self._index])

    def prox(self, v: Any, step: float) -> Array:
        if not step >= 0:
            raise ValueError(f"step={step!r} is not accepted; give a number >= 0")
        v = self._checked(v)
        norms = self._norms(v)
        left = np.maximum(norms - step * self.alpha * self._roots, 0.0) / np.where(norms > 0.0, norms, 1.0)
        return np.asarray(v * left[self._index])

    def distance(self, w: Any, gradient: Any) -> Array:
        """Compute how far each group is from optimal; every coefficient has its group's number."""
        w, g = self._checked(w), np.asarray(gradient, np.float64)
        away = self._norms(g + self.gradient(w))
        asleep = np.maximum(self._norms(g) - self.alpha * self._roots, 0.0)
        return np.asarray(np.where(self._norms(w) == 0.0, asleep, away)[self._index])

    def alpha_max(self, gradient: Any) -> float:
        return float((self._norms(self._checked(gradient)) / self._roots).max(initial=0.0))

    def blocks(self) -> tuple[tuple[npt.NDArray[np.int64], float], ...]:
        """Return the places of each group's coefficients, and how strongly its norm is held."""
        index = self._index
        return tuple((np.flatnonzero(index == g), float(self.alpha * self._roots[g])) for g in np.unique(index))

    def _checked(self, w: Any) -> Array:
        found: Array = np.asarray(w, np.float64)
        if found.shape != (len(self.groups),):
            raise ValueError(f"groups names {len(self.groups)} coefficients; the model has shape {found.shape}")
        return found

    @property
    def _index(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.groups, np.int64)

    @property
    def _roots(self) -> Array:
        """Square root of each group's size; 1 for a number that no coefficient has."""
        return np.asarray(np.sqrt(np.maximum(np.bincount(self._index), 1)))

    def _norms(self, w: Array) -> Array:
        return np.asarray(np.sqrt(np.bincount(self._index, weights=w * w)))

    def _direction(self, w: Array) -> Array:
        norms = self._norms(w)
        return np.asarray(w / np.where(norms > 0.0, norms, 1.0)[self._index])
