"""What a training program printed: "epoch 3/10, loss: 0.52, val_loss = 0.61" and the like."""

from __future__ import annotations

import re
from pathlib import Path
from typing import final

from ..record import Facts, Record
from .build import Builder
from .naming import Naming
from .stream import lines

_COUNTS = ("step", "epoch", "iter", "iteration", "batch", "round")
_GROUPS = r"[1-9]\d{0,2}(?:,\d{3})+"
_NUMBER = (
    rf"[-+]?(?:{_GROUPS}(?:\.\d+)?|\d+,\d+(?:[eE][-+]?\d+)?|\d+\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?|nan|inf|NaN|Inf|Infinity)(?![\w.])"
)
_PAIR = re.compile(rf"['\"]?([A-Za-z][\w./-]*(?: (?:loss|rate|norm|acc|accuracy))?)['\"]?\s*[:=]\s*({_NUMBER})")
_COUNT = re.compile(rf"\b({'|'.join(_COUNTS)})s?\b\W{{0,3}}({_GROUPS}|\d+)", re.IGNORECASE)
_LOSS = re.compile(rf"\b(\w*loss)\s+({_NUMBER})", re.IGNORECASE)
_GROUPED = re.compile(rf"[-+]?{_GROUPS}(?:\.\d+)?")
_POINT = re.compile(r"\d\.\d")
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
    found = [(name.lower(), value) for name, value in _COUNT.findall(clean)]
    found += _LOSS.findall(clean)
    found += [(name.replace(" ", "_"), value) for name, value in _PAIR.findall(clean)]
    points = _POINT.search(clean) is not None
    return {name: _value(value, points or name.lower() in _COUNTS) for name, value in found}


def _value(text: str, grouping: bool) -> float:
    """Read a number; commas group the digits of counts, and of all numbers beside decimal points."""
    grouped = _GROUPED.fullmatch(text) and (grouping or text.count(",") > 1)
    return float(text.replace(",", "" if grouped else "."))


@final
class Gaps:
    """Estimates how many steps were in lines left out of a huge log: as many as in those that were read.

    Attributes
    ----------
    used : int
        Lines that held a step, counted by the reader.
    passed : float
        Steps in lines that were left out.

    Examples
    --------
    >>> gaps = Gaps()
    >>> for number in (0, 1, 5):
    ...     gaps.line(number)
    ...     gaps.used += 1
    >>> gaps.passed, gaps.steps
    (3.0, 6)
    """

    def __init__(self) -> None:
        self.used, self.passed = 0, 0.0
        self._given = self._next = 0

    def line(self, number: int) -> None:
        """Take notice of a line that was read.

        Parameters
        ----------
        number : int
            Its place in the file.
        """
        self.passed += (number - self._next) * self.used / max(self._given, 1)
        self._given, self._next = self._given + 1, number + 1

    @property
    def steps(self) -> int:
        """Steps so far, read or left out."""
        return self.used + int(self.passed)


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
    builder, gaps = Builder(facts, naming, limit), Gaps()
    for number, line in lines(path, 4 * limit):
        gaps.line(number)
        found = pairs(line)
        if set(found) - set(_COUNTS):
            builder.row(found, gaps.steps)
            gaps.used += 1
    builder.record.pass_over(int(gaps.passed))
    return builder.finish()
