"""Row kernels on tables of every size."""

from __future__ import annotations

import pytest

from lossmith.engine import rows


@pytest.fixture(params=["short", "long"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both loops, for tables of every size."""
    monkeypatch.setattr(rows, "KERNEL_FROM", 1)
    monkeypatch.setattr(rows, "SHORT", 2**31 if request.param == "short" else 0)
    return str(request.param)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels for tables of every size."""
    monkeypatch.setattr(rows, "KERNEL_FROM", 1)
