"""The best constant prediction: where boosting and robust fits start."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from .smoothing import Kink, is_piecewise_linear, kinks

Array = npt.NDArray[np.float64]


def best_constant(loss: Loss, y: Any, weight: Any = None, outputs: int | None = None) -> Any:
    """Find the raw score c that minimises sum(weight * loss(y, c)), one c for all samples.

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise, on raw scores.
    y : array_like, shape (n,)
        Targets in the loss's coding.
    weight : array_like, shape (n,), optional
        Numbers >= 0, not all 0.
    outputs : int, optional
        Columns of raw scores for a row-wise loss; by default the largest label + 1.

    Returns
    -------
    float, or ndarray of shape (outputs,) for row-wise losses
        The minimiser; the middle of the minimisers if they form an interval. Where it would be infinite (one
        class only, no events) it is that of half a sample of the other kind. Rows are shifted so that
        sum(exp(c)) = 1.

    Examples
    --------
    >>> import lossmith as lm
    >>> best_constant(lm.Quantile(q=0.75), [1.0, 2.0, 3.0, 4.0, 100.0])
    4.0
    >>> round(best_constant(lm.BinaryCrossEntropy(), [0, 0, 0, 1]), 6)  # -log 3
    -1.098612
    """
    y = np.asarray(y)
    w = np.ones(y.shape[0]) if weight is None else np.asarray(weight, np.float64)
    if y.shape != w.shape or y.ndim != 1 or not w.sum() > 0:
        raise ValueError(f"y has shape {y.shape} and weight {w.shape}; give (n,) both, with a weight above 0")
    if loss.tier == "row-wise":
        return _best_row(loss, y, w, outputs)
    values, index = np.unique(y.astype(np.float64), return_inverse=True)
    weights = np.bincount(index, weights=w).astype(np.float64)
    values, weights = values[weights > 0], weights[weights > 0]
    return _best_number(loss, values, weights)


def _best_number(loss: Any, y: Array, w: Array) -> float:
    traits = loss.traits
    if is_piecewise_linear(loss):
        (kink,) = kinks(loss, y)
        return float(piecewise_minimum(np.zeros(y.size, np.intp), kink, w, 1)[0])
    if traits.task == "regression":
        if traits.strong > 0 and traits.constant_hessian:
            return float(w @ y / w.sum())
        low, high = float(y[0]), float(y[-1])
    else:
        # Half a sample of the other kind bounds what a constant can be.
        most = np.log(2.0 * w.sum() / w.min() + 1.0)
        low, high = -most, most + max(0.0, float(np.log(max(y[-1], 1.0))))
    if not traits.convex:
        low, high = _basin(loss, y, w, low, high)
    return _root(loss, y, w, low, high)


def _total_slope(loss: Any, y: Array, w: Array, c: float) -> float:
    return float(w @ loss.gradient(y, np.full_like(y, c)))


def _root(loss: Any, y: Array, w: Array, low: float, high: float) -> float:
    """Where the total slope changes sign between two ends, or the end it points to."""
    from scipy.optimize import brentq

    if low == high or _total_slope(loss, y, w, low) >= 0:
        return low
    if _total_slope(loss, y, w, high) <= 0:
        return high
    return float(brentq(lambda c: _total_slope(loss, y, w, c), low, high, xtol=1e-14 * max(abs(low), abs(high), 1)))


def _basin(loss: Any, y: Array, w: Array, low: float, high: float) -> tuple[float, float]:
    """Neighbours of the best point of a grid (quantiles of the targets and even steps between the ends)."""
    share = np.cumsum(w) / w.sum()
    quantiles = y[np.searchsorted(share, np.linspace(0.01, 0.99, 99)).clip(max=y.size - 1)]
    inner = np.concatenate([quantiles, np.linspace(low, high, 65)])
    points = np.unique(inner[(inner >= low) & (inner <= high)])
    totals = [float(w @ loss.value_and_gradient(y, np.full_like(y, c))[0]) for c in points]
    best = int(np.argmin(totals))
    return float(points[max(best - 1, 0)]), float(points[min(best + 1, points.size - 1)])


def piecewise_minimum(groups: npt.NDArray[np.intp], kink: Kink, weight: Array, count: int) -> Array:
    """Minimise sums of piecewise linear functions with one kink each, one sum for each group, exactly.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        Group of each function, 0 ... count - 1.
    kink : Kink
        Place, left slope and jump (> 0) of each function.
    weight : ndarray, shape (n,)
        Weight of each function, >= 0.
    count : int
        Number of groups.

    Returns
    -------
    ndarray, shape (count,)
        Minimisers: weighted quantiles when the functions are pinball losses. The middle of an interval of
        minimisers; if that is a half-line its end or 0, whichever is inside; 0 for an empty group.
    """
    order = np.argsort(kink.place)
    # A stable sort of short integers is a radix sort: half the time of a lexsort.
    narrow = groups[order].astype(np.int16) if count < 2**15 else groups[order]
    order = order[np.argsort(narrow, kind="stable")]
    place, sorted_groups = kink.place[order], groups[order]
    jumps = (weight * kink.jump)[order]
    counts = np.bincount(groups, minlength=count)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    left = np.bincount(groups, weights=weight * kink.left, minlength=count)
    mass = np.bincount(groups, weights=weight * kink.jump, minlength=count)
    # Slope of each group's sum just after each of its kinks.
    running = np.cumsum(jumps)
    before = np.concatenate([[0.0], running])[starts]
    after = left[sorted_groups] + running - before[sorted_groups]
    tolerance = 1e-10 * np.maximum(mass, np.abs(left))
    rising = after >= -tolerance[sorted_groups]
    strictly = after > tolerance[sorted_groups]
    ends = starts + counts
    first = _first_true(rising, sorted_groups, ends, count)
    last = _first_true(strictly, sorted_groups, ends, count)
    padded = np.append(place, 0.0)
    low = np.where(left >= -tolerance, -np.inf, padded[np.minimum(first, place.size)])
    high = np.where(last < ends, padded[np.minimum(last, place.size)], np.inf)
    found = np.clip(0.0, low, high)
    bounded = np.isfinite(low) & np.isfinite(high)
    found[bounded] = 0.5 * (low[bounded] + high[bounded])
    return np.asarray(np.where(counts > 0, found, 0.0))


def _first_true(
    flags: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], count: int
) -> npt.NDArray[np.intp]:
    """Position of the first true flag of each group, or the group's end."""
    found = ends.copy()
    places = np.flatnonzero(flags)
    np.minimum.at(found, groups[places], places)
    return found


def _best_row(loss: Any, y: Array, w: Array, outputs: int | None) -> Array:
    from scipy.optimize import minimize

    k = outputs or int(y.max()) + 1
    mass = np.bincount(y.astype(np.intp), weights=w, minlength=k)
    mass = np.maximum(mass, 0.5 * w[w > 0].min())
    share, labels = mass / mass.sum(), np.arange(k)

    def function(c: Array) -> tuple[float, Array]:
        values, slopes = loss.value_and_gradient(labels, np.tile(c, (k, 1)))
        return float(share @ values), share @ slopes

    start = np.log(share)
    found = minimize(function, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-16})
    c = np.asarray(found.x)
    return np.asarray(c - np.logaddexp.reduce(c))
