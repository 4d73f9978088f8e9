"""Shards that Dask holds: work travels to the blocks, and only sums come back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .blocks import MEMORY, Block, Shards, Work, added

# Results that are added at a time, where they are.
_FAN = 8


@dataclass(frozen=True, eq=False)
class DaskShards(Shards):
    """Blocks of Dask collections.

    Attributes
    ----------
    blocks : tuple
        (X, y) or (X, y, weight) of each block, as delayed objects.
    width : int
        Number of columns of X.
    limit : int
        Bytes that a fit may hold of the rows on this machine.
    """

    blocks: tuple[tuple[Any, ...], ...]
    width: int
    limit: int = MEMORY

    @property
    def features(self) -> int:
        """Number of columns of X."""
        return self.width

    @property
    def pieces(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def memory(self) -> int:
        """Bytes that a fit may hold of the rows on this machine."""
        return self.limit

    def each(self, work: Work) -> Iterator[Any]:
        """Do some work on every block where it is; see :class:`Shards`."""
        yield from _computed(*self._tasks(work))

    def total(self, work: Any) -> tuple[Any, ...]:
        """Add up what some work returns, in a tree: no machine receives more than a few results."""
        layer = self._tasks(work)
        while len(layer) > 1:
            groups = [layer[i : i + _FAN] for i in range(0, len(layer), _FAN)]
            layer = [_dask().delayed(_added, pure=False)(group) for group in groups]
        found: tuple[Any, ...] = _computed(layer[0])[0]
        return found

    def _tasks(self, work: Work) -> list[Any]:
        return [_dask().delayed(_done, pure=False)(work, *block) for block in self.blocks]


def _computed(*tasks: Any) -> tuple[Any, ...]:
    """Return what tasks come to, in the scheduler in force; what a cluster did not survive is said in one line."""
    try:
        found: tuple[Any, ...] = _dask().compute(*tasks)
    except Exception as error:
        kind = type(error)
        if kind.__module__.split(".")[0] != "distributed":
            raise  # of the work itself, such as rows that a loss does not take
        what = " ".join(str(error).split())[:200]
        raise RuntimeError(
            f"the Dask cluster did not finish a pass ({kind.__name__}: {what}); check that its scheduler runs, and "
            "that workers have memory for a block and this version of lossmith; smaller chunks need less"
        ) from error
    return found


def _done(work: Work, X: Any, y: Any, weight: Any = None) -> Any:
    return work(Block.of(X, y, weight))


def _added(results: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    found = results[0]
    for other in results[1:]:
        found = added(found, other)
    return found


def _dask(module: str = "dask") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError("Dask is not installed: pip install 'lossmith[dask]'") from None


def is_dask(given: Any) -> bool:
    """Tell whether something is a Dask array or data frame, without importing Dask."""
    return type(given).__module__.split(".")[0] in ("dask", "dask_expr") and "dask" in sys.modules


def from_dask(
    X: Any,
    y: Any = None,
    weight: Any = None,
    *,
    target: str | None = None,
    features: Sequence[str] | None = None,
    memory: int = MEMORY,
) -> Shards:
    """Make shards of Dask arrays, or of a Dask data frame; the scheduler in force does the work.

    Parameters
    ----------
    X : dask.array.Array, shape (n, d), or dask.dataframe.DataFrame
        Features; the columns of an array are brought into one chunk.
    y : dask.array.Array, shape (n,), optional
        Targets in the loss's coding, with X an array.
    weight : dask.array.Array, shape (n,), or str, optional
        Weights, or the data frame's column of them.
    target : str, optional
        The data frame's column of targets.
    features : sequence of str, optional
        The data frame's columns of X; by default all others.
    memory : int
        Bytes that a fit may hold of the rows on this machine.

    Returns
    -------
    Shards

    Raises
    ------
    ImportError
        Without Dask.
    ValueError, TypeError
        For collections that do not fit.
    """
    if y is not None and is_dask(X) and not isinstance(X, _dask("dask.array").Array):
        X, y, weight = X.to_dask_array(), _as_array(y), _as_array(weight)
    if isinstance(X, _dask("dask.array").Array):
        blocks, width = _of_arrays(X, y, weight)
    elif is_dask(X):
        blocks, width = _of_frame(X, target, features, weight)
    else:
        raise TypeError(f"X is a {type(X).__name__}; give a Dask array or data frame")
    return DaskShards(tuple(blocks), width, memory)


def _as_array(series: Any) -> Any:
    return series if not is_dask(series) or isinstance(series, _dask("dask.array").Array) else series.to_dask_array()


def _of_arrays(X: Any, y: Any, weight: Any) -> tuple[list[tuple[Any, ...]], int]:
    others = [part for part in (y, weight) if part is not None]
    if y is None or X.ndim != 2 or any(part.ndim != 1 for part in others):
        raise ValueError("from_dask with an array takes X of shape (n, d), and y (and weight) of shape (n,)")
    others = [
        part if isinstance(part, _dask("dask.array").Array) else _dask("dask.array").from_array(part) for part in others
    ]
    X = X.rechunk({1: -1})
    rows = X.chunks[0]
    known = all(row == row for row in rows)  # NaN where Dask does not know
    for name, part in zip(("y", "weight"), others, strict=False):
        same = part.numblocks[0] == len(rows) if not known else part.shape[0] == sum(rows)
        if not same:
            raise ValueError(
                f"{name} has shape {part.shape} in {part.numblocks[0]} chunks; X has {X.shape} in {len(rows)}"
            )
    others = [part.rechunk((rows,)) if known else part for part in others]
    columns = [X.to_delayed()[:, 0], *(part.to_delayed() for part in others)]
    return list(zip(*columns, strict=True)), int(X.shape[1])


def _of_frame(frame: Any, target: str | None, features: Any, weight: Any) -> tuple[list[tuple[Any, ...]], int]:
    names = [str(name) for name in frame.columns]
    chosen = [name for name in names if name not in (target, weight)] if features is None else list(features)
    wanted = [*chosen, target, *([] if weight is None else [weight])]
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"the data frame has no column {missing[0]!r}; it has {', '.join(names)}; name the target")
    pick = _dask().delayed(_picked, nout=len(wanted) - len(chosen) + 1, pure=False)
    return [tuple(pick(part, chosen, target, weight)) for part in frame.to_delayed()], len(chosen)


def _picked(frame: Any, features: list[str], target: str, weight: str | None) -> tuple[Any, ...]:
    parts = frame[features].to_numpy(), frame[target].to_numpy()
    return parts if weight is None else (*parts, frame[weight].to_numpy())
