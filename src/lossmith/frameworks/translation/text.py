"""Losses as users type them: a name, or a call of literals. Nothing that is typed is ever run."""

from __future__ import annotations

import ast
import dataclasses
import re
from typing import Any

from ...core.errors import InputError

# torch.tensor([1.0, 3.0]) and its like in other libraries.
_ARRAYS = ("tensor", "array", "asarray", "as_tensor")
_LONGEST = 2000
_HOW = "write a name or a call of literals, such as torch.nn.SmoothL1Loss(beta=2)"


@dataclasses.dataclass(frozen=True)
class Typed:
    """A loss as it was typed.

    Attributes
    ----------
    name : str
        With dots, as typed.
    positional : tuple
        Values without a name.
    given : dict
        Values by their names.
    factor : float
        The number before the call, as in ``0.5 * mse``.
    """

    name: str
    positional: tuple[Any, ...] = ()
    given: dict[str, Any] = dataclasses.field(default_factory=dict)
    factor: float = 1.0


def read(text: str) -> Typed:
    """Take a loss apart.

    Parameters
    ----------
    text : str
        ``name``, ``name(parameter=value)``, ``number * call``, an objective like ``reg:quantileerror``, CatBoost's
        ``Huber:delta=2``, or a dictionary of a booster's parameters.

    Raises
    ------
    InputError
        For anything else.

    Examples
    --------
    >>> read("nn.SmoothL1Loss(beta=2)")
    Typed(name='nn.SmoothL1Loss', positional=(), given={'beta': 2}, factor=1.0)
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise InputError(f"the loss has {len(text)} characters, at most {_LONGEST} are read; {_HOW}")
    if re.fullmatch(r"\w+:\w+=[^():]*", text):
        found = _catboost(text)
        return dataclasses.replace(found, given={**found.given, "": "loss_function"})
    # The colon of an objective is no Python, so the name is put aside while the call is parsed.
    objective = re.match(r"([a-z_]+:[a-z_]+)(?=\s*(\(|$))", text)
    code = text if objective is None else "objective" + text[objective.end() :]
    try:
        found = _read(ast.parse(code, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as problem:
        reason = f": {problem}" if isinstance(problem, InputError) else ""
        raise InputError(f"cannot read {text!r}{reason}; {_HOW}") from None
    return found if objective is None else dataclasses.replace(found, name=objective.group(1))


def _catboost(text: str) -> Typed:
    name, _, rest = text.partition(":")
    given = dict(part.split("=", 1) for part in rest.split(";") if "=" in part)
    return Typed(name, given={key: _number(value) for key, value in given.items()})


def _number(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _read(node: ast.expr) -> Typed:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        factor = ast.literal_eval(node.left)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < float("inf"):
            raise InputError(f"a factor must be a finite number > 0, not {factor!r}")
        inner = _read(node.right)
        return dataclasses.replace(inner, factor=inner.factor * factor)
    if isinstance(node, ast.Dict):
        return _parameters(ast.literal_eval(node))
    if not isinstance(node, ast.Call):
        return Typed(_dotted(node))
    name = _dotted(node.func)
    if name.rpartition(".")[2] == "partial" and node.args:
        inner = _read(node.args[0])
        return dataclasses.replace(inner, given={**inner.given, **_named(node)}, positional=_values(node.args[1:]))
    return Typed(name, _values(node.args), _named(node))


def _parameters(params: dict[Any, Any]) -> Typed:
    """Read a booster's parameters."""
    for key in ("objective", "loss_function"):
        if isinstance(params.get(key), str):
            rest = {str(name): value for name, value in params.items() if name != key}
            typed = _catboost(params[key]) if "=" in params[key] else Typed(params[key])
            return dataclasses.replace(typed, given={**typed.given, **rest, "": key})
    raise InputError("the dictionary names no 'objective' or 'loss_function'")


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise InputError(f"{ast.unparse(node)[:60]!r} is no name")


def _values(nodes: list[ast.expr]) -> tuple[Any, ...]:
    return tuple(_value(node) for node in nodes)


def _named(call: ast.Call) -> dict[str, Any]:
    if any(keyword.arg is None for keyword in call.keywords):
        raise InputError("** is not accepted")
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _value(node: ast.expr) -> Any:
    """Return a literal; lists become tuples, and calls with a name of their own stay calls."""
    if isinstance(node, ast.Tuple | ast.List):
        return _values(list(node.elts))
    if isinstance(node, ast.Call):
        name = _dotted(node.func)
        if name.rpartition(".")[2] in _ARRAYS and node.args:
            return _value(node.args[0])
        return _read(node)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(f"{ast.unparse(node)[:60]!r} is no literal") from None
