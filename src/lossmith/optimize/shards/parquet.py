"""Shards of Parquet files, read row group by row group."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import MEMORY, Block, LocalShards, Shards, block_rows


@dataclass(frozen=True)
class _Groups:
    """Reads the columns of one row group, some rows at a time."""

    places: tuple[tuple[str, int], ...]
    features: tuple[str, ...]
    target: str
    weight: str | None
    rows: int

    def __call__(self, piece: int) -> Iterator[Block]:
        from pyarrow.parquet import ParquetFile

        path, group = self.places[piece]
        columns = [*self.features, self.target, *([] if self.weight is None else [self.weight])]
        with ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(self.rows, row_groups=[group], columns=columns, use_threads=False):
                numbers = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in columns}
                X = np.empty((batch.num_rows, len(self.features)))
                for j, name in enumerate(self.features):
                    X[:, j] = numbers[name]
                yield Block.of(X, numbers[self.target], None if self.weight is None else numbers[self.weight])


def from_parquet(
    path: Any,
    target: str,
    features: Sequence[str] | None = None,
    weight: str | None = None,
    *,
    rows: int | None = None,
    n_jobs: int | None = None,
    memory: int = MEMORY,
) -> Shards:
    """Make shards of the row groups of Parquet files.

    Parameters
    ----------
    path : str, path, or a list of them
        Files, or a folder with ``*.parquet`` in it.
    target : str
        Column of the targets, in the loss's coding.
    features : sequence of str, optional
        Columns of X; by default all others, which must then be numbers.
    weight : str, optional
        Column of weights.
    rows : int, optional
        Rows that are turned into a block at a time; by default 8 MB of them.
    n_jobs : int, optional
        Row groups at a time, on threads.
    memory : int
        Bytes that a fit may hold of the rows on top of the blocks being read.

    Returns
    -------
    Shards

    Raises
    ------
    ValueError
        For columns that are missing or no numbers, and where there are no files.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> import lossmith as lm
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.parquet"
    >>> pd.DataFrame({"x": range(10), "y": [2.0 * i + 1.0 for i in range(10)]}).to_parquet(path, row_group_size=4)
    >>> table = lm.shards.from_parquet(path, target="y")
    >>> lm.LossRegressor("mse", penalty=None).fit(table).coef_.round(6).tolist()
    [2.0]
    """
    from pyarrow.parquet import ParquetFile

    places: list[tuple[str, int]] = []
    chosen: tuple[str, ...] = ()
    for name in _files(path):
        with ParquetFile(name) as file:
            chosen = _columns(file.schema_arrow, name, target, chosen or features, weight)
            groups = [g for g in range(file.num_row_groups) if file.metadata.row_group(g).num_rows]
        places += [(name, group) for group in groups]
    if not places:
        raise ValueError(f"path={path!r} holds no rows; give Parquet files with some")
    reader = _Groups(tuple(places), chosen, target, weight, block_rows(len(chosen), rows))
    return LocalShards(reader, len(places), len(chosen), n_jobs, memory)


def _files(path: Any) -> list[str]:
    given = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    found: list[str] = []
    for one in map(pathlib.Path, given):
        found += [str(one)] if not one.is_dir() else sorted(map(str, one.glob("*.parquet")))
    missing = [name for name in found if not os.path.isfile(name)]
    if missing or not found:
        raise ValueError(f"path={path!r} names no Parquet files; give files that exist, or a folder of *.parquet")
    return found


def _columns(
    schema: Any, path: str, target: str, features: Sequence[str] | None, weight: str | None
) -> tuple[str, ...]:
    import pyarrow.types as kinds

    apart = {target, weight}
    chosen = tuple(name for name in schema.names if name not in apart) if features is None else tuple(features)
    for name in (*chosen, target, *([] if weight is None else [weight])):
        if name not in schema.names:
            raise ValueError(f"{path} has no column {name!r}; it has {', '.join(schema.names)}")
        kind = schema.field(name).type
        if not (kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind)):
            raise ValueError(f"column {name!r} of {path} holds {kind}; give numbers, or leave it out of features")
    return chosen
