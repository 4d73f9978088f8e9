"""JSON lines: ours, and those of any program that writes one object a line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..journal import parse
from ..record import Facts, Record
from .build import Builder, in_order
from .naming import Naming
from .stream import lines

_LOOK_AHEAD = 200


def read_json_lines(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read a file of one JSON object a line.

    Parameters
    ----------
    path : Path
        The file.
    facts : Facts
        Known before.
    naming : Naming
        What the columns are; not used for files of our own.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        Lines that are no JSON objects are passed over, and counted in a note.

    Raises
    ------
    ValueError
        If no line can be read.
    """
    found = _objects(lines(path, 4 * limit))
    start = list(itertools.islice(found, _LOOK_AHEAD))
    rows = itertools.chain(start, found)
    if any(isinstance(said, dict) and "lossmith" in said for _, said in start):
        return _ours(rows, facts, limit)
    builder = Builder(facts, naming, limit)
    naming.learn(dict.fromkeys(name for _, said in start if said for name in numbers(said)))
    return _theirs(rows, builder)


def _objects(found: Iterable[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Parse lines; None stands for a line that is not a JSON object."""
    for number, line in found:
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        yield number, said if isinstance(said, dict) else None


def _theirs(rows: Iterable[tuple[int, dict[str, Any] | None]], builder: Builder) -> Record:
    expected = 0
    for number, said in rows:
        builder.record.pass_over(max(0, number - expected))
        expected = number + 1
        if said is None:
            builder.skipped += 1
        else:
            builder.row(numbers(said), number)
    return builder.finish()


def _ours(rows: Iterable[tuple[int, dict[str, Any] | None]], facts: Facts, limit: int) -> Record:
    record, skipped, expected = Record(facts, limit=limit), 0, 0
    for number, said in rows:
        record.pass_over(max(0, number - expected))
        expected = number + 1
        try:
            step, learned, note = parse(said or {})
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            skipped += 1
            continue
        if learned is not None:
            record.facts = learned
        if note is not None:
            record.note(note)
        if step is not None:
            record.add(step)
    if record.total == 0:
        raise ValueError("it is a record without a single step")
    if skipped:
        record.note(f"{skipped} line{'s' if skipped > 1 else ''} passed over: could not be read")
    return in_order(record)


def numbers(said: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a JSON object.

    Parameters
    ----------
    said : mapping
        Objects inside it are entered, with "/" between the names.
    prefix : str
        Before each name.

    Returns
    -------
    dict of str to float
        Texts that spell a number are taken, as "NaN"; anything else is left out.

    Examples
    --------
    >>> numbers({"step": 1, "train": {"loss": "NaN"}, "tag": "a", "ok": True})
    {'step': 1.0, 'train/loss': nan}
    """
    found: dict[str, float] = {}
    for name, value in said.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}/")
        elif (number := as_number(value)) is not None:
            found[prefix + str(name)] = number
    return found


def as_number(value: Any) -> float | None:
    """Return a number that a log holds, as number or text.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    float or None
        None for what is no number.

    Examples
    --------
    >>> as_number(" 1e-3 "), as_number("inf"), as_number(""), as_number(True)
    (0.001, inf, None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
