"""The third part: twins by lot, then its faults, long runs and known faults on twins that are sound."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import data_third, grid, nets, sound
from .grid import Case
from .registry import FAULTS, Fault
from .setup import healthy

SEEDS = (6, 7, 8, 9, 10)
TWINS, LONG, RUNS, KNOWN = 200, 120, 9, 1  # candidates; long runs; runs of a new fault, of a known one
NETS = ("funnel", "tokens", "image", "shallow", "deep", "norm", "layered", "residual")
MODULES = tuple(module.__name__ for module in grid.THIRD_MODULES)
OLD_SETS = ("abalone", "bikes", "diamonds", "digits", "wine", "iris")  # with a new network or loop


def _lot(word: str) -> int:
    return zlib.crc32(f"held/{word}".encode())


def _fresh(case: Case) -> bool:
    return case.dataset in data_third.SOURCES or case.arch in nets.THIRD


def _of(modules: tuple[str, ...]) -> list[Fault]:
    return [fault for fault in FAULTS.values() if fault.apply.__module__ in modules]


def candidates() -> list[Case]:
    """Twins: new data or a new network, and a few where only the loop is new."""
    everything = [Case(d, a, s) for d in (*data_third.SOURCES, *OLD_SETS) for a in NETS for s in SEEDS]
    lot = sorted(everything, key=lambda case: _lot(case.name))
    fresh = [case for case in lot if _fresh(case)]
    rest = [case for case in lot if not _fresh(case)]
    return [*fresh[: TWINS * 7 // 8], *rest[: TWINS // 8]]


def record_twins(folder: Path, part: tuple[int, int] = (0, 1), say: Any = print) -> None:
    """Record the candidates, try the good ones longer and at other rates, and probe the sound ones."""
    grid.record_twins(folder, candidates(), part, say)


def planned(twins: list[Case]) -> Iterator[Case]:
    """What to do to the sound twins, most wanted first."""
    twins = sorted(twins, key=lambda case: _lot(case.name))
    fitting = [(twin, healthy(twin.dataset, twin.arch, twin.seed)) for twin in twins]
    new = [case for fault in _of(MODULES) for case in _runs(fault.name, fitting, RUNS)]
    fresh = [pair for pair in fitting if _fresh(pair[0])]
    old = [case for fault in _of(grid.DRAWN_MODULES) for case in _runs(fault.name, fresh, KNOWN)]
    long = [Case(t.dataset, t.arch, t.seed, "long") for t in twins[:LONG]]
    yield from sorted([*new, *long, *old], key=lambda case: _lot(f"order/{case.name}"))


def _runs(fault: str, fitting: list[tuple[Case, Any]], many: int) -> Iterator[Case]:
    fits = [twin for twin, setup in fitting if FAULTS[fault].fits(setup)]
    for twin in sorted(fits, key=lambda t: _lot(f"{t.name}/{fault}"))[:many]:
        place = twin.dataset, twin.arch, twin.seed
        yield Case(*place, fault, grid.level_of(*place, fault))


def record(folder: Path, part: tuple[int, int] = (0, 1), say: Any = print) -> None:
    """Record what is planned for the sound twins and probe what counts; the twins must be there."""
    known = {row["name"]: row for row in grid.lines(folder / "manifest.jsonl")}
    tried = sound.read(folder)
    twins = [c for c in candidates() if c.name in tried and sound.passes(known[c.name], tried[c.name])]
    say(f"{len(twins)} sound twins", flush=True)
    grid.record_on_twins(folder, planned(twins), known, part, say)
