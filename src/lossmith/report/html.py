"""The report of a run: one HTML file that needs nothing else, drawn from the content of ``run.json``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossmith.plots.files import write_atomically
from lossmith.report import charts
from lossmith.report.formula import unicode
from lossmith.report.sentences import adjustment_words, headline, mind_changers, settings_words

if TYPE_CHECKING:
    from markupsafe import Markup

NAME = "report.html"


def write_report(facts: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.html`` into a run folder, whole or not at all.

    Parameters
    ----------
    facts : mapping
        The content of ``run.json`` (:class:`lossmith.workflow.records.RunRecord` as a dictionary). Parts that an
        interrupted run lacks are said to be missing.
    folder : Path
        The run folder.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        When the folder cannot be written; nothing is left behind.
    """
    target = Path(folder) / NAME
    write_atomically(target, render(facts).encode("utf-8"))
    return target


def render(facts: Mapping[str, Any]) -> str:
    """Return the report as text; every value from outside is escaped.

    Parameters
    ----------
    facts : mapping
        As for :func:`write_report`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.BaseLoader(), autoescape=True, undefined=jinja2.ChainableUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(number=charts.number, unicode=unicode, settings=settings_words, percent=_percent)
    environment.globals.update(adjustment=adjustment_words)
    text = resources.files("lossmith.report").joinpath("template.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        run=facts,
        headline=headline(facts),
        mind=mind_changers(facts),
        charts=_charts(facts),
        columns=_column_summary(facts),
        skipped=_skipped(facts),
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _charts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Draw what there is data for."""
    drawn: dict[str, Any] = {"curves": []}
    evaluation, metric = facts.get("evaluation") or {}, facts.get("metric") or {}
    if evaluation.get("scores"):
        drawn["scores"] = charts.score_chart(evaluation["scores"], metric.get("name", "metric"), evaluation["chosen"])
    drawn["curves"] = [(charts.curve_chart(curve), curve) for curve in _shown_curves(facts)]
    drawn |= _target_charts(facts)
    calibration = facts.get("calibration")
    if calibration and len(calibration["predicted"]) > 1:
        drawn["calibration"] = charts.calibration_chart(calibration, *_calibration_axes(calibration["kind"]))
    return drawn


def _calibration_axes(kind: str) -> tuple[str, str]:
    return {
        "probability": ("predicted probability", "observed share"),
        "confidence": ("probability of the predicted class", "share that was right"),
        "mean": ("predicted mean (bins)", "observed mean"),
        "quantile": ("predicted quantile (bins)", "share of targets at or below"),
    }[kind]


def _target_charts(facts: Mapping[str, Any]) -> dict[str, Markup]:
    described, sample = facts.get("facts") or {}, facts.get("predictions") or {}
    target = str(described.get("target", "target"))
    if described.get("class_counts"):
        names = [str(label) for label in described["classes"]][:20]
        return {"target": charts.bar_chart(names, described["class_counts"][:20], "rows")}
    if not sample.get("actual"):
        return {}
    pairs = [(a, p) for a, p in zip(sample["actual"], sample["predicted"], strict=True) if None not in (a, p)]
    actual, predicted = [a for a, _ in pairs], [p for _, p in pairs]
    return {
        "target": charts.histogram(actual, target[:40]),
        "scatter": charts.scatter_chart(actual, predicted, "predicted", f"actual {target}"[:40]),
    }


def _shown_curves(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One curve for each candidate and learner, the first two that hold more than one iteration."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for curve in facts.get("curves") or ():
        if len(curve["iterations"]) > 1 and any(v is not None for v in curve["train"]):
            found.setdefault((curve["label"], curve["learner"]), curve)
    return list(found.values())[:4]


def _column_summary(facts: Mapping[str, Any]) -> list[tuple[str, int]]:
    kinds: dict[str, int] = {}
    for column in (facts.get("facts") or {}).get("columns") or ():
        kinds[column["kind"]] = kinds.get(column["kind"], 0) + 1
    return sorted(kinds.items())


def _skipped(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [check for check in (facts.get("facts") or {}).get("checks") or () if not check["ran"]]
