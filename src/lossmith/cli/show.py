"""``lossmith show``: all about one loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import console

if TYPE_CHECKING:
    from ..core.loss import Loss
    from ..core.traits import Traits


def show(
    loss: Annotated[str, typer.Argument(help="Name or call, such as huber or 'huber(delta=1.35)'.")],
) -> None:
    """Show a loss: formula, gradient, claims, when to use it, pros and cons."""
    from ..core.registry import get, loss_class

    found = get(loss) if "(" in loss else loss_class(loss).example()
    _print(found, _heading(found), _sections(found))


def _heading(loss: Loss) -> tuple[str, str]:
    summary = (type(loss).__doc__ or "").strip().partition("\n\n")[0]
    return repr(loss), " ".join(summary.replace("``", "").split())


def _sections(loss: Loss) -> list[tuple[str, str]]:
    from ..report.formula import unicode

    about = loss.about
    names = ", ".join((loss.name, *loss.aliases))
    return [
        ("Formula", unicode(about.formula)),
        ("Gradient", unicode(about.gradient)),
        ("LaTeX", about.formula),
        ("  gradient", about.gradient),
        ("Best for", about.best_for),
        ("Pros", about.pros),
        ("Cons", about.cons),
        *([("Mind", about.note)] if about.note else []),
        ("Claims", claims(loss.traits)),
        *_parameters(loss),
        ("Names", names),
        ("Reference", about.reference),
    ]


def _parameters(loss: Loss) -> list[tuple[str, str]]:
    import dataclasses

    told = []
    for field in dataclasses.fields(loss):
        check = field.metadata.get("check")
        accepts = f", {check.accepts}" if check is not None else ""
        told.append(f"{field.name} = {getattr(loss, field.name)!r}{accepts}")
    return [("Parameters" if index == 0 else "", line) for index, line in enumerate(told)]


def claims(traits: Traits) -> str:
    """Return a loss's claims as one sentence.

    Parameters
    ----------
    traits : Traits
        The resolved record.

    Examples
    --------
    >>> import lossmith as lm
    >>> claims(lm.Huber(delta=2.0).traits)
    'regression; convex; gradient at most 2; curvature at most 1; symmetric; bounded pull of outliers'
    """
    parts = [traits.task, "convex" if traits.convex else "not convex"]
    parts += [f"minimised by the {traits.elicits}"] if traits.elicits else []
    if _finite(traits.lipschitz):
        parts.append(f"gradient at most {traits.lipschitz:.4g}")
    elif traits.lipschitz == math.inf:
        parts.append("gradient unbounded")
    parts += [f"curvature at most {traits.smooth:.4g}"] if _finite(traits.smooth) else []
    parts += [f"kink at {', '.join(f'{k:g}' for k in traits.kinks)}"] if traits.kinks else []  # type: ignore[union-attr]
    parts += [word for word in ("symmetric", "proper", "calibrated") if getattr(traits, word)]
    if traits.task in ("regression", "count"):
        pulls = {"no": "unbounded", "bounded": "bounded", "redescending": "vanishing"}
        parts.append(f"{pulls[str(traits.robust)]} pull of outliers")
    return "; ".join(parts)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _print(loss: Loss, heading: tuple[str, str], sections: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    screen.print(Text(heading[0], style="bold cyan"))
    screen.print(Text(heading[1]))
    screen.print()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, text in sections:
        if name in ("Best for", "Claims"):
            table.add_row("", "")
        table.add_row(name, Text(text))
    screen.print(table)
    if loss.tier == "elementwise":
        screen.print(f"\n'lossmith plot {loss.name}' draws it.", style="dim")
