"""The array library of a value.

A *namespace* is an object with the primitive words (``exp``, ``where``, ...) for one array library. Most
libraries already are such an object; TensorFlow gets a small adapter, and plain Python numbers use NumPy.
Nothing is imported here that the caller has not imported already.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

Namespace = Any

_known: dict[type, Namespace] = {np.ndarray: np, float: np, int: np, bool: np}
_known_special: dict[type, Namespace] = {}


def namespace(*values: Any) -> Namespace:
    """Return the namespace of the first value that is an array of a library (NumPy for plain numbers).

    Parameters
    ----------
    *values : array or float
        At least one; the first one that is not a plain number decides.

    Returns
    -------
    module or object
        Something with the primitive words of the vocabulary.

    Raises
    ------
    TypeError
        When a value is of no supported array library.
    """
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            return np
        if kind is not float and kind is not int and kind is not bool:
            return _of_type(kind)
    return np


def _of_type(kind: type) -> Namespace:
    if kind in _known:
        return _known[kind]
    found = _find(kind)
    _known[kind] = found
    return found


def _find(kind: type) -> Namespace:
    """Identify a library by the modules of the type's ancestors."""
    roots = {ancestor.__module__.partition(".")[0] for ancestor in kind.__mro__}
    if "numpy" in roots:
        return np
    if "torch" in roots:
        import array_api_compat.torch as xp

        return xp
    if roots & {"jax", "jaxlib"}:
        import jax.numpy as jnp

        return jnp
    if "tensorflow" in roots:
        from .tensorflow import TensorFlowNamespace

        # The class itself, which is one object for all kinds of tensors, eager and traced.
        return TensorFlowNamespace
    if "keras" in roots:
        from .keras import KerasNamespace

        return KerasNamespace
    for name in ("mparray", "array_api_strict"):
        if name in roots:
            return sys.modules[name]
    raise TypeError(
        f"cannot compute on {kind.__module__}.{kind.__qualname__}; "
        "give NumPy, PyTorch, JAX, TensorFlow or Keras arrays (pandas: call .to_numpy())"
    )


def special(value: Any) -> Namespace:
    """Return what has ``erf`` and ``lgamma`` for an array, which the array API's namespaces lack.

    Parameters
    ----------
    value : array or float
        The array they are for.

    Returns
    -------
    module or object
        Something with the functions ``erf`` and ``lgamma``.

    Raises
    ------
    TypeError
        When the array's library has no such functions.
    """
    kind = type(value)
    if kind not in _known_special:
        _known_special[kind] = _find_special(namespace(value))
    return _known_special[kind]


def _find_special(xp: Namespace) -> Namespace:
    if xp is np:
        from scipy import special as scipy_special

        return SimpleNamespace(erf=scipy_special.erf, lgamma=scipy_special.gammaln)
    library = xp.__name__
    if library.endswith("torch"):
        import torch

        return torch
    if library == "jax.numpy":
        import jax.scipy.special as jsp

        return SimpleNamespace(erf=jsp.erf, lgamma=jsp.gammaln)
    if isinstance(xp, type):  # an adapter of ours
        return xp
    if library == "mparray":
        return _mparray_special(xp)
    raise TypeError(f"{library} has no erf and lgamma; give NumPy, PyTorch, JAX or TensorFlow arrays")


def _mparray_special(xp: Namespace) -> Namespace:
    """Return the functions of mpmath, element by element."""
    mp = xp.mp

    def each(function: Any) -> Any:
        apply = np.frompyfunc(function, 1, 1)
        return lambda x: xp.asarray(np.asarray(apply(x._data), dtype=object), dtype=x.dtype)

    def log_abs_gamma(x: Any) -> Any:
        if mp.isfinite(x):
            return mp.inf if x <= 0 and mp.isint(x) else mp.re(mp.loggamma(x))
        return abs(x)  # infinite on both sides; NaN stays NaN

    return SimpleNamespace(erf=each(mp.erf), lgamma=each(log_abs_gamma))


def is_numpy(value: Any) -> bool:
    """Tell whether a value is a NumPy array or a plain number."""
    return type(value) is np.ndarray or namespace(value) is np
