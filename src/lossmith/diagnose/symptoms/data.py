"""What the data do to the run: rare classes, outliers, scales, order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .curves import Array, Curve, correlation, smooth
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .story import story
from .view import View

RATIO = 3.0  # largest class over smallest
FAR_RATIO = 10.0  # ... from which on classes need not be missed as badly
MISSED = 1.0 / 3.0  # recall of the rarest classes over that of the commonest
RECALL_GAP = 0.3  # between them; between the best and the worst class where their sizes are not known
HEAVY = 0.45  # of a regression loss on the worst 1 % of samples; 7 % under normal noise, healthy below 20 % (43)
TOP_PULL = 0.10  # of the gradient carried by 1 % of the rows; 3.6 % for squared error under normal noise
FAR_SAMPLE = 250.0  # times the median sample of a batch; 10 to 17 under normal noise, 106 seen in a good uneven fit
SCATTER = 20.0  # variance of batch losses x batch size / level squared: 2 for normal errors, healthy below 5 (18) ...
SHUFFLED = 0.3  # correlation of neighbouring batches, at most
STAYS = 0.6  # ... unless most is learned: of far rows nothing is
BATCH_TAIL = 15.0  # highest 5 % of batch losses over the median one
INPUT_SIZE = 10.0  # AutoTrainer: mean absolute input of a layer
INPUT_SMALL = 0.05  # largest spread of an input column
TARGET_SPREAD = 10.0
TARGET_OFFSET = 10.0  # mean of the target
FIRST_LOSS = 4.5  # times chance; usual initialisations stay below 3
ACTIVATION = 4.0  # spread of a hidden layer at the start; usual initialisations on scaled inputs stay near 1
FIRST_LOSS_ALONE = 100.0  # where chance is not known
PERIODIC = 0.4  # correlation of batch losses with those one epoch later; shuffled ones stay below .25
ALIKE = 0.5  # correlation of the losses of neighbouring batches; 0 when shuffled, healthy runs below .15
UNEVEN = 0.2  # relative spread of batch losses around their trend: smoothed logs have less
RIPPLE = 0.05  # relative size below which the order hardly matters


def imbalance(view: View) -> Verdict:
    """Rare classes are missed."""
    recalls = {name: view.column(name).finite for name in view.names if "recall_" in name}
    recalls = {name: curve for name, curve in recalls.items() if len(curve)}
    held = {name: curve for name, curve in recalls.items() if name.startswith("eval_")} or recalls
    counts: Sequence[float] = view.facts.class_counts
    if len(held) < 2:
        return Lacking("no recall of single classes was recorded")
    counts = counts or _shares(view, held)
    ratio = max(counts) / max(min(counts), 1e-9) if counts else math.nan
    if ratio < RATIO:
        return None
    last = {name: curve.level(0.8, 1.0) for name, curve in held.items()}
    if not counts:
        return _some_missed(last, held)
    if len(counts) != len(last):
        return Lacking("recalls of some classes were not recorded")
    found, common = _groups(last, counts)
    if found >= MISSED * common and (ratio < FAR_RATIO or common - found < RECALL_GAP):
        return None
    limit = MISSED * common if found < MISSED * common else common - RECALL_GAP
    rarest = list(last)[int(np.argmin(counts))]
    where = "held-out" if rarest.startswith("eval_") else "training"
    numbers = {"rare_recall": found, "rare_recall_limit": limit, "common_recall": common}
    numbers |= {"ratio": ratio, "ratio_limit": RATIO}
    text = (
        f"{found:.0%} of the {where} rows of the rarest classes are found, and {common:.0%} of the commonest ones "
        f"(threshold: {limit:.0%}); classes differ in size {ratio:.1f} times (threshold {RATIO:g}): the rare are missed"
    )
    return Seen(text, numbers, int(held[rarest].steps[0]), rarest)


def _groups(recalls: Mapping[str, float], counts: Sequence[float]) -> tuple[float, float]:
    """Mean recall of the rarest classes and of the commonest: which class is hard by itself says nothing."""
    sizes = np.asarray(counts, float)
    order = sorted(recalls, key=lambda name: int(name.rpartition("_")[2]))
    each = np.array([recalls[name] for name in order])
    return float(each[sizes <= 1.5 * sizes.min()].mean()), float(each[sizes >= 0.5 * sizes.max()].mean())


def _some_missed(last: Mapping[str, float], held: Mapping[str, Curve]) -> Seen | None:
    """Some class is missed; whether it is a rare one is not known."""
    low, high = min(last, key=last.__getitem__), max(last, key=last.__getitem__)
    gap = last[high] - last[low]
    if gap < RECALL_GAP:
        return None
    best, worst = (name.removeprefix("eval_").removeprefix("recall_") for name in (high, low))
    text = (
        f"{last[low]:.0%} of the rows of class {worst} are found, and {last[high]:.0%} of class {best} (threshold: "
        f"{RECALL_GAP:.0%} apart); whether the missed one is rare is not known"
    )
    numbers = {"recall_gap": gap, "recall_gap_limit": RECALL_GAP}
    return Seen(text, numbers, int(held[low].steps[0]), low, "info")


def _shares(view: View, recalls: dict[str, Curve]) -> tuple[float, ...]:
    """Shares of the classes, where accuracy and recalls over several checks tell them; else nothing.

    Accuracy is the mean of the recalls, each with its class's share as the weight: with enough different checks that
    leaves one solution, without any error.
    """
    name = "eval_accuracy" if next(iter(recalls)).startswith("eval_") else "accuracy"
    right = view.column(name).finite
    steps = right.steps
    for curve in recalls.values():
        steps = np.intersect1d(steps, curve.steps)
    if steps.size <= len(recalls):
        return ()
    at = [curve.values[np.searchsorted(curve.steps, steps)] for curve in recalls.values()]
    table = np.column_stack(at)
    whole = np.vstack([table, np.ones(len(at))])  # shares sum to one
    said = np.r_[right.values[np.searchsorted(right.steps, steps)], 1.0]
    shares, _, rank, _ = np.linalg.lstsq(whole, said, rcond=1e-3)
    sound = rank == len(at) and float(np.abs(whole @ shares - said).max()) < 1e-3 and float(shares.min()) > 0.0
    return tuple(map(float, shares)) if sound else ()


def outliers(view: View) -> Verdict:
    """Few samples carry much of the loss."""
    held = _in_predictions(view)
    if held is not None:
        return held if isinstance(held, Seen) else None
    if "held.stuck_share" in view.numbers:
        return Lacking("fewer than 100 held-out rows, or a model without probabilities")
    # A classifier's last mistakes carry its loss; that is no fault.
    if view.facts.classes or view.facts.task in ("binary", "multiclass") or "eval_accuracy" in view.names:
        return None
    shares = view.column("samples.reservoir_top1_share").finite
    if len(shares) >= 3:
        return _few_samples(shares) or _far_samples(view) or _scattered(view)
    curve = view.loss.finite
    if scattered := _scattered(view):
        return scattered
    if len(curve) < 40:
        return Lacking("no per-sample losses, and fewer than 40 losses of batches")
    tail, level = _tail(curve), curve.level(0.25, 1.0)
    if tail < BATCH_TAIL or level < 0.02 * abs(float(curve.values[0])):
        return None
    text = f"the highest 5 % of the batch losses are {tail:.1f} times the median one (threshold {BATCH_TAIL:g})"
    step = int(curve.steps[np.argmax(curve.values)])
    return Seen(text, {"tail": tail, "tail_limit": BATCH_TAIL}, step, "loss")


def _in_predictions(view: View) -> Seen | bool | None:
    """Whether held-out predictions show it; None where there are none to look at."""
    pull = view.numbers.get("held.top_pull")
    if pull is not None:
        text = f"{pull:.1%} of the gradient comes from 1 % of the rows (threshold {TOP_PULL:.0%})"
        return pull > TOP_PULL and Seen(text, {"top_pull": pull, "top_pull_limit": TOP_PULL})
    share, limit = (view.numbers.get(f"held.confident_mistakes{end}") for end in ("", "_limit"))
    if share is None or limit is None:
        return None
    text = f"{share:.2%} of the rows have a true class called less than 1 % likely (threshold {limit:.2%})"
    return share > limit and Seen(text, {"confident_mistakes": share, "confident_mistakes_limit": limit})


def _few_samples(shares: Curve) -> Verdict:
    share = shares.level(0.2, 1.0)
    if share <= HEAVY:
        return None
    text = f"the worst 1 % of the samples carry {share:.0%} of the loss (threshold {HEAVY:.0%})"
    return Seen(text, {"top1_share": share, "top1_share_limit": HEAVY}, int(shares.steps[0]), "loss")


def _far_samples(view: View) -> Verdict:
    """The worst sample of a batch against its median one."""
    worst, middle = view.column("samples.max").finite, view.column("samples.median").finite
    steps, left, right = np.intersect1d(worst.steps, middle.steps, return_indices=True)
    known = middle.values[right] > 0.0
    if known.sum() < 5:
        return None
    far = float(np.median((worst.values[left] / np.where(known, middle.values[right], 1.0))[known][steps.size // 5 :]))
    if far <= FAR_SAMPLE:
        return None
    text = f"the worst sample of a batch costs {far:.3g} times its median one (threshold {FAR_SAMPLE:g})"
    return Seen(text, {"worst_over_median": far, "worst_over_median_limit": FAR_SAMPLE}, int(steps[0]), "loss")


def _scattered(view: View) -> Seen | None:
    """Batch means of squared errors scatter more than rows with normal errors let them, and little is learned."""
    v, size = view.loss.finite.values, view.facts.batch_size
    if v.size < 60 or not size or v.min() < 0.0:
        return None
    late = v[v.size // 2 :]
    level, first = float(late.mean()), float(v[: max(10, v.size // 10)].mean())
    if not 0.0 < STAYS * first < level < first / STAYS:
        return None
    place, shares = np.arange(late.size), late / level
    rest = shares - np.polyval(np.polyfit(place, shares, 1), place)
    scatter = size * float(rest.var())
    if scatter < SCATTER or correlation(rest[:-1], rest[1:]) > SHUFFLED:  # else batches differ by their order
        return None
    text = (
        f"batch losses scatter {scatter:.3g} times as far, squared, as their level (by row; threshold "
        f"{SCATTER:g}; 2 for normal errors), and {level / first:.0%} of the first loss stays (threshold {STAYS:.0%}): "
        "few rows carry it"
    )
    numbers = {"scatter": scatter, "scatter_limit": SCATTER, "stays": level / first, "stays_limit": STAYS}
    return Seen(text, numbers, int(view.loss.finite.steps[v.size // 2]), "loss")


def _tail(curve: Curve) -> float:
    """Mean of the highest 5 % of the batch losses over the median, in the last three quarters of the run."""
    v = curve.values[curve.values.size // 4 :]
    middle = float(np.median(v))
    top = np.sort(v)[-max(1, v.size // 20) :]
    return float(top.mean()) / middle if middle > 0 else 0.0


def scale(view: View) -> Verdict:
    """Inputs or targets are far from unit scale."""
    f = view.facts
    known = (f.input_std_max, f.input_mean_max, f.target_std)
    if not len(view.main.finite) and all(value is None for value in known):
        return Lacking("no losses and no facts about inputs or targets")
    numeric = f.task not in ("binary", "multiclass") and not f.classes
    for value, limit, what in (
        (f.input_std_max, INPUT_SIZE, "largest spread of an input column"),
        (f.input_mean_max, INPUT_SIZE, "largest mean of an input column"),
        (f.target_std if numeric else None, TARGET_SPREAD, "spread of the target"),
        (abs(f.target_mean or 0.0) if numeric else None, TARGET_OFFSET, "mean of the target"),
    ):
        if value is not None and limit < value < math.inf:
            text = f"{what} is {value:.3g} (threshold {limit:g}); networks start out for unit scale"
            return Seen(text, {"size": value, "size_limit": limit}, 0)
    if f.input_std_max is not None and 0.0 < f.input_std_max < INPUT_SMALL:
        text = f"largest spread of an input column is {f.input_std_max:.3g} (threshold {INPUT_SMALL:g}): too small"
        return Seen(text, {"size": f.input_std_max, "size_limit": INPUT_SMALL}, 0)
    return _first_loss(view) or _first_activations(view)


def _first_loss(view: View) -> Verdict:
    curve, held = view.main.finite, view.eval_loss.finite
    told = story(curve, view.facts) if len(curve) else None
    if told is None or told.start <= 0:
        return None
    # Batch normalisation hides in training what evaluation shows.
    early = max(told.start, float(held.values[0]) if len(held) and held.steps[0] <= curve.steps[0] else 0.0)
    first = early / (told.chance or 1.0)
    limit = FIRST_LOSS if told.chance else FIRST_LOSS_ALONE
    if not limit < first < math.inf:
        return None
    what = "times what a constant guess costs" if told.chance else "where a target of unit scale costs about 1"
    text = f"the first losses are {first:.3g} {what} (threshold {limit:g}): inputs, targets or weights are too large"
    return Seen(text, {"first_loss": first, "first_loss_limit": limit}, int(curve.steps[0]), view.main_name)


def _first_activations(view: View) -> Verdict:
    """Hidden activations that spread far at the start: inputs or weights are too large."""
    spreads = {name: float(c.finite.values[0]) for name, c in view.layers("activation_std").items() if len(c.finite)}
    hidden = dict(list(spreads.items())[:-1])
    if not hidden:
        return None
    layer = max(hidden, key=hidden.__getitem__)
    if hidden[layer] <= ACTIVATION:
        return None
    text = (
        f"activations of layer {layer} spread over {hidden[layer]:.3g} at the start (threshold {ACTIVATION:g}; about 1 "
        "is usual): its inputs or weights are too large"
    )
    return Seen(text, {"activation_spread": hidden[layer], "activation_spread_limit": ACTIVATION}, 0)


def sorted_batches(view: View) -> Verdict:
    """Batch losses repeat with the epoch, or are like those of the batches beside them: rows come in an order."""
    curve = view.loss.finite
    if alike := _neighbours_alike(curve):
        return alike
    per = view.facts.steps_per_epoch or _period(view)
    if per is None or per < 3:
        return Lacking("steps of an epoch are not known, or fewer than 3")
    if len(curve) < 3 * per or len(curve) < 20:
        return Lacking(f"{len(curve)} losses; this takes three epochs of {per} steps")
    rest = _ripple(curve.values, per)
    again = correlation(rest[:-per], rest[per:])
    limit = max(PERIODIC, 4.0 / math.sqrt(len(rest) - per))
    if again < limit or rest.std() < RIPPLE:
        return None
    numbers = {"periodic": again, "periodic_limit": limit, "steps_per_epoch": float(per)}
    text = (
        f"batch losses repeat from epoch to epoch: correlation {again:.2f} over {per} steps (threshold {limit:.2f}); "
        "rows come in the same order each time, and batches differ"
    )
    return Seen(text, numbers, int(curve.steps[2 * per - 1]), "loss")


def _neighbours_alike(curve: Curve) -> Seen | None:
    """Shuffled batches are independent: what one costs more than the trend says nothing of the next."""
    v = curve.values
    if v.size < 60 or v.min() <= 0.0 or np.median(v[-(v.size // 5) :]) > 1.5 * np.median(v[:5]):
        return None  # too short, or a run that blows up: it drags neighbours along
    rest = _ripple(v, max(8, min(40, v.size // 8)))[v.size // 10 :]
    alike = correlation(rest[:-1], rest[1:])
    if alike < ALIKE or rest.std() < UNEVEN:
        return None
    text = (
        f"neighbouring batches cost alike: correlation {alike:.2f} (threshold {ALIKE:g}; 0 for shuffled rows), while "
        f"batches further apart differ by {rest.std():.0%} (threshold {UNEVEN:.0%}): rows come in an order"
    )
    numbers = {"alike": alike, "alike_limit": ALIKE, "uneven": float(rest.std()), "uneven_limit": UNEVEN}
    return Seen(text, numbers, int(curve.steps[v.size // 10]), "loss")


def _ripple(values: Array, per: int) -> Array:
    """Logarithm of the losses over their surroundings of an epoch's length."""
    floor = 1e-9 * float(np.abs(values).max()) + 1e-300
    logs = np.log(np.maximum(values, floor))
    return np.asarray(logs - smooth(logs, per | 1))


def _period(view: View) -> int | None:
    epoch = view.column("epoch").finite
    if len(epoch) < 10 or epoch.last - float(epoch.values[0]) < 2:
        return None
    return round((len(epoch) - 1) / (epoch.last - float(epoch.values[0])))


RULES = (
    Rule("LM-IMBALANCE", "class imbalance", "warning", "Rare classes are missed.", imbalance),
    Rule("LM-OUTLIERS", "outlier sensitivity", "warning", "Few samples carry much of the loss.", outliers),
    Rule("LM-SCALE", "unscaled inputs or targets", "warning", "Inputs or targets are far from unit scale.", scale),
    Rule("LM-SORTED", "sorted batches", "warning", "Rows come in an order that repeats.", sorted_batches),
)
