"""``lossmith compare``: losses and solvers side by side on one data file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import console

if TYPE_CHECKING:
    from rich.console import Console

    from ..workflow.comparison import Comparison

_COLUMNS: dict[str, Callable[[Any], str]] = {
    "steps": lambda run: f"{run.iterations:,}",
    "passes": lambda run: f"{run.passes:,.0f}",
    "seconds": lambda run: f"{run.seconds:.3f}",
    "objective": lambda run: f"{run.objective:.7g}",
    "to go": lambda run: f"{run.above:.0e}" if run.above > 0 else "0",
}
_DISPENSABLE = ("passes", "objective", "seconds", "to go")
_LOSSES = {
    "regression": ("mse", "mae", "huber"),
    "count": ("poisson_nll", "mse", "mae"),
    "binary": ("bce", "squared_hinge", "hinge"),
}
_SOLVERS = ("gd", "lbfgs", "newton")
_MOST = 6
_ENDS = {"iteration_limit": "step limit", "time_limit": "time limit"}


def compare(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON lines.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    loss: Annotated[list[str] | None, typer.Option(help="Name or call; give several, one after each --loss.")] = None,
    solver: Annotated[list[str] | None, typer.Option(help="gd, newton, lbfgs, adam, ...; give several.")] = None,
    penalty: Annotated[str, typer.Option(help="none, l1, l2, elasticnet, mcp or scad.")] = "none",
    alpha: Annotated[float | None, typer.Option(help="Strength of the penalty; 1e-4 if not said.")] = None,
    l1_ratio: Annotated[float, typer.Option(help="Share of L1 in elasticnet.")] = 0.5,
    tolerance: Annotated[float, typer.Option(help="On the gradient, relative to the start.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(help="Most steps of each fit.")] = 1000,
    max_seconds: Annotated[float, typer.Option(help="Most seconds of each fit.")] = 60.0,
    task: Annotated[str, typer.Option(help="auto, regression, count, binary, multiclass or ordinal.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the rows that are held out.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder [default: runs/NAME-compare].")] = None,
) -> None:
    """Compare how losses converge, and how methods of optimisation do, on your data.

    Every loss is minimised by every solver from the same start; a fifth of the rows is held out to judge the fits.
    Leaves two pictures and compare.json.
    """
    from ..optimize.solvers import get
    from ..workflow.comparison import RECORD
    from ..workflow.comparison import compare as run
    from ..workflow.single import Question, open_folder, penalty_of
    from .checks import limits

    limits(tolerance, max_iter, max_seconds)
    chosen, ways = penalty_of(penalty, alpha, l1_ratio), [get(name) for name in _few(solver or _SOLVERS, "--solver")]
    folder = output or Path("runs") / f"{_stem(data)}-compare"
    question = Question.of(data, target, task)
    names = _few(loss or _LOSSES.get(question.facts.task, ("cce",)), "--loss")
    losses = [(name, question.loss(name)) for name in names]
    open_folder(folder, RECORD)
    with _Telling() as tell:
        found = run(
            question, losses, ways, chosen, tolerance=tolerance, max_iterations=max_iter, max_seconds=max_seconds,
            seed=seed, tell=tell,
        )  # fmt: skip
    _tell(found)
    _save(found, folder)


def _few(given: Any, option: str) -> list[str]:
    from ..core.errors import InputError

    names = list(dict.fromkeys(given))
    if len(names) > _MOST:
        raise InputError(f"{len(names)} times {option}: pictures hold {_MOST}; give fewer")
    return names


def _stem(path: Path) -> str:
    return (re.sub(r"[^\w.-]+", "-", path.name.partition(".")[0]).strip("-.") or "data")[:60]


class _Telling:
    """Says on a terminal what is being fitted, and takes it away."""

    def __enter__(self) -> Any:
        self._status = None
        screen = console(stderr=True)
        if not screen.is_terminal:
            return None
        self._status = screen.status("")
        self._status.start()
        return lambda text: self._status.update(f"fitting {text}")

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()


def _tell(found: Comparison) -> None:
    from rich.text import Text

    screen, question = console(), found.question
    screen.print(Text(f"{question.dataset.target} ~ {question.X.shape[1]} columns", style="bold cyan"))
    screen.print(
        f"{found.rows[0]:,} rows to learn from, {found.rows[1]:,} held out; all solvers start a loss from one place"
    )
    screen.print()
    screen.print(_fitting(found, screen))
    screen.print()
    for line in (
        "objective: mean loss plus penalty, in each loss's own unit, which does not compare across losses",
        "to go: height above the lowest objective found for that loss, as a share of the height at the start",
        f"{', '.join(name.replace('_', '-') for name in question.metrics)}: on the rows held out; compare these",
    ):
        screen.print(Text(line, style="dim"))
    for pair in found.refused:
        screen.print(Text(f"{pair.solver} with {pair.loss}: not possible, it needs {pair.reason}", style="yellow"))


def _fitting(found: Comparison, screen: Console) -> Any:
    """Leave out columns, least needed first, until the rest fits; the file of facts has them all."""
    from rich.measure import Measurement

    hidden: tuple[str, ...] = ()
    for name in ("", *_DISPENSABLE):
        hidden = (*hidden, name)
        table = _table(found, hidden)
        if Measurement.get(screen, screen.options.update(max_width=10_000), table).maximum <= screen.width:
            break
    return table


def _table(found: Comparison, hidden: tuple[str, ...]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    metrics = found.question.metrics
    shown = [name for name in _COLUMNS if name not in hidden]
    for name in ("loss", "solver", "ended"):
        table.add_column(name, overflow="fold")
    for name in (*shown, *metrics):
        table.add_column(name.replace("_", "-"), justify="right", no_wrap=True)
    last = ""
    for run in found.runs:
        table.add_row(
            Text("" if run.loss == last else run.loss, style="bold cyan"),
            run.solver if run.solver == run.method else f"{run.solver}: {run.method}",
            Text(_ENDS.get(run.status, run.status), style="" if run.status == "converged" else "yellow"),
            *(_COLUMNS[name](run) for name in shown),
            *("-" if run.scores[name] is None else f"{run.scores[name]:.5g}" for name in metrics),
        )
        last = run.loss
    return table


def _save(found: Comparison, folder: Path) -> None:
    from ..plots.convergence import plot_comparison
    from ..plots.files import save
    from ..workflow.comparison import RECORD
    from ..workflow.store import plain, write_json

    write_json(folder / RECORD, found.record())
    runs, refused = plain(list(found.runs)), plain(list(found.refused))
    for name, panels, lines in (("losses", "solver", "loss"), ("solvers", "loss", "solver")):
        figure = plot_comparison(runs, panels, lines, refused)
        for kind in ("png", "svg"):
            save(figure, folder / f"{name}.{kind}")
    screen = console()
    screen.print()
    for name, text in (
        ("convergence with different losses", "losses.png"),
        ("comparison of methods", "solvers.png"),
        ("facts", RECORD),
    ):
        screen.print(f"  {name:34s} {folder / text}", soft_wrap=True)
