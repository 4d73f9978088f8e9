"""NumPy's own numbers are compared with 150 digits, or with its second way of computing.

Values in 150 digits are those of the loss's text on arrays of mpmath's numbers, so that a rounding shows; the
gradient is the difference of such *values*, which knows nothing of the derivative that was written, and the
Hessian the difference of gradients.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.elementwise import ElementwiseLoss
from ...core.structured import StructuredLoss
from ...engine import jit
from .instances import Instance
from .libraries import GRADIENT, HESSIAN, VALUE

Array = Any
Host = npt.NDArray[Any]

_DIGITS = 150
_STEP = "1e-40"  # differences are right to 80 digits and lose 40 of the 150
_NO_SECOND_WAY = "NumPy in float64 is what the others are compared with, and has no second way here"
_KINK, _NOTHING, _INFINITE = 1e-9, 1e-30, 1e30


class NoReferenceError(Exception):
    """Nothing independent can be computed for a loss; the message says why."""


def reference(instance: Instance, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
    """Compute value, gradient and Hessian times a vector, independently of NumPy's usual way.

    Parameters
    ----------
    instance : Instance
        The loss and its inputs.
    vector : ndarray of f's shape
        What the Hessian is multiplied by.
    orders : tuple of str
        Some of value, gradient, hessian.

    Returns
    -------
    dict
        float64 arrays; derivatives are NaN on kinks, where the loss has none.

    Raises
    ------
    NoReferenceError
        When there is no second way.
    """
    if isinstance(instance.loss, StructuredLoss):
        return _by_kernel(instance.loss, instance)
    if importlib.util.find_spec("mparray") is None:
        raise NoReferenceError("150 digits need mparray; pip install mparray")
    import mparray as xp

    precision: Any = xp.mp.workdps
    with precision(_DIGITS):
        try:
            return _exact(_Text(instance, xp), instance, vector, orders)
        except TypeError:  # a density of SciPy, say, has no text
            raise NoReferenceError(_NO_SECOND_WAY) from None


def _by_kernel(loss: StructuredLoss, instance: Instance) -> dict[str, Host]:
    """Compute a structured loss by its kernel, which small inputs are not given to otherwise."""
    f = instance.f
    parts = loss._parts(instance.y)
    if not loss._cells(parts, f):
        raise NoReferenceError(_NO_SECOND_WAY)
    if not jit.available():
        raise NoReferenceError("its second way needs numba; pip install numba")
    with np.errstate(all="ignore"):
        value, slope = loss._by_kernel(parts, f, None, instance.reduction, np.empty_like(f))
    return {VALUE: value, GRADIENT: slope}


# --- 150 digits ---------------------------------------------------------------------------------------


def _exact(text: _Text, instance: Instance, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
    whole = np.ones_like(instance.f)
    if instance.elementwise:
        slope = text.change(text.value, whole)
    else:
        columns = np.eye(instance.f.shape[-1]) - (1.0 / instance.f.shape[-1] if instance.on_simplex else 0.0)
        slope = np.stack([text.change(text.value, np.broadcast_to(way, whole.shape)) for way in columns], -1)
    found = {VALUE: _floats(text.value(text.f)), GRADIENT: slope}
    if HESSIAN in orders:
        found[HESSIAN] = text.change(text.slope, vector)
    return found


def _floats(x: Array) -> Host:
    return np.asarray(x._data, dtype=object).astype(np.float64)


def _with_exact_parameters(loss: Any, xp: Any) -> Any:
    """Return an elementwise loss whose parameters are exact numbers: c * c of a float would be rounded."""
    if not isinstance(loss, ElementwiseLoss):
        return loss
    twin = copy.copy(loss)
    numbers = tuple(xp.asarray(p) if type(p) is float else p for p in loss.parameters)
    object.__setattr__(twin, "_parameters", numbers)
    return twin


class _Text:
    """A loss at exact numbers."""

    def __init__(self, instance: Instance, xp: Any) -> None:
        self.xp, self.loss = xp, _with_exact_parameters(instance.loss, xp)
        self.y, self.f = xp.asarray(instance.y), xp.asarray(instance.f)

    def value(self, f: Array) -> Array:
        """Values of the samples."""
        return self.loss(self.y, f, reduction="none")

    def slope(self, f: Array) -> Array:
        """Gradients of the samples, as they were written."""
        return self.loss.gradient(self.y, f)

    def change(self, function: Callable[[Array], Array], way: Host) -> Host:
        """Differentiate along a way by differences; NaN where the two sides differ."""
        h = self.xp.mp.mpf(_STEP)
        step = self.xp.asarray(way) * h
        below, here, above = (function(x) for x in (self.f - step, self.f, self.f + step))
        left, right = _floats((here - below) / h), _floats((above - here) / h)
        apart = np.abs(left - right) > _KINK * np.maximum(np.abs(left), np.abs(right)) + _NOTHING
        found = _floats((above - below) / (2.0 * h))
        found[np.abs(found) < 0.75 * np.maximum(np.abs(left), np.abs(right))] = 0.0  # a minimum, but for the step
        return np.where(apart | (np.abs(found) > _INFINITE), np.nan, found)
