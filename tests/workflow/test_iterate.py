"""Remedies are kept only if they win on held-out folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossmith.select.facts import analyse
from lossmith.select.metrics import METRICS
from lossmith.workflow.evaluate import Entrant, evaluate
from lossmith.workflow.findings import Finding
from lossmith.workflow.heldout import Model, settled
from lossmith.workflow.iterate import iterate
from lossmith.workflow.scoring import score
from lossmith.workflow.trials import Plan, Problem

N = 500


def problem(y, task, metric):
    X = pd.DataFrame({"a": np.random.default_rng(0).normal(size=N)})
    facts = analyse(X, pd.Series(y, name="y"), task)
    return Problem(X, y, np.arange(N) % 5, facts, METRICS[metric], 0, "")


def model(of, prediction, loss="mse", **settings):
    plan = Plan(loss, {"loss": loss, "params": {}}, "linear", settings)
    folds = tuple(score(of.metric, of.y[of.fold == k], prediction[of.fold == k]) for k in range(5))
    return Model(plan, prediction, of.y, 1, prediction, prediction, "", np.full(5, 0.5), False, folds)


def step5(of, *models):
    entrants = [
        Entrant(m.plan.label, m.plan.config, "linear", {}, m.plan.label in ("mse", "bce"), "", i, m.folds, (), None)
        for i, m in enumerate(models)
    ]
    return evaluate(of.metric, entrants)


def seen(name):
    return Finding("LM-X", name, "warning", True, "planted", "", "", "", "")


def attempts_of(of, start, findings=(), others=(), train=lambda plan: None):
    models = [start, *others]
    return iterate(of, start, step5(of, *models), findings, models, train)


@pytest.fixture
def numbers():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=N) * 3.0
    return problem(truth + rng.normal(0, 0.5, N), "regression", "rmse"), truth


def test_a_biased_model_is_recalibrated_and_a_fair_one_is_left(numbers):
    of, truth = numbers
    kept, attempts = attempts_of(of, model(of, truth + 2.0))
    assert attempts[-1].remedy.startswith("recalibration of the mean")
    assert attempts[-1].kept
    assert kept.adjustment == "shift_mean"
    assert settled(of, kept)[0]["by"] == pytest.approx(-2.0, abs=0.1)
    fair, attempts = attempts_of(of, model(of, truth))
    assert fair.adjustment == ""
    assert not attempts[-1].kept


def test_a_robust_loss_with_its_mean_restored_can_win(numbers):
    of, truth = numbers
    noisy = model(of, truth + np.random.default_rng(2).normal(0, 1.0, N))
    kept, attempts = attempts_of(of, noisy, others=[model(of, truth - 1.5, "mae")])
    assert kept.plan.label == "mae"
    assert [a.label for a in attempts if a.kept] == ["mae"]


def test_what_could_not_be_trained_is_recorded(numbers):
    of, truth = numbers
    _, attempts = attempts_of(of, model(of, truth))
    untried = [a for a in attempts if a.after is None]
    assert untried
    assert all("not tried" in a.note and not a.kept for a in untried)


def test_other_settings_are_kept_only_if_they_win(numbers):
    of, truth = numbers
    start = model(of, truth + np.random.default_rng(3).normal(0, 1.0, N))

    def train(plan):
        better = plan.settings.get("regularisation") == 10.0
        return model(of, truth if better else truth + 3.0, plan.label, **plan.settings)

    kept, attempts = attempts_of(of, start, train=train)
    assert kept.plan.settings == {"regularisation": 10.0}
    assert [a.remedy for a in attempts if a.kept] == ["regularisation 10 times stronger"]


def test_the_default_loss_gets_the_same_settings(numbers):
    of, truth = numbers
    start = model(of, truth + 1.0, "huber")
    default = model(of, truth + np.random.default_rng(3).normal(0, 2.0, N), "mse")

    def train(plan):
        return model(of, truth if plan.label == "mse" else truth + 3.0, plan.label, **plan.settings)

    kept, attempts = attempts_of(of, start, others=[default], train=train)
    assert kept.plan.label == "mse"
    assert any("default loss" in a.remedy and a.kept for a in attempts)


@pytest.fixture
def rare():
    rng = np.random.default_rng(4)
    logit = rng.normal(-2.5, 1.2, N)
    p = 1 / (1 + np.exp(-logit))
    return (rng.uniform(size=N) < p).astype(int), p


def test_the_threshold_moves_for_a_metric_of_recalls(rare):
    y, p = rare
    of = problem(y, "binary", "balanced_accuracy")
    kept, attempts = attempts_of(of, model(of, p, "bce"))
    assert attempts[-1].kept
    assert kept.tuned
    assert settled(of, kept)[1] < 0.3
    assert settled(of, model(of, p, "bce"))[1] == 0.5


def test_imbalance_tries_weights_and_overconfidence_is_calibrated(rare):
    y, p = rare
    of = problem(y, "binary", "log_loss")
    sharp = p**3 / (p**3 + (1 - p) ** 3)
    tried = []
    kept, attempts = attempts_of(of, model(of, sharp, "bce"), [seen("class imbalance")], train=tried.append)
    assert any(plan.settings.get("class_weights") == "balanced" for plan in tried)
    assert kept.adjustment == "platt"
    assert attempts[-1].after < attempts[-1].before


def test_findings_decide_what_is_tried(numbers):
    of, truth = numbers
    tried = []
    attempts_of(of, model(of, truth), [seen("slow convergence"), seen("outlier sensitivity")], train=tried.append)
    assert any(plan.settings.get("iterations", 0) > 300 for plan in tried)
    assert any(plan.config["loss"] == "huber" for plan in tried)
    tried.clear()
    attempts_of(of, model(of, truth), train=tried.append)
    assert not any("iterations" in plan.settings or plan.config["loss"] == "huber" for plan in tried)
