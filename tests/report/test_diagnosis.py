"""A diagnosis told in words, JSON, SARIF and HTML."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.errors import InputError
from lossmith.diagnose.causes import Cause
from lossmith.diagnose.diagnosis import Diagnosis, diagnose
from lossmith.diagnose.record import Facts, Layer, Record, Step
from lossmith.diagnose.remedies import Remedy
from lossmith.diagnose.sarif import to_sarif
from lossmith.diagnose.symptoms import RULES
from lossmith.plots.diagnosis import _median
from lossmith.report.diagnosis import render_diagnosis, write_diagnosis
from report.test_html import Page

NASTY = "<script>alert(1)</script>\x00&\u202e"


REMEDY = Remedy("rate", "Take a lower rate.", "lr = 1e-3  # <b>")
CAUSES = (
    Cause("learning-rate-too-high", "the learning rate is too high", 0.7, ("gradient grew: 70",), (REMEDY,)),
    Cause("healthy", "healthy", 0.2, (), ()),
)


def told(made):
    """A diagnosis with causes that do not depend on how the judges were fitted."""
    found = diagnose(made)
    return found if found.clean else dataclasses.replace(found, causes=CAUSES)


def record(n=400, broken=True, name="fc"):
    curve = np.exp(-np.arange(n) / 40.0) + 0.2
    if broken:
        curve[n // 2 :] = math.nan
    steps = [
        Step(
            i,
            loss=float(v),
            eval_loss=float(v),
            grad_norm=1.0,
            layers={name: Layer(0.5, 1.0, 0.1)} if i % 9 == 0 else {},
        )
        for i, v in enumerate(curve)
    ]
    made = Record.of(Facts(loss="mse", source="log.jsonl"), steps)
    made.note("columns were guessed")
    return made


def test_the_public_name_works_before_and_after_its_package_is_loaded():
    import lossmith.diagnose.symptoms  # noqa: F401

    assert lm.diagnose(record()).findings[0].id == "LM-NAN"
    assert isinstance(lm.diagnose(record(broken=False)), lm.Diagnosis)


def test_in_words():
    found = told(record())
    text = str(found)
    assert "LM-NAN error, step 200" in text
    assert "cause learning-rate-too-high (70%)" in text
    assert "healthy" not in [cause.id for cause in found.likely]
    assert not found.clean


def test_a_clean_record_has_no_causes():
    found = told(record(broken=False))
    assert found.clean
    assert found.causes == ()
    assert str(found).startswith("nothing found")


def test_what_is_muted_is_not_told_and_an_unknown_id_is_refused():
    found = diagnose(record(), mute=["lm-nan"])
    assert "LM-NAN" not in [s.id for s in found.symptoms]
    assert [s.id for s in found.muted] == ["LM-NAN"]
    with pytest.raises(ValueError, match="no check is called 'LM-NONE'"):
        diagnose(record(), mute=["LM-NONE"])


def test_json_is_plain_and_complete():
    plain = json.loads(json.dumps(told(record()).to_json(), allow_nan=False))
    assert plain["symptoms"][0] | {"evidence": ""} == plain["symptoms"][0] | {
        "id": "LM-NAN",
        "step": 200,
        "evidence": "",
    }
    assert plain["causes"][0]["remedies"][0]["code"].startswith("lr")
    ids = {s["id"] for s in plain["symptoms"]} | {check["id"] for check in plain["not_run"]}
    assert ids <= {rule.id for rule in RULES}


def test_sarif_holds_what_the_standard_requires():
    log = json.loads(json.dumps(to_sarif(diagnose(record(), mute=["LM-EXPLODE"]), "runs/a b.jsonl"), allow_nan=False))
    assert log["version"] == "2.1.0"
    assert log["$schema"].startswith("https://")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "lossmith"
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    assert len({rule["name"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note", "none")
        assert result["message"]["text"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "runs/a%20b.jsonl"
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    for notice in invocation["toolExecutionNotifications"]:
        assert notice["message"]["text"]
        assert rules[notice["associatedRule"]["index"]]["id"] == notice["associatedRule"]["id"]


def test_the_page_is_well_formed_offline_and_small(tmp_path):
    path = write_diagnosis(told(record(20_000)), tmp_path / "page.html", "log.jsonl")
    assert path.stat().st_size < 2_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "link", "img"}
    assert all(
        not str(value).startswith(("http", "//"))
        for _, a in page.tags
        for k, value in a.items()
        if k in ("href", "src")
    )
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "Most likely: the learning rate is too high." in page.text
    assert "NAN" in page.text, "the evidence is marked on the curve"
    assert [tag for tag, _ in page.tags].count("svg") >= 3


def test_a_running_median_has_no_flat_ends():
    falling = np.arange(100.0)[::-1]
    for width in (1, 2, 5, 10, 100, 200):
        np.testing.assert_array_equal(_median(falling, width), falling)
    noisy = np.where(np.arange(100) == 50, 1e9, falling)
    assert _median(noisy, 5)[50] < 100


def test_hostile_names_are_shown_as_they_are(tmp_path):
    made = record(name=NASTY)
    made.note(NASTY)
    page = Page(render_diagnosis(told(made), NASTY))
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text
    assert "\x00" not in page.text
    with pytest.raises(InputError, match="cannot write"):
        write_diagnosis(diagnose(made), tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize("steps", [[], [Step(0, loss=1.0)], [Step(i, loss=math.nan) for i in range(9)]])
def test_records_with_nothing_to_draw_have_a_page(steps):
    found: Diagnosis = diagnose(Record.of(Facts(), steps))
    assert "There is no loss with two finite values to draw." in Page(render_diagnosis(found)).text
