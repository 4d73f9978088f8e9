"""The best constant prediction: where boosting and robust fits start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.elementwise import ElementwiseLoss
from ..core.loss import Loss
from ..engine import fused
from .piecewise import piecewise_minimum
from .smoothing import is_piecewise_linear, kinks

Array = npt.NDArray[np.float64]

# Samples up to which equal targets are counted once, and which are enough for a first guess.
_FEW = 16_384


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
    y, counts = y.astype(np.float64), w > 0
    return _best_number(loss, y, w) if counts.all() else _best_number(loss, y[counts], w[counts])


def _best_number(loss: Any, y: Array, w: Array) -> float:
    traits = loss.traits
    if is_piecewise_linear(loss):
        (kink,) = kinks(loss, y)
        return float(piecewise_minimum(np.zeros(y.size, np.int16), kink, w, 1)[0])
    if traits.task == "regression":
        if traits.strong > 0 and traits.constant_hessian:
            return float(np.einsum("i,i->", w, y) / w.sum())  # BLAS's threads cost more than they bring
        low, high = float(y.min()), float(y.max())
    else:
        # Half a sample of the other kind bounds what a constant can be.
        most = np.log(2.0 * w.sum() / w.min() + 1.0)
        smallest = float(np.min(y, where=y > 0.0, initial=1.0))
        low, high = -most + float(np.log(smallest)), most + float(np.log(max(y.max(), 1.0)))
    if y.size <= _FEW or not traits.convex:
        y, w = _distinct(y, w)
    if not traits.convex:
        low, high = _basin(loss, y, w, low, high)
    slope = _TotalSlope(loss, y, w)
    if traits.convex and y.size > _FEW:
        part = slice(None, None, y.size // _FEW + 1)
        low, high = _near(slope, _root(_TotalSlope(loss, y[part], w[part]), low, high), low, high)
    return _root(slope, low, high)


def _distinct(y: Array, w: Array) -> tuple[Array, Array]:
    """The different targets, each with the weight of all its samples."""
    values, index = np.unique(y, return_inverse=True)
    return values, np.bincount(index, weights=w).astype(np.float64)


class _TotalSlope:
    """The slope of sum(weight * loss(y, c)) by c, reckoned once for each c: a search asks for its ends again."""

    def __init__(self, loss: Any, y: Array, w: Array) -> None:
        self.loss, self.y, self.w = loss, y, w
        self.score, self.slope = np.empty_like(y), np.empty_like(y)
        self.known: dict[float, float] = {}

    def __call__(self, c: float) -> float:
        if c not in self.known:
            self.known[c] = self._total(c)
        return self.known[c]

    def _total(self, c: float) -> float:
        self.score.fill(c)
        if isinstance(self.loss, ElementwiseLoss):
            fused.evaluate((self.loss.form.slope,), self.y, self.score, self.loss.parameters, (self.slope,))
        else:
            self.slope[...] = self.loss.gradient(self.y, self.score)
        # A product of vectors would start the threads of BLAS, which takes longer than the sum.
        return float(np.multiply(self.slope, self.w, out=self.slope).sum())


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Where the total slope changes sign between two ends, or the end it points to."""
    from scipy.optimize import brentq

    if low == high or slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high, xtol=1e-14 * max(abs(low), abs(high), 1)))


def _near(slope: Callable[[float], float], middle: float, low: float, high: float) -> tuple[float, float]:
    """Two ends around the root, close to that of every so many samples: full passes are what takes time."""
    step = 1e-3 * (high - low)
    begin, end = max(low, middle - step), min(high, middle + step)
    while begin > low and slope(begin) > 0:
        step, end = 4.0 * step, begin
        begin = max(low, begin - step)
    while end < high and slope(end) < 0:
        step, begin = 4.0 * step, end
        end = min(high, end + step)
    return begin, end


def _basin(loss: Any, y: Array, w: Array, low: float, high: float) -> tuple[float, float]:
    """Neighbours of the best point of a grid (quantiles of the targets and even steps between the ends)."""
    share = np.cumsum(w) / w.sum()
    quantiles = y[np.searchsorted(share, np.linspace(0.01, 0.99, 99)).clip(max=y.size - 1)]
    inner = np.concatenate([quantiles, np.linspace(low, high, 65)])
    points = np.unique(inner[(inner >= low) & (inner <= high)])
    totals = [float(w @ loss.value_and_gradient(y, np.full_like(y, c))[0]) for c in points]
    best = int(np.argmin(totals))
    return float(points[max(best - 1, 0)]), float(points[min(best + 1, points.size - 1)])


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
