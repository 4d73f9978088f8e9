"""Rows of a table in pieces, and what is done to each: the one thing that fits out of core and on clusters ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# What a fit may hold of the data at a time, in bytes: a sample to start from, and the rows that decide at the end.
MEMORY = 2**27
# Numbers in a block of rows: 8 MB.
_BLOCK = 2**20


@dataclass(frozen=True)
class Block:
    """Some rows.

    Attributes
    ----------
    X : ndarray or CSR matrix, shape (m, d)
        Features.
    y : ndarray, shape (m,)
        Targets in the loss's coding.
    weight : ndarray, shape (m,), or None
        Weights >= 0; None for 1 each.
    """

    X: Any
    y: Any
    weight: Array | None = None

    @classmethod
    def of(cls, X: Any, y: Any, weight: Any = None) -> Block:
        """Check rows and make a block of them.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (m, d)
            Finite numbers.
        y : array_like, shape (m,)
            Targets.
        weight : array_like, shape (m,), optional
            Finite numbers >= 0.

        Raises
        ------
        ValueError
            Says what does not fit.
        """
        from scipy.sparse import issparse

        matrix = X.tocsr() if issparse(X) else np.asarray(X, np.float64)
        targets = np.asarray(y)
        if matrix.ndim != 2 or targets.shape != matrix.shape[:1]:
            raise ValueError(
                f"a shard has X of shape {matrix.shape} and y of shape {targets.shape}; give (m, d) and (m,)"
            )
        if not np.isfinite(matrix.sum()) and not np.isfinite(matrix.data if issparse(X) else matrix).all():
            raise ValueError("X holds NaN or infinite numbers; impute or drop them first")
        if weight is None:
            return cls(matrix, targets)
        given = np.asarray(weight, np.float64)
        if given.shape != targets.shape or not (given.min(initial=0.0) >= 0.0 and given.max(initial=0.0) < np.inf):
            raise ValueError(f"weights must be {targets.size} finite numbers >= 0; their shape is {given.shape}")
        return cls(matrix, targets, given)

    @property
    def weights(self) -> Array:
        """The weights, ones included."""
        return np.ones(self.y.shape[0]) if self.weight is None else self.weight


Work = Callable[[Block], Any]


class Shards(ABC):
    """A table in pieces that need not fit in memory together; each pass over it does the same work on all blocks.

    What is done to a block comes back as a few small arrays: sums of values, gradients and curvature. So blocks
    may live in files or on other machines. Work is picklable, and so is what it returns.
    """

    @property
    @abstractmethod
    def features(self) -> int:
        """Number of columns of X."""

    @property
    @abstractmethod
    def pieces(self) -> int:
        """About how many blocks there are."""

    @property
    def memory(self) -> int:
        """Bytes that a fit may hold of the rows at a time, apart from the blocks being read."""
        return MEMORY

    @abstractmethod
    def each(self, work: Work) -> Iterator[Any]:
        """Do some work on every block, in one pass.

        Parameters
        ----------
        work : callable
            Takes a :class:`Block`.

        Yields
        ------
        object
            What it returned, in the order of the blocks.
        """

    def total(self, work: Callable[[Block], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Add up what some work returns for every block, in one pass.

        Parameters
        ----------
        work : callable
            Takes a :class:`Block` and returns a tuple of arrays or numbers.

        Returns
        -------
        tuple
            The sums.
        """
        found: tuple[Any, ...] | None = None
        for part in self.each(work):
            found = part if found is None else added(found, part)
        if found is None:
            raise ValueError("there are no rows: give shards with at least one")
        return found


def added(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the sums of two tuples, place by place."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True, eq=False)
class Whole(Shards):
    """Checked rows in memory, as one block.

    Attributes
    ----------
    block : Block
        All rows.
    """

    block: Block

    @property
    def features(self) -> int:
        """Number of columns of X."""
        return int(self.block.X.shape[1])

    @property
    def pieces(self) -> int:
        """1."""
        return 1

    @property
    def memory(self) -> int:
        """No limit: everything is in memory."""
        return 2**62

    def each(self, work: Work) -> Iterator[Any]:
        """Do some work on all rows."""
        yield work(self.block)


class Reader(Protocol):
    """Reads one piece after another; picklable."""

    def __call__(self, piece: int) -> Iterable[Block]:
        """Yield the blocks of a piece."""


@dataclass(frozen=True)
class LocalShards(Shards):
    """Pieces that this machine reads when a pass comes to them.

    Attributes
    ----------
    read : callable
        ``read(piece)`` yields the blocks of a piece, in the same order every time.
    count : int
        Number of pieces.
    width : int
        Number of columns of X.
    n_jobs : int or None
        Pieces at a time, through joblib's threads.
    limit : int
        Bytes that a fit may hold of the rows at a time.
    """

    read: Reader
    count: int
    width: int
    n_jobs: int | None = None
    limit: int = MEMORY

    @property
    def features(self) -> int:
        """Number of columns of X."""
        return self.width

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return self.count

    @property
    def memory(self) -> int:
        """Bytes that a fit may hold of the rows at a time."""
        return self.limit

    def each(self, work: Work) -> Iterator[Any]:
        """Do some work on every block, in one pass; see :class:`Shards`."""
        if self.n_jobs in (None, 1):
            for piece in range(self.count):
                for block in self.read(piece):
                    yield work(block)
            return
        from joblib import Parallel, delayed
        from threadpoolctl import threadpool_limits

        run = Parallel(n_jobs=self.n_jobs, backend="threading", return_as="generator", pre_dispatch="n_jobs")
        with threadpool_limits(1):  # the pieces share the processors already
            for found in run(delayed(self._piece)(work, piece) for piece in range(self.count)):
                yield from found

    def _piece(self, work: Work, piece: int) -> list[Any]:
        return [work(block) for block in self.read(piece)]


def block_rows(features: int, rows: int | None = None) -> int:
    """Return how many rows a block has: the number given, or so many that it takes 8 MB.

    Raises
    ------
    ValueError
        For a number below 1.
    """
    if rows is None:
        return max(_BLOCK // max(features, 1), 1)
    if isinstance(rows, bool) or rows != int(rows) or rows < 1:
        raise ValueError(f"rows={rows!r} is not accepted; give a whole number >= 1")
    return int(rows)
