"""The workflow's step 6: planted troubles are found, clean trainings are not blamed, what cannot be tested says so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.held_out import HeldOut
from lossmith.workflow.findings import CHECKS, findings_of
from lossmith.workflow.outcomes import Curve

FALLING = tuple(float(v) for v in 1.0 + np.exp(-np.arange(60) / 4.0))
NORMS = tuple(float(v) for v in np.exp(-np.arange(60) / 8.0))


def curve(train=FALLING, valid=(), norms=(), stopped="converged"):
    return Curve("mse", "linear", 0, tuple(range(len(train))), train, valid, norms, len(train), stopped)


CLEAN = curve(FALLING, FALLING, NORMS)


def regression(loss=None, y=None, raw=None, **more):
    rng = np.random.default_rng(1)
    raw = rng.normal(size=600) if raw is None else raw
    y = raw + rng.normal(0, 0.3, raw.size) if y is None else y
    settings = {"train_errors": (0.30, 0.31), "valid_errors": (0.31, 0.33), "trivial_error": 1.0, "limited": 0.0}
    return HeldOut(loss or lm.MeanSquaredError(), y, raw, **{**settings, **more})


def binary(y=None, logit=None, decided=None, **more):
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, 800) if logit is None else logit
    y = (rng.uniform(size=logit.size) < 1 / (1 + np.exp(-logit))).astype(float) if y is None else y
    p = 1 / (1 + np.exp(-logit))
    chosen = (p >= 0.5).astype(int) if decided is None else decided
    settings = {"decided": chosen, "codes": y.astype(int), "probability": np.where(y == 1, p, 1 - p)}
    settings |= {"train_errors": (0.4, 0.41), "valid_errors": (0.42, 0.43), "trivial_error": 0.69, "limited": 0.0}
    return HeldOut(lm.BinaryCrossEntropy(), y, logit, **{**settings, **more})


def look(held, curves=(CLEAN,), restarts=()):
    counts = () if held.codes is None else np.bincount(held.codes)
    return findings_of(curves, held, restarts, counts)


def seen(held, curves=(CLEAN,), restarts=()):
    return [finding.id for finding in look(held, curves, restarts) if finding.seen]


def test_every_check_in_order_and_complete():
    findings = look(regression())
    assert [f.id for f in findings] == list(CHECKS)
    for f in findings:
        assert f.cause
        assert f.remedy
        assert (f.seen is None) == bool(f.could_not_run)
        assert not f.seen or any(character.isdigit() for character in f.evidence)


@pytest.mark.parametrize("held", [regression(), binary()])
def test_clean_runs_are_not_blamed(held):
    assert seen(held) == []


LINE = tuple(float(v) for v in np.linspace(2, 1, 50))


@pytest.mark.parametrize(("limited", "found"), [(1.0, True), (0.0, False)])
def test_slow_convergence_needs_a_falling_objective_at_the_limit(limited, found):
    held = regression(limited=limited)
    assert ("LM-SLOW" in seen(held, [curve(LINE)])) is found


def test_vanishing_gradients_of_a_redescending_loss_on_wrong_rows():
    rng = np.random.default_rng(3)
    raw = np.zeros(1000)
    y = rng.normal(0, 1, 1000)
    y[:50] += 30.0
    assert "LM-VANISH" in seen(regression(lm.Tukey(c=4.685), y, raw))
    assert "LM-VANISH" not in seen(regression(lm.Huber(delta=1.345), y, raw))


def test_vanishing_gradients_from_the_start():
    assert "LM-VANISH" in seen(regression(), [curve(norms=(1e-9,) * 60)])


@pytest.mark.parametrize(
    ("training", "found"),
    [
        (curve((1.0, 2.0, float("nan"))), "LM-NAN"),
        (curve((1.0, 5.0, 40.0)), "LM-EXPLODE"),
        (curve((1.0, 0.9, 0.8), (), (1.0, 200.0, 1.0)), "LM-EXPLODE"),
    ],
)
def test_breakdowns(training, found):
    assert found in seen(regression(), [training])


def test_class_imbalance_is_rareness_and_missed_recall():
    logit = np.r_[np.full(900, -3.0), np.full(100, -1.0)]
    y = np.r_[np.zeros(900), np.ones(100)]
    assert "LM-IMBALANCE" in seen(binary(y, logit))
    assert "LM-IMBALANCE" not in seen(binary(y, logit, decided=y.astype(int)))
    assert "LM-IMBALANCE" not in seen(binary(np.r_[np.zeros(500), np.ones(500)], np.full(1000, -1.0)))


def test_outlier_sensitivity_of_squared_but_not_of_robust_error():
    rng = np.random.default_rng(4)
    y = rng.normal(0, 1, 2000)
    y[:20] += 100.0
    assert "LM-OUTLIERS" in seen(regression(y=y, raw=np.zeros(2000)))
    assert "LM-OUTLIERS" not in seen(regression(lm.Huber(delta=1.345), y, np.zeros(2000)))


def test_confident_mistakes_of_mislabelled_rows():
    rng = np.random.default_rng(5)
    logit = np.where(rng.uniform(size=1000) < 0.5, -8.0, 8.0)
    y = (logit > 0).astype(float)
    y[:80] = 1 - y[:80]
    assert "LM-OUTLIERS" in seen(binary(y, logit))


def test_local_minima_need_a_loss_that_is_not_convex_and_starts_that_disagree():
    tukey = lm.Tukey(c=4.685)
    assert "LM-MINIMA" in seen(regression(tukey), restarts=(1.0, 1.3))
    assert "LM-MINIMA" not in seen(regression(tukey), restarts=(1.0, 1.001))
    assert "LM-MINIMA" not in seen(regression(), restarts=(1.0, 1.3))
    (finding,) = [f for f in look(regression(tukey)) if f.id == "LM-MINIMA"]
    assert finding.seen is None
    assert "several starts" in finding.could_not_run


def test_overfitting_by_the_gap_and_by_a_rising_curve():
    assert "LM-OVERFIT" in seen(regression(train_errors=(0.1, 0.12), valid_errors=(0.8, 0.82)))
    rising = curve(FALLING, tuple(float(v) for v in np.r_[np.linspace(2, 1, 20), np.linspace(1, 1.5, 40)]))
    assert "LM-OVERFIT" in seen(regression(), [rising])


def test_what_one_of_many_trainings_shows_is_told_only_if_it_is_an_error():
    rising = curve(FALLING, tuple(float(v) for v in np.r_[np.linspace(2, 1, 20), np.linspace(1, 1.5, 40)]))
    assert seen(regression(), [rising, CLEAN, CLEAN]) == []
    broken = dataclasses.replace(CLEAN, train=(*FALLING[:-1], float("inf")))
    assert "LM-NAN" in seen(regression(), [broken, CLEAN, CLEAN])


def test_what_cannot_run_says_why():
    bare = HeldOut(lm.MeanSquaredError(), np.zeros(20), np.ones(20))
    rows = {f.id: f for f in findings_of([], bare)}
    for name in ("LM-SLOW", "LM-EXPLODE", "LM-IMBALANCE", "LM-OUTLIERS", "LM-OVERFIT"):
        assert rows[name].seen is None
        assert rows[name].could_not_run


def test_the_common_table_s_wrong_cure_is_named():
    vanishing = {f.id: f for f in look(regression())}["LM-VANISH"]
    assert "bounded" in vanishing.article
    assert "logits" in vanishing.remedy
