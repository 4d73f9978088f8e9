"""``lossmith parity``: every loss in every array library and precision, compared number by number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .screen import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.text import Text

    from ..bench.parity.table import Cell, Parity

_MOST_SHOWN = 20


def parity(
    loss: Annotated[list[str] | None, typer.Option(help="Only this loss; repeated, or names with commas.")] = None,
    library: Annotated[
        list[str] | None, typer.Option(help="Only numpy, torch, torch.func, jax, tensorflow or keras; likewise.")
    ] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="Only float64 or float32.")] = None,
    hessian: Annotated[bool, typer.Option("--hessian/--no-hessian", help="Second derivatives, too.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Losses with their default settings only.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all cells to a file, as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all cells as JSON.")] = False,
) -> None:
    """Compare value, gradient and Hessian of every loss between NumPy and the frameworks that are installed.

    Derivatives are those of each framework's own differentiation. NumPy in float64, and elementwise losses in float64
    everywhere, are compared with 150 digits, all else with NumPy in float64 at the same inputs. The exit code is 1
    when a cell is beyond its bound.
    """
    from ..bench.parity.table import compare

    _writable(output)
    with _progress(console(stderr=json)) as tell:
        found = compare(_words(loss), _words(library), _words(dtype), hessian=hessian, quick=quick, tell=tell)
    if output is not None:
        output.write_text(found.to_json() + "\n", encoding="utf-8")
    if json:
        typer.echo(found.to_json())
    else:
        _print(found, console())
    if found.failed:
        raise typer.Exit(1)


def _words(given: list[str] | None) -> list[str]:
    return [word.strip() for text in given or () for word in text.split(",") if word.strip()]


def _writable(output: Path | None) -> None:
    """Find out before the work whether its results can be kept."""
    from ..core.errors import InputError

    if output is None:
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
    except OSError as problem:
        raise InputError(f"--output {str(output)!r}: {problem.strerror or problem}") from None


@contextmanager
def _progress(screen: Console) -> Iterator[Callable[[str], None]]:
    if not screen.is_terminal:
        yield lambda name: None
        return
    with screen.status("") as status:
        yield lambda name: status.update(name.partition("(")[0])


# --- the screen ---------------------------------------------------------------------------------------


def _print(found: Parity, screen: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    libraries = list(found.libraries)
    notes: dict[str, list[Cell]] = {}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Loss", "Precision"):
        table.add_column(heading, no_wrap=True)
    for name in libraries:
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for (loss, dtype), cells in _grouped(found.cells).items():
        table.add_row(
            Text("" if loss == last else loss, style="bold cyan"),
            Text(dtype, style="dim"),
            *(_worst([cell for cell in cells if cell.library == name], notes) for name in libraries),
        )
        last = loss
    screen.print(table)
    _print_notes(found, notes, screen)


def _grouped(cells: list[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Cells of a loss and a precision, in the order of the losses."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.loss, cell.dtype != "float64")):
        groups.setdefault((cell.loss, cell.dtype), []).append(cell)
    return groups


def _worst(cells: list[Cell], notes: dict[str, list[Cell]]) -> Text:
    """The error nearest to its bound, and the number of the note about cells that have none."""
    from rich.text import Text

    told = [cell for cell in cells if not cell.reason]
    marks = []
    for reason in dict.fromkeys(cell.reason for cell in cells if cell.reason):
        notes.setdefault(reason, []).extend(cell for cell in cells if cell.reason == reason)
        marks.append(str(list(notes).index(reason) + 1))
    mark = Text(f" [{','.join(marks)}]" if marks else "", style="dim")
    if not told:
        return Text("-", style="dim") + mark
    worst = max(told, key=lambda cell: (cell.error / cell.bound if cell.bound else 1.0, cell.state == "failed"))
    failed = any(cell.state == "failed" for cell in told)
    number = f"{worst.error:.1f}" if worst.unit == "ulp" and worst.error < 1e4 else f"{worst.error:.0e}"
    number = "0" if worst.error == 0.0 else number
    return Text(number + (" FAILED" if failed else ""), style="bold red" if failed else "green") + mark


def _print_notes(found: Parity, notes: dict[str, list[Cell]], screen: Console) -> None:
    from rich.text import Text

    screen.print()
    screen.print(
        "Worst of value, gradient and Hessian. Elementwise losses: units in the last place, 4 are allowed (16 of a "
        "Hessian); others: relative, 1e-12 are allowed in float64 and 1e-5 in float32.",
        style="dim",
    )
    for number, (reason, cells) in enumerate(notes.items(), 1):
        orders = ", ".join(dict.fromkeys(cell.order for cell in cells))
        screen.print(Text(f"[{number}] no {orders}: {reason}", style="dim"))
    for name, told in found.libraries.items():
        screen.print(Text(f"{name:<11}{told}", style="dim"))
    for cell in found.failed[:_MOST_SHOWN]:
        screen.print(Text(_told(cell), style="red"))
    if len(found.failed) > _MOST_SHOWN:
        screen.print(Text(f"and {len(found.failed) - _MOST_SHOWN} more; --json lists all", style="red"))
    counts = f"{found.count('passed')} cells passed, {len(found.failed)} failed, {found.count('untold')} have no number"
    screen.print(Text(counts, style="bold red" if found.failed else "bold green"))


def _told(cell: Cell) -> str:
    error = f"{cell.error:.3g} {cell.unit} (allowed {cell.bound:g}): " if cell.unit else ""
    return f"{cell.instance}: {cell.library} {cell.dtype} {cell.order}: {error}{cell.place}"
