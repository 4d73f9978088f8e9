"""Read the log of any training run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..events import is_events
from ..record import LIMIT, Facts, Record
from . import boosters, texts
from .documents import from_document, read_document
from .event_files import read_events
from .json_lines import read_json_lines
from .naming import Naming
from .stream import encoding, head
from .tables import looks_like_table, read_table

Reader = Callable[[Path, Facts, Naming, int], Record]

_FORMS = (
    "JSON lines, Keras History, Hugging Face trainer_state.json, Lightning or plain CSV, TensorBoard events, or the "
    "evaluation log of a booster"
)
_MAGIC = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"PK": "a zip archive",
    b"\x89H": "an HDF5 file",
    b"SQ": "a database",
}
_NAMES = ("trainer_state.json", "metrics.csv", "history.json", "log_history.json", "catboost_training.json")
_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".log", ".txt", ".json")


def read_record(
    source: str | os.PathLike[str] | Mapping[str, Any], columns: Mapping[str, str] | None = None, *, limit: int = LIMIT
) -> Record:
    """Read what happened in a training run from its log.

    Parameters
    ----------
    source : str, Path or mapping
        A file, whose form is told by its content: JSON lines, a Keras ``History.history`` as JSON or its CSVLogger,
        ``trainer_state.json``, Lightning's ``metrics.csv``, TensorBoard events, any CSV, evaluation results or printed
        lines of LightGBM, XGBoost and CatBoost, printed lines that name a loss. A folder: the one log in it. A
        mapping: ``History.history`` or ``evals_result`` itself.
    columns : mapping of str to str, optional
        From fields of a step ("step", "loss", "eval_loss", "learning_rate", "grad_norm" ...) to columns, where names
        do not say it. Guesses are told in ``record.notes``.
    limit : int, default 20000
        Steps kept in memory: files of any size are read as a stream.

    Returns
    -------
    Record
        Of the last run in the log.

    Raises
    ------
    ValueError
        With one line that says why, if it is no log, holds no number, or lacks a column that was named.
    TypeError
        If it is neither a path nor a mapping.

    Examples
    --------
    >>> import lossmith as lm
    >>> record = lm.read_record({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.7, 0.9]})
    >>> record.column("eval_loss")[1]
    array([0.8, 0.7, 0.9])
    """
    naming = Naming(columns)
    if isinstance(source, Mapping):
        return from_document(source, Facts(source="memory"), naming, limit)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"a log is a path, or a mapping of names to lists of numbers, not {type(source).__name__}; "
            "a data frame's to_dict('list') is one"
        )
    path = _found(Path(source))
    facts = Facts(source=str(path))
    try:
        record = _reader(path)(path, facts, naming, limit)
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"cannot use {str(path)!r}: {error}") from error
    record.facts = dataclasses.replace(record.facts, source=str(path))
    return record


def _found(path: Path) -> Path:
    if not _there(path):
        raise ValueError(f"there is no file {str(path)!r}; give the log of a training run, or a folder that holds one")
    if not path.is_dir():
        return path
    logs = find_logs(path)
    if not logs:
        raise ValueError(f"folder {str(path)!r} holds no log; accepted: {_FORMS}")
    if len(logs) > 1:
        some = ", ".join(str(log.relative_to(path)) for log in logs[:4]) + (" ..." if len(logs) > 4 else "")
        raise ValueError(f"folder {str(path)!r} holds {len(logs)} logs; give one of {some}")
    return logs[0]


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def find_logs(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Find the logs of training runs in a folder and those below it.

    Parameters
    ----------
    folder : str or Path
        Where to look.

    Returns
    -------
    tuple of Path
        Files that can be read as records, by path; of the checkpoints of one Hugging Face run only the last.
    """
    found = []
    for path in sorted(Path(folder).rglob("*")):
        known = path.name in _NAMES or "tfevents" in path.name or path.suffix.lower() in _SUFFIXES
        if known and path.is_file() and _usable(path):
            found.append(path)
    states = [p for p in found if p.name == "trainer_state.json"]
    last = {p.parent.parent: p for p in sorted(states, key=lambda p: (len(p.parent.name), p.parent.name))}
    return tuple(p for p in found if p not in states or last[p.parent.parent] == p)


def _usable(path: Path) -> bool:
    try:
        read_record(path, limit=16)
    except ValueError:
        return False
    return True


def _reader(path: Path) -> Reader:
    """Choose a reader by what the file holds; its name is not trusted."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise ValueError("it is empty")
    if is_events(path):
        return read_events
    if encoding(start) == "utf-16":
        start = start.decode("utf-16", errors="replace").encode()
    if b"\0" in start:
        raise ValueError(f"it is {_binary(start)}; accepted: {_FORMS}")
    kind = _MAGIC.get(start[:2])
    if kind is not None and not start.isascii():
        raise ValueError(f"it is {_binary(start)}; accepted: {_FORMS}")
    return _text_reader(start, head(path, 200))


def _binary(start: bytes) -> str:
    kind = _MAGIC.get(start[:2], "a binary file of no known form")
    return f"{kind}, which could run code when read: save History.history as JSON" if kind == "a pickle" else kind


def _text_reader(start: bytes, first: list[str]) -> Reader:
    opening = start.decode("utf-8-sig", errors="replace").lstrip()[:1]
    if opening == "{" and _one_object_a_line(first):
        return read_json_lines
    if opening == "{" or (opening == "[" and "".join(start.decode("utf-8-sig", "replace").split())[:2] == "[{"):
        return read_document
    if boosters.looks_printed(first):
        return boosters.read_printed
    if looks_like_table(first):
        return read_table
    if any(line.lstrip().startswith("{") for line in first):
        return read_json_lines
    if texts.looks_printed(first):
        return texts.read_text
    shown = start.decode("utf-8", errors="replace")
    if shown.count("\ufffd") > len(shown) // 10:
        raise ValueError(f"it is {_binary(start)}; accepted: {_FORMS}")
    raise ValueError(f"it is text in which no loss can be found; accepted: {_FORMS}")


def _one_object_a_line(first: list[str]) -> bool:
    filled = [line.strip() for line in first if line.strip()]
    whole = sum(line.startswith("{") and line.endswith("}") for line in filled)
    if len(filled) == 1:
        return whole == 1 and "[" not in filled[0]
    return whole >= 1 and filled[0].endswith("}")
