"""Marks: what physics makes nearly certain, whatever the loop, the optimiser or the schedule. Each compares numbers.

Shares, correlations and counts are as they are; sizes, rates, ratios and losses are log10, as in `features` and the
probes (-2 is a hundredth). `sentences` tells of each number what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lossmith.diagnose.features import finite

Numbers = Mapping[str, float]
Mark = Callable[[Callable[[str], float]], bool | None]
"""Given a way to look up a number (NaN where it is not known), tell whether the mark is there; None: cannot be told."""

Look = Callable[[str], float]


def _classes(n: Look) -> bool:
    return n("class_weight_spread") > -1.0


def _dead(n: Look) -> bool:
    return n("dead_max") > 0.8 or n("twin_units") > 0.5


def _alike(n: Look) -> bool:
    return n("zero_weights") > 0.5 or n("twin_units") > 0.25


def _doing_well(n: Look) -> bool:
    """Going on changes nothing, or a new start stays far behind: what is unusual does no harm."""
    return n("onward_gain") < 0.035 or n("restart_gain") < -0.25


def _stale(n: Look) -> bool:
    """Batch normalisation remembers other data than it sees, or steps are taken in evaluation mode."""
    other = n("norm_mean_gap") > -0.3 or n("norm_spread_gap") > 0.3 or n("step_in_training") == 0.0
    other = other or n("norm_forgets") > 0.7
    # The user's evaluation differs from evaluation mode, and not by chance: it has another memory.
    other = other or (abs(n("own_mode_gap")) > 0.1 and not n("chance_in_own") > -4.0)
    return n("norms") > 0 and other and not n("dropout") > 0.7 and not n("path") > 0.8 and not n("moving_steps") < 1.9


def _few_steps(n: Look) -> bool:
    return n("steps") < 1.95 or 0.0 < n("moving_steps") < 1.95


def _faded(n: Look) -> bool:
    """The rate, or the step if gradients did not fade, is almost gone, and not because it is still to rise."""
    shorter = n("update_fade") < -1.7 and n("gradient_growth") > -0.5 and n("update_first") > -6.0
    return shorter or (n("rate_left") < -1.8 and not n("rate_last") > -1.0)


def _still(n: Look) -> bool:
    return n("covered") == 0.0 or (n("moved") < -11.5 and not _faded(n) and not n("path") > -4.0)


def _clipped(n: Look) -> bool:
    """Steps follow a gradient that is cut to a part of itself."""
    return n("gradient_ratio") < -1.0 and n("gradient_cosine") > 0.99


def _silent(n: Look) -> bool:
    """Gradients reach no or hardly any parameter, although weights differ and all are asked for."""
    asked = n("covered") == 1.0 and n("frozen") == 0.0 and not n("zero_weights") > 0.5
    return asked and n("no_gradient_share") > 0.4 and n("output_varies") < -4.0


def _swallowed(n: Look) -> bool:
    """From each layer to the one before, most of the gradient is lost, from the start and with inputs in scale."""
    steep = n("fresh_gradient_slope") > 0.6 and n("fresh_gradient_first_last") < -3.0
    return steep and n("depth") > 3.0 and n("no_gradient_share") == 0.0 and n("column_spread") > -1.0


def _penalised(n: Look) -> bool:
    pulled = n("penalty_pull") > -1.5 and n("gradient_ratio") > -0.7 and n("fact_half") != 1.0
    shrinks = n("shrinks") > -2.3 and n("size_change") < -0.4
    return pulled or shrinks or n("decay") > 0.1 or (n("decay") > -1.0 and n("size_change") < -0.4)


def _strange_cells(n: Look) -> bool:
    """A few cells, or a few rows, lie apart from all others."""
    return n("far_cell") > 1.8 and (n("cell_gap") > 0.5 or n("row_gap") > 0.5)


def _unscaled_inputs(n: Look) -> bool:
    spread, heavy = n("column_spread"), n("far_cells_share") > -2.0 and not _strange_cells(n)
    far = n("column_offset") > 0.6 or n("column_offset_max") > 1.5
    return spread > 0.6 or spread < -1.0 or far or max(n("column_spread_ratio"), n("column_spread_max")) > 1.4 or heavy


def _frozen(n: Look) -> bool:
    unreached = 0.0 < n("no_gradient_share") < 1.0 and not _dead(n)
    unreached = unreached or -11.0 < n("start_slowest_layer") < -3.3
    return 0.0 < n("covered") < 1.0 or n("frozen") > 0.0 or unreached


def _half_lost(n: Look) -> bool:
    rounded = n("half_gradients") > 0.99 or (n("half_parameters") > 0.99 and not n("zero_weights") > 0.5)
    return (rounded or (n("fact_half") == 1.0 and n("lost_share") > 0.3)) and not _half_burst(n)


def _half_burst(n: Look) -> bool:
    bad = n("loss_bad_share") > 0.0 or n("finite_parameters") == 0.0
    return n("overflow") > 0.5 or (n("fact_half") == 1.0 and bad)


def _probabilities(n: Look) -> bool:
    return _classes(n) and n("outputs_within_unit") == 1.0


def _squashed_output(n: Look) -> bool:
    """Outputs do not follow the last layer's parameters in proportion: an activation sits on them."""
    return n("head_bend") > -4.0 and not _probabilities(n)


def _never_low(n: Look) -> bool:
    """However sure and right the outputs, the loss stays near where it began; however wrong, it hardly grows."""
    return n("ladder_floor") > -0.6 and n("ladder_top") < 0.3 and n("ladder_best") > 2.0


def _asymmetric(n: Look) -> bool:
    return n("loss_asymmetry") > 0.3


def _wrong_loss(n: Look) -> bool:
    """Numbers: the loss is least beside the target, or pulls unevenly. Classes: it pulls elsewhere, or ignores one."""
    if _classes(n):
        ignores = n("ladder_uneven") < -2.5 and n("ladder_floor") > -1.0
        return abs(n("loss_cosine")) < 0.05 or ignores
    beside = n("ladder_off") > 0.05 or n("loss_uneven") > 0.4 or n("loss_negative_share") > 0.05
    return beside or (n("loss_cosine") < 0.6 and not _trapped(n)) or _asymmetric(n)


def _bounded_away(n: Look) -> bool:
    """Outputs that are no probabilities go into a loss that takes logarithms of probabilities."""
    if not _classes(n) or _probabilities(n):
        return False
    return n("ladder_broken") == 1.0 or n("ladder_floor") == -5.0 or (n("ladder_best") == 1.0 and n("ladder_top") < 0.6)


def _pulled_back(n: Look) -> bool:
    """The loss of a right output grows when it becomes surer, and far mistakes pull hard: it compares codes."""
    return _classes(n) and n("ladder_best") <= 1.0 and n("ladder_top") > 1.2 and n("ladder_uneven") > -0.5


def _wrong_weights(n: Look) -> bool:
    """Weights rise with the size of the class, or differ by e times more than sizes do; both are natural logarithms."""
    spread, sizes = n("class_weight_spread"), math.log(10.0) * n("class_ratio")
    unlike = (spread > 0.5 and n("class_weight_slope") > 0.5) or spread > sizes + 1.0
    drawn = n("drawn_slope") > 0.9 and n("batch_mixed") > 0.8
    return (unlike or drawn) and not _wrong_loss(n) and not _never_low(n)


def _trapped(n: Look) -> bool:
    """Mistakes that are large enough hardly pull, and the loss is right otherwise."""
    if _classes(n):
        return n("ladder_top") < 0.6 and n("ladder_floor") < -3.0 and n("ladder_best") > 2.0
    right = n("loss_cosine") > 0.6 or (n("loss_cosine") > 0.3 and n("ladder_off") == 0.0 and n("loss_uneven") < 0.1)
    return n("loss_growth") < -3.0 and right and not n("loss_flat_share") > 0.99 and not _asymmetric(n)


def _far_targets(n: Look) -> bool:
    """A few lie apart: either across an empty ring, or farther away than the tail of any sound target."""
    return (n("far_target") > 0.9 and n("target_gap") > 0.2) or n("far_target") > 1.9


def _leaks(n: Look) -> bool:
    told = n("told_column") > 0.75 and n("told_lead") > 0.1
    return (
        n("seen_before") > 0.3
        or n("copies_apart") < -0.5
        or n("top_column_lead") > 0.35
        or n("top_column") > 0.99
        or told
    )


def _other_columns(n: Look) -> bool:
    return n("apart_median") > 0.35 or n("columns_gone") > 0.25 or n("apart_surely") > 0.6


def _unscaled_target(n: Look) -> bool:
    return (abs(n("target_std")) > 1.0 or n("target_mean") > 1.0) and not _far_targets(n)


def _burst(n: Look) -> bool:
    """Parameters are no numbers any more, and neither the data nor half precision explains it."""
    lost = n("finite_parameters") == 0.0 or n("loss_bad_share") > 0.0
    return lost and not max(n("bad_inputs"), n("bad_targets")) > -11.0 and not _half_burst(n)


def _too_high(n: Look) -> bool | None:
    long = n("path") > 0.5 and (n("update_median") > -1.8 or n("update_last") > -1.5)
    lost = n("path") > 0.7 and n("restart_gain") > 0.1
    far = long or lost or n("update_median") > -1.6 or n("pair.first_over_best") > 0.4 or n("memory") > 1.8 or _burst(n)
    elsewhere = _penalised(n) or n("accumulates") > 0.3 or _unscaled_inputs(n) or _unscaled_target(n)
    elsewhere = elsewhere or _wrong_loss(n) or _alike(n) or _far_targets(n)
    noisy = n("neighbours_doubt") > 0.2 or n("batch_order") > 0.3 or n("batch_different") < 2.1
    if far and n("restart_gain") < -0.3 and not n("memory") > 1.8:
        # Steps are long, yet the training is ahead of a short one by the book; if smaller ones help, nothing is said.
        return None if n("onward_gain") > 0.1 else False
    return far and not elsewhere and not noisy


def _too_low(n: Look) -> bool:
    small = n("step_excess") < -1.7 and (_clipped(n) or not n("path") > -0.9) and n("moved") < -3.0
    return small and not _faded(n) and not _still(n) and not _half_lost(n) and not _doing_well(n)


MARKS: Mapping[str, Mark] = {
    "nan-in-data": lambda n: max(n("bad_inputs"), n("bad_targets")) > -11.0,
    "outliers": lambda n: _far_targets(n) or _strange_cells(n),
    "unscaled-inputs": _unscaled_inputs,
    "unscaled-target": _unscaled_target,
    "class-imbalance": lambda n: (
        n("class_ratio") > 0.8 and not n("class_weight_spread") > 1.5 and not n("drawn_slope") > 0.9
    ),
    "class-weights-inverted": _wrong_weights,
    "data-leak": _leaks,
    "sorted-batches": lambda n: n("batch_order") > 0.3 and not n("batch_mixed") > 0.8,
    "label-mismatch": lambda n: (
        n("renaming_gain") > 0.2
        or n("cross_correlation") < -0.15
        or n("target_ratio") > 0.3
        or n("target_shift") > -0.4
        or n("unknown_classes") > 0.1
    ),
    "train-eval-mismatch": _other_columns,
    "label-noise": lambda n: (
        n("neighbours_doubt") > 0.2
        and not n("seen_before") > 0.3
        and not _far_targets(n)
        and not n("bad_targets") > -11.0
        and not _other_columns(n)
    ),
    "optimizer-not-stepping": _still,
    "frozen-layers": _frozen,
    "gradient-not-reset": lambda n: (
        n("accumulates_somewhere") > 0.3 and n("covered") != 0.0 and not n("penalty_pull") > -1.5 and not _clipped(n)
    ),
    "fp16-overflow": _half_burst,
    "fp16-underflow": _half_lost,
    "weight-decay-too-high": _penalised,
    "dropout-too-high": lambda n: (
        n("dropout") > 0.7 or (n("dropout") > 0.45 and n("training_noise") > -0.2 and not n("chance_in_own") > -4.0)
    ),
    "dropout-in-eval": lambda n: n("chance_in_own") > -4.0 and n("dropout") < 0.75,
    "batchnorm-eval-mode": _stale,
    "batch-too-small": lambda n: n("batch_different") < 2.1 and not _doing_well(n),
    "zero-initialisation": lambda n: n("twin_units") > 0.25 and not _penalised(n),
    "dead-relu": lambda n: (n("dead_max") > 0.8 or _silent(n)) and not n("twin_units") > 0.5 and not n("path") > 0.6,
    "deep-sigmoid": lambda n: n("squashing_layers") > 3 or _swallowed(n),
    "bad-initialisation-large": lambda n: (
        (n("pair.start_over_fresh") > 0.4 and not _dead(n)) or (n("weight_scale_max") > 0.6 and not n("path") > 0.5)
    ),
    "bad-initialisation-small": lambda n: (
        (n("pair.start_over_fresh") < -0.3 or -11.0 < n("pair.start_over_fresh_min") < -0.4) and not _alike(n)
    ),
    "double-softmax": lambda n: (
        _classes(n) and not _dead(n) and (_never_low(n) or (_probabilities(n) and n("ladder_top") > 0.8))
    ),
    "missing-sigmoid": _bounded_away,
    "mse-on-logits": _pulled_back,
    "wrong-output-activation": _squashed_output,
    "wrong-loss-for-target": _wrong_loss,
    "local-minimum": _trapped,
    "model-too-small": lambda n: n("narrowest") < 1.7 or n("bend") < -6.0,
    "no-regularisation": lambda n: (
        n("parameters_per_row") > 1.3 and not n("seen_before") > 0.3 and not n("pair.skill_gap") < 0.05
    ),
    "learning-rate-decay": lambda n: _faded(n) and not n("path") < -3.0 and not _doing_well(n),
    "learning-rate-too-low": _too_low,
    "learning-rate-too-high": _too_high,
    "too-few-steps": lambda n: _few_steps(n) and not n("path") > -0.1 and not _doing_well(n),
}
"""By cause."""


OF_STEPS = (
    "gradient-not-reset",
    "learning-rate-too-high",
    "weight-decay-too-high",
    "bad-initialisation-large",
    "missing-sigmoid",
    "wrong-loss-for-target",
)
"""Causes whose marks probes of steps and outputs show."""


def marks(numbers: Numbers) -> dict[str, float]:
    """Say which causes bear their mark.

    Parameters
    ----------
    numbers : mapping of str to float
        Those of probes have the prefix ``probe.``.

    Returns
    -------
    dict of str to float
        ``mark.CAUSE``: 1 or 0; nothing where it cannot be told.
    """

    def known(name: str) -> float:
        return numbers.get(f"probe.{name}", numbers.get(name, math.nan))

    found = {cause: mark(known) for cause, mark in MARKS.items()}
    if known("finite_parameters") == 0.0:  # steps cannot be tried any more: what is not seen may still have been
        found |= {cause: None for cause in OF_STEPS if not found[cause]}
    return {f"mark.{cause}": float(there) for cause, there in found.items() if there is not None}


PAIRS = (
    ("pair.first_over_best", "update_first", "probe.fresh_best_step"),
    ("pair.median_over_best", "update_median", "probe.best_step"),
    ("pair.last_over_best", "update_last", "probe.best_step"),
    ("pair.path_over_best", "path", "probe.fresh_best_step"),
    ("pair.restart_over_onward", "probe.restart_gain", "probe.onward_gain"),
    ("pair.now_over_fresh_start", "loss_last", "probe.initial_loss"),
    ("pair.update_over_now", "update_last", "probe.own_step"),
    ("pair.skill_gap", "probe.own_skill_train", "probe.own_skill"),
    ("pair.start_over_fresh", "size_first", "probe.fresh_size"),
    ("pair.start_over_fresh_min", "start_weight_size_min", "probe.fresh_size_min"),
    ("pair.memory_from_here", "probe.memorised_right", "probe.fresh_memorised_right"),
)
"""(name, minuend, subtrahend)"""


def paired_numbers(numbers: Numbers) -> dict[str, float]:
    """Numbers of a record and of probes held against each other: physics that a sum of evidence cannot express.

    Parameters
    ----------
    numbers : dict of str to float
        Of `log_numbers`, and those of probes with the prefix ``probe.``.

    Returns
    -------
    dict of str to float
        Differences of logarithms; only of what is there.
    """
    found = {
        name: numbers[first] - numbers[second]
        for name, first, second in PAIRS
        if first in numbers and second in numbers
    }
    low = ("probe.step_excess", "probe.fresh_step_excess")
    if all(name in numbers for name in low):
        found["pair.steps_agree"] = max(numbers[name] for name in low)
        found["pair.steps_least"] = min(numbers[name] for name in low)
    return finite(found)
