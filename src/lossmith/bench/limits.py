"""What the machine allows: the time to move the same bytes, and the time of the same matrix products."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .families import VALUE, Array, Shape, Work
from .peers.contender import Contender
from .record import ARITHMETIC, MEMORY

# Elements below which starting threads takes longer than the work.
_ALONE = 65_536
# Rows of a product made at a time, so that the limit needs no more memory than the work.
_ROWS = 512


def contenders(work: Work, threads: int) -> list[Contender]:
    """Return the limits of a piece of work; they take turns with the contenders, on the same inputs.

    Parameters
    ----------
    work : Work
        What is to be done.
    threads : int
        How many move bytes.
    """
    found = [Contender(MEMORY, "", mover(work, threads), None)]
    if work.family.gemms is not None and work.operation != VALUE:
        found += _products(work)
    return found


def mover(work: Work, threads: int) -> Callable[[], None]:
    """Return a call that reads all inputs once and writes all results once, in the plainest way.

    Each result is a copy of an input of its size, on slices, one a thread; further inputs are read for their
    maximum, further results filled. Nothing is computed.

    Parameters
    ----------
    work : Work
        Its inputs are read; the results are buffers made here.
    threads : int
        How many slices.
    """
    sources = [array.reshape(-1) for array in work.inputs]
    targets = [np.ones(int(np.prod(shape)), dtype) for shape, dtype in work.results]
    copies, reads, fills = _paired(sources, targets)

    def part(index: int, parts: int) -> None:
        for source, target in copies:
            np.copyto(_slice(target, index, parts), _slice(source, index, parts))
        for source in reads:
            _slice(source, index, parts).max()
        for target in fills:
            _slice(target, index, parts).fill(0)

    largest = max(array.size for array in (*sources, *targets))
    parts = threads if largest >= _ALONE else 1
    if parts == 1:
        return lambda: part(0, 1)
    pool = _pool(parts)

    def call() -> None:
        list(pool.map(part, range(parts), itertools.repeat(parts)))

    return call


def _paired(sources: list[Array], targets: list[Array]) -> tuple[list[tuple[Array, Array]], list[Array], list[Array]]:
    copies, reads, left = [], [], list(targets)
    for source in sources:
        match = next((i for i, t in enumerate(left) if t.size == source.size and t.dtype == source.dtype), None)
        if match is None:
            reads.append(source)
        else:
            copies.append((source, left.pop(match)))
    return copies, reads, left


def _slice(array: Array, index: int, parts: int) -> Array:
    return array[array.size * index // parts : array.size * (index + 1) // parts]


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="limit")


def _products(work: Work) -> list[Contender]:
    """Return the family's matrix products in NumPy, and in torch if it is loaded: its library may be faster."""
    assert work.family.gemms is not None
    operands = [_operands(shape, work.dtype) for shape in work.family.gemms(work.shape)]
    found = [Contender(ARITHMETIC, "(NumPy)", _multiplier(operands, np.matmul), None)]
    if "torch" in sys.modules:
        import torch

        tensors = [(rows, *(torch.from_numpy(part) for part in parts)) for rows, *parts in operands]
        found.append(Contender(ARITHMETIC, "(torch)", _multiplier(tensors, torch.matmul), None))
    return found


def _operands(shape: Shape, dtype: str) -> tuple[Any, ...]:
    """Return m and the operands of a product (m, k) by (k, n) whose rows are made a block at a time."""
    m, k, n = shape
    block = min(m, _ROWS)
    return m, np.ones((block, k), dtype), np.ones((k, n), dtype), np.zeros((block, n), dtype)


def _multiplier(operands: list[Any], matmul: Callable[..., Any]) -> Callable[[], None]:
    def call() -> None:
        for m, a, b, out in operands:
            for start in range(0, m, len(a)):
                rows = min(len(a), m - start)
                matmul(a[:rows], b, out=out[:rows])

    return call
