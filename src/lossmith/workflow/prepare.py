"""From a table to the matrices that learners take, the same way for training rows and for new ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select.columns import LARGEST, ColumnFacts, quoted
from lossmith.select.records import Facts
from lossmith.workflow.encoders import (
    MOST_LEVELS,
    DateEncoder,
    Encoder,
    NumberEncoder,
    TextEncoder,
    encoder_from_config,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Preparation"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Preparation:
    """Everything that was learnt about turning the columns into numbers.

    Attributes
    ----------
    encoders : tuple of Encoder
        One for each column that is used, in file order.
    notes : tuple of str
        Which columns are left out or changed, and why, a sentence each.

    Examples
    --------
    >>> import pandas as pd
    >>> from lossmith.select.facts import analyse
    >>> X = pd.DataFrame({"size": [1.0, 2.0, 3.0, 6.0], "kind": ["a", "b", "a", "a"]})
    >>> preparation = Preparation.fit(X, analyse(X, pd.Series([1.5, 2.5, 3.0, 9.0], name="price")))
    >>> preparation.trees(X).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [6.0, 0.0]]
    """

    encoders: tuple[Encoder, ...]
    notes: tuple[str, ...]

    @classmethod
    def fit(cls, X: pd.DataFrame, facts: Facts) -> Preparation:
        """Learn from the training rows; the target is not looked at.

        Parameters
        ----------
        X : pandas.DataFrame, shape (rows, columns)
            The features of the training rows.
        facts : Facts
            The analysis of the whole data, which settles kinds and what is left out.

        Returns
        -------
        Preparation

        Raises
        ------
        InputError
            If no column carries anything.
        """
        used = _used(facts)
        notes = [note for column in facts.columns if (note := _note(column, column in used))]
        return cls(tuple(_fit(X[column.name], column) for column in used), tuple(notes))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read, in file order."""
        return tuple(encoder.name for encoder in self.encoders)

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Names of the columns of `linear`."""
        return tuple(name for encoder in self.encoders for name in encoder.linear_names())

    @property
    def tree_names(self) -> tuple[str, ...]:
        """Names of the columns of `trees`."""
        return tuple(name for encoder in self.encoders for name in encoder.tree_names())

    @property
    def tree_categories(self) -> tuple[int, ...]:
        """Positions of the columns of `trees` that are codes of text levels, by falling frequency."""
        flags = [encoder.categorical for encoder in self.encoders for _ in encoder.tree_names()]
        return tuple(at for at, flag in enumerate(flags) if flag)

    def linear(self, X: pd.DataFrame) -> Array:
        """Make the matrix for a linear model: no gaps, numbers standardised, frequent text levels as 0/1.

        Parameters
        ----------
        X : pandas.DataFrame, shape (rows, columns)
            Training rows or new ones; columns that are not used are ignored, text may have unseen levels.

        Returns
        -------
        ndarray of float64, shape (rows, len(linear_names))

        Raises
        ------
        InputError
            If a column that is used is missing, or a cell does not read as its kind.
        """
        return self._matrix(X, lambda encoder, column: encoder.linear(column))

    def trees(self, X: pd.DataFrame) -> Array:
        """Make the matrix for trees: raw numbers, text as codes by falling frequency, NaN for gaps.

        Parameters
        ----------
        X : pandas.DataFrame, shape (rows, columns)
            As for `linear`.

        Returns
        -------
        ndarray of float64, shape (rows, len(tree_names))

        Raises
        ------
        InputError
            As for `linear`.
        """
        return self._matrix(X, lambda encoder, column: encoder.trees(column))

    def _matrix(self, X: pd.DataFrame, encode: Callable[[Encoder, pd.Series], Array]) -> Array:
        _refuse_missing(self.columns, [str(name) for name in X.columns])
        return np.hstack([np.asarray(encode(e, X[e.name]), dtype=np.float64) for e in self.encoders])

    def to_config(self) -> dict[str, Any]:
        """Give everything as plain JSON, for `from_config`."""
        return {"encoders": [encoder.to_config() for encoder in self.encoders], "notes": list(self.notes)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Preparation:
        """Make a preparation from what `to_config` gave.

        Parameters
        ----------
        config : dict
            ``{"encoders": [...], "notes": [...]}``.

        Returns
        -------
        Preparation

        Raises
        ------
        InputError
            If an encoder is damaged.
        """
        return cls(tuple(map(encoder_from_config, config["encoders"])), tuple(config["notes"]))


def _used(facts: Facts) -> list[ColumnFacts]:
    varying = [c for c in facts.columns if not c.constant]
    used = [c for c in varying if not c.identifying]
    # Row numbers may be all there is, for example years: better than nothing. Names never carry over.
    used = used or [c for c in varying if c.kind != "text"]
    if not used:
        raise InputError(
            f"no feature of {len(facts.columns)} can be used: each is constant or names the row; "
            "add a column that varies"
        )
    return used


def _note(column: ColumnFacts, used: bool) -> str | None:
    name = quoted(column.name)
    if not used:
        return f"column {name} is left out: it {_reason(column)}"
    if column.kind == "text" and column.distinct > MOST_LEVELS:
        return f"column {name} has {column.distinct} levels; rare ones are pooled"
    if column.kind == "date":
        return f"column {name} holds dates; read as days, month, weekday and hour"
    return None


def _reason(column: ColumnFacts) -> str:
    if not column.constant:
        return "identifies the row"
    if column.kind == "empty":
        return "is empty"
    return "is constant" if column.distinct else f"holds no number below {LARGEST:g} in size"


def _fit(column: pd.Series, facts: ColumnFacts) -> Encoder:
    if facts.kind == "text":
        return TextEncoder.fit(column)
    return DateEncoder.fit(column) if facts.kind == "date" else NumberEncoder.fit(column)


def _refuse_missing(wanted: tuple[str, ...], given: list[str]) -> None:
    lacking = [name for name in wanted if name not in given]
    if not lacking:
        return
    spare = difflib.get_close_matches(lacking[0], [name for name in given if name not in wanted], n=1)
    hint = f" (is it {quoted(spare[0])}? then rename it)" if spare else "; add it, cells may be empty"
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    raise InputError(f"the data lacks column {quoted(lacking[0])}{more}, which the model was trained on{hint}")
