"""The formulas as a user writes them in NumPy: correct in the middle of the range, one temporary an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..families import HESSIAN, ROWS, VALUE, Work
from .contender import Array, Contender, outcome

# Of (y, f, *settings): value, gradient, Hessian.
Formulas = tuple[Callable[..., Array], Callable[..., Array], Callable[..., Array]]


def _sigmoid(f: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-f)))


def _bce(y: Array, f: Array) -> Array:
    return np.asarray(np.maximum(f, 0.0) - y * f + np.log1p(np.exp(-np.abs(f))))


def _logistic_curvature(y: Array, f: Array) -> Array:
    p = _sigmoid(f)
    return np.asarray(p * (1.0 - p))


def _huber(y: Array, f: Array, delta: float) -> Array:
    a = np.abs(f - y)
    return np.asarray(np.where(a <= delta, 0.5 * a * a, delta * (a - 0.5 * delta)))


def _log_cosh(y: Array, f: Array) -> Array:
    a = np.abs(f - y)
    return np.asarray(a + np.log1p(np.exp(-2.0 * a)) - 0.6931471805599453)


def _focal(y: Array, f: Array, gamma: float) -> Array:
    p = _sigmoid(f)
    p_t = y * p + (1.0 - y) * (1.0 - p)
    return (1.0 - p_t) ** gamma * _bce(y, f)


def _focal_slope(y: Array, f: Array, gamma: float) -> Array:
    p = _sigmoid(f)
    p_t = y * p + (1.0 - y) * (1.0 - p)
    return (1.0 - 2.0 * y) * (1.0 - p_t) ** gamma * (1.0 - p_t + gamma * p_t * _bce(y, f))


def _focal_curvature(y: Array, f: Array, gamma: float) -> Array:
    p = _sigmoid(f)
    p_t = y * p + (1.0 - y) * (1.0 - p)
    u = 1.0 - p_t
    inner = u * (1.0 + 2.0 * gamma) + gamma * _bce(y, f) * (gamma * p_t - u)
    return np.asarray(p_t * u**gamma * inner)


def _quantile(y: Array, f: Array, q: float) -> Array:
    e = y - f
    return np.maximum(q * e, (q - 1.0) * e)


def _tukey(y: Array, f: Array, c: float) -> Array:
    r = f - y
    return np.where(np.abs(r) <= c, c * c / 6.0 * (1.0 - (1.0 - (r / c) ** 2) ** 3), c * c / 6.0)


def _tukey_slope(y: Array, f: Array, c: float) -> Array:
    r = f - y
    return np.where(np.abs(r) <= c, r * (1.0 - (r / c) ** 2) ** 2, 0.0)


def _tukey_curvature(y: Array, f: Array, c: float) -> Array:
    u = ((f - y) / c) ** 2
    return np.where(u <= 1.0, (1.0 - u) * (1.0 - 5.0 * u), 0.0)


_FORMULAS: dict[str, Formulas] = {
    "bce": (_bce, lambda y, f: _sigmoid(f) - y, _logistic_curvature),
    "huber": (
        _huber,
        lambda y, f, delta: np.clip(f - y, -delta, delta),
        lambda y, f, delta: (np.abs(f - y) <= delta).astype(f.dtype),
    ),
    "pseudo_huber": (
        lambda y, f, delta: delta**2 * (np.sqrt(1.0 + ((f - y) / delta) ** 2) - 1.0),
        lambda y, f, delta: (f - y) / np.sqrt(1.0 + ((f - y) / delta) ** 2),
        lambda y, f, delta: (1.0 + ((f - y) / delta) ** 2) ** -1.5,
    ),
    "log_cosh": (_log_cosh, lambda y, f: np.tanh(f - y), lambda y, f: 1.0 - np.tanh(f - y) ** 2),
    "focal": (_focal, _focal_slope, _focal_curvature),
    "quantile": (
        _quantile,
        lambda y, f, q: np.where(f > y, 1.0 - q, -q).astype(f.dtype),
        lambda y, f, q: np.zeros_like(f),
    ),
    "poisson_nll": (lambda y, f: np.exp(f) - y * f, lambda y, f: np.exp(f) - y, lambda y, f: np.exp(f)),
    "mse": (lambda y, f: (f - y) ** 2, lambda y, f: 2.0 * (f - y), lambda y, f: np.full_like(f, 2.0)),
    "mae": (lambda y, f: np.abs(f - y), lambda y, f: np.sign(f - y), lambda y, f: np.zeros_like(f)),
    "tukey": (_tukey, _tukey_slope, _tukey_curvature),
    "hinge": (
        lambda y, f: np.maximum(0.0, 1.0 - y * f),
        lambda y, f: np.where(y * f < 1.0, -y, 0.0),
        lambda y, f: np.zeros_like(f),
    ),
    "squared_hinge": (
        lambda y, f: np.maximum(0.0, 1.0 - y * f) ** 2,
        lambda y, f: -2.0 * y * np.maximum(0.0, 1.0 - y * f),
        lambda y, f: np.where(y * f < 1.0, 2.0, 0.0).astype(f.dtype),
    ),
}


def contenders(work: Work) -> list[Contender]:
    """Return the textbook expression where there is one.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    if work.name == "cce" and work.family.tier == ROWS:
        return [_softmax(work)]
    if work.name not in _FORMULAS:
        return []
    value, slope, curvature = _FORMULAS[work.name]
    y, f, settings = work.y, work.f, tuple(work.family.settings.values())
    if work.operation == VALUE:
        return [Contender("numpy", "", lambda: value(y, f, *settings).mean(), outcome)]
    functions = (value, slope, curvature)[: 3 if work.operation == HESSIAN else 2]
    return [
        Contender("numpy", "", lambda: [function(y, f, *settings) for function in functions], lambda r: outcome(*r))
    ]


def _softmax(work: Work) -> Contender:
    y, f = work.y, work.f
    rows = np.arange(len(y))

    def value() -> Any:
        top = f.max(axis=1, keepdims=True)
        return np.log(np.exp(f - top).sum(axis=1)) + top[:, 0] - f[rows, y]

    def both() -> tuple[Any, Any]:
        top = f.max(axis=1, keepdims=True)
        e = np.exp(f - top)
        total = e.sum(axis=1, keepdims=True)
        values = np.log(total[:, 0]) + top[:, 0] - f[rows, y]
        e /= total
        e[rows, y] -= 1.0
        return values, e

    if work.operation == VALUE:
        return Contender("numpy", "", lambda: value().mean(), outcome)
    return Contender("numpy", "", both, lambda result: outcome(*result))
