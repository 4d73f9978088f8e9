"""The words and rows of the page and of the screen; no numbers are made here but ratios."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ..report.words import number
from . import bars
from .families import ELEMENTWISE, FAMILIES, GRADIENT, OPERATION_TITLES
from .record import (
    ARITHMETIC,
    DIFFERS,
    FAILED,
    LIMITS,
    MEMORY,
    OURS,
    OURS_IN_TORCH,
    SKIPPED,
    TIMED,
    Cell,
    Results,
    Timing,
)

Row = dict[str, Any]
# Elements from which on a call is long enough for bytes and arithmetic to matter more than the call itself.
_LARGE = 50_000
_SIGNS = {
    "<=": "≤",
    ">=": "≥",
    " x ": " × ",
    " x;": " ×;",
    "->": "→",
    "^2": "²",
    " us": " µs",
    "1e6": "10⁶",
    "4e6": "4·10⁶",
    "1e4": "10⁴",
}
_MEANINGS = {DIFFERS: "differs", FAILED: "failed", SKIPPED: "not run"}


def duration(seconds: float | None) -> str:
    """Return a time with a unit that fits.

    Examples
    --------
    >>> duration(0.00123), duration(2.5e-7), duration(None), duration(12.0)
    ('1.23 ms', '250 ns', '–', '12 s')
    """
    if seconds is None:
        return number(None)
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def _three(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(count: int | None) -> str:
    """Return bytes with a unit that fits.

    Examples
    --------
    >>> size(64_000_000), size(1500), size(None), size(3)
    ('64 MB', '1.5 kB', '–', '3 B')
    """
    if count is None:
        return number(None)
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{_three(count / step)} {unit}"
    return f"{count} B"


def ratio(value: float | None) -> str:
    """Return a ratio with the digits that mean something.

    Examples
    --------
    >>> ratio(1.2345), ratio(0.05), ratio(123.4), ratio(None)
    ('1.23', '0.05', '123', '–')
    """
    if value is None:
        return number(None)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shape(cell: Cell) -> str:
    """Return a cell's shape.

    Examples
    --------
    >>> shape(Cell("mse", "value", "float64", (4000000,), 4000000, 0, 0.0, ()))
    '4,000,000'
    """
    return f"{cell.shape[0]:,}" if len(cell.shape) == 1 else " x ".join(map(str, cell.shape))


def headline(results: Results) -> Row:
    """Return the run in three numbers: bars met, and our place against peers and memory."""
    told = [v for v in bars.verdicts(results) if v.status != bars.UNKNOWN]
    met = sum(v.status == bars.MET for v in told)
    ahead, behind, limit = [], 0, []
    for cell in results.cells:
        mine = cell.seconds(OURS)
        if cell.operation != GRADIENT or not mine or not cell.peers or cell.elements < _LARGE:
            continue
        best = (cell.peers[0].median or 0.0) / mine
        ahead.append(best)
        behind += best < 1.0
        moved = cell.seconds(MEMORY)
        if moved and FAMILIES[cell.family].tier == ELEMENTWISE:
            limit.append(mine / moved)
    return {
        "met": met,
        "told": len(told),
        "speedup": ratio(statistics.median(ahead)) if ahead else None,
        "cells": len(ahead),
        "behind": behind,
        "limit": ratio(statistics.median(limit)) if limit else None,
    }


def typeset(text: str) -> str:
    """Return a bar's wording with the signs that a page has.

    Examples
    --------
    >>> typeset("<= 1.6 x the time; O(n^2)")
    '≤ 1.6 × the time; O(n²)'
    """
    for plain, sign in _SIGNS.items():
        text = text.replace(plain, sign)
    return text.removesuffix(" x") + " ×" * text.endswith(" x")


def cell_line(cell: Cell) -> str:
    """Return a cell as one line: ours first, then the peers, with their time over ours.

    Parameters
    ----------
    cell : Cell
        What was measured.
    """
    mine = cell.best(OURS)
    limit = _over(mine.median if mine else None, cell.limit)
    near = f" ({ratio(limit)} x limit)" if limit is not None and cell.elements >= 100_000 else ""
    parts = [f"{cell.family} {shape(cell)} {cell.dtype} {OPERATION_TITLES[cell.operation]}:"]
    parts.append(f"{duration(mine.median if mine else None)}{near};")
    times = [f"{t.label} {ratio(_over(t.median, mine.median if mine else None))} x" for t in cell.peers]
    odd = [f"{t.label} {_MEANINGS[t.status]}" for t in cell.timings if t.status != TIMED]
    return " ".join(parts) + " " + ", ".join(times + odd)


def bar_rows(results: Results) -> list[Row]:
    """Return the table of bars; the wording of the work is given once for its rows."""
    rows, last = [], ""
    for verdict in bars.verdicts(results):
        rows.append(
            {
                "work": "" if verdict.work == last else verdict.work,
                "bar": verdict.text,
                "measured": measured(verdict),
                "detail": [_number(verdict, n) for n in verdict.numbers],
                "status": verdict.status,
            }
        )
        last = verdict.work
    return rows


def measured(verdict: bars.Verdict) -> str:
    """Return the measured range of a bar, the worst first.

    Parameters
    ----------
    verdict : Verdict
        What the run says.
    """
    if verdict.worst is None or verdict.best is None or verdict.demand is None:
        return number(None)
    unit = verdict.demand.unit
    worst = f"{ratio(verdict.worst.value)}{unit}"
    if len(verdict.numbers) == 1:
        return worst
    inside = sum(verdict.demand.holds(n.value) for n in verdict.numbers)
    count = f"; {inside} of {len(verdict.numbers)} met" if verdict.status == bars.PARTLY else ""
    return f"{worst} ({verdict.worst.label}) to {ratio(verdict.best.value)}{unit}{count}"


def _number(verdict: bars.Verdict, found: bars.Number) -> Row:
    fresh = f" ({ratio(found.fresh)} into new arrays)" if found.fresh is not None else ""
    unit = "" if verdict.demand is None else verdict.demand.unit
    held = verdict.demand is not None and verdict.demand.holds(found.value)
    return {"text": f"{found.label}: {ratio(found.value)}{unit}{fresh}", "held": held}


def family_tables(results: Results) -> list[Row]:
    """Return all numbers: for each family its cells, for each cell its contenders."""
    tables = []
    for name in dict.fromkeys(cell.family for cell in results.cells):
        cells = [cell for cell in results.cells if cell.family == name]
        family = FAMILIES.get(name)
        title, axes = (family.title, family.axes) if family else (name, "shape")
        settings = ", ".join(f"{key}={value}" for key, value in family.settings.items()) if family else ""
        rows = [row for cell in cells for row in _cell_rows(cell)]
        tables.append({"name": name, "title": title, "axes": axes, "settings": settings, "rows": rows})
    return tables


def _cell_rows(cell: Cell) -> list[Row]:
    order = {name: place for place, name in enumerate((OURS, OURS_IN_TORCH, *LIMITS))}
    ranked = sorted(cell.timings, key=lambda t: (order.get(t.contender, 9), t.median is None, t.median or 0.0))
    fastest = cell.peers[0].median if cell.peers else None
    limit = cell.limit
    rows = []
    for place, timing in enumerate(ranked):
        rows.append(
            {
                "first": place == 0,
                "span": len(ranked),
                "work": f"{OPERATION_TITLES[cell.operation]}, {cell.dtype}",
                "shape": shape(cell),
                "contender": timing.label,
                "ours": timing.contender in (OURS, OURS_IN_TORCH),
                "limit": timing.contender in LIMITS,
                "time": duration(timing.median) if timing.status == TIMED else _MEANINGS[timing.status],
                "spread": _spread(timing),
                "per_element": _per_element(timing, cell.elements),
                "over_peer": ratio(_over(timing.median, fastest)),
                "over_limit": ratio(_over(timing.median, limit)),
                "error": f"{timing.error:.0e}" if timing.error else ("0" if timing.error == 0.0 else ""),
                "note": timing.note,
                "bad": timing.status in (DIFFERS, FAILED),
            }
        )
    return rows


def _over(mine: float | None, other: float | None) -> float | None:
    return None if mine is None or not other else mine / other


def _spread(timing: Timing) -> str:
    if timing.low is None or timing.high is None:
        return ""
    return f"{duration(timing.low)} to {duration(timing.high)}, {timing.samples} samples"


def _per_element(timing: Timing, elements: int) -> str:
    return "" if timing.median is None else f"{_three(1e9 * timing.median / elements)} ns"


def memory_rows(results: Results) -> list[Row]:
    """Return peak memory, one row a contender and case."""
    return [
        {
            "family": FAMILIES[entry.family].title,
            "shape": " x ".join(map(str, entry.shape)),
            "dtype": entry.dtype,
            "contender": entry.label,
            "ours": entry.contender == OURS,
            "peak": size(entry.peak),
            "results": size(entry.results),
            "extra": size(entry.extra),
            "share": ratio(None if entry.extra is None else 100.0 * entry.extra / entry.problem),
            "how": entry.how,
        }
        for entry in sorted(results.memory, key=lambda e: (list(FAMILIES).index(e.family), e.shape))
    ]


def compile_rows(results: Results) -> list[Row]:
    """Return compile times, one row a kernel."""
    return [
        {
            "family": FAMILIES[entry.family].title,
            "work": f"{OPERATION_TITLES[entry.operation]}, {entry.dtype}",
            "cold": duration(entry.cold),
            "cached": duration(entry.cached),
            "warm": duration(entry.warm),
        }
        for entry in results.compilations
    ]


def machine_rows(results: Results) -> list[tuple[str, str]]:
    """Return what the run depends on: name and value."""
    facts = dict(results.machine)
    rows: list[tuple[str, str]] = [(n, str(facts[n])) for n in ("processor", "architecture", "system") if n in facts]
    rows.append(("processors this run may use", str(facts.get("processors", ""))))
    rows.append(("threads for everybody", str(results.settings.get("threads", ""))))
    if "caches" in facts:
        rows.append(("caches of a processor", ", ".join(f"{name} {value}" for name, value in facts["caches"].items())))
    if "memory" in facts:
        rows.append(("memory", size(facts["memory"])))
    if "load" in facts:
        rows.append(("load when the run began", f"{facts['load']} (others at work spoil timings)"))
    return rows


def version_line(results: Results) -> str:
    """Return the versions in one line."""
    return ", ".join((f"lossmith {results.version}", *(f"{k} {v}" for k, v in results.versions.items())))


def losers(results: Results) -> list[str]:
    """Return the cells where a peer is faster than ours, worst first.

    Parameters
    ----------
    results : Results
        Of a run.
    """
    found = []
    for cell in results.cells:
        mine = cell.seconds(OURS)
        if mine and cell.peers and (cell.peers[0].median or 0.0) < mine:
            rival = cell.peers[0]
            said = f"{FAMILIES[cell.family].title}, {OPERATION_TITLES[cell.operation]}, {cell.dtype}, {shape(cell)}"
            found.append((mine / (rival.median or 1.0), f"{said}: {rival.label} is {{}} x faster"))
    return [text.format(ratio(times)) for times, text in sorted(found, reverse=True)]


def warnings(results: Results) -> Sequence[str]:
    """Return what a reader must know before believing the numbers."""
    told = [] if results.finished else ["This run is not finished; what is missing is not in the tables."]
    load = results.machine.get("load")
    if isinstance(load, int | float) and load > 0.5:
        told.append(f"Others were at work on this machine when the run began (load {load}); timings are unreliable.")
    if results.settings.get("quick"):
        told.append("A quick run: few samples, small shapes. For figures to quote, run with --full.")
    differing = [c for c in results.cells if any(t.status == DIFFERS for t in c.timings)]
    if differing:
        told.append(
            f"In {len(differing)} of {len(results.cells)} cells a peer computes something else; it is not timed."
        )
    return told


LIMIT_NAMES = {MEMORY: "time to read all inputs and write all results once, with the same threads and nothing computed",
               ARITHMETIC: "time of the matrix products alone"}  # fmt: skip
