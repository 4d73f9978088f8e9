"""A diagnosis as SARIF 2.1.0, which code hosts and editors show beside the log file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from lossmith._version import __version__
from lossmith.diagnose.diagnosis import Diagnosis
from lossmith.diagnose.symptoms import RULES, NotRun, Symptom

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_PLACES = {rule.id: index for index, rule in enumerate(RULES)}


def to_sarif(diagnosis: Diagnosis, source: str = "") -> dict[str, Any]:
    """Turn a diagnosis into a SARIF log.

    Parameters
    ----------
    diagnosis : Diagnosis
        What was found.
    source : str
        The log file it was found in; by default what the record names.

    Returns
    -------
    dict
        Ready for ``json.dumps``. Checks that could not run are notifications of the invocation; muted symptoms are
        results with a suppression.

    Examples
    --------
    >>> from lossmith.diagnose.diagnosis import diagnose
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> log = to_sarif(diagnose(Record.of(Facts(), [Step(0, loss=float("inf"))])), "run.jsonl")
    >>> log["version"], log["runs"][0]["results"][0]["ruleId"]
    ('2.1.0', 'LM-NAN')
    """
    uri = quote(PurePath(source or diagnosis.record.facts.source or "record").as_posix())
    results = [_result(symptom, uri) for symptom in diagnosis.symptoms]
    hidden = [{**_result(symptom, uri), "suppressions": [{"kind": "external"}]} for symptom in diagnosis.muted]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "lossmith", "version": __version__, "rules": [_rule(r) for r in RULES]}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notice(check) for check in diagnosis.not_run],
                    }
                ],
                "artifacts": [{"location": {"uri": uri}}],
                "results": results + hidden,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _rule(rule: Any) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split()),
        "shortDescription": {"text": rule.name},
        "fullDescription": {"text": rule.about},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(symptom: Symptom, uri: str) -> dict[str, Any]:
    place: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri, "index": 0}}}
    if symptom.step is not None:
        place["logicalLocations"] = [{"name": f"step {symptom.step}", "kind": "member"}]
    finite = {key: value for key, value in symptom.numbers.items() if abs(value) < float("inf")}
    return {
        "ruleId": symptom.id,
        "ruleIndex": _PLACES[symptom.id],
        "level": _LEVELS[symptom.severity],
        "message": {"text": f"{symptom.name}: {symptom.evidence}"},
        "locations": [place],
        "properties": {"step": symptom.step, "numbers": finite},
    }


def _notice(check: NotRun) -> dict[str, Any]:
    return {
        "level": "note",
        "message": {"text": f"{check.name} could not be checked: {check.reason}"},
        "associatedRule": {"id": check.id, "index": _PLACES[check.id]},
    }
