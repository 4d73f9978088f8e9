"""Planted troubles are found; clean trainings are not blamed; a test without its evidence says so."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.evidence import Evidence, Training
from lossmith.diagnose.troubles import diagnose

NAMES = [
    "slow convergence",
    "vanishing gradients",
    "exploding gradients",
    "class imbalance",
    "outlier sensitivity",
    "local minima",
    "overfitting",
]
FALLING = tuple(float(v) for v in 1.0 + np.exp(-np.arange(60) / 4.0))
CLEAN = (Training(FALLING, FALLING, tuple(np.exp(-np.arange(60) / 8.0)), False),)


def regression(loss=None, y=None, raw=None, **more):
    rng = np.random.default_rng(1)
    raw = rng.normal(size=600) if raw is None else raw
    y = raw + rng.normal(0, 0.3, raw.size) if y is None else y
    settings = {"trainings": CLEAN, "train_errors": (0.30, 0.31), "valid_errors": (0.31, 0.33)}
    settings |= {"trivial_error": 1.0}
    return Evidence(loss or lm.MeanSquaredError(), "linear", y, raw, **{**settings, **more})


def binary(y=None, logit=None, decided=None, **more):
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, 800) if logit is None else logit
    y = (rng.uniform(size=logit.size) < 1 / (1 + np.exp(-logit))).astype(float) if y is None else y
    p = 1 / (1 + np.exp(-logit))
    chosen = (p >= 0.5).astype(int) if decided is None else decided
    truth = np.where(y == 1, p, 1 - p)
    settings = {"decided": chosen, "codes": y.astype(int), "probability": truth, "trainings": CLEAN}
    settings |= {"train_errors": (0.4, 0.41), "valid_errors": (0.42, 0.43), "trivial_error": 0.69}
    return Evidence(lm.BinaryCrossEntropy(), "linear", y, logit, **{**settings, **more})


def seen(evidence):
    return [finding.name for finding in diagnose(evidence) if finding.seen]


def test_seven_rows_in_order_and_complete():
    findings = diagnose(regression())
    assert [f.name for f in findings] == NAMES
    for f in findings:
        assert f.cause
        assert f.remedy
        assert f.article
        assert bool(f.evidence) != bool(f.could_not_run)
        assert (f.seen is None) == bool(f.could_not_run)


@pytest.mark.parametrize("evidence", [regression(), binary()])
def test_clean_runs_are_not_blamed(evidence):
    assert seen(evidence) == []


def test_every_verdict_carries_its_number_and_threshold():
    for f in diagnose(binary()):
        if f.seen is not None and f.name != "local minima":
            assert "threshold" in f.evidence
            assert any(character.isdigit() for character in f.evidence)


LINE = tuple(float(v) for v in np.linspace(2, 1, 50))


@pytest.mark.parametrize(("limit", "found"), [(True, True), (False, False)])
def test_slow_convergence_needs_a_falling_objective_at_the_limit(limit, found):
    evidence = regression(trainings=(Training(LINE, (), (), limit),))
    assert ("slow convergence" in seen(evidence)) is found


def test_vanishing_gradients_of_a_redescending_loss_on_wrong_rows():
    rng = np.random.default_rng(3)
    raw = np.zeros(1000)
    y = rng.normal(0, 1, 1000)
    y[:50] += 30.0
    assert "vanishing gradients" in seen(regression(lm.Tukey(c=4.685), y, raw, restarts=(1.0, 1.0)))
    assert "vanishing gradients" not in seen(regression(lm.Huber(delta=1.345), y, raw))


def test_vanishing_gradients_at_the_start():
    dead = Training(FALLING, (), (1e-9,) * 60, False)
    assert "vanishing gradients" in seen(regression(trainings=(dead,)))


@pytest.mark.parametrize(
    "training",
    [
        Training((1.0, 2.0, float("nan"))),
        Training((1.0, 5.0, 40.0)),
        Training((1.0, 0.9, 0.8), (), (1.0, 200.0, 1.0)),
    ],
)
def test_exploding_gradients(training):
    assert "exploding gradients" in seen(regression(trainings=(training,)))


def test_class_imbalance_is_rareness_and_missed_recall():
    logit = np.r_[np.full(900, -3.0), np.full(100, -1.0)]
    y = np.r_[np.zeros(900), np.ones(100)]
    assert "class imbalance" in seen(binary(y, logit))
    found = binary(y, logit, decided=y.astype(int))
    assert "class imbalance" not in seen(found)
    balanced = binary(np.r_[np.zeros(500), np.ones(500)], np.full(1000, -1.0))
    assert "class imbalance" not in seen(balanced)


def test_outlier_sensitivity_of_squared_but_not_of_robust_error():
    rng = np.random.default_rng(4)
    y = rng.normal(0, 1, 2000)
    y[:20] += 100.0
    assert "outlier sensitivity" in seen(regression(y=y, raw=np.zeros(2000)))
    assert "outlier sensitivity" not in seen(regression(lm.Huber(delta=1.345), y, np.zeros(2000)))


def test_confident_mistakes_of_mislabelled_rows():
    rng = np.random.default_rng(5)
    logit = np.where(rng.uniform(size=1000) < 0.5, -8.0, 8.0)
    y = (logit > 0).astype(float)
    y[:80] = 1 - y[:80]
    assert "outlier sensitivity" in seen(binary(y, logit))


def test_local_minima_need_a_loss_that_is_not_convex_and_starts_that_disagree():
    tukey = lm.Tukey(c=4.685)
    assert "local minima" in seen(regression(tukey, restarts=(1.0, 1.3)))
    assert "local minima" not in seen(regression(tukey, restarts=(1.0, 1.001)))
    assert "local minima" not in seen(regression(restarts=(1.0, 1.3)))
    (finding,) = [f for f in diagnose(regression(tukey)) if f.name == "local minima"]
    assert finding.seen is None
    assert "no second start" in finding.could_not_run


def test_overfitting_by_the_gap_and_by_a_rising_curve():
    assert "overfitting" in seen(regression(train_errors=(0.1, 0.12), valid_errors=(0.8, 0.82)))
    rising = Training(FALLING, tuple(float(v) for v in np.r_[np.linspace(2, 1, 20), np.linspace(1, 1.5, 40)]))
    assert "overfitting" in seen(regression(trainings=(rising,)))


def test_what_cannot_run_says_why():
    rows = {f.name: f for f in diagnose(Evidence(lm.MeanSquaredError(), "linear", np.zeros(20), np.ones(20)))}
    for name in ("slow convergence", "exploding gradients", "class imbalance", "outlier sensitivity", "overfitting"):
        assert rows[name].seen is None
        assert rows[name].could_not_run


def test_the_common_table_s_wrong_cure_is_named():
    vanishing = diagnose(regression())[1]
    assert "bounded" in vanishing.article
    assert "logits" in vanishing.remedy
