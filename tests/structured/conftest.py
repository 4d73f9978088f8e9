"""Both ways a structured loss with a kernel is computed, whatever the size of the input."""

from __future__ import annotations

import pytest

from lossmith.core import structured
from lossmith.engine import jit


@pytest.fixture(params=["numpy", "kernel"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test in NumPy and by the kernel."""
    if request.param == "kernel" and not jit.available():
        pytest.skip("numba compiles nothing here")
    monkeypatch.setattr(structured, "KERNEL_FROM", 1 if request.param == "kernel" else 2**62)
    return str(request.param)
