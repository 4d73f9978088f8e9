"""Find a loss by name, by text or by what it claims."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import near

if TYPE_CHECKING:
    from .loss import Loss

C = TypeVar("C", bound="type[Loss]")

_classes: dict[str, type[Loss]] = {}
_aliases: dict[str, str] = {}


def register(name: str, aliases: tuple[str, ...] = ()) -> Callable[[C], C]:
    """Enter a loss class into the registry under a snake_case name and aliases.

    Raises
    ------
    ValueError
        When a name is already taken by another class.
    """

    def enter(cls: C) -> C:
        for word in (name, *aliases):
            holder = _classes.get(_aliases.get(word, word))
            if holder is not None and holder.__qualname__ != cls.__qualname__:
                raise ValueError(f"the name {word!r} already stands for {holder.__name__}")
        cls.name = name
        cls.aliases = aliases
        _classes[name] = cls
        _aliases.update(dict.fromkeys(aliases, name))
        return cls

    return enter


def names() -> tuple[str, ...]:
    """Return the registered names in alphabetical order."""
    return tuple(sorted(_classes))


def loss_class(name: str) -> type[Loss]:
    """Return the class behind a name or an alias.

    Raises
    ------
    ValueError
        Suggests close names.
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    found = _classes.get(_aliases.get(key, key))
    if found is None:
        close = near(key, [*_classes, *_aliases])
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see lossmith.find(), 'lossmith list'"
        raise ValueError(f"no loss is called {name!r}; {hint}")
    return found


def get(spec: str | Loss, **params: Any) -> Loss:
    """Make a loss from its name, such as ``"huber"``, or a call in text, ``"huber(delta=1.35)"``.

    Parameters
    ----------
    spec : str or Loss
        A name, an alias, or a call with literal arguments. A loss is returned as it is.
    **params
        Hyper-parameters.

    Returns
    -------
    Loss
        The loss.

    Raises
    ------
    ValueError
        For an unknown name, an unreadable call, or a hyper-parameter the loss does not have.
    TypeError
        For what is neither text nor a loss, such as a class.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.get("huber(delta=1.35)")
    Huber(delta=1.35)
    """
    if not isinstance(spec, str):
        return _made(spec)
    name, written = _parse(spec)
    return build(name, {**written, **params})


def _made(spec: Any) -> Loss:
    from .loss import Loss

    if isinstance(spec, Loss):
        return spec
    given = f"the class {spec.__name__}; write {spec.__name__}()" if isinstance(spec, type) else f"{spec!r}"
    raise TypeError(f"a loss is a name, such as 'huber', or a Loss, not {given}")


def build(name: str, params: dict[str, Any]) -> Loss:
    """Make a loss from a name and a dictionary of hyper-parameters."""
    cls = loss_class(name)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    unknown = sorted(set(params) - set(known))
    if unknown:
        accepted = ", ".join(known) or "none"
        raise ValueError(f"{cls.__name__} has no parameter {unknown[0]!r}; its parameters: {accepted}")
    return cls(**params)


def _parse(spec: str) -> tuple[str, dict[str, Any]]:
    if "(" not in spec:
        return spec, {}
    try:
        call = ast.parse(spec.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        return call.func.id, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise ValueError(f"cannot read {spec!r}; write name(parameter=value, ...)") from None


def from_config(config: dict[str, Any]) -> Loss:
    """Make a loss from what ``loss.to_config()`` returned.

    Parameters
    ----------
    config : dict
        ``{"loss": name, "params": {...}}``; values that are such dictionaries become losses.

    Returns
    -------
    Loss
        A loss equal to the one that was saved.

    Raises
    ------
    ValueError
        When the dictionary has another form.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_config({"loss": "huber", "params": {"delta": 1.35}})
    Huber(delta=1.35)
    """
    if not isinstance(config, dict) or set(config) - {"loss", "params"} or "loss" not in config:
        raise ValueError(f"not a loss configuration: {config!r}; it looks like {{'loss': ..., 'params': ...}}")
    return build(config["loss"], {key: _revive(value) for key, value in config.get("params", {}).items()})


def _revive(value: Any) -> Any:
    if isinstance(value, dict) and "loss" in value:
        return from_config(value)
    if isinstance(value, dict):
        return {key: _revive(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_revive(item) for item in value)
    return value


def find(text: str = "", **claims: Any) -> list[Loss]:
    """Search the registry.

    Parameters
    ----------
    text : str
        Words that must all appear in the name, the aliases, the docstring, or what the guide says for the loss: its
        pros and what it is best for. A plural finds the singular, too.
    **claims
        Fields of :class:`~lossmith.core.traits.Traits` with the wanted value, or a function that tells
        whether a value is wanted.

    Returns
    -------
    list of Loss
        Losses with default hyper-parameters, by name.

    Raises
    ------
    ValueError
        For a claim that does not exist.

    Examples
    --------
    >>> import lossmith as lm
    >>> [loss.name for loss in lm.find("outliers", task="regression", convex=True)]
    ['huber', 'log_cosh', 'mae']
    """
    from .traits import Traits

    fields = [field.name for field in dataclasses.fields(Traits)]
    unknown = sorted(set(claims) - set(fields))
    if unknown:
        raise ValueError(f"no trait is called {unknown[0]!r}; traits: {', '.join(fields)}")
    losses = [_classes[name].example() for name in names()]
    return [loss for loss in losses if _mentions(loss, text) and _claims(loss, claims)]


def _mentions(loss: Loss, text: str) -> bool:
    about = loss.about
    # Not its cons: who asks for outliers does not want what is sensitive to them.
    words = " ".join((loss.name, *loss.aliases, type(loss).__doc__ or "", about.pros, about.best_for)).lower()
    return all(part in words or (len(part) > 4 and part.removesuffix("s") in words) for part in text.lower().split())


def _claims(loss: Loss, wanted: dict[str, Any]) -> bool:
    traits = loss.traits
    for name, value in wanted.items():
        actual = getattr(traits, name)
        if not (value(actual) if callable(value) else actual == value):
            return False
    return True
