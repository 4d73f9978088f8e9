"""Held against what happened: calibration of probabilities and means, coverage of quantiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossmith.workflow.records import Calibration

Array = np.ndarray[Any, Any]
_BINS = 10


def calibration(task: str, y: Array, prediction: Array, level: float | None = None) -> Calibration:
    """Compare held-out predictions with outcomes in bins of the prediction with equal numbers of rows.

    Parameters
    ----------
    task : str
        The task; class tasks get probabilities, others the mean or a quantile.
    y : ndarray, shape (n,)
        Targets or class codes.
    prediction : ndarray, shape (n,) or (n, k)
        Held-out predictions.
    level : float, optional
        The quantile that is predicted; None for the mean.

    Returns
    -------
    Calibration
    """
    if prediction.ndim == 2:
        predicted, outcome = prediction.max(axis=1), (prediction.argmax(axis=1) == y).astype(np.float64)
        return _probabilities("confidence", predicted, outcome)
    if task == "binary":
        return _probabilities("probability", prediction, y.astype(np.float64))
    if level is not None:
        return _quantile(y, prediction, level)
    bins = _bins(prediction, y)
    return Calibration("mean", *bins, expected_error=_expected(*bins))


def _bins(
    predicted: Array, outcome: Array
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    edges = np.unique(np.quantile(predicted, np.linspace(0.0, 1.0, _BINS + 1)))
    place = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = [outcome[place == i] for i in np.unique(place)]
    means = tuple(float(predicted[place == i].mean()) for i in np.unique(place))
    errors = tuple(float(g.std(ddof=1) / math.sqrt(g.size)) if g.size > 1 else 0.0 for g in groups)
    return means, tuple(float(g.mean()) for g in groups), errors, tuple(int(g.size) for g in groups)


def _expected(
    predicted: tuple[float, ...],
    observed: tuple[float, ...],
    _: tuple[float, ...],
    counts: tuple[int, ...],
) -> float:
    gaps = np.abs(np.subtract(predicted, observed))
    return float(np.average(gaps, weights=counts))


def _probabilities(kind: str, predicted: Array, outcome: Array) -> Calibration:
    bins = _bins(predicted, outcome)
    mean, observed, _, counts = bins
    base = float(outcome.mean())
    return Calibration(
        kind,
        *bins,
        expected_error=_expected(*bins),
        brier=float(np.square(predicted - outcome).mean()),
        reliability=float(np.average(np.square(np.subtract(mean, observed)), weights=counts)),
        resolution=float(np.average(np.square(np.subtract(observed, base)), weights=counts)),
        uncertainty=base * (1.0 - base),
    )


def _quantile(y: Array, prediction: Array, level: float) -> Calibration:
    below = (y <= prediction).astype(np.float64)
    predicted, observed, errors, counts = _bins(prediction, below)
    share = float(below.mean())
    return Calibration(
        "quantile",
        predicted,
        observed,
        errors,
        counts,
        expected_error=float(np.average(np.abs(np.subtract(observed, level)), weights=counts)),
        coverage=share,
        coverage_error=math.sqrt(max(share * (1.0 - share), 0.0) / y.size),
        level=level,
    )
