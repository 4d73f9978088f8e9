"""From a plan and a table to a trained model: preparation, learner, inner validation, settings, weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.registry import from_config
from lossmith.select.facts import Facts
from lossmith.select.metrics import METRICS, Metric
from lossmith.workflow.learners import BoostedLearner, Fitted, LinearLearner, boosting_available, revive
from lossmith.workflow.prepare import Preparation
from lossmith.workflow.records import Curve
from lossmith.workflow.scoring import error, score

if TYPE_CHECKING:
    import pandas as pd

    from lossmith.workflow.trials import Plan, Problem

Array = np.ndarray[Any, Any]
LINEAR_STEPS, ROUNDS, RATE, _PATIENCE = 300, 400, 0.1, 25
_INNER = 0.2  # of the training rows, to choose the number of rounds
_POINTS = 200
_RESTART_ROWS = 1000


@dataclass(frozen=True)
class Fit:
    """A table of features in, raw scores and predictions out.

    Attributes
    ----------
    prepared : Preparation
        From the table to the learner's numbers.
    fitted : Fitted
        The trained model.
    learner : str
        "linear" or "boosted".
    curve : Curve or None
        How training went; label and fold are the caller's to fill in.
    rounds : int
        Iterations of the model that was kept.
    """

    prepared: Preparation
    fitted: Fitted
    learner: str
    curve: Curve | None
    rounds: int

    def raw(self, X: pd.DataFrame) -> Array:
        """Return raw scores, (n,) or (n, k), in the unit in which the loss was trained."""
        return self.fitted.raw(_numbers(self.prepared, self.learner, X))

    def respond(self, raw: Array) -> Array:
        """Turn raw scores into numbers, probabilities of class 1, or rows of class probabilities."""
        response = self.fitted.link.decode(raw)
        two = response.ndim == 2 and response.shape[1] == 2 and raw.ndim == 1
        return np.asarray(response[:, 1] if two else response)

    def encode(self, y: Array) -> Array:
        """Return targets in the coding and unit of the loss."""
        return self.fitted.encode(y)

    def to_config(self) -> tuple[dict[str, Any], str | None]:
        """Return a JSON-able description, and the trees in LightGBM's own text if there are any."""
        config = self.fitted.to_config()
        model = dict(config["model"])
        trees = model.pop("lightgbm", None)
        saved = {"learner": self.learner, "prepared": self.prepared.to_config(), "rounds": self.rounds}
        return {**saved, "fitted": {**config, "model": model}}, trees


def fit_from_config(config: dict[str, Any], trees: str | None) -> Fit:
    """Make a fit from what ``Fit.to_config`` returned."""
    fitted = dict(config["fitted"])
    if trees is not None:
        fitted["model"] = {**fitted["model"], "lightgbm": trees}
    prepared = Preparation.from_config(config["prepared"])
    return Fit(prepared, revive(fitted), config["learner"], None, config["rounds"])


def available_learners() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the learners that work here, the cheap one first, and a note on what is missing."""
    missing = boosting_available()
    if missing is None:
        return ("linear", "boosted"), ()
    return ("linear",), (f"no boosted trees in this run: {missing}",)


def _numbers(prepared: Preparation, learner: str, X: pd.DataFrame) -> Array:
    return np.asarray(prepared.linear(X) if learner == "linear" else prepared.trees(X), dtype=np.float64)


def fit(
    plan: Plan,
    X: pd.DataFrame,
    y: Array,
    facts: Facts,
    metric: Metric,
    seed: int,
    *,
    watch: tuple[pd.DataFrame, Array] | None = None,
    rounds: int | None = None,
    seconds: float = math.inf,
) -> Fit:
    """Train.

    Parameters
    ----------
    plan : Plan
        Loss, learner and settings.
    X : DataFrame
        Features.
    y : ndarray, shape (n,)
        Numbers or class codes.
    facts : Facts
        Problem analysis.
    metric : Metric
        Chooses the number of boosting rounds on inner validation rows.
    seed : int
        Of the learner and the inner validation rows.
    watch : (DataFrame, ndarray), optional
        Rows for the linear learner's curve; nothing is chosen on them.
    rounds : int, optional
        A fixed number of boosting rounds; no rows are then set aside to choose it.
    seconds : float
        Wall time after which the best model so far is taken.

    Returns
    -------
    Fit
    """
    loss, prepared = from_config(plan.config), Preparation.fit(X, facts)
    table, classes = _numbers(prepared, plan.learner, X), len(facts.classes) or None
    weight = _weights(y, plan.settings)
    if plan.learner == "linear":
        alpha = _ridge(len(y)) * float(plan.settings.get("regularisation", 1.0))
        steps = int(plan.settings.get("iterations", LINEAR_STEPS))
        seen = None if watch is None else (_numbers(prepared, "linear", watch[0]), watch[1])
        fitted = LinearLearner(loss, alpha=alpha).fit(
            table, y, weight, seen, iterations=steps, seconds=seconds, classes=classes
        )
    else:
        fitted = _boost(loss, plan, prepared, (table, y, weight), metric, seed, rounds, seconds, classes)
    return Fit(prepared, fitted, plan.learner, _curve(plan, fitted), fitted.curve.best if fitted.curve else 0)


def _ridge(rows: int) -> float:
    """Strength of the default L2 penalty: 1 / (2 n), which for the cross-entropy is C = 1 of other libraries."""
    return 1.0 / (2.0 * rows)


def _boost(
    loss: Loss,
    plan: Plan,
    prepared: Preparation,
    data: tuple[Array, Array, Array | None],
    metric: Metric,
    seed: int,
    rounds: int | None,
    seconds: float,
    classes: int | None,
) -> Fitted:
    table, y, weight = data
    learner = BoostedLearner(loss, _boosting(plan.settings), prepared.tree_categories)
    most = int(plan.settings.get("iterations", ROUNDS))
    if rounds is not None:
        return learner.fit(table, y, weight, seed=seed, iterations=max(rounds, 1), seconds=seconds, classes=classes)
    kept, held = _inner(y, classes, seed)
    return learner.fit(
        table[kept],
        y[kept],
        None if weight is None else weight[kept],
        (table[held], y[held]),
        metric=_Judge(metric),
        seed=seed,
        iterations=most,
        seconds=seconds,
        classes=classes,
        patience=_PATIENCE,
    )


def _boosting(settings: dict[str, Any]) -> dict[str, Any]:
    """LightGBM's parameters; stronger regularisation means smaller trees of larger, shrunken leaves."""
    strength = float(settings.get("regularisation", 1.0))
    params: dict[str, Any] = {"learning_rate": float(settings.get("learning_rate", RATE))}
    if strength > 1.0:
        params |= {"num_leaves": 7, "min_child_samples": 40, "reg_lambda": strength}
    elif strength < 1.0:
        params |= {"num_leaves": 63, "min_child_samples": 5}
    return params


class _Judge:
    """The metric on validation rows, smaller is better; log-loss for decisions and orders, which move in jumps."""

    def __init__(self, metric: Metric) -> None:
        self.metric = METRICS["log_loss"] if metric.functional in ("class", "ranking") else metric

    def __call__(self, y: Array, prediction: Array) -> float:
        two = prediction.ndim == 2 and prediction.shape[1] == 2
        return error(self.metric, score(self.metric, y, prediction[:, 1] if two else prediction))


def _inner(y: Array, classes: int | None, seed: int) -> tuple[Array, Array]:
    """Split rows to learn from and rows to choose the rounds on, every class in both where it has two rows."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(y.size)
    enough = classes is not None and np.bincount(y, minlength=classes).min() >= 5
    split = train_test_split(rows, test_size=_INNER, random_state=seed, stratify=y if enough else None)
    return np.sort(split[0]), np.sort(split[1])


def _weights(y: Array, settings: dict[str, Any]) -> Array | None:
    if settings.get("class_weights") != "balanced":
        return None
    counts = np.bincount(y)
    return np.asarray(y.size / (np.count_nonzero(counts) * counts[y]))


def _curve(plan: Plan, fitted: Fitted) -> Curve | None:
    curve = fitted.curve
    if curve is None:
        return None
    picked = _thin(len(curve.iterations))

    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in picked) if values else ()

    return Curve(
        plan.label,
        plan.learner,
        -1,
        pick(curve.iterations),
        pick(curve.train),
        pick(curve.valid),
        pick(curve.gradient_norm),
        curve.best,
        curve.stopped,
    )


def _thin(count: int) -> list[int]:
    if count <= _POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (_POINTS - 1)) for i in range(_POINTS)})


def restarts_of(plan: Plan, problem: Problem) -> tuple[float, ...]:
    """Solve the linear problem of a loss that is not convex from several starts.

    Parameters
    ----------
    plan : Plan
        The chosen model.
    problem : Problem
        Data and question.

    Returns
    -------
    tuple of float
        Final objectives; empty for convex losses, which have one minimum, and for boosted trees, which have
        no starting point to vary.
    """
    from lossmith.optimize import L2, solve

    loss = from_config(plan.config)
    if loss.traits.convex or plan.learner != "linear":
        return ()
    X, y = problem.X[:_RESTART_ROWS], problem.y[:_RESTART_ROWS]
    fitted = fit(plan, X, y, problem.facts, problem.metric, problem.seed)
    table = _numbers(fitted.prepared, "linear", X)
    table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-12)
    outputs = len(problem.facts.classes) if loss.tier == "row-wise" else None
    rng, shape = np.random.default_rng(problem.seed), (table.shape[1],) + ((outputs,) if outputs else ())
    target, tail = fitted.encode(y), 0.0 if outputs is None else np.zeros(outputs)
    starts = [None, *((rng.normal(size=shape), tail) for _ in range(2))]
    return tuple(
        solve(
            loss, table, target, penalty=L2(_ridge(len(y))), outputs=outputs, start=start, max_iterations=100
        ).objective
        for start in starts
    )
