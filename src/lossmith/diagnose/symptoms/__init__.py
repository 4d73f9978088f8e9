"""Symptoms: what a record shows to be wrong. One rule for each, with a stable id."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from ..record import Record
from . import breakdown, carry, data, flow, output, progress, units
from .advice import ADVICE, Advice
from .found import SEVERITIES, NotRun, Severity, Symptom
from .rule import Rule
from .view import View

__all__ = [
    "ADVICE",
    "RULES",
    "SEVERITIES",
    "Advice",
    "NotRun",
    "Rule",
    "Severity",
    "Symptom",
    "View",
    "symptoms",
    "timeline",
]

RULES: tuple[Rule, ...] = (
    *breakdown.RULES,
    *flow.RULES,
    *progress.RULES,
    *carry.RULES,
    *units.RULES,
    *data.RULES,
    *output.RULES,
)


def symptoms(
    record: Record, numbers: Mapping[str, float] | None = None, only: Collection[str] | None = None
) -> tuple[tuple[Symptom, ...], tuple[NotRun, ...]]:
    """Check a record for every known symptom.

    Parameters
    ----------
    record : Record
        What happened.
    numbers : mapping of str to float, optional
        What probes of the live model, or its held-out predictions, say.
    only : collection of str, optional
        Ids of the checks to make; all by default.

    Returns
    -------
    tuple
        The symptoms found, errors first, and the checks that could not run.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> found, _ = symptoms(Record.of(Facts(), [Step(0, loss=0.7), Step(1, loss=float("nan"))]))
    >>> [symptom.id for symptom in found]
    ['LM-NAN']
    """
    return _examine(View(record, numbers=numbers), only)


def _examine(view: View, only: Collection[str] | None = None) -> tuple[tuple[Symptom, ...], tuple[NotRun, ...]]:
    with np.errstate(all="ignore"):
        results = [rule.evaluate(view) for rule in RULES if only is None or rule.id in only]
    found = sorted((r for r in results if isinstance(r, Symptom)), key=lambda s: SEVERITIES.index(s.severity))
    return tuple(found), tuple(r for r in results if isinstance(r, NotRun))


def timeline(record: Record, looks: int = 40) -> dict[str, int]:
    """Find when each symptom would have been raised, had the run been watched.

    Parameters
    ----------
    record : Record
        What happened.
    looks : int
        How often the watcher looks, evenly over the run.

    Returns
    -------
    dict of str to int
        For each symptom ever raised, the step of the look that first showed it. "LM-NAN" is named at its very step.
    """
    whole = View(record)
    steps = whole.main.steps
    if not steps.size:
        return {}
    first: dict[str, int] = {}
    for cut in sorted({int(steps[min(steps.size - 1, (steps.size * k) // looks)]) for k in range(1, looks + 1)}):
        for symptom in _examine(whole.until(cut))[0]:
            place = symptom.step if symptom.id == "LM-NAN" and symptom.step is not None else cut
            first.setdefault(symptom.id, place)
    return first
