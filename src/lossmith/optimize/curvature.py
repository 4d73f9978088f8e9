"""Curvature for learners that divide by it: positive, and named for what it is.

Newton steps and boosted trees need a positive second-order number for each sample. The Hessian of many
losses is not that: it is 0 in the tails of Huber's loss, negative for Tukey's, 0 everywhere for the
absolute error. What stands in for it is never called a Hessian.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..core.elementwise import ElementwiseLoss
from ..losses.counts import GammaNLL, Tweedie
from ..losses.multiclass import CategoricalCrossEntropy, SoftmaxLoss
from ..losses.robust import PseudoHuber
from ..ops import absolute, full_like, sigmoid, where
from ..ops.arrays import softmax
from .smoothing import is_piecewise_linear

Array = npt.NDArray[np.float64]
Kind = Literal["exact", "majoriser", "gauss_newton", "reweighted", "surrogate"]

# Longest upward step of a raw score for which a convex loss of unbounded curvature is majorised. LightGBM's
# Poisson objective has the same number under the name poisson_max_delta_step.
_REACH = 0.7
# What boosters can still hold.
_LARGEST = float(np.finfo(np.float32).max)
# Residuals at which slope over residual is 0 / 0; the loss's curvature at 0 is its limit.
_NEAR = 1e-8
# Elements of a block of Hessian matrices.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class WorkingCurvature:
    """A positive curvature for each sample.

    Attributes
    ----------
    kind : str
        "exact": the Hessian (its diagonal for several outputs). "majoriser": the curvature of a parabola that
        touches the loss at f and lies above it (everywhere, or within 0.7 of f where the loss's curvature has no
        bound). "gauss_newton": the loss's slope is a weight times that of the cross-entropy; the weight is
        frozen (on one logit the Hessian is taken where it is larger: steps that are too long cost 0.7 % in held-out
        log-loss). "reweighted": the square of slope over residual. "surrogate": the constant 1 for losses made of
        straight lines; steps built on it have no meaning until leaf values are renewed.
    compute : callable
        ``compute(y, f, slope)`` returns an array of f's shape.
    formula : callable, optional
        The same as a formula ``(y, f, *parameters)`` of elementwise losses, which the engine computes together with
        the slope in one pass. None where it takes more than that.
    constant : float, optional
        The number, where it is one for all samples.
    """

    kind: Kind
    compute: Callable[[Any, Array, Array], Array]
    formula: Callable[..., Any] | None = None
    constant: float | None = None


def working_curvature(loss: Any) -> WorkingCurvature:
    """Choose the curvature that boosted trees should use for a loss on raw scores.

    For Huber's loss and its relatives it is the largest curvature there is, a constant: trees grown on slope over
    residual, which is small far out, would see the greatest gain in isolating outliers (measured: on contaminated
    targets a held-out absolute error 4 % higher).

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise.

    Returns
    -------
    WorkingCurvature
        Its numbers are >= 0; the caller adds a floor where it divides.

    Examples
    --------
    >>> import lossmith as lm
    >>> [working_curvature(lm.get(name)).kind for name in ("mse", "bce", "huber", "tukey", "mae")]
    ['exact', 'exact', 'majoriser', 'majoriser', 'surrogate']
    """
    traits = loss.traits
    if loss.tier == "row-wise":
        return _row_wise(loss)
    if is_piecewise_linear(loss):
        return _constant("surrogate", 1.0)
    if traits.task == "regression" and not traits.strong > 0 and traits.smooth < np.inf:
        return _constant("majoriser", traits.smooth)
    if not traits.convex:
        return WorkingCurvature("gauss_newton", lambda y, f, slope: _frozen_weight(loss, y, f, slope))
    if traits.smooth == np.inf and not isinstance(loss, GammaNLL | Tweedie):
        form: Any = loss.form if isinstance(loss, ElementwiseLoss) else None
        formula = None if form is None else _largest_ahead(form)
        return WorkingCurvature("majoriser", lambda y, f, slope: _ahead(loss, y, f), formula)
    if traits.constant_hessian:
        return _constant("exact", traits.smooth)
    formula = loss.form.curvature if isinstance(loss, ElementwiseLoss) else None
    return WorkingCurvature("exact", lambda y, f, slope: loss.hessian(y, f), formula)


def _constant(kind: Kind, number: float) -> WorkingCurvature:
    return WorkingCurvature(kind, lambda y, f, slope: np.full_like(f, number), constant=number)


def newton_curvature(loss: Any) -> WorkingCurvature:
    """Choose the curvature for boosters whose built-in robust losses take Newton steps, such as XGBoost's pseudo-Huber.

    For Huber's loss and its relatives a constant curvature c keeps the first hundred rounds short of the target. With w
    = slope / (c residual) at most 1, c w is that of the parabola above the loss, and c w^3 about the Hessian of the
    pseudo-Huber loss. In between, c w^2 gave the better held-out loss of the three after 100 rounds at learning
    rate 0.1 (30,000 rows with a tenth of gross outliers, 1.303 against 1.324 and 1.306; pseudo-Huber 1.310). The
    pseudo-Huber loss itself keeps its Hessian, which is positive, as XGBoost has it.

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise.

    Returns
    -------
    WorkingCurvature
        That, or :func:`working_curvature` for all other losses.
    """
    found = working_curvature(loss)
    if found.kind != "majoriser" or found.constant is None or not isinstance(loss, ElementwiseLoss):
        return found
    form: Any = loss.form
    if isinstance(loss, PseudoHuber):
        return WorkingCurvature("exact", lambda y, f, slope: loss.hessian(y, f), form.curvature)
    formula, constant = _reweighted(form, found.constant), found.constant
    return WorkingCurvature(
        "reweighted", lambda y, f, slope: _slope_over_residual(loss, y, f, slope) ** 2 / constant, formula
    )


@functools.cache
def _reweighted(form: Any, constant: float) -> Callable[..., Any]:
    slope, curvature = form.slope, form.curvature

    def reweighted(y: Any, f: Any, *parameters: Any) -> Any:
        r = f - y
        near = absolute(r) < _NEAR
        steep = slope(y, f, *parameters) / where(near, full_like(r, 1.0), r)
        ratio = where(near, curvature(y, y, *parameters), steep)
        return ratio * ratio / constant

    return reweighted


def reweighting(loss: Any) -> WorkingCurvature:
    """Choose the curvature for a linear fit under a loss that is not convex.

    For losses of the residual it is slope over residual: each step is a weighted least squares fit (IRLS), whose
    parabolas lie above a symmetric loss whose slope over residual falls with the residual.

    Parameters
    ----------
    loss : Loss
        Elementwise.

    Returns
    -------
    WorkingCurvature
        A majoriser, or Gauss-Newton for losses on a logit.
    """
    if loss.traits.task == "regression":
        return WorkingCurvature("majoriser", lambda y, f, slope: _slope_over_residual(loss, y, f, slope))
    return working_curvature(loss)


def brake(loss: Any) -> Callable[[Any, Array, Array], Array]:
    """Return positive curvatures that set the length of a Newton step where the loss itself has none.

    Slope over residual for losses of the residual, else the Hessian lifted by its mean.
    """

    def compute(y: Any, f: Array, slope: Array) -> Array:
        if loss.traits.task == "regression":
            own = _slope_over_residual(loss, y, f, slope)
        else:
            own = np.maximum(loss.hessian(y, f), 0.0)
        return np.asarray(own + (0.1 * own.mean() or 1.0))

    return compute


def _ahead(loss: Any, y: Array, f: Array) -> Array:
    with np.errstate(over="ignore"):
        ahead: Array = np.maximum(loss.hessian(y, f + _REACH), loss.hessian(y, f))
    return np.minimum(ahead, _LARGEST)


@functools.cache
def _largest_ahead(form: Any) -> Callable[..., Any]:
    """The same as a formula for the engine, one function for each form, since kernels are kept by function."""
    curvature = form.curvature

    def ahead(y: Any, f: Any, *parameters: Any) -> Any:
        there, here = curvature(y, f + _REACH, *parameters), curvature(y, f, *parameters)
        larger = where(there > here, there, here)
        return where(larger < _LARGEST, larger, full_like(f, _LARGEST))

    return ahead


def _slope_over_residual(loss: Any, y: Array, f: Array, slope: Array) -> Array:
    """Curvature of the parabola through (r, l(r)) that is symmetric in the residual r."""
    r = f - y
    near = np.abs(r) < _NEAR
    ratio = np.where(near, 0.0, slope) / np.where(near, 1.0, r)
    if near.any():
        ratio[near] = loss.hessian(y[near], y[near])
    return np.asarray(np.maximum(ratio, 0.0))


def _frozen_weight(loss: Any, y: Array, f: Array, slope: Array) -> Array:
    p, q = sigmoid(f), sigmoid(-f)
    frozen = _ratio(slope, np.where(y > 0, -q, p)) * p * q
    return np.asarray(np.maximum(frozen, loss.hessian(y, f)))


def _ratio(slope: Array, plain: Array) -> Array:
    gone = plain == 0.0
    return np.maximum(np.where(gone, 0.0, slope) / np.where(gone, 1.0, plain), 0.0)


def _row_wise(loss: Any) -> WorkingCurvature:
    if not isinstance(loss, SoftmaxLoss) or loss.settings[1] > 0:
        return WorkingCurvature("exact", lambda y, f, slope: _diagonal(loss, y, f))
    if isinstance(loss, CategoricalCrossEntropy) and loss.class_weights is None:
        # The slope is p - e_y, so |slope| (1 - |slope|) is p (1 - p) without a second softmax.
        return WorkingCurvature("exact", lambda y, f, slope: np.abs(slope) * (1.0 - np.abs(slope)))
    # The slope is a weight times p - e_y; for the cross-entropy, whose weight is a constant, that is exact.
    return WorkingCurvature("exact" if loss.traits.convex else "gauss_newton", _frozen_row_weight)


def _frozen_row_weight(y: Any, f: Array, slope: Array) -> Array:
    parts = softmax(f)
    own = (np.arange(f.shape[0]), np.asarray(y).astype(np.intp))
    weight = _ratio(slope[own], -parts.complement[own])
    return np.asarray(weight[:, None] * parts.probability * parts.complement)


def _diagonal(loss: Any, y: Any, f: Array) -> Array:
    """Diagonal of each sample's Hessian, a block of samples at a time."""
    n, k = f.shape
    rows = max(1, _BLOCK // (k * k))
    out = np.empty_like(f)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        out[part] = np.diagonal(loss.hessian(y[part], f[part]), axis1=1, axis2=2)
    return out
