"""A diagnosis: what a record shows, why, and what could not be checked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

from lossmith.diagnose.causes import HEALTHY, Cause, causes
from lossmith.diagnose.probes import Patient, examine
from lossmith.diagnose.readers.read import read_record
from lossmith.diagnose.record import Record
from lossmith.diagnose.suspicion import with_suspected
from lossmith.diagnose.symptoms import RULES, SEVERITIES, NotRun, Symptom, symptoms, timeline

SCHEMA = 1


SHOWN = 0.05  # probability below which a cause is not told


@final
@dataclass(frozen=True)
class Diagnosis:
    """What was found in a record.

    Attributes
    ----------
    record : Record
        What was looked at.
    symptoms : tuple of Symptom
        Errors first.
    not_run : tuple of NotRun
        Checks that the record does not allow.
    causes : tuple
        Possible reasons, most probable first; empty when nothing was found in a log alone.
    muted : tuple of Symptom
        Found, but not wanted to be told.
    raised : mapping of str to int
        For each symptom, the step at which a watcher of the run would have raised it.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> found = diagnose(Record.of(Facts(), [Step(0, loss=0.7), Step(1, loss=float("nan"))]))
    >>> print(str(found).partition("cause")[0].rstrip())
    1 finding: 1 error
    LM-NAN error, step 1: loss is nan at step 1; 50% of the recorded losses are not finite (threshold: one number)
    """

    record: Record
    symptoms: tuple[Symptom, ...]
    not_run: tuple[NotRun, ...]
    causes: tuple[Cause, ...] = ()
    muted: tuple[Symptom, ...] = ()
    raised: Mapping[str, int] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Symptom, ...]:
        """Symptoms that are warnings or worse."""
        return tuple(s for s in self.symptoms if s.severity != "info")

    @property
    def clean(self) -> bool:
        """Whether nothing of weight was found."""
        return not self.findings

    @property
    def likely(self) -> tuple[Cause, ...]:
        """Causes worth telling, without "healthy"; none of a clean record."""
        real = [cause for cause in self.causes if cause.id != HEALTHY and not self.clean]
        return tuple(cause for cause in real[:5] if cause.probability >= SHOWN)

    @property
    def headline(self) -> str:
        """The findings in one phrase."""
        counts = {severity: sum(s.severity == severity for s in self.symptoms) for severity in SEVERITIES}
        if not self.symptoms:
            return "nothing found" if self.silent else "nothing could be checked"
        told = ", ".join(_count(many, severity) for severity, many in counts.items() if many)
        return f"{_count(len(self.symptoms), 'finding')}: {told}"

    @property
    def silent(self) -> int:
        """Number of checks that ran and found nothing."""
        return len(RULES) - len(self.symptoms) - len(self.muted) - len(self.not_run)

    def __str__(self) -> str:
        lines = [self.headline]
        for s in self.symptoms:
            place = "" if s.step is None else f", step {s.step}"
            lines.append(f"{s.id} {s.severity}{place}: {s.evidence}")
        for cause in self.likely:
            lines.append(f"cause {cause.id} ({cause.probability:.0%}): {'; '.join(cause.evidence)}")
            lines += [f"  remedy: {remedy.text}" for remedy in cause.remedies[:2]]
        lines.append(f"{_count(len(self.not_run), 'check')} could not run, {self.silent} ran and found nothing")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the record's steps as plain values.

        Returns
        -------
        dict
            Ready for ``json.dumps``: numbers that are not finite become None.
        """
        return {
            "schema": SCHEMA,
            "source": self.record.facts.source,
            "steps": self.record.total,
            "clean": self.clean,
            "symptoms": [_plain({**asdict(s), "raised": self.raised.get(s.id)}) for s in self.symptoms],
            "muted": [_plain(asdict(s)) for s in self.muted],
            "not_run": [asdict(check) for check in self.not_run],
            "causes": [_cause(cause) for cause in self.likely],
            "facts": _plain({k: v for k, v in asdict(self.record.facts).items() if v not in (None, ())}),
            "notes": list(self.record.notes),
        }


def _count(many: int, word: str) -> str:
    return f"{many} {word}" if many == 1 or word == "info" else f"{many} {word}s"


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "id": cause.id,
        "name": cause.name,
        "probability": cause.probability,
        "evidence": list(cause.evidence),
        "remedies": [{"text": remedy.text, "code": remedy.code} for remedy in cause.remedies],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def diagnose(
    record: Record | str | os.PathLike[str],
    model: Patient | None = None,
    *,
    mute: Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Find out what is wrong with a training run, and why.

    Parameters
    ----------
    record : Record or path
        What happened: a record, or a log file or folder to read one from.
    model : Patient, optional
        The live model: a :class:`lossmith.diagnose.probes.TorchPatient`, a ``NetworkPatient`` of Lossmith's own
        networks, or a :class:`lossmith.diagnose.probes.keras_patient.KerasPatient`; probes of it tell apart what looks
        alike in a log. It is given back as it was.
    mute : iterable of str
        Ids of symptoms not to be told, such as "LM-OVERFIT".
    columns : mapping of str to str, optional
        For a log file: which of its columns is which quantity, {"loss": "train/nll"}.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        For an unknown id in ``mute``, or a log without anything to read.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> diagnose(Record.of(Facts(), [Step(i, loss=0.9**i) for i in range(80)])).clean
    True
    """
    silenced = _ids(mute)
    happened = record if isinstance(record, Record) else read_record(record, columns)
    numbers = {} if model is None else examine(model)
    by_rule, not_run = symptoms(happened, numbers)
    ranked = causes(happened, numbers) if numbers or len(not_run) < len(RULES) else ()
    found = with_suspected(by_rule, ranked)
    wanted = tuple(s for s in found if s.id not in silenced)
    raised = timeline(happened, looks=20) if wanted else {}
    told = tuple(_seen_first(s, raised) for s in wanted)
    sick = any(s.severity != "info" for s in told)
    return Diagnosis(
        happened,
        told,
        tuple(check for check in not_run if check.id not in silenced | {s.id for s in found}),
        ranked if sick or numbers else (),
        tuple(s for s in found if s.id in silenced),
        raised,
    )


def _seen_first(symptom: Symptom, raised: Mapping[str, int]) -> Symptom:
    """A symptom that a watcher raised early shows from there on, whatever part of the run shows it best."""
    if symptom.step is None or raised.get(symptom.id, symptom.step) >= symptom.step:
        return symptom
    return replace(symptom, step=raised[symptom.id])


def _ids(mute: Iterable[str]) -> frozenset[str]:
    wanted, known = frozenset(name.upper() for name in mute), {rule.id for rule in RULES}
    if unknown := sorted(wanted - known):
        raise ValueError(f"no check is called {unknown[0]!r}: give one of {', '.join(sorted(known))}")
    return wanted
