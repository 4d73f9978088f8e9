"""Step 3: derivatives are checked on this data's values, and a wrong one is found."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import lossmith as lm
from lossmith.select.facts import analyse
from lossmith.select.metrics import METRICS, metric_for
from lossmith.select.rules import candidates
from lossmith.workflow.cards import cards
from lossmith.workflow.fits import restarts_of
from lossmith.workflow.store import plain
from lossmith.workflow.trials import Plan, Problem

N = 200


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, N)
    y = 5000.0 * x + 100.0 * rng.normal(size=N) + 90000.0 * (np.arange(N) % 20 == 3)
    X = pd.DataFrame({"x": x, "z": rng.normal(size=N)})
    return X, y, analyse(X, pd.Series(y, name="y"), "regression")


def test_every_candidate_holds_on_the_data_s_own_values(planted):
    _, y, facts = planted
    selection = candidates(facts, metric_for("rmse", facts))
    found = cards(selection.admissible, y, facts, 0)
    assert [card.label for card in found] == [c.label for c in selection.admissible]
    assert len(found) >= 4
    assert all(card.passed and card.gradient_error < 1e-6 for card in found)
    assert all(card.formula and card.gradient and "gradient" in card.note for card in found)
    assert json.loads(json.dumps(plain(found)))[0]["traits"]["lipschitz"] == "inf"


def test_a_wrong_gradient_is_found(planted, monkeypatch):
    _, y, facts = planted
    selection = candidates(facts, metric_for("rmse", facts))
    huber = [c for c in selection.admissible if c.config["loss"] == "huber"]
    right = lm.Huber.slope
    monkeypatch.setattr(lm.Huber, "slope", staticmethod(lambda y, f, delta: 1.01 * right(y, f, delta)))
    (card,) = cards(huber, y, facts, 0)
    assert card.passed is False


def test_classes_are_checked_too():
    codes = np.arange(N) % 3
    facts = analyse(pd.DataFrame({"x": np.arange(N) * 1.5}), pd.Series(codes, name="y"), "multiclass")
    found = cards(candidates(facts, METRICS["log_loss"]).admissible, codes, facts, 0)
    assert {card.config["loss"] for card in found} == {"cce", "categorical_focal"}
    assert all(card.passed for card in found)


def test_starts_are_varied_only_where_there_can_be_several_minima(planted):
    X, y, facts = planted
    problem = Problem(X, y, np.arange(N) % 5, facts, METRICS["rmse"], 0, "")
    tukey = {"loss": "tukey", "params": {"c": 4.685}}
    assert len(restarts_of(Plan("tukey", tukey, "linear", {}), problem)) == 3
    assert restarts_of(Plan("tukey", tukey, "boosted", {}), problem) == ()
    assert restarts_of(Plan("mse", {"loss": "mse", "params": {}}, "linear", {}), problem) == ()
