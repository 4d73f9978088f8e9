"""``lossmith translate``: a loss of one library, written for another."""

from __future__ import annotations

from typing import Annotated

import typer


def translate(
    loss: Annotated[
        str,
        typer.Argument(
            help="As its library writes it: 'torch.nn.SmoothL1Loss(beta=2)', 'huber(delta=2)', reg:logistic."
        ),
    ],
    to: Annotated[
        str,
        typer.Option("--to", help="lossmith, torch, keras, optax, sklearn, xgboost, lightgbm or catboost."),
    ] = "lossmith",
    origin: Annotated[
        str | None, typer.Option("--from", help="The library it is from, where its name does not say.")
    ] = None,
) -> None:
    """Print code for another library that gives the same numbers."""
    from ..frameworks.translation.translate import translate as found

    typer.echo(found(loss, to, origin).code)
