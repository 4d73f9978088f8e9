"""Lines of a text file of any size: all of a small one, of a huge one an even share and whatever is rare."""

from __future__ import annotations

import codecs
import functools
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

_SAMPLE = 1 << 16
_LONGEST = 1 << 24
_RARE = 0.2
_MARKS = (b"nan", b"NaN", b"nf", b"eval", b"val", b"layers", b"lossmith")


def encoding(start: bytes) -> str:
    """Tell how a text is encoded, by its first bytes.

    Parameters
    ----------
    start : bytes
        At least the first three, of a file that has so many.

    Returns
    -------
    str
        "utf-16" if marked so, as what PowerShell's ``>`` writes; otherwise UTF-8, whose mark is no part of the text.

    Examples
    --------
    >>> encoding("loss".encode("utf-16")), encoding(b"loss")
    ('utf-16', 'utf-8-sig')
    """
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


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
    sample = _sample(path)
    stride = _stride(path, sample, most)
    found = _bounded(path)
    for number, line in enumerate(found) if stride == 1 else _thinned(found, stride, _rare(sample)):
        yield number, line.decode("utf-8", errors="replace").rstrip("\r\n")


def _sample(path: Path) -> list[bytes]:
    held, size = [], 0
    for line in _bounded(path):
        size += len(line)
        if size > _SAMPLE:
            break
        held.append(line.rstrip(b"\r\n"))
    return held


def _stride(path: Path, sample: list[bytes], most: int) -> int:
    if not sample:
        return 1
    length = sum(map(len, sample)) / len(sample) + 1
    return max(1, int(path.stat().st_size / length / most))


def _bounded(path: Path) -> Iterator[bytes]:
    """Read lines as UTF-8 without a mark, cut where they are too long."""
    with path.open("rb") as file:
        start = file.read(3)
        file.seek(len(start) if start == codecs.BOM_UTF8 else 0)
        if encoding(start) == "utf-16":
            wide = io.TextIOWrapper(file, "utf-16", errors="replace", newline="\n")
            yield from _cut(lambda: wide.readline(_LONGEST).encode())
        else:
            yield from _cut(functools.partial(file.readline, _LONGEST))


def _cut(read: Callable[[], bytes]) -> Iterator[bytes]:
    while line := read():
        yield line
        while line and not line.endswith(b"\n"):
            line = read()


def _thinned(lines: Iterator[bytes], stride: int, rare: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes]]:
    number, line, given = -1, b"", -1
    for number, line in enumerate(lines):
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
    first = itertools.islice(_bounded(path), count)
    return [line.decode("utf-8", errors="replace").rstrip("\r\n") for line in first]
