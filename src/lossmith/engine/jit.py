"""Compile formulas, the very texts a reader sees, with numba.

A function is compiled with everything it names: a primitive word by its scalar text (:mod:`.words`), a
derived word and a helper from their own. Formulas become one fused loop that computes in float64 (in float32 for
formulas marked ``in_float32`` on float32 arrays) and loads and stores the arrays' own dtype. Kernels are kept on
disk (:mod:`.cache`): an upgrade or an edited formula never runs a stale kernel.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops import times
from . import cache, texts, words
from .compiled import Compiled

Function = Callable[..., Any]
Kernel = Callable[..., Any]

# error_model="numpy": the check for division by zero would keep the loop from vectorising.
# "contract" lets a*b+c round once, which only adds accuracy.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
CONTRACT = frozenset({"contract"})
ANY_INTERVAL = texts.Checks()
# A sum may run in several lanes.
SUMS = frozenset({"contract", "reassoc", "nsz"})


def available() -> bool:
    """Tell whether kernels can be compiled here."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


@functools.lru_cache(maxsize=4096)
def built(function: Function, grade: str, fastmath: frozenset[str] = CONTRACT) -> Any:
    """Return a function for use inside a kernel, compiled with everything it names."""
    import numba

    text = words.meaning(function, grade)
    if text in words.instructions():
        return words.instructions()[text]
    literal = words.LITERAL & set(text.__code__.co_names)
    return numba.njit(
        forceinline=words.inlined(function) or words.inlined(text),
        fastmath=False if literal else set(fastmath),
        **_OPTIONS,
    )(_translated(text, grade, fastmath))


def _translated(function: Function, grade: str, fastmath: frozenset[str], path: str = "") -> Function:
    """Return a copy of a function that names compiled functions instead of words and helpers."""
    code = function.__code__.replace(co_filename=path) if path else function.__code__
    code = code.replace(co_consts=tuple(_constant(value, grade) for value in code.co_consts))
    # A cached kernel is loaded again through its module's name, which must be one.
    scope: dict[str, Any] = {"__name__": function.__module__ or __name__}
    scope |= {name: _replaced(value, grade, fastmath) for name, value in cache.used(function).items()}
    cells = tuple(types.CellType(_replaced(c.cell_contents, grade, fastmath)) for c in function.__closure__ or ())
    return types.FunctionType(code, scope, function.__name__, function.__defaults__, cells)


def _constant(value: Any, grade: str) -> Any:
    """Return a number as the kernel needs it: one float64 among float32 would make all of them wide."""
    if grade == "native" and isinstance(value, tuple):
        return tuple(_constant(item, grade) for item in value)
    if grade != "native" or not isinstance(value, float):
        return value
    with np.errstate(over="ignore"):
        return np.float32(value)


def _replaced(value: Any, grade: str, fastmath: frozenset[str]) -> Any:
    if isinstance(value, Compiled):
        return built(value.function, value.grade, value.fastmath)
    if words.vocabulary(value):
        return _module(value, grade)
    if not inspect.isfunction(value):
        return _constant(value, grade)
    # Words round on purpose (adding and subtracting 1.5 * 2^52): a sum's liberties must not reach them.
    return built(value, grade, CONTRACT if words.inlined(value) else fastmath)


@functools.cache
def _module(module: types.ModuleType, grade: str) -> types.ModuleType:
    """Return a copy of a module of words with their compiled functions."""
    copy = types.ModuleType(module.__name__)
    named = {name: value for name, value in vars(module).items() if words.inlined(value)}
    vars(copy).update({name: built(value, grade) for name, value in named.items()})
    return copy


def loop(function: Function, grade: str, fastmath: frozenset[str]) -> Function:
    """Compile a hand-written loop; see :func:`lossmith.engine.compiled.compiled`."""
    import numba

    about = f"# {function.__module__}.{function.__qualname__} {grade} {sorted(fastmath)}\n"
    path = cache.kernel_file(function.__name__, about, (function,), grade)
    text = _translated(function, grade, fastmath, str(path or ""))
    return numba.njit(cache=path is not None, fastmath=set(fastmath), **_OPTIONS)(text)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=512)
def kernel(
    functions: tuple[Function, ...], parameters: int, grade: str = "double", checks: texts.Checks = ANY_INTERVAL
) -> Kernel:
    """Return one compiled loop that fills one output for each function.

    Parameters
    ----------
    functions : tuple of callables
        Formulas of ``(y, f, *parameters)`` written in the vocabulary of :mod:`lossmith.ops`.
    parameters : int
        How many scalar parameters they take.
    grade : {"double", "single", "native"}
        Accuracy of the words: float64's, or enough for float32 results; "native" computes in float32.
    checks : Checks
        What is asked of targets and predictions.

    Returns
    -------
    callable
        ``kernel(y, f, out_0, ..., parameter_0, ..., y_limits, f_limits)`` on one-dimensional contiguous arrays; it
        returns how many numbers are outside the limits.
    """
    return _around(texts.filling(len(functions), parameters, checks), functions, grade, CONTRACT)


@functools.lru_cache(maxsize=512)
def total_kernel(
    functions: tuple[Function, ...],
    parameters: int,
    weighted: bool,
    grade: str = "double",
    checks: texts.Checks = ANY_INTERVAL,
) -> Kernel:
    """Return one compiled loop that adds up a formula in float64, and may write another one on the way.

    Parameters
    ----------
    functions : tuple of one or two callables
        What is added up, and what is written.
    parameters : int
        How many scalar parameters they take.
    weighted : bool
        Whether there is a weight for each sample.
    grade : {"double", "single", "native"}
        Accuracy of the words.
    checks : Checks
        What is asked of targets and predictions.

    Returns
    -------
    callable
        ``kernel(y, f, [weight,] [out, scale,] parameter_0, ..., y_limits, f_limits)``; see :func:`texts.summing`.
    """
    return _around(texts.summing(len(functions), parameters, weighted, checks), functions, grade, SUMS)


def _around(text: str, functions: tuple[Function, ...], grade: str, fastmath: frozenset[str]) -> Kernel:
    """Compile the text of a loop around formulas."""
    import numba

    path = cache.kernel_file("kernel", text, (*functions, times), grade)
    # numba's float() would leave float32 as it is; a cached kernel is loaded again through its module's name.
    scope: dict[str, Any] = {"__name__": __name__, "float64": numba.float64, "inf": math.inf}
    # A count of 64 bits would halve the vectors of float32.
    scope["number"], scope["whole"] = (
        (numba.float32, numba.int32) if grade == "native" else (numba.float64, numba.int64)
    )
    scope["times"] = built(times, grade)
    for i, function in enumerate(functions):
        formula = _translated(function, grade, CONTRACT)
        scope[f"formula_{i}"] = numba.njit(forceinline=True, fastmath=set(CONTRACT), **_OPTIONS)(formula)
    exec(compile(text, str(path or "<lossmith kernel>"), "exec"), scope)  # our own text, compiled above
    return numba.njit(cache=path is not None, fastmath=set(fastmath), **_OPTIONS)(scope["kernel"])  # type: ignore[no-any-return]
