"""What a training program printed: "epoch 3/10, loss: 0.52, val_loss = 0.61" and the like."""

from __future__ import annotations

import re
from pathlib import Path

from ..record import Facts, Record
from .build import Builder
from .naming import Naming
from .stream import lines

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf|NaN|Inf|Infinity)(?![\w.])"
_PAIR = re.compile(rf"['\"]?([A-Za-z][\w./-]*(?: (?:loss|rate|norm|acc|accuracy))?)['\"]?\s*[:=]\s*({_NUMBER})")
_COUNT = re.compile(r"\b(step|epoch|iter|iteration|batch|round)s?\b\W{0,3}(\d+)", re.IGNORECASE)
_LOSS = re.compile(r"\b(\w*loss)\s+(" + _NUMBER + ")", re.IGNORECASE)
# Longer lines are not what a person prints of a run, and searching them takes time that grows with the square.
LONGEST = 500
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def pairs(line: str) -> dict[str, float]:
    """Return the numbers that a printed line names.

    Parameters
    ----------
    line : str
        As printed.

    Returns
    -------
    dict of str to float
        Empty if it names none.

    Examples
    --------
    >>> pairs("Epoch 3/10, loss: 0.52, val_loss = nan")
    {'epoch': 3.0, 'loss': 0.52, 'val_loss': nan}
    """
    clean = _ANSI.sub("", line[:LONGEST])
    found = {name.lower(): float(value) for name, value in _COUNT.findall(clean)}
    found |= {name: float(value) for name, value in _LOSS.findall(clean)}
    return found | {name.replace(" ", "_"): float(value) for name, value in _PAIR.findall(clean)}


def looks_printed(first: list[str]) -> bool:
    """Tell whether lines name a loss.

    Parameters
    ----------
    first : list of str
        The first lines of a file.

    Returns
    -------
    bool
        True if one of them does.
    """
    return any("loss" in name.lower() for line in first for name in pairs(line))


def read_text(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read printed lines; those that name no number but a count are passed over.

    Parameters
    ----------
    path : Path
        The file.
    facts : Facts
        Known before.
    naming : Naming
        What the names are.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        One step for each line that names a loss or another measure.
    """
    builder = Builder(facts, naming, limit)
    for _, line in lines(path, 4 * limit):
        found = pairs(line)
        if set(found) - {"step", "epoch", "iter", "iteration", "batch", "round"}:
            builder.row(found)
    return builder.finish()
