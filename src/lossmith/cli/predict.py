"""``lossmith predict``: the model of a run on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    newdata: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON lines with the feature columns.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="FILE.csv, .tsv, .parquet or .jsonl; the screen if not given.")
    ] = None,
) -> None:
    """Predict new rows with the model of a run."""
    from ..core.errors import InputError

    if output is not None and output.suffix.lower() not in _WRITERS:
        raise InputError(f"--output {str(output)!r} must end in {', '.join(_WRITERS)}")
    if output is not None and not output.parent.is_dir():
        raise InputError(f"--output {str(output)!r}: the folder {str(output.parent)!r} does not exist")
    from ..workflow.final import predict as predict_table

    table = predict_table(run, newdata)
    if output is None:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    _write(table, output)
    typer.echo(f"{len(table):,} predictions in {output}", err=True)


_WRITERS = (".csv", ".tsv", ".parquet", ".jsonl")


def _write(table: pd.DataFrame, path: Path) -> None:
    from ..plots.files import write_output

    kind = path.suffix.lower()
    if kind == ".parquet":
        content = table.to_parquet(index=False)
    elif kind == ".jsonl":
        content = table.to_json(orient="records", lines=True, force_ascii=False).encode()
    else:
        content = table.to_csv(index=False, sep="\t" if kind == ".tsv" else ",").encode()
    write_output(path, content)
