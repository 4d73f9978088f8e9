"""``lossmith diagnose``: what went wrong in a training run, from its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import console

if TYPE_CHECKING:
    from ..diagnose.diagnosis import Diagnosis
    from ..diagnose.symptoms import Symptom

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def diagnose(
    log: Annotated[str, typer.Argument(help="A log file (JSON lines, CSV, TensorBoard ...) or a folder with one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
    sarif: Annotated[str | None, typer.Option("--sarif", metavar="FILE", help="Also write SARIF 2.1.0.")] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Also write a page with curves.")] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Which column is what: 'loss=train/nll,eval_loss=val/nll'.")
    ] = "",
    mute: Annotated[
        list[str] | None, typer.Option("--mute", metavar="ID", help="Do not tell this, such as LM-OVERFIT; repeatable.")
    ] = None,
) -> int:
    """Tell what is wrong with a training run, and why; exit 0 if clean, 1 with findings, 2 if the log is unusable."""
    from ..diagnose.diagnosis import diagnose as examine
    from ..diagnose.symptoms import RULES

    found = examine(log, mute=_split(mute or []), columns=_columns(columns))
    if len(found.not_run) == len(RULES):
        raise ValueError(_unusable(log, found.record.names))
    for path, write in ((sarif, _write_sarif), (html, _write_html)):
        if path is not None:
            write(found, path, log)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        _tell(found, log, [path for path in (html, sarif) if path])
    return 0 if found.clean else 1


def _unusable(log: str, names: tuple[str, ...]) -> str:
    some = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
    return f"no check can use '{log}': it holds {some}; say which column is the loss with --columns loss=NAME"


def _split(names: list[str]) -> list[str]:
    return [part.strip() for name in names for part in name.split(",") if part.strip()]


def _columns(text: str) -> dict[str, str] | None:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, equals, column in pairs:
        if not (name.strip() and equals and column.strip()):
            raise ValueError(f"--columns {text!r}: give pairs such as loss=train/nll,eval_loss=val/nll")
    return {name.strip(): column.strip() for name, _, column in pairs} or None


def _write_sarif(found: Diagnosis, path: str, log: str) -> None:
    from ..diagnose.sarif import to_sarif
    from ..plots.files import write_output

    write_output(Path(path), (json.dumps(to_sarif(found, log), indent=1, allow_nan=False) + "\n").encode())


def _write_html(found: Diagnosis, path: str, log: str) -> None:
    from ..report.diagnosis import write_diagnosis

    write_diagnosis(found, path, log)


def _tell(found: Diagnosis, log: str, written: list[str]) -> None:
    from rich.text import Text

    screen = console()
    record = found.record
    steps = "1 step" if record.total == 1 else f"{record.total} steps"
    screen.print(Text(f"{log}: {steps}, {found.headline}", style="bold"))
    for symptom in found.symptoms:
        screen.print(_line(symptom, found))
    for cause in found.likely:
        screen.print(Text(f"\n{cause.probability:.0%}  {cause.name} ({cause.id})", style="bold"))
        screen.print(_indented([*cause.evidence, *(f"remedy: {r.text}" for r in list(cause.remedies)[:2])]))
    _tell_rest(screen, found)
    for path in written:
        screen.print(Text(f"written: {path}", style="dim"))


def _line(symptom: Symptom, found: Diagnosis) -> Any:
    from rich.padding import Padding
    from rich.text import Text

    place = "" if symptom.step is None else f" from step {symptom.step}"
    late = f", raised by step {found.raised[symptom.id]}" if symptom.id in found.raised else ""
    head = (f"{symptom.id}  {symptom.name}", _COLOURS[symptom.severity])
    return Padding(
        Text.assemble(head, (f" ({symptom.severity}{place}{late})", "dim"), f"\n  {symptom.evidence}"), (1, 0, 0, 0)
    )


def _indented(lines: list[str]) -> Any:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text("\n".join(lines)), (0, 0, 0, 2))


def _tell_rest(screen: Any, found: Diagnosis) -> None:
    from rich.text import Text

    screen.print()
    if found.muted:
        screen.print(Text(f"muted: {', '.join(s.id for s in found.muted)}", style="dim"))
    if found.not_run:
        reasons: dict[str, list[str]] = {}
        for check in found.not_run:
            reasons.setdefault(check.reason, []).append(check.id)
        screen.print(Text(f"{len(found.not_run)} checks could not run; their silence means nothing:", style="dim"))
        for reason, names in reasons.items():
            screen.print(_indented([f"{', '.join(names)}: {reason}"]), style="dim")
    for note in found.record.notes:
        screen.print(Text(f"note: {note}", style="dim"))
