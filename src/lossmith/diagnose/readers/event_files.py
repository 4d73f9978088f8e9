"""TensorBoard event files: the scalars of one step come one after the other and are put together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..events import Scalar, scalars
from ..record import Facts, Record
from .build import Builder
from .naming import STEP, Naming

_LOOK_AHEAD = 2000


def read_events(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read an event file.

    Parameters
    ----------
    path : Path
        The file.
    facts : Facts
        Known before.
    naming : Naming
        What the tags are.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        Scalars only; images, histograms and graphs are passed over.
    """
    found = scalars(path)
    start = list(itertools.islice(found, _LOOK_AHEAD))
    naming.learn([STEP, *dict.fromkeys(s.tag for s in start if s.tag != STEP)])
    builder = Builder(facts, naming, limit)
    for row in _steps(itertools.chain(start, found)):
        builder.row(row)
    return builder.finish()


def _steps(found: Iterable[Scalar]) -> Iterator[dict[str, float]]:
    row: dict[str, float] = {}
    for scalar in found:
        if scalar.tag == STEP:
            continue
        if row and (row[STEP] != scalar.step or scalar.tag in row):
            yield row
            row = {}
        row |= {STEP: float(scalar.step), scalar.tag: scalar.value}
    if row:
        yield row
