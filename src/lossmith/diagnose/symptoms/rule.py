"""One check of a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from .found import Lacking, NotRun, Seen, Severity, Symptom, Verdict
from .probed import probed

if TYPE_CHECKING:
    from .view import View


@final
@dataclass(frozen=True)
class Rule:
    """One check of a record.

    Attributes
    ----------
    id, name : str
        Of the symptom it looks for.
    severity : {"error", "warning", "info"}
        Of the symptom, unless what is found says otherwise.
    about : str
        What it means, in one sentence.
    look : callable
        Takes a :class:`~lossmith.diagnose.symptoms.view.View`.
    """

    id: str
    name: str
    severity: Severity
    about: str
    look: Callable[[View], Verdict]

    def evaluate(self, view: View) -> Symptom | NotRun | None:
        """Check a record.

        Parameters
        ----------
        view : View
            The record, as far as it goes.

        Returns
        -------
        Symptom, NotRun or None
            None when the check ran and found nothing.
        """
        verdict = self.look(view)
        if not isinstance(verdict, Seen) or verdict.severity == "info":
            verdict = probed(self.id, view.numbers) or verdict
        if isinstance(verdict, Lacking):
            return NotRun(self.id, self.name, verdict.reason)
        if verdict is None:
            return None
        severity = verdict.severity or self.severity
        return Symptom(
            self.id, self.name, severity, verdict.evidence, dict(verdict.numbers), verdict.step, verdict.column
        )
