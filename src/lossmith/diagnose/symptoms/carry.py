"""What is learned does not carry over: overfitting, leaks, wrong labels, wrong mode, loss and metric apart."""

from __future__ import annotations

import math

import numpy as np

from .curves import Array, Curve
from .found import Lacking, Seen, Verdict
from .output import BELOW, below_log_loss, is_log_loss
from .progress import LATE_SHARE, late_share
from .rule import Rule
from .story import story
from .view import View

RISE = 1.10  # last held-out loss over its minimum; healthy twins are taken up to 1.05
LOST = 0.04  # ... and this share of the whole fall given back
NOT_CARRIED = 0.5  # of the improvement over a constant
GAP = 3.0  # held-out over training loss, both smoothed ...
GAP_SHARE = 0.25  # ... and this share of the reference
LEAK = 8e-3  # held-out loss over chance; the best honest models of clean data stay above .01
UNSURE = 0.25  # share of chance's loss left less share of chance's mistakes left; healthy below .18
BETTER_HELD = 1.35  # training over held-out loss; dropout explains up to about 1.3
BETTER_SHARE = 0.15  # ... and this share of the reference apart
USELESS = 0.93  # held-out loss over that of a constant guess
LEARNED = 0.08  # of it gone in training, beyond what held-out rows gained
FADED = 0.35  # of the first learning rate
ALIKE = 1.65  # held-out over training loss where chance rules both
JUMPY = 0.045  # typical jump of the held-out loss from check to check
EARLY_GAP = 0.34  # of the reference (healthy: 1 of 243 above .25), before anything can be learned by heart ...
EARLY_EPOCHS = 4.0  # ... which takes more passes than these
MUCH = 0.4  # of the reference gone in training: labels of other rows teach less than that
SAME_UNIT = 0.2  # first training loss over the first held-out one; below it they are not in one unit


def _both(view: View) -> Lacking | None:
    if len(view.eval_loss.finite) < 4:
        return Lacking(f"{len(view.eval_loss.finite)} held-out losses; this takes at least 4")
    return Lacking("no training loss") if len(view.loss.finite) < 4 else None


def overfitting(view: View) -> Verdict:
    """The held-out loss rises while the training loss falls, or stays far above it."""
    if "held.lost_share" in view.numbers and (lost := _lost(view)):
        return lost
    if lacking := _both(view):
        return lacking
    held, train = view.eval_loss.finite, view.loss.finite
    low, place, last, error = _turn(held)
    told = story(train, view.facts)
    start = max(float(held.values[0]), told.reference)
    rise, share = last / low if low > 0 else math.inf, (last - low) / max(start - low, 1e-300)
    numbers = {"rise": rise, "rise_limit": RISE, "share_given_back": share, "share_given_back_limit": LOST}
    fell = told.end < 1.02 * float(np.median(train.after(held.steps[place]).values[:15]))
    if rise > RISE and share > LOST and last - low > 3.0 * error and fell and place < len(held) - 2:
        text = (
            f"held-out loss rose from {low:.4g} (step {int(held.steps[place])}) to {last:.4g}: {rise:.2f} times its "
            f"minimum (threshold {RISE:g}) and {min(share, 99):.0%} of its fall (threshold {LOST:.0%}), while the "
            f"training loss went to {told.end:.4g}"
        )
        return Seen(text, numbers, int(held.steps[place]), "eval_loss")
    gap = (last - told.end) / told.reference if told.reference > 0 else 0.0
    if "held.lost_share" in view.numbers or not _one_unit(view):
        return None
    if told.end > 0 and last > GAP * told.end and gap > GAP_SHARE:
        numbers |= {"gap": gap, "gap_limit": GAP_SHARE}
        text = (
            f"held-out rows cost {last:.3g}, training rows {told.end:.3g}: the gap is {gap:.0%} of what knowing "
            f"nothing costs (threshold {GAP_SHARE:.0%})"
        )
        return Seen(text, numbers, int(held.steps[place]), "eval_loss")
    return None


def _lost(view: View) -> Seen | None:
    """Judged on the metric, over folds."""
    share, gap, error = (view.numbers[f"held.{name}"] for name in ("lost_share", "gap", "gap_error"))
    if share <= NOT_CARRIED or gap <= 2.0 * error:
        return None
    text = (
        f"{share:.0%} of the improvement over a constant does not carry over to held-out rows (threshold "
        f"{NOT_CARRIED:.0%}); gap {gap:.4g} +- {error:.2g}"
    )
    return Seen(text, {"lost_share": share, "lost_share_limit": NOT_CARRIED, "gap": gap, "gap_error": error})


def _turn(held: Curve) -> tuple[float, int, float, float]:
    """Lowest held-out loss, averaged with its neighbours, its place, the last one likewise, and the error of both."""
    v = held.values
    width = max(1, min(5, v.size // 6))
    mean = np.convolve(v, np.ones(width) / width, "valid")
    place = int(np.argmin(mean))
    return float(mean[place]), place + width // 2, float(mean[-1]), held.noise / math.sqrt(width)


def leak(view: View) -> Verdict:
    """Held-out rows are predicted better than data without a leak allow."""
    if lacking := _both(view):
        return lacking
    held = view.eval_loss.finite
    told = story(view.loss, view.facts)
    if told.reference <= 0:
        return Lacking("losses below zero have no level to compare with")
    share = held.level(0.8, 1.0) / told.reference
    accuracy = view.column("eval_accuracy").finite
    if not 0.0 < share < LEAK or (len(accuracy) and accuracy.level(0.8, 1.0) < 0.995):
        return None
    numbers = {"held_out_share": share, "held_out_share_limit": LEAK}
    text = (
        f"held-out loss is only {share:.2g} of what a constant guess costs (threshold {LEAK:g}): the task is easy, a "
        "column knows the answer, or held-out rows were trained on"
    )
    first = np.flatnonzero(held.values < LEAK * told.reference)
    step = int(held.steps[first[0]]) if first.size else None
    return Seen(text, numbers, step, "eval_loss", "info")  # data without noise look the same in a log


def _at_checks(view: View) -> tuple[Array, Array, Array]:
    """Training losses around each held-out check, smoothed; held-out losses; the steps of the checks."""
    train, held = view.loss.finite, view.eval_loss.finite
    width = max(1, min(31, len(train) // max(1, len(held))))
    kernel = np.ones(width) / width
    mean = np.convolve(train.values, kernel, "valid")
    centre = train.steps[width // 2 : width // 2 + mean.size]
    return np.interp(held.steps, centre, mean), held.values, held.steps


def wrong_labels(view: View) -> Verdict:
    """The training rows cost more than held-out ones, to the end: their labels contradict each other."""
    if lacking := _both(view):
        return lacking
    told = story(view.loss, view.facts)
    train, held, steps = _at_checks(view)
    if told.reference <= 0 or len(steps) < 6:
        return Lacking("fewer than 6 held-out losses, or losses below zero")
    if unsure := _unsure(view, told.reference):
        return unsure
    late = slice(len(steps) // 2, None)
    over = float(np.median(train[late]) / max(float(np.median(held[late])), 1e-300))
    apart = float(np.median(train[late] - held[late])) / told.reference
    numbers = {"over": over, "over_limit": BETTER_HELD, "apart": apart, "apart_limit": BETTER_SHARE}
    if nothing := _nothing_carried(view, told.reference):
        return nothing
    if over > BETTER_HELD and apart > BETTER_SHARE:
        text = (
            f"training rows cost {over:.2f} times as much as held-out ones (threshold {BETTER_HELD:g}), and more by "
            f"{apart:.0%} of what knowing nothing costs (threshold {BETTER_SHARE:.0%}): their labels contradict each "
            "other, or dropout is strong"
        )
        return Seen(text, numbers, int(steps[late][0]), "loss")
    return None


CARRIED = 0.85  # of the first held-out loss


def _nothing_carried(view: View, reference: float) -> Seen | None:
    """The training loss falls, and not one held-out check is better than a constant guess."""
    train, held = view.loss.finite, view.eval_loss.finite
    low, _, _, error = _turn(held)
    best, last = low / reference, train.level(0.8, 1.0) / reference
    fell = min(1.0, float(np.median(train.values[:3])) / reference) - last
    if best < USELESS or fell < LEARNED or best - last < LEARNED or low + 2.0 * error < USELESS * reference:
        return None
    if fell > MUCH or low < CARRIED * float(held.values[0]):
        return None  # LM-DISAGREE; or held-out rows cost more from the start, and did gain
    text = (
        f"the training loss fell to {last:.0%} of what a constant guess costs, but held-out rows never cost less than "
        f"{best:.0%} of it (threshold {USELESS:.0%}): the labels belong to other rows, or the columns hold no answer"
    )
    numbers = {"held_out_best": best, "held_out_best_limit": USELESS, "learned": fell, "learned_limit": LEARNED}
    return Seen(text, numbers, int(held.steps[len(held) // 2]), "eval_loss")


def _unsure(view: View, reference: float) -> Seen | None:
    """A classifier that decides well and yet stays unsure has learned from labels that contradict each other."""
    f, held, right = view.facts, view.eval_loss.finite, view.column("eval_accuracy").finite
    if len(right) < 6 or not (f.class_counts or f.classes):
        return None
    base = max(f.class_counts) / sum(f.class_counts) if f.class_counts else 1.0 / (f.classes or 2)
    left, wrong = held.level(0.5, 1.0) / reference, (1.0 - right.level(0.5, 1.0)) / max(1.0 - base, 1e-9)
    late, _ = late_share(held, view.column("learning_rate").finite)
    if view.loss.finite.level(0.7, 1.0) < held.level(0.7, 1.0):
        return None  # training rows cost less: no contradiction among them
    if left - wrong <= UNSURE or left > 1.05 or wrong > 0.6 or late > LATE_SHARE:
        return None
    text = (
        f"held-out loss stays at {left:.0%} of chance although only {wrong:.0%} of chance's mistakes are left "
        f"(threshold: {UNSURE:.0%} apart): training taught it to doubt"
    )
    return Seen(
        text, {"left": left, "wrong": wrong, "apart_limit": UNSURE}, int(held.steps[len(held) // 2]), "eval_loss"
    )


def wrong_mode(view: View) -> Verdict:
    """Held-out losses are off although training goes well: batch normalisation or dropout in the wrong mode."""
    if "evaluates_in_training" in view.numbers:
        return None  # the live model was asked itself
    if lacking := _both(view):
        return lacking
    if story(view.loss, view.facts).reference <= 0:
        return Lacking("losses below zero have no level to compare with")
    if found := _apart_early(view):
        return _told_apart(*found, "evaluation computes something else, or its rows are prepared otherwise")
    return _by_chance(view)


def _apart_early(view: View) -> tuple[float, int] | None:
    """Held-out rows that cost more from the first checks on, to the end; as a share of what knowing nothing costs."""
    train, held, steps = _at_checks(view)
    told = story(view.loss, view.facts)
    reference = max(told.reference, float(held[0]))  # held-out rows may be harder to begin with
    if len(steps) < 4 or reference <= 0 or told.gained <= 0.15 or not _one_unit(view):
        return None
    gap = (held - train) / reference
    first = _before_memory(view, steps)
    early, late = float(np.median(gap[first])), float(np.median(gap[-max(2, len(gap) // 4) :]))
    if early <= EARLY_GAP or late <= 0.5 * early:  # statistics of batches lag at first
        return None
    return early, int(steps[1])


def _told_apart(early: float, step: int, why: str) -> Seen:
    text = (
        f"from the first checks on, held-out rows cost more than training rows by {early:.0%} of what knowing nothing "
        f"costs (threshold {EARLY_GAP:.0%}), before anything is learned by heart: {why}"
    )
    return Seen(text, {"early_gap": early, "early_gap_limit": EARLY_GAP}, step, "eval_loss")


def _before_memory(view: View, steps: Array) -> slice:
    """The checks after the first that come before the rows were passed often, as far as the log tells."""
    epoch, most = view.column("epoch").finite, max(3, len(steps) // 4)
    if len(epoch) < 2:
        return slice(1, most)
    passed = np.interp(steps, epoch.steps, epoch.values) - float(epoch.values[0])
    return slice(1, max(2, min(int((passed <= EARLY_EPOCHS).sum()), most)))


def _one_unit(view: View) -> bool:
    """Whether the first training and held-out losses are of one size: a scaled loss is no worse evaluation."""
    train, held = view.loss.finite, view.eval_loss.finite
    return float(np.median(train.values[:3])) > SAME_UNIT * float(held.values[0])


def _by_chance(view: View) -> Verdict:
    """Held-out losses that jump as before although the learning rate has faded: chance in the evaluation."""
    held, rate = view.eval_loss.finite, view.column("learning_rate").finite
    if len(held) < 12 or len(rate) < 12 or held.values.min() <= 0.0:
        return None
    faded = rate.level(0.8, 1.0) / max(rate.level(0.0, 0.2), 1e-300)
    half = len(held) // 2
    early, late = (Curve(held.steps, np.log(part)).noise for part in (held.values[:half], held.values[half:]))
    if faded > FADED or late < JUMPY or late < 0.7 * early or not _costs_both(view):
        return None
    text = (
        f"held-out loss jumps by {late:.1%} from check to check (threshold {JUMPY:.1%}), as before ({early:.1%}), "
        f"although the learning rate fell to {faded:.0%}: the evaluation itself varies"
    )
    return Seen(
        text, {"late_jumps": late, "late_jumps_limit": JUMPY, "early_jumps": early}, int(held.steps[half]), "eval_loss"
    )


def _costs_both(view: View) -> bool:
    """Chance that evaluation adds is chance that training has, too: both losses stay up, and alike."""
    train, held = view.loss.finite, view.eval_loss.finite
    reference = story(view.loss, view.facts).reference
    level, other = held.level(0.5, 1.0), train.level(0.5, 1.0)
    return 0.08 * reference < level < reference and level < ALIKE * other


def disagreeing(view: View) -> Verdict:
    """The loss improves in training while held-out loss or metric get worse than a guess."""
    if len(view.loss.finite) < 6 or (len(view.eval_loss.finite) < 4 and not _metric(view)):
        return Lacking("no held-out loss or metric to set beside the training loss")
    told = story(view.loss, view.facts)
    if told.gained_from_start < 0.15 and told.gained < 0.15:
        return None
    held = view.eval_loss.finite
    numbers = {"gained": told.gained_from_start, "gained_limit": 0.15}
    if len(held) >= 4 and told.reference > 0:
        worse = held.level(0.7, 1.0) / max(told.reference, float(held.values[0]))
        if worse > WORSE and held.values[-1] > held.values[0]:
            numbers |= {"held_out_over_chance": worse, "held_out_over_chance_limit": WORSE}
            text = (
                f"the training loss fell by {told.gained_from_start:.0%}, the held-out loss rose to {worse:.2f} times "
                f"what knowing nothing costs (threshold {WORSE:g})"
            )
            return Seen(text, numbers, int(held.steps[0]), "eval_loss")
        if useless := _useless(view, told.reference):
            return useless
        if len(view.loss.finite) >= 4 and (found := _apart_early(view)):
            return _told_apart(*found, "they are prepared or labelled otherwise, or evaluated in another mode")
    return _contradicted(view) or _worse_than_guessing(view, told.gained_from_start)


WORSE = 1.1


def _useless(view: View, reference: float) -> Seen | None:
    """Much is learned in training, and no held-out check beats a constant guess."""
    train, held = view.loss.finite, view.eval_loss.finite
    low, _, _, error = _turn(held)
    reference = max(reference, float(held.values[0]))  # held-out rows may be harder to begin with
    best, last = low / reference, train.level(0.8, 1.0) / reference
    fell = min(1.0, float(np.median(train.values[:3])) / reference) - last
    if best < USELESS or fell <= MUCH or low + 2.0 * error < USELESS * reference or not _one_unit(view):
        return None
    text = (
        f"the training loss lost {fell:.0%} of what a constant guess costs (threshold {MUCH:.0%}), but held-out rows "
        f"never cost less than {best:.0%} of it (threshold {USELESS:.0%}): they are prepared or labelled otherwise, "
        "or nothing but the training rows was learned"
    )
    numbers = {"held_out_best": best, "held_out_best_limit": USELESS, "learned": fell, "learned_limit": MUCH}
    return Seen(text, numbers, int(held.steps[0]), "eval_loss")


def _contradicted(view: View) -> Seen | None:
    """A log loss that looks learned beside decisions that are wrong: it weighs rows otherwise than the metric."""
    if not is_log_loss(view.facts.loss):
        return None
    name = next((n for n in ("eval_accuracy", "accuracy") if len(view.column(n).finite) >= 4), "")
    column = "loss" if name == "accuracy" else "eval_loss"
    found = below_log_loss(view.column(name).finite, view.column(column).finite) if name else None
    if found is None or found[0] < BELOW:
        return None
    text = (
        f"{column} lies below ln 2 times the share of wrong decisions in {found[0]:.0%} of the checks (threshold "
        f"{BELOW:.0%}), which no log loss of these decisions can: rows or classes have other weights than in the "
        "metric"
    )
    return Seen(text, {"below_share": found[0], "below_share_limit": BELOW}, found[1], column)


def _metric(view: View) -> str:
    return next((name for name in ("eval_accuracy", "accuracy") if len(view.column(name).finite) >= 4), "")


def _worse_than_guessing(view: View, gained: float) -> Verdict:
    name = _metric(view)
    counts, classes = view.facts.class_counts, view.facts.classes
    if not name or not (counts or classes) or gained < 0.4:
        return None
    metric = view.column(name).finite
    base = max(counts) / sum(counts) if counts else 1.0 / (classes or 2)
    right = metric.level(0.7, 1.0)
    if right > 0.9 * base:
        return None
    text = (
        f"{gained:.0%} of the loss is gone, but {name} is {right:.2f}, below the {base:.2f} of always naming the "
        "commonest class"
    )
    return Seen(text, {"metric": right, "metric_limit": 0.9 * base}, int(metric.steps[0]), name)


RULES = (
    Rule("LM-OVERFIT", "overfitting", "warning", "What is learned does not carry over to held-out rows.", overfitting),
    Rule("LM-LEAK", "data leak", "warning", "Held-out rows are predicted too well to be true.", leak),
    Rule("LM-LABELS", "label noise", "warning", "Labels of the training rows contradict each other.", wrong_labels),
    Rule("LM-MODE", "wrong mode", "warning", "Batch normalisation or dropout runs in the wrong mode.", wrong_mode),
    Rule("LM-DISAGREE", "loss and metric disagree", "warning", "Training improves, what counts does not.", disagreeing),
)
