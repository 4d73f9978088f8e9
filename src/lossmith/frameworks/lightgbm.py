"""Losses as objectives and metrics of LightGBM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.loss import Loss
from ..core.registry import get
from .boosting import Callback, Derivatives, Hooks, Objective, Sample
from .lightgbm_refit import Refitting
from .links import Link

Array = np.ndarray[Any, Any]

_OBJECTIVE_NAMES = ("objective", "objective_type", "app", "application", "loss")
_METRIC_NAMES = ("metric", "metrics", "metric_types")
_BOOSTING_NAMES = ("boosting", "boosting_type", "boost")
_CLASSES_NAMES = ("num_class", "num_classes")
# Metrics of LightGBM that mean the same on raw scores.
_ORDER_ONLY = {"", "none", "null", "custom", "na", "auc", "average_precision"}


def softmax_factor(k: int) -> float:
    """Return k / (k - 1), by which LightGBM's own softmax objective multiplies p (1 - p)."""
    return k / (k - 1.0)


def to_lightgbm(loss: Loss | str) -> LightGBMLoss:
    """Make a loss train LightGBM's trees.

    Parameters
    ----------
    loss : Loss or str
        On raw scores: of the residual, on a logit or log-rate, or on rows of logits.

    Returns
    -------
    LightGBMLoss
        ``train`` and ``predict``; ``objective`` and ``metric`` for LightGBM's own functions and estimators.

    Raises
    ------
    ValueError
        For a loss on probabilities, rates, pairs or sequences.

    Examples
    --------
    >>> import lightgbm, lossmith as lm, numpy as np
    >>> X = np.arange(200.0)[:, None]
    >>> y = np.where(X[:, 0] < 100, 1000.0, 1010.0)
    >>> booster = lm.to_lightgbm(lm.Huber(delta=1.35))
    >>> model = booster.train({"verbosity": -1}, lightgbm.Dataset(X, y), num_boost_round=100)
    >>> booster.predict(model, X[[0, 199]]).round(1).tolist()
    [1000.0, 1010.0]

    LightGBM's estimators take the objective, too; they start at 0 unless ``fit`` is given an ``init_score``.

    >>> estimator = lightgbm.LGBMRegressor(objective=lm.to_lightgbm(lm.MeanSquaredError()).objective, verbosity=-1)
    >>> float(estimator.fit(X, y - 1005).predict(X[[0]])[0]) < -4.9
    True
    """
    return LightGBMLoss(get(loss))


def boosting_available() -> str | None:
    """Tell why LightGBM cannot be used here: None if it can, else one line that says how to get it."""
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        return "LightGBM is not installed; pip install lightgbm"
    except OSError as fault:
        if "gomp" in str(fault) or "omp" in str(fault):
            return "LightGBM needs the system's OpenMP runtime; on Debian or Ubuntu: apt-get install libgomp1"
        return f"LightGBM does not load: {str(fault).splitlines()[0]}"
    return None


def library() -> Any:
    """Import LightGBM, or say in one line how to get it."""
    if (fault := boosting_available()) is not None:
        raise ImportError(fault)
    import lightgbm

    return lightgbm


class _Objective(Objective):
    """LightGBM's arrays of k classes hold one class after the other."""

    order = "F"

    def rows(self, dataset: Any) -> tuple[Any, Any]:
        return dataset.get_label(), dataset.get_weight()


class _Metric(Callback):
    """The mean loss; LightGBM hands raw scores to metrics when the objective is a callable."""

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[str, float, bool]:
        if isinstance(second, np.ndarray):
            label, raw = first, second
        else:
            label, sample_weight, raw = second.get_label(), second.get_weight(), first
        sample, _ = self._sample(label, sample_weight, raw.shape[1] if raw.ndim == 2 else None)
        return self.hooks.loss.name, self.hooks.value(sample, raw), False


@dataclass(frozen=True)
class LightGBMLoss:
    """A loss in LightGBM's habits; :func:`lossmith.to_lightgbm` makes it.

    How the six hooks are met. *Gradient and Hessian*: in float32, weighted once; what stands in for a Hessian that is 0
    or negative is named by ``hooks.curvature.kind``, and that of Poisson's loss is taken at f + 0.7, as by LightGBM's
    ``poisson_max_delta_step``; k classes share p (1 - p) k / (k - 1). *Constant Hessian*: handed over as 1;
    LightGBM cannot be told that it is constant, which costs a few per cent of its time. *Leaf refit*: for absolute,
    pinball and hinge loss ``train`` sets each new leaf to the exact minimiser over all its rows (LightGBM's
    own interpolates between two rows, and looks at the bagged rows only); the callable alone cannot. *Initial score*:
    the best constant, which becomes part of the first tree. *Output link*: ``predict`` of the trained model gives
    probabilities or rates where LightGBM knows the link, raw scores otherwise; ``predict`` here knows all.
    *Label check*: once a training.

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
        return Hooks(self.loss, softmax_factor)

    @property
    def objective(self) -> Any:
        """Callable for ``lightgbm.train({"objective": ...})`` and ``LGBMRegressor(objective=...)``."""
        return _Objective(self.hooks)

    @property
    def metric(self) -> Any:
        """Callable for ``feval=`` and ``eval_metric=``: the weighted mean loss of raw scores."""
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
        train_set: Any,
        num_boost_round: int = 100,
        valid_sets: Sequence[Any] | Any = None,
        valid_names: Sequence[str] | str | None = None,
        feval: Any = None,
        init_model: Any = None,
        keep_training_booster: bool = False,
        callbacks: Sequence[Any] | None = None,
    ) -> Any:
        """Train as ``lightgbm.train`` does, from the right start and with leaves refitted where the loss needs it.

        Parameters
        ----------
        params : dict
            LightGBM's parameters without an objective.
        train_set, num_boost_round, valid_sets, valid_names, init_model, keep_training_booster, callbacks
            As ``lightgbm.train`` takes them. A ``train_set`` with an ``init_score`` starts there, and LightGBM leaves
            it out of predictions.
        feval : callable or list of callables, optional
            Metrics; the loss if there is neither this nor a metric in ``params``. They get raw scores.

        Returns
        -------
        lightgbm.Booster
            The start is part of the first tree.

        Raises
        ------
        ValueError
            For labels that do not fit the loss, an objective in ``params``, a metric that would misread raw scores.
        """
        lightgbm = library()
        sample = self._sample(train_set, params)
        params = self._parameters(params, sample, feval)
        start = None if init_model is not None or _has_init_score(train_set) else self.hooks.start(sample)
        valid_sets = [valid_sets] if isinstance(valid_sets, lightgbm.Dataset) else list(valid_sets or ())
        metrics = self._metrics(params, feval)
        objective: Any = _Round(Derivatives(self.hooks, sample, "F"))
        if self.hooks.refits_leaves:
            objective = refitting = Refitting(self.loss, sample, objective.derivatives, train_set, metrics)
            metrics, callbacks = [refitting.metric], [*refitting.callbacks, *(callbacks or ())]
        with _started(start, [train_set, *(data for data in valid_sets if data is not train_set)]):
            model = lightgbm.train(
                {**params, "objective": objective},
                train_set,
                num_boost_round,
                valid_sets=valid_sets or None,
                valid_names=valid_names,
                feval=metrics if valid_sets else None,
                init_model=init_model,
                keep_training_booster=True,
                callbacks=callbacks,
            )
        if start is not None:
            add_start(model, start)
        return model if keep_training_booster else self._finished(model, sample)

    def predict(self, model: Any, X: Any, **options: Any) -> Array:
        """Return predictions on the target's scale, or class probabilities (n, k).

        Parameters
        ----------
        model : lightgbm.Booster
            What ``train`` returned.
        X : array_like or data frame, shape (n, d)
            Features.
        **options
            For ``Booster.predict``, such as ``num_iteration``.
        """
        return self.hooks.predict(model.predict(X, raw_score=True, **options))

    # --- parts of a training --------------------------------------------------------------------------

    def _sample(self, data: Any, params: dict[str, Any]) -> Sample:
        label, weight, group = _fields(data)
        declared = next((int(params[name]) for name in _CLASSES_NAMES if params.get(name)), None)
        return self.hooks.sample(label, weight, declared, group)

    def _parameters(self, params: dict[str, Any], sample: Sample, feval: Any) -> dict[str, Any]:
        for name in _OBJECTIVE_NAMES:
            if params.get(name) is not None:
                raise ValueError(f"params[{name!r}] is {params[name]!r}; leave it out, the objective is {self.loss!r}")
        boosting = next((params[name] for name in _BOOSTING_NAMES if name in params), "gbdt")
        if boosting == "rf" or (boosting == "dart" and self.hooks.refits_leaves):
            raise ValueError(f"boosting={boosting!r} does not work with {self.loss!r}; use boosting='gbdt'")
        params = {name: value for name, value in params.items() if name not in (*_OBJECTIVE_NAMES, *_CLASSES_NAMES)}
        own = next((params[name] for name in _METRIC_NAMES if name in params), None)
        self._check_metrics(own)
        return {**params, "num_class": sample.outputs or 1, **({"metric": "None"} if own is None else {})}

    def _check_metrics(self, metrics: Any) -> None:
        names = metrics.split(",") if isinstance(metrics, str) else list(metrics or ())
        other = [name for name in names if str(name).strip().lower() not in _ORDER_ONLY]
        if self.hooks.refits_leaves and [name for name in names if str(name).lower() != "none"]:
            raise ValueError(f"metric={metrics!r} would see leaves that are not refitted yet; pass feval= instead")
        if other and self.hooks.link.kind != "identity":
            raise ValueError(
                f"metric={other[0]!r} would take the raw scores of {self.loss!r} for predictions; pass feval= instead"
            )

    def _metrics(self, params: dict[str, Any], feval: Any) -> list[Any]:
        if feval is not None:
            return list(feval) if isinstance(feval, (list, tuple)) else [feval]
        given = [params[name] for name in _METRIC_NAMES if name in params]
        return [self.metric] if given == ["None"] else []

    def _finished(self, model: Any, sample: Sample) -> Any:
        """Read the model back from its text, with the link that LightGBM shall apply."""
        text, name = model.model_to_string(), _name_of(self.hooks.link, sample.outputs)
        if name is not None:
            text = text.replace("\nfeature_names=", f"\nobjective={name}\nfeature_names=", 1)
        return model.model_from_string(text).free_dataset()


@dataclass(frozen=True)
class _Round:
    """The objective of one training; LightGBM makes a deep copy of its parameters, the buffers must stay."""

    derivatives: Derivatives

    def __call__(self, raw: Array, _: Any) -> tuple[Array, Array]:
        return self.derivatives(raw)

    def __deepcopy__(self, memo: Any) -> _Round:
        return self


def _name_of(link: Link, outputs: int | None) -> str | None:
    """Return LightGBM's name for a link, if it has one."""
    names = {"exp": "poisson", "sigmoid": "binary sigmoid:1", "softmax": f"multiclass num_class:{outputs}"}
    return names.get(link.kind)


def _fields(data: Any) -> tuple[Any, Any, Any]:
    """Return labels, weights and groups: as they were given, or as LightGBM read them from a file or a part."""
    if data.label is not None:
        return data.label, data.weight, data.group
    data.construct()
    return data.get_label(), data.get_weight(), data.get_group()


def _has_init_score(data: Any) -> bool:
    return data.init_score is not None


@contextmanager
def _started(start: Any, datasets: list[Any]) -> Iterator[None]:
    """Give datasets the start for their initial score, and take it away again."""
    given = [] if start is None else [data for data in datasets if not _has_init_score(data)]
    for data in given:
        rows = np.size(_fields(data)[0])
        # One class after the other.
        data.set_init_score(np.repeat(np.atleast_1d(np.asarray(start, np.float64)), rows))
    try:
        yield
    finally:
        for data in given:
            data.init_score = None
            if data._handle is not None:
                data.set_field("init_score", None)


def add_start(model: Any, start: Any) -> None:
    """Add the start to every leaf of the first round's trees, so that the model needs nothing else.

    Parameters
    ----------
    model : lightgbm.Booster
        With at least one round.
    start : float or ndarray, shape (k,)
        The raw score training began with.
    """
    trees = model.dump_model(num_iteration=1)["tree_info"]
    for number, (tree, score) in enumerate(zip(trees, np.atleast_1d(start), strict=True)):
        for leaf in range(tree["num_leaves"]):
            model.set_leaf_output(number, leaf, model.get_leaf_output(number, leaf) + float(score))
