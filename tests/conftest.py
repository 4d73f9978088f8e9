"""Settings for all tests: where kernels are cached, and how frameworks that may be installed behave."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels beside pytest's own cache, so that a second run need not compile."""
    cache: Any = getattr(config, "cache", None)
    folder = str(cache.mkdir("lossmith")) if cache is not None else tempfile.mkdtemp(prefix="lossmith-")
    os.environ.setdefault("LOSSMITH_CACHE_DIR", folder)


@pytest.fixture(params=["numpy", "kernel"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways an elementwise loss is evaluated on NumPy arrays, whatever the size of the array."""
    from lossmith.engine import fused

    if request.param == "kernel":
        pytest.importorskip("numba")
    monkeypatch.setattr(fused, "KERNEL_FROM", 1 if request.param == "kernel" else 2**62)
    return str(request.param)
