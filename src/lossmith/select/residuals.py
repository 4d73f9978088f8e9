"""What a quick cross-validated fit leaves of a numeric target."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.select.quickfit import Table, predict_numbers
from lossmith.select.records import ResidualShape, RowSuspects
from lossmith.select.shape import hill_index, mad, medcouple, tail_weights, variance_power
from lossmith.select.suspects import from_scale, residual_outliers, steady_scale, to_scale

Array = np.ndarray[Any, Any]


def look_at_residuals(table: Table, y: Array, count: bool, seed: int) -> tuple[ResidualShape, RowSuspects | None]:
    """Fit the median robustly and the mean, both out of fold, and describe what is left.

    Parameters
    ----------
    table : Table
        The features.
    y : ndarray of float64, shape (rows,)
        The target in the table's row order.
    count : bool
        Whether it is a count.
    seed : int
        Seed of the learners.

    Returns
    -------
    shape : ResidualShape
    outliers : RowSuspects or None
        None if the residuals have no width to measure by.
    """
    scale = steady_scale(y, count)
    z = to_scale(y, scale)
    # Standardising makes the fit, and all that follows, the same in whatever unit the target comes.
    middle, width = float(np.median(z)), mad(z) or float(np.ptp(z))
    fitted = middle + width * predict_numbers(table, (z - middle) / width, "absolute_error", seed)
    residual = y - from_scale(fitted, scale)
    mean = _fitted_mean(table, y, seed)
    outliers = residual_outliers(z, fitted, table.position, scale)
    return _shape(y, residual, mean, _steady_rows(y.size, outliers, table.position), count), outliers


def _fitted_mean(table: Table, y: Array, seed: int) -> Array:
    unit = float(np.mean(np.abs(y)))
    if y.min() >= 0:
        return unit * predict_numbers(table, y / unit, "poisson", seed)
    centre, spread = float(np.median(y)), unit
    return centre + spread * predict_numbers(table, (y - centre) / spread, "squared_error", seed)


def _steady_rows(size: int, outliers: RowSuspects | None, position: Array) -> Array:
    """Rows that variances are taken over: a few suspected errors must not pose as a law of the variance."""
    steady = np.ones(size, dtype=bool)
    if outliers is not None:
        steady[np.isin(position, outliers.rows)] = False
    return steady


def _shape(y: Array, residual: Array, mean: Array, steady: Array, count: bool) -> ResidualShape:
    law = variance_power(y[steady], mean[steady]) if y.min() >= 0 else None
    unit = float(np.abs(y).max())
    error, spread = (y - mean) / unit, (y - y.mean()) / unit
    return ResidualShape(
        r2=float(1 - (error @ error) / (spread @ spread)),
        scale=mad(residual),
        medcouple=medcouple(residual),
        tail_weight=tail_weights(residual)[0],
        hill_index=hill_index(np.abs(residual)),
        variance_power=law[0] if law else None,
        variance_power_error=law[1] if law else None,
        conditional_dispersion=_dispersion(y[steady], mean[steady]) if y.min() >= 0 else None,
        expected_zero_share=float(np.exp(-mean).mean()) if count else None,
    )


def _dispersion(y: Array, mean: Array) -> float:
    return float(np.mean(((y - mean) / np.sqrt(mean)) ** 2))
