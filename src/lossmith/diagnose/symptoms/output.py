"""Outputs that do not fit the loss: softmax twice, a sigmoid missing, squared error on classes, a bounded end."""

from __future__ import annotations

import math

import numpy as np

from .curves import Curve
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .story import story
from .view import View

SQUARED = ("mse", "squared", "mae", "l1", "huber", "absolute")
RAW = ("logit", "logistic", "softmax", "cross_entropy", "crossentropyloss")  # names of losses that take raw scores
COUNTING = ("poisson", "gamma", "tweedie")
BELOW = 0.15  # of the checks; log loss of the decisions' own probabilities never is
ENDLESS = 5.0
CUT_OFF = 0.05  # of the last layer's outputs exactly zero


def misfit(view: View) -> Verdict:
    """The model's output does not fit the loss."""
    if len(view.loss.finite) < 3:
        return Lacking(f"{len(view.loss.finite)} losses; this takes at least 3")
    found = _by_name(view) or _by_last_layer(view) or _impossible(view)
    if found is not None:
        return found
    name = next((n for n in ("accuracy", "eval_accuracy") if len(view.column(n).finite) >= 3), "")
    if not name:
        return Lacking("no accuracy beside the loss")
    return _below_log_loss(view, name) or (None if _takes_raw_scores(view) else _twice(view, name))


def _takes_raw_scores(view: View) -> bool:
    """Whether the live model shows that its outputs are no probabilities and its loss pulls as log loss does."""
    known = view.numbers
    free = known.get("outputs_sum_to_one", 1.0) < 0.5 and known.get("outputs_within_unit", 1.0) < 0.9
    return free and known.get("loss_cosine", 0.0) > 0.99


def _by_name(view: View) -> Seen | None:
    f, name = view.facts, (view.facts.loss or "").lower()
    first = int(view.loss.finite.steps[0])
    if f.classes and any(word in name for word in SQUARED) and "sigmoid" not in name:
        text = f"{f.loss} is trained on {f.classes} classes: it is not log loss, and is flat where a class is wrong"
        return Seen(text, {"classes": float(f.classes)}, first, "loss")
    mean, std = f.target_mean, f.target_std
    if any(word in name for word in COUNTING) and mean is not None and std and mean < 0.3 * std:
        text = f"{f.loss} is for counts and amounts; this target has mean {mean:.3g} and spread {std:.3g}"
        return Seen(text, {"target_mean": mean, "target_std": std}, first, "loss")
    return None


def _by_last_layer(view: View) -> Seen | None:
    """A last layer that records what only activations have: exact zeros, flat ends."""
    names = view.record.layer_names
    f, loss = view.facts, (view.facts.loss or "").lower()
    raw = is_log_loss(loss)
    real = f.task == "regression" and f.target_mean is not None and f.target_mean < (f.target_std or 0.0)
    if not names or not (raw or real):
        return None
    zeros = view.layers("zero_share").get(names[-1])
    if zeros is not None and len(zeros.finite) and zeros.finite.level(0.0, 1.0) > CUT_OFF:
        share = zeros.finite.level(0.0, 1.0)
        text = (
            f"{share:.0%} of the last layer's outputs are exactly zero (threshold {CUT_OFF:.0%}): it ends in a ReLU, "
            f"and {f.loss or 'this target'} needs any number"
        )
        return Seen(text, {"zero_share": share, "zero_share_limit": CUT_OFF}, int(zeros.steps[0]), "loss")
    ends = view.layers("saturated_share").get(names[-1])
    if ends is not None and len(ends.finite):
        text = f"the last layer ends in a bounded function, and {f.loss or 'this target'} needs any number"
        return Seen(text, {"saturated_share": ends.finite.level(0.0, 1.0)}, int(ends.steps[0]), "loss")
    return None


def _impossible(view: View) -> Seen | None:
    """Losses of classes below zero, or zero from the start."""
    curve = view.loss.finite
    if endless := _endless(curve):
        return endless
    classes = bool(view.facts.classes) or "eval_accuracy" in view.names or "accuracy" in view.names
    if not classes:
        return None
    below = float((curve.values < -1e-6).mean())
    if below > 0.02:
        text = f"the loss of classes is below zero in {below:.0%} of the steps: its inputs are no probabilities"
        return Seen(
            text, {"below_share": below, "below_share_limit": 0.02}, int(curve.steps[np.argmin(curve.values)]), "loss"
        )
    if np.abs(curve.values[:3]).max() < 1e-9:
        text = f"the loss is {float(curve.values[0]):.2g} before anything was learned: it does not see the targets"
        return Seen(text, {"first_loss": float(curve.values[0])}, int(curve.steps[0]), "loss")
    return None


def _endless(curve: Curve) -> Seen | None:
    """A loss that falls below zero faster and faster: it has no lowest value for such outputs."""
    v, blocks = curve.values, curve.blocks(most=8, least=4)
    if len(blocks) < 6 or not v[0] > -1e-6 or not blocks.medians[-1] < -ENDLESS * max(abs(float(v[0])), 0.1):
        return None
    late, early = blocks.medians[-3] - blocks.medians[-1], blocks.medians[1] - blocks.medians[3]
    if not late > max(early, 0.0):
        return None
    text = (
        f"the loss fell from {float(v[0]):.3g} to {float(blocks.medians[-1]):.3g} (threshold: {ENDLESS:g} times its "
        "start below zero), faster at the end than at the start: it has no lowest value for such outputs"
    )
    step = int(curve.steps[int(np.argmax(v < 0.0))])
    return Seen(text, {"last": float(blocks.medians[-1]), "start": float(v[0])}, step, "loss")


def _below_log_loss(view: View, name: str) -> Verdict:
    """A wrong decision gives the truth at most probability 1/2, so log loss is at least ln 2 times the share wrong."""
    column = "loss" if name == "accuracy" else "eval_loss"
    loss = (view.facts.loss or "").lower()
    if "focal" in loss or is_log_loss(loss):  # a log loss by its name is weighted: LM-DISAGREE
        return None
    found = below_log_loss(view.column(name).finite, view.column(column).finite)
    if found is None or found[0] < BELOW:
        return None
    share, first = found
    text = (
        f"{column} lies below ln 2 times the share of wrong decisions in {share:.0%} of the checks (threshold "
        f"{BELOW:.0%}): it is no log loss of these outputs"
    )
    return Seen(text, {"below_share": share, "below_share_limit": BELOW}, first, column)


def is_log_loss(name: str | None) -> bool:
    """Tell by its name whether a loss is the log loss of raw scores.

    Examples
    --------
    >>> is_log_loss("bce_with_logits"), is_log_loss("mse"), is_log_loss(None)
    (True, False, False)
    """
    known = (name or "").lower()
    return any(word in known for word in RAW) and "binary_cross" not in known and "categorical_cross" not in known


def below_log_loss(metric: Curve, curve: Curve) -> tuple[float, int] | None:
    """Compare a log loss with the accuracy of the same checks.

    Parameters
    ----------
    metric, curve : Curve
        Accuracy and loss.

    Returns
    -------
    tuple or None
        Share of the checks where the loss is lower than the wrong decisions allow, and the first of them; None for
        fewer than four checks.
    """
    steps, left, right = np.intersect1d(curve.steps, metric.steps, return_indices=True)
    if steps.size < 4:
        return None
    losses, correct = curve.values[left], metric.values[right]
    below = (losses < 0.97 * math.log(2.0) * (1.0 - correct)) & (correct < 0.98)
    return float(below.mean()), int(steps[np.argmax(below)])


def _twice(view: View, name: str) -> Verdict:
    """A softmax of a softmax keeps the loss above a floor, however right the decisions are."""
    f, curve = view.facts, view.loss.finite
    metric, told = view.column(name).finite, story(curve, f)
    classes = f.classes or _classes(told.start)
    common = max(f.class_counts) / sum(f.class_counts) if f.class_counts else 0.65
    right = metric.level(0.7, 1.0)
    if classes is None or right < max(0.7, common + 0.1) or len(curve) < 6:
        return None
    floor = math.log(math.e + classes - 1) - 1.0
    lowest, end = float(np.quantile(curve.values, 0.02)), _at_end(view, name)
    # With a share right, it costs from floor + 0.7 (1 - right) to little more than floor + 1 - right.
    owed, most = 0.95 * (floor + 0.7 * (1.0 - right)), floor + (1.0 - right) + 0.25 * (math.log(classes) - floor)
    if not 0.985 * floor < lowest < 1.3 * floor or not owed < end < most:
        return None
    numbers = {"lowest_loss": lowest, "floor": floor, "accuracy": right}
    text = (
        f"with {right:.0%} right the loss never falls below {floor:.4g}, the least that a softmax of a softmax over "
        f"{classes} classes costs (lowest {lowest:.4g})"
    )
    return Seen(text, numbers, int(curve.steps[0]), "loss")


def _at_end(view: View, name: str) -> float:
    curve: Curve = view.loss.finite if name == "accuracy" else view.eval_loss.finite
    return curve.level(0.7, 1.0) if len(curve) else view.loss.finite.level(0.7, 1.0)


def _classes(start: float) -> int | None:
    """Guess the number of classes from the loss of an untrained model, ln K."""
    if not 0.5 < start < 7.5:
        return None
    guess = round(math.exp(start))
    return guess if guess >= 2 and abs(math.log(guess) - start) < 0.15 else None


RULES = (
    Rule("LM-OUTPUT", "output does not fit the loss", "warning", "Last activation and loss do not match.", misfit),
)
