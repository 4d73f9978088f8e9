"""The row-wise loss of the contributing page keeps the laws, by NumPy and by kernels."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
import oracle_rows
from lossmith.core import registry
from lossmith.core.verify import verify, verify_claim
from lossmith.engine import rows

PAGE = (pathlib.Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


@pytest.fixture
def poly() -> Iterator[Any]:
    text = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "poly_example" in block)
    try:
        exec(compile(text, "CONTRIBUTING.md", "exec"), {"__name__": __name__})
        yield lm.get("poly_example", epsilon=0.7)
    finally:
        registry._classes.pop("poly_example", None)


def test_no_claim_is_refuted(poly: Any) -> None:
    assert not [verdict for verdict in verify(poly) if not verdict.held]
    assert verify_claim(lm.get("poly_example", epsilon=1.5), "convex", False).held


@pytest.mark.parametrize("least", [1, 2**62], ids=["kernel", "numpy"])
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "rows"])
def test_it_is_the_textbook(poly: Any, least: int, soft: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if least == 1:
        pytest.importorskip("numba")
    monkeypatch.setattr(rows, "KERNEL_FROM", least)

    def truth(y: Any, z: Any) -> Any:
        p = oracle_rows._softmax(z)
        target = oracle_rows._target_row(y, len(z))
        return sum(
            t * (-oracle_rows.mp.log(q) + oracle_rows.mpf(0.7) * (1 - q)) for t, q in zip(target, p, strict=True)
        )

    rng = np.random.default_rng(4)
    z = rng.normal(size=(6, 3)) * 4
    y: Any = rng.dirichlet(np.ones(3), 6) if soft else rng.integers(0, 3, 6)
    values, slopes = poly.value_and_gradient(y, z)
    pairs = list(zip(y.tolist(), z.tolist(), strict=True))
    np.testing.assert_allclose(values, [float(oracle_rows.exact_row(truth, *p)) for p in pairs], rtol=4e-15)
    for got, pair in zip(slopes, pairs, strict=True):
        np.testing.assert_allclose(got, np.array(oracle_rows.gradient(truth, *pair), float), rtol=1e-12, atol=1e-15)
    v = rng.normal(size=z.shape)
    product = np.einsum("nij,nj->ni", poly.hessian(y, z), v)
    np.testing.assert_allclose(poly.hessian_vector_product(y, z, v), product, rtol=1e-9, atol=1e-12)
