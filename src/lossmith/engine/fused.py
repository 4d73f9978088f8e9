"""Evaluate several formulas on NumPy arrays in one pass: a compiled kernel if it pays, NumPy otherwise.

Which of the two runs depends on the number of elements and the dtype only, never on what ran before, so
that the same call always gives the same bits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..ops.elementwise import NARROW
from . import jit, texts
from .direct import direct
from .pool import share

Array = npt.NDArray[Any]
Function = Callable[..., Any]
# Low, high, and the ends of a gap in between: infinite where there is no gap, else low and high, which alone belong.
Limits = tuple[float, float, float, float]

# Below this many elements NumPy takes about a millisecond or less: nobody should wait for a compiler.
KERNEL_FROM = 32_768
# Elements a thread must have to be worth starting, and elements of a NumPy block (fits the L2 cache).
_PER_THREAD = 65_536
_BLOCK = 16_384
# Elements of which one partial sum is made: sums do not depend on the number of threads.
_PART = 65_536
_FLOAT64 = np.dtype(np.float64)
_ANYTHING: Limits = (-math.inf, math.inf, math.inf, math.inf)


class Total(NamedTuple):
    """What one pass over a loss's samples adds up.

    Attributes
    ----------
    value : float
        Sum of the (weighted) values.
    mass : float
        Sum of the weights; 0 if there are none.
    outside : int
        How many targets or predictions with a weight are outside their limits.
    wrong : int
        How many weights are negative, infinite or NaN.
    """

    value: float
    mass: float
    outside: int
    wrong: int


def compiles(f: Array, least: int | None = None) -> bool:
    """Tell whether a kernel serves predictions of this size and dtype, from ``least`` elements on."""
    return f.size >= (KERNEL_FROM if least is None else least) and f.dtype.char in "fd" and jit.available()


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
        Targets and predictions. The computation is in float64 whatever the dtype, but for formulas marked
        :func:`..ops.in_float32` on float32 arrays.
    parameters : tuple of float
        Scalars handed to each formula.
    out : sequence of ndarray, optional
        Arrays to fill, one a formula, of f's shape.

    Returns
    -------
    tuple of ndarray
        One array of f's shape and dtype for each formula.
    """
    if compiles(f):
        return checked(functions, y, f, parameters, out, _ANYTHING, _ANYTHING)[0]
    return plain(functions, y, f, parameters, out)


def plain(
    functions: Sequence[Function],
    y: Array,
    f: Array,
    parameters: tuple[float, ...] = (),
    out: Sequence[Array] | None = None,
) -> tuple[Array, ...]:
    """Evaluate in NumPy; arguments as for :func:`evaluate`."""
    if out is None and f.ndim and f.size <= _BLOCK:
        return _small(functions, y, f, parameters)
    return _filled(functions, y, f, out, lambda *flat: _run_numpy(parameters, *flat))[0]


def checked(
    functions: Sequence[Function],
    y: Array,
    f: Array,
    parameters: tuple[float, ...],
    out: Sequence[Array] | None,
    y_limits: Limits,
    f_limits: Limits,
) -> tuple[tuple[Array, ...], int]:
    """Evaluate by a kernel, and count on the way the numbers outside their limits.

    Parameters
    ----------
    functions, y, f, parameters, out
        As for :func:`evaluate`.
    y_limits, f_limits : tuple of four floats
        What is accepted. NaN is outside for y, but not for f.

    Returns
    -------
    tuple of tuple of ndarray and int
        The arrays, and how many numbers are outside.
    """
    return _filled(functions, y, f, out, lambda *flat: _run_kernel((*parameters, y_limits, f_limits), *flat))


def _filled(
    functions: Sequence[Function], y: Array, f: Array, out: Sequence[Array] | None, run: Callable[..., int]
) -> tuple[tuple[Array, ...], int]:
    """Run on contiguous arrays of one dimension."""
    targets = tuple(out) if out is not None else tuple([np.empty_like(f, order="C") for _ in functions])
    flat = [t.reshape(-1) if t.flags.c_contiguous else np.empty(t.size, t.dtype) for t in targets]
    outside = run(tuple(functions), _flat(y), _flat(f), flat)
    for target, filled in zip(targets, flat, strict=True):
        if not target.flags.c_contiguous:
            target[...] = filled.reshape(target.shape)
    return targets, outside


def total(
    functions: Sequence[Function],
    y: Array,
    f: Array,
    weight: Array | None = None,
    parameters: tuple[float, ...] = (),
    limits: tuple[Limits, Limits] = (_ANYTHING, _ANYTHING),
    out: tuple[Array, float] | None = None,
) -> Total:
    """Add up a formula in one pass, and write a second one on the way; only where :func:`compiles` says so.

    Parameters
    ----------
    functions : sequence of one or two callables
        What is added up; with ``out``, what is written.
    y, f : ndarray
        As for :func:`evaluate`.
    weight : ndarray of f's shape, optional
        Weight 0 hides a sample.
    parameters : tuple of float
        Scalars handed to each formula.
    limits : tuple of two limits
        What is accepted as y and as f.
    out : tuple of a C-contiguous ndarray and a float, optional
        Filled with the second formula times that number (and times the weight).

    Returns
    -------
    Total
        The sums, in float64; they do not depend on the number of threads.
    """
    grade = _grade(functions, f)
    run = jit.total_kernel(tuple(functions), len(parameters), weight is not None, grade, _checks(*limits))
    arrays = [_flat(a) for a in (y, f, weight) if a is not None]
    written = [] if out is None else [out[0].reshape(-1)]
    rest = (*(() if out is None else (out[1],)), *parameters, *_limits(limits, grade))
    parts = -(-f.size // _PART)
    if parts == 1:
        return Total(*run(*arrays, *written, *rest))
    found: list[Any] = [None] * parts

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            here = slice(i * _PART, (i + 1) * _PART)
            found[i] = run(*(a[here] for a in (*arrays, *written)), *rest)

    share(parts, work)
    value, mass, outside, wrong = (np.sum(column) for column in zip(*found, strict=True))
    return Total(float(value), float(mass), int(outside), int(wrong))


def _flat(a: Array) -> Array:
    return a if a.ndim == 1 and a.flags.c_contiguous else np.ascontiguousarray(a).reshape(-1)


def _grade(functions: Sequence[Function], f: Array) -> str:
    if f.dtype != np.float32:
        return "double"
    return "native" if NARROW.issuperset(functions) else "single"


def _checks(y_limits: Any, f_limits: Any) -> texts.Checks:
    return texts.Checks(y_limits[2] < math.inf, f_limits[0] == -math.inf and f_limits[1] == math.inf)


def _limits(limits: Sequence[Any], grade: str) -> Sequence[Any]:
    """Return limits for the arithmetic of a kernel: the outermost float32 numbers that lie within them."""
    if grade != "native":
        return limits
    return [(_float32(a, 1), _float32(b, -1), _float32(c, -1), _float32(d, 1)) for a, b, c, d in limits]


def _float32(x: float, side: int) -> float:
    """Return the nearest float32 that is not below x (side 1) or not above it (side -1)."""
    with np.errstate(over="ignore"):
        near = np.float32(x)
        inside = float(near) >= x if side > 0 else float(near) <= x
        return float(near if inside else np.nextafter(near, np.float32(side * np.inf)))


@functools.cache
def _keep_pages() -> None:
    """Let malloc keep the memory of intermediate results from one call to the next.

    glibc gives back all above 128 kB, to fetch it anew page by page: twice to five times the time of a formula on
    10,000 numbers. Once a larger array has been freed it keeps twice that array's size; most programs have done that.
    """
    np.empty(_BLOCK * 32)


def _small(functions: Sequence[Function], y: Array, f: Array, parameters: tuple[float, ...]) -> tuple[Array, ...]:
    """Evaluate without flattening and copying into place, which would take longer than the formula."""
    _keep_pages()
    wide_y = y if y.dtype is _FLOAT64 else y.astype(np.float64)
    wide_f = f if f.dtype is _FLOAT64 else f.astype(np.float64)
    with np.errstate(all="ignore"):
        found = [np.asarray(direct(text)(wide_y, wide_f, *parameters), dtype=f.dtype) for text in functions]
    return tuple([array if array.ndim else np.full(f.shape, array) for array in found])  # a plain number: a constant


def _run_numpy(
    parameters: tuple[float, ...], functions: tuple[Function, ...], y: Array, f: Array, out: list[Array]
) -> int:
    _keep_pages()
    with np.errstate(all="ignore"):
        for start in range(0, f.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            y_part, f_part = y[part].astype(np.float64), f[part].astype(np.float64)
            for function, target in zip(functions, out, strict=True):
                target[part] = direct(function)(y_part, f_part, *parameters)
    return 0


def _run_kernel(
    rest: tuple[float | Limits, ...], functions: tuple[Function, ...], y: Array, f: Array, out: list[Array]
) -> int:
    grade = _grade(functions, f)
    run = jit.kernel(functions, len(rest) - 2, grade, _checks(*rest[-2:]))
    rest = (*rest[:-2], *_limits(rest[-2:], grade))
    if f.size < 2 * _PER_THREAD:
        return int(run(y, f, *out, *rest))
    outside: list[int] = []

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        outside.append(run(y[part], f[part], *(target[part] for target in out), *rest))

    share(f.size, work, _PER_THREAD)
    return sum(outside)
