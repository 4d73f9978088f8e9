"""Follow a log that still grows."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from .readers.read import read_record
from .record import Record

_TAIL = 4096
# Reading takes at most a twentieth of the time, however long the log has become.
_SHARE = 20


def ended(path: str | os.PathLike[str]) -> bool:
    """Tell whether a run has said that it is over.

    Parameters
    ----------
    path : str or Path
        A log; only records of Lossmith's own say so.

    Returns
    -------
    bool
        False for logs of others.
    """
    with Path(path).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        last = file.read().rstrip().rpartition(b"\n")[2]
    try:
        said = json.loads(last)
    except ValueError:
        return False
    aside = said.get("lossmith") if isinstance(said, dict) else None
    return isinstance(aside, dict) and aside.get("ended") is True


def _begun(path: Path) -> bool:
    """Tell whether a log may have only begun: the head of a table, half a line, or what a program says at first."""
    with path.open("rb") as file:
        start = file.read(_TAIL + 1)
    return len(start) <= _TAIL and b"\0" not in start


def follow(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    every: float = 1.0,
    idle: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    waiting: Callable[[str], None] | None = None,
) -> Iterator[Record]:
    """Read a log again whenever it has grown.

    Parameters
    ----------
    path : str or Path
        The log; empty is allowed, as at the start of a run.
    columns : mapping of str to str, optional
        As of `lossmith.read_record`.
    every : float, default 1.0
        Seconds between two looks, at least.
    idle : float, optional
        Stop when nothing new has come for so many seconds.
    sleep : callable
        Waits so many seconds.
    waiting : callable, optional
        Is told why a log that has only begun cannot be read yet.

    Yields
    ------
    Record
        What is in the log so far.

    Raises
    ------
    ValueError
        If the log cannot be used, and has more than a beginning or does not grow; once it could be read, half-written
        states are passed over.
    """
    where, seen, waited, known = Path(path), -1, 0.0, False
    trouble: ValueError | None = None
    while True:
        size, pause = where.stat().st_size, every
        if size != seen and size > 0:
            begun = time.monotonic()
            try:
                yield read_record(where, columns)
                known, trouble = True, None
            except ValueError as error:
                trouble = None if known else error
                if trouble is not None:
                    if not _begun(where):
                        raise
                    if waiting is not None:
                        waiting(str(trouble))
            pause = max(every, _SHARE * (time.monotonic() - begun))
            # Who will not wait for more is not kept waiting for a long log.
            pause = pause if idle is None else max(every, min(pause, idle))
            waited = 0.0
        seen = size
        if (size and ended(where)) or (idle is not None and waited >= idle):
            if trouble is not None:
                raise trouble
            return
        sleep(pause)
        waited += pause
