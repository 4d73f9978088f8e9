"""Tables in pieces that need not fit in memory: NumPy arrays and files, Parquet, Dask.

Give what these functions return to :func:`lossmith.optimize.solve` or to an estimator's ``fit`` in place of X and y.
"""

from __future__ import annotations

from .arrays import from_arrays, from_blocks, from_memmap
from .blocks import Block, LocalShards, Shards
from .dask import from_dask
from .parquet import from_parquet

__all__ = ["Block", "LocalShards", "Shards", "from_arrays", "from_blocks", "from_dask", "from_memmap", "from_parquet"]
