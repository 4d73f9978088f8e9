"""What the tables of the boosters share: an objective is a name among a dictionary of training parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import InputError
from . import objects, text
from .tables import Entry, Given, Library, Meaning, Variant


def entry(
    *names: str,
    variants: tuple[Variant, ...],
    fixed: Mapping[str, str] | None = None,
    otherwise: str = "",
    **params: Any,
) -> Entry:
    """Return the entry of an objective; parameters of the training may stand beside its own."""
    return Entry(names, params, variants, "", fixed or {}, otherwise=otherwise, lenient=True)


def half(given: Given) -> float:
    """Return 1/2: what boosters multiply the square by, for a gradient without a factor 2."""
    return 0.5


def none(*names: str, why: str = "the catalogue has no such loss") -> Entry:
    """Return the entry of an objective without an equal."""
    return Entry(names, refused=why)


def read(library: Library, key: str, objective: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return the meaning of an objective.

    Parameters
    ----------
    library : Library
        The booster's table.
    key : str
        What the booster calls its objective among its parameters.
    objective : str, mapping or estimator
        A name, or parameters that hold one, or an estimator with such parameters.
    parameters : mapping
        Given beside it.

    Raises
    ------
    InputError
        When it has no equal, or no objective is named.
    """
    if isinstance(objective, str):
        return objects.meaning(library, unpacked(text.read(objective), key), parameters)
    if isinstance(objective, Mapping):
        given = {str(name): value for name, value in objective.items()}
    elif not isinstance(objective, type) and type(objective).__module__.partition(".")[0] == library.name:
        given = {name: value for name, value in objective.get_params().items() if value is not None}
        given.setdefault(key, default(type(objective).__name__))
    else:
        raise InputError(f"{library.name}: give an objective's name, parameters that hold one, or an estimator")
    named = given.pop(key, None)
    if not isinstance(named, str):
        raise InputError(f"{library.name}: {key!r} is {named!r}; give an objective's name")
    return objects.meaning(library, unpacked(text.read(named), key), {**given, **parameters})


def unpacked(typed: text.Typed, key: str) -> text.Typed:
    """Return the objective of a typed estimator or dictionary of parameters, and other text as it is."""
    given = {name: value for name, value in typed.given.items() if name}
    if key not in given and not typed.name.rpartition(".")[2].endswith(("Regressor", "Classifier", "Ranker")):
        return text.Typed(typed.name, typed.positional, given, typed.factor)
    named = given.pop(key, None) or default(typed.name)
    inner = unpacked(text.read(str(named)), key)
    return text.Typed(inner.name, typed.positional, {**inner.given, **given}, typed.factor)


def default(estimator: str) -> str:
    """Return the objective that an estimator has without being told."""
    name = estimator.rpartition(".")[2]
    if name not in _DEFAULTS:
        raise InputError(f"{estimator} names no objective; give one of its booster's, by its name")
    return _DEFAULTS[name]


_DEFAULTS = {
    "XGBRegressor": "reg:squarederror",
    "XGBRFRegressor": "reg:squarederror",
    "LGBMRegressor": "regression",
    "LGBMClassifier": "binary",
    "XGBClassifier": "binary:logistic",
    "CatBoostRegressor": "RMSE",
    "CatBoostClassifier": "Logloss",
}
