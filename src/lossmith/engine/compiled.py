"""Hand-written loops: compiled at the first call, kept on disk, with the words of ``ops`` as scalars."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]


@dataclass(eq=False)
class Compiled:
    """A loop that numba compiles when it is first called; calls release the GIL.

    Attributes
    ----------
    function : callable
        The text of the loop.
    grade : {"double", "single"}
        Accuracy of the words it uses: float64's, or enough for float32 results.
    fastmath : frozenset of str
        Liberties the compiler may take with floating-point arithmetic.
    """

    function: Function
    grade: str
    fastmath: frozenset[str]
    _dispatcher: Function | None = field(default=None, repr=False)

    def __call__(self, *arguments: Any) -> Any:
        """Run the loop."""
        if self._dispatcher is None:
            from . import jit

            self._dispatcher = jit.loop(self.function, self.grade, self.fastmath)
        return self._dispatcher(*arguments)


def compiled(*, grade: str = "double", fastmath: frozenset[str] = frozenset({"contract"})) -> Callable[..., Compiled]:
    """Mark a loop over arrays to be compiled.

    Inside, words of :mod:`lossmith.ops` are vectorisable scalar code, and plain functions that the loop
    names are compiled along (those marked ``@word`` are always inlined). A change of any of them gives another file in
    the cache. Without numba, ask :func:`lossmith.engine.jit.available` first and do the work in NumPy.

    Parameters
    ----------
    grade : {"double", "single"}
        Accuracy of the words.
    fastmath : frozenset of str
        LLVM's flags. "contract" (a * b + c rounds once) only adds accuracy; "reassoc" and "nsz" let a sum
        run in several lanes.

    Examples
    --------
    >>> import numpy as np
    >>> from lossmith.ops import softplus
    >>> @compiled()
    ... def total(x):
    ...     found = 0.0
    ...     for i in range(x.size):
    ...         found += softplus(x[i])
    ...     return found
    >>> round(total(np.zeros(2)), 6)
    1.386294
    """

    def decorate(function: Function) -> Compiled:
        return Compiled(function, grade, fastmath)

    return decorate


def completed(text: Function, names: dict[str, Any]) -> Function:
    """Return a copy of a function that finds further names in its module.

    Parameters
    ----------
    text : callable
        A loop, or a step of one, that names what is filled in later.
    names : dict
        What those names stand for.

    Returns
    -------
    callable
        To be compiled, as a loop or inside of one.
    """
    scope = {**text.__globals__, **names}
    return types.FunctionType(text.__code__, scope, text.__name__, text.__defaults__)


def read_only(array: Any) -> Any:
    """Return a view that nobody may write to: numba compiles a loop once for all arrays, not again for fixed ones."""
    view = array.view()
    view.flags.writeable = False
    return view
