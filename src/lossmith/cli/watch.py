"""``lossmith watch``: a training run from its log, while it goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .diagnose import _COLOURS, _columns, _unusable
from .screen import console

if TYPE_CHECKING:
    from ..diagnose.record import Record
    from ..diagnose.symptoms import Symptom

_TOLD = ("loss", "eval_loss", "grad_norm", "learning_rate")


def watch(
    log: Annotated[str, typer.Argument(help="The log that a training run is writing, or a folder with one.")],
    every: Annotated[float, typer.Option("--every", min=0.05, help="Seconds between two looks.")] = 1.0,
    idle: Annotated[
        float | None, typer.Option("--idle", min=0.0, help="Leave when nothing new has come for so many seconds.")
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Which column is what: 'loss=train/nll,eval_loss=val/nll'.")
    ] = "",
) -> int:
    """Follow a run until it ends or Ctrl-C: curves, and symptoms as they appear; exit 1 if any stand at the end."""
    path, seen = _one(Path(log)), False
    screen = console()
    shown = _Live(screen, path) if screen.is_terminal else _Lines(screen)
    try:
        from ..diagnose.follow import follow
        from ..diagnose.symptoms import RULES, symptoms

        for record in follow(path, columns=_columns(columns), every=every, idle=idle, waiting=shown.waiting):
            found, unable = symptoms(record)
            if len(unable) == len(RULES):
                raise ValueError(_unusable(str(path), record.names))
            shown.update(record, found)
            seen = True
        if not seen:
            raise ValueError(f"no step has come to {str(path)!r}; give a log that a run is writing")
    except KeyboardInterrupt:
        pass
    finally:
        shown.close()
    return 1 if any(s.severity != "info" for s in shown.symptoms) else 0


def _one(path: Path) -> Path:
    from ..diagnose.readers.read import find_logs

    if not path.exists():
        raise ValueError(f"there is no file {str(path)!r}; give the log that a training run is writing")
    if not path.is_dir():
        return path
    logs = find_logs(path)
    if len(logs) != 1:
        some = ", ".join(str(p.relative_to(path)) for p in logs[:4])
        raise ValueError(f"folder {str(path)!r} holds {len(logs)} logs; give one" + (f" of {some}" if some else ""))
    return logs[0]


class _Lines:
    """Plain lines for pipes: one for each look, and one for each symptom when it appears or goes."""

    def __init__(self, screen: Any) -> None:
        self._screen, self._reason = screen, ""
        self.symptoms: tuple[Symptom, ...] = ()

    def update(self, record: Record, found: tuple[Symptom, ...]) -> None:
        from rich.text import Text

        parts = [f"step {record.steps[-1].step}"]
        for name in _TOLD:
            values = record.column(name)[1]
            if len(values):
                parts.append(f"{name} {values[-1]:.4g}")
        self._screen.print(Text("  ".join(parts)), soft_wrap=True)
        before, now = {s.id for s in self.symptoms}, {s.id for s in found}
        for symptom in found:
            if symptom.id not in before:
                self._screen.print(_headline(symptom), soft_wrap=True)
        for gone in sorted(before - now):
            self._screen.print(Text(f"{gone}  no longer seen"), soft_wrap=True)
        self.symptoms = found

    def waiting(self, reason: str) -> None:
        """Say once why nothing is shown yet."""
        from rich.text import Text

        if reason != self._reason:
            self._screen.print(Text(_waiting(reason)), soft_wrap=True)
        self._reason = reason

    def close(self) -> None:
        """Nothing is left to do."""


class _Live:
    """Sparklines and symptoms that stay in place on a terminal."""

    def __init__(self, screen: Any, path: Path) -> None:
        from rich.live import Live
        from rich.text import Text

        self._screen, self._path = screen, path
        self.symptoms: tuple[Symptom, ...] = ()
        self._live = Live(Text(f"{path.name}: waiting for the first step", "dim"), console=screen, auto_refresh=False)
        self._live.start(refresh=True)

    def update(self, record: Record, found: tuple[Symptom, ...]) -> None:
        from rich.console import Group
        from rich.text import Text

        self.symptoms = found
        last = record.steps[-1]
        planned = record.facts.planned_steps
        place = f"step {last.step}" + (f" of {planned}" if planned else "")
        if last.seconds is not None and math.isfinite(last.seconds):
            place += f", {last.seconds:.0f} s"
        head = Text.assemble((self._path.name, "bold"), (f"  {place}", "dim"))
        told = [_headline(s) for s in found] or [Text("no symptoms so far", "green")]
        self._live.update(Group(head, self._curves(record), *told), refresh=True)

    def waiting(self, reason: str) -> None:
        """Show why there are no curves yet."""
        from rich.text import Text

        self._live.update(Text(_waiting(reason), "dim"), refresh=True)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _curves(self, record: Record) -> Any:
        from rich.table import Table
        from rich.text import Text

        from ..diagnose.monitors.live import lines

        table = Table.grid(padding=(0, 1))
        for name, curve, value in lines(record, self._screen.width):
            table.add_row(Text(name, "bold"), Text(curve, "cyan"), Text(value))
        return table


def _waiting(reason: str) -> str:
    return f"waiting: {reason.partition(';')[0]}"


def _headline(symptom: Symptom) -> Any:
    from rich.text import Text

    place = "" if symptom.step is None else f" from step {symptom.step}"
    head = (f"{symptom.id}  {symptom.name}{place}", _COLOURS[symptom.severity])
    return Text.assemble(head, f": {symptom.evidence}")
