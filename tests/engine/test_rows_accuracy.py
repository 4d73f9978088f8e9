"""How exact rows of logits are: 4 ulp, and beside the label one more for each unit below the largest logit.

z - top is rounded once, by half an ulp; what that changes in e^(z - top), relatively, is the gap's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from lossmith.engine import jit

pytestmark = pytest.mark.skipif(not jit.available(), reason="numba compiles nothing here")
ROWS = 60


def exact(z: Any, label: int) -> tuple[Any, list[Any]]:
    """Value and gradient of a row."""
    with mp.workprec(150):
        logits = [mpf(float(x)) for x in z]
        shares = [mp.exp(x - max(logits)) for x in logits]
        total = mp.fsum(shares)
        gradient = [share / total for share in shares]
        gradient[label] = -mp.fsum(share for j, share in enumerate(shares) if j != label) / total
        return mp.log(total) + max(logits) - logits[label], gradient


def ulps(got: Any, want: Any) -> float:
    with mp.workprec(150):
        return float(abs(mpf(float(got)) - want) / mpf(float(np.spacing(np.abs(got.dtype.type(float(want)))))))


def excess(dtype: Any, k: int, scale: float, spoiled: float = 0.0) -> tuple[float, float]:
    """By how much the worst error exceeds its bound, and the worst error, in ulp."""
    rng = np.random.default_rng(k)
    z, y = (scale * rng.standard_normal((40_000 // k, k))).astype(dtype), rng.integers(0, k, 40_000 // k)
    values, slopes = lm.CategoricalCrossEntropy().value_and_gradient(y, z)
    slopes *= dtype(1.0 + spoiled)
    over, worst = -np.inf, 0.0
    for row, label, value, slope in zip(z[:ROWS], y, values, slopes, strict=False):
        want, pulls = exact(row, label)
        gaps = np.float64(row.max()) - row
        # Value and label's own entry: of a leader, they are the sum of the others, of which the next one counts most.
        gaps[label] = np.sort(gaps)[1]
        errors = np.array([ulps(s, p) for s, p in zip(slope, pulls, strict=True)] + [ulps(value, want)])
        over = max(over, float((errors - 4.0 - np.append(gaps, gaps[label])).max()))
        worst = max(worst, float(errors.max()))
    return over, worst


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [10, 64])
def test_four_ulp_and_the_gap(dtype: Any, k: int) -> None:
    """On either side of the length from which rows are summed in lanes."""
    found = [excess(dtype, k, scale) for scale in (0.3, 3.0, 10.0)]
    assert max(over for over, _ in found) <= 0.0
    assert found[0][1] <= 4.0
    assert found[2][1] > 4.0  # without the gap the bound would be wrong


def test_the_bound_is_not_empty() -> None:
    assert excess(np.float64, 10, 3.0, spoiled=2.0**-47)[0] > 0.0
