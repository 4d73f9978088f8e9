"""Lines of a text file of any size: all of a small one, of a huge one an even share and whatever is rare."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_SAMPLE = 1 << 16
_LONGEST = 1 << 24
_RARE = 0.2
_MARKS = (b"nan", b"NaN", b"nf", b"eval", b"val", b"layers", b"lossmith")


def lines(path: Path, most: int) -> Iterator[tuple[int, str]]:
    """Read a text file line by line, in bounded memory.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        Above about so many lines, only every k-th is given, with those that may hold something rare (numbers that
        are not finite, held-out figures, other cells filled than usual) and the last.

    Yields
    ------
    number : int
        Of the line, from 0.
    line : str
        Without its end; what is no UTF-8 is replaced. Lines over 16 MB are cut.
    """
    with path.open("rb") as file:
        sample = file.read(_SAMPLE).splitlines()[:-1]
        stride = _stride(path, sample, most)
        file.seek(0)
        chosen = enumerate(_bounded(file)) if stride == 1 else _thinned(file, stride, _rare(sample))
        for number, line in chosen:
            yield number, line.decode("utf-8", errors="replace").rstrip("\r\n")


def _stride(path: Path, sample: list[bytes], most: int) -> int:
    if not sample:
        return 1
    length = sum(map(len, sample)) / len(sample) + 1
    return max(1, int(path.stat().st_size / length / most))


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        yield line
        while not line.endswith(b"\n") and len(line) == _LONGEST:
            line = file.readline(_LONGEST)


def _thinned(file: BinaryIO, stride: int, rare: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes]]:
    number, line, given = -1, b"", -1
    for number, line in enumerate(_bounded(file)):
        # The head of a table has names; the steps at the start change quickly.
        if number % stride == 0 or number < 100 or rare(line):
            given = number
            yield number, line
    if number != given:
        yield number, line


def _rare(sample: list[bytes]) -> Callable[[bytes], bool]:
    marks = [m for m in _MARKS if sum(m in line for line in sample) <= _RARE * len(sample)]
    gaps = [_gaps(line) for line in sample]
    usual = max(set(gaps), key=gaps.count)
    sparse = sum(g != usual for g in gaps) <= _RARE * len(gaps)

    def rare(line: bytes) -> bool:
        return (sparse and _gaps(line.rstrip()) != usual) or any(mark in line for mark in marks)

    return rare


def _gaps(line: bytes) -> int:
    """Count empty cells; two next to each other may count as one, which does no harm."""
    return line.count(b",,") + line.endswith(b",")


def head(path: Path, count: int) -> list[str]:
    """Read the first lines of a file.

    Parameters
    ----------
    path : Path
        The file.
    count : int
        How many.

    Returns
    -------
    list of str
        Fewer if the file is shorter.
    """
    with path.open("rb") as file:
        return [
            line.decode("utf-8", errors="replace").rstrip("\r\n") for line in itertools.islice(_bounded(file), count)
        ]
