"""What kind of column is this, and its values in the one form the rest of the package works on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lossmith.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "boolean", "date", "text", "empty"]

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_ID_NAME = re.compile(r"(^|[_\s.:-])(id|ids|index|idx|uuid|guid|key|rownames?|row|unnamed)($|[_\s.:0-9-])", re.I)
_FEW = 20  # below this many values "all different" is what chance gives
LARGEST = 1e150  # of a number whose square is finite
HIGH_CARDINALITY = 50  # levels of a text above which it is called so


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of one feature column.

    Attributes
    ----------
    name : str
        The column's name.
    kind : str
        ``"number"``, ``"boolean"``, ``"date"``, ``"text"`` or ``"empty"`` (no value at all).
    missing : int
        Cells without a value, infinite numbers included.
    infinite : int
        Cells that hold plus or minus infinity, or a number beyond 1e150.
    distinct : int
        Different values, missing ones not counted.
    constant : bool
        At most one value, and it is never missing (an empty column is constant too).
    identifying : bool
        Names the row and so cannot carry over to new rows: a text that never repeats, or whole numbers that
        never repeat and are dense like 1..n, only rise or only fall down the file, or are called an id.
    numeric_share : float or None
        For text: the share of its values that read as numbers; None for the other kinds.
    """

    name: str
    kind: Kind
    missing: int
    infinite: int
    distinct: int
    constant: bool
    identifying: bool
    numeric_share: float | None


def quoted(name: object, limit: int = 60) -> str:
    """Quote a name or a cell for a message: one line, no control characters, at most `limit` characters."""
    text = repr(str(name))
    return text if len(text) <= limit else f"{text[: limit - 4]}...'"


def as_text(column: pd.Series) -> np.ndarray[Any, Any]:
    """Values as text, so that 1, 1.0 and "1" are one level however the file was typed.

    Parameters
    ----------
    column : pandas.Series
        Any column.

    Returns
    -------
    ndarray of object
        A str per cell, None where it is missing.
    """
    values = np.asarray(column.astype(object), dtype=object)
    missing = np.asarray(column.isna(), dtype=bool)
    return np.array([None if gap else _word(v) for v, gap in zip(values, missing, strict=True)], dtype=object)


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_numbers(column: pd.Series) -> np.ndarray[Any, Any]:
    """Values as float64, with infinities and what does not read as a number made NaN; dates become days.

    Beyond 1e150 a number counts as infinite: no loss can square it.

    Parameters
    ----------
    column : pandas.Series
        A column of numbers, booleans, dates (days since 1970-01-01, UTC), durations (seconds) or text.

    Returns
    -------
    ndarray of float64
    """
    values = _float64(column)
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def infinite_cells(column: pd.Series) -> np.ndarray[Any, Any]:
    """Mark the cells that `as_numbers` takes for infinite."""
    return np.asarray(np.abs(_float64(column)) > LARGEST)


def _float64(column: pd.Series) -> np.ndarray[Any, Any]:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        return _days(pd.to_datetime(column, utc=True))
    if column.dtype.kind == "m":
        return np.asarray(column.dt.total_seconds(), dtype=np.float64)
    return np.asarray(pd.to_numeric(column, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _days(times: pd.Series) -> np.ndarray[Any, Any]:
    stamps = np.asarray(times.dt.tz_localize(None).to_numpy())
    return np.asarray((stamps - np.datetime64(0, "D")) / np.timedelta64(1, "D"), dtype=np.float64)


def as_dates(column: pd.Series) -> pd.Series:
    """Values as UTC time stamps, NaT where a value is missing or is no ISO 8601 date."""
    import pandas as pd

    if column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.to_datetime(column, utc=True)
    words = pd.Series(as_text(column), index=column.index, dtype=object)
    return pd.to_datetime(words, format="ISO8601", utc=True, errors="coerce")


def kind_of(column: pd.Series) -> Kind:
    """Say what kind of values a column holds.

    Parameters
    ----------
    column : pandas.Series
        Any column with one value per cell.

    Returns
    -------
    str
        ``"number"``, ``"boolean"``, ``"date"``, ``"text"`` or ``"empty"``.

    Raises
    ------
    InputError
        If cells hold lists, mappings or complex numbers.
    """
    import pandas as pd

    dtype = column.dtype
    if dtype.kind == "c":
        raise InputError(f"column {quoted(column.name)} holds complex numbers; give two real columns instead")
    if column.isna().all():
        return "empty"
    if isinstance(dtype, pd.CategoricalDtype):
        return "text"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        return "date"
    if pd.api.types.is_numeric_dtype(dtype) or dtype.kind == "m":
        return "number"
    return _kind_of_objects(column)


def _kind_of_objects(column: pd.Series) -> Kind:
    import datetime
    import numbers

    values = np.asarray(column.dropna().astype(object), dtype=object)
    types = {type(v) for v in values}
    for bad in (list, dict, set, tuple, np.ndarray):
        if any(issubclass(t, bad) for t in types):
            raise InputError(
                f"column {quoted(column.name)} holds a {bad.__name__} in a cell; "
                "give one value per cell (flatten or drop it)"
            )
    if all(issubclass(t, bool | np.bool_) for t in types):
        return "boolean"
    if all(_is_number_type(t, numbers.Number) for t in types):
        return "number"
    if all(issubclass(t, datetime.date) for t in types):
        return "date"
    return "date" if _iso_dates(values) else "text"


def _is_number_type(kind: type, number: type) -> bool:
    return issubclass(kind, number) and not issubclass(kind, bool | np.bool_)


def _iso_dates(values: np.ndarray[Any, Any]) -> bool:
    import pandas as pd

    # The first value decides almost always: a text column must not pay for a parse of every cell.
    if not (isinstance(values[0], str) and _ISO_DATE.fullmatch(values[0])):
        return False
    distinct = pd.unique(values)
    if not all(isinstance(v, str) and _ISO_DATE.fullmatch(v) for v in distinct):
        return False
    return (
        not pd.to_datetime(pd.Series(distinct, dtype=object), format="ISO8601", utc=True, errors="coerce").isna().any()
    )


def describe_column(column: pd.Series) -> ColumnFacts:
    """Gather the facts of one column.

    Parameters
    ----------
    column : pandas.Series
        The column, in file order (whether whole numbers only rise or fall is a property of the order).

    Returns
    -------
    ColumnFacts
    """
    kind = kind_of(column)
    if kind == "empty":
        return ColumnFacts(str(column.name), kind, len(column), 0, 0, True, False, None)
    if kind == "text":
        return _describe_text(column)
    raw = _float64(as_dates(column)) if kind == "date" else _float64(column)
    finite = raw[np.abs(raw) <= LARGEST]
    distinct = int(np.unique(finite).size)
    missing = raw.size - finite.size
    return ColumnFacts(
        name=str(column.name),
        kind=kind,
        missing=missing,
        infinite=int((np.abs(raw) > LARGEST).sum()),
        distinct=distinct,
        constant=distinct <= 1 and missing in (0, raw.size),
        identifying=kind == "number" and missing == 0 and _whole_identifiers(str(column.name), finite, distinct),
        numeric_share=None,
    )


def _whole_identifiers(name: str, values: np.ndarray[Any, Any], distinct: int) -> bool:
    if values.size < _FEW or distinct < values.size or not np.array_equal(values, np.rint(values)):
        return False
    steps = np.diff(values)
    dense = np.ptp(values) < 1.5 * values.size
    return bool(dense or (steps > 0).all() or (steps < 0).all() or _ID_NAME.search(name))


def _describe_text(column: pd.Series) -> ColumnFacts:
    import pandas as pd

    codes, levels = pd.factorize(as_text(column))
    present = codes[codes >= 0]
    numeric = pd.to_numeric(pd.Series(levels, dtype=object), errors="coerce").notna().to_numpy()
    return ColumnFacts(
        name=str(column.name),
        kind="text",
        missing=codes.size - present.size,
        infinite=0,
        distinct=len(levels),
        constant=len(levels) == 1 and present.size == codes.size,
        identifying=len(levels) == present.size >= _FEW,
        numeric_share=float(numeric[present].mean()),
    )
