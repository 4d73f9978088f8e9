"""Records written live: one JSON object a line.

The columns ``step, loss, eval_loss, grad_norm, learning_rate`` carry the names that other log readers look for. What
is known of the run rides on the first line under ``"lossmith"``, where they pass over it. Numbers that JSON lacks are
written as the texts "NaN", "Infinity" and "-Infinity", so that each line is valid JSON.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from .record import SCALARS, Facts, Layer, Record, Row, Step
from .step import LARGEST_STEP

VERSION = 1
RESERVED = frozenset({"step", "metrics", "layers", "samples", "lossmith", *SCALARS})
_FLUSH_SECONDS = 1.0
_FLUSH_BYTES = 1 << 16
_encode = json.JSONEncoder(allow_nan=False).encode


@final
class Journal:
    """A file that a run is written to while it goes on, one JSON object a line.

    Lines are appended whole, at least once a second while steps arrive, so that a reader never sees half a line of a
    run that is still alive, and a crash costs at most the last second.

    Parameters
    ----------
    path : str or Path
        The file; folders are made. An existing file is replaced.
    facts : Facts, optional
        What is known of the run at its start.

    Raises
    ------
    ValueError
        If the place cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "run.jsonl")
    >>> with Journal(path, Facts(task="binary")) as journal:
    ...     journal.write(Step(0, loss=float("nan")))
    >>> print(path.read_text().strip())
    {"step": 0, "loss": "NaN", "lossmith": {"version": 1, "facts": {"task": "binary"}}}
    """

    def __init__(self, path: str | os.PathLike[str], facts: Facts | None = None) -> None:
        self.path = Path(path)
        self._aside: dict[str, Any] = {"version": VERSION, "facts": _known(facts or Facts())}
        self._latest = 0
        self._lines: list[str] = []
        self._bytes, self._written = 0, time.monotonic()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._file: int | None = os.open(self.path, flags, 0o644)
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"cannot write the run's record to {str(self.path)!r}: {reason}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, step: Step) -> None:
        """Append a step.

        Parameters
        ----------
        step : Step
            What was recorded.
        """
        self._append(_line(step, self._aside))
        self._aside, self._latest = {}, step.step

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Append many plain steps at once.

        Parameters
        ----------
        rows : sequence of tuple
            As of `Record.add_rows`.
        """
        first = 0
        if self._aside and rows:
            self.write(Step(*rows[0]))
            first = 1
        if rows[first:]:
            self._append(_row_lines(rows[first:]))
            self._latest = rows[-1][0]

    def facts(self, facts: Facts) -> None:
        """Say what has become known of the run; written with the next step.

        Parameters
        ----------
        facts : Facts
            Replaces what was said before.
        """
        self._aside["facts"] = _known(facts)

    def note(self, step: int, text: str) -> None:
        """Append a remark.

        Parameters
        ----------
        step : int
            The step it is about.
        text : str
            One line.
        """
        self._aside["note"] = text
        self.write(Step(step))
        self.flush()

    def end(self) -> None:
        """Say that the run is over, so that who follows it need not wait, and close the file."""
        if self._file is not None:
            self._aside["ended"] = True
            self.write(Step(self._latest))
            self.close()

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._lines and self._file is not None:
            rest = memoryview("".join(self._lines).encode())
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._lines, self._bytes = [], 0
        self._written = time.monotonic()

    def close(self) -> None:
        """Write what is left and close the file; a second call does nothing."""
        if self._file is None:
            return
        if self._aside.get("facts"):
            self.write(Step(self._latest))
        self.flush()
        os.close(self._file)
        self._file = None

    def _append(self, line: str) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes > _FLUSH_BYTES or time.monotonic() - self._written > _FLUSH_SECONDS:
            self.flush()


def write_record(record: Record, path: str | os.PathLike[str]) -> None:
    """Write a whole record as JSON lines.

    Parameters
    ----------
    record : Record
        Facts, notes and the steps that it kept.
    path : str or Path
        The file, replaced if it exists.

    Raises
    ------
    ValueError
        If the place cannot be written to.
    """
    with Journal(path, record.facts) as journal:
        for step in record.steps:
            journal.write(step)
        for text in record.notes:
            journal.note(record.steps[-1].step if record.steps else 0, text)


def parse(line: Mapping[str, Any]) -> tuple[Step | None, Facts | None, str | None]:
    """Read one line of our own form.

    Parameters
    ----------
    line : mapping
        The JSON object.

    Returns
    -------
    step : Step or None
        None when the line only carries a remark or facts.
    facts : Facts or None
        Where the line says what is known of the run.
    note : str or None
        A remark on it.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        If the line does not have our form.
    """
    number = int(line["step"])
    if abs(number) > LARGEST_STEP:
        raise ValueError("its step is beyond what 64 bits hold")
    aside = line.get("lossmith", {})
    facts = _facts(aside["facts"]) if "facts" in aside else None
    metrics = {k: float(v) for k, v in line.items() if k not in RESERVED and v is not None}
    metrics |= {k: float(v) for k, v in line.get("metrics", {}).items()}
    step = Step(
        number,
        **{name: float(line[name]) for name in SCALARS if line.get(name) is not None},
        metrics=metrics,
        layers={name: _layer(numbers) for name, numbers in line.get("layers", {}).items()},
        samples={name: float(v) for name, v in line.get("samples", {}).items()},
    )
    empty = not (metrics or step.layers or step.samples or any(line.get(name) is not None for name in SCALARS))
    return None if empty else step, facts, aside.get("note")


def _line(step: Step, aside: Mapping[str, Any]) -> str:
    line: dict[str, Any] = {"step": step.step}
    for name in SCALARS:
        value = getattr(step, name)
        if value is not None:
            line[name] = _number(value)
    odd: dict[str, float | str] = {}
    for name, value in step.metrics.items():
        (odd if name in RESERVED else line)[name] = _number(value)
    if odd:
        line["metrics"] = odd
    if step.layers:
        line["layers"] = {name: _known_layer(layer) for name, layer in step.layers.items()}
    if step.samples:
        line["samples"] = {name: _number(value) for name, value in step.samples.items()}
    if aside:
        line["lossmith"] = aside
    return _encode(line) + "\n"


_KEYS = tuple(f', "{name}": ' for name in SCALARS)
_PLAIN = 1 + len(SCALARS)


def _row_lines(rows: Iterable[Row]) -> str:
    """Write what `_line` writes, a few times quicker."""
    lines, latest, told = [], None, ""
    for row in rows:
        rate = row[3]
        if rate is not latest:  # it is the same for long
            latest, told = rate, "" if rate is None else f', "learning_rate": {float(rate)!r}'
        loss, seconds = row[1], row[8] if len(row) == _PLAIN else None
        usual = row[2] is row[4] is row[5] is row[6] is row[7] is None
        if usual and type(loss) is type(seconds) is type(rate) is float and math.isfinite(loss + rate + seconds):
            # Loss, rate and seconds: what a step of a monitor has nearly always.
            lines.append(f'{{"step": {row[0]}, "loss": {loss!r}{told}, "seconds": {seconds!r}}}\n')
        else:
            lines.append(_row_line(row))
    return "".join(lines)


def _row_line(row: Row) -> str:
    told = [(key, float(value)) for key, value in zip(_KEYS, row[1:], strict=False) if value is not None]
    if (len(row) > _PLAIN and row[_PLAIN]) or not math.isfinite(sum([value for _, value in told])):
        return _line(Step(*row), {})
    return f'{{"step": {row[0]}{"".join([key + repr(value) for key, value in told])}}}\n'


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _known_layer(layer: Layer) -> dict[str, float | str]:
    held = ((f.name, getattr(layer, f.name)) for f in fields(Layer))
    return {name: _number(value) for name, value in held if value is not None}


def _known(facts: Facts) -> dict[str, Any]:
    held = asdict(facts)
    return {k: _number(v) if isinstance(v, float) else v for k, v in held.items() if v is not None and v != ()}


def _layer(numbers: Mapping[str, Any]) -> Layer:
    return Layer(**{name: float(value) for name, value in numbers.items()})


_TEXTS = frozenset({"task", "loss", "optimizer", "precision", "framework", "source"})
_COUNTS = frozenset({"classes", "rows", "batch_size", "planned_steps", "steps_per_epoch"})


def _facts(said: Mapping[str, Any]) -> Facts:
    known: dict[str, Any] = {}
    for f in fields(Facts):
        if said.get(f.name) is None:
            continue
        value = said[f.name]
        if f.name == "class_counts":
            known[f.name] = tuple(int(v) for v in value)
        elif f.name in _TEXTS:
            known[f.name] = str(value)
        else:
            known[f.name] = int(value) if f.name in _COUNTS else float(value)
    return Facts(**known)
