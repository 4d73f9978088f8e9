"""Single JSON documents: Hugging Face trainer states, Keras histories, boosters' results, lists of rows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..record import Facts, Record
from .boosters import from_results, looks_like_results
from .build import Builder
from .json_lines import as_number, numbers
from .naming import Naming
from .stream import encoding

_LARGEST = 1 << 29


def read_document(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read a file that is one JSON document.

    Parameters
    ----------
    path : Path
        The file, of at most 512 MB: a document cannot be read in pieces.
    facts : Facts
        Known before.
    naming : Naming
        What the columns are.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        Of whichever form it has.

    Raises
    ------
    ValueError
        If it is cut off, too large, or of no known form.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError("it is a JSON document of more than 512 MB; write one object a line instead")
    try:
        raw = path.read_bytes()
        said = json.loads(raw.decode(encoding(raw), errors="replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its JSON is cut off or broken ({error})") from error
    return from_document(said, facts, naming, limit)


def from_document(said: Any, facts: Facts, naming: Naming, limit: int) -> Record:
    """Make a record of a parsed JSON document, or of the same thing in memory.

    Parameters
    ----------
    said : object
        A trainer state, ``History.history``, ``evals_result``, or a list of objects.
    facts, naming, limit
        As in `read_document`.

    Returns
    -------
    Record
        Of whichever form it has.

    Raises
    ------
    ValueError
        If the form is not known.

    Examples
    --------
    >>> record = from_document({"loss": [0.9, 0.5], "val_loss": [0.8, 0.7]}, Facts(), Naming(), 100)
    >>> record.column("eval_loss")
    (array([0, 1]), array([0.8, 0.7]))
    """
    if isinstance(said, Mapping) and isinstance(said.get("log_history"), list):
        return _trainer_state(said, facts, naming, limit)
    if isinstance(said, Mapping) and isinstance(said.get("history"), Mapping):
        said = said["history"]
    if looks_like_results(said):
        return from_results(said, facts, limit)
    if isinstance(said, Mapping) and (columns := {k: _cells(v) for k, v in said.items() if _is_column(v)}):
        return _rows(_transposed(columns), facts, naming, limit)
    if isinstance(said, list) and any(isinstance(row, Mapping) for row in said):
        return _rows((numbers(row) for row in said if isinstance(row, Mapping)), facts, naming, limit)
    if isinstance(said, Mapping) and (row := numbers(said)):
        return _rows([row], facts, naming, limit)
    raise ValueError("it is neither a trainer state, a history, evaluation results, nor a list of rows")


def _is_column(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _cells(value: Any) -> list[Any]:
    return value.tolist() if isinstance(value, np.ndarray) else list(value)


def _trainer_state(said: Mapping[str, Any], facts: Facts, naming: Naming, limit: int) -> Record:
    planned, batch = as_number(said.get("max_steps")), as_number(said.get("train_batch_size"))
    known = dataclasses.replace(
        facts,
        framework="huggingface",
        planned_steps=int(planned) if planned and planned > 0 else None,
        batch_size=int(batch) if batch and batch > 0 else None,
    )
    # The last entry sums up the run: its train_loss is a mean over it, no step.
    history = [row for row in said["log_history"] if isinstance(row, Mapping) and "train_runtime" not in row]
    return _rows([numbers(row) for row in history], known, naming, limit)


def _transposed(columns: Mapping[str, list[Any]]) -> Iterable[dict[str, float]]:
    for i in range(max(map(len, columns.values()))):
        cells = ((name, as_number(values[i])) for name, values in columns.items() if i < len(values))
        yield {name: value for name, value in cells if value is not None}


def _rows(rows: Iterable[dict[str, float]], facts: Facts, naming: Naming, limit: int) -> Record:
    held = list(rows)
    naming.learn(dict.fromkeys(name for row in held for name in row))
    builder = Builder(facts, naming, limit)
    for row in held:
        builder.row(row)
    return builder.finish()
