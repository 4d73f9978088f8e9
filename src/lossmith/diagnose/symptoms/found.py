"""What a check can say: a symptom with its numbers, that it could not run, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@final
@dataclass(frozen=True)
class Symptom:
    """Something a record shows to be wrong.

    Attributes
    ----------
    id : str
        Stable, such as "LM-NAN".
    name : str
        In words.
    severity : {"error", "warning", "info"}
        "error": the run is lost; "warning": it is worse than it need be; "info": worth knowing.
    evidence : str
        One line: the numbers and the thresholds they are held against.
    numbers : mapping of str to float
        The same numbers for programs; a threshold stands under the number's name with "_limit" added.
    step : int or None
        Step at which it first shows; None for what has no place in time.
    column : str
        The recorded column in which it shows best; empty when there is none.

    Examples
    --------
    >>> Symptom("LM-NAN", "not a number", "error", "loss is nan at step 3", {"step": 3.0}, 3).severity
    'error'
    """

    id: str
    name: str
    severity: Severity
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    column: str = ""


@final
@dataclass(frozen=True)
class NotRun:
    """A check that could not be made; its silence means nothing.

    Attributes
    ----------
    id, name : str
        Of the symptom it looks for.
    reason : str
        What the record lacks.
    """

    id: str
    name: str
    reason: str


@final
@dataclass(frozen=True)
class Seen:
    """What a rule found; the rule's id, name and usual severity are added to it.

    Attributes
    ----------
    evidence, numbers, step, column
        As in :class:`Symptom`.
    severity : str or None
        Other than the rule's own.
    """

    evidence: str
    numbers: Mapping[str, float]
    step: int | None = None
    column: str = ""
    severity: Severity | None = None


@final
@dataclass(frozen=True)
class Lacking:
    """A rule cannot run.

    Attributes
    ----------
    reason : str
        What the record lacks.
    """

    reason: str


Verdict = Seen | Lacking | None
