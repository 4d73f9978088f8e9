"""Comparison on the metric: hand-made numbers, honest ties, recalibration that never sees its own fold."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics as reference

from lossmith.select.metrics import METRICS, Metric
from lossmith.workflow.adjust import NONE, adjust, cross_adjust, fit_adjustment
from lossmith.workflow.evaluate import Entrant, evaluate, paired
from lossmith.workflow.heldout import best_threshold
from lossmith.workflow.reliability import calibration
from lossmith.workflow.scoring import decide, score

RMSE, ACCURACY = METRICS["rmse"], METRICS["accuracy"]


def entrant(label, folds, rank=0, default=False, learner="linear"):
    return Entrant(label, {"loss": label, "params": {}}, learner, {}, default, "mean", rank, tuple(folds), (), None)


# --- paired differences and the rule ------------------------------------------------------------------------


def test_paired_difference_by_hand():
    behind, spread = paired(RMSE, (3.0, 4.0, 8.0), (1.0, 3.0, 5.0))
    assert behind == pytest.approx(2.0)  # differences 2, 1, 3: standard deviation 1
    assert spread == pytest.approx(math.sqrt(1 / 3 + 1 / 2))


def test_large_metrics_turn_round():
    assert paired(ACCURACY, (0.9, 0.8), (0.7, 0.7))[0] == pytest.approx(-0.15)


def test_best_first_whichever_direction():
    low, high = entrant("a", (1.0, 1.1)), entrant("b", (2.0, 2.1))
    assert [s.label for s in evaluate(RMSE, [high, low]).scores] == ["a", "b"]
    assert [s.label for s in evaluate(ACCURACY, [high, low]).scores] == ["b", "a"]


def test_a_noisy_lead_is_a_tie_and_the_default_is_taken():
    default = entrant("mse", (1.00, 1.20, 0.90, 1.10, 1.00), 0, default=True)
    other = entrant("huber", (1.10, 1.00, 0.95, 1.00, 1.00), 1)
    result = evaluate(RMSE, [other, default])
    assert result.scores[result.best].label == "huber"
    assert result.scores[result.chosen].label == "mse"
    assert "tie" in result.rule


def test_a_steady_lead_wins_over_the_default():
    default = entrant("mse", (1.10, 1.31, 1.00, 1.20, 1.11), 0, default=True)
    other = entrant("huber", (1.00, 1.20, 0.90, 1.10, 1.00), 1)
    result = evaluate(RMSE, [default, other])
    assert result.scores[result.chosen].label == "huber"
    assert not result.scores[1].tied
    assert result.scores[result.reference].label == "mse"


def test_one_fold_decides_nothing():
    result = evaluate(RMSE, [entrant("mse", (1.0,), 0, default=True), entrant("huber", (0.5,), 1)])
    assert result.scores[result.chosen].label == "mse"


@pytest.mark.parametrize("seed", range(40))
def test_chosen_is_never_worse_than_the_default_by_more_than_one_standard_error(seed):
    rng = np.random.default_rng(seed)
    entrants = [
        entrant(f"l{i}", 1 + 0.1 * rng.normal(size=5), rank=int(rng.integers(0, 4)), default=i == 0, learner=learner)
        for i in range(4)
        for learner in ("linear", "boosted")
    ]
    result = evaluate(RMSE, entrants)
    chosen = result.scores[result.chosen]
    default = next(s for s in result.scores if s.reference and s.learner == chosen.learner)
    differences = np.subtract(chosen.folds, default.folds)
    assert differences.mean() <= differences.std(ddof=1) / math.sqrt(5) + 1e-15


# --- metrics ------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
Y = RNG.normal(size=50)
F = Y + RNG.normal(0, 0.5, 50)
B = np.arange(50) % 2
P = np.clip(0.5 + 0.3 * (B - 0.5) + RNG.normal(0, 0.2, 50), 0.01, 0.99)
C = np.arange(60) % 3
ROWS = RNG.dirichlet(np.ones(3), 60)


@pytest.mark.parametrize(
    ("name", "y", "prediction", "expected"),
    [
        ("rmse", Y, F, reference.root_mean_squared_error(Y, F)),
        ("mae", Y, F, reference.mean_absolute_error(Y, F)),
        ("r2", Y, F, reference.r2_score(Y, F)),
        ("poisson_deviance", np.exp(Y), np.exp(F), reference.mean_poisson_deviance(np.exp(Y), np.exp(F))),
        ("log_loss", B, P, reference.log_loss(B, P)),
        ("log_loss", C, ROWS, reference.log_loss(C, ROWS)),
        ("brier", B, P, reference.brier_score_loss(B, P)),
        ("auc", B, P, reference.roc_auc_score(B, P)),
        ("average_precision", B, P, reference.average_precision_score(B, P)),
        ("accuracy", B, P, reference.accuracy_score(B, P >= 0.5)),
        ("balanced_accuracy", C, ROWS, reference.balanced_accuracy_score(C, ROWS.argmax(1))),
        ("f1", B, P, reference.f1_score(B, P >= 0.5)),
        ("f1", C, ROWS, reference.f1_score(C, ROWS.argmax(1), average="macro")),
        ("kappa", C, ROWS, reference.cohen_kappa_score(C, ROWS.argmax(1), weights="quadratic")),
    ],
)
def test_metrics_are_scikit_learns(name, y, prediction, expected):
    assert score(METRICS[name], y, prediction) == pytest.approx(expected, rel=1e-12)


def test_pinball_level_counts():
    nine = dataclasses.replace(METRICS["pinball"], level=0.9)
    assert score(nine, Y, F) == pytest.approx(reference.mean_pinball_loss(Y, F, alpha=0.9))
    assert score(nine, Y, F) != pytest.approx(score(METRICS["pinball"], Y, F))


def test_certain_mistakes_and_rates_below_zero_stay_finite():
    assert math.isfinite(score(METRICS["log_loss"], np.array([1, 0]), np.array([0.0, 0.0])))
    assert math.isfinite(score(METRICS["poisson_deviance"], np.array([1.0, 3.0]), np.array([-1.0, 2.0])))


def test_decisions_by_threshold():
    assert decide(np.array([0.2, 0.3, 0.6]), 0.3).tolist() == [0, 1, 1]


# --- recalibration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("shift_mean", lambda y, p: p.mean() - y.mean()),
        ("shift_median", lambda y, p: np.median(y - p)),
        ("scale", lambda y, p: p.sum() - y.sum()),
    ],
)
def test_adjustments_restore_what_they_name(kind, check):
    y, biased = np.exp(Y), np.exp(F) * 0.5
    assert abs(check(y, biased)) > 0.05
    assert check(y, adjust(fit_adjustment(kind, y, biased), biased)) == pytest.approx(0.0, abs=1e-12)


def test_quantile_shift_restores_coverage():
    y = np.random.default_rng(1).normal(size=1000)
    shifted = adjust(fit_adjustment("shift_quantile", y, np.zeros(1000), 0.9), np.zeros(1000))
    assert (y <= shifted).mean() == pytest.approx(0.9, abs=0.002)


def test_platt_undoes_overconfidence():
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 1, 20000)
    y = (rng.uniform(size=logit.size) < 1 / (1 + np.exp(-logit))).astype(int)
    fitted = fit_adjustment("platt", y, 1 / (1 + np.exp(-(3.0 * logit + 1.0))))
    assert fitted["slope"] == pytest.approx(1 / 3, rel=0.1)
    assert fitted["intercept"] == pytest.approx(-1 / 3, abs=0.07)


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.full(4, 2.0), 20000)
    y = np.array([rng.choice(4, p=row) for row in rows])
    sharp = rows**2 / (rows**2).sum(1, keepdims=True)
    assert fit_adjustment("temperature", y, sharp)["by"] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("kind", ["shift_mean", "shift_median", "scale"])
def test_no_fold_sees_its_own_targets(kind):
    fold = np.arange(50) % 5
    y, p = np.exp(Y), np.exp(F)
    changed = np.where(fold == 2, y + 100.0, y)
    own = fold == 2
    before, after = cross_adjust(kind, y, p, fold), cross_adjust(kind, changed, p, fold)
    assert before[own].tolist() == after[own].tolist()
    assert not np.allclose(before[~own], after[~own])


def test_nothing_to_adjust_changes_nothing():
    assert adjust(NONE, P) is P
    with pytest.raises(ValueError, match="no adjustment"):
        fit_adjustment("wish", Y, F)


def test_best_threshold_is_where_the_classes_part():
    p = np.r_[np.full(95, 0.05), np.full(5, 0.2)]
    y = np.r_[np.zeros(95, int), np.ones(5, int)]
    found = best_threshold(METRICS["f1"], y, p)
    assert 0.05 < found <= 0.2
    assert best_threshold(METRICS["accuracy"], B, np.where(B == 1, 0.9, 0.1)) == 0.5


# --- reliability --------------------------------------------------------------------------------------------


def test_calibrated_probabilities_have_little_error_and_shifted_ones_much():
    rng = np.random.default_rng(4)
    p = rng.uniform(0.05, 0.95, 20000)
    y = (rng.uniform(size=p.size) < p).astype(int)
    good, bad = calibration("binary", y, p), calibration("binary", y, np.clip(p + 0.2, 0, 1))
    assert good.expected_error < 0.02
    assert bad.expected_error > 0.1
    assert sum(good.counts) == p.size
    # Murphy's decomposition holds up to the spread within bins.
    assert good.brier == pytest.approx(good.reliability - good.resolution + good.uncertainty, abs=0.002)


def test_coverage_of_a_quantile():
    y = np.random.default_rng(5).normal(size=5000)
    found = calibration("regression", y, np.full(5000, 1.2815515655446004), level=0.9)
    assert found.coverage == pytest.approx(0.9, abs=3 * found.coverage_error)
    assert found.counts == (5000,)


def test_means_and_confidences_are_binned():
    assert calibration("regression", Y, F).kind == "mean"
    found = calibration("multiclass", C, ROWS)
    assert found.kind == "confidence"
    assert np.average(found.observed, weights=found.counts) == pytest.approx((ROWS.argmax(1) == C).mean())


def test_metric_record_is_complete():
    assert all(isinstance(m, Metric) and m.about for m in METRICS.values())
