"""``lossmith plot``: pictures of losses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    losses: Annotated[list[str], typer.Argument(help="Names or calls: mse huber 'quantile(q=0.9)'.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="FILE.png or FILE.svg.")] = None,
    y: Annotated[
        float | None, typer.Option(help="The target: 0 for regression, class 1, or 3 for counts unless said.")
    ] = None,
) -> None:
    """Draw value, gradient and curvature of losses, side by side, to a picture."""
    from ..core.errors import InputError
    from ..core.registry import get
    from ..plots.files import FORMATS, save
    from ..plots.losses import plot as draw

    chosen = [get(loss) for loss in losses]
    path = output or Path("-".join(dict.fromkeys(loss.name for loss in chosen)) + ".png")
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise InputError(f"--output {str(path)!r} must end in .png or .svg")
    if not path.parent.is_dir():
        raise InputError(f"--output {str(path)!r}: the folder {str(path.parent)!r} does not exist")
    figure = draw(*chosen, y=y)
    try:
        save(figure, path)
    except OSError as problem:
        raise InputError(f"cannot write {str(path)!r}: {problem.strerror or problem}") from None
    typer.echo(str(path))
