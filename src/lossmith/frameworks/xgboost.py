"""Losses as objectives and metrics of XGBoost."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.loss import Loss
from ..core.registry import get
from ..losses.counts import GammaNLL, Tweedie
from ..losses.quantile import Quantile
from ..losses.squared import MeanAbsoluteError
from ..optimize.curvature import newton_curvature
from .boosting import Callback, Derivatives, Hooks, Objective, Sample, absent

Array = np.ndarray[Any, Any]

# From this version on a start may be one number for each class.
_VECTOR_START = (3, 1)
# From this version on XGBoost refits leaves under its own objectives only.
_NO_REFIT = (3, 4)


def softmax_factor(k: int) -> float:
    """Return 2, by which XGBoost's own softmax objective multiplies p (1 - p)."""
    return 2.0


def to_xgboost(loss: Loss | str) -> XGBoostLoss:
    """Make a loss train XGBoost's trees.

    Parameters
    ----------
    loss : Loss or str
        On raw scores: of the residual, on a logit or log-rate, or on rows of logits.

    Returns
    -------
    XGBoostLoss
        ``train`` and ``predict``; ``objective`` and ``metric`` for XGBoost's own functions and estimators.

    Raises
    ------
    ValueError
        For a loss on probabilities, rates, pairs or sequences.

    Examples
    --------
    >>> import lossmith as lm, numpy as np, xgboost
    >>> X = np.arange(200.0)[:, None]
    >>> y = np.where(X[:, 0] < 100, 1000.0, 1010.0)
    >>> booster = lm.to_xgboost(lm.Huber(delta=1.35))
    >>> model = booster.train({"learning_rate": 0.3}, xgboost.DMatrix(X, y), num_boost_round=50)
    >>> booster.predict(model, xgboost.DMatrix(X[[0, 199]])).round(1).tolist()
    [1000.0, 1010.0]

    XGBoost's estimators take the objective, too; they start at ``base_score``.

    >>> estimator = xgboost.XGBRegressor(objective=booster.objective, base_score=booster.init_score(y))
    >>> bool(estimator.fit(X, y).predict(X[[0]])[0] < 1001)
    True
    """
    return XGBoostLoss(get(loss))


def library() -> Any:
    """Import XGBoost, or say in one line how to get it."""
    try:
        import xgboost
    except ImportError:
        raise absent("xgboost", "xgboost") from None
    return xgboost


def _rows(data: Any) -> tuple[Any, Any]:
    weight = data.get_weight()
    return data.get_label(), weight if weight.size else None


class _Objective(Objective):
    def rows(self, dataset: Any) -> tuple[Any, Any]:
        return _rows(dataset)


class _Metric(Callback):
    """The mean loss; XGBoost hands raw scores to metrics when the objective is a callable."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__(hooks)
        self.__name__ = hooks.loss.name  # estimators report under it

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        if isinstance(second, np.ndarray):
            return self._value(first, second, sample_weight)
        return self.__name__, self._value(*_rows(second)[:1], first, _rows(second)[1])

    def _value(self, label: Any, raw: Array, weight: Any) -> float:
        sample, _ = self._sample(label, weight, raw.shape[1] if raw.ndim == 2 else None)
        return self.hooks.value(sample, raw)


@dataclass(frozen=True)
class XGBoostLoss:
    """A loss in XGBoost's habits; :func:`lossmith.to_xgboost` makes it.

    How the six hooks are met. *Gradient and Hessian*: in float32, weighted once; what stands in for a Hessian that is 0
    or negative is named by ``hooks.curvature.kind``, and that of Poisson's loss is taken at f + 0.7, as XGBoost does
    (which also keeps leaves within ``max_delta_step`` 0.7); Huber's loss takes the square of slope over residual, since
    XGBoost's pseudo-Huber loss takes Newton steps; k classes share 2 p (1 - p). *Constant Hessian*: XGBoost
    does not ask. *Leaf refit*: XGBoost does it itself for absolute and pinball loss, up to version 3.3; the hinge loss
    goes without, as in XGBoost's own ``binary:hinge``. *Initial score*: the best constant, as ``base_score``.
    *Output link*: ``predict`` of the trained model gives probabilities or rates where XGBoost knows the link, raw
    scores otherwise; ``predict`` here knows all. *Label check*: once a training.

    ``train`` names to XGBoost the built-in objective that has the same refit and link; its gradients are never
    asked for.

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
        return Hooks(self.loss, softmax_factor, newton_curvature)

    @property
    def objective(self) -> Any:
        """Callable for ``xgboost.train(obj=...)`` and ``XGBRegressor(objective=...)``."""
        return _Objective(self.hooks)

    @property
    def metric(self) -> Any:
        """Callable for ``custom_metric=`` and ``eval_metric=``: the weighted mean loss of raw scores."""
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

    def train(
        self,
        params: dict[str, Any],
        dtrain: Any,
        num_boost_round: int = 10,
        *,
        evals: Sequence[tuple[Any, str]] | None = None,
        custom_metric: Any = None,
        xgb_model: Any = None,
        **options: Any,
    ) -> Any:
        """Train as ``xgboost.train`` does, from the right start and with leaves refitted where XGBoost can.

        Parameters
        ----------
        params : dict
            XGBoost's parameters without an objective. A ``base_score`` there is taken as it is.
        dtrain, num_boost_round, evals, xgb_model
            As ``xgboost.train`` takes them. Rows with a ``base_margin`` start there, and a continued model where it is.
        custom_metric : callable, optional
            Gets raw scores; the loss if there is neither this nor an ``eval_metric``. XGBoost's own metrics get
            predictions.
        **options
            More of ``xgboost.train``, such as ``early_stopping_rounds`` and ``callbacks``.

        Returns
        -------
        xgboost.Booster
            An ordinary model.

        Raises
        ------
        ValueError
            For labels that do not fit the loss, or an objective in ``params``.
        """
        xgboost = library()
        if params.get("objective") is not None:
            raise ValueError(f"params['objective'] is {params['objective']!r}; leave it out, it is {self.loss!r}")
        sample = self.hooks.sample(*_rows(dtrain), params.get("num_class") or None)
        own = self._parameters(sample, xgboost)
        if xgb_model is None and "base_score" not in params and not dtrain.get_base_margin().size:
            own |= self._base_score(sample, xgboost)
        if custom_metric is None and "eval_metric" not in params and evals:
            custom_metric, own["disable_default_eval_metric"] = self.metric, True
        derivatives = Derivatives(self.hooks, sample)
        return xgboost.train(
            {**own, **params},
            dtrain,
            num_boost_round,
            evals=evals,
            obj=lambda raw, _: derivatives(raw),
            custom_metric=custom_metric,
            xgb_model=xgb_model,
            **options,
        )

    def predict(self, model: Any, data: Any, **options: Any) -> Array:
        """Return predictions on the target's scale, or class probabilities (n, k).

        Parameters
        ----------
        model : xgboost.Booster
            What ``train`` returned.
        data : xgboost.DMatrix
            Features.
        **options
            For ``Booster.predict``, such as ``iteration_range``.
        """
        return self.hooks.predict(model.predict(data, output_margin=True, **options))

    # --- parts of a training --------------------------------------------------------------------------

    def _parameters(self, sample: Sample, xgboost: Any) -> dict[str, Any]:
        """Return the built-in objective that brings the same link and leaf refit."""
        # Poisson's objective limits steps; those of the gamma family take the Hessian as it is.
        exponential = "reg:gamma" if isinstance(self.loss, GammaNLL | Tweedie) else "count:poisson"
        names = {"exp": exponential, "sigmoid": "binary:logistic", "softmax": "multi:softprob"}
        found: dict[str, Any] = {"objective": names.get(self.hooks.link.kind, "reg:squarederror")}
        if isinstance(self.loss, Quantile):
            found = {"objective": "reg:quantileerror", "quantile_alpha": self.loss.q}
        if isinstance(self.loss, MeanAbsoluteError):
            found = {"objective": "reg:absoluteerror"}
        if isinstance(self.loss, (Quantile, MeanAbsoluteError)) and _version(xgboost) >= _NO_REFIT:
            warnings.warn(
                f"XGBoost {xgboost.__version__} does not refit leaves to {self.loss!r}; use version 3.3, or LightGBM",
                UserWarning,
                stacklevel=3,
            )
        return found if sample.outputs is None else {**found, "num_class": sample.outputs}

    def _base_score(self, sample: Sample, xgboost: Any) -> dict[str, Any]:
        """Return the start on the scale on which XGBoost wants it."""
        start = self.hooks.start(sample)
        if sample.outputs is not None:
            return {"base_score": [float(s) for s in start]} if _version(xgboost) >= _VECTOR_START else {}
        if self.hooks.link.kind in ("exp", "sigmoid"):
            start = self.hooks.predict(np.array([start]))[0]
        return {"base_score": float(start)}


def _version(package: Any) -> tuple[int, int]:
    major, minor = package.__version__.split(".")[:2]
    return int(major), int(minor)
