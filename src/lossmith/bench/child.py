"""``python -m lossmith.bench.child``: one measurement in a process of its own; JSON lines on stdout."""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import jit
from . import machine, peers
from .families import ELEMENTWISE, FAMILIES, GRADIENT, LINEAR, Family, Shape, Work, prepare
from .peers import ours
from .peers.contender import Contender
from .record import OURS

_KERNEL_SIZE = 200_000


def main(kind: str, text: str) -> None:
    """Measure what the text asks for.

    Parameters
    ----------
    kind : {"compile", "memory"}
        What.
    text : str
        JSON, as :mod:`lossmith.bench.apart` writes it.
    """
    asked = json.loads(text)
    with machine.held_to(asked["threads"]):
        for line in (compile_times if kind == "compile" else memory)(asked):
            print(json.dumps(line), flush=True)


def compile_times(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the first and a warm call of each kernel.

    Parameters
    ----------
    asked : dict
        "family" and "kernels", pairs of operation and dtype.
    """
    if jit.available():
        import numba

        numba.njit(lambda x: x + 1.0)(1.0)  # the compiler's own start is no kernel's
    family = FAMILIES[asked["family"]]
    shape = _shape_of_kernels(family)
    for operation, dtype in asked["kernels"]:
        work = prepare(family, operation, dtype, shape)
        call = ours.contenders(work)[0].call
        first, warm = _seconds(call), min(_seconds(call) for _ in range(3))
        yield {"operation": operation, "dtype": dtype, "first": first, "warm": warm}


def _shape_of_kernels(family: Family) -> Shape:
    """Return a shape large enough to be worth a kernel, and no larger than that takes."""
    if family.tier == ELEMENTWISE:
        return (_KERNEL_SIZE,)
    return family.quick[0] if family.tier == LINEAR else family.shapes[0]


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the peak memory of a contender in each case.

    Parameters
    ----------
    asked : dict
        "contender", "threads" and "cases", triples of family, dtype and shape.
    """
    name, threads = asked["contender"], asked["threads"]
    if name != OURS:
        peers.ENTRANTS[name].prepare(threads)
    warm = name == OURS or not peers.ENTRANTS[name].hoards
    for family_name, dtype, shape in asked["cases"]:
        family = FAMILIES[family_name]
        small = family.quick[0] if family.quick else (_KERNEL_SIZE,)
        try:
            for contender in _contenders(name, prepare(family, GRADIENT, dtype, small), threads):
                if warm and not contender.refusal:
                    contender.call()  # libraries, kernels and threads are there before anything is measured
            yield from _peaks(name, prepare(family, GRADIENT, dtype, tuple(shape)), threads)
        except Exception as problem:  # the other cases are worth having all the same
            print(f"{family_name}: {problem}", file=sys.stderr)


def _peaks(name: str, work: Work, threads: int) -> Iterator[dict[str, Any]]:
    for contender in _contenders(name, work, threads):
        peak, results, how = _peak(contender)
        yield {
            "family": work.name,
            "operation": work.operation,
            "dtype": work.dtype,
            "shape": work.shape,
            "contender": contender.name,
            "variant": contender.variant,
            "peak": peak,
            "results": results,
            "problem": problem_bytes(work.family, work.shape, work.dtype),
            "how": how,
        }


def _contenders(name: str, work: Work, threads: int) -> list[Contender]:
    return ours.contenders(work) if name == OURS else peers.ENTRANTS[name].contenders(work, threads)


def problem_bytes(family: Family, shape: Shape, dtype: str) -> int:
    """Return the bytes of what the work is about: the predictions, or the logits that a linear family spares.

    Examples
    --------
    >>> problem_bytes(FAMILIES["linear_cross_entropy"], (4096, 512, 32000), "float32")
    524288000
    """
    itemsize = np.dtype(dtype).itemsize
    if family.tier == LINEAR:
        return shape[0] * shape[2] * itemsize
    return prepare(family, GRADIENT, dtype, shape).f.nbytes


def _peak(contender: Contender) -> tuple[int | None, int, str]:
    """Call once; return the highest memory above what was in use, and the bytes of the results."""
    if contender.refusal:
        return None, 0, contender.refusal
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    except OSError:
        return None, 0, "only Linux tells the peak of a single call"
    before = _status("VmRSS")
    try:
        result = contender.call()
    except Exception as problem:  # a peer that fails is a line in the table
        return None, 0, " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
    peak = max(0, _status("VmHWM") - before)
    given_back = 0 if contender.variant == "out=" else _bytes(result)
    return peak, given_back, "resident memory: peak during the call above that before it (VmHWM - VmRSS)"


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _bytes(result: Any) -> int:
    """Return the size of all arrays in a result, of whatever library."""
    if result is None:  # there is no bias to differentiate by
        return 0
    if isinstance(result, tuple | list):
        return sum(_bytes(part) for part in result)
    return int(math.prod(result.shape) * result.dtype.itemsize)


if __name__ == "__main__":
    main(*sys.argv[1:])
