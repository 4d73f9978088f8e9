"""Tables as text: CSV with any separator, with or without a head (Keras' CSVLogger, Lightning, CatBoost ...)."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

from ..record import Facts, Record
from .build import Builder
from .json_lines import as_number
from .naming import Naming
from .stream import head, lines

_HEADLESS = (("loss",), ("step", "loss"), ("step", "loss", "eval_loss"), ("step", "loss", "eval_loss", "learning_rate"))
_BLANKS = " "
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


def looks_like_table(first: list[str]) -> bool:
    """Tell whether lines are rows of a table.

    Parameters
    ----------
    first : list of str
        The first lines of a file.

    Returns
    -------
    bool
        True if they split into as many cells each, and hold numbers; or if there is only a head that names a loss.
    """
    filled = [line for line in first if line.strip()]
    if not filled:
        return False
    separator = _separator(filled)
    if separator is None:
        return all(as_number(line) is not None for line in filled[1:]) and len(filled) > 1
    if len(filled) == 1 and "loss" in filled[0].lower():
        return True  # the head of a table whose rows are still to come
    body = filled[1:] or filled
    if separator is _BLANKS:
        # Sentences have blanks, too: only rows of nothing but numbers are a table.
        return all(as_number(cell) is not None for row in body for cell in _cells(row, separator))
    width = len(_cells(filled[0], separator))
    return any(len(_cells(row, separator)) == width and _has_number(row, separator) for row in body[:5])


def read_table(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read a table.

    Parameters
    ----------
    path : Path
        The file.
    facts : Facts
        Known before.
    naming : Naming
        What the columns are.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        An empty cell is not recorded; "nan" is. Rows of another width are passed over, and counted in a note.

    Raises
    ------
    ValueError
        If the table holds no number, or lacks a column that the user named.
    """
    filled = [line for line in head(path, 50) if line.strip()]
    separator = _separator(filled) or ","
    names, headed = _names(filled, separator)
    naming.learn(names)
    for column in naming.missing().values():
        raise ValueError(naming.lacks(column))
    builder = Builder(facts, naming, limit)
    if not headed:
        builder.record.note(f"the table has no head: its columns were taken for {', '.join(names)}")
    expected = int(headed)
    for number, line in itertools.islice(lines(path, 4 * limit), int(headed), None):
        builder.record.pass_over(max(0, number - expected))
        expected = number + 1
        _row(builder, names, line, separator, number - int(headed))
    return builder.finish()


def _row(builder: Builder, names: list[str], line: str, separator: str, place: int) -> None:
    cells = _cells(line, separator)
    if not line.strip() or cells == names:
        return
    values = [_number(cell, separator) for cell in cells]
    held = {n: v for n, v in zip(names, values, strict=False) if v is not None}
    if len(cells) != len(names) or not held:
        builder.skipped += 1
    else:
        builder.row(held, place)


def _names(filled: list[str], separator: str) -> tuple[list[str], bool]:
    first = [cell.strip() or f"column_{i}" for i, cell in enumerate(_cells(filled[0], separator), 1)] if filled else []
    if any(_number(name, separator) is None for name in first):
        return first, True
    known = next((names for names in _HEADLESS if len(names) == len(first)), None)
    return list(known) if known else [*_HEADLESS[-1], *(f"column_{i}" for i in range(5, len(first) + 1))], False


def _separator(filled: list[str]) -> str | None:
    counts = {sep: filled[0].count(sep) for sep in (";", "\t", ",", "|")} if filled else {}
    best = max(counts, key=lambda sep: counts[sep], default=",")
    if counts.get(best):
        return best
    # As numpy.savetxt writes; its head begins with "#".
    return _BLANKS if filled and len(_cells(filled[0], _BLANKS)) > 1 else None


def _cells(line: str, separator: str) -> list[str]:
    if separator is _BLANKS:
        return line.removeprefix("#").split()
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _number(cell: str, separator: str) -> float | None:
    """Return the number in a cell; its comma is a decimal one where commas do not separate cells."""
    value = as_number(cell)
    if value is None and separator != "," and _DECIMAL_COMMA.fullmatch(cell.strip()):
        return float(cell.replace(",", "."))
    return value


def _has_number(line: str, separator: str) -> bool:
    return any(_number(cell, separator) is not None for cell in _cells(line, separator))
