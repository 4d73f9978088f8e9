"""Sentences of the report that are put together from the facts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossmith.report.charts import number


def settings_words(settings: Mapping[str, Any]) -> str:
    """Return learner settings as "name value, ...", empty for the defaults.

    Examples
    --------
    >>> settings_words({"regularisation": 10.0})
    'regularisation 10'
    """
    return ", ".join(f"{key} {number(value)}" for key, value in settings.items())


def adjustment_words(adjustment: Mapping[str, Any]) -> str:
    """Say what happens to predictions after the model.

    Examples
    --------
    >>> adjustment_words({"kind": "shift", "by": 1.5})
    '1.5 is added to predictions, so that their mean is right'
    """
    by = number(adjustment.get("by"))
    return {
        "none": "nothing is done to predictions after the model",
        "shift": f"{by} is added to predictions, so that their mean is right",
        "scale": f"predictions are multiplied by {by}, so that their mean is right",
        "platt": "probabilities are recalibrated on held-out rows (slope "
        f"{number(adjustment.get('slope'))}, intercept {number(adjustment.get('intercept'))} on the logit)",
        "temperature": f"logits are divided by {by}, fitted on held-out rows",
    }.get(str(adjustment.get("kind")), f"predictions are adjusted ({adjustment.get('kind')})")


def headline(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the answer in three short sentences: choice, score and comparison."""
    final, metric = facts.get("final") or {}, facts.get("metric") or {}
    if not final:
        return {"choice": "The run ended before a model was chosen.", "score": "", "against": ""}
    name = metric.get("name", "metric")
    learner = {"linear": "a penalised linear model", "boosted": "boosted trees"}.get(final["learner"], final["learner"])
    score = f"{name} {number(final['score'])} ± {number(final['standard_error'], 2)} on held-out rows"
    return {"choice": f"Train {learner} with {final['label']}.", "score": score, "against": _against(facts, name)}


def _against(facts: Mapping[str, Any], name: str) -> str:
    final, larger = facts["final"], (facts.get("metric") or {}).get("greater_is_better")
    reference = final.get("reference_score")
    if reference is None:
        return "No score of the same learner with the default loss is at hand."
    gain = (final["score"] - reference) * (1 if larger else -1)
    error = max(final["standard_error"], final.get("reference_error") or 0.0)
    said = f"The same learner with the default loss and no remedies: {name} {number(reference)}"
    if gain > error:
        return f"{said}; this is better by more than one standard error."
    if gain >= -error:
        return f"{said}; the two are within one standard error."
    return f"{said}; this is worse by more than one standard error."


def mind_changers(facts: Mapping[str, Any]) -> list[str]:
    """Return what would change the choice."""
    said = []
    evaluation = facts.get("evaluation") or {}
    scores, chosen = evaluation.get("scores") or [], evaluation.get("chosen")
    tied = [f"{s['label']} ({s['learner']})" for i, s in enumerate(scores) if s["tied"] and i != chosen]
    if tied:
        said.append(f"More rows or folds: {', '.join(tied[:4])} cannot be told apart from the best on these.")
    functional = (facts.get("metric") or {}).get("functional")
    if functional:
        said.append(f"Another question: the metric asks for the {functional}; a metric that asks for something else "
                    "admits other losses (--metric).")  # fmt: skip
    budget = facts.get("budget") or {}
    if budget.get("cut") and budget.get("finished") == budget.get("planned"):
        said.append("More time: the remedies of step 7 were cut short by the budget.")
    elif budget.get("cut"):
        said.append(f"More time: {budget.get('finished')} of {budget.get('planned')} trainings fitted into the budget.")
    said += [f"A word about the data: {warning}" for warning in ((facts.get("facts") or {}).get("warnings") or [])[:3]]
    return said
