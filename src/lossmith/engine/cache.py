"""Where compiled code is kept on disk, under names that hold all that decides what it computes."""

from __future__ import annotations

import dis
import hashlib
import inspect
import os
import pathlib
import tempfile
import types
from collections.abc import Callable, Iterator
from typing import Any

from .._version import __version__
from . import words
from .compiled import Compiled

Function = Callable[..., Any]


def kernel_file(name: str, text: str, functions: tuple[Function, ...], grade: str) -> pathlib.Path | None:
    """Write a kernel's text where numba can cache beside it; None where nothing can be written.

    Parameters
    ----------
    name : str
        For the reader of the folder.
    text : str
        The text, or a description, of the kernel.
    functions : tuple of callables
        What it calls; with all they call themselves they are part of the file's name.
    grade : str
        Accuracy of the words.
    """
    import numba

    digest = hashlib.sha256(f"{__version__} {numba.__version__} {grade} {text}".encode())
    for function in everything_called(functions, grade):
        digest.update(fingerprint(function).encode())
    digest.update(pathlib.Path(__file__).with_name("jit.py").read_bytes())
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}_{digest.hexdigest()[:24]}.py"
        if not path.exists():
            _write_atomically(path, text)
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError:
        return None


def everything_called(functions: tuple[Function, ...], grade: str) -> Iterator[Function]:
    """Yield functions, words by their scalar texts, with all that they name, each once, in a fixed order."""
    seen: set[Function] = set()
    waiting = list(functions)
    while waiting:
        function = words.meaning(waiting.pop(), grade)
        if function in seen:
            continue
        seen.add(function)
        yield function
        named = [*used(function).values(), *(cell.cell_contents for cell in function.__closure__ or ())]
        waiting += [value.function if isinstance(value, Compiled) else value for value in named if _has_text(value)]


def _has_text(value: Any) -> bool:
    return isinstance(value, Compiled) or inspect.isfunction(value)


def used(function: Function) -> dict[str, Any]:
    """Return the global names a function uses, with what they stand for now, and the words it takes from modules."""
    names, attributes = _names(function.__code__)
    found = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    modules = [value for value in found.values() if words.vocabulary(value)]
    taken = {name: vars(module)[name] for module in modules for name in sorted(attributes) if name in vars(module)}
    return taken | found


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the global names and the attributes that a code object and those inside it read."""
    names, attributes = set(), set()
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names, attributes = names | inner[0], attributes | inner[1]
    return names, attributes


def fingerprint(function: Function) -> str:
    """Describe all that decides what a function computes: its byte code, constants and captured values."""
    code = function.__code__
    constants = {k: v for k, v in used(function).items() if isinstance(v, (bool, int, float, str))}
    captured = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [fingerprint(value) if inspect.isfunction(value) else repr(value) for value in captured]
    inside = [c.co_code if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return repr((function.__qualname__, function.__defaults__, code.co_code, inside, code.co_names, constants, inner))


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
