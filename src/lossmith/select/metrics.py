"""The metrics a run can be asked for: which task each fits, and what it wants to be estimated."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from lossmith.core.errors import InputError
from lossmith.select.columns import quoted
from lossmith.select.records import Facts

_NUMERIC = ("regression", "count")
_CLASSES = ("binary", "multiclass", "ordinal")


@dataclass(frozen=True)
class Metric:
    """What models are compared on.

    Attributes
    ----------
    name : str
        As on the command line; pinball carries its level, "pinball@0.9".
    functional : str
        What a prediction must estimate to be good at it: "mean", "median", "quantile", "probability",
        "ranking" (the order of the probabilities) or "class" (the decision).
    greater_is_better : bool
        Whether large is good.
    tasks : tuple of str
        Tasks it fits.
    about : str
        One phrase.
    level : float or None
        The wanted quantile.
    """

    name: str
    functional: str
    greater_is_better: bool
    tasks: tuple[str, ...]
    about: str
    level: float | None = None


METRICS = {
    metric.name: metric
    for metric in (
        Metric("rmse", "mean", False, _NUMERIC, "root of the mean squared error, in the target's unit"),
        Metric("r2", "mean", True, _NUMERIC, "share of the variance that is explained; 1 is perfect"),
        Metric("mae", "median", False, _NUMERIC, "mean absolute error, in the target's unit"),
        Metric("poisson_deviance", "mean", False, _NUMERIC, "mean Poisson deviance; relative errors count"),
        Metric("pinball", "quantile", False, _NUMERIC, "mean quantile loss; say pinball@0.9", 0.5),
        Metric("log_loss", "probability", False, _CLASSES, "mean negative log-probability of the true class"),
        Metric("brier", "probability", False, _CLASSES, "mean squared error of the probabilities"),
        Metric("auc", "ranking", True, ("binary",), "area under the ROC curve"),
        Metric("average_precision", "ranking", True, ("binary",), "area under the precision-recall curve"),
        Metric("accuracy", "class", True, _CLASSES, "share of right classes"),
        Metric("balanced_accuracy", "class", True, _CLASSES, "mean recall of the classes"),
        Metric("f1", "class", True, ("binary", "multiclass"), "F1 of class 1, or the mean F1 of the classes"),
        Metric("kappa", "class", True, ("ordinal",), "quadratically weighted agreement beyond chance"),
    )
}
_DEFAULTS = {"regression": "rmse", "count": "poisson_deviance"}


def metric_for(text: str, facts: Facts) -> Metric:
    """Return the metric that was asked for, or the task's default for "auto".

    Parameters
    ----------
    text : str
        "auto", a name of :data:`METRICS`, or "pinball@q" with 0 < q < 1.
    facts : Facts
        Problem analysis; decides the default and whether the metric fits.

    Returns
    -------
    Metric
        The metric, its level filled in.

    Raises
    ------
    InputError
        For an unknown metric, one that does not fit the task, or a deviance of negative targets.
    """
    name, _, level = text.partition("@")
    if name == "auto":
        return METRICS[_DEFAULTS.get(facts.task, "log_loss")]
    fitting = [metric.name for metric in METRICS.values() if facts.task in metric.tasks]
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"for {facts.task} there are {', '.join(fitting)}"
        raise InputError(f"--metric {quoted(text)} is unknown; {hint}")
    metric = METRICS[name]
    if facts.task not in metric.tasks:
        raise InputError(
            f"--metric {name} does not fit a {facts.task} target (it is for {', '.join(metric.tasks)}); "
            f"choose {', '.join(fitting)}, or say --task"
        )
    if name == "poisson_deviance" and facts.shape is not None and not facts.shape.nonnegative:
        raise InputError("--metric poisson_deviance needs a target >= 0; this one has negative values: use rmse")
    return _with_level(metric, text, level)


def _with_level(metric: Metric, text: str, level: str) -> Metric:
    if metric.name != "pinball":
        if level:
            raise InputError(f"--metric {quoted(text)}: only pinball has a level; write {metric.name}")
        return metric
    try:
        q = float(level or "0.5")
    except ValueError:
        q = float("nan")
    if not 0 < q < 1:
        raise InputError(f"--metric {quoted(text)}: the level must lie between 0 and 1, such as pinball@0.9")
    return Metric(f"pinball@{q:g}", "quantile", False, metric.tasks, f"mean quantile loss at {q:g}", q)
