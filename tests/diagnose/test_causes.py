"""The judges as shipped: probabilities, missing numbers, evidence, remedies."""

from __future__ import annotations

import ast
import math
import re

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.causes import HEALTHY, Judge, Scale, causes, judges
from lossmith.diagnose.features import curve_numbers
from lossmith.diagnose.record import Facts, Layer, Record, Step
from lossmith.diagnose.remedies import REMEDIES
from lossmith.diagnose.words import CAUSES


def still(layers: bool) -> Record:
    """A run in which nothing moves."""
    steps = [
        Step(
            k,
            loss=0.693 + 0.01 * math.sin(k),
            eval_loss=0.7 if k % 10 == 0 else None,
            learning_rate=1e-3,
            grad_norm=0.3,
            parameter_norm=5.0,
            update_norm=0.0,
            layers={n: Layer(0.2, 3.0, 0.0) for n in ("a", "b")} if layers and k % 10 == 0 else {},
        )
        for k in range(300)
    ]
    return Record.of(Facts(task="binary", classes=2, rows=400, batch_size=32), steps)


def test_probabilities_sum_to_one_and_fall():
    ranked = causes(still(True))
    chances = [cause.probability for cause in ranked]
    assert sum(chances) == pytest.approx(1.0)
    assert chances == sorted(chances, reverse=True)


def test_a_run_that_does_not_move_is_named():
    assert "optimizer-not-stepping" in [cause.id for cause in causes(still(True))[:3]]


def test_evidence_is_quoted():
    first = causes(still(True))[0]
    assert first.evidence
    assert all("healthy runs" in line for line in first.evidence)


def test_curves_alone_are_enough():
    record = Record.of(Facts(), [Step(k, loss=1.0 / (k + 1)) for k in range(100)])
    assert sum(cause.probability for cause in causes(record)) == pytest.approx(1.0)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to judge"):
        causes(None)


@pytest.mark.parametrize("tier", ["curve", "log", "live"])
def test_a_missing_number_says_nothing(tier):
    judge = judges()[tier]
    p = judge.probabilities({})
    assert p.sum() == pytest.approx(1.0)
    assert judge.probabilities({"no such number": 3.0}) == pytest.approx(p)


def test_parts_add_up():
    scale = Scale(np.array([0.0, 1.0, 3.0]), np.array([0.5, 0.25]), (0.0, 1.0))
    judge = Judge(("a", "b"), {"n": scale}, {"n": np.array([[1.0, 0.0], [0.0, 2.0]])}, np.array([0.1, -0.1]))
    total = judge.bias + judge.parts({"n": 2.0})["n"]
    assert judge.parts({"n": 2.0})["n"] == pytest.approx([0.5, 0.5])
    assert judge.probabilities({"n": 2.0}) == pytest.approx(np.exp(total) / np.exp(total).sum())


def test_every_cause_has_words_and_remedies():
    named = {cause for judge in judges().values() for cause in judge.causes}
    assert named <= set(CAUSES)
    assert named - {HEALTHY} <= set(REMEDIES)
    assert set(REMEDIES) == set(CAUSES) - {HEALTHY}
    assert all(remedy.text and remedy.code for group in REMEDIES.values() for remedy in group)


def test_the_code_of_remedies_parses_and_names_what_exists():
    codes = {remedy.code for remedies in REMEDIES.values() for remedy in remedies}
    named = {name for code in codes for name in re.findall(r"\blm\.(\w+)", code)}
    for code in codes:
        ast.parse(code)
    assert len(named) >= 3
    assert [name for name in named if not hasattr(lm, name)] == []


@pytest.mark.parametrize(("name", "last"), [("loss", math.inf), ("loss", math.nan), ("grad_norm", math.nan)])
def test_a_run_that_broke_off_is_not_called_short(name, last):
    steps = [Step(k, loss=10.0**k, grad_norm=10.0**k) for k in range(7)]
    whole = Record.of(Facts(), [*steps, Step(7, loss=1e7, grad_norm=1e7)])
    broken = Record.of(Facts(), [*steps, Step(7, **{name: last})])
    assert "steps" in curve_numbers(whole)
    assert "steps" not in curve_numbers(broken)
    assert causes(broken)[0].id != "too-few-steps"
