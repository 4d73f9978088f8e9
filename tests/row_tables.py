"""What the tests of row kernels share: losses, a table, and what NumPy makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import rows

NEVER = 2**62
LOSSES = (
    lm.CategoricalCrossEntropy(),
    lm.CategoricalCrossEntropy(label_smoothing=0.1, z_loss=0.3),
    lm.CategoricalFocal(gamma=1.5),
)


def by_numpy(loss: Any, y: Any, f: Any) -> tuple[Any, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "KERNEL_FROM", NEVER)
        values, slopes = loss.value_and_gradient(y, f.astype(np.float64))
    return values, slopes


def sample(n: int = 300, k: int = 7, dtype: Any = np.float32) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.integers(0, k, n), (rng.normal(size=(n, k)) * 3).astype(dtype)
