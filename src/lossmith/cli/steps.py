"""A few lines for each finished step, from its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..report.words import number, percent, with_error

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST = 8


def told(step: int, record: Any) -> list[RenderableType]:
    """Return what to print of a step's record.

    Parameters
    ----------
    step : int
        1 to 8.
    record : object
        As :class:`lossmith.workflow.progress.Progress` says.

    Returns
    -------
    list of renderable
        Lines and tables.
    """
    return _TELL[step - 1](record)


def _line(text: str, style: str = "") -> RenderableType:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Padding(table, (0, 0, 0, 2))


def _analysis(facts: Any) -> list[RenderableType]:
    lines: list[RenderableType] = [
        _line(f"{facts.rows:,} rows, {len(facts.columns)} feature columns; task: {facts.task}")
    ]
    lines.append(_line(facts.task_reason, "dim"))
    if facts.classes:
        pairs = zip(facts.classes, facts.class_counts, strict=True)
        shown = ", ".join(f"{label}: {count:,}" for label, count in list(pairs)[:_MOST])
        lines.append(_line(f"classes {shown}" + (" ..." if len(facts.classes) > _MOST else "")))
    elif facts.shape is not None:
        s = facts.shape
        lines.append(
            _line(
                f"target {number(s.minimum)} to {number(s.maximum)}, median {number(s.median)}, "
                f"mean {number(s.mean)}, skewness {number(s.skew, 2)}, zeros {percent(s.zero_share)}"
            )
        )
    return lines + [_line(f"! {warning}", "yellow") for warning in facts.warnings]


def _selection(selection: Any) -> list[RenderableType]:
    rows = [(c.label, c.elicits, c.reason) for c in selection.admissible]
    return [
        _line(f"metric {selection.metric}: the {selection.functional} is wanted"),
        _table(("admissible loss", "estimates", "why"), rows),
        _line(f"{len(selection.excluded)} losses excluded, each with its reason in the report", "dim"),
    ]


def _implementation(cards: Any) -> list[RenderableType]:
    right = sum(card.passed is True for card in cards)
    wrong = [card for card in cards if card.passed is False]
    lines: list[RenderableType] = [_line(f"derivatives right on this target's values: {right} of {len(cards)} losses")]
    return lines + [_line(f"! {card.label}: {card.note}", "red") for card in wrong]


def _training(trials: Any) -> list[RenderableType]:
    reused = sum(trial.reused for trial in trials)
    kept = f", {reused} kept from before" if reused else ""
    failed = [trial for trial in trials if trial.failure]
    lines: list[RenderableType] = [_line(f"{len(trials)} trainings{kept}")]
    return lines + [_line(f"! {t.label}, {t.learner}: {t.failure}", "yellow") for t in failed[:3]]


def _evaluation(evaluation: Any) -> list[RenderableType]:
    rows = []
    for index, score in enumerate(evaluation.scores[:_MOST]):
        marks = ("chosen" if index == evaluation.chosen else "tie" if score.tied else "") + (
            " default" if score.reference else ""
        )
        behind = "best" if index == evaluation.best else with_error(score.behind, score.behind_error)
        rows.append((score.label, score.learner, with_error(score.mean, score.standard_error), behind, marks.strip()))
    more = len(evaluation.scores) - _MOST
    tail = [_line(f"and {more} more in the report", "dim")] if more > 0 else []
    table = _table(("loss", "learner", "held out", "worse by", ""), rows, (2, 3))
    return [table, *tail, _line(evaluation.rule)]


def _diagnosis(findings: Any) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for finding in findings:
        if finding.seen:
            lines.append(_line(f"! {finding.name}: {finding.evidence}", "yellow"))
            lines.append(_line(f"  remedy: {finding.remedy}"))
    unseen = [finding.name for finding in findings if finding.seen is False]
    unknown = [finding.name for finding in findings if finding.seen is None]
    lines += [_line(f"not seen: {', '.join(unseen)}", "dim")] if unseen else []
    return lines + ([_line(f"could not be tested: {', '.join(unknown)}", "dim")] if unknown else [])


def _iteration(attempts: Any) -> list[RenderableType]:
    if not attempts:
        return [_line("no remedy applied")]
    rows = [
        (attempt.remedy, with_error(attempt.gain, attempt.gain_error), "kept" if attempt.kept else "")
        for attempt in attempts
    ]
    return [_table(("remedy", "gain", ""), rows, (1,))]


def _final(final: Any) -> list[RenderableType]:
    return [_line(f"{final.label}, {final.learner}, on all {final.rows:,} rows")]


_TELL: tuple[Callable[[Any], list[RenderableType]], ...] = (
    _analysis,
    _selection,
    _implementation,
    _training,
    _evaluation,
    _diagnosis,
    _iteration,
    _final,
)
