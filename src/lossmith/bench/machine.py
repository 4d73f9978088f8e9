"""What the numbers depend on: processor, caches, memory, versions, threads."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engine import jit

_PACKAGES = (
    "numpy", "scipy", "numba", "llvmlite", "scikit-learn", "torch", "jax", "jaxlib", "optax", "keras", "tensorflow",
    "tensorflow-cpu", "tensorflow_cpu", "pytorch-metric-learning",
)  # fmt: skip


def available_threads() -> int:
    """Return how many processors this process may use."""
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Return facts about the machine; what the system does not tell is left out."""
    facts = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "processors": available_threads(),
        "caches": _caches(),
        "memory": _memory(),
        "load": _load(),
    }
    return {name: fact for name, fact in facts.items() if fact}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose speed is compared."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _caches() -> dict[str, str]:
    """Return the caches of the first processor, such as {"L2": "1024K"}."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_first_line(folder / name) for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' and level == '1' else ''}"] = size
    return found


def _memory() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return int(line.split()[1]) * 1024
    return None


def _load() -> float | None:
    """Return how many others were working when the run began: a busy machine spoils timings."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _first_line(path: Path) -> str:
    return next(iter(_lines(str(path))), "").strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def limit_libraries(threads: int) -> None:
    """Tell every BLAS and OpenMP that is loaded by now how many threads it may use.

    Parameters
    ----------
    threads : int
        For each.
    """
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Hold this process to a number of processors and threads, for every library that can be told.

    Parameters
    ----------
    threads : int
        At most what is available.
    """
    import threadpoolctl

    with _processors(threads), _numba_threads(threads), threadpoolctl.threadpool_limits(threads):
        yield


@contextmanager
def _processors(threads: int) -> Iterator[None]:
    """Libraries without a setting (XLA) count the processors that the process may use."""
    if platform.system() != "Linux" or threads >= available_threads():
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[:threads]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def _numba_threads(threads: int) -> Iterator[None]:
    if not jit.available():
        yield
        return
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)
