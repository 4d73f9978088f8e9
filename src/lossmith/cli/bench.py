"""``lossmith bench``: every loss against every installed peer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from .screen import console

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ..bench.record import Cell, Results

_DEFAULT = Path("runs/bench")


def bench(
    families: Annotated[list[str] | None, typer.Argument(help="Losses, such as bce cce ctc; all if none.")] = None,
    full: Annotated[bool, typer.Option("--full/--quick", help="All sizes, memory and compile times: minutes.")] = False,
    sizes: Annotated[str, typer.Option(help="Of elementwise losses: 1e2,1e4,1e6,4e6.")] = "",
    dtype: Annotated[str, typer.Option(help="float64, float32, or both with a comma.")] = "",
    threads: Annotated[int | None, typer.Option(help="For everybody; all processors if not given.")] = None,
    peers: Annotated[str, typer.Option(help="Names with commas; all installed if not given.")] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of results.json and bench.html.")] = _DEFAULT,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what the folder has and measure the rest.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Time every loss against every installed peer, the memory limit and the bars.

    Numbers are compared before they are timed. What was measured is kept when a run is stopped; --resume continues.

    Peers: numpy, sklearn, torch, lossmith_torch, optax, keras, pml, torch_compile (only if named).
    """
    from ..bench.run import Benchmark, begin, choose

    settings = choose(
        families or (),
        quick=not full,
        sizes=_numbers(sizes),
        dtypes=_words(dtype),
        chosen_peers=_words(peers),
        threads=threads,
    )
    _make(output)
    run = Benchmark(settings, begin(settings, _command(), output, resume), output, screen := _Screen(json))
    try:
        with screen:
            run.run()
    except KeyboardInterrupt:
        _conclude(run.results, output, json)
        typer.echo("lossmith: interrupted; the same command with --resume continues", err=True)
        raise SystemExit(130) from None
    _conclude(run.results, output, json)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    from ..core.errors import InputError

    found = []
    for word in _words(text):
        try:
            found.append(int(float(word)))
        except (ValueError, OverflowError):
            raise InputError(f"--sizes: {word!r} is no number; give sizes such as 1e2,1e4,1e6") from None
    return found


def _command() -> str:
    import shlex

    return shlex.join(["lossmith", *sys.argv[1:]])


def _make(folder: Path) -> None:
    from ..core.errors import InputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"--output {str(folder)!r}: {problem.strerror or problem}") from None


class _Screen:
    """A :class:`lossmith.bench.run.Progress` on a terminal: a bar, and a line for each cell."""

    def __init__(self, json: bool) -> None:
        self._console = console(stderr=json)
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as Left

            self._bar = Progress(
                MofNCompleteColumn(),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("left"),
                Left(),
                TextColumn("{task.description}", markup=False),
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

    def started(self, total: int, done: int) -> None:
        """Show how much there is to do."""
        if self._bar is not None:
            self._task = self._bar.add_task("", total=total, completed=done)

    def doing(self, what: str) -> None:
        """Show what is measured now."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=what)

    def measured(self, cell: Cell) -> None:
        """Print a cell as one line."""
        from rich.text import Text

        from ..bench.view import cell_line

        self._console.print(Text(cell_line(cell)), overflow="ellipsis", no_wrap=True, crop=True)

    def advanced(self) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)


def _conclude(results: Results, folder: Path, json: bool) -> None:
    from ..bench.page import write_page

    page = write_page(results, folder)
    if json:
        typer.echo(results.to_json())
        return
    _print_bars(results)
    screen = console()
    for name, place in (("page", page), ("facts", folder / "results.json")):
        screen.print(f"{name:<8}{place}", soft_wrap=True)


def _print_bars(results: Results) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..bench import bars
    from ..bench.view import bar_rows, headline, warnings

    screen, told = console(), headline(results)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("Work", "Bar", "Measured, worst first", ""):
        table.add_column(heading, overflow="fold")
    styles = {bars.MET: "green", bars.MISSED: "red", bars.PARTLY: "yellow"}
    for row in bar_rows(results):
        if row["status"] != bars.UNKNOWN:
            style = styles.get(row["status"], "dim")
            table.add_row(*(Text(row[key]) for key in ("work", "bar", "measured")), Text(row["status"], style=style))
    screen.print()
    if told["told"]:
        screen.print(Text(f"{told['met']} of {told['told']} bars met", style="bold"))
        screen.print(table)
    if told["speedup"]:
        behind = f"; a peer is faster in {told['behind']} of {told['cells']}" if told["behind"] else ""
        fast = f"{told['speedup']} x as fast as the fastest peer (median){behind}"
        screen.print(f"value + gradient, from 50,000 predictions on: {fast}")
    for peer in results.peers:
        if peer.version is None:
            screen.print(Text(f"{peer.title}: {peer.note}", style="dim"))
    for warning in (*warnings(results), *results.notes):
        screen.print(Text(warning, style="yellow"))
