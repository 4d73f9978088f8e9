"""Hand a framework our gradient and Hessian instead of the derivative of a stable formula's branches.

With ``a = stop_gradient(f)`` and ``d = f - a`` (zero), ``value(a) + d * (gradient(a) + d/2 * hessian(a))``
has exactly our value, gradient and Hessian, in every library with automatic differentiation. Third
derivatives vanish.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..ops import absolute, full_like, namespace, where

Array = Any


def stop_gradient(x: Array) -> Array | None:
    """Return x as a constant, or None when its library does not differentiate."""
    roots = {kind.__module__.partition(".")[0] for kind in type(x).__mro__}
    if "torch" in roots:
        return x.detach()
    if roots & {"jax", "jaxlib"}:
        return sys.modules["jax"].lax.stop_gradient(x)
    if "tensorflow" in roots:
        return sys.modules["tensorflow"].stop_gradient(x)
    if "keras" in roots:
        return sys.modules["keras"].ops.stop_gradient(x)
    return None


def step(f: Array, constant: Array) -> Array:
    """Return f - constant, zero with derivative 1; a constant 0 where f is infinite (inf - inf is NaN)."""
    return where(absolute(constant) < float("inf"), f - constant, full_like(constant, 0.0))


def finite(x: Array) -> Array:
    """Replace infinities by the largest number, since 0 * inf is NaN."""
    limit = float(namespace(x).finfo(x.dtype).max)
    return where(x > limit, full_like(x, limit), where(x < -limit, full_like(x, -limit), x))


Expand = Callable[[Array, Array], Array]


def attach(f: Array, value: Callable[[Array], Array], rise: Expand) -> Array:
    """Return the values at f with derivatives attached where the library differentiates.

    Parameters
    ----------
    f : array
        Predictions.
    value : callable
        Values at given predictions.
    rise : callable
        ``rise(a, d)``: d times gradient plus half of d times Hessian times d, at a.
    """
    constant = stop_gradient(f)
    if constant is None:
        return value(f)
    return value(constant) + rise(constant, step(f, constant))


def held(x: Array) -> Array:
    """Return x as a constant."""
    constant = stop_gradient(x)
    return x if constant is None else constant


Formula = Callable[[Array], Array]


def known(x: Array, value: Formula, slope: Formula, curvature: Formula) -> Array:
    """Return a function of single numbers with the derivatives that are given.

    Parameters
    ----------
    x : array
        Where.
    value, slope, curvature : callables
        Of an array, elementwise.
    """
    return attach(x, value, lambda a, d: d * (slope(a) + 0.5 * d * curvature(a)))


def present(x: Array, weight: Array | None, ordinary: float) -> Array:
    """Return x with an ordinary number wherever the weight (n,) of its first axis is 0: there it may hold NaN."""
    if weight is None:
        return x
    counts = weight > 0.0
    for _ in range(len(x.shape) - 1):
        counts = counts[..., None]
    return where(counts, x, full_like(x, ordinary))
