"""What a benchmark run knows: plain records that are written as JSON and read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

TIMED, DIFFERS, FAILED, SKIPPED = "timed", "differs", "failed", "skipped"
OURS = "lossmith"
OURS_IN_TORCH = "lossmith in torch"
MEMORY, ARITHMETIC = "memory limit", "arithmetic limit"
LIMITS = (MEMORY, ARITHMETIC)
FORMAT = 1


@dataclass(frozen=True)
class Timing:
    """One contender in one cell.

    Attributes
    ----------
    contender, variant : str
        Who ("torch") and how ("out=").
    status : {"timed", "differs", "failed", "skipped"}
        "differs" was not timed, since its numbers are not ours.
    median, best, low, high : float or None
        Seconds a call: median, smallest, and the quartiles.
    samples : int
        How many times were taken.
    error : float or None
        Largest relative distance from our value and derivatives; None for ourselves and for limits.
    note : str
        What a reader must know, or why there is no time.
    """

    contender: str
    variant: str = ""
    status: str = TIMED
    median: float | None = None
    best: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int = 0
    error: float | None = None
    note: str = ""

    @property
    def label(self) -> str:
        """Contender and variant in one phrase."""
        return f"{self.contender} {self.variant}".strip()


@dataclass(frozen=True)
class Cell:
    """All contenders on one piece of work.

    Attributes
    ----------
    family, operation, dtype : str
        What was computed.
    shape : tuple of int
        The family's own shape, such as (n,) or (n, k).
    elements : int
        Predictions, for the time per element.
    moved : int
        Bytes that must be read and written at least.
    tolerance : float
        Largest relative distance at which numbers count as equal.
    timings : tuple of Timing
        In the order in which they took turns.
    """

    family: str
    operation: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    moved: int
    tolerance: float
    timings: tuple[Timing, ...]

    @property
    def key(self) -> str:
        """The cell's name in a run."""
        return cell_key(self.family, self.operation, self.dtype, self.shape)

    def of(self, contender: str) -> list[Timing]:
        """Return a contender's variants that have a time, fastest first."""
        found = [t for t in self.timings if t.contender == contender and t.median is not None]
        return sorted(found, key=lambda timing: timing.median or 0.0)

    def best(self, contender: str) -> Timing | None:
        """Return the contender's fastest variant, None if it has no time."""
        found = self.of(contender)
        return found[0] if found else None

    def seconds(self, contender: str, variant: str | None = None) -> float | None:
        """Return the median of a contender: of its fastest variant, or of the one that is named."""
        found = [t for t in self.of(contender) if variant in (None, t.variant)]
        return found[0].median if found else None

    @property
    def limit(self) -> float | None:
        """Seconds of the limit that binds: of moving the bytes, or of the matrix products where these take longer."""
        found = [seconds for name in LIMITS if (seconds := self.seconds(name)) is not None]
        return max(found, default=None)

    @property
    def peers(self) -> list[Timing]:
        """Timed contenders that are neither ours nor limits, fastest first."""
        others = [t for t in self.timings if t.contender not in (OURS, OURS_IN_TORCH, *LIMITS)]
        found = [timing for timing in others if timing.median is not None]
        return sorted(found, key=lambda timing: timing.median or 0.0)


@dataclass(frozen=True)
class Compilation:
    """What the first calls of one kernel cost, in processes of their own.

    Attributes
    ----------
    family, operation, dtype : str
        Which kernel.
    cold, cached : float
        Seconds of the first call beyond a warm one: with an empty cache, and in a second process with the
        cache that the first one left.
    warm : float
        Seconds of a warm call.
    """

    family: str
    operation: str
    dtype: str
    cold: float
    cached: float
    warm: float


@dataclass(frozen=True)
class Memory:
    """Peak memory of one call, in a process of its own.

    Attributes
    ----------
    family, operation, dtype, shape, contender, variant
        As in the cell.
    peak : int
        Bytes above what was in use before the call, results included.
    results : int
        Bytes of the results that the call made.
    problem : int
        Bytes of the array the work is about: y_pred, or the logits that need not exist.
    how : str
        How it was measured, or why it could not be.
    """

    family: str
    operation: str
    dtype: str
    shape: tuple[int, ...]
    contender: str
    variant: str
    peak: int | None
    results: int
    problem: int
    how: str

    @property
    def extra(self) -> int | None:
        """Peak without the results, which any caller wants."""
        return None if self.peak is None else max(0, self.peak - self.results)

    @property
    def label(self) -> str:
        """Contender and variant in one phrase."""
        return f"{self.contender} {self.variant}".strip()


@dataclass(frozen=True)
class Peer:
    """A competitor and whether it took part: a version, or why not."""

    name: str
    title: str
    version: str | None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """All facts of a run.

    Attributes
    ----------
    command, date, version : str
        How it was asked for, when it began (UTC), and Lossmith's version.
    machine, versions : mapping
        What it ran on.
    settings : mapping
        Threads, sizes, dtypes, families, peers, effort.
    peers : tuple of Peer
        All that could take part.
    cells, compilations, memory : tuples
        What was measured, in order.
    done : tuple of str
        Measurements in processes of their own that need not be made again.
    notes : tuple of str
        What went wrong or was left out.
    seconds : float
        How long it took.
    finished : bool
        False while it runs and after an interruption.
    """

    command: str
    date: str
    version: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    peers: tuple[Peer, ...] = ()
    cells: tuple[Cell, ...] = ()
    compilations: tuple[Compilation, ...] = ()
    memory: tuple[Memory, ...] = ()
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    finished: bool = False
    format: int = field(default=FORMAT)

    def cell(self, family: str, operation: str, dtype: str, shape: Sequence[int]) -> Cell | None:
        """Return a cell, None if the run has none."""
        key = cell_key(family, operation, dtype, shape)
        return next((cell for cell in self.cells if cell.key == key), None)

    def to_json(self) -> str:
        """Return the results as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return results from JSON text.

        Raises
        ------
        ValueError
            For text that is no results file of this format.
        """
        try:
            facts = json.loads(text)
            if facts["format"] != FORMAT:
                raise ValueError(f"format {facts['format']}, this version reads {FORMAT}")
            return cls(**_rebuilt(facts))
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"not a results file: {problem}") from None


def _rebuilt(facts: dict[str, Any]) -> dict[str, Any]:
    cells = tuple(
        Cell(**{**cell, "shape": tuple(cell["shape"]), "timings": tuple(Timing(**t) for t in cell["timings"])})
        for cell in facts["cells"]
    )
    memory = tuple(Memory(**{**entry, "shape": tuple(entry["shape"])}) for entry in facts["memory"])
    return facts | {
        "peers": tuple(Peer(**peer) for peer in facts["peers"]),
        "cells": cells,
        "compilations": tuple(Compilation(**entry) for entry in facts["compilations"]),
        "memory": memory,
        "done": tuple(facts["done"]),
        "notes": tuple(facts["notes"]),
    }


def cell_key(family: str, operation: str, dtype: str, shape: Sequence[int]) -> str:
    """Return the name of a cell, such as ``huber|gradient|float64|4000000``."""
    return f"{family}|{operation}|{dtype}|{'x'.join(str(n) for n in shape)}"


def write(results: Results, folder: Path) -> Path:
    """Write ``results.json`` as a whole or not at all.

    Parameters
    ----------
    results : Results
        What is known so far.
    folder : Path
        Exists.

    Returns
    -------
    Path
        The file.
    """
    from ..plots.files import write_output

    path = folder / "results.json"
    write_output(path, results.to_json().encode())
    return path


def read(folder: Path) -> Results | None:
    """Return the results in a folder, None if there are none.

    Raises
    ------
    InputError
        When the file is there but cannot be read.
    """
    from ..core.errors import InputError

    path = folder / "results.json"
    if not path.exists():
        return None
    try:
        return Results.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot continue from {str(path)!r}: {problem}; give another --output") from None
