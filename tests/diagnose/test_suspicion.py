"""Symptoms that no rule found, told from the causes' probabilities."""

from __future__ import annotations

import pytest

from lossmith.diagnose import diagnosis
from lossmith.diagnose.causes import HEALTHY, Cause
from lossmith.diagnose.diagnosis import diagnose
from lossmith.diagnose.record import Facts, Record, Step
from lossmith.diagnose.suspicion import ENOUGH, SHOWS, WELL, with_suspected
from lossmith.diagnose.symptoms import RULES, Symptom
from lossmith.diagnose.words import CAUSES

STEADY = Record.of(Facts(), [Step(i, loss=0.9**i) for i in range(80)])
IDS = {rule.id for rule in RULES}


def ranked(**chances):
    """Causes with these probabilities, the rest spread over none."""
    found = [Cause(key.replace("_", "-"), key, p, (), ()) for key, p in chances.items()]
    return tuple(sorted(found, key=lambda cause: -cause.probability))


def warning(key, severity="warning"):
    return Symptom(key, "found by a rule", severity, "because")


def ids(found):
    return [symptom.id for symptom in found]


def test_every_cause_amounts_to_a_symptom_that_a_rule_looks_for():
    assert set(SHOWS) == set(CAUSES) - {HEALTHY}
    assert set(SHOWS.values()) <= IDS


@pytest.mark.parametrize("cause", SHOWS)
def test_what_is_all_but_certain_is_told_though_no_rule_found_it(cause):
    (told,) = with_suspected((), ranked(**{cause: 0.97, HEALTHY: 0.03}))
    assert told.id == SHOWS[cause]
    assert told.severity == "warning"
    assert told.numbers["probability"] == pytest.approx(0.97)
    assert "97%" in told.evidence


def test_causes_of_one_symptom_add_up():
    found = with_suspected((), ranked(label_noise=0.2, label_mismatch=0.2, data_leak=0.3, outliers=0.28, healthy=0.02))
    assert ids(found) == ["LM-LABELS"]


@pytest.mark.parametrize("well", [WELL, 0.3, 0.9])
def test_a_run_that_may_be_sound_is_left_in_peace(well):
    assert with_suspected((), ranked(data_leak=1 - well, healthy=well)) == ()
    hint = (warning("LM-OUTLIERS", "info"),)
    assert with_suspected(hint, ranked(data_leak=1 - well, healthy=well)) == hint


def test_a_run_in_which_something_was_found_is_told_what_else_it_looks_like():
    found = with_suspected((warning("LM-SLOW"),), ranked(data_leak=0.5, healthy=0.5))
    assert ids(found) == ["LM-SLOW", "LM-LEAK"]


@pytest.mark.parametrize(
    ("found", "causes"),
    [
        ((warning("LM-LEAK"),), ranked(data_leak=0.9, healthy=0.01)),  # known already
        ((warning("LM-SLOW"),), ranked(data_leak=ENOUGH - 0.01, healthy=0.01)),  # too little
        ((warning("LM-SLOW"),), ()),  # nobody asked
        ((), ranked(healthy=1.0)),
    ],
)
def test_otherwise_nothing_is_added(found, causes):
    assert with_suspected(found, causes) == found


def test_a_hint_becomes_a_warning_and_errors_stay_first():
    given = (warning("LM-NAN", "error"), warning("LM-LEAK", "info"))
    assert ids(with_suspected(given, ranked(data_leak=0.9, healthy=0.0))) == ["LM-NAN", "LM-LEAK"]


def test_a_diagnosis_tells_it_and_counts_each_check_once(monkeypatch):
    monkeypatch.setattr(diagnosis, "causes", lambda record, numbers: ranked(sorted_batches=0.97, healthy=0.03))
    found = diagnose(STEADY)
    assert ids(found.findings) == ["LM-SORTED"]
    assert [cause.id for cause in found.likely] == ["sorted-batches"]
    assert "LM-SORTED" not in {check.id for check in found.not_run}
    assert len(found.symptoms) + len(found.not_run) + found.silent == len(RULES)


def test_muted_it_leaves_a_clean_diagnosis_without_causes(monkeypatch):
    monkeypatch.setattr(diagnosis, "causes", lambda record, numbers: ranked(sorted_batches=0.97, healthy=0.03))
    found = diagnose(STEADY, mute=["LM-SORTED"])
    assert found.clean
    assert not found.likely
    assert ids(found.muted) == ["LM-SORTED"]


def test_a_log_that_no_check_can_use_is_not_judged(monkeypatch):
    monkeypatch.setattr(diagnosis, "causes", lambda record, numbers: ranked(sorted_batches=0.97, healthy=0.03))
    assert diagnose(Record.of(Facts(), [Step(0, metrics={"speed": 1.0})])).clean
