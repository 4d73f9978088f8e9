"""Steps 4 to 6 in small parts: what to train, what came out of it, and what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lossmith.core.registry import from_config
from lossmith.diagnose.held_out import HeldOut
from lossmith.select.facts import Facts
from lossmith.select.metrics import Metric
from lossmith.select.rules import Selection
from lossmith.workflow.evaluate import Entrant
from lossmith.workflow.heldout import Model, collect, decisions
from lossmith.workflow.records import Curve, PredictionSample
from lossmith.workflow.scoring import error, score
from lossmith.workflow.trials import Plan, Problem, Trial

Array = np.ndarray[Any, Any]
_SAMPLE = 400


def plans_of(selection: Selection, learners: Sequence[str]) -> tuple[Plan, ...]:
    """List what to train: the default loss first, then in theory's order, cheap learners first.

    Parameters
    ----------
    selection : Selection
        Step 2.
    learners : sequence of str
        The cheap one first.

    Returns
    -------
    tuple of Plan
    """
    order = sorted(selection.admissible, key=lambda candidate: not candidate.reference)
    return tuple(Plan(c.label, c.config, learner, {}) for c in order for learner in learners)


def entrants_of(
    problem: Problem, selection: Selection, models: Iterable[Model], trials: Iterable[Trial]
) -> list[Entrant]:
    """Describe every model with all its folds for the comparison of step 5."""
    ranks = {candidate.label: (rank, candidate) for rank, candidate in enumerate(selection.admissible)}
    train = {(t.record.label, t.record.learner, t.record.fold): t.record.train_score for t in trials}
    entrants = []
    for model in models:
        plan = model.plan
        rank, candidate = ranks[plan.label]
        gathered = [train.get((plan.label, plan.learner, fold)) for fold in range(problem.folds)]
        bias = float(np.mean(model.prediction - problem.y)) if not problem.facts.classes else None
        entrants.append(
            Entrant(
                label=plan.label,
                config=plan.config,
                learner=plan.learner,
                settings=plan.settings,
                reference=candidate.reference,
                elicits=candidate.elicits,
                rank=rank,
                folds=model.folds,
                train=tuple(value for value in gathered if value is not None),
                bias=bias,
            )
        )
    return entrants


def rivals_of(problem: Problem, selection: Selection, plan: Plan, trials: Sequence[Trial]) -> list[Model]:
    """Return the default loss with a plan's learner, with default settings and with the plan's, where trained."""
    default = next(candidate for candidate in selection.admissible if candidate.reference)
    settings = [{}, plan.settings] if plan.settings else [{}]
    plans = [Plan(default.label, default.config, plan.learner, chosen) for chosen in settings]
    return [model for rival in plans if (model := collect(problem, rival, trials)) is not None]


def incomplete_of(plans: Iterable[Plan], models: Iterable[Model], trials: Iterable[Trial]) -> tuple[str, ...]:
    """Name the plans that have no score on every fold, and why."""
    finished = {model.plan.name for model in models}
    failures = {(t.record.label, t.record.learner): t.record.failure for t in trials if t.record.failure}
    missing = [plan for plan in plans if plan.name not in finished]
    return tuple(f"{plan.name}: {failures.get((plan.label, plan.learner), 'not finished')}" for plan in missing)


def held_out_of(problem: Problem, model: Model, trials: Iterable[Trial]) -> HeldOut:
    """Gather what the diagnosis of step 6 looks at besides the curves.

    Parameters
    ----------
    problem : Problem
        Data and question.
    model : Model
        The chosen one.
    trials : iterable of Trial
        All; those of the model are picked out.

    Returns
    -------
    HeldOut
    """
    loss, plan, metric = from_config(model.plan.config), model.plan, problem.metric
    own = own_trials(model, trials)
    curves = [t.curve for t in own if t.curve is not None]
    classes = bool(problem.facts.classes)
    return HeldOut(
        loss=loss,
        y=model.target if loss.tier == "elementwise" else problem.y,
        raw=model.raw,
        fitted=model.base if plan.config["params"].get("inputs") == "log_rate" else None,
        decided=decisions(problem, model) if classes else None,
        codes=problem.y if classes else None,
        probability=_probability_of_truth(problem, model) if classes else None,
        train_errors=tuple(error(metric, t.record.train_score or 0.0) for t in own),
        valid_errors=tuple(error(metric, t.record.score or 0.0) for t in own),
        trivial_error=error(metric, score(metric, problem.y, constant(metric, problem.facts, problem.y))),
        limited=float(np.mean(["limit" in curve.stopped for curve in curves])) if curves else None,
    )


def own_trials(model: Model, trials: Iterable[Trial]) -> list[Trial]:
    """Return the trainings of a model that left a curve."""
    plan = model.plan
    return [t for t in trials if t.record.label == plan.label and t.record.learner == plan.learner and t.curve]


def _probability_of_truth(problem: Problem, model: Model) -> Array | None:
    if model.plan.config["loss"] in ("hinge", "squared_hinge"):
        return None
    if model.base.ndim == 2:
        return np.asarray(model.base[np.arange(problem.y.size), problem.y])
    return np.where(problem.y == 1, model.base, 1.0 - model.base)


def constant(metric: Metric, facts: Facts, y: Array) -> Array:
    """Return the best prediction that knows no features: the mean, median, quantile or class shares."""
    if facts.task == "binary":
        return np.full(y.size, float(y.mean()))
    if facts.classes:
        shares = np.bincount(y, minlength=len(facts.classes)) / y.size
        return np.tile(shares, (y.size, 1))
    if metric.level is not None:
        return np.full(y.size, float(np.quantile(y, metric.level)))
    return np.full(y.size, float(np.median(y) if metric.functional == "median" else y.mean()))


def curves_of(models: Sequence[Model], trials: Iterable[Trial]) -> tuple[Curve, ...]:
    """Return the training curves of some models on all folds; of models with one name, those of the first."""
    wanted = {(m.plan.label, m.plan.learner): m.plan.settings for m in reversed(models)}
    return tuple(
        t.curve
        for t in trials
        if t.curve is not None and wanted.get((t.record.label, t.record.learner)) == t.record.settings
    )


def sample_of(problem: Problem, model: Model, rows: Array) -> PredictionSample:
    """Return held-out predictions of a few rows, spread evenly over the data.

    Parameters
    ----------
    problem : Problem
        Data and question.
    model : Model
        Whose predictions.
    rows : ndarray of int
        Positions in the data file of the problem's rows.

    Returns
    -------
    PredictionSample
    """
    picked = np.unique(np.linspace(0, problem.y.size - 1, min(_SAMPLE, problem.y.size)).astype(int))
    where = tuple(int(row) for row in rows[picked])
    if not problem.facts.classes:
        values = problem.y[picked].tolist(), model.prediction[picked].tolist()
        return PredictionSample(where, tuple(values[0]), tuple(values[1]), ())
    decided, names = decisions(problem, model)[picked], [str(label) for label in problem.facts.classes]
    prediction = model.prediction[picked]
    probability = prediction if prediction.ndim == 1 else prediction[np.arange(picked.size), decided]
    return PredictionSample(
        where,
        tuple(names[code] for code in problem.y[picked]),
        tuple(names[code] for code in decided),
        tuple(float(p) for p in probability),
    )
