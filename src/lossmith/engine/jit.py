"""Compile a formula, the very text a reader sees, into one fused loop with numba.

Every primitive word gets a scalar implementation and every derived word compiles from its own text. The
kernel computes in float64 and loads and stores the arrays' own dtype, so float32 results are nearly always
correctly rounded. Kernels are kept on disk under a name that holds the package version and the byte code
of the formula and of every word: an upgrade or an edited formula never runs a stale kernel.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from .._version import __version__
from ..ops.elementwise import DERIVED, PRIMITIVES
from . import simd

Function = Callable[..., Any]
Kernel = Callable[..., None]

_SCALAR: dict[str, Function] = {
    "exp": simd.exp,
    "log": simd.log,
    "log1p": simd.log1p,
    "expm1": simd.expm1,
    "tanh": simd.tanh,
    "sqrt": lambda x: math.sqrt(x),
    "absolute": lambda x: abs(x),
    "power": simd.power,
    "product_rounding": simd.product_rounding,
    "where": simd.select,
    "full_like": lambda x, value: float(value),
}
# error_model="numpy": the check for division by zero would keep the loop from vectorising.
# "contract" lets a*b+c round once, which only adds accuracy.
_OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


@functools.cache
def _teach_words() -> None:
    """Tell numba what every word means on scalars (once a process)."""
    from numba.extending import overload

    overload(simd.select, strict=False)(_select_instruction())
    overload(simd.product_error, strict=False)(_fused_multiply_add())

    texts = {function: function for function in _simd_functions()}
    texts.update({word: _SCALAR.get(word.__name__, word) for word in (*PRIMITIVES, *DERIVED)})
    # A call that is left standing keeps the loop scalar: every word is inlined, whatever it costs.
    plain = {"error_model": "numpy", "forceinline": True, "fastmath": False}
    for word, text in texts.items():
        # A text that reckons with what rounding takes must round as written: a fused sum would count it twice.
        # (Left out, "fastmath" would be inherited from the kernel.)
        literal = {"product_error", "product_rounding", "rounding"} & set(text.__code__.co_names)
        options = plain if literal else {**plain, "fastmath": {"contract"}}
        overload(word, strict=False, jit_options=options)(_typing(text))


def _typing(text: Function) -> Function:
    """Return what numba calls to learn which function implements a word for given types."""
    return lambda *arguments: text


def _simd_functions() -> list[Function]:
    instructions = (simd.select, simd.product_error)
    return [f for f in vars(simd).values() if inspect.isfunction(f) and f not in instructions]


def _select_instruction() -> Function:
    """Return the typing of ``select`` as LLVM's instruction, both sides in float64."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def chosen(context: Any, condition: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.select(*arguments)

        return types.float64(types.boolean, types.float64, types.float64), generate

    return lambda condition, x, y: lambda condition, x, y: chosen(condition, float(x), float(y))


def _fused_multiply_add() -> Function:
    """Return the typing of ``product_error`` as LLVM's fma(x, y, -product)."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def fma(context: Any, x: Any, y: Any, z: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fma(*arguments)

        return types.float64(types.float64, types.float64, types.float64), generate

    return lambda x, y, product: lambda x, y, product: fma(x, y, -product)


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
    for name, function in zip(names, functions, strict=True):
        scope[name] = numba.njit(forceinline=True, **_OPTIONS)(function)
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
    for function in (*functions, *DERIVED, *_simd_functions()):
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
    """Describe all that decides what a function computes: its byte code, constants and captured values."""
    code = function.__code__
    used = {name: function.__globals__.get(name) for name in code.co_names}
    constants = {name: value for name, value in used.items() if isinstance(value, (bool, int, float, str))}
    captured = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [_fingerprint(value) if inspect.isfunction(value) else repr(value) for value in captured]
    signature = (function.__qualname__, function.__defaults__, code.co_code, code.co_consts, code.co_names)
    return repr((*signature, constants, inner))


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
