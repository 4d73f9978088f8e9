"""Step 7: try the remedies that apply, and keep only what wins on held-out folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lossmith.core.registry import names
from lossmith.select.rules import label_of
from lossmith.workflow.evaluate import paired
from lossmith.workflow.findings import Finding
from lossmith.workflow.fits import LINEAR_STEPS, RATE, ROUNDS
from lossmith.workflow.heldout import Model, adjusted, thresholded
from lossmith.workflow.records import Attempt, Evaluation
from lossmith.workflow.scoring import error
from lossmith.workflow.trials import Plan, Problem

Train = Callable[[Plan], Model | None]
_ROBUST = ("mae", "huber", "log_cosh", "tukey")


@dataclass(frozen=True)
class Remedy:
    """Something to try.

    Attributes
    ----------
    what, because : str
        In words.
    make : callable
        Builds the remedied model from the present one; None when it could not be trained.
    """

    what: str
    because: str
    make: Callable[[Model], Model | None]


def iterate(
    problem: Problem,
    start: Model,
    evaluation: Evaluation,
    findings: Sequence[Finding],
    models: Sequence[Model],
    train: Train,
) -> tuple[Model, tuple[Attempt, ...]]:
    """Try remedies one after the other, each on top of what was kept before.

    Parameters
    ----------
    problem : Problem
        Data and question.
    start : Model
        What step 5 chose.
    evaluation : Evaluation
        Step 5.
    findings : sequence of Finding
        Step 6.
    models : sequence of Model
        All that were trained, with their held-out predictions.
    train : callable
        Trains a plan on all folds; None when time is up or it failed.

    Returns
    -------
    tuple
        The model that is left, and every attempt with its numbers. A remedy is kept only if it gains more than
        one standard error of the paired difference.
    """
    current, attempts = start, []
    for remedy in _remedies(problem, start, evaluation, findings, models, train):
        changed = remedy.make(current)
        attempt = _judge(problem, current, changed, remedy)
        attempts.append(attempt)
        if attempt.kept and changed is not None:
            current = changed
    return current, tuple(attempts)


def _judge(problem: Problem, before: Model, after: Model | None, remedy: Remedy) -> Attempt:
    plan = (after or before).plan
    blank = Attempt(
        remedy.what, remedy.because, plan.label, plan.learner, plan.settings, None, None, None, None, False, ""
    )
    before_mean = float(np.mean(before.folds))
    if after is None:
        return dataclasses.replace(blank, before=before_mean, note="not tried: no time left, or training failed")
    gain, spread = paired(problem.metric, before.folds, after.folds)
    kept = gain > spread and gain > 0.0
    return dataclasses.replace(
        blank,
        before=before_mean,
        after=float(np.mean(after.folds)),
        gain=gain,
        gain_error=spread,
        kept=kept,
        note="kept" if kept else "not kept: it does not win by more than one standard error",
    )


def _remedies(
    problem: Problem,
    start: Model,
    evaluation: Evaluation,
    findings: Sequence[Finding],
    models: Sequence[Model],
    train: Train,
) -> Iterator[Remedy]:
    seen = {finding.name: finding.evidence for finding in findings if finding.seen}
    yield from _strength(start, seen, train)
    yield from _rival(start, evaluation, train)
    yield from _robust(problem, start, seen, models, train)
    yield from _weights(problem, start, seen, train)
    yield from _rounds(start, seen, train)
    yield from _recalibration(problem, models)
    if problem.metric.functional == "class" and problem.facts.task == "binary":
        because = seen.get("class imbalance", "a decision needs a threshold; 1/2 is best only for equal costs")
        yield Remedy("decision threshold tuned on held-out rows", because, lambda m: thresholded(problem, m))


# --- other settings of the same learner ---------------------------------------------------------------------


def _with(model: Model, train: Train, **changes: float | str) -> Model | None:
    plan = dataclasses.replace(model.plan, settings={**model.plan.settings, **changes})
    return train(plan)


def _strength(start: Model, seen: dict[str, str], train: Train) -> Iterator[Remedy]:
    default, over = "its strength was a default so far", seen.get("overfitting", "")

    def regularised(factor: float) -> Callable[[Model], Model | None]:
        return lambda model: _with(model, train, regularisation=factor)

    yield Remedy("regularisation 10 times stronger", over or default, regularised(10.0))
    if not over:
        yield Remedy("regularisation 10 times weaker", default, regularised(0.1))


def _rounds(start: Model, seen: dict[str, str], train: Train) -> Iterator[Remedy]:
    """Remedies that take the longest come last: time may run out."""
    if start.plan.learner == "boosted":
        yield Remedy(
            "steps half as long, twice as many rounds",
            "shorter steps usually cost time and gain a little",
            lambda model: _with(model, train, learning_rate=RATE / 2.0, iterations=2 * ROUNDS),
        )
    if slow := seen.get("slow convergence"):
        most = 3 * (ROUNDS if start.plan.learner == "boosted" else LINEAR_STEPS)
        yield Remedy(f"up to {most} rounds", slow, lambda model: _with(model, train, iterations=most))
    elif (over := seen.get("overfitting")) and start.plan.learner == "boosted":
        yield Remedy(
            "a third of the rounds", over, lambda model: _with(model, train, iterations=max(1, model.rounds // 3))
        )


def _rival(start: Model, evaluation: Evaluation, train: Train) -> Iterator[Remedy]:
    """The default loss with whatever settings were kept: the loss must win, not the settings."""
    defaults = [score for score in evaluation.scores if score.reference]
    if not defaults or defaults[0].label == start.plan.label:
        return

    def rival(model: Model) -> Model | None:
        return train(dataclasses.replace(model.plan, label=defaults[0].label, config=defaults[0].config))

    what = f"{defaults[0].label}, the default loss, with the same settings"
    yield Remedy(what, "the loss must win, not the settings that were kept with it", rival)


# --- robust losses ------------------------------------------------------------------------------------------


def _robust(
    problem: Problem, start: Model, seen: dict[str, str], models: Sequence[Model], train: Train
) -> Iterator[Remedy]:
    """Robust losses with the mean restored; a robust fit alone is biased under skewed noise."""
    if problem.metric.functional != "mean" or problem.facts.task not in ("regression", "count"):
        return
    kind = _mean_kind(problem)
    robust = [m for m in models if m.plan.config["loss"] in _ROBUST and m.plan != start.plan]
    for model in sorted(robust, key=lambda m: error(problem.metric, float(np.mean(m.folds))))[:2]:
        yield Remedy(
            f"{model.plan.name} with its mean restored ({kind})",
            "robust losses estimate another centre; restored, they estimate the mean",
            lambda _, model=model: adjusted(problem, model, kind),  # type: ignore[misc]
        )
    trained = {model.plan.config["loss"] for model in models}
    if "outlier sensitivity" in seen and "huber" not in trained and "huber" in names():
        config = {"loss": "huber", "params": {"delta": 1.345}}
        plan = dataclasses.replace(start.plan, label=label_of(config), config=config, settings={})
        yield Remedy(
            f"{plan.name} (scale from the MAD) with its mean restored",
            seen["outlier sensitivity"],
            lambda _: (model := train(plan)) and adjusted(problem, model, kind),
        )


def _mean_kind(problem: Problem) -> str:
    return "scale" if problem.facts.shape is not None and problem.facts.shape.nonnegative else "shift_mean"


# --- classes ------------------------------------------------------------------------------------------------


def _weights(problem: Problem, start: Model, seen: dict[str, str], train: Train) -> Iterator[Remedy]:
    if "class imbalance" not in seen or problem.facts.task not in ("binary", "multiclass", "ordinal"):
        return
    kind = "platt" if problem.facts.task == "binary" else "temperature"

    def weighted(model: Model) -> Model | None:
        trained = _with(model, train, class_weights="balanced")
        if trained is None or problem.metric.functional != "probability":
            return trained
        return adjusted(problem, trained, kind)

    what = "classes weighted equally"
    if problem.metric.functional == "probability":
        what += ", probabilities recalibrated"
    yield Remedy(what, seen["class imbalance"], weighted)


# --- after the model ----------------------------------------------------------------------------------------


def _recalibration(problem: Problem, models: Sequence[Model]) -> Iterator[Remedy]:
    functional, task = problem.metric.functional, problem.facts.task
    kinds = {
        "mean": _mean_kind(problem),
        "median": "shift_median",
        "quantile": "shift_quantile",
        "probability": "platt" if task == "binary" else "temperature",
    }
    if functional not in kinds:
        return
    kind = kinds[functional]
    yield Remedy(
        f"recalibration of the {functional} ({kind})",
        f"held-out predictions tell how far the {functional} is off",
        lambda model: adjusted(problem, model, kind),
    )
    if functional != "probability":
        return
    focal = [m for m in models if "focal" in m.plan.config["loss"]]
    for model in sorted(focal, key=lambda m: error(problem.metric, float(np.mean(m.folds))))[:1]:
        yield Remedy(
            f"{model.plan.name} with recalibrated probabilities ({kind})",
            "focal loss is not proper; recalibrated, it may still be the better fit",
            lambda _, model=model: adjusted(problem, model, kind),  # type: ignore[misc]
        )
