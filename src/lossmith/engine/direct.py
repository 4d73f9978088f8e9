"""What the words of ``ops`` mean where all arrays are NumPy's: its own functions, without asking whose array it is.

On a hundred numbers the asking takes as long as the arithmetic. The text of a formula stays the only one: here, too,
it is copied with other functions behind its words.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from . import cache, words
from .sums import squares

Function = Callable[..., Any]
# Multiplying by it cuts a float64 in two halves.
_HALVE = 2.0**27 + 1.0


def _times(weight: Any, x: Any) -> Any:
    """Do what ``ops.times`` does; 0 times a finite number needs no care."""
    if type(x) is np.ndarray and x.ndim == 1 and math.isfinite(squares(x)):  # a third of the time of ``where``
        return weight * x
    return weight * np.where(weight == 0.0, 0.0, x)


def _finite(*arrays: Any) -> bool:
    """Tell quickly whether all numbers are finite; may say no where squares overflow, never yes wrongly."""
    return all(a.ndim == 1 and math.isfinite(a.dot(a)) for a in arrays)


def _rounding(f: Any, y: Any) -> Any:
    """Do what ``ops.rounding`` does; beside finite differences nothing need be hidden."""
    if type(f) is not np.ndarray or type(y) is not np.ndarray:
        return _slow_rounding(f, y)
    r = f - y
    back = r - f
    lost = f - (r - back)
    back += y
    lost -= back
    return lost if _finite(r) else np.where(np.absolute(r) < math.inf, lost, 0.0)


def _product_rounding(x: Any, factor: Any) -> Any:
    """Do what ``ops.product_rounding`` does in float64, with less work for squares and none for powers of 2."""
    if type(factor) is float and abs(math.frexp(factor)[0]) == 0.5 and _finite(x):
        return 0.0
    product = x * factor
    high, low = _halves(x)
    other, rest = (high, low) if factor is x else _halves(factor)
    return ((high * other - product) + high * rest + low * other) + low * rest


def _scaled_exp(x: Any, factor: Any) -> Any:
    """Do what ``ops.scaled_exp`` does; a power of 2 rounds nothing."""
    if type(factor) is float and abs(math.frexp(factor)[0]) == 0.5:
        return np.exp(factor * x)
    return _slow_scaled_exp(x, factor)


def _halves(x: Any) -> tuple[Any, Any]:
    split = _HALVE * x
    high = split - (split - x)
    return high, x - high


def _lost_part(lost: Any, whole: Any) -> Any:
    """Do what ``ops.lost_part`` does; where all quotients are finite none need be hidden."""
    if type(whole) is np.ndarray and type(lost) is np.ndarray and _finite(whole):
        share = lost / whole
        if _finite(share):
            return share
    return _slow_lost_part(lost, whole)


# NumPy's functions of the same results; a word that is missing here keeps its text.
_MEANING: dict[Function, Function] = {
    ops.exp: np.exp,
    ops.log: np.log,
    ops.log1p: np.log1p,
    ops.expm1: np.expm1,
    ops.tanh: np.tanh,
    ops.sqrt: np.sqrt,
    ops.absolute: np.absolute,
    ops.where: np.where,
    ops.full_like: lambda x, value: value,
    ops.constant_rounding: lambda x, value: 0.0,
    ops.rounding: _rounding,
    ops.product_rounding: _product_rounding,
    ops.lost_part: _lost_part,
    ops.scaled_exp: _scaled_exp,
    ops.smaller: np.minimum,
    ops.larger: np.maximum,
    ops.times: _times,
    ops.square: np.square,
    ops.positive_part: lambda x: np.maximum(x, 0.0),
    ops.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
}


@functools.lru_cache(maxsize=4096)
def direct(function: Function) -> Function:
    """Return a copy of a formula for NumPy arrays (and scalars) only.

    Parameters
    ----------
    function : callable
        A formula in the vocabulary of :mod:`lossmith.ops`.

    Returns
    -------
    callable
        Of the same arguments and results; the function itself if it is no plain one.
    """
    if not isinstance(function, types.FunctionType):
        return function
    scope = function.__globals__ | {name: _meaning(value) for name, value in cache.used(function).items()}
    cells = tuple(types.CellType(_meaning(cell.cell_contents)) for cell in function.__closure__ or ())
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _meaning(value: Any) -> Any:
    if not words.inlined(value):
        return value
    return _MEANING.get(value) or direct(value)


_slow_rounding, _slow_lost_part, _slow_scaled_exp = (
    direct(text) for text in (ops.rounding, ops.lost_part, ops.scaled_exp)
)
