"""A diagnosis: what a record shows, why, and what could not be checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, final

from lossmith.diagnose.record import Record
from lossmith.diagnose.symptoms import RULES, SEVERITIES, NotRun, Symptom, symptoms, timeline

SCHEMA = 1


class RemedyLike(Protocol):
    """Something to do about a cause."""

    @property
    def text(self) -> str:
        """In a sentence."""

    @property
    def code(self) -> str:
        """The same as lines to copy."""


class CauseLike(Protocol):
    """One possible reason, as :func:`lossmith.diagnose.causes.causes` ranks them."""

    @property
    def id(self) -> str:
        """Stable, such as "learning-rate-too-high"."""

    @property
    def name(self) -> str:
        """In words."""

    @property
    def probability(self) -> float:
        """Among all causes."""

    @property
    def evidence(self) -> Sequence[str]:
        """Lines with the numbers that speak for it."""

    @property
    def remedies(self) -> Sequence[RemedyLike]:
        """The first is the one to try first."""


Explain = Callable[[Record, Sequence[Symptom], Mapping[str, float] | None], Sequence[CauseLike]]
NO_CAUSE = "healthy"
SHOWN = 0.05  # probability below which a cause is not told unless it is the first


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
        Possible reasons, most probable first; empty when nothing was found or no judge was asked.
    muted : tuple of Symptom
        Found, but not wanted to be told.
    raised : mapping of str to int
        For each symptom, the step at which a watcher of the run would have raised it.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> print(diagnose(Record.of(Facts(), [Step(0, loss=0.7), Step(1, loss=float("nan"))]), explain=None))
    1 finding: 1 error
    LM-NAN error, step 1: loss is nan at step 1; 50% of the recorded losses are not finite (threshold: one number)
    23 checks could not run, 1 ran and found nothing
    """

    record: Record
    symptoms: tuple[Symptom, ...]
    not_run: tuple[NotRun, ...]
    causes: tuple[CauseLike, ...] = ()
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
    def likely(self) -> tuple[CauseLike, ...]:
        """Causes worth telling, without "healthy"; empty for a clean record."""
        if self.clean:
            return ()
        real = [cause for cause in self.causes if cause.id != NO_CAUSE]
        return tuple(cause for rank, cause in enumerate(real[:5]) if rank == 0 or cause.probability >= SHOWN)

    @property
    def headline(self) -> str:
        """The findings in one phrase."""
        counts = {severity: sum(s.severity == severity for s in self.symptoms) for severity in SEVERITIES}
        if not self.symptoms:
            return "nothing found"
        told = ", ".join(_count(many, severity) for severity, many in counts.items() if many)
        return f"{_count(len(self.symptoms), 'finding')}: {told}"

    def __str__(self) -> str:
        lines = [self.headline]
        for s in self.symptoms:
            place = "" if s.step is None else f", step {s.step}"
            lines.append(f"{s.id} {s.severity}{place}: {s.evidence}")
        for cause in self.likely:
            lines.append(f"cause {cause.id} ({cause.probability:.0%}): {'; '.join(cause.evidence)}")
            lines += [f"  remedy: {remedy.text}" for remedy in cause.remedies[:2]]
        silent = len(RULES) - len(self.symptoms) - len(self.muted) - len(self.not_run)
        lines.append(f"{_count(len(self.not_run), 'check')} could not run, {silent} ran and found nothing")
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


def _cause(cause: CauseLike) -> dict[str, Any]:
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
    record: Record,
    numbers: Mapping[str, float] | None = None,
    *,
    mute: Iterable[str] = (),
    explain: Explain | None = None,
) -> Diagnosis:
    """Find out what is wrong with a training run.

    Parameters
    ----------
    record : Record
        What happened.
    numbers : mapping of str to float, optional
        What probes of the live model measured.
    mute : iterable of str
        Ids of symptoms not to be told, such as "LM-OVERFIT".
    explain : callable, optional
        Ranks causes of a record, its symptoms and the numbers; None leaves them out.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        For an unknown id in ``mute``.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> diagnose(Record.of(Facts(), [Step(i, loss=0.9**i) for i in range(80)])).clean
    True
    """
    silenced = _ids(mute)
    found, not_run = symptoms(record, numbers)
    told = tuple(s for s in found if s.id not in silenced)
    sick = any(s.severity != "info" for s in told)
    return Diagnosis(
        record,
        told,
        tuple(check for check in not_run if check.id not in silenced),
        tuple(explain(record, told, numbers)) if sick and explain is not None else (),
        tuple(s for s in found if s.id in silenced),
        timeline(record, looks=20) if told else {},
    )


def _ids(mute: Iterable[str]) -> frozenset[str]:
    wanted, known = frozenset(name.upper() for name in mute), {rule.id for rule in RULES}
    if unknown := sorted(wanted - known):
        raise ValueError(f"no check is called {unknown[0]!r}: give one of {', '.join(sorted(known))}")
    return wanted
