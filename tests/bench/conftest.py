"""Records of a run that never took place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lossmith.bench.record import MEMORY, Cell, Compilation, Memory, Peer, Results, Timing

Make = Callable[..., Any]


def timing(contender: str, seconds: float | None, variant: str = "", **more: Any) -> Timing:
    if seconds is None:
        return Timing(contender, variant, **more)
    spread = {"best": 0.9 * seconds, "low": 0.95 * seconds, "high": 1.1 * seconds, "samples": 7}
    return Timing(contender, variant, median=seconds, **spread, **more)


@pytest.fixture
def cell() -> Make:
    """``cell("bce", (4000000,), lossmith=1.0, torch=3.0, ...)``; the memory limit as ``limit``, "out=" as ``out``."""

    def make(family: str, shape: tuple[int, ...], *more: Timing, operation: str = "gradient", dtype: str = "float64",
             limit: float = 1.0, out: float | None = None, **times: float) -> Cell:  # fmt: skip
        timings = [timing(name, seconds, error=0.0) for name, seconds in times.items()]
        timings += [timing("lossmith", out, "out=")] if out is not None else []
        timings += [*more, timing(MEMORY, limit)]
        return Cell(family, operation, dtype, shape, shape[0], 32 * shape[0], 1e-7, tuple(timings))

    return make


@pytest.fixture
def results(cell: Make) -> Results:
    """A run with something in every table, and with text that a page must not trust."""
    hostile = "<script>alert('x')</script> & \x1b[31m"
    odd = (
        Timing("sklearn", "", "differs", error=0.5, note=hostile),
        Timing("keras", "", "failed", note="RuntimeError: <b>no</b>"),
    )
    cells = [
        cell("bce", (size,), *odd, lossmith=4e-9 * size, out=2e-9 * size, torch=9e-9 * size, limit=1.5e-9 * size)
        for size in (100, 10_000, 4_000_000)
    ]
    cells += [
        cell("cce", (20_000, 1_000), dtype="float32", lossmith=0.01, torch=0.1, optax=0.005, limit=0.004),
        cell("bce", (100,), operation="value", lossmith=8e-6, numpy=4e-6),
    ]
    return Results(
        command=f"lossmith bench {hostile}",
        date="2026-01-02 03:04 UTC",
        version="0.0",
        machine={"processor": "Fast <i>CPU</i>", "processors": 2, "caches": {"L2": "1M"}, "memory": 10**9, "load": 3.0},
        versions={"numpy": "2"},
        settings={"threads": 2, "quick": True},
        peers=(Peer("torch", "PyTorch", "2.0"), Peer("optax", "Optax", None, "not installed")),
        cells=tuple(cells),
        compilations=(Compilation("bce", "gradient", "float64", 1.5, 0.01, 0.003),),
        memory=(
            Memory(
                "linear_cross_entropy", "gradient", "float32", (4096, 512, 32000), "lossmith", "", 90, 80, 1000, "x"
            ),
            Memory(
                "linear_cross_entropy", "gradient", "float32", (4096, 512, 32000), "torch", "", None, 0, 1, "too big"
            ),
        ),
        notes=("torch on <u>x</u>",),
        seconds=61.0,
    )
