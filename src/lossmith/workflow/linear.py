"""The linear learner: our penalised linear model on standardised features, under any loss on raw scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.links import Affine, Link
from lossmith.losses import MeanAbsoluteError
from lossmith.optimize import L2, Penalty, Solution, Step, solve
from lossmith.optimize.curvature import reweighting
from lossmith.workflow.fitted import Fitted, TrainingCurve
from lossmith.workflow.links import has_unit, link_for, robust_units

Array = np.ndarray[Any, Any]
Metric = Callable[[Array, Array], float]


@dataclass(frozen=True)
class LinearModel:
    """X @ coefficients + intercept.

    Attributes
    ----------
    coefficients : ndarray, shape (d,) or (d, k)
        In the features' own units.
    intercept : float or ndarray of shape (k,)
        Raw score where all features are 0.
    """

    coefficients: Array
    intercept: Any

    def raw(self, X: Any) -> Array:
        """Return raw scores, (n,) or (n, k)."""
        return np.asarray(np.asarray(X, np.float64) @ self.coefficients + self.intercept)

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        intercept = np.asarray(self.intercept).tolist()
        return {"kind": "linear", "coefficients": self.coefficients.tolist(), "intercept": intercept}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LinearModel:
        """Make a model from what ``to_config`` returned."""
        intercept = config["intercept"]
        return cls(
            np.asarray(config["coefficients"], np.float64),
            np.asarray(intercept, np.float64) if isinstance(intercept, list) else float(intercept),
        )


@dataclass(frozen=True)
class Posed:
    """A linear problem ready to be solved.

    Attributes
    ----------
    loss : Loss
        On raw scores.
    link : Link
        From targets to the loss's coding and unit.
    Z : ndarray, shape (n, d)
        Standardised features.
    y : ndarray, shape (n,)
        Targets as they were.
    weight : ndarray, shape (n,), or None
        Weights > 0.
    centre, spread : ndarray, shape (d,)
        Of the features.
    outputs : int or None
        Columns of raw scores of a row-wise loss.
    penalty : Penalty
        On the standardised coefficients.
    """

    loss: Loss
    link: Link
    Z: Array
    y: Array
    weight: Array | None
    centre: Array
    spread: Array
    outputs: int | None
    penalty: Penalty

    def solve(self, solver: Any = "auto", **options: Any) -> Solution:
        """Solve.

        Parameters
        ----------
        solver : Solver or str
            As of :func:`lossmith.solve`.
        **options
            Further arguments of :func:`lossmith.solve`.
        """
        return solve(
            self.loss,
            self.Z,
            self.link.encode(self.y),
            penalty=self.penalty,
            solver=solver,
            sample_weight=self.weight,
            outputs=self.outputs,
            **options,
        )

    def fitted(self, found: Solution, curve: TrainingCurve | None = None) -> Fitted:
        """Return the model of a solution, on features in their own units."""
        coefficients = found.coefficients / (self.spread if self.outputs is None else self.spread[:, None])
        model = LinearModel(coefficients, found.intercept - self.centre @ coefficients)
        return Fitted(self.loss, self.link, model, curve, _curvature_kind(self.loss, found.method))


@dataclass(frozen=True)
class LinearLearner:
    """Fit a penalised linear model.

    Features are standardised for the fit. The penalty acts on the standardised coefficients, and the target of a
    loss of the residual is centred and scaled, so that neither ``alpha`` nor a robust loss's threshold depends
    on units: delta = 1.345 means 1.345 robust standard deviations of the residuals.

    Parameters
    ----------
    loss : Loss
        On raw scores: losses of the residual, on logits, on log-rates, of the margin.
    alpha : float, optional
        Strength of the L2 penalty, alpha * sum of squared coefficients, added to the mean loss. By default
        1 / (2 n) for n rows, which for the cross-entropy is scikit-learn's C = 1.
    penalty : Penalty, optional
        Used instead of the L2 penalty.
    scale : float, optional
        Robust standard deviation of the residuals in the target's unit, where the caller knows it. By default
        it is measured on the residuals of a least absolute error fit, for losses that have a unit.
    """

    loss: Loss
    alpha: float | None = None
    penalty: Penalty | None = None
    scale: float | None = None

    def fit(
        self,
        X: Any,
        y: Any,
        weight: Any = None,
        validation: tuple[Any, Any] | None = None,
        *,
        metric: Metric | None = None,
        seed: int = 0,
        iterations: int = 500,
        seconds: float = math.inf,
        classes: int | None = None,
        threads: int = 1,
    ) -> Fitted:
        """Train.

        Parameters
        ----------
        X : ndarray, shape (n, d)
            Finite features.
        y : ndarray, shape (n,)
            Numbers, or class codes 0 ... k-1.
        weight : ndarray, shape (n,), optional
            Sample weights >= 0.
        validation : (X, y), optional
            Held-out rows, for the curve only.
        metric : callable, optional
            ``metric(y, prediction) -> float`` for the curve; smaller is better.
        seed, threads : int
            Without effect: the fit is deterministic.
        iterations : int
            Most steps of the solver.
        seconds : float
            Wall time after which the best model so far is returned.
        classes : int, optional
            Number of classes for row-wise losses; by default the largest code + 1.

        Returns
        -------
        Fitted
            The model with the curve of its training.
        """
        posed = self.posed(X, y, weight, iterations=iterations, seconds=seconds, classes=classes)
        seen = _standardised(validation, posed.centre, posed.spread)
        watcher = _Watcher(self.loss, posed.link, posed.Z, posed.y, posed.weight, seen, metric)
        found = posed.solve(max_iterations=iterations, max_seconds=seconds, tolerance=1e-7, watch=watcher.watch)
        return posed.fitted(found, watcher.curve(found.status.replace("_", " ")))

    def posed(
        self,
        X: Any,
        y: Any,
        weight: Any = None,
        *,
        iterations: int = 500,
        seconds: float = math.inf,
        classes: int | None = None,
    ) -> Posed:
        """Return the problem that :meth:`fit` solves; arguments are the same."""
        X, y, w = clean(X, y, weight)
        centre, spread = _moments(X, w)
        Z = (X - centre) / spread
        link = self._link(Z, y, w, iterations, seconds)
        outputs = (classes or int(y.max()) + 1) if self.loss.tier == "row-wise" else None
        return Posed(self.loss, link, Z, y, w, centre, spread, outputs, self._penalty(y.size))

    def _penalty(self, n: int) -> Penalty:
        if self.penalty is not None:
            return self.penalty
        return L2(0.5 / n if self.alpha is None else self.alpha)

    def _link(self, Z: Array, y: Array, w: Array | None, iterations: int, seconds: float) -> Link:
        link = link_for(self.loss, y, w)
        if not isinstance(link, Affine) or not has_unit(self.loss):
            return link
        if self.scale is not None:
            return replace(link, scale=self.scale)
        pilot = solve(
            MeanAbsoluteError(),
            Z,
            link.encode(y),
            penalty=self._penalty(y.size),
            sample_weight=w,
            tolerance=1e-4,
            max_iterations=iterations,
            max_seconds=seconds / 3,
        )
        residuals = y - link.decode(Z @ pilot.coefficients + pilot.intercept)
        return replace(link, scale=max(robust_units(residuals, w)[1], 1e-6 * link.scale))


def _curvature_kind(loss: Loss, method: str) -> str:
    if "smoothing" in method:
        return "smoothed"
    return reweighting(loss).kind if method.startswith("irls") else "exact"


class _Watcher:
    """Collects the curve while the solver works."""

    def __init__(
        self,
        loss: Loss,
        link: Link,
        Z: Array,
        y: Array,
        w: Array | None,
        validation: tuple[Array, Array] | None,
        metric: Metric | None,
    ) -> None:
        self.loss, self.link, self.metric = loss, link, metric
        self.Z, self.target, self.w, self.validation = Z, link.encode(y), w, validation
        self.train: list[float] = []
        self.valid: list[float] = []
        self.scores: list[float] = []
        self.norms: list[float] = []

    def watch(self, step: Step) -> None:
        raw = self.Z @ step.coefficients + step.intercept
        self.train.append(float(self.loss(self.target, raw, self.w)))
        self.norms.append(step.gradient_norm)
        if self.validation is None:
            return
        raw = self.validation[0] @ step.coefficients + step.intercept
        self.valid.append(float(self.loss(self.link.encode(self.validation[1]), raw)))
        if self.metric is not None:
            self.scores.append(float(self.metric(self.validation[1], self.link.decode(raw))))

    def curve(self, stopped: str) -> TrainingCurve:
        steps = len(self.train)
        return TrainingCurve(
            tuple(range(steps)),
            tuple(self.train),
            tuple(self.valid),
            tuple(self.scores),
            tuple(self.norms),
            steps - 1,
            stopped,
        )


def clean(X: Any, y: Any, weight: Any) -> tuple[Array, Array, Array | None]:
    """Convert training data and drop rows of weight 0.

    Raises
    ------
    ValueError
        When shapes do not fit or nothing has weight.
    """
    X, y = np.asarray(X, np.float64), np.asarray(y)
    if X.ndim != 2 or y.shape != X.shape[:1] or y.size == 0:
        raise ValueError(f"X has shape {X.shape} and y has shape {y.shape}; give (n, d) and (n,) with n > 0")
    if weight is None:
        return X, y, None
    w = np.asarray(weight, np.float64)
    if w.shape != y.shape or not (w.min() >= 0 and 0 < w.max() < np.inf):
        raise ValueError(f"weight must hold {y.size} finite numbers >= 0, not all 0; its shape is {w.shape}")
    kept = w > 0
    return (X, y, w) if kept.all() else (X[kept], y[kept], w[kept])


def _moments(X: Array, w: Array | None) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of each column; 1 instead of 0 for a constant one."""
    if X.shape[1] == 0:
        return np.zeros(0), np.ones(0)
    centre = np.average(X, axis=0, weights=w)
    spread = np.sqrt(np.average(np.square(X - centre), axis=0, weights=w))
    constant = spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
    return centre, np.where(constant, 1.0, spread)


def _standardised(validation: tuple[Any, Any] | None, centre: Array, spread: Array) -> tuple[Array, Array] | None:
    if validation is None:
        return None
    return (np.asarray(validation[0], np.float64) - centre) / spread, np.asarray(validation[1])
