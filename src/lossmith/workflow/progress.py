"""What a run tells while it goes on."""

from __future__ import annotations

from typing import Any, Protocol

from .records import TrialRecord

STEPS = (
    "Problem analysis",
    "Selection",
    "Implementation",
    "Training",
    "Evaluation",
    "Diagnosis",
    "Iteration",
    "Final model",
)


class Progress(Protocol):
    """What a run tells while it goes on; the command line draws it. ``step`` counts from 1 to 8."""

    def step_started(self, step: int, name: str) -> None:
        """Tell that a step begins."""

    def step_finished(self, step: int, name: str, record: Any) -> None:
        """Give the step's result.

        1 Facts, 2 Selection, 3 tuple of LossCard, 4 tuple of TrialRecord, 5 Evaluation, 6 tuple of Finding,
        7 tuple of Attempt, 8 FinalModel.
        """

    def trial_finished(self, trial: TrialRecord, done: int, planned: int, seconds_left: float | None) -> None:
        """Tell that a trial ended; ``seconds_left`` until the planned ones are done or the budget is spent."""

    def note(self, text: str) -> None:
        """Say one line, such as that the budget was spent or the user interrupted."""


class Silent:
    """A Progress that says nothing."""

    def step_started(self, step: int, name: str) -> None:
        """Ignore."""

    def step_finished(self, step: int, name: str, record: Any) -> None:
        """Ignore."""

    def trial_finished(self, trial: TrialRecord, done: int, planned: int, seconds_left: float | None) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
