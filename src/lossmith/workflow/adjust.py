"""What is done to predictions after the model: recalibration of mean, quantile and probabilities.

An adjustment is a small dictionary of numbers, so that it can be saved as it is. It is fitted on held-out
predictions only; on the rows a model learned from, residuals are too small and probabilities too sure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.core.registry import get

Array = np.ndarray[Any, Any]
Adjustment = dict[str, Any]

NONE: Adjustment = {"kind": "none"}
_TINY = 1e-12


def fit_adjustment(kind: str, y: Array, prediction: Array, level: float | None = None) -> Adjustment:
    """Fit an adjustment on held-out predictions.

    Parameters
    ----------
    kind : str
        "shift_mean", "shift_median", "shift_quantile" (to ``level``), "scale", "platt" or "temperature".
    y : ndarray, shape (n,)
        Targets or class codes.
    prediction : ndarray, shape (n,) or (n, k)
        Held-out predictions.
    level : float, optional
        The wanted quantile.

    Returns
    -------
    dict
        ``{"kind": "shift", "by": ...}`` and so on; :func:`adjust` applies it.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind == "shift_mean":
        return {"kind": "shift", "by": float(np.mean(y - prediction))}
    if kind == "shift_median":
        return {"kind": "shift", "by": float(np.median(y - prediction))}
    if kind == "shift_quantile":
        return {
            "kind": "shift",
            "by": float(np.quantile(y - prediction, 0.5 if level is None else level, method="higher")),
        }
    if kind == "scale":
        total = float(np.sum(prediction))
        return {"kind": "scale", "by": float(np.sum(y)) / total if total > 0 else 1.0}
    if kind == "platt":
        return _platt(y, prediction)
    if kind == "temperature":
        return _temperature(y, prediction)
    raise ValueError(f"no adjustment is called {kind!r}")


def adjust(adjustment: Adjustment, prediction: Array) -> Array:
    """Apply an adjustment.

    Parameters
    ----------
    adjustment : dict
        From :func:`fit_adjustment`, or :data:`NONE`.
    prediction : ndarray, shape (n,) or (n, k)
        Predictions of the model.

    Returns
    -------
    ndarray
        Of the same shape.
    """
    kind = adjustment["kind"]
    if kind == "shift":
        return np.asarray(prediction + adjustment["by"])
    if kind == "scale":
        return np.asarray(prediction * adjustment["by"])
    if kind == "platt":
        from scipy.special import expit

        return np.asarray(expit(adjustment["intercept"] + adjustment["slope"] * _logit(prediction)))
    if kind == "temperature":
        return _soften(prediction, adjustment["by"])
    return prediction


def cross_adjust(kind: str, y: Array, prediction: Array, fold: Array, level: float | None = None) -> Array:
    """Adjust each fold's predictions with what the other folds' predictions say, so that none sees its own.

    Parameters
    ----------
    kind, y, prediction, level
        As in :func:`fit_adjustment`.
    fold : ndarray of int, shape (n,)
        Fold in which each row was held out.

    Returns
    -------
    ndarray
        Adjusted held-out predictions.
    """
    adjusted = np.array(prediction, dtype=np.float64)
    for number in np.unique(fold):
        own = fold == number
        fitted = fit_adjustment(kind, y[~own], prediction[~own], level)
        adjusted[own] = adjust(fitted, prediction[own])
    return adjusted


def _logit(p: Array) -> Array:
    clipped = np.clip(p, _TINY, 1.0 - _TINY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _platt(y: Array, p: Array) -> Adjustment:
    from scipy.optimize import minimize

    x, labels, loss = _logit(p), y.astype(np.float64), get("bce", inputs="logits")

    def objective(line: Array) -> tuple[float, Array]:
        values, slopes = loss.value_and_gradient(labels, line[0] + line[1] * x)
        return float(values.mean()), np.array([slopes.mean(), (slopes * x).mean()])

    found = minimize(objective, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-30, 30), (1e-3, 30)])
    return {"kind": "platt", "intercept": float(found.x[0]), "slope": float(found.x[1])}


def _soften(rows: Array, temperature: float) -> Array:
    from scipy.special import softmax

    return np.asarray(softmax(np.log(np.maximum(rows, _TINY)) / temperature, axis=1))


def _temperature(y: Array, rows: Array) -> Adjustment:
    from scipy.optimize import minimize_scalar

    index = np.arange(y.size), y.astype(np.int64)

    def objective(log_temperature: float) -> float:
        chosen = _soften(rows, float(np.exp(log_temperature)))[index]
        return float(-np.log(np.maximum(chosen, _TINY)).mean())

    found = minimize_scalar(objective, bounds=(-1.0, 3.0), method="bounded")
    return {"kind": "temperature", "by": float(np.exp(found.x))}
