"""Losses as objectives and metrics of CatBoost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.elementwise import ElementwiseLoss
from ..core.loss import Loss
from ..core.registry import get
from ..optimize.curvature import WorkingCurvature, working_curvature
from ..optimize.smoothing import kinks
from .boosting import Hooks, absent

Array = np.ndarray[Any, Any]

# Newton steps that settle a leaf of a loss without curvature, each longer than the parabola's own by 1 / 0.6: held-out
# scores within 2 % of CatBoost's "Exact" leaves on two thousand rows, 10 plain steps within 8 %.
_LEAF_STEPS = 20
_SHARE = 0.6
# By which such a loss is multiplied: "Exact" leaves know no l2_leaf_reg, so neither should these.
_LOUD = 1000.0
# Residuals, relative to a block's median, below which the parabola above a kink gets no steeper.
_NARROWEST = 1e-3


def to_catboost(loss: Loss | str) -> CatBoostLoss:
    """Make a loss train CatBoost's trees.

    Parameters
    ----------
    loss : Loss or str
        On raw scores: of the residual, on a logit or log-rate, or on rows of logits.

    Returns
    -------
    CatBoostLoss
        ``train`` and ``predict``; ``objective`` and ``metric`` for CatBoost's own models.

    Raises
    ------
    ValueError
        For a loss on probabilities, rates, pairs or sequences.

    Examples
    --------
    >>> import catboost, lossmith as lm, numpy as np
    >>> X = np.arange(200.0)[:, None]
    >>> y = np.where(X[:, 0] < 100, 1000.0, 1010.0)
    >>> booster = lm.to_catboost(lm.Huber(delta=1.35))
    >>> params = {"iterations": 100, "learning_rate": 0.3, "verbose": 0, "allow_writing_files": False}
    >>> model = booster.train(params, catboost.Pool(X, y))
    >>> booster.predict(model, X[[0, 199]]).round(1).tolist()
    [1000.0, 1010.0]

    CatBoost's estimators take the objective, too; they start at 0.

    >>> estimator = catboost.CatBoostRegressor(
    ...     loss_function=booster.objective, eval_metric=booster.metric, **params
    ... )
    >>> bool(estimator.fit(X, y - 1005).predict(X[[0]])[0] < -4)
    True
    """
    return CatBoostLoss(get(loss))


def library() -> Any:
    """Import CatBoost, or say in one line how to get it."""
    try:
        import catboost
    except ImportError:
        raise absent("catboost", "catboost") from None
    return catboost


def exact_curvature(loss: Any) -> WorkingCurvature:
    """Choose as CatBoost's own objectives do: the Hessian itself wherever it is never negative."""
    if isinstance(loss, ElementwiseLoss) and loss.traits.convex and not loss.traits.constant_hessian:
        return WorkingCurvature("exact", lambda y, f, slope: loss.hessian(y, f), loss.form.curvature)
    found = working_curvature(loss)
    if found.kind != "surrogate":
        return found
    return WorkingCurvature("surrogate", lambda y, f, slope: _above_the_kink(loss, y, f))


def _above_the_kink(loss: Any, y: Array, f: Array) -> Array:
    """A share of the curvature of the parabola above the kink that touches at f; steps on it lead to the minimiser."""
    (kink,) = kinks(loss, y)
    away = np.abs(f - kink.place)
    narrowest = _NARROWEST * float(np.median(away)) or 1.0
    return np.asarray(_SHARE * kink.jump / (2.0 * np.maximum(away, narrowest)))


class _Objective:
    """One raw score a row: CatBoost asks for blocks of a thousand rows, and maximises."""

    no_jit = True  # CatBoost would try to compile the methods, and warn that it cannot

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Array:
        """Return first and second derivatives, (n, 2), of minus the loss."""
        loss: Any = self.hooks.loss
        y = self.hooks.sample(np.asarray(targets)).target.astype(np.float64)
        raw, curvature = np.asarray(approxes, np.float64), self.hooks.curvature
        found = np.empty((raw.size, 2))
        slope = loss.gradient(y, raw)
        unit = curvature.constant or 1.0
        found[:, 0] = slope / -unit
        found[:, 1] = -1.0 if curvature.constant is not None else -curvature.compute(y, raw, slope)
        if curvature.kind == "surrogate":
            found *= _LOUD
        return found if weights is None else found * np.asarray(weights, np.float64)[:, None]


class _RowObjective:
    """Several raw scores a row: CatBoost asks row by row, and takes whole Hessians."""

    no_jit = True

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def calc_ders_multi(self, approxes: Any, target: Any, weight: Any) -> tuple[Array, Array]:
        """Return gradient (k,) and Hessian (k, k) of minus the loss."""
        loss: Any = self.hooks.loss
        y, raw = np.array([int(target)]), np.asarray(approxes, np.float64)[None]
        slope, curvature = loss.gradient(y, raw), self.hooks.curvature
        if curvature.kind == "exact" and loss.traits.convex:
            hessian = loss.hessian(y, raw)[0]
        else:
            hessian = np.diag(curvature.compute(y, raw, slope)[0])
        scale = -1.0 if weight is None else -float(weight)
        return scale * slope[0], scale * hessian


class _Metric:
    """The mean loss of raw scores."""

    no_jit = True

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def is_max_optimal(self) -> bool:
        """Smaller is better."""
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """Return sums of weighted losses and of weights."""
        loss: Any = self.hooks.loss
        outputs = len(approxes) if loss.tier == "row-wise" else None
        raw = np.asarray(approxes[0], np.float64) if outputs is None else np.stack(approxes, axis=1)
        sample = self.hooks.sample(np.asarray(target), None, outputs)
        values = loss(sample.target, raw, reduction="none")
        w = np.ones(values.size) if weight is None else np.asarray(weight, np.float64)
        return float((values * w).sum()), float(w.sum())

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the mean."""
        return error / weight if weight else 0.0


@dataclass(frozen=True)
class CatBoostLoss:
    """A loss in CatBoost's habits; :func:`lossmith.to_catboost` makes it.

    How the six hooks are met. *Gradient and Hessian*: in float64, weighted once, the Hessian itself where it is never
    negative (Poisson's and Huber's, too, as in CatBoost); whole matrices for k classes. CatBoost asks for a thousand
    rows at a time for one score a row, but row by row for several, which is slow: some 0.2 ms a row and round.
    *Constant Hessian*: handed over as 1. *Leaf refit*: CatBoost's "Exact" leaves are closed to callables; for absolute,
    pinball and hinge loss ``train`` takes 20 Newton steps a leaf on the parabola above the kink, which
    lead nearly to the same value. *Initial score*: the best constant, which becomes the
    model's bias; CatBoost's own Logloss, Poisson and MultiClass start at 0. *Output link*: ``predict`` here; the model
    gives raw scores. *Label check*: once a training, and every block.

    Attributes
    ----------
    loss : Loss
        On raw scores.
    """

    loss: Loss

    def __post_init__(self) -> None:
        Hooks(self.loss)  # refuses losses that are not on raw scores

    @property
    def hooks(self) -> Hooks:
        """The six hooks."""
        return Hooks(self.loss, choose=exact_curvature)

    @property
    def objective(self) -> Any:
        """Object for ``loss_function=``."""
        return _Objective(self.hooks) if self.loss.tier == "elementwise" else _RowObjective(self.hooks)

    @property
    def metric(self) -> Any:
        """Object for ``eval_metric=``: the weighted mean loss of raw scores."""
        return _Metric(self.hooks)

    def init_score(self, label: Any, weight: Any = None) -> Any:
        """Return the raw score to start from, a float or one for each class.

        Parameters
        ----------
        label : array_like, shape (n,)
            As in training.
        weight : array_like, shape (n,), optional
            Sample weights.
        """
        return self.hooks.start(self.hooks.sample(label, weight))

    def train(self, params: dict[str, Any], pool: Any, eval_set: Any = None, **options: Any) -> Any:
        """Train as ``catboost.CatBoost(params).fit(pool)`` does, from the right start.

        Parameters
        ----------
        params : dict
            CatBoost's parameters without a loss function. The loss is the metric if there is no ``eval_metric``.
        pool : catboost.Pool
            Training rows. Rows with a baseline start there, and CatBoost leaves it out of predictions.
        eval_set : catboost.Pool, optional
            Held-out rows.
        **options
            More of ``fit``, such as ``early_stopping_rounds``.

        Returns
        -------
        catboost.CatBoost
            The start is its bias.

        Raises
        ------
        ValueError
            For labels that do not fit the loss, or a loss function in ``params``.
        """
        catboost = library()
        for name in ("loss_function", "objective"):
            if params.get(name) is not None:
                raise ValueError(f"params[{name!r}] is {params[name]!r}; leave it out, it is {self.loss!r}")
        hooks = self.hooks
        sample = hooks.sample(np.asarray(pool.get_label()), pool.get_weight(), params.get("classes_count"))
        own: dict[str, Any] = {"loss_function": self.objective, "eval_metric": self.metric}
        if sample.outputs is not None:
            own["classes_count"] = sample.outputs
            if "subsample" not in params:
                own["bootstrap_type"] = "Bayesian"  # as CatBoost does for its own MultiClass
        if hooks.refits_leaves:
            own |= {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": _LEAF_STEPS}
        start = hooks.start(sample) if _no_baseline(pool) else None
        with _started(start, [rows for rows in (pool, eval_set) if rows is not None]):
            model = catboost.CatBoost({**own, **params}).fit(pool, eval_set=eval_set, **options)
        if start is not None:
            model.set_scale_and_bias(1.0, start if sample.outputs is None else [float(s) for s in start])
        return model

    def predict(self, model: Any, X: Any, **options: Any) -> Array:
        """Return predictions on the target's scale, or class probabilities (n, k).

        Parameters
        ----------
        model : catboost.CatBoost
            What ``train`` returned.
        X : array_like, data frame or catboost.Pool
            Features.
        **options
            For ``predict``, such as ``ntree_end``.
        """
        return self.hooks.predict(model.predict(X, prediction_type="RawFormulaVal", **options))


def _no_baseline(pool: Any) -> bool:
    return bool(pool.get_baseline().shape[1] == 0)


@contextmanager
def _started(start: Any, pools: list[Any]) -> Iterator[None]:
    """Give pools the start for their baseline, and take it away again."""
    given = [] if start is None else [pool for pool in pools if _no_baseline(pool)]
    for pool in given:
        pool.set_baseline(np.tile(np.atleast_1d(np.asarray(start, np.float64)), (pool.num_row(), 1)))
    try:
        yield
    finally:
        for pool in given:
            pool.set_baseline(np.empty((pool.num_row(), 0)))
