"""Marks of causes: each shows where physics says so, none in a sound training, none where nothing is known."""

from __future__ import annotations

import pytest

from lossmith.diagnose.causes import HEALTHY, Judge, judges
from lossmith.diagnose.marks import MARKS, OF_STEPS, marks, paired_numbers
from lossmith.diagnose.words import CAUSES

SOUND = {
    "moved": -2.8, "covered": 1.0, "frozen": 0.0, "no_gradient_share": 0.0, "accumulates_somewhere": 0.0,
    "rate_left": 0.0,
    "step_excess": -1.0, "fresh_step_excess": -1.2, "penalty_pull": -12.0, "decay": -2.0, "overflow": 0.0,
    "half_gradients": 0.0, "half_parameters": 0.0, "bad_inputs": -12.0, "bad_targets": -12.0, "far_cell": 0.9,
    "cell_gap": 0.1, "row_gap": 0.0, "column_spread": 0.0, "column_offset": -1.0, "column_offset_max": 0.2,
    "column_spread_ratio": 0.2, "column_spread_max": 0.3, "far_cells_share": -12.0, "batch_order": 0.0,
    "seen_before": 0.0, "top_column": 0.5, "top_column_lead": 0.05, "apart_median": 0.05, "apart_surely": 0.1,
    "columns_gone": 0.0, "drawn_slope": 0.0, "batch_mixed": 1.0, "head_bend": -12.0, "bend": -0.6, "depth": 3.0,
    "neighbours_doubt": 0.0, "dead_max": 0.1, "twin_units": 0.0, "zero_weights": 0.0, "squashing_layers": 0.0,
    "weight_scale_max": 0.1, "narrowest": 5.0, "parameters_per_row": 0.2, "dropout": 0.1, "chance_in_own": -12.0,
    "norms": 0.0, "batch_size": 5.0, "batch_different": 5.0,
    "finite_parameters": 1.0, "loss_cosine": 1.0, "loss_growth": 1.2,
    "loss_negative_share": 0.0, "loss_flat_share": 0.0, "wrong_and_still": 0.0, "outputs_within_unit": 0.2,
    "outputs_within_one": 0.5, "outputs_nonnegative": 0.5, "restart_gain": -0.3,
}  # fmt: skip
SLOW = {"restart_gain": 0.2, "onward_gain": 0.3}
LOG = {"path": -0.2, "update_median": -2.8, "steps": 2.6, "size_first": 0.8, "loss_bad_share": 0.0}
CLIPPED = {"gradient_ratio": -2.0, "gradient_cosine": 1.0, "penalty_pull": -0.8, "accumulates_somewhere": 3.0}
CLASSES = {"class_weight_spread": 0.1, "class_ratio": 0.3, "ladder_uneven": 0.0, "ladder_broken": 0.0}
SHOWN = [
    ("learning-rate-too-low", {"step_excess": -4.0, "moved": -5.0, **SLOW}, {"path": -2.5, "update_median": -5.0}),
    ("learning-rate-too-high", {"restart_gain": 0.5}, {"path": 1.2, "update_median": -1.2}),
    ("too-few-steps", SLOW, {"steps": 1.2, "path": -0.6}),
    ("learning-rate-decay", {"rate_left": -4.0, "moved": -7.0, **SLOW}, {"rate_last": -4.0}),
    ("learning-rate-decay", SLOW, {"update_fade": -3.0, "update_first": -2.5, "gradient_growth": 0.0}),
    ("too-few-steps", {"moved": -12.0, **SLOW}, {"moving_steps": 0.8, "path": -0.9}),
    ("optimizer-not-stepping", {"moved": -12.0}, {"path": -12.0}),
    ("gradient-not-reset", {"accumulates_somewhere": 1.0}, {}),
    ("bad-initialisation-small", {}, {"pair.start_over_fresh_min": -1.0}),
    ("bad-initialisation-large", {}, {"pair.start_over_fresh": 1.0}),
    ("frozen-layers", {}, {"start_slowest_layer": -5.0}),
    ("model-too-small", {"bend": -7.0}, {}),
    ("wrong-output-activation", {"head_bend": 0.3}, {}),
    ("double-softmax", {**CLASSES, "ladder_floor": -0.2, "ladder_top": 0.1, "ladder_best": 20.0}, {}),
    ("mse-on-logits", {**CLASSES, "ladder_floor": -4.0, "ladder_top": 2.6, "ladder_best": 1.0}, {}),
    ("missing-sigmoid", {**CLASSES, "ladder_floor": -4.0, "ladder_top": 0.3, "ladder_best": 1.0}, {}),
    ("wrong-loss-for-target", {**CLASSES, "ladder_floor": -0.2, "ladder_uneven": -4.0, "ladder_best": 1.0}, {}),
    ("wrong-loss-for-target", {"loss_uneven": 1.0}, {}),
    ("class-weights-inverted", {**CLASSES, "drawn_slope": 2.0, "batch_order": 0.5}, {}),
    ("sorted-batches", {"batch_order": 0.6, "batch_mixed": 0.3}, {}),
    ("outliers", {"far_cell": 3.0, "cell_gap": 1.0}, {}),
    ("unscaled-inputs", {"column_spread": -2.5}, {}),
    ("train-eval-mismatch", {"columns_gone": 0.5}, {}),
    ("weight-decay-too-high", {"shrinks": -1.5}, {"size_change": -2.0}),
    ("batchnorm-eval-mode", {"norms": 2.0, "own_mode_gap": 0.5}, {}),
    ("deep-sigmoid", {"fresh_gradient_slope": 1.0, "fresh_gradient_first_last": -6.0, "depth": 6.0}, {}),
    ("frozen-layers", {"frozen": 0.5}, {}),
    ("learning-rate-too-high", {"memory": 2.3}, {}),
    ("learning-rate-too-low", {"step_excess": -4.0, "moved": -5.0, **CLIPPED, **SLOW}, {"path": -0.5}),
    ("batch-too-small", {"batch_different": 1.0, **SLOW}, {}),
    ("data-leak", {"told_column": 0.8, "told_lead": 0.2}, {}),
    ("class-weights-inverted", {"class_weight_spread": 0.7, "class_weight_slope": 1.0, "class_ratio": 0.3}, {}),
    ("wrong-loss-for-target", {"loss_asymmetry": 1.0}, {}),
    ("outliers", {"far_target": 2.0}, {}),
    ("outliers", {"far_target": 1.1, "target_gap": 0.4}, {}),
    ("label-noise", {"neighbours_doubt": 0.6}, {}),
    ("zero-initialisation", {"twin_units": 1.0}, {}),
    ("nan-in-data", {"bad_inputs": -4.0}, {}),
]


def found(probes: dict[str, float], log: dict[str, float]) -> set[str]:
    numbers = {**LOG, **log, **{f"probe.{k}": v for k, v in {**SOUND, **probes}.items()}}
    return {name.removeprefix("mark.") for name, value in marks(numbers).items() if value}


def test_every_cause_has_one():
    assert set(MARKS) == set(CAUSES) - {HEALTHY}
    assert set(MARKS) >= set(OF_STEPS)


def test_a_sound_training_bears_none():
    assert found({}, {}) == set()


HARMLESS = [
    ({"batch_different": 1.0}, {}),
    ({}, {"steps": 1.2, "path": -0.6}),
    ({"step_excess": -4.0, "moved": -5.0}, {"path": -2.5, "update_median": -5.0}),
    ({"far_target": 1.3, "target_gap": 0.05}, {}),
    ({"top_column": 0.95, "told_column": 0.0}, {}),
    ({"parameters_per_row": 2.0}, {}),
]


@pytest.mark.parametrize(("probes", "log"), HARMLESS)
def test_what_is_unusual_and_does_no_harm_bears_none(probes, log):
    well = {"restart_gain": -0.6, "onward_gain": 0.01, "own_skill": 0.9, "own_skill_train": 0.91}
    assert found({**probes, **well}, {**log, "pair.skill_gap": 0.01}) == set()


def test_long_steps_after_which_smaller_ones_gain_nothing_are_sound():
    probes = {"restart_gain": -0.6, "onward_gain": 0.05}
    assert found(probes, {"path": 1.2, "update_median": -1.2}) == set()


def test_nothing_known_shows_nothing():
    assert not any(marks({}).values())


@pytest.mark.parametrize(("cause", "probes", "log"), SHOWN, ids=[f"{case[0]}-{k}" for k, case in enumerate(SHOWN)])
def test_a_cause_bears_its_own_alone(cause, probes, log):
    assert found(probes, log) == {cause}


def test_what_cannot_be_tried_is_not_denied():
    told = marks({"probe.finite_parameters": 0.0})
    assert {cause for cause in OF_STEPS if f"mark.{cause}" in told} == {"learning-rate-too-high"}
    assert told["mark.learning-rate-too-high"] == 1.0  # parameters that are lost speak for themselves
    assert told["mark.outliers"] == 0.0


def test_a_long_step_that_pays_is_not_judged():
    gains = {"restart_gain": -0.8, "onward_gain": 0.3}
    ahead = {f"probe.{k}": v for k, v in {**SOUND, **gains}.items()} | LOG
    assert "mark.learning-rate-too-high" not in marks(ahead | {"path": 1.2, "update_median": -1.2})


def test_pairs_are_differences():
    numbers = {"update_first": -2.0, "probe.fresh_best_step": -1.0}
    assert paired_numbers(numbers) == {"pair.first_over_best": -1.0}


@pytest.mark.parametrize("tier", ["live", "probes"])
def test_marks_move_the_odds_of_their_cause(tier):
    judge: Judge = judges()[tier]
    here, missing = (judge.probabilities({"mark.outliers": value}) for value in (1.0, 0.0))
    at = judge.causes.index("outliers")
    assert here[at] > 2.0 * missing[at]
