"""How numbers and settings read in the report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

NOTHING = "–"


def number(value: Any, digits: int = 4) -> str:
    """Return a number with a few significant digits; a dash for what is not known.

    Examples
    --------
    >>> number(0.00012345), number(1234567.0), number(None), number(650.449)
    ('0.0001234', '1,234,567', '–', '650.4')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e12:
        return f"{int(value):,}"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def with_error(value: Any, error: Any) -> str:
    """Return a mean and its standard error, rounded alike: two digits of the error.

    Examples
    --------
    >>> with_error(650.449, 27.97), with_error(0.5027, 0.0109), with_error(1.5, None)
    ('650 ± 28', '0.503 ± 0.011', '1.5')
    """
    if value is None or error is None or error <= 0.0:
        return number(value)
    places = max(0, 1 - _magnitude(error))
    return f"{value:,.{places}f} ± {error:,.{places}f}"


def _magnitude(value: float) -> int:
    return int(f"{value:e}".rpartition("e")[2])


def percent(value: Any) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.0345), percent(None)
    ('3.5 %', '–')
    """
    return NOTHING if value is None else f"{100.0 * value:.2g} %" if value < 0.1 else f"{100.0 * value:.0f} %"


def settings(values: Mapping[str, Any]) -> str:
    """Return learner settings in one phrase.

    Examples
    --------
    >>> settings({"regularisation": 10.0}), settings({})
    ('regularisation 10', 'as usual')
    """
    return ", ".join(f"{key.replace('_', ' ')} {number(value)}" for key, value in values.items()) or "as usual"


def sentence(text: Any) -> str:
    """Return text that begins with a capital, unless it begins with a name, and ends with a full stop.

    Examples
    --------
    >>> sentence("the budget ended"), sentence("poisson_nll(a=b) wins.")
    ('The budget ended.', 'poisson_nll(a=b) wins.')
    """
    from ..core.registry import names

    line = str(text).strip().replace(" +- ", " ± ")
    first = line.partition(" ")[0]
    named = "_" in first or "(" in first or first in names()
    line = line if named else line[:1].upper() + line[1:]
    return line if line.endswith((".", "!", "?", ":")) else line + "."


def adjustment(values: Mapping[str, Any]) -> str:
    """Say what happens to predictions after the model."""
    kind = values.get("kind", "none")
    if kind == "none":
        return "none"
    names = {
        "shift": "shifted",
        "scale": "scaled",
        "platt": "Platt scaling of the logit",
        "temperature": "temperature",
    }
    numbers = ", ".join(f"{key} {number(value)}" for key, value in values.items() if key != "kind")
    return f"{names.get(kind, kind)} ({numbers})"


def command(asked: Mapping[str, Any], folder: str) -> str:
    """Return the shell command that makes this run again."""
    parts = ["lossmith", "run", str(asked.get("path", "DATA")), "--target", str(asked.get("target", "COLUMN"))]
    for option in ("task", "metric"):
        if asked.get(option, "auto") != "auto":
            parts += [f"--{option}", str(asked[option])]
    parts += ["--budget", f"{asked.get('budget_s', 60):g}s", "--output", folder]
    parts += ["--seed", str(asked.get("seed", 0)), "--jobs", str(asked.get("jobs", 2))]
    return shlex.join(parts)
