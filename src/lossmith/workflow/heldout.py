"""Held-out predictions of a trained plan, put together from its folds, and what may be done to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmith.select.metrics import Metric
from lossmith.workflow.adjust import cross_adjust, fit_adjustment
from lossmith.workflow.scoring import decide, error, score
from lossmith.workflow.trials import Plan, Problem, Trial

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Model:
    """A plan with what happens to its predictions, judged on held-out rows only.

    Attributes
    ----------
    plan : Plan
        What was trained.
    raw : ndarray, shape (n,) or (n, k)
        Held-out raw scores of all rows.
    target : ndarray, shape (n,)
        Targets in the loss's coding and unit, to be held against ``raw``.
    rounds : int
        Iterations of the models that were kept, mean over the folds.
    base : ndarray, shape (n,) or (n, k)
        Held-out predictions before any adjustment.
    prediction : ndarray, shape (n,) or (n, k)
        After the adjustment, which for each fold was fitted on the other folds.
    adjustment : str
        Kind of adjustment, "" for none.
    thresholds : ndarray, shape (folds,)
        Decision threshold used on each fold; 0.5 unless tuned on the other folds.
    tuned : bool
        Whether the thresholds were tuned.
    folds : tuple of float
        The metric on each fold.
    """

    plan: Plan
    raw: Array
    target: Array
    rounds: int
    base: Array
    prediction: Array
    adjustment: str
    thresholds: Array
    tuned: bool
    folds: tuple[float, ...]


def collect(problem: Problem, plan: Plan, trials: Iterable[Trial]) -> Model | None:
    """Put the folds of a plan together.

    Parameters
    ----------
    problem : Problem
        Data and question.
    plan : Plan
        Which one.
    trials : iterable of Trial
        May hold trials of other plans.

    Returns
    -------
    Model or None
        None unless every fold finished without failure.
    """
    own = {t.record.fold: t for t in trials if _is_of(t, plan) and not t.record.failure}
    if len(own) < problem.folds:
        return None
    raw = _spread(problem, {fold: trial.raw for fold, trial in own.items()})
    target = _spread(problem, {fold: trial.target for fold, trial in own.items()})
    rounds = round(float(np.mean([trial.rounds for trial in own.values()])))
    prediction = _spread(problem, {fold: trial.prediction for fold, trial in own.items()})
    scores = tuple(float(own[fold].record.score or 0.0) for fold in range(problem.folds))
    half = np.full(problem.folds, 0.5)
    return Model(plan, raw, target, rounds, prediction, prediction, "", half, False, scores)


def _is_of(trial: Trial, plan: Plan) -> bool:
    record = trial.record
    return (record.config, record.learner, record.settings) == (plan.config, plan.learner, plan.settings)


def _spread(problem: Problem, parts: dict[int, Array]) -> Array:
    whole = np.empty((problem.y.size, *parts[0].shape[1:]))
    for fold, part in parts.items():
        whole[problem.fold == fold] = part
    return whole


def adjusted(problem: Problem, model: Model, kind: str) -> Model:
    """Return the model with recalibrated predictions, each fold by the others."""
    level = problem.metric.level
    prediction = cross_adjust(kind, problem.y, model.base, problem.fold, level)
    return _rescored(problem, dataclasses.replace(model, prediction=prediction, adjustment=kind))


def thresholded(problem: Problem, model: Model) -> Model:
    """Return the model with the decision threshold of each fold tuned on the others (two classes)."""
    thresholds = np.empty(problem.folds)
    for fold in range(problem.folds):
        others = problem.fold != fold
        thresholds[fold] = best_threshold(problem.metric, problem.y[others], model.prediction[others])
    return _rescored(problem, dataclasses.replace(model, thresholds=thresholds, tuned=True))


def _rescored(problem: Problem, model: Model) -> Model:
    folds = []
    for fold in range(problem.folds):
        own = problem.fold == fold
        value = score(problem.metric, problem.y[own], model.prediction[own], float(model.thresholds[fold]))
        folds.append(value)
    return dataclasses.replace(model, folds=tuple(folds))


def best_threshold(metric: Metric, y: Array, probability: Array) -> float:
    """Return the threshold that is best on the metric.

    Parameters
    ----------
    metric : Metric
        A metric of decisions.
    y : ndarray of int, shape (n,)
        Class codes 0 and 1.
    probability : ndarray, shape (n,)
        Probability of class 1.

    Returns
    -------
    float
        One of at most 100 quantiles of the probabilities, or 0.5 when none is better.
    """
    options = np.unique(np.append(np.quantile(probability, np.linspace(0.01, 0.99, 99)), 0.5))
    errors = [error(metric, score(metric, y, probability, float(option))) for option in options]
    best = min(errors)
    # Of equally good thresholds the one nearest to 1/2 asks least of the probabilities.
    return float(min((o for o, e in zip(options, errors, strict=True) if e == best), key=lambda o: abs(o - 0.5)))


def decisions(problem: Problem, model: Model) -> Array:
    """Return held-out decisions as class codes, with each fold's own threshold."""
    if model.prediction.ndim == 2:
        return decide(model.prediction)
    return np.asarray(model.prediction >= model.thresholds[problem.fold], dtype=np.int64)


def settled(problem: Problem, model: Model) -> tuple[dict[str, Any], float | None]:
    """Fit adjustment and threshold on all held-out rows, for the final model.

    Returns
    -------
    tuple
        The adjustment, and the threshold for two classes, else None.
    """
    adjustment: dict[str, Any] = {"kind": "none"}
    if model.adjustment:
        adjustment = fit_adjustment(model.adjustment, problem.y, model.base, problem.metric.level)
    if problem.facts.task != "binary":
        return adjustment, None
    if not model.tuned:
        return adjustment, 0.5
    return adjustment, best_threshold(problem.metric, problem.y, model.prediction)
