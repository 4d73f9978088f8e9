"""From a file to a table with a target, or one clear line that says why not."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lossmith.core.errors import InputError
from lossmith.select.columns import quoted
from lossmith.select.task import check_target
from lossmith.workflow.readers import parse, read_bytes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "read_features", "read_table"]


@dataclass(frozen=True)
class Dataset:
    """A table with its target.

    Attributes
    ----------
    X : pandas.DataFrame, shape (rows, columns)
        The features as read.
    y : pandas.Series, shape (rows,)
        The raw target: no value missing or infinite, at least two different values.
    target : str
        Name of the target column.
    path : str
        The file, as it was given.
    sha256 : str
        Hash of the file's bytes, in hexadecimal digits.
    rows : int
        Number of rows, at least 2.
    notes : tuple of str
        What the reader did that the file did not say, a sentence each.
    """

    X: pd.DataFrame
    y: pd.Series
    target: str
    path: str
    sha256: str
    rows: int
    notes: tuple[str, ...]


def read_table(path: str | Path, target: str) -> Dataset:
    r"""Read a data file and split off its target.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` (separated by comma, semicolon, tab or bar), ``.tsv``, ``.parquet`` or ``.jsonl`` file. Text
        is UTF-8. Empty cells, NA, NaN, null, None, ``?`` and ``.`` are missing values.
    target : str
        Name of the column to predict.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the file cannot be used; the message is one line that says what is wrong and what to do.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "trips.csv"
    >>> _ = file.write_text("km,price\n1.5,4\n3.2,7.5\n")
    >>> read_table(file, "price").y.tolist()
    [4.0, 7.5]
    """
    file = Path(path)
    content = read_bytes(file)
    frame, notes = parse(content, file)
    _refuse_target(frame, target, file)
    y = frame[target]
    check_target(y)
    return Dataset(
        X=frame.drop(columns=target),
        y=y,
        target=target,
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        rows=len(frame),
        notes=tuple(notes),
    )


def read_features(path: str | Path) -> pd.DataFrame:
    """Read a data file whole, for predictions; a target column in it does no harm.

    Parameters
    ----------
    path : str or Path
        As for `read_table`.

    Returns
    -------
    pandas.DataFrame
        At least one row.

    Raises
    ------
    InputError
        As `read_table`, but for the rules about the target.
    """
    file = Path(path)
    return parse(read_bytes(file), file)[0]


def _refuse_target(frame: pd.DataFrame, target: str, path: Path) -> None:
    names = [str(name) for name in frame.columns]
    if target not in names:
        raise InputError(f"{quoted(path, 200)} has no column {quoted(target)}; {_instead(target, names)}")
    if len(names) == 1:
        raise InputError(f"{quoted(path, 200)} has only the target column; give at least one feature")


def _instead(wanted: str, names: list[str]) -> str:
    """Suggest the names that someone may have meant, else list what there is."""
    folded = {name.casefold().strip(): name for name in names}
    close = difflib.get_close_matches(wanted.casefold().strip(), folded, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(quoted(folded[name]) for name in close) + "?"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return "choose one of " + ", ".join(quoted(name) for name in names[:10]) + more
