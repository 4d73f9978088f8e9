"""Compile a formula, the very text a reader sees, into one fused loop with numba.

Every primitive word gets a scalar implementation and every derived word compiles from its own text. The
kernel computes in float64 and loads and stores the arrays' own dtype, so float32 results are nearly always
correctly rounded. Kernels are kept on disk under a name that holds the package version and the byte code
of the formula and of every word: an upgrade or an edited formula never runs a stale kernel.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from .._version import __version__
from ..ops.elementwise import DERIVED, PRIMITIVES

Function = Callable[..., Any]
Kernel = Callable[..., None]

_SCALAR: dict[str, Function] = {
    "exp": lambda x: math.exp(x),
    "log": lambda x: math.log(x),
    "log1p": lambda x: math.log1p(x),
    "expm1": lambda x: math.expm1(x),
    "tanh": lambda x: math.tanh(x),
    "sqrt": lambda x: math.sqrt(x),
    "absolute": lambda x: abs(x),
    "power": lambda x, exponent: x**exponent,
    "where": lambda condition, x, y: x if condition else y,
    "full_like": lambda x, value: float(value),
}
# error_model="numpy": the check for division by zero would keep the loop from vectorising.
# "contract" lets a*b+c round once, which only adds accuracy.
_OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


@functools.cache
def _teach_words() -> None:
    """Tell numba what every word means on scalars (once a process)."""
    from numba.extending import overload

    def implementation(function: Function) -> Function:
        return lambda *arguments: function

    options = {"error_model": "numpy", "fastmath": {"contract"}}
    for function in PRIMITIVES:
        scalar = _SCALAR[function.__name__]
        overload(function, strict=False, jit_options=options)(implementation(scalar))
    for function in DERIVED:
        overload(function, strict=False, jit_options=options)(implementation(function))


def available() -> bool:
    """Tell whether kernels can be compiled here."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


@functools.lru_cache(maxsize=512)
def kernel(functions: tuple[Function, ...], parameters: int) -> Kernel:
    """Return one compiled loop that fills one output for each function.

    Parameters
    ----------
    functions : tuple of callables
        Formulas of ``(y, f, *parameters)`` written in the vocabulary of :mod:`lossmith.ops`.
    parameters : int
        How many scalar parameters they take.

    Returns
    -------
    callable
        ``kernel(y, f, out_0, ..., parameter_0, ...)`` on one-dimensional contiguous arrays.
    """
    import numba

    _teach_words()
    names = [f"formula_{i}" for i in range(len(functions))]
    text = _kernel_text(names, parameters)
    path = _kernel_file(functions, text)
    # numba's float() would leave float32 as it is; a cached kernel is loaded again through its module's name.
    scope: dict[str, Any] = {"__name__": __name__, "float64": numba.float64}
    scope.update({n: numba.njit(**_OPTIONS)(function) for n, function in zip(names, functions, strict=True)})
    exec(compile(text, str(path or "<lossmith kernel>"), "exec"), scope)  # our own text, compiled above
    return numba.njit(cache=path is not None, **_OPTIONS)(scope["kernel"])  # type: ignore[no-any-return]


def _kernel_text(names: list[str], parameters: int) -> str:
    given = "".join(f", p{i}" for i in range(parameters))
    outputs = ", ".join(f"out_{name}" for name in names)
    lines = [f"        out_{name}[i] = {name}(y_i, f_i{given})" for name in names]
    body = ["    for i in range(f.size):", "        y_i = float64(y[i])", "        f_i = float64(f[i])", *lines]
    return "\n".join([f"def kernel(y, f, {outputs}{given}):", *body, ""])


def _kernel_file(functions: tuple[Function, ...], text: str) -> pathlib.Path | None:
    """Write the kernel's text where numba can cache beside it; None where nothing can be written."""
    import numba

    digest = hashlib.sha256(f"{__version__} {numba.__version__} {text}".encode())
    for function in (*functions, *DERIVED):
        digest.update(_fingerprint(function).encode())
    digest.update(pathlib.Path(__file__).read_bytes())
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"kernel_{digest.hexdigest()[:24]}.py"
        if not path.exists():
            _write_atomically(path, text)
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError:
        return None


def _fingerprint(function: Function) -> str:
    code = function.__code__
    return repr((function.__qualname__, code.co_code, code.co_consts, code.co_names, function.__defaults__))


def _write_atomically(path: pathlib.Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


def cache_folder() -> pathlib.Path:
    """Return the folder for compiled kernels: ``LOSSMITH_CACHE_DIR``, else the user's cache folder."""
    own = os.environ.get("LOSSMITH_CACHE_DIR")
    if own:
        return pathlib.Path(own) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "lossmith" / "kernels"


