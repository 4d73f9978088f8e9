"""What probes say of symptoms: each clue fires beyond its limits only, and is a sentence with its threshold."""

from __future__ import annotations

import math

import pytest

from lossmith.diagnose.record import Facts, Record, Step
from lossmith.diagnose.symptoms import RULES, symptoms
from lossmith.diagnose.symptoms.clue import Clue
from lossmith.diagnose.symptoms.clues import CLUES
from lossmith.diagnose.symptoms.probed import derived, probed

NAMES = [f"{clue.symptom}-{clue.limits[0].name}-{k}" for k, clue in enumerate(CLUES)]


def beyond(clue: Clue, by: float = 1.01) -> dict[str, float]:
    """Numbers just beyond each limit (or just within, for a factor below 1)."""
    shift = by - 1.0
    return {
        limit.name: limit.edge + (1 if limit.above is not None else -1) * (abs(limit.edge) or 1.0) * shift
        for limit in clue.limits
    }


@pytest.mark.parametrize("clue", CLUES, ids=NAMES)
def test_a_clue_shows_beyond_its_limits_only(clue):
    assert clue.seen(beyond(clue)) is not None
    assert clue.seen(beyond(clue, 0.99)) is None
    for missing in clue.limits:
        assert clue.seen({k: v for k, v in beyond(clue).items() if k != missing.name}) is None


@pytest.mark.parametrize("clue", CLUES, ids=NAMES)
def test_a_clue_is_told_in_words(clue):
    seen = clue.seen(beyond(clue))
    assert seen is not None
    text = seen.evidence
    assert not any(sign in text for sign in ("{", "10^", "log10"))
    assert not any(limit.name in text for limit in clue.limits if "_" in limit.name)  # a name of ours says nothing
    assert any(ch.isdigit() for ch in text) or "{" not in clue.text
    assert all(math.isfinite(value) for value in seen.numbers.values())
    assert {f"{limit.name}_limit" for limit in clue.limits} <= set(seen.numbers)


def test_clues_are_of_known_symptoms():
    assert {clue.symptom for clue in CLUES} <= {rule.id for rule in RULES}


def test_a_live_model_adds_to_what_a_log_shows_and_healthy_numbers_add_nothing():
    record = Record.of(Facts(), [Step(i, loss=0.9**i + 0.1) for i in range(60)])
    sick, fine = {"seen_before": 0.9}, {"seen_before": 0.01, "top_column": 0.6, "norm_spread_gap": 0.02}
    assert [s.id for s in symptoms(record, sick)[0]] == ["LM-LEAK"]
    assert symptoms(record, fine)[0] == ()


def test_what_the_log_only_suspects_the_live_model_may_prove():
    curve = [Step(i, loss=0.9**i, eval_loss=0.9**i) for i in range(120)]
    suspected, proved = (symptoms(Record.of(Facts(), curve), n)[0] for n in ({}, {"seen_before": 1.0}))
    assert [(s.id, s.severity) for s in suspected] == [("LM-LEAK", "info")]
    assert [(s.id, s.severity) for s in proved] == [("LM-LEAK", "warning")]


def test_small_batches_may_differ_by_chance():
    small = derived({"batch_size": 2.0, "batch_order": 0.4})
    large = derived({"batch_size": 6.0, "batch_order": 0.4})
    assert probed("LM-SORTED", small) is None
    assert probed("LM-SORTED", large) is not None
