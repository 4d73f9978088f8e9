"""Share work among threads: compiled loops release the GIL and run on slices, so plain threads are enough."""

from __future__ import annotations

import collections
import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def share(count: int, work: Callable[[int, int], object], least: int = 1) -> None:
    """Run ``work(start, stop)`` over ranges that cover 0 ... count, each on its own thread.

    Parameters
    ----------
    count : int
        How many items there are.
    work : callable
        Does the items start ... stop - 1; must release the GIL to gain anything. It must not call ``share``.
    least : int
        Items a thread must have to be worth starting.

    Examples
    --------
    >>> done = []
    >>> share(3, lambda start, stop: done.extend(range(start, stop)))
    >>> sorted(done)
    [0, 1, 2]
    """
    workers = max(1, min(threads(), count // max(least, 1)))
    edges = [count * i // workers for i in range(workers + 1)]
    if workers == 1:
        work(0, count)
        return
    _, *others = jobs = [(start, stop) for start, stop in itertools.pairwise(edges)]
    waiting = [_pool(workers - 1).submit(work, start, stop) for start, stop in others]
    try:
        work(*jobs[0])
    finally:
        for job in waiting:
            job.result()


def take_turns(count: int, work: Callable[[int, int], object], piece: int) -> None:
    """Run ``work(start, stop)`` over pieces of 0 ... count, of which other threads take what they come to.

    For work between two calls of a library with threads of its own: those spin for milliseconds after a call, and a
    range given to a thread that finds no free core would be waited for. Here nobody waits for a thread that has
    not begun.

    Parameters
    ----------
    count : int
        How many items there are.
    work : callable
        As ``share`` takes it.
    piece : int
        Items that a piece has at least, and less than twice as many; the same pieces for any number of threads.

    Examples
    --------
    >>> done = []
    >>> take_turns(5, lambda start, stop: done.extend(range(start, stop)), 2)
    >>> sorted(done)
    [0, 1, 2, 3, 4]
    """
    pieces = max(1, count // piece)
    waiting = collections.deque((count * i // pieces, count * (i + 1) // pieces) for i in range(pieces))
    helpers = min(threads(), pieces) - 1

    def take() -> None:
        for edges in iter(functools.partial(_next, waiting), None):
            work(*edges)

    others = [_pool(helpers).submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        waiting.clear()
        for other in others:
            if not other.cancel():
                other.result()


def threads() -> int:
    """How many threads work is shared among: numba's setting (NUMBA_NUM_THREADS, ``set_num_threads``)."""
    try:
        import numba
    except ImportError:
        return 1
    try:
        numba.threading_layer()
    except ValueError:
        # Asking get_num_threads() first would start numba's own threads, and with them reset how many torch uses.
        return int(numba.config.NUMBA_NUM_THREADS)
    return int(numba.get_num_threads())


def _next(waiting: collections.deque[tuple[int, int]]) -> tuple[int, int] | None:
    """Take the first; None if there is none left (a deque's methods are safe among threads)."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has none of the threads
    return ThreadPoolExecutor(workers, thread_name_prefix="lossmith")
