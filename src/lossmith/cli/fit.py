"""``lossmith fit``: one linear model under a loss, a penalty and a solver of one's choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import console

if TYPE_CHECKING:
    from ..workflow.single import SingleFit

_MOST = 25


def fit(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON lines.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    loss: Annotated[str, typer.Option(help="Name or call, such as huber or 'huber(delta=1)'.")] = "auto",
    penalty: Annotated[str, typer.Option(help="none, l1, l2, elasticnet, mcp or scad.")] = "none",
    alpha: Annotated[float | None, typer.Option(help="Strength of the penalty; 1e-4 if not said.")] = None,
    l1_ratio: Annotated[float, typer.Option(help="Share of L1 in elasticnet.")] = 0.5,
    solver: Annotated[str, typer.Option(help="auto, gd, newton, lbfgs, 'gd(search=constant(step=0.1))', ...")] = "auto",
    tolerance: Annotated[float, typer.Option(help="On the gradient, relative to the start.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(help="Most steps.")] = 1000,
    task: Annotated[str, typer.Option(help="auto, regression, count, binary, multiclass or ordinal.")] = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for model, fit.json, pictures.")] = None,
) -> None:
    """Fit a linear model and say how sure it is to be the best one.

    Columns are standardised for the fit, so that a penalty treats them alike; coefficients are shown in the columns'
    own units.
    """
    from ..workflow.single import Question, fit_file, open_folder, penalty_of
    from .checks import limits

    limits(tolerance, max_iter)
    chosen = penalty_of(penalty, alpha, l1_ratio)
    if output is not None:
        open_folder(output)
    question = Question.of(data, target, task)
    found = fit_file(
        question, question.loss(loss), chosen, solver, tolerance=tolerance, max_iterations=max_iter, bar=True
    )
    _tell(found)
    if output is not None:
        _save(found, output)


def _save(found: SingleFit, folder: Path) -> None:
    from ..plots.convergence import plot_convergence
    from ..plots.files import save
    from ..workflow.store import plain

    found.save(folder)
    figure = plot_convergence(plain(found.record()))
    for name in ("convergence.png", "convergence.svg"):
        save(figure, folder / name)
    screen = console()
    screen.print()
    for name, text in (
        ("facts", str(folder / "fit.json")),
        ("picture", str(folder / "convergence.png")),
        ("use it", f"lossmith predict {folder} NEW.csv --output predictions.csv"),
    ):
        screen.print(f"  {name:8s} {text}", soft_wrap=True)


def _tell(found: SingleFit) -> None:
    from rich.text import Text

    screen, question, solution = console(), found.question, found.solution
    screen.print(Text(f"{question.dataset.target} ~ {len(found.coefficients)} columns", style="bold cyan"))
    for note in (*question.dataset.notes, *question.prepared.notes):
        screen.print(Text(f"  {note}", style="dim"))
    screen.print()
    _pairs(
        screen,
        [
            ("data", f"{question.dataset.path}, {question.dataset.rows:,} rows; task: {question.facts.task}"),
            ("loss", _with_unit(found)),
            ("penalty", _penalty(found)),
            ("solver", _solver(found)),
            ("status", _status(solution)),
            ("objective", f"{solution.objective:.10g} (mean loss plus penalty)"),
            ("certificate", _certificate(found)),
            ("scores", _scores(found)),
        ],
    )
    screen.print()
    screen.print(_table(found))
    _rest(screen, found)


def _pairs(screen: Any, pairs: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(name, Text(text))
    screen.print(table)


def _with_unit(found: SingleFit) -> str:
    from ..workflow.links import has_unit

    link = found.fitted.link.to_config()
    if link["kind"] == "affine" and has_unit(found.loss):
        return f"{found.loss!r}, in units of {link['scale']:.4g} (the robust spread of the residuals)"
    return repr(found.loss)


def _penalty(found: SingleFit) -> str:
    from ..workflow.single import is_none

    return "none" if is_none(found.penalty) else f"{found.penalty!r}, on coefficients per standard deviation"


def _solver(found: SingleFit) -> str:
    asked, ran = str(found.solver), found.solution.method
    return ran if asked == ran else f"{asked}: {ran}"


def _status(solution: Any) -> str:
    word = solution.status.replace("_", " ")
    passes = solution.history.passes[-1]
    text = f"{word} after {solution.iterations:,} steps, {passes:,.0f} passes over the data, {solution.seconds:.2f} s"
    return text if solution.status == "converged" else f"{text}; {solution.message}"


def _certificate(found: SingleFit) -> str:
    solution, loss = found.solution, found.loss
    shown = f"{solution.optimality:.1e} (goal {found.tolerance:.0e})"
    if solution.status == "stalled":
        return f"gradient {shown} relative to the start; floating point lets it get no lower"
    if solution.status != "converged":
        return f"none: it was cut short at a gradient of {shown} relative to the start"
    if solution.gap is not None:
        return f"duality gap {solution.gap:.1e}: no coefficients have an objective lower by more than that"
    if loss.traits.kinks and solution.smoothing_error == 0.0:
        return "none: subgradients prove nothing; take --solver auto"
    if not loss.traits.convex:
        return f"a stationary point: gradient {shown}; the loss is not convex, other starts may end elsewhere"
    if solution.smoothing_error > 0.0:
        return f"gradient {shown} of the loss with rounded kinks, which costs at most {solution.smoothing_error:.1e}"
    return f"gradient {shown} relative to the start; the loss is convex, so this is the minimum"


def _scores(found: SingleFit) -> str:
    told = [
        f"{name.replace('_', '-')} {'has no meaning (no probabilities)' if value is None else format(value, '.5g')}"
        for name, value in found.scores.items()
    ]
    return f"{', '.join(told)}, on the rows it learned from"


def _table(found: SingleFit) -> Any:
    from rich.table import Table
    from rich.text import Text

    labels = _outputs(found)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("column", overflow="fold")
    for label in labels:
        table.add_column(f"{label}per unit", justify="right", no_wrap=True)
    for label in labels:
        table.add_column(f"{label}per st. dev.", justify="right", no_wrap=True)
    for row in _strongest(found):
        cells = [f"{value:,.6g}" for value in row.unit] + [f"{value:+,.4g}" for value in row.deviation]
        table.add_row(Text(row.name, style="cyan"), *cells)
    table.add_row(Text("(constant)", style="dim"), *(f"{value:,.6g}" for value in found.intercept))
    return table


def _outputs(found: SingleFit) -> list[str]:
    if len(found.intercept) == 1:
        return [""]
    return [f"{label}: " for label in found.question.facts.classes]


def _strongest(found: SingleFit) -> list[Any]:
    used = [row for row in found.coefficients if any(row.unit)]
    return sorted(used, key=lambda row: -max(map(abs, row.deviation)))[:_MOST]


def _rest(screen: Any, found: SingleFit) -> None:
    from rich.text import Text

    used = sum(any(row.unit) for row in found.coefficients)
    zero = len(found.coefficients) - used
    lines = [f"{used - _MOST} more coefficients are in fit.json (--output)"] if used > _MOST else []
    lines += [f"{zero} coefficient{'s are' if zero > 1 else ' is'} exactly 0"] if zero else []
    classes, link = found.question.facts.classes, found.fitted.link.to_config()["kind"]
    lines += [f"coefficients > 0 speak for {classes[1]!r}"] if len(classes) == 2 and len(found.intercept) == 1 else []
    lines += ["coefficients act on the logarithm of the rate"] if link == "exponential" else []
    for line in lines:
        screen.print(Text(line, style="dim"))
