"""The page renders whatever a run knows, trusts no text, and needs nothing from outside."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from lossmith.bench import view
from lossmith.bench.page import render, write_page
from lossmith.bench.record import Results, Timing

VOID = {"meta", "br", "link", "img", "input", "hr", "use", "path"}


class Balanced(HTMLParser):
    """Collects tags and complains about one that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_offline_and_small(results: Results) -> None:
    page = render(results)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"svg", "table", "details"} <= parser.tags
    assert parser.tags & {"script", "link", "img", "iframe", "i", "u"} == set()
    assert re.search(r"(?:src|href)=\"(?!#)", page) is None
    assert len(page.encode()) < 2_000_000


def test_text_from_outside_is_escaped(results: Results) -> None:
    page = render(results)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    for raw in ("<i>CPU", "<u>x", "<b>no"):
        assert raw not in page
        assert raw.replace("<", "&lt;").replace(">", "&gt;") in page


def test_what_is_measured_is_on_the_page(results: Results) -> None:
    page = render(results)
    for words in (
        "8 ms",
        "differs",
        "failed",
        "1.5 s",
        "not installed",
        "too big",
        "others were at work",
        "not finished",
    ):
        assert words.lower() in page.lower(), words
    assert "1.33 ×" in page  # 2.0 / 1.5 of the bar


def test_an_empty_run_is_a_page(results: Results) -> None:
    nothing = replace(results, cells=(), memory=(), compilations=(), notes=(), peers=(), machine={})
    page = render(nothing)
    assert "None of the bars is in this run" in page
    assert "No picture" in page


def test_the_page_is_replaced_as_a_whole(results: Results, tmp_path: Path) -> None:
    path = write_page(results, tmp_path)
    write_page(replace(results, date="later"), tmp_path)
    assert "later" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["bench.html"]


def test_peers_that_are_faster_are_listed_worst_first(results: Results) -> None:
    lines = view.losers(results)
    assert len(lines) == 2
    assert "optax is 2 x faster" in lines[0] or "numpy is 2 x faster" in lines[0]


def test_the_limit_that_binds_is_the_larger(results: Results) -> None:
    cell = results.cells[0]
    both = replace(cell, timings=(*cell.timings, Timing("arithmetic limit", "(NumPy)", median=7.0)))
    assert both.limit == 7.0
    assert cell.limit == cell.seconds("memory limit")
    assert replace(cell, timings=()).limit is None


def test_a_cell_reads_as_one_line(results: Results) -> None:
    line = view.cell_line(results.cells[2])
    assert line.startswith("bce 4,000,000 float64 value + gradient: 8 ms (1.33 x limit); torch 4.5 x")
    assert "sklearn differs" in line
