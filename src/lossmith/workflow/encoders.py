"""How one column becomes numbers: for a linear model (complete, standardised) and for trees (raw, gaps kept).

What an encoder learnt is in its fields and nowhere else, all of it plain JSON: a saved model runs no code.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select.columns import as_dates, as_numbers, as_text, quoted

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]

MOST_LEVELS = 50  # one-hot columns of one text column
LEAST_ROWS = 5  # rows of a level that may have a coefficient of its own
MOST_CODES = 254  # histogram trees keep 255 bins; the last code is for all other levels
_CYCLES = {"month": 12, "weekday": 7, "hour": 24}


@dataclass(frozen=True)
class Encoder(ABC):
    """Turns one named column into numbers.

    Attributes
    ----------
    name : str
        The column it reads.
    """

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def linear_names(self) -> tuple[str, ...]:
        """Names of the columns that `linear` gives."""

    @abstractmethod
    def tree_names(self) -> tuple[str, ...]:
        """Names of the columns that `trees` gives."""

    @abstractmethod
    def linear(self, column: pd.Series) -> Array:
        """Give complete, standardised numbers, shape (rows, len(linear_names()))."""

    @abstractmethod
    def trees(self, column: pd.Series) -> Array:
        """Give raw numbers with NaN for gaps, shape (rows, len(tree_names()))."""

    @property
    def categorical(self) -> bool:
        """Whether the tree columns are codes without an order."""
        return self.kind == "text"

    def to_config(self) -> dict[str, Any]:
        """Give the fields as plain JSON."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class NumberEncoder(Encoder):
    """Numbers and booleans: gaps filled with the median and marked, then standardised.

    Attributes
    ----------
    name : str
        The column.
    fill : float
        The median, for gaps; in the column's units, as the next two.
    centre, scale : float
        Mean and standard deviation after filling.
    marks_gaps : bool
        Whether the column had gaps, so that a second column marks them.
    """

    kind: ClassVar[str] = "number"
    fill: float
    centre: float
    scale: float
    marks_gaps: bool

    @classmethod
    def fit(cls, column: pd.Series) -> NumberEncoder:
        """Learn from the training rows."""
        values = as_numbers(column)
        gaps = np.isnan(values)
        fill = float(np.median(values[~gaps])) if not gaps.all() else 0.0
        centre, scale = _standard(np.where(gaps, fill, values))
        return cls(str(column.name), fill, centre, scale, bool(gaps.any()))

    def linear_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        return (self.name, f"{self.name} missing") if self.marks_gaps else (self.name,)

    def tree_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        return (self.name,)

    def linear(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        values = self.trees(column)
        gaps = np.isnan(values)
        standard = _standardised(np.where(gaps, self.fill, values), self.centre, self.scale)
        return np.hstack([standard, gaps]) if self.marks_gaps else standard

    def trees(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        values = as_numbers(column)
        _refuse_unread(column, np.isnan(values), "numbers")
        return values[:, None]


@dataclass(frozen=True)
class DateEncoder(Encoder):
    """Dates: days since 1970, and month, weekday and hour where they vary.

    Attributes
    ----------
    name : str
        The column.
    fill : float
        Median day (days since 1970-01-01), for gaps.
    centre, scale : float
        Mean and standard deviation of the days after filling.
    cycles : tuple of str
        Which of month, weekday and hour vary.
    """

    kind: ClassVar[str] = "date"
    fill: float
    centre: float
    scale: float
    cycles: tuple[str, ...]

    @classmethod
    def fit(cls, column: pd.Series) -> DateEncoder:
        """Learn from the training rows."""
        times = as_dates(column)
        days = as_numbers(times)
        gaps = np.isnan(days)
        fill = float(np.median(days[~gaps])) if not gaps.all() else 0.0
        centre, scale = _standard(np.where(gaps, fill, days))
        parts = _parts(times)
        varies = tuple(name for name in _CYCLES if np.unique(parts[name][~gaps]).size > 1)
        return cls(str(column.name), fill, centre, scale, varies)

    def linear_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        waves = (f"{self.name} {part} {wave}" for part in self.cycles for wave in ("sin", "cos"))
        return (f"{self.name} days", *waves)

    def tree_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        return (f"{self.name} days", *(f"{self.name} {part}" for part in self.cycles))

    def linear(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        raw = self.trees(column)
        days = _standardised(np.where(np.isnan(raw[:, 0]), self.fill, raw[:, 0]), self.centre, self.scale)
        angles = [2 * np.pi * raw[:, at] / _CYCLES[part] for at, part in enumerate(self.cycles, 1)]
        waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
        return np.column_stack([days, *(np.nan_to_num(wave) for wave in waves)])

    def trees(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        times = as_dates(column)
        _refuse_unread(column, np.asarray(times.isna()), "ISO dates (2024-12-31)")
        parts = _parts(times)
        return np.column_stack([as_numbers(times), *(parts[name] for name in self.cycles)])


def _parts(times: pd.Series) -> dict[str, Array]:
    values = {"month": times.dt.month, "weekday": times.dt.day_of_week, "hour": times.dt.hour}
    return {name: np.asarray(part, dtype=np.float64) for name, part in values.items()}


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """Text: one-hot columns for the frequent levels, or codes by falling frequency for trees.

    The most frequent level is the reference and has no column. A level that was never seen counts as the rare
    ones do; if there were none, as the reference. No encoding looks at the target.

    Attributes
    ----------
    name : str
        The column.
    levels : tuple of str
        Levels by falling frequency; a level's code for trees is its place. At most 254: the rest share the next
        code.
    own : int
        How many of the first levels have a place of their own in the linear model, the reference included.
    pools : bool
        Whether rarer levels occurred, so that a column marks them.
    marks_gaps : bool
        Whether the column had gaps, so that a column marks them.
    """

    kind: ClassVar[str] = "text"
    levels: tuple[str, ...]
    own: int
    pools: bool
    marks_gaps: bool

    @classmethod
    def fit(cls, column: pd.Series) -> TextEncoder:
        """Learn from the training rows."""
        import pandas as pd

        codes, levels = pd.factorize(as_text(column))
        counts = np.bincount(codes[codes >= 0], minlength=len(levels))
        order = np.lexsort((np.asarray(levels, dtype=str), -counts))
        own = max(1, int((counts[order][:MOST_LEVELS] >= LEAST_ROWS).sum()))
        kept = tuple(str(levels[at]) for at in order[:MOST_CODES])
        return cls(str(column.name), kept, own, len(levels) > own, bool((codes < 0).any()))

    def linear_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        marks = ["rare"] * self.pools + ["missing"] * self.marks_gaps
        return (*(f"{self.name}={level}" for level in self.levels[1 : self.own]), *(f"{self.name} {m}" for m in marks))

    def tree_names(self) -> tuple[str, ...]:
        """See `Encoder`."""
        return (self.name,)

    def linear(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        code = self.trees(column)[:, 0]
        marks = [code == at for at in range(1, self.own)]
        marks += [code >= self.own] * self.pools + [np.isnan(code)] * self.marks_gaps
        return np.array(marks, dtype=np.float64).reshape(len(marks), code.size).T

    def trees(self, column: pd.Series) -> Array:
        """See `Encoder`."""
        import pandas as pd

        words = as_text(column)
        code = pd.Index(self.levels, dtype=object).get_indexer(words).astype(np.float64)
        code[code < 0] = len(self.levels)
        code[pd.isna(words)] = np.nan
        return np.asarray(code[:, None])


ENCODERS: dict[str, type[NumberEncoder | DateEncoder | TextEncoder]] = {
    encoder.kind: encoder for encoder in (NumberEncoder, DateEncoder, TextEncoder)
}


def encoder_from_config(config: dict[str, Any]) -> Encoder:
    """Make an encoder from what `Encoder.to_config` gave, lists being taken for tuples as JSON has no tuples.

    Parameters
    ----------
    config : dict
        ``kind`` and the encoder's fields.

    Returns
    -------
    Encoder

    Raises
    ------
    InputError
        If the kind or the fields are unknown.
    """
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    try:
        return ENCODERS[fields.pop("kind")](**fields)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the saved preparation of column {quoted(config.get('name'))} is damaged; train the model again"
        ) from error


def _standard(values: Array) -> tuple[float, float]:
    unit = float(np.abs(values).max()) or 1.0  # squares of 1e200 overflow; those of shares do not
    return float((values / unit).mean() * unit), float((values / unit).std() * unit) or 1.0


def _standardised(values: Array, centre: float, scale: float) -> Array:
    """Standardise; what lies beyond a million standard deviations stays there, so that nothing overflows."""
    with np.errstate(over="ignore"):
        return np.clip(values / scale - centre / scale, -1e6, 1e6)


def _refuse_unread(column: pd.Series, gaps: Array, wanted: str) -> None:
    """Refuse a cell that holds something and yet came out as a gap; infinities are let pass as gaps."""
    if column.dtype.kind in "fiub":
        return
    bad = gaps & ~np.asarray(column.isna()) & ~np.array([isinstance(v, float) for v in column], dtype=bool)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"column {quoted(column.name)} held {wanted} in training and holds {quoted(column.iloc[row])} in data row "
            f"{row + 1}; correct that cell or leave it empty"
        )
