"""Robust measures of a sample's shape: its skew, its tails, how its variance grows with its mean.

Each is a plain function of an array. They are chosen so that a few wild values cannot move them at will, because
they decide between "a heavy tail" and "a few errors", which moments cannot tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.select.records import TargetShape

Array = np.ndarray[Any, Any]

NORMAL_MAD = 1.4826022185056018  # 1 / Phi^-1(3/4): makes the median absolute deviation a standard deviation
_NORMAL_95_OVER_50 = 2.9058450  # Phi^-1(0.975) / Phi^-1(0.75)
_KERNEL_POINTS = 501  # quantiles kept for the O(n^2) medcouple: its error is then below 0.01
_LEAST_TAIL = 20


def mad(values: Array) -> float:
    """Return 1.4826 times the median absolute deviation from the median: the normal's standard deviation."""
    return float(NORMAL_MAD * np.median(np.abs(values - np.median(values))))


def medcouple(values: Array) -> float:
    """Robust skewness: the median over pairs around the median of their lopsidedness.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite numbers.

    Returns
    -------
    float
        In [-1, 1]; 0 if symmetric.

    References
    ----------
    Brys, Hubert, Struyf (2004), A robust measure of skewness.

    Examples
    --------
    >>> medcouple(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    0.0
    """
    ordered = np.sort(values)
    if ordered.size > _KERNEL_POINTS:
        ordered = np.quantile(ordered, (np.arange(_KERNEL_POINTS) + 0.5) / _KERNEL_POINTS)
    centred = ordered - np.median(ordered)
    above, below = centred[centred >= 0][:, None], centred[centred <= 0][None, :]
    spread = above - below
    with np.errstate(invalid="ignore"):
        kernel = (above + below) / spread
    ties = spread == 0
    if ties.any():
        kernel[ties] = _tied_kernel(int((centred == 0).sum())).ravel()
    return float(np.median(kernel))


def _tied_kernel(count: int) -> Array:
    """Give the pairs of values that equal the median the signs of the definition, which cancel."""
    ranks = np.arange(count)
    return np.asarray(np.sign(ranks[:, None] + ranks[None, :] - (count - 1.0)))


def tail_weights(values: Array) -> tuple[float | None, float | None, float | None]:
    """Compare tails with the normal's: central 95 % over central 50 % range, and the same for each side.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite numbers.

    Returns
    -------
    both, left, right : float or None
        1 for a normal sample; None where the inner range has no width.
    """
    low, q1, middle, q3, high = np.quantile(values, [0.025, 0.25, 0.5, 0.75, 0.975])

    def ratio(outer: float, inner: float) -> float | None:
        return float(outer / inner / _NORMAL_95_OVER_50) if inner > 0 else None

    return ratio(high - low, q3 - q1), ratio(middle - low, middle - q1), ratio(high - middle, q3 - middle)


def hill_index(sizes: Array, share: float = 0.05) -> float | None:
    """Hill's tail index: P(size > x) falls like x to the minus this power.

    Parameters
    ----------
    sizes : ndarray, shape (n,)
        Numbers >= 0, such as absolute residuals.
    share : float
        Share of the sample that counts as the tail.

    Returns
    -------
    float or None
        The index; None with fewer than 20 values in the tail or a tail of one single value.
    """
    count = int(share * sizes.size)
    if count < _LEAST_TAIL:
        return None
    tail = np.sort(sizes)[-count - 1 :]
    if tail[0] <= 0 or tail[-1] == tail[0]:
        return None
    return float(1.0 / np.mean(np.log(tail[1:] / tail[0])))


def variance_power(y: Array, fitted: Array) -> tuple[float, float] | None:
    """Find p of Var(y | x) ~ E(y | x)^p from bins of the fitted mean.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Target >= 0.
    fitted : ndarray, shape (n,)
        Out-of-fold means: bins by them do not select on the noise.

    Returns
    -------
    (float, float) or None
        p and its standard error; None with fewer than 5 usable bins or means that hardly differ.
    """
    bins = int(np.clip(y.size // 40, 5, 25))
    order = np.argsort(fitted, kind="stable")
    pieces = [piece for piece in np.array_split(order, bins) if piece.size > 2]
    mean = np.array([y[piece].mean() for piece in pieces])
    variance = np.array([np.mean((y[piece] - fitted[piece]) ** 2) for piece in pieces])
    usable = (mean > 0) & (variance > 0)
    x, z = np.log(mean[usable]), np.log(variance[usable])
    if x.size < 5 or np.ptp(x) < np.log(1.5):
        return None
    centred = x - x.mean()
    slope = float(centred @ z / (centred @ centred))
    left = z - z.mean() - slope * centred
    return slope, float(np.sqrt(left @ left / (x.size - 2) / (centred @ centred)))


def target_shape(y: Array) -> TargetShape:
    """Gather the shape of a numeric target.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Finite numbers, not all equal.

    Returns
    -------
    TargetShape
    """
    unit = float(np.abs(y).max())  # squares of 1e200 overflow; those of y over its largest do not
    scaled = y / unit
    mean, std = float(scaled.mean()), float(scaled.std())
    z = (scaled - mean) / std
    both, left, right = tail_weights(y)
    return TargetShape(
        minimum=float(y.min()),
        maximum=float(y.max()),
        mean=mean * unit,
        median=float(np.median(y)),
        std=std * unit,
        mad=mad(y),
        distinct=int(np.unique(y).size),
        zero_share=float(np.mean(y == 0)),
        negative_share=float(np.mean(y < 0)),
        positive=bool((y > 0).all()),
        nonnegative=bool((y >= 0).all()),
        integer=bool(np.array_equal(y, np.rint(y))),
        skew=float(np.mean(z**3)),
        excess_kurtosis=float(np.mean(z**4) - 3),
        medcouple=medcouple(y),
        tail_weight=both,
        left_tail_weight=left,
        right_tail_weight=right,
        dispersion_ratio=unit * std**2 / mean if (y >= 0).all() else None,
    )
