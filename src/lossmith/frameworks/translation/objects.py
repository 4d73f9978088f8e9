"""What users hand over: text, functions, partial functions and loss objects of another library."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.loss import Loss
from . import text
from .tables import Entry, Library, Meaning

State = Callable[[Any, Entry], Mapping[str, Any]]


def read(library: Library, loss: Any, parameters: Mapping[str, Any], state: State | None = None) -> Meaning:
    """Return the meaning of a loss of a library.

    Parameters
    ----------
    library : Library
        Whose it is.
    loss : object, function, partial or str
        The loss.
    parameters : mapping
        Given beside a function or a name.
    state : callable
        Reads an object's parameters, given its entry.

    Raises
    ------
    InputError
        When it has no equal, or is no loss of the library.
    """
    if isinstance(loss, str):
        typed = text.read(loss)
        return meaning(library, typed, parameters)
    if isinstance(loss, functools.partial):
        if loss.args:
            raise InputError("give the parameters of a functools.partial by their names")
        return read(library, loss.func, {**loss.keywords, **parameters}, state)
    if type(loss).__module__.startswith("lossmith."):
        return Meaning.of(own(loss))
    plain = isinstance(loss, FunctionType | type)
    kind = loss if plain else type(loss)
    name = _name(library, kind)
    if plain:
        return library.read(name, _values(parameters))
    if parameters or state is None:
        raise InputError(f"{name} holds its parameters itself; give none beside it")
    return library.read(name, _values(state(loss, library.entry(name))))


def own(loss: Any) -> Loss:
    """Return the loss that one of our adapters, or a loss itself, holds."""
    held = vars(loss).get("loss", loss)
    if not isinstance(held, Loss):
        raise InputError(f"{type(loss).__name__} is no loss")
    return held


def meaning(library: Library, typed: text.Typed, parameters: Mapping[str, Any]) -> Meaning:
    """Return the meaning of a typed loss of a library."""
    entry = library.entry(typed.name)
    if len(typed.positional) > len(entry.order):
        raise InputError(f"{typed.name}: write parameters with their names; they are {', '.join(entry.parameters)}")
    given = dict(zip(entry.order, typed.positional, strict=False))
    twice = sorted(set(given) & set(typed.given))
    if twice:
        raise InputError(f"{typed.name}: {twice[0]} is given twice")
    found = library.read(typed.name, {**given, **typed.given, **_values(parameters)})
    return found.times(typed.factor)


def _name(library: Library, kind: Any) -> str:
    """Return the name of a class or function, which must come from the library itself."""
    home = str(kind.__module__).partition(".")[0]
    homes = {prefix.partition(".")[0] for prefix in library.prefixes}
    if home not in homes:
        raise InputError(
            f"{kind.__module__}.{kind.__qualname__} is no loss of {library.name}; a subclass or function of your own "
            "has a formula that cannot be known"
        )
    return str(kind.__name__)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in given.items()}


def plain(value: Any) -> Any:
    """Return numbers and tuples of numbers for arrays and tensors."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu()
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else tuple(array.tolist())
