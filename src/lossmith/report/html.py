"""Write ``report.html``: one file, offline, every value escaped."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pictures, view, words
from .formula import unicode

if TYPE_CHECKING:
    import jinja2

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_LONGEST = 600
_MOST_COLUMNS = 150


def write_report(facts: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    facts : mapping
        The content of ``run.json``; parts that are missing are said to be missing.
    folder : path
        The run folder, which exists.

    Returns
    -------
    Path
        ``report.html`` in it, replaced as a whole or not at all.

    Raises
    ------
    InputError
        When it cannot be written, such as on a full disk.
    """
    from ..plots.files import write_output

    path = Path(folder) / "report.html"
    write_output(path, render(facts, str(folder)).encode("utf-8"))
    return path


def render(record: Mapping[str, Any], folder: str) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    record : mapping
        The content of ``run.json``.
    folder : str
        The run folder, for the commands shown.

    Returns
    -------
    str
        A whole page without scripts, links outward or fetched parts.
    """
    return environment().get_template("template.html.j2").render(**_context(record, folder))


def environment() -> jinja2.Environment:
    """Return the templates' environment: autoescape on, our filters, control characters out.

    Returns
    -------
    jinja2.Environment
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # an unfinished run lacks parts; the page says so where it matters
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": words.number,
        "percent": words.percent,
        "settings": words.settings,
        "adjustment": words.adjustment,
        "unicode": unicode,
        "traits": view.traits,
        "sentence": words.sentence,
        "label": _label,
        "error": lambda value, error: words.with_error(value, error),
    }
    return made


def _harmless(value: Any) -> Any:
    """Strip what no page should hold from text that is not ours; escaping is jinja's."""
    if value is None:
        return words.NOTHING
    if type(value) is not str:
        return value
    clean = _CONTROL.sub("�", value)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def _label(value: Any) -> Any:
    """Let a long label break after brackets, equal signs and commas instead of anywhere."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([(=,_])", r"\1<wbr>", str(escape(_harmless(str(value))))))


def _context(record: Mapping[str, Any], folder: str) -> dict[str, Any]:
    facts = record.get("facts") or {}
    columns = facts.get("columns") or ()
    return {
        "run": record,
        "facts": facts,
        "folder": folder,
        "python_folder": repr(folder),
        "quoted_folder": shlex.quote(folder),
        "command": words.command(record.get("settings") or {}, folder),
        "headline": view.headline(record),
        "doubts": view.doubts(record),
        "target_rows": view.target_rows(facts),
        "residual_rows": view.residual_rows(facts),
        "data_rows": view.data_rows(facts) if facts else [],
        "columns": columns[:_MOST_COLUMNS],
        "columns_more": max(0, len(columns) - _MOST_COLUMNS),
        "trials": view.trial_facts(record),
        "scores": view.score_rows(record),
        "calibration_rows": view.calibration_rows(record.get("calibration")),
        "pictures": _pictures(record),
        "title_data": Path(str((record.get("data") or {}).get("path", "data"))).name,
    }


def _pictures(record: Mapping[str, Any]) -> dict[str, Any]:
    singles = {
        "target": pictures.target,
        "curves": pictures.curves,
        "scores": pictures.scores,
        "calibration": pictures.calibration,
        "predictions": pictures.predictions,
    }
    return {name: safe(draw(record)) for name, draw in singles.items()} | {
        "losses": [safe(picture) for picture in pictures.losses(record)]
    }


def safe(picture: pictures.Picture | None) -> dict[str, Any] | None:
    """Say that a picture's SVG is ours and needs no escaping.

    Parameters
    ----------
    picture : Picture or None
        Drawn by :mod:`lossmith.plots`, which escapes what it writes.

    Returns
    -------
    dict or None
        For the templates.
    """
    from markupsafe import Markup

    if picture is None:
        return None
    return {"svg": Markup(picture.svg), "caption": picture.caption, "wide": picture.wide}


def version() -> str:
    """Return our own version."""
    from .._version import __version__

    return __version__
