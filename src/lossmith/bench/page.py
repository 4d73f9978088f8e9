"""Write ``bench.html``: one file, offline, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pictures, view
from .families import GRADIENT
from .record import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def write_page(results: Results, folder: Path) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    results : Results
        Finished or not.
    folder : Path
        Exists.

    Returns
    -------
    Path
        ``bench.html`` in it, replaced as a whole or not at all.
    """
    from ..plots.files import write_output

    path = folder / "bench.html"
    write_output(path, render(results).encode("utf-8"))
    return path


def render(results: Results) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    results : Results
        Finished or not.

    Returns
    -------
    str
        A whole page without scripts, links outward or fetched parts.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = view.typeset
    return environment.get_template("page.html.j2").render(
        results=results,
        headline=view.headline(results),
        bars=view.bar_rows(results),
        tables=view.family_tables(results),
        memory=view.memory_rows(results),
        compilations=view.compile_rows(results),
        machine=view.machine_rows(results),
        versions=view.version_line(results),
        losers=view.losers(results),
        warnings=view.warnings(results),
        pictures=_pictures(results),
        limits=view.LIMIT_NAMES,
        minutes=f"{results.seconds / 60.0:.1f}",
    )


def _harmless(value: Any) -> Any:
    """Strip what no page should hold from text that is not ours; escaping is jinja's."""
    return _CONTROL.sub("�", value) if type(value) is str else value


def _pictures(results: Results) -> list[dict[str, Any]]:
    found = []
    for dtype in dict.fromkeys(cell.dtype for cell in results.cells):
        what = pictures.caption(dtype)
        for name, draw, title, caption in (
            ("limit", pictures.plot_limit, "Distance from the memory limit",
             f"Largest size of each elementwise loss: {what}. 1 would be as fast as moving the bytes."),
            ("speedups", pictures.plot_speedups, "Against the peers",
             f"How many times faster than each peer: {what}; each contender in its fastest variant."),
            ("sizes", pictures.plot_sizes, "Time per element against size",
             f"Time of one element: {what}. Dashed: the memory limit, measured in the same run."),
        ):  # fmt: skip
            picture = _drawn(draw, results, dtype, title, caption, f"{name}-{dtype}")
            if picture is not None:
                found.append({"title": f"{title}, {dtype}", "svg": picture, "caption": caption})
    return found


def _drawn(
    draw: Callable[[Results, str], Figure], results: Results, dtype: str, title: str, caption: str, prefix: str
) -> Any:
    """Return a picture as markup, None where the run has nothing to draw."""
    from markupsafe import Markup

    from ..plots.svg import inline

    if not any(cell.operation == GRADIENT and cell.dtype == dtype for cell in results.cells):
        return None
    try:
        return Markup(inline(draw(results, dtype), title, caption, prefix))
    except ValueError:
        return None
