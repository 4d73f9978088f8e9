"""The boosted learner: LightGBM grows the trees, our losses give gradients, curvatures, start and leaf values."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.boosting import Derivatives, Hooks, Sample
from lossmith.frameworks.leaves import LeafRefit, add_leaves
from lossmith.frameworks.lightgbm import boosting_available, softmax_factor
from lossmith.frameworks.links import Affine, Link
from lossmith.losses import MeanAbsoluteError
from lossmith.workflow.fitted import Fitted, TrainingCurve
from lossmith.workflow.linear import Metric, clean
from lossmith.workflow.links import has_unit, link_for, robust_units

Array = np.ndarray[Any, Any]

DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 20,
    "reg_lambda": 0.0,
}
_PILOT_ROUNDS = 40


@dataclass(frozen=True)
class BoostedModel:
    """Trees, and the constant they start from.

    Attributes
    ----------
    text : str
        LightGBM's text format: numbers only, nothing in it is run.
    start : float or ndarray of shape (k,)
        Added to the trees' sum.
    threads : int
        Threads for predicting.
    """

    text: str
    start: Any
    threads: int = 1

    @functools.cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def __getstate__(self) -> dict[str, Any]:
        return {"text": self.text, "start": self.start, "threads": self.threads}

    def raw(self, X: Any) -> Array:
        """Return raw scores, (n,) or (n, k)."""
        X = _columns(X)
        if self._booster.num_trees() == 0:
            return np.tile(np.asarray(self.start, np.float64), (X.shape[0],) + (1,) * np.ndim(self.start))
        trees = self._booster.predict(X, raw_score=True, num_threads=self.threads)
        return np.asarray(np.asarray(trees) + self.start)

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "boosted", "start": np.asarray(self.start).tolist(), "lightgbm": self.text}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BoostedModel:
        """Make a model from what ``to_config`` returned."""
        start = config["start"]
        return cls(str(config["lightgbm"]), np.asarray(start, np.float64) if isinstance(start, list) else float(start))


@dataclass(frozen=True)
class BoostedLearner:
    """Grow gradient-boosted trees under any loss on raw scores.

    The first score is the loss's best constant. Where a loss has no curvature (absolute, pinball, hinge) trees are
    grown on the surrogate 1 and each leaf is then set to the loss's exact minimiser in it. Where the Hessian
    can vanish or be negative (Huber, log-cosh, Tukey, focal) a majoriser's or Gauss-Newton curvature is used. Several
    classes share one diagonal curvature times k / (k - 1), as in LightGBM's own softmax objective.

    Parameters
    ----------
    loss : Loss
        As for :class:`~lossmith.workflow.linear.LinearLearner`.
    params : mapping
        LightGBM parameters that differ from learning_rate 0.05, num_leaves 31, min_child_samples 20.
    categorical : tuple of int
        Columns that hold category codes.
    scale : float, optional
        Robust standard deviation of the residuals in the target's unit. By default, for losses that have a
        unit, it is measured on one half of the rows around a short least absolute error fit to the other half.
    """

    loss: Loss
    params: Mapping[str, Any] = field(default_factory=dict)
    categorical: tuple[int, ...] = ()
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
        patience: int = 50,
    ) -> Fitted:
        """Train.

        Parameters
        ----------
        X : ndarray, shape (n, d)
            Features; NaN means missing.
        y : ndarray, shape (n,)
            Numbers, or class codes 0 ... k-1.
        weight : ndarray, shape (n,), optional
            Sample weights >= 0.
        validation : (X, y), optional
            Held-out rows on which the number of trees is chosen.
        metric : callable, optional
            ``metric(y, prediction) -> float``, smaller is better; the mean loss if not given.
        seed : int
            Of everything random that ``params`` asks for.
        iterations : int
            Most rounds.
        seconds : float
            Wall time after which the best model so far is returned.
        classes : int, optional
            Number of classes for row-wise losses; by default the largest code + 1.
        threads : int
            Threads of LightGBM.
        patience : int
            Rounds without a better score after which training stops, if there are validation rows.

        Returns
        -------
        Fitted
            The model of the best round.

        Raises
        ------
        ValueError
            When LightGBM cannot be used here, or data do not fit.
        """
        if (fault := boosting_available()) is not None:
            raise ValueError(fault)
        began = time.perf_counter()
        X, y, w = clean(_columns(X), y, weight)
        validation = None if validation is None else (_columns(validation[0]), np.asarray(validation[1]))
        link = self._link(X, y, w, seed, threads)
        w = np.ones(y.size) if w is None else w * (y.size / w.sum())
        outputs = (classes or int(y.max()) + 1) if self.loss.tier == "row-wise" else None
        hooks = Hooks(self.loss, softmax_factor)
        sample = Sample(link.encode(y), w.astype(np.float32), outputs)
        start = hooks.start(sample)
        booster = _booster(X, self._parameters(seed, threads, outputs), self.categorical)
        rounds = _Rounds(hooks, link, sample, start, X, booster, threads, validation, metric)
        rounds.run(iterations, began + seconds, patience)
        text = booster.model_to_string(num_iteration=rounds.best) if rounds.best else _no_trees(booster)
        return Fitted(self.loss, link, BoostedModel(text, start, threads), rounds.curve(), hooks.curvature.kind)

    def _parameters(self, seed: int, threads: int, outputs: int | None) -> dict[str, Any]:
        return {
            **DEFAULTS,
            **self.params,
            "objective": "none",
            "num_class": outputs or 1,
            "seed": seed,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def _link(self, X: Array, y: Array, w: Array | None, seed: int, threads: int) -> Link:
        link = link_for(self.loss, y, w)
        if not isinstance(link, Affine) or not has_unit(self.loss):
            return link
        scale = self.scale or self._residual_scale(X, y, w, seed, threads)
        return replace(link, scale=max(scale, 1e-6 * link.scale))

    def _residual_scale(self, X: Array, y: Array, w: Array | None, seed: int, threads: int) -> float:
        if y.size < 40:
            return robust_units(y, w)[1]
        half = np.random.default_rng(seed).permutation(y.size) % 2 == 0
        pilot = replace(self, loss=MeanAbsoluteError(), params={**self.params, "learning_rate": 0.1})
        fitted = pilot.fit(
            X[half], y[half], None if w is None else w[half], seed=seed, iterations=_PILOT_ROUNDS, threads=threads
        )
        residuals = y[~half] - fitted.predict(X[~half])
        return robust_units(residuals, None if w is None else w[~half])[1]


def _columns(X: Any) -> Array:
    """Features as floats; a table without columns gets one of zeros, which LightGBM needs."""
    X = np.asarray(X, np.float64)
    return np.zeros((X.shape[0], 1)) if X.ndim == 2 and X.shape[1] == 0 else X


def _booster(X: Array, params: dict[str, Any], categorical: tuple[int, ...]) -> Any:
    import lightgbm

    data = lightgbm.Dataset(
        X, label=np.zeros(X.shape[0]), params=params, categorical_feature=list(categorical), free_raw_data=False
    )
    return lightgbm.Booster(params=params, train_set=data)


def _no_trees(booster: Any) -> str:
    for _ in range(booster.current_iteration()):
        booster.rollback_one_iter()
    return str(booster.model_to_string())


@dataclass
class _Rounds:
    """The rounds of one training, with scores of training and validation rows kept by ourselves."""

    hooks: Hooks
    link: Link
    sample: Sample
    start: Any
    X: Array
    booster: Any
    threads: int
    validation: tuple[Any, Any] | None
    metric: Metric | None
    best: int = 0
    stopped: str = "iteration limit"
    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    @property
    def loss(self) -> Loss:
        """Return the loss."""
        return self.hooks.loss

    def run(self, iterations: int, deadline: float, patience: int) -> None:
        self._prepare()
        done, best_score = 0, self._judge()
        while done < iterations:
            if time.perf_counter() >= deadline:
                self.stopped = "time limit"
                break
            if self._grow():
                self.stopped = "no split left"
                break
            done += 1
            score = self._judge()
            if self.validation is None or score < best_score:
                self.best, best_score = done, score
            elif done - self.best >= patience:
                self.stopped = "early stopping"
                break
        if len(self.train) == done:
            self._note(self._final_score())

    def _final_score(self) -> Array:
        if self.refit is not None or self.booster.num_trees() == 0:
            return self.score
        trees = self.booster.predict(self.X, raw_score=True, num_threads=self.threads)
        return np.asarray(np.asarray(trees) + self.start)

    def _prepare(self) -> None:
        self.score = self._constant(self.X.shape[0])
        self.rate = float(self.booster.params["learning_rate"])
        # LightGBM fails, loudly, when no feature has two bins.
        self.splittable = bool(self.booster.dump_model()["feature_infos"])
        self.derivatives = Derivatives(self.hooks, self.sample, "F")
        refits = self.hooks.refits_leaves
        self.refit = LeafRefit(self.loss, self.sample.target, self.sample.weight) if refits else None
        if self.validation is not None:
            self.X_valid, self.y_valid = self.validation
            self.target_valid = self.link.encode(self.y_valid)
            self.score_valid = self._constant(self.X_valid.shape[0])

    def _constant(self, n: int) -> Array:
        return np.tile(np.asarray(self.start, np.float64), (n,) + (1,) * np.ndim(self.start))

    def _grow(self) -> bool:
        """Grow one round of trees and add them to the scores; True if there was nothing to split."""
        if not self.splittable or self.booster.update(fobj=self._derivatives):
            return True
        if self.refit is not None:
            self._renew(self.refit)
        if self.validation is not None:
            self.score_valid = self.score_valid + self._latest(self.X_valid)
        return False

    def _derivatives(self, sums: Array, _: Any) -> tuple[Array, Array]:
        if self.refit is None:
            self.score = np.asarray(sums, np.float64) + self.start
        self._note(self.score)
        return self.derivatives(self.score)

    def _note(self, score: Array) -> None:
        values, slopes = self.loss.value_and_gradient(self.sample.target, score)
        self.train.append(float(np.average(values, weights=self.sample.weight)))
        self.norms.append(float(np.sqrt(np.mean(np.square(slopes)))))

    def _renew(self, refit: LeafRefit) -> None:
        last = self.booster.current_iteration() - 1
        leaf = np.asarray(
            self.booster.predict(
                self.X, pred_leaf=True, start_iteration=last, num_iteration=1, num_threads=self.threads
            )
        ).reshape(-1)
        values = self.rate * refit.values(self.score, leaf.astype(np.int32), int(leaf.max()) + 1)
        for number, value in enumerate(values):
            self.booster.set_leaf_output(last, number, float(value))
        add_leaves(self.score, leaf, values)

    def _latest(self, X: Array) -> Array:
        last = self.booster.current_iteration() - 1
        return np.asarray(
            self.booster.predict(X, raw_score=True, start_iteration=last, num_iteration=1, num_threads=self.threads)
        )

    def _judge(self) -> float:
        if self.validation is None:
            return math.nan
        self.valid.append(float(self.loss(self.target_valid, self.score_valid)))
        if self.metric is None:
            return self.valid[-1]
        self.scores.append(float(self.metric(self.y_valid, self.link.decode(self.score_valid))))
        return self.scores[-1]

    def curve(self) -> TrainingCurve:
        count = min(len(self.train), len(self.valid)) if self.validation is not None else len(self.train)
        return TrainingCurve(
            tuple(range(count)),
            tuple(self.train[:count]),
            tuple(self.valid[:count]),
            tuple(self.scores[:count]),
            tuple(self.norms[:count]),
            self.best,
            self.stopped,
        )
