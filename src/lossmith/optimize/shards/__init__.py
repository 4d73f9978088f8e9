"""Tables in pieces that need not fit in memory: NumPy arrays and files, Parquet, Dask.

Give what these functions return to :func:`lossmith.optimize.solve` or to an estimator's ``fit`` in place of X and y.
The coefficients are those of a fit in memory; smooth losses take a handful of passes over the rows.

Examples
--------
>>> import numpy as np
>>> import lossmith as lm
>>> X = np.arange(12.0)[:, None]
>>> table = lm.shards.from_arrays(X, 3.0 * X[:, 0] - 1.0, rows=5)
>>> found = lm.solve(lm.Huber(), table)
>>> found.coefficients.round(6).tolist(), round(found.intercept, 6), bool(found.history.passes[-1] <= 5)
([3.0], -1.0, True)
"""

from __future__ import annotations

from .arrays import from_arrays, from_blocks, from_memmap
from .blocks import Block, LocalShards, Shards
from .dask import from_dask
from .parquet import from_parquet

__all__ = ["Block", "LocalShards", "Shards", "from_arrays", "from_blocks", "from_dask", "from_memmap", "from_parquet"]
