"""Evaluate several formulas on NumPy arrays in one pass: a compiled kernel if it pays, NumPy otherwise.

Which of the two runs depends on the number of elements only, never on what ran before, so that the same
call always gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import jit
from .pool import share

Array = npt.NDArray[Any]
Function = Callable[..., Any]

# Below this many elements NumPy takes about a millisecond or less: nobody should wait for a compiler.
KERNEL_FROM = 32_768
# Elements a thread must have to be worth starting, and elements of a NumPy block (fits the L2 cache).
_PER_THREAD = 65_536
_BLOCK = 16_384


def evaluate(
    functions: Sequence[Function],
    y: Array,
    f: Array,
    parameters: tuple[float, ...] = (),
    out: Sequence[Array] | None = None,
) -> tuple[Array, ...]:
    """Fill one array for each formula.

    Parameters
    ----------
    functions : sequence of callables
        Formulas of ``(y, f, *parameters)``.
    y, f : ndarray of one shape and a floating dtype
        Targets and predictions. The computation is in float64 whatever the dtype.
    parameters : tuple of float
        Scalars handed to each formula.
    out : sequence of ndarray, optional
        Arrays to fill, one a formula, of f's shape.

    Returns
    -------
    tuple of ndarray
        One array of f's shape and dtype for each formula.
    """
    if out is None and f.size <= _BLOCK and not _worth_compiling(f):
        return _small(functions, y, f, parameters)
    targets = tuple(out) if out is not None else tuple(np.empty_like(f, order="C") for _ in functions)
    flat = [t.reshape(-1) if t.flags.c_contiguous else np.empty(t.size, t.dtype) for t in targets]
    y_flat, f_flat = np.ascontiguousarray(y).reshape(-1), np.ascontiguousarray(f).reshape(-1)
    run = _run_kernel if _worth_compiling(f_flat) else _run_numpy
    run(tuple(functions), y_flat, f_flat, flat, parameters)
    for target, filled in zip(targets, flat, strict=True):
        if not target.flags.c_contiguous:
            target[...] = filled.reshape(target.shape)
    return targets


def _small(functions: Sequence[Function], y: Array, f: Array, parameters: tuple[float, ...]) -> tuple[Array, ...]:
    """Evaluate without flattening and copying into place, which would take longer than the formula."""
    wide_y, wide_f = (a if a.dtype == np.float64 else a.astype(np.float64) for a in (y, f))
    with np.errstate(all="ignore"):
        results = [function(wide_y, wide_f, *parameters) for function in functions]
        return tuple(np.asarray(result, dtype=f.dtype) for result in results)


def _worth_compiling(f: Array) -> bool:
    return f.size >= KERNEL_FROM and f.dtype in (np.float32, np.float64) and jit.available()


def _run_numpy(
    functions: tuple[Function, ...], y: Array, f: Array, out: list[Array], parameters: tuple[float, ...]
) -> None:
    with np.errstate(all="ignore"):
        for start in range(0, f.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            y_part, f_part = y[part].astype(np.float64), f[part].astype(np.float64)
            for function, target in zip(functions, out, strict=True):
                target[part] = function(y_part, f_part, *parameters)


def _run_kernel(
    functions: tuple[Function, ...], y: Array, f: Array, out: list[Array], parameters: tuple[float, ...]
) -> None:
    run = jit.kernel(functions, len(parameters), "single" if f.dtype == np.float32 else "double")

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        run(y[part], f[part], *(target[part] for target in out), *parameters)

    share(f.size, work, _PER_THREAD)
