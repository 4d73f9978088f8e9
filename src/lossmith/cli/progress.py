"""What ``lossmith run`` shows while it works: steps, a bar with the time left, a few lines of each result."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import steps
from .screen import console

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ..workflow.records import TrialRecord

_STEPS = 8


class Screen:
    """A :class:`lossmith.workflow.progress.Progress` on a terminal; plain lines when piped.

    Attributes
    ----------
    trials : int
        Finished trainings so far.
    """

    def __init__(self) -> None:
        self.trials = 0
        self._console = console()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[left]}", markup=False),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    # --- what the workflow tells ------------------------------------------------------------------------

    def step_started(self, step: int, name: str) -> None:
        """Show that a step begins."""
        self._started = time.monotonic()
        if self._bar is not None:
            self._forget_task()
            self._task = self._bar.add_task(f"{step}/{_STEPS} {name}", total=None, left="")

    def step_finished(self, step: int, name: str, record: Any) -> None:
        """Print the step and a few lines of its result."""
        from rich.text import Text

        self._forget_task()
        seconds = time.monotonic() - self._started
        heading = Text(f"{step} ", style="bold cyan") + Text(name, style="bold") + Text(f"  {seconds:.1f} s", "dim")
        self._console.print(heading)
        for block in steps.told(step, record):
            self._console.print(block)
        self._console.print()

    def trial_finished(self, trial: TrialRecord, done: int, planned: int, seconds_left: float | None) -> None:
        """Move the bar."""
        self.trials += 1
        if self._bar is None or self._task is None:
            return
        left = "" if seconds_left is None else f"about {seconds_left:.0f} s left"
        self._bar.update(self._task, total=planned, completed=done, left=f"{done}/{planned} trainings  {left}")

    def note(self, text: str) -> None:
        """Print one line."""
        from rich.text import Text

        self._console.print(Text(f"  {text}", style="yellow"))

    # --- the end ----------------------------------------------------------------------------------------

    def answer(self, headline: str, detail: str) -> None:
        """Print the result of the run.

        Parameters
        ----------
        headline, detail : str
            A sentence, and the numbers behind it.
        """
        from rich.text import Text

        self._console.print(Text(headline, style="bold green"))
        self._console.print(Text(detail))
        self._console.print()

    def files(self, lines: list[tuple[str, str]]) -> None:
        """Print what was left where.

        Parameters
        ----------
        lines : list of (str, str)
            What, and where; never wrapped, so that paths can be copied.
        """
        from rich.text import Text

        for name, place in lines:
            self._console.print(Text(f"{name:<8}", style="bold") + Text(place), soft_wrap=True)

    def _forget_task(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        self._task = None
