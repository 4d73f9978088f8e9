"""Why a registered loss is no candidate: one line each, for every loss of the catalogue."""

from __future__ import annotations

from lossmith.core.registry import loss_class
from lossmith.select.metrics import Metric
from lossmith.select.records import Facts

_NUMERIC = ("regression", "count")
_SHAPES = {
    "embedding": "compares embeddings in pairs or triples; the table has one target for each row",
    "sequence": "aligns sequences without time marks; the rows are single observations",
    "segmentation": "scores the overlap of whole masks; each row has one label of its own",
    "ranking": "orders items within groups; the table names no groups",
    "survival": "needs censoring times; the table has a plain target",
    "distribution": "needs a distribution for each row, given or predicted; the learners predict one number",
}
_ALWAYS = {
    "weighted_sum": "combines other losses; there is one target and one wish",
    "multi_task": "combines losses of several targets; there is one target",
    "gaussian_nll": "needs a predicted variance besides the mean; the learners predict one number a row",
    "nll": "needs a distribution to be named; for named ones use its own loss (mse for normal, poisson_nll)",
    "kl_divergence": "compares two distributions; against single labels it is the cross-entropy",
}


def reason_against(name: str, facts: Facts, metric: Metric) -> str:
    """Say why a loss that no rule admitted is excluded.

    Parameters
    ----------
    name : str
        Registered name.
    facts : Facts
        Problem analysis.
    metric : Metric
        What is wanted.

    Returns
    -------
    str
        One line, never empty.
    """
    if name in _ALWAYS:
        return _ALWAYS[name]
    task = loss_class(name).claims.task
    if task in _SHAPES:
        return _SHAPES[task]
    numeric_loss, numeric_target = task in _NUMERIC, facts.task in _NUMERIC
    if numeric_loss and not numeric_target:
        return _numbers_for_classes(name)
    if numeric_target and not numeric_loss:
        return f"for classes; the target is numeric ({facts.task})"
    return _numeric(name, metric) if numeric_target else _classes(name, task, facts, metric)


def _numbers_for_classes(name: str) -> str:
    if name == "mse":
        return "on class labels it saturates with a logit and leaves [0, 1] without; cross-entropy does neither"
    return "for numeric targets; the target is a class"


def _numeric(name: str, metric: Metric) -> str:
    if metric.functional == "quantile":
        return f"does not estimate the {metric.level:g} quantile the metric asks for"
    if metric.name == "poisson_deviance" and name != "poisson_nll":
        return "does not estimate the mean, which the deviance asks for"
    if name == "quantile":
        if metric.functional == "median":
            return "at q = 0.5 it is half the absolute error, which is a candidate already"
        return f"estimates a quantile, {metric.name} wants the mean (for a quantile: --metric pinball@0.9)"
    if name in ("gamma_nll", "tweedie"):
        return "estimates the mean as Poisson's loss does, which is considered in its place"
    if name == "poisson_nll":
        return "needs targets >= 0; this one has negative values"
    if name == "pseudo_huber":
        return "lies between Huber's loss and log-cosh, which are considered in its place"
    if name in ("mae", "tukey", "huber", "log_cosh"):
        return "changes what is estimated, and no outliers or heavy tails are seen that would pay for it"
    return _elicits(name, metric)


def _elicits(name: str, metric: Metric) -> str:
    what = loss_class(name).example().traits.elicits or "no named functional"
    return f"estimates {what}; {metric.name} asks for the {metric.functional}"


def _classes(name: str, task: str, facts: Facts, metric: Metric) -> str:
    if name in ("hinge", "squared_hinge") and facts.task == "binary":
        return f"gives no probabilities, which {metric.name} asks for"
    if task == "binary" and facts.task != "binary":
        return f"for two classes; there are {len(facts.classes)}"
    if task == "multiclass" and facts.task == "binary":
        return "for several classes; with two it is the binary form written twice"
    return f"no rule admits it for {facts.task} and {metric.name}"
