"""What theory says: which losses can be right for the wanted functional."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lossmith.core.registry import build, names
from lossmith.select.exclusions import reason_against
from lossmith.select.metrics import Metric
from lossmith.select.records import Facts

_HEAVY = 1.5  # tail weight of the Laplace distribution, for which the median is as good an estimate as any
_CONTAMINATED = 0.005  # share of outliers at which squared error loses its efficiency
_HUBER, _TUKEY = 1.345, 4.685  # 95 % efficiency under normal noise (Huber 1964; Holland and Welsch 1977)


@dataclass(frozen=True)
class Candidate:
    """A loss that may be trained with.

    Attributes
    ----------
    config : dict
        ``{"loss": ..., "params": {...}}``.
    label : str
        Short text, unique within a selection.
    reason, risk : str
        Why it is admissible; what may go wrong.
    elicits : str
        What its minimiser estimates.
    source : str
        Where the reason is proved or measured.
    reference : bool
        The task's default loss (squared error, log-loss), which every other one must beat.
    """

    config: dict[str, Any]
    label: str
    reason: str
    risk: str
    elicits: str
    source: str
    reference: bool = False


@dataclass(frozen=True)
class Exclusion:
    """A registered loss that is not trained with, and why."""

    loss: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """The whole registered catalogue, divided.

    Attributes
    ----------
    admissible : tuple of Candidate
        In the order in which theory prefers them; ties on the metric are broken by this order.
    excluded : tuple of Exclusion
        Every other registered loss.
    metric, functional : str
        What was asked for.
    """

    admissible: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]
    metric: str
    functional: str


def candidates(facts: Facts, metric: Metric) -> Selection:
    """Divide the catalogue into losses that can be right for a metric and losses that cannot.

    Parameters
    ----------
    facts : Facts
        Problem analysis.
    metric : Metric
        From :func:`lossmith.select.metrics.metric_for`.

    Returns
    -------
    Selection
        Every registered loss is in exactly one of its two lists.
    """
    registered = set(names())
    rules = _numeric if facts.task in ("regression", "count") else _classes
    wanted = {c.label: c for c in rules(facts, metric) if c.config["loss"] in registered}
    admissible = tuple(wanted.values())
    used = {candidate.config["loss"] for candidate in admissible}
    others = [name for name in names() if name not in used]
    excluded = tuple(Exclusion(name, reason_against(name, facts, metric)) for name in others)
    return Selection(admissible, excluded, metric.name, metric.functional)


def label_of(config: dict[str, Any]) -> str:
    """Return the short text that names a configured loss, such as "huber(delta=1.35)".

    Parameters
    ----------
    config : dict
        ``{"loss": ..., "params": {...}}``.

    Returns
    -------
    str
        Name and the parameters that were set, numbers with four digits.
    """
    params = config.get("params", {})
    inside = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())
    return f"{config['loss']}({inside})" if inside else str(config["loss"])


def _make(
    name: str, reason: str, risk: str, elicits: str, source: str, *, reference: bool = False, **params: Any
) -> Candidate:
    config = {"loss": name, "params": params}
    if name in names():
        build(name, params)  # a rule that makes an impossible loss must fail here, not in a worker
    return Candidate(config, label_of(config), reason, risk, elicits, source, reference)


# --- numbers ------------------------------------------------------------------------------------------------


def contaminated(facts: Facts) -> str:
    """Say with numbers why a numeric target looks contaminated or heavy-tailed; empty if it does not.

    Parameters
    ----------
    facts : Facts
        Problem analysis of a regression or count target.

    Returns
    -------
    str
        The evidence.
    """
    outliers, residuals = facts.residual_outliers, facts.residuals
    if outliers is not None and outliers.share >= _CONTAMINATED:
        return f"{outliers.share:.1%} of the residuals are outliers"
    if residuals is not None and residuals.tail_weight is not None and residuals.tail_weight >= _HEAVY:
        return f"the residuals' tails weigh {residuals.tail_weight:.2f} times a normal's"
    return ""


def residual_scale(facts: Facts) -> float | None:
    """Return a robust size of the noise in the target's unit, None when it is 0 or unknown.

    Parameters
    ----------
    facts : Facts
        Problem analysis.

    Returns
    -------
    float or None
        1.4826 MAD of the residuals, or of the target when no residuals could be had.
    """
    residuals, shape = facts.residuals, facts.shape
    for scale in (residuals.scale if residuals else None, shape.mad if shape else None):
        if scale is not None and scale > 0:
            return float(scale)
    return None


def _numeric(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    order: dict[str, tuple[Callable[[Facts, Metric], Iterator[Candidate]], ...]] = {
        "mean": (_squared, _poisson, _robust, _absolute),
        "median": (_absolute, _robust, _squared, _poisson),
        "quantile": (_pinball, _squared),
    }
    steps = order[metric.functional]
    if metric.name == "poisson_deviance":
        steps = (_poisson, _squared)
    for step in steps:
        yield from step(facts, metric)


def _squared(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    if metric.functional == "mean":
        reason = "squared error is minimised by the mean, whatever the noise"
        risk = f"every outlier pulls in proportion to its size; {contaminated(facts) or 'none suspected'}"
    else:
        reason = "the default loss, trained for comparison"
        risk = f"it estimates the mean; the metric asks for the {metric.functional}"
    yield _make("mse", reason, risk, "mean", "Gneiting (2011), JASA 106", reference=True)


def _poisson(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    shape, residuals = facts.shape, facts.residuals
    if shape is None or not shape.nonnegative:
        return
    power = residuals.variance_power if residuals is not None else None
    grows = "" if power is None else f"; here Var ~ mean^{power:.2f} (Poisson 1, constant variance 0)"
    reason = f"a Bregman loss of targets >= 0 on the log scale: minimised by the mean{grows}"
    risk = "effects multiply; with effects that add, the identity link of squared error fits better"
    if metric.functional == "median":
        risk = f"it estimates the mean; the metric asks for the median; {risk}"
    elif facts.task == "count" and residuals is not None and residuals.conditional_dispersion is not None:
        risk += f"; dispersion {residuals.conditional_dispersion:.2f} (Poisson 1) widens intervals, not means"
    source = "Gneiting (2011), JASA 106; Savage (1971), JASA 66"
    yield _make("poisson_nll", reason, risk, "mean", source, inputs="log_rate")


def _absolute(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    if metric.functional == "median":
        yield _make(
            "mae",
            "absolute error is minimised by the median",
            "no curvature: slower to train",
            "median",
            "Koenker and Bassett (1978), Econometrica 46",
        )
    elif evidence := contaminated(facts):
        yield _make(
            "mae",
            f"bounded pull of outliers: {evidence}",
            "it estimates the median; under skewed noise the mean must be restored afterwards (step 7)",
            "median",
            "Koenker and Bassett (1978), Econometrica 46",
        )


def _robust(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    scale, evidence = residual_scale(facts), contaminated(facts)
    if scale is None or (facts.task == "count" and metric.functional == "mean" and not evidence):
        return
    moved = "it estimates a value between mean and median; under skewed noise it is neither"
    unit = f"robust standard deviations of the residuals (here {scale:.4g}, measured again in each fit)"
    insurance = evidence or "insurance that costs 5 % efficiency under normal noise"
    yield _make(
        "huber",
        f"quadratic up to {_HUBER} {unit}, linear beyond: {insurance}",
        moved,
        "between mean and median",
        "Huber (1964), Ann. Math. Stat. 35",
        delta=_HUBER,
    )
    if not evidence:
        return
    yield _make(
        "log_cosh",
        f"a smooth relative of Huber's loss, in the same unit: {evidence}",
        moved,
        "between mean and median",
        "Green (1990), IEEE Trans. Med. Imaging 9",
    )
    yield _make(
        "tukey",
        f"residuals beyond {_TUKEY} {unit} have no pull: {evidence}",
        "not convex; if the far values are real and no errors, it ignores them and the mean is wrong",
        "mode-like centre",
        "Beaton and Tukey (1974), Technometrics 16",
        c=_TUKEY,
    )


def _pinball(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    yield _make(
        "quantile",
        f"the pinball loss at {metric.level:g} is minimised by that quantile, and by nothing else",
        f"needs rows beyond the quantile: about {facts.rows * min(metric.level, 1 - metric.level):.0f} here"
        if metric.level is not None
        else "",
        "quantile",
        "Koenker and Bassett (1978), Econometrica 46",
        q=metric.level,
    )


# --- classes ------------------------------------------------------------------------------------------------


def _classes(facts: Facts, metric: Metric) -> Iterator[Candidate]:
    yield _cross_entropy(facts, metric)
    imbalance = facts.imbalance_ratio or 1.0
    purpose = f"classes are {imbalance:.1f} : 1" + ("" if imbalance >= 3 else ", so there is little to gain")
    yield _make(
        "focal" if facts.task == "binary" else "categorical_focal",
        f"weighs easy samples down; {purpose}",
        "not proper: its probabilities are drawn to the middle and need recalibration",
        "class, not probability",
        "Lin et al. (2017), ICCV; Charoenphakdee et al. (2021), CVPR",
        gamma=2.0,
    )
    if facts.task == "binary" and metric.functional in ("class", "ranking"):
        yield from _margins()


def _cross_entropy(facts: Facts, metric: Metric) -> Candidate:
    reason = "strictly proper: minimised by the true probabilities"
    risk = "a confident wrong label costs without bound"
    if metric.functional == "class":
        reason += ", from which the decision follows by a threshold"
    if (facts.imbalance_ratio or 1.0) >= 3:
        reason += "; under imbalance keep it and move the threshold, since reweighting spoils calibration"
    if facts.task == "ordinal":
        risk += "; it does not know the order of the classes"
    source = "Good (1952), J. R. Stat. Soc. B 14; Gneiting and Raftery (2007), JASA 102"
    name = "bce" if facts.task == "binary" else "cce"
    return _make(name, reason, risk, "probability", source, reference=True)


def _margins() -> Iterator[Candidate]:
    risk = "gives a side, no probability; scores need calibration before they mean anything"
    for name, reason in (
        ("hinge", "calibrated for the decision: its minimiser has the sign of the better class"),
        ("squared_hinge", "calibrated for the decision and smooth"),
    ):
        yield _make(name, reason, risk, "sign", "Bartlett, Jordan and McAuliffe (2006), JASA 101")
