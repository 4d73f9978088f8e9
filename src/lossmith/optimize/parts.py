"""Parts with a name and settings, such as solvers and searches: from text and configurations, and back."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from ..core.parameters import check_fields

P = TypeVar("P", bound="type[Part]")


@dataclasses.dataclass(frozen=True)
class Part:
    """A frozen record of settings, checked when it is made."""

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_fields(self)

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description, such as ``{"solver": "gd", "params": {...}}``."""
        params = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain = {key: value.to_config() if isinstance(value, Part) else value for key, value in params.items()}
        return {self.kind: self.name, "params": plain}

    def __str__(self) -> str:
        """Return the name, with the settings that differ from the defaults: text that makes an equal part."""
        told = [
            f"{field.name}={value if isinstance(value, Part) else repr(value)}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{self.name}({', '.join(told)})" if told else self.name


class Registry:
    """The parts of one kind, by name.

    Parameters
    ----------
    kind : str
        "solver" or "search".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[Part]] = {}
        self._names: dict[str, str] = {}

    def register(self, name: str, aliases: tuple[str, ...] = ()) -> Callable[[P], P]:
        """Enter a class under a name and aliases."""

        def enter(cls: P) -> P:
            cls.name, cls.aliases, cls.kind = name, aliases, self.kind
            self._classes[name] = cls
            self._names.update(dict.fromkeys((name, *aliases), name))
            return cls

        return enter

    def names(self) -> tuple[str, ...]:
        """Return the names, in the order in which they were entered."""
        return tuple(self._classes)

    def known(self, name: str) -> bool:
        """Tell whether a name or an alias is taken."""
        return _folded(name) in self._names

    def build(self, name: str, params: dict[str, Any]) -> Any:
        """Make a part from a name and its settings.

        Raises
        ------
        ValueError
            For an unknown name or setting.
        """
        found = self._names.get(_folded(name))
        if found is None:
            raise ValueError(f"no {self.kind} is called {name!r}; {self._hint(_folded(name))}")
        cls = self._classes[found]
        fields = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(params) - set(fields))
        if unknown:
            accepted = ", ".join(fields) or "none"
            raise ValueError(f"the {self.kind} {found!r} has no setting {unknown[0]!r}; its settings: {accepted}")
        return cls(**params)

    def _hint(self, name: str) -> str:
        import difflib

        close = difflib.get_close_matches(name, self._names, n=2)
        return f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(self._classes)}"


def _folded(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def parse(text: str, registry: Registry, inner: tuple[Registry, ...] = ()) -> Any:
    """Make a part from text: a name, or a call such as ``"gd(search=armijo(shrink=0.3))"``.

    Parameters
    ----------
    text : str
        What was written.
    registry : Registry
        Of the part.
    inner : tuple of Registry
        Where names within the call are looked up.

    Raises
    ------
    ValueError
        For text that is no call, and unknown names.
    """
    if "(" not in text:
        return registry.build(text, {})
    try:
        node = ast.parse(text.strip().replace("-", "_") if "=" not in text else text.strip(), mode="eval").body
    except SyntaxError:
        raise _unreadable(text) from None
    return _made(node, registry, inner, text)


def _made(node: ast.expr, registry: Registry, inner: tuple[Registry, ...], text: str) -> Any:
    if isinstance(node, ast.Name):
        return registry.build(node.id, {})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise _unreadable(text)
    return registry.build(node.func.id, {str(k.arg): _value(k.value, inner, text) for k in node.keywords})


def _value(node: ast.expr, inner: tuple[Registry, ...], text: str) -> Any:
    name = node.func if isinstance(node, ast.Call) else node
    if isinstance(name, ast.Name):
        for registry in inner:
            if registry.known(name.id) or registry is inner[-1]:
                return _made(node, registry, inner, text)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _unreadable(text) from None


def _unreadable(text: str) -> ValueError:
    return ValueError(f"cannot read {text!r}; write name(setting=value, ...), such as gd(search=armijo)")


def revive(config: Any, registries: dict[str, Registry]) -> Any:
    """Make a part from what :meth:`Part.to_config` returned.

    Raises
    ------
    ValueError
        When the dictionary has another form.
    """
    kind = next((key for key in registries if isinstance(config, dict) and key in config), None)
    if kind is None or set(config) - {kind, "params"}:
        raise ValueError(f"not a configuration: {config!r}; it looks like {{'solver': 'gd', 'params': ...}}")
    params = {
        key: revive(value, registries) if isinstance(value, dict) else value
        for key, value in config.get("params", {}).items()
    }
    return registries[kind].build(config[kind], params)
