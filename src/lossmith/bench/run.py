"""The benchmark as one run that can be stopped and continued."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .._version import __version__
from ..core.errors import InputError
from . import limits, machine, peers
from .families import (
    DTYPES,
    FAMILIES,
    QUICK_SIZES,
    SIZES,
    Family,
    Shape,
    Work,
    dtypes_of,
    operations_of,
    prepare,
    shapes_of,
)
from .measure import FULL, QUICK, Effort, measure
from .peers import ours
from .peers.contender import Contender, outcome
from .record import OURS, Cell, Results, cell_key, read, write

# Largest relative distance of value and derivatives at which a peer computes the same.
TOLERANCE = {"float64": 1e-7, "float32": 1e-3}


@dataclass(frozen=True)
class Settings:
    """What a run measures.

    Attributes
    ----------
    families, dtypes, peers : tuples of str
        Names.
    sizes : tuple of int
        Of elementwise families.
    threads : int
        For everybody.
    quick : bool
        Small shapes, little time, no measurements in processes of their own.
    """

    families: tuple[str, ...]
    sizes: tuple[int, ...]
    dtypes: tuple[str, ...]
    peers: tuple[str, ...]
    threads: int
    quick: bool

    @property
    def effort(self) -> Effort:
        """How long a cell may take."""
        return QUICK if self.quick else FULL


class Progress(Protocol):
    """Who is told what happens."""

    def started(self, total: int, done: int) -> None:
        """So many steps are planned, and so many were there from an earlier run."""

    def doing(self, what: str) -> None:
        """A step begins."""

    def measured(self, cell: Cell) -> None:
        """A cell is finished."""

    def advanced(self) -> None:
        """A step is finished."""


def choose(
    families: Sequence[str] = (),
    *,
    quick: bool = True,
    sizes: Sequence[int] = (),
    dtypes: Sequence[str] = (),
    chosen_peers: Sequence[str] = (),
    threads: int | None = None,
) -> Settings:
    """Check what was asked for and fill in the rest.

    Parameters
    ----------
    families, dtypes, chosen_peers : sequences of str
        Names; all (usual) ones if empty.
    quick : bool
        Less of everything.
    sizes : sequence of int
        Of elementwise families.
    threads : int, optional
        All available processors if not given.

    Raises
    ------
    InputError
        Names what is not known, and what is.
    """
    known = machine.available_threads()
    wanted = known if threads is None else threads
    if not 1 <= wanted <= known:
        raise InputError(f"--threads {wanted}: this process may use 1 to {known}")
    wrong = [size for size in sizes if not 1 <= size <= 10**9]
    if wrong:
        raise InputError(f"--sizes {wrong[0]}: give numbers of elements from 1 to 1e9")
    return Settings(
        families=_among(families, tuple(FAMILIES), "no loss family", "families"),
        sizes=tuple(sizes) or (QUICK_SIZES if quick else SIZES),
        dtypes=_among(dtypes, DTYPES, "no dtype", "accepted"),
        peers=_among(chosen_peers, tuple(peers.ENTRANTS), "no peer", "peers") if chosen_peers else _usual(quick),
        threads=wanted,
        quick=quick,
    )


def _usual(quick: bool) -> tuple[str, ...]:
    return tuple(peers.usual(quick))


def _among(given: Sequence[str], known: tuple[str, ...], what: str, group: str) -> tuple[str, ...]:
    import difflib

    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{what} {name!r} in the benchmark;{meant} {group}: {', '.join(known)}")
    return tuple(name for name in known if name in given) if given else known


def plan(settings: Settings) -> list[tuple[Family, str, str, Shape]]:
    """Return the cells of a run in order.

    Parameters
    ----------
    settings : Settings
        What it measures.
    """
    cells = []
    for name in settings.families:
        family = FAMILIES[name]
        for shape in shapes_of(family, settings.sizes, settings.quick):
            for dtype in dtypes_of(family, shape, settings.dtypes, settings.quick):
                operations = operations_of(family, shape, settings.quick)
                cells += [(family, operation, dtype, shape) for operation in operations]
    return cells


def begin(settings: Settings, command: str, folder: Path, resume: bool) -> Results:
    """Return the record of a run that begins or continues.

    Parameters
    ----------
    settings : Settings
        What it measures.
    command : str
        How it was asked for.
    folder : Path
        Where results are kept.
    resume : bool
        Keep the cells that are there.

    Raises
    ------
    InputError
        When what is there was measured otherwise.
    """
    fresh = Results(
        command=command,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        machine=machine.describe(),
        versions=machine.versions(),
        settings={name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(settings).items()},
    )
    kept = read(folder) if resume else None
    if kept is None:
        return fresh
    same = ("threads", "quick", "peers")
    changed = [name for name in same if kept.settings.get(name) != fresh.settings[name]]
    if changed or kept.versions != fresh.versions:
        what = ", ".join(changed) or "the versions of packages"
        raise InputError(f"--resume: {str(folder)!r} was measured with other {what}; give another --output")
    return replace(kept, command=command, settings=fresh.settings, finished=False)


class Benchmark:
    """A run: it measures cell after cell and writes each down before the next.

    Parameters
    ----------
    settings : Settings
        What to measure.
    results : Results
        What is known already.
    folder : Path
        Where results.json is kept; it exists.
    progress : Progress
        Who is told.
    """

    def __init__(self, settings: Settings, results: Results, folder: Path, progress: Progress) -> None:
        self.results = results
        self._settings = settings
        self._folder = folder
        self._progress = progress
        self._started, self._before = time.monotonic(), results.seconds

    def run(self) -> Results:
        """Measure everything that is not known yet.

        Returns
        -------
        Results
            All facts; also in ``self.results`` after every step, should it be interrupted.
        """
        from . import apart

        known = {cell.key for cell in self.results.cells}
        cells = plan(self._settings)
        todo = [cell for cell in cells if cell_key(cell[0].name, *cell[1:]) not in known]
        tasks = [] if self._settings.quick else apart.tasks(self._settings)
        rest = [task for task in tasks if task.title not in self.results.done]
        total = len(cells) + len(tasks)
        self._progress.started(total, total - len(todo) - len(rest))
        with machine.held_to(self._settings.threads), _calm():
            self._measure_all(todo)
        for task in rest:
            self._progress.doing(task.title)
            self._keep(**task.run(self.results), done=(*self.results.done, task.title))
            self._progress.advanced()
        self._keep(finished=True)
        return self.results

    def _measure_all(self, cells: list[tuple[Family, str, str, Shape]]) -> None:
        self._progress.doing("loading the competitors")
        self._keep(peers=tuple(peers.enter(self._settings.peers, self._settings.threads)))
        machine.limit_libraries(self._settings.threads)
        for family, operation, dtype, shape in cells:
            self._progress.doing(f"{family.title}, {operation}, {dtype}, {'x'.join(map(str, shape))}")
            self._measure(prepare(family, operation, dtype, shape))
            self._progress.advanced()

    def _measure(self, work: Work) -> None:
        threads = self._settings.threads
        mine = _ours(work)
        others, notes = peers.contenders_of(work, self.results.peers, threads)
        allowed = TOLERANCE[work.dtype] * work.family.loose
        timings = measure([*mine, *others, *limits.contenders(work, threads)], allowed, self._settings.effort)
        what = (work.name, work.operation, work.dtype, work.shape)
        cell = Cell(*what, int(work.f.size), work.moved, allowed, timings)
        known = self.results.notes
        self._keep(cells=(*self.results.cells, cell), notes=(*known, *(n for n in notes if n not in known)))
        self._progress.measured(cell)

    def _keep(self, **facts: Any) -> None:
        seconds = self._before + time.monotonic() - self._started
        self.results = replace(self.results, **facts, seconds=seconds)
        write(self.results, self._folder)


def _ours(work: Work) -> list[Contender]:
    try:
        return ours.contenders(work)
    except (ValueError, TypeError) as problem:  # the peers' times are worth having all the same
        return [Contender(OURS, "", lambda: None, outcome, refusal=str(problem))]


@contextlib.contextmanager
def _calm() -> Any:
    """Warnings of the competitors are not for our screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
