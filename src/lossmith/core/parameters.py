"""Hyper-parameters of losses: dataclass fields that are checked once, when the loss is made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

Encode = Callable[[Any], tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Check:
    """What values a hyper-parameter accepts.

    Attributes
    ----------
    accepts : str
        The rule in words, as it stands in the error message.
    convert : callable
        Returns the value in its final type; raises ValueError or TypeError for what it does not accept.
    encode : callable
        The numbers a formula receives for this value; an empty tuple for a setting that is no number.
    others : tuple
        Accepted values besides the default, with which a loss is tried where it stands for all its kinds.
    """

    accepts: str
    convert: Callable[[Any], Any]
    encode: Encode
    others: tuple[Any, ...] = ()


def check_fields(instance: Any) -> None:
    """Convert and check every field of a frozen dataclass that declares a :class:`Check`.

    Raises
    ------
    ValueError
        Names the loss, the field, what was given and what is accepted.
    """
    for field in dataclasses.fields(instance):
        check = field.metadata.get("check")
        if check is None:
            continue
        given = getattr(instance, field.name)
        try:
            object.__setattr__(instance, field.name, check.convert(given))
        except (TypeError, ValueError):
            name = type(instance).__name__
            raise ValueError(f"{name}: {field.name}={given!r} is not accepted; give {check.accepts}") from None


def encoded(instance: Any) -> tuple[float, ...]:
    """Return the numbers the formulas of a loss receive, in the order of its fields."""
    numbers: list[float] = []
    for field in dataclasses.fields(instance):
        check = field.metadata.get("check")
        if check is not None:
            numbers.extend(check.encode(getattr(instance, field.name)))
    return tuple(numbers)


def _field(default: Any, check: Check) -> Any:
    return dataclasses.field(default=default, metadata={"check": check})


def custom(default: Any, check: Check) -> Any:
    """Declare a field with a check of its own."""
    return _field(default, check)


def _number(accept: Callable[[float], bool]) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if isinstance(value, (bool, str)) or not accept(number := float(value)):
            raise ValueError
        return number

    return convert


def _itself(value: float) -> tuple[float, ...]:
    return (value,)


def _nothing(value: Any) -> tuple[float, ...]:
    return ()


def positive(default: float) -> Any:
    """Declare a finite number > 0."""
    return _field(default, Check("a finite number > 0", _number(lambda v: 0 < v < math.inf), _itself, (0.5 * default,)))


def non_negative(default: float) -> Any:
    """Declare a finite number >= 0."""
    rule = _number(lambda v: 0 <= v < math.inf)
    return _field(default, Check("a finite number >= 0", rule, _itself, (default + 0.5,)))


def above(bound: float, default: float) -> Any:
    """Declare a finite number > a bound."""
    return _field(default, Check(f"a finite number > {bound:g}", _number(lambda v: bound < v < math.inf), _itself))


def fraction(default: float) -> Any:
    """Declare a number strictly between 0 and 1."""
    return _field(default, Check("a number strictly between 0 and 1", _number(lambda v: 0 < v < 1), _itself, (0.9,)))


def share(default: float) -> Any:
    """Declare a number in [0, 1)."""
    return _field(default, Check("a number >= 0 and < 1", _number(lambda v: 0 <= v < 1), _itself, (0.1,)))


def optional(field: Any, encode: Encode = _nothing) -> Any:
    """Make None acceptable for another field's kind.

    Parameters
    ----------
    field : dataclasses.Field
        Made by one of the functions above; its default is replaced by None.
    encode : callable
        What the formula receives, None included.
    """
    check: Check = field.metadata["check"]

    def convert(value: Any) -> Any:
        return None if value is None else check.convert(value)

    return _field(None, Check(f"{check.accepts}, or None", convert, encode, check.others))


def choice(default: str, options: Iterable[str]) -> Any:
    """Declare one of several words."""
    allowed = tuple(options)

    def convert(value: Any) -> str:
        if value not in allowed:
            raise ValueError
        return str(value)

    words = " or ".join(repr(option) for option in allowed)
    return _field(default, Check(words, convert, _nothing, tuple(word for word in allowed if word != default)))


def flag(default: bool) -> Any:
    """Declare True or False."""

    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return _field(default, Check("True or False", convert, _nothing, (not default,)))


def whole(default: int, at_least: int = 0) -> Any:
    """Declare an integer with a lower bound."""

    def convert(value: Any) -> int:
        if isinstance(value, bool) or int(value) != value or value < at_least:
            raise ValueError
        return int(value)

    return _field(default, Check(f"a whole number >= {at_least}", convert, _nothing))


def weights(default: tuple[float, ...] | None = None) -> Any:
    """Declare None or a sequence of finite numbers >= 0, at least one above 0, kept as a tuple."""

    def convert(value: Any) -> tuple[float, ...] | None:
        if value is None:
            return None
        numbers = tuple(float(v) for v in value)
        if not numbers or max(numbers) <= 0 or not all(0 <= v < math.inf for v in numbers):
            raise ValueError
        return numbers

    rule = "None or a sequence of finite numbers >= 0, not all 0"
    return _field(default, Check(rule, convert, _nothing, ((1.0, 3.0, 0.5),)))
