"""``lossmith run``: from a data file to a chosen, trained, explained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..workflow.run import RunResult
    from .progress import Screen


def run(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON lines.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    task: Annotated[str, typer.Option(help="auto, regression, count, binary, multiclass or ordinal.")] = "auto",
    metric: Annotated[str, typer.Option(help="auto, rmse, mae, pinball@0.9, log_loss, auc, ...")] = "auto",
    budget: Annotated[str, typer.Option(help="Time for everything: 60s, 5m, 1h.")] = "60s",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder [default: runs/NAME].")] = None,
    seed: Annotated[int, typer.Option(help="Of folds and learners.")] = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes.")] = 2,
) -> None:
    """Choose a loss for a data file, train a model with it, and explain both.

    Walks the eight steps and leaves report.html, run.json and the model. Stopped at any moment, the same
    command continues.
    """
    from .progress import Screen

    screen = Screen()
    try:
        with screen:
            from ..workflow.run import run as run_workflow

            result = run_workflow(
                data,
                target,
                task=task,
                metric=metric,
                budget=budget,
                output=output,
                seed=seed,
                jobs=jobs,
                progress=screen,
            )
    except KeyboardInterrupt:
        _say_what_is_kept(screen, output)
        raise SystemExit(130) from None
    _conclude(screen, result)


def _say_what_is_kept(screen: Screen, output: Path | None) -> None:
    where = f" in {output}" if output is not None else ""
    if screen.trials:
        kept = f"{screen.trials} finished trainings are kept{where}; the same command continues"
    else:
        kept = "nothing was trained yet; the same command starts again"
    typer.echo(f"lossmith: interrupted; {kept}", err=True)


def _conclude(screen: Screen, result: RunResult) -> None:
    from ..report.view import headline
    from ..workflow.store import plain

    answer = headline(plain(result.record))
    screen.answer(
        f"Train with {answer['loss']} on the {answer['learner']} learner.",
        f"{answer['metric']} {answer['score']} on held-out folds ({answer['better']}); "
        f"the same learner with the default loss ({answer['rival']}): {answer['against']}. {answer['verdict']}",
    )
    screen.files(
        [
            ("report", str(result.report)),
            ("facts", str(result.folder / "run.json")),
            ("model", str(result.folder / "model")),
            ("use it", f"lossmith predict {result.folder} NEW.csv --output predictions.csv"),
        ]
    )
    if result.record.interrupted:
        typer.echo("lossmith: interrupted; the best found so far is kept; the same command continues", err=True)
        raise SystemExit(130)
