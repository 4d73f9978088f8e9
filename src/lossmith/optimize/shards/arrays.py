"""Shards of arrays: in memory, in .npy files, memory-mapped, or read by a function."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import MEMORY, Block, LocalShards, Shards, block_rows


@dataclass(frozen=True)
class _Slices:
    """Reads rows of whatever can be sliced."""

    X: Any
    y: Any
    weight: Any
    rows: int

    def __call__(self, piece: int) -> Iterator[Block]:
        part = slice(piece * self.rows, (piece + 1) * self.rows)
        yield Block.of(self.X[part], self.y[part], None if self.weight is None else self.weight[part])


@dataclass(frozen=True)
class _File:
    """Rows of an array in a file, read and not mapped: mapped pages count as memory until others want it."""

    path: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __getitem__(self, part: slice) -> Any:
        start, stop, _ = part.indices(self.shape[0])
        one = int(np.prod(self.shape[1:], dtype=np.int64))
        with open(self.path, "rb") as file:
            file.seek(self.offset + start * one * self.dtype.itemsize)
            found = np.fromfile(file, self.dtype, (stop - start) * one)
        return found.reshape(stop - start, *self.shape[1:])


@dataclass(frozen=True)
class _Function:
    read: Callable[[int], tuple[Any, ...]]

    def __call__(self, piece: int) -> Iterator[Block]:
        yield Block.of(*self.read(piece))


def from_arrays(
    X: Any,
    y: Any,
    weight: Any = None,
    *,
    rows: int | None = None,
    n_jobs: int | None = None,
    memory: int = MEMORY,
) -> Shards:
    """Cut arrays in memory into shards.

    Parameters
    ----------
    X : array_like or SciPy sparse matrix, shape (n, d)
        Features.
    y : array_like, shape (n,)
        Targets in the loss's coding.
    weight : array_like, shape (n,), optional
        Weights of the rows, >= 0.
    rows : int, optional
        Rows of a shard; by default 8 MB of them.
    n_jobs : int, optional
        Shards at a time, on threads.
    memory : int
        Bytes that a fit may hold of the rows on top.

    Returns
    -------
    Shards

    Raises
    ------
    ValueError
        For shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> X = np.arange(10.0)[:, None]
    >>> table = lm.shards.from_arrays(X, 2.0 * X[:, 0] + 1.0, rows=3)
    >>> lm.LossRegressor("mse", penalty=None).fit(table).coef_.round(6).tolist()
    [2.0]
    """
    from scipy.sparse import issparse

    table = X.tocsr() if issparse(X) else np.asarray(X)
    return _sliced(table, np.asarray(y), None if weight is None else np.asarray(weight), rows, n_jobs, memory)


def _sliced(X: Any, y: Any, weight: Any, rows: int | None, n_jobs: int | None, memory: int) -> Shards:
    if len(X.shape) != 2 or X.shape[0] == 0:
        raise ValueError(f"X has shape {X.shape}; give a table (n, d) with at least one row")
    for name, given in (("y", y), ("weight", weight)):
        if given is not None and tuple(given.shape) != (X.shape[0],):
            raise ValueError(f"{name} has shape {given.shape}; X of shape {X.shape} needs ({X.shape[0]},)")
    size = block_rows(X.shape[1], rows)
    return LocalShards(_Slices(X, y, weight, size), -(-X.shape[0] // size), X.shape[1], n_jobs, memory)


def from_memmap(
    X: Any,
    y: Any,
    weight: Any = None,
    *,
    rows: int | None = None,
    n_jobs: int | None = None,
    memory: int = MEMORY,
) -> Shards:
    """Cut arrays that lie in files into shards, which are read when a pass comes to them.

    Parameters
    ----------
    X : str, path or numpy.memmap, shape (n, d)
        A ``.npy`` file, or a mapped array (its file is read block by block, not through the mapping, if its rows lie
        one after the other).
    y : str, path, numpy.memmap or array_like, shape (n,)
        Targets in the loss's coding.
    weight : the same, optional
        Weights of the rows, >= 0.
    rows : int, optional
        Rows of a shard; by default 8 MB of them.
    n_jobs : int, optional
        Shards at a time, on threads.
    memory : int
        Bytes that a fit may hold of the rows on top of the shards being read.

    Returns
    -------
    Shards

    Raises
    ------
    ValueError
        For shapes that do not fit.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import lossmith as lm
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> X = np.arange(10.0)[:, None]
    >>> np.save(folder / "X.npy", X)
    >>> np.save(folder / "y.npy", 2.0 * X[:, 0] + 1.0)
    >>> table = lm.shards.from_memmap(folder / "X.npy", folder / "y.npy")
    >>> lm.LossRegressor("mae", penalty=None).fit(table).coef_.round(6).tolist()
    [2.0]
    """
    return _sliced(_in_file(X), _in_file(y), None if weight is None else _in_file(weight), rows, n_jobs, memory)


def _in_file(given: Any) -> Any:
    """Return something that can be sliced by rows."""
    mapped = np.load(given, mmap_mode="r") if isinstance(given, (str, os.PathLike)) else given
    if not isinstance(mapped, np.memmap) or mapped.filename is None or not _whole(mapped):
        return mapped if isinstance(mapped, np.memmap) else np.asarray(mapped)
    return _File(os.fspath(mapped.filename), mapped.offset, mapped.dtype, mapped.shape)


def _whole(mapped: Any) -> bool:
    """Tell whether a mapped array is its file from the offset on, row after row, and no view of a part."""
    return bool(mapped.flags.c_contiguous) and not isinstance(mapped.base, np.memmap)


def from_blocks(
    read: Callable[[int], tuple[Any, ...]],
    count: int,
    features: int,
    *,
    n_jobs: int | None = None,
    memory: int = MEMORY,
) -> Shards:
    """Make shards of what a function reads.

    Parameters
    ----------
    read : callable
        ``read(i)`` returns (X, y) or (X, y, weight) of shard i = 0 ... count - 1, the same every time.
    count : int
        Number of shards.
    features : int
        Number of columns of X.
    n_jobs : int, optional
        Shards at a time, on threads.
    memory : int
        Bytes that a fit may hold of the rows on top of the shards being read.

    Returns
    -------
    Shards

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> def read(i):
    ...     x = np.arange(3.0) + i
    ...     return x[:, None], 2.0 * x + 1.0
    >>> lm.LossRegressor("mse", penalty=None).fit(lm.shards.from_blocks(read, 4, 1)).coef_.round(6).tolist()
    [2.0]
    """
    return LocalShards(_Function(read), count, features, n_jobs, memory)
