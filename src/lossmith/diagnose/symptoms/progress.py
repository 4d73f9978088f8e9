"""Runs that do not get anywhere: slow, stuck, learning rate at zero, local minima."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .curves import Array, Curve
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .story import Story, story
from .view import View

LATE_SHARE = 0.42  # of the fall in the second half: a straight line has 50 %, an exponential of two time constants 27 %
NEARLY_DONE = 0.75  # share of the first loss gone: what is left to gain is little, unless ...
STEEP = 0.55  # ... this share of the fall came in the second half
FADED = 0.3  # of the largest rate: noise fades with it, so the loss falls late in sound runs too, and ...
GATHERING = 0.8  # ... only a fall that gathers pace tells of slowness, unless ...
UNMOVED = 0.05  # of the parameters' size, all steps together; healthy runs go .15 to 30 times it
BEGUN = 0.08  # ... less than this share of the first loss is gone
CLOSING = 0.045  # of the cost of knowing nothing, in the last fifth; healthy runs end below .025
LAST_FIFTH = 0.02  # of the whole decrease, for solvers that end by themselves
STUCK = 0.10  # less than this share below chance counts as nothing learned ...
FELL = 0.30  # ... unless it once was this far below
LR_DEAD = 1e-3  # of the largest learning rate
STEP_GONE = 0.01  # of the largest step; sound runs pass it at .6 of the run at the earliest
STEP_EARLY = 0.5
STILL_PULLS = 0.3  # last gradients over the median one
LR_EARLY = 0.75  # share of the run at which a schedule may reach it
HELD_UP = 1.3  # training over held-out loss; dropout of .3 explains up to about 1.3
HELD_APART = 0.12  # ... and this share of the cost of knowing nothing apart
SPREAD = 0.01  # relative spread of final losses over restarts
FEW = 25  # steps: too few to learn anything by, and too few to tell standing still from a slow start
NO_CHANGE = 1e-4  # of the cost of knowing nothing, from check to last check ...
STANDS = 0.3  # ... over this share of the run; healthy runs stand so for .12 of it at most ...
BATCHES_DIFFER = 0.01  # noise of single losses over their level
LEAST_LEFT = 0.02  # ... unless nothing is left to learn
DONE = 0.9  # of the first loss gone: few steps were enough
CONVERGED = 2e-3  # of its fall in the last third: a solver that took few steps has arrived
SHRUNK = 0.45  # parameters over their first size; healthy runs keep more than .58 of it
UNLEARNED = 0.1  # of the cost of knowing nothing still there


def _need(view: View, least: int) -> Lacking | None:
    have = len(view.main.finite)
    return Lacking(f"{have} losses; this takes at least {least}") if have < least else None


def slow(view: View) -> Verdict:
    """The loss is still falling steadily when the run ends, or has hardly begun to."""
    if "held.limited" in view.numbers:
        return _need(view, 6) or _at_the_limit(view, view.numbers["held.limited"])
    if hasty := _hasty(view):
        return hasty
    if lacking := _need(view, 6):
        return lacking
    curve = _steadier(view)
    told = story(curve, view.facts)
    late, error = late_share(curve, view.column("learning_rate").finite)
    moved = _moved(view)
    if moved < UNMOVED and told.start > 0.0 and told.gained_from_start < DONE:
        return _at_home(view, told, moved)
    limit = _late_limit(view, told)
    if late - 2.0 * error <= limit or told.gained_from_start > 0.97:
        return _closing(view)
    numbers = {"late_share": late, "late_share_limit": limit, "gained": told.gained_from_start}
    half = "in the second half of the run" if _steady_rate(view) else "after half of all learning rate was spent"
    text = (
        f"the {_words(view, curve)} was still falling when the run ended: {late:.0%} of its fall came {half} "
        f"(threshold {limit:.0%}), and {told.gained_from_start:.0%} of its first value is gone"
    )
    return Seen(text, numbers, int(curve.steps[len(curve) // 2]), _name(view, curve))


def _at_home(view: View, told: Story, moved: float) -> Seen:
    text = (
        f"all steps together moved the parameters by {moved:.2g} of their size (threshold {UNMOVED:g}; sound runs go "
        f"several times as far), and {told.gained_from_start:.0%} of the first loss is gone (threshold {DONE:.0%})"
    )
    numbers = {"moved": moved, "moved_limit": UNMOVED, "gained": told.gained_from_start, "gained_limit": DONE}
    return Seen(text, numbers, int(view.main.finite.steps[0]), "update_norm")


def _moved(view: View) -> float:
    """Length of the way of the parameters, all steps together, over their first size; infinite where unknown."""
    update, size = view.column("update_norm").finite, view.column("parameter_norm").finite
    if len(update) < 20 or not len(size) or not size.values[0] > 0.0:
        return math.inf
    apart = max(1.0, float(np.median(np.diff(update.steps))))
    return float(update.values[1:].sum()) * apart / float(size.values[0])


def _few_steps(view: View) -> bool:
    """Whether single steps were logged, and few of them; rows of epochs hold no gradients and no updates."""
    single = max(len(view.column("grad_norm")), len(view.column("update_norm")))
    return 3 <= len(view.main.finite) <= FEW and single >= len(view.main) and view.length < FEW


def _hasty(view: View) -> Seen | None:
    """A run of few steps that was neither done nor has arrived."""
    curve, planned = view.main.finite, view.facts.planned_steps
    if not _few_steps(view) or (planned is not None and view.length + 1 < planned):
        return None  # the run goes on
    v, told = curve.values, story(curve, view.facts)
    arrived = abs(float(v[(2 * v.size) // 3] - v[-1])) <= CONVERGED * abs(float(v[0] - v[-1]))
    if told.gained_from_start > DONE or arrived or told.end > 1.25 * told.start:
        return None
    text = (
        f"the run ended after {len(curve)} steps (threshold: more than {FEW}) with {told.gained_from_start:.0%} of its "
        f"first loss gone (threshold: {DONE:.0%})"
    )
    numbers = {
        "steps": float(len(curve)),
        "steps_limit": float(FEW),
        "gained": told.gained_from_start,
        "gained_limit": DONE,
    }
    return Seen(text, numbers, int(curve.steps[-1]), view.main_name)


def _late_limit(view: View, told: Story) -> float:
    """What sound runs stay below; a schedule that fades out bends their curves."""
    rate = view.column("learning_rate").finite.values
    if told.gained_from_start > BEGUN and rate.size > 1 and rate[-1] < FADED * rate.max():
        return GATHERING
    return STEEP if told.gained_from_start > NEARLY_DONE else LATE_SHARE


def _steady_rate(view: View) -> bool:
    rate = view.column("learning_rate").finite.values
    return rate.size < 2 or float(np.ptp(rate)) <= 1e-6 * float(np.abs(rate).max())


def _at_the_limit(view: View, limited: float) -> Verdict:
    """Solvers that know when they are done are slow only where they were stopped."""
    v = (view.eval_loss if len(view.eval_loss) else view.loss).finite.values
    whole = float(v[0] - v.min())
    late = max(0.0, float(v[int(0.8 * (v.size - 1))] - v[-1])) / whole if whole > 0 else 0.0
    if late <= LAST_FIFTH or limited < 0.5:
        return None
    text = (
        f"{late:.1%} of the whole decrease came in the last fifth of {v.size} iterations (threshold {LAST_FIFTH:.0%}), "
        f"and {limited:.0%} of the trainings ended at the iteration limit (threshold: half)"
    )
    return Seen(text, {"late_share": late, "late_share_limit": LAST_FIFTH, "limited": limited}, None, "loss")


def _closing(view: View) -> Verdict:
    """A fall at the end that is large beside what knowing nothing costs, however much came before."""
    curve = view.eval_loss.finite
    if len(curve) < 3:
        return None
    told, v = story(curve, view.facts), curve.values
    cut = float(np.interp(0.8 * curve.steps[-1] + 0.2 * curve.steps[0], curve.steps, v))
    closing = (cut - float(v[-1])) / told.reference if told.reference > 0 else 0.0
    # Second differences of a short, bent curve are no noise; there three falls in a row must do.
    steady = bool((np.diff(v[-3:]) < 0.0).all()) if len(v) < 12 else closing * told.reference > 4.0 * curve.noise
    if closing <= CLOSING or not steady:
        return None
    text = (
        f"the held-out loss was still falling when the run ended: in the last fifth of it by {closing:.1%} of what "
        f"knowing nothing costs (threshold {CLOSING:.1%})"
    )
    return Seen(text, {"closing": closing, "closing_limit": CLOSING}, int(curve.steps[-1]), "eval_loss")


def _steadier(view: View) -> Curve:
    """Held-out losses are means over the same rows each time: no noise of batches."""
    return view.eval_loss.finite if len(view.eval_loss.finite) >= 4 else view.main.finite


def _words(view: View, curve: Curve) -> str:
    return "training loss" if curve is view.loss.finite else "held-out loss"


def _name(view: View, curve: Curve) -> str:
    return "loss" if curve is view.loss.finite else "eval_loss"


def late_share(curve: Curve, rate: Curve) -> tuple[float, float]:
    """Return the share of the fall in the second half of the way, and its standard error.

    The way is the sum of learning rates where those are known and fall: a schedule that fades out is no convergence.

    Parameters
    ----------
    curve, rate : Curve
        Losses and learning rates; the latter may be empty.

    Returns
    -------
    tuple of float
        (0, 1) where the loss did not fall by more than its noise.
    """
    way = _way(curve, rate)
    v, k = curve.values, max(1, min(len(curve) // 6, 25))
    middle = int(np.searchsorted(way, 0.5 * (way[0] + way[-1])))
    start, end = float(np.median(v[:k])), float(np.median(v[-k:]))
    low = min(max(0, middle - k // 2), v.size - k)
    turn = float(np.median(v[low : low + k]))
    fall, error = start - end, 1.2533 * curve.noise * math.sqrt(2.0 / k)
    return ((turn - end) / fall, error / fall) if fall > 3.0 * error and fall > 1e-4 * abs(start) else (0.0, 1.0)


def _way(curve: Curve, rate: Curve) -> Array:
    """Sum of learning rates up to each value; step numbers where there are no rates, or where they only rise."""
    apart = np.diff(rate.steps)
    if len(rate) < 2 or rate.values.min() < 0 or rate.values.max() <= 0 or apart.min() <= 0:
        return curve.steps.astype(np.float64)
    if rate.values[-1] >= rate.values.max():  # a rise that never ends hides no slowness
        return curve.steps.astype(np.float64)
    summed = np.cumsum(rate.values * np.gradient(rate.steps.astype(np.float64)))
    return np.asarray(np.interp(curve.steps, rate.steps, summed))


def plateau(view: View) -> Verdict:
    """The loss stands still at a level that is hardly better than a constant guess."""
    if lacking := _need(view, 6):
        return lacking
    curve = _steadier(view)
    told = _from_first(view, story(curve, view.facts))
    if held := _held_up(view, told):
        return held
    if shrunk := _shrunk(view, told) or _stopped(view, told):
        return shrunk
    if told.reference <= 0 or told.gained > STUCK or told.end > 1.25 * told.reference or _few_steps(view):
        return None
    if told.best < (1.0 - FELL) * told.reference:
        return None  # it fell, and came back: LM-OVERFIT or LM-DIVERGE
    late, error = late_share(curve, view.column("learning_rate").finite)
    if late - 2.0 * error > LATE_SHARE:
        return None
    numbers = {"gained": told.gained, "gained_limit": STUCK, "level": told.end, "chance": told.reference}
    against = "what a constant guess costs" if told.chance else "its start"
    side = f"only {told.gained:.1%} below" if told.gained >= 0 else f"{-told.gained:.1%} above"
    text = (
        f"the {_words(view, curve)} stands still at {told.end:.4g}, {side} {against} of {told.reference:.4g} "
        f"(threshold: {STUCK:.0%} below it)"
    )
    return Seen(text, numbers, told.best_step, _name(view, curve))


def _held_up(view: View, told: Story) -> Seen | None:
    """The training loss stands still above the held-out loss: noise in training keeps it there."""
    train, held = view.loss.finite, view.eval_loss.finite
    if len(train) < 40 or len(held) < 6 or told.reference <= 0:
        return None
    level, other = train.level(0.75, 1.0), held.level(0.75, 1.0)
    over, apart = level / max(other, 1e-300), (level - other) / told.reference
    late, error = late_share(train, view.column("learning_rate").finite)
    if over <= HELD_UP or apart <= HELD_APART or late - 2.0 * error > LATE_SHARE:
        return None
    text = (
        f"the training loss stands still at {level:.3g}, {over:.2f} times the held-out loss (threshold {HELD_UP:g}): "
        "strong dropout, augmentation or wrong labels hold it up"
    )
    return Seen(text, {"over": over, "over_limit": HELD_UP, "apart": apart, "apart_limit": HELD_APART},
                int(train.steps[int(0.75 * (len(train) - 1))]), "loss")  # fmt: skip


def _shrunk(view: View, told: Story) -> Seen | None:
    """Parameters that shrink for good while much is left to learn: a penalty pulls harder than the data."""
    size = view.column("parameter_norm").finite
    if len(size) < 20 or told.reference <= 0 or not size.values[0] > 0.0:
        return None
    share = size.level(0.9, 1.0) / float(size.values[0])
    left = told.end / told.reference
    if share >= SHRUNK or left < UNLEARNED:
        return None
    text = (
        f"the parameters shrank to {share:.2g} of their first size (threshold {SHRUNK:g}), and {left:.0%} of what "
        f"knowing nothing costs is left (threshold {UNLEARNED:.0%}): a penalty holds them down"
    )
    numbers = {"size": share, "size_limit": SHRUNK, "left": left, "left_limit": UNLEARNED}
    step = int(size.steps[np.argmax(size.values < SHRUNK * size.values[0])])
    return Seen(text, numbers, step, "parameter_norm")


def _stopped(view: View, told: Story) -> Seen | None:
    """The held-out loss fell, or jumped, and from some step on it does not change at all."""
    held, train = view.eval_loss.finite, view.loss.finite
    if len(held) < 8 or told.reference <= 0 or told.end < LEAST_LEFT * told.reference:
        return None
    if train.noise < BATCHES_DIFFER * abs(train.level(0.7, 1.0)):
        return None  # no batches: a solver that has arrived stands still
    away = np.flatnonzero(np.abs(held.values - held.values[-1]) > NO_CHANGE * told.reference)
    first = int(away[-1]) + 1 if away.size else 0
    share = float(held.steps[-1] - held.steps[first]) / max(1, int(held.steps[-1] - held.steps[0]))
    if share < STANDS or len(held) - first < 4:
        return None
    text = (
        f"the held-out loss does not change any more from step {int(held.steps[first])} on ({share:.0%} of the run, "
        f"threshold {STANDS:.0%}; by less than {NO_CHANGE:g} of what knowing nothing costs): nothing is learned there"
    )
    return Seen(text, {"stands": share, "stands_limit": STANDS}, int(held.steps[first]), "eval_loss")


def _from_first(view: View, told: Story) -> Story:
    """Held-out losses are seldom: the first of them, or the first training losses, tell where the run began."""
    firsts = [float(np.median(view.loss.finite.values[:3]))] if len(view.loss.finite) else []
    firsts += [float(view.eval_loss.finite.values[0])] if len(view.eval_loss.finite) else []
    return replace(told, start=max([told.start, *firsts]))


def local_minimum(view: View) -> Verdict:
    """Several starts ended at different losses."""
    if view.numbers.get("held.convex"):
        return None
    names = [name for name in view.names if name.startswith("restart_loss")]
    ends = [view.column(name).finite.last for name in names if len(view.column(name).finite)]
    if len(ends) < 2:
        return Lacking(
            "one run alone cannot tell; record final losses of several starts as restart_loss_0, ..., or give the model"
        )
    low, high = min(ends), max(ends)
    spread = (high - low) / max(abs(low), 1e-12)
    if spread <= SPREAD:
        return None
    numbers = {"spread": spread, "spread_limit": SPREAD, "lowest": low, "highest": high}
    text = f"final losses of {len(ends)} starts differ by {spread:.1%} of the lowest (threshold {SPREAD:.0%})"
    return Seen(text, numbers)


def rate_at_zero(view: View) -> Verdict:
    """The learning rate reached zero long before the end."""
    rate = view.column("learning_rate").finite
    found = _rate_gone(view, rate) if len(rate) >= 4 else Lacking("no learning rate was recorded")
    return found if isinstance(found, Seen) else _steps_gone(view) or found


def _rate_gone(view: View, rate: Curve) -> Seen | None:
    top = float(rate.values.max())
    dead = rate.values <= LR_DEAD * top
    if top <= 0 or not dead[-1]:
        return None
    first = int(np.flatnonzero(~dead)[-1]) + 1 if (~dead).any() else 0
    begun, final = int(rate.steps[0]), max(int(rate.steps[-1]), view.facts.planned_steps or 0)
    share = (int(rate.steps[first]) - begun) / max(1, final - begun)
    if share > LR_EARLY:
        return None
    numbers = {"share_of_run": share, "share_of_run_limit": LR_EARLY, "rate": rate.last, "largest_rate": top}
    text = (
        f"learning rate is {rate.last:.2g}, {rate.last / top:.1g} of its largest (threshold {LR_DEAD:g}), since "
        f"{share:.0%} of the run (threshold: not before {LR_EARLY:.0%})"
    )
    return Seen(text, numbers, int(rate.steps[first]), "learning_rate")


def _steps_gone(view: View) -> Seen | None:
    """Steps that shrink to nothing while the gradient stays: the rate that counts is gone, whatever was logged."""
    update, pull = view.column("update_norm").finite, view.column("grad_norm").finite
    steps, left, right = np.intersect1d(update.steps, pull.steps, return_indices=True)
    if steps.size < 40 or view.length + 1 < (view.facts.planned_steps or 0):
        return None
    sizes, pulls = (np.convolve(v, np.ones(5) / 5, "valid") for v in (update.values[left], pull.values[right]))
    if not sizes.max() > 0.0 or pulls[-1] < STILL_PULLS * np.median(pulls):
        return None
    share = (int(np.flatnonzero(sizes > STEP_GONE * sizes.max())[-1]) + 1) / sizes.size
    if share > STEP_EARLY:
        return None
    text = (
        f"steps are smaller than {STEP_GONE:.0%} of the largest since {share:.0%} of the run (threshold: not before "
        f"{STEP_EARLY:.0%}) although the gradient stays: the learning rate that counts is gone"
    )
    numbers = {"share_of_run": share, "share_of_run_limit": STEP_EARLY}
    return Seen(text, numbers, int(steps[min(steps.size - 1, int(share * steps.size))]), "update_norm")


RULES = (
    Rule("LM-SLOW", "slow convergence", "warning", "The loss was still falling when the run ended.", slow),
    Rule("LM-PLATEAU", "plateau", "warning", "The loss stands still near the cost of a constant guess.", plateau),
    Rule("LM-MINIMA", "local minima", "warning", "Where training ends depends on where it began.", local_minimum),
    Rule("LM-LRZERO", "learning rate at zero", "warning", "The schedule ends long before the run.", rate_at_zero),
)
