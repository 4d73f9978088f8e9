"""``lossmith list``: the catalogue, by task or by text."""

from __future__ import annotations

from typing import Annotated

import typer

from .screen import console


def list_losses(
    text: Annotated[list[str] | None, typer.Argument(help="Words that must appear in the guide.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task: regression, count, binary, multiclass, ...")] = None,
) -> None:
    """List the losses: what each is best for, its pros and cons."""
    import lossmith as lm

    known = sorted({loss.traits.task for loss in lm.find()})
    if task is not None and task not in known:
        raise lm.InputError(f"--task {task!r} has no loss; tasks: {', '.join(known)}")
    words = " ".join(text or ())
    found = [loss for loss in lm.find(words) if task in (None, loss.traits.task)]
    if not found:
        raise lm.InputError(f"no loss mentions {words!r}; 'lossmith list' shows all")
    order = sorted(found, key=lambda loss: (loss.traits.task, loss.name))
    _print([(loss.traits.task, loss.name, loss.about.best_for, loss.about.pros, loss.about.cons) for loss in order])


def _print(rows: list[tuple[str, str, str, str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    wide = screen.width >= 90
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="bold")
    headings = ("Task", "Loss", "Best for", "Pros", "Cons")[: 5 if wide else 3]
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("Task", "Loss"))
    last = ""
    for task, name, *phrases in rows:
        cells = [Text("" if task == last else task, style="dim"), Text(name, style="bold cyan")]
        cells += [Text(phrase) for phrase in phrases]
        table.add_row(*cells[: len(headings)])
        last = task
    screen.print(table)
    screen.print("'lossmith show LOSS' tells all about one.", style="dim")
