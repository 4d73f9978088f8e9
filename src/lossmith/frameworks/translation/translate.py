"""From a loss of any library to code for any other."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
from collections.abc import Iterator
from typing import Any

from ...core import registry
from ...core.errors import InputError
from ...core.loss import Loss
from . import boosters, objects, text
from .code import Printer, ours, printers
from .tables import Library, Meaning

ORIGINS = ("torch", "keras", "optax", "sklearn", "xgboost", "lightgbm", "catboost")
TARGETS = ("lossmith", *ORIGINS)
# What users of a library may call it.
ALIASES = {"jax": "optax", "pytorch": "torch", "tensorflow": "keras", "tf": "keras", "scikit-learn": "sklearn"}
_REDUCED = {
    ("optax", "sum"): "the source adds its values up: take the sum of what this returns",
    ("sklearn", "sum"): "the source adds its values up, this is their mean",
    ("sklearn", "none"): "the source returns each value, this is their mean",
}
_DROPPED = "the factor {0:g} is left out: it changes trees only through their regularisation"
_OWN = ("lossmith.losses.", "lossmith.", "lm.")


@dataclasses.dataclass(frozen=True)
class Translation:
    """A loss in Lossmith's words and in those of another library; :func:`lossmith.translate` makes it.

    Attributes
    ----------
    loss : Loss
        With the same numbers, its factor included.
    reduction : str
        How values were combined where it came from: "mean", "sum" or "none".
    notes : tuple of str
        What differs outside the numbers: coding of labels, layout of arguments, guards against 0.
    target : str
        The library the code is for.
    native : bool
        Whether that library has the loss itself, so that the code does without Lossmith.
    code : str
        Python that makes the loss there, with the notes as comments.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.translate("torch.nn.SoftMarginLoss()", to="xgboost")
    >>> found.notes
    ('labels are -1 and +1 in torch, 0 and 1 here: (y + 1) / 2',)
    >>> found.code.splitlines()[-1]
    "params = {'objective': 'binary:logistic'}"
    """

    loss: Loss
    reduction: str
    notes: tuple[str, ...]
    target: str
    native: bool
    code: str


def translate(loss: Any, to: str = "lossmith", origin: str | None = None) -> Translation:
    """Translate a loss from one library into another without a change in its numbers.

    Parameters
    ----------
    loss : str, Loss or object of a library
        Text such as ``"torch.nn.SmoothL1Loss(beta=2)"``, ``"optax.l2_loss"``, ``"huber(delta=2)"`` (Lossmith's),
        ``"reg:quantileerror(quantile_alpha=0.9)"``, ``"Huber:delta=2"``, also with a factor, ``"0.5 * mse"``; or
        what ``lm.from_torch``, ``lm.from_keras`` and so on take. Text is parsed, never run.
    to : {"lossmith", "torch", "keras", "optax", "sklearn", "xgboost", "lightgbm", "catboost"}
        For which library; "jax" means optax, "tensorflow" Keras.
    origin : str, optional
        From which library, where the name does not say it: ``translate("huber", "keras", origin="lightgbm")``.

    Returns
    -------
    Translation
        With ``.loss`` and ``.code``.

    Raises
    ------
    ValueError
        When the loss is unknown or has no equal; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> print(lm.translate("optax.losses.huber_loss(delta=2)", to="torch").code)
    import torch
    <BLANKLINE>
    loss = torch.nn.HuberLoss(delta=2.0)
    # called as loss(input, target)
    >>> found = lm.translate("reg:squarederror", to="lossmith")
    >>> found.loss, found.native
    (MeanSquaredError(), True)
    """
    to, origin = ALIASES.get(to, to), ALIASES.get(origin or "", origin)
    if to not in TARGETS:
        raise InputError(f"there is no translation to {to!r}; targets: {', '.join(TARGETS)}{_close(to, TARGETS)}")
    if origin is not None and origin not in TARGETS:
        raise InputError(f"there is no translation from {origin!r}; libraries: {', '.join(TARGETS)}")
    meaning = read(loss, origin)
    printer = printers()[to]
    body, native, notes, call = _written(meaning, to, printer)
    reduced = _REDUCED.get((to, meaning.reduction), "")
    notes = tuple(dict.fromkeys(filter(None, (*meaning.notes, *notes, reduced))))
    comments = [f"# {note}" for note in notes]
    called = [f"# called as {call}"] if call else []
    return Translation(meaning.made, meaning.reduction, notes, to, native, "\n".join([*comments, body, *called]))


def read(loss: Any, origin: str | None = None) -> Meaning:
    """Return what a loss of any library means; arguments as in :func:`translate`."""
    if type(loss).__module__.startswith("lossmith."):
        return Meaning.of(objects.own(loss))
    if isinstance(loss, str):
        typed = text.read(loss)
        return _typed(typed, origin or _origin(typed, loss))
    name = origin or _home(loss)
    found: Meaning = _module(name).meaning(loss, {})
    return found


def _written(meaning: Meaning, to: str, printer: Printer) -> tuple[str, bool, tuple[str, ...], str]:
    """Return code, whether it is the library's own loss, what is to be minded, and how it is called."""
    if to == "lossmith":
        return printer.adapted(meaning.made, meaning.reduction), True, (), printer.call
    library: Library = _module(to).LIBRARY
    for candidate, note in _candidates(meaning, printer):
        found = library.write(candidate)
        if found is not None:
            entry, given, variant = found
            code = printer.native(entry, entry.spoken(given, variant))
            return code, True, (*note, *variant.notes), entry.call or printer.call
    # Adapters of structured losses take what suits the loss; their docstrings say what.
    call = "" if meaning.loss.tier == "structured" else printer.call
    if printer.scaled:
        return printer.adapted(meaning.made, meaning.reduction), False, (), call
    return printer.adapted(meaning.loss, meaning.reduction), False, _left_out(meaning), call


def _candidates(meaning: Meaning, printer: Printer) -> Iterator[tuple[Meaning, tuple[str, ...]]]:
    """Yield the meaning, and what is as good, with what is to be minded then."""
    yield meaning, ()
    for loss, note in meaning.nearly:
        yield dataclasses.replace(meaning, loss=loss), (note,)
    if not printer.scaled and meaning.factor != 1.0:
        yield dataclasses.replace(meaning, factor=1.0), _left_out(meaning)


def _left_out(meaning: Meaning) -> tuple[str, ...]:
    return () if meaning.factor == 1.0 else (_DROPPED.format(meaning.factor),)


def _typed(typed: text.Typed, origin: str) -> Meaning:
    if origin == "lossmith":
        return Meaning.of(_ours(typed)).times(typed.factor)
    library: Library = _module(origin).LIBRARY
    if origin in ("xgboost", "lightgbm", "catboost"):
        typed = boosters.unpacked(typed, "loss_function" if origin == "catboost" else "objective")
    return objects.meaning(library, typed, {})


def _ours(typed: text.Typed) -> Loss:
    """Make one of our losses from text."""
    name = _own_name(typed.name)
    cls = registry.loss_class(name)
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    if len(typed.positional) > len(fields):
        raise InputError(f"{typed.name} takes {len(fields)} parameters: {', '.join(fields) or 'none'}")
    given = {**dict(zip(fields, typed.positional, strict=False)), **typed.given}
    return registry.build(name, {key: _nested(value) for key, value in given.items()})


def _nested(value: Any) -> Any:
    if isinstance(value, text.Typed):
        return _typed(value, "lossmith").made
    return tuple(map(_nested, value)) if isinstance(value, tuple) else value


def _own_name(name: str) -> str:
    """Return the registered name behind a name or a class."""
    bare = next((name[len(prefix) :] for prefix in _OWN if name.startswith(prefix)), name)
    classes = {registry.loss_class(known).__name__: known for known in registry.names()}
    return classes.get(bare, bare)


def _is_ours(name: str) -> bool:
    try:
        registry.loss_class(_own_name(name))
    except ValueError:
        return name.startswith(_OWN)
    return True


def _origin(typed: text.Typed, given: str) -> str:
    """Return the library that a text belongs to."""
    key = typed.given.get("")
    if key == "loss_function":
        return "catboost"
    for origin in ORIGINS:
        if _module(origin).LIBRARY.owns(typed.name):
            return origin
    if key is None and "." not in typed.name and _is_ours(typed.name):
        return "lossmith"
    if typed.name.startswith(_OWN):
        return "lossmith"
    if typed.name.startswith(("XGB", "LGBM", "CatBoost")):
        return {"X": "xgboost", "L": "lightgbm", "C": "catboost"}[typed.name[0]]
    among = ("xgboost", "lightgbm") if key == "objective" else ORIGINS
    found = [origin for origin in among if _module(origin).LIBRARY.knows(typed.name)]
    if len(found) > 1:
        found = [origin for origin in found if _module(origin).LIBRARY.knows(typed.name, common=True)] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{given!r} may be of {' or '.join(found)}; say which (--from {found[0]})")
    raise InputError(_unknown(typed.name))


def _unknown(name: str) -> str:
    known = [
        f"{origin}: {word}" for origin in ORIGINS for entry in _module(origin).LIBRARY.entries for word in entry.names
    ]
    bare = name.rpartition(".")[2]
    words = {line.partition(": ")[2]: line for line in known} | {
        f"{word}": f"lossmith: {word}" for word in registry.names()
    }
    close = [words[word] for word in difflib.get_close_matches(bare, words, n=3, cutoff=0.6)]
    hint = (
        f"did you mean {' or '.join(close)}?" if close else "write it as its library does, such as torch.nn.HuberLoss()"
    )
    return f"no library has a loss {name!r} that Lossmith knows; {hint}"


def _home(loss: Any) -> str:
    inner = loss.func if isinstance(loss, functools.partial) else loss
    module = getattr(inner, "__module__", type(inner).__module__)
    home = {"jax": "optax"}.get(str(module).partition(".")[0], str(module).partition(".")[0])
    if home not in ORIGINS:
        raise InputError(f"{type(loss).__name__} comes from none of {', '.join(ORIGINS)}")
    return home


def _module(name: str) -> Any:
    return importlib.import_module(f"{__package__}.{name}")


def _close(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


__all__ = ["ORIGINS", "TARGETS", "Translation", "ours", "read", "translate"]
