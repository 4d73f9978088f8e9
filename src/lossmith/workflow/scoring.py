"""The metrics computed: scikit-learn's where they exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.select.metrics import Metric

Array = np.ndarray[Any, Any]


def score(metric: Metric, y: Array, prediction: Array, threshold: float = 0.5) -> float:
    """Compute a metric.

    Parameters
    ----------
    metric : Metric
        Which one.
    y : ndarray, shape (n,)
        Targets: numbers, or class codes 0..k-1.
    prediction : ndarray, shape (n,) or (n, k)
        Numbers, probabilities of class 1, or a row of class probabilities.
    threshold : float
        Two classes: class 1 is decided from this probability on.

    Returns
    -------
    float
        The metric in its own direction (see ``metric.greater_is_better``).
    """
    if metric.functional == "class":
        return _decided(metric.name, y, decide(prediction, threshold))
    if metric.functional == "ranking":
        return _ranked(metric.name, y, prediction)
    if metric.functional == "probability":
        return _probable(metric.name, y, prediction)
    return _numeric(metric, y, prediction)


def decide(prediction: Array, threshold: float = 0.5) -> Array:
    """Turn probabilities into class codes.

    Parameters
    ----------
    prediction : ndarray, shape (n,) or (n, k)
        Probabilities of class 1, or of all classes.
    threshold : float
        From which probability on class 1 is decided; two classes only.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    if prediction.ndim == 2:
        return np.asarray(prediction.argmax(axis=1), dtype=np.int64)
    return np.asarray(prediction >= threshold, dtype=np.int64)


def error(metric: Metric, value: float) -> float:
    """Return a metric so that smaller is better."""
    return -value if metric.greater_is_better else value


def _numeric(metric: Metric, y: Array, prediction: Array) -> float:
    from sklearn import metrics

    if metric.level is not None:
        return float(metrics.mean_pinball_loss(y, prediction, alpha=metric.level))
    if metric.name == "poisson_deviance":
        return float(metrics.mean_poisson_deviance(y, np.maximum(prediction, deviance_floor(y))))
    known: dict[str, Callable[[Array, Array], float]] = {
        "rmse": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "mae": metrics.mean_absolute_error,
    }
    return float(known[metric.name](y, prediction))


def deviance_floor(y: Array) -> float:
    """Return what a rate is raised to before its deviance is taken: 1 % of the mean target.

    A predicted rate <= 0, which squared error can give, has an infinite deviance; whoever used such a model
    would raise it to something small.
    """
    return max(0.01 * float(np.mean(y)), 1e-9)


def _probable(name: str, y: Array, prediction: Array) -> float:
    rows = np.column_stack([1.0 - prediction, prediction]) if prediction.ndim == 1 else prediction
    codes = y.astype(np.int64)
    if name == "log_loss":
        # The smallest positive double bounds a single certain mistake at 708 instead of infinity.
        return float(-np.log(np.maximum(rows[np.arange(codes.size), codes], np.finfo(float).tiny)).mean())
    truth = np.zeros_like(rows)
    truth[np.arange(codes.size), codes] = 1.0
    squared = np.square(rows - truth).sum(axis=1).mean()
    return float(squared / 2.0 if prediction.ndim == 1 else squared)  # two classes: one of two equal squares


def _ranked(name: str, y: Array, prediction: Array) -> float:
    from sklearn import metrics

    if name == "auc":
        return float(metrics.roc_auc_score(y, prediction))
    return float(metrics.average_precision_score(y, prediction))


def _decided(name: str, y: Array, decided: Array) -> float:
    from sklearn import metrics

    if name == "accuracy":
        return float(metrics.accuracy_score(y, decided))
    if name == "balanced_accuracy":
        recalls = [float((decided[y == code] == code).mean()) for code in np.unique(y)]
        return float(np.mean(recalls))
    if name == "kappa":
        return float(metrics.cohen_kappa_score(y, decided, weights="quadratic"))
    average = "binary" if max(int(y.max()), int(decided.max())) <= 1 else "macro"
    return float(metrics.f1_score(y, decided, average=average, zero_division=0.0))
