"""The fourth part: twins by lot, then its faults and long runs on twins that are sound; two halves that share nothing.

The development half takes the faults, data sets, network and loops that `held.py` leaves to it, the held-out half the
others; networks of the earlier parts are in both. To the held-out twins, the faults made last (`faults_fifth*.py`) and
those of development are done as well: what is known, on data and in loops that are not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import data_fourth, grid, held, nets, sound
from .grid import Case
from .registry import FAULTS
from .setup import healthy

MODULES = tuple(module.__name__ for module in (*grid.FOURTH_MODULES, *grid.FIFTH_MODULES))
SEEDS = {False: (11, 12, 13), True: (14, 15, 16)}
NETS = ("shallow", "deep", "norm", "conv", "layered", "funnel", "image", "gru")
TWINS, LONG, RUNS = 72, 60, 9  # candidates; long runs; runs of a fault
KNOWN = 2  # runs of a fault of development on held-out twins


def _lot(word: str) -> int:
    return zlib.crc32(f"fourth/{word}".encode())


def faults(held_out: bool) -> list[str]:
    return [fault.name for fault in FAULTS.values() if fault.apply.__module__ in MODULES and fault.held_out == held_out]


def known() -> list[str]:
    """Faults of development, whatever part they came with."""
    return [fault.name for fault in FAULTS.values() if not fault.held_out]


def candidates(held_out: bool) -> list[Case]:
    """Twins of one half, by lot."""
    sets = [name for name in data_fourth.SOURCES if (name in held.DATA) == held_out]
    archs = [*NETS, *(name for name in nets.FOURTH if (name in held.NETS) == held_out)]
    everything = [Case(d, a, s) for d in sets for a in archs for s in SEEDS[held_out]]
    return sorted(everything, key=lambda case: _lot(case.name))[:TWINS]


def record_twins(folder: Path, part: tuple[int, int] = (0, 1), say: Any = print, *, held_out: bool) -> None:
    """Record the candidates, try the good ones longer and at other rates, and probe the sound ones."""
    grid.record_twins(folder, candidates(held_out), part, say)


def planned(twins: list[Case], held_out: bool) -> Iterator[Case]:
    """What to do to the sound twins, in rounds, so that a part of it is a fair sample of all faults."""
    twins = sorted(twins, key=lambda case: _lot(case.name))
    fitting = [(twin, healthy(twin.dataset, twin.arch, twin.seed)) for twin in twins]
    for number, turn in enumerate(_rounds(faults(held_out), RUNS, fitting)):
        long = [Case(t.dataset, t.arch, t.seed, "long") for t in twins[:LONG][number::RUNS]] if held_out else []
        yield from sorted([*turn, *long], key=lambda case: _lot(f"order/{case.name}"))
    for turn in _rounds(known(), KNOWN, fitting) if held_out else ():
        yield from sorted(turn, key=lambda case: _lot(f"order/{case.name}"))


def _rounds(names: list[str], runs: int, fitting: list[tuple[Case, Any]]) -> list[list[Case]]:
    """One run of each fault, then another of each, and so on."""
    rounds: list[list[Case]] = [[] for _ in range(runs)]
    for name in names:
        for turn, case in zip(rounds, _runs(name, fitting), strict=False):
            turn.append(case)
    return rounds


def _runs(fault: str, fitting: list[tuple[Case, Any]]) -> Iterator[Case]:
    fits = [twin for twin, setup in fitting if FAULTS[fault].fits(setup)]
    for twin in sorted(fits, key=lambda t: _lot(f"{t.name}/{fault}")):
        place = twin.dataset, twin.arch, twin.seed
        yield Case(*place, fault, grid.level_of(*place, fault))


def record(folder: Path, part: tuple[int, int] = (0, 1), say: Any = print, *, held_out: bool) -> None:
    """Record what is planned for the sound twins and probe what counts; the twins must be there."""
    known, tried = {row["name"]: row for row in grid.lines(folder / "manifest.jsonl")}, sound.read(folder)
    twins = [c for c in candidates(held_out) if c.name in tried and sound.passes(known[c.name], tried[c.name])]
    say(f"{len(twins)} sound twins", flush=True)
    grid.record_on_twins(folder, planned(twins, held_out), known, part, say)
