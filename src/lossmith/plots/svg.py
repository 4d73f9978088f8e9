"""Put a picture inside a page: an ``<svg>`` element that follows the page's colours and hurts no other."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from .files import render
from .style import GRID, INK, MUTED, PAPER, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMESPACE = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
# The page decides what ink and paper are, so that one picture serves light and dark.
_TOKENS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_FONT = re.compile(r"'DejaVu Sans'[^;]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline(figure: Figure, title: str, description: str, prefix: str) -> str:
    """Return a figure as one ``<svg>`` element for an HTML page.

    Parameters
    ----------
    figure : Figure
        What to draw.
    title, description : str
        For those who do not see it; any text, it is escaped.
    prefix : str
        Unique in the page; put before every id.

    Returns
    -------
    str
        The element, with ``role="img"``, without scripts, links outward or fixed size.
    """
    title, description = plain(title, 200), plain(description, 400)
    root = ET.fromstring(render(figure, "svg"))
    _clean(root)
    for element in root.iter():
        _rename(element, prefix)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    width = root.attrib["viewBox"].split()[2]
    root.attrib |= {"role": "img", "aria-label": f"{title}. {description}", "style": f"max-width:{width}pt"}
    heading = ET.Element(f"{{{_NAMESPACE}}}title")
    heading.text = title
    root.insert(0, heading)
    ET.register_namespace("", _NAMESPACE)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ET.tostring(root, encoding="unicode")


def _clean(root: ET.Element) -> None:
    """Drop what matplotlib tells about itself, and its paper: the page has its own."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}title")) or child.get("id") == "patch_1":
                parent.remove(child)


def _rename(element: ET.Element, prefix: str) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key == _LINK:
            element.set(key, f"#{prefix}-{value.lstrip('#')}")
        elif key in ("style", "clip-path", "fill", "stroke"):
            changed = _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
            element.set(key, _tinted(_FONT.sub("var(--sans)", changed)))


def _tinted(style: str) -> str:
    for colour, token in _TOKENS.items():
        style = style.replace(colour, token)
    return style
